/* c-ares against a DNS server of the test on the loopback; nothing else is asked. */
#include "testing/t.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/dns.h"

enum { PATIENCE_S = 20, DNS_A = 1, DNS_CNAME = 5, DNS_AAAA = 28, REFUSED = 5, NXDOMAIN = 3 };

static struct loop *loop;
static struct loop_timer *tick;
static struct loop_watch *watch;
static struct dns *dns;
static int server = -1;
static char where[32];
static struct {
    unsigned questions, code;
    bool silent;
    uint32_t ttl_a, ttl_aaaa, ttl_cname; /* ttl_cname 0: no alias */
    unsigned n_a, n_aaaa;
} zone;
static struct {
    unsigned calls;
    enum err r;
    struct resolved found;
    uint32_t ttl_s;
    const char *what;
} told;

static void put16(struct buf *b, unsigned v)
{
    assert_int_equal(buf_append(b, span_of((uint8_t[]){ (uint8_t)(v >> 8), (uint8_t)v }, 2)),
                     ERR_OK);
}

static void put_record(struct buf *b, unsigned name_at, unsigned type, uint32_t ttl,
                       struct span data)
{
    put16(b, 0xc000 | name_at); /* RFC 1035 section 4.1.4 */
    put16(b, type);
    put16(b, 1);
    put16(b, ttl >> 16);
    put16(b, ttl & 0xffff);
    put16(b, (unsigned)data.len);
    assert_int_equal(buf_append(b, data), ERR_OK);
}

static void put_answers(struct buf *b, unsigned type)
{
    unsigned name_at = 12;
    uint8_t v6[16] = { 0xfd };

    if (zone.ttl_cname) {
        put_record(b, name_at, DNS_CNAME, zone.ttl_cname, span_of("\5other\4test", 12));
        name_at = (unsigned)b->len - 12;
    }
    for (unsigned i = 0; type == DNS_A && i < zone.n_a; i++)
        put_record(b, name_at, DNS_A, zone.ttl_a + i,
                   span_of((uint8_t[]){ 10, 0, 0, (uint8_t)i }, 4));
    for (unsigned i = 0; type == DNS_AAAA && i < zone.n_aaaa; i++) {
        v6[15] = (uint8_t)i;
        put_record(b, name_at, DNS_AAAA, zone.ttl_aaaa, span_of(v6, 16));
    }
}

static void on_question(void *arg)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(4096);
    uint8_t q[512];
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    ssize_t n = recvfrom(server, q, sizeof(q), MSG_DONTWAIT, (struct sockaddr *)&from, &len);
    size_t end = 12;
    (void)arg;

    if (n < 17)
        return;
    zone.questions++;
    if (zone.silent)
        return;
    while (q[end])
        end += q[end] + 1U;
    unsigned type = q[end + 2];
    unsigned answers = zone.code ? 0 : type == DNS_A ? zone.n_a : zone.n_aaaa;
    assert_int_equal(buf_append(&b, span_of(q, 2)), ERR_OK);
    put16(&b, 0x8180 | zone.code);
    put16(&b, 1);
    put16(&b, zone.code ? 0 : answers + (zone.ttl_cname ? 1 : 0));
    put16(&b, 0);
    put16(&b, 0);
    assert_int_equal(buf_append(&b, span_of(q + 12, end + 5 - 12)), ERR_OK);
    if (!zone.code)
        put_answers(&b, type);
    assert_int_equal(sendto(server, b.ptr, b.len, 0, (struct sockaddr *)&from, len), b.len);
}

static void on_tick(void *arg)
{
    (void)arg;
    loop_stop(loop);
}

static int make(void **state)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(at);
    (void)state;

    memset(&zone, 0, sizeof(zone));
    memset(&told, 0, sizeof(told));
    server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (bind(server, (struct sockaddr *)&at, len) ||
        getsockname(server, (struct sockaddr *)&at, &len))
        return -1;
    snprintf(where, sizeof(where), "127.0.0.1:%u", ntohs(at.sin_port));
    return loop_new(&loop) != ERR_OK || loop_timer_new(loop, on_tick, NULL, &tick) != ERR_OK ||
           loop_watch_new(loop, server, on_question, NULL, &watch) != ERR_OK;
}

static int unmake(void **state)
{
    (void)state;
    dns_free(dns);
    dns = NULL;
    loop_watch_free(watch);
    loop_timer_free(tick);
    loop_free(loop);
    close(server);
    return 0;
}

static void on_answer(void *arg, enum err r, const struct resolved *found, uint32_t ttl_s,
                      const struct why *why)
{
    (void)arg;
    told.calls++;
    told.r = r;
    told.ttl_s = ttl_s;
    told.what = why->what;
    assert_int_equal(found != NULL, r == ERR_OK);
    if (found)
        told.found = *found;
    dns_free(dns);
    dns = NULL;
}

static void wait_for_answer(void)
{
    uint64_t end = clock_mono_ns() + PATIENCE_S * NS_PER_S;
    while (!told.calls && clock_mono_ns() < end) {
        loop_timer_arm(tick, loop_now_ns(loop) + NS_PER_MS);
        loop_run(loop);
    }
    assert_int_equal(told.calls, 1);
}

static void ask(const char *host, enum resolve_family family)
{
    const struct dns_options o = { .servers = where, .family = family, .fn = on_answer };

    assert_int_equal(dns_ask(loop, host, 443, &o, &dns, NULL), ERR_OK);
    assert_int_equal(told.calls, 0); /* not from inside */
    wait_for_answer();
}

static void is_addr(unsigned i, const char *want)
{
    char text[ADDR_TEXT_BYTES];
    addr_text(&told.found.list[i], text, sizeof(text));
    assert_string_equal(text, want);
}

static void ipv4_first_and_the_least_lifetime(void **state)
{
    (void)state;
    zone.n_a = 2;
    zone.n_aaaa = 1;
    zone.ttl_a = 60;
    zone.ttl_aaaa = 50;
    ask("kms.test.", RESOLVE_ANY);
    assert_int_equal(told.r, ERR_OK);
    assert_int_equal(told.found.n, 3);
    is_addr(0, "10.0.0.0:443");
    is_addr(1, "10.0.0.1:443");
    is_addr(2, "[fd00::]:443");
    assert_int_equal(told.ttl_s, 50);
}

static void an_alias_has_a_lifetime_too(void **state)
{
    (void)state;
    zone.n_a = 1;
    zone.ttl_a = 300;
    zone.ttl_cname = 7;
    ask("kms.test.", RESOLVE_V4);
    assert_int_equal(told.r, ERR_OK);
    is_addr(0, "10.0.0.0:443");
    assert_int_equal(told.ttl_s, 7);
    assert_int_equal(zone.questions, 1); /* AAAA was not asked for */
}

static void only_ipv6(void **state)
{
    (void)state;
    zone.n_a = zone.n_aaaa = 1;
    zone.ttl_aaaa = 1;
    ask("kms.test.", RESOLVE_V6);
    assert_int_equal(told.found.n, 1);
    is_addr(0, "[fd00::]:443");
}

static void more_addresses_than_we_keep(void **state)
{
    (void)state;
    zone.n_a = RESOLVE_MAX + 1;
    zone.ttl_a = 9;
    ask("kms.test.", RESOLVE_V4);
    assert_int_equal(told.found.n, RESOLVE_MAX);
    is_addr(RESOLVE_MAX - 1, "10.0.0.7:443");
}

static void no_such_name(void **state)
{
    (void)state;
    zone.code = NXDOMAIN;
    ask("kms.test.", RESOLVE_ANY);
    assert_int_equal(told.r, ERR_IO);
    assert_string_equal(told.what, "no such name");
}

static void a_name_without_an_address(void **state)
{
    (void)state;
    ask("kms.test.", RESOLVE_ANY);
    assert_int_equal(told.r, ERR_IO);
    assert_string_equal(told.what, "the name has no address");
}

static void a_server_that_does_not_answer(void **state)
{
    (void)state;
    zone.silent = true;
    ask("kms.test.", RESOLVE_V4);
    assert_int_equal(told.r, ERR_IO);
    assert_string_equal(told.what, "the DNS server did not answer");
    assert_int_equal(zone.questions, DNS_TRIES);
}

static void forgotten(void **state)
{
    const struct dns_options o = { .servers = where, .fn = on_answer };
    (void)state;
    zone.silent = true;
    assert_int_equal(dns_ask(loop, "kms.test.", 443, &o, &dns, NULL), ERR_OK);
    dns_free(dns);
    assert_int_equal(dns_ask(loop, "kms.test.", 443, &o, &dns, NULL), ERR_OK);
    for (unsigned i = 0; i < 20; i++) {
        loop_timer_arm(tick, loop_now_ns(loop) + NS_PER_MS);
        loop_run(loop);
    }
    assert_true(zone.questions > 0);
    dns_free(dns);
    dns = NULL;
    assert_int_equal(told.calls, 0);
}

static void what_cannot_be_asked(void **state)
{
    struct dns_options o = { .servers = "not a server", .fn = on_answer };
    char longest[RESOLVE_NAME_MAX_BYTES + 2];
    struct why why = { 0 };
    (void)state;
    memset(longest, 'a', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(dns_ask(loop, longest, 1, &o, &dns, &why), ERR_LIMIT);
    assert_string_equal(why.what, "host name too long");
    assert_int_equal(dns_ask(loop, "kms.test", 1, &o, &dns, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "not a list of DNS servers");
    assert_null(dns);
}

#define ROW(fn) cmocka_unit_test_setup_teardown(fn, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(ipv4_first_and_the_least_lifetime),
        ROW(an_alias_has_a_lifetime_too),
        ROW(only_ipv6),
        ROW(more_addresses_than_we_keep),
        ROW(no_such_name),
        ROW(a_name_without_an_address),
        ROW(a_server_that_does_not_answer),
        ROW(forgotten),
        ROW(what_cannot_be_asked),
    };
    return cmocka_run_group_tests_name("io_dns", tests, NULL, NULL);
}
