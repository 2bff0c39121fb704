#include "io/t_peer.h"

#include <stdio.h>
#include <stdlib.h>

struct bench bench;

static void told(struct peer *p, int what)
{
    assert_false(bench.inside);
    assert_int_equal(p->closes, 0);
    if (p->close_in == what)
        conn_close(p->c);
}

static void on_open(struct conn *c, void *arg)
{
    struct peer *p = arg;
    assert_ptr_equal(c, p->c);
    p->opens++;
    assert_int_equal(p->datas, 0);
    told(p, 'o');
}

static void take(struct peer *p)
{
    AUTO(buf_clear) struct buf b = buf_take(conn_in(p->c));
    assert_int_equal(buf_append(&p->got, buf_view(&b)), ERR_OK);
    if (p->echo)
        assert_int_equal(conn_send(p->c, &b), ERR_OK);
}

static void on_data(struct conn *c, void *arg)
{
    struct peer *p = arg;
    assert_int_equal(p->opens, 1);
    assert_int_equal(p->eofs, 0);
    assert_true(conn_in(c)->len > 0);
    p->datas++;
    if (!p->hold)
        take(p);
    told(p, 'd');
}

static void on_eof(struct conn *c, void *arg)
{
    struct peer *p = arg;
    p->eofs++;
    assert_int_equal(p->eofs, 1);
    if (p->echo)
        conn_finish(c);
    told(p, 'e');
}

static void on_drained(struct conn *c, void *arg)
{
    struct peer *p = arg;
    assert_int_equal(conn_unsent(c), 0);
    p->drains++;
    told(p, 'r');
}

static void on_closed(struct conn *c, void *arg, enum err r, const struct why *why)
{
    struct peer *p = arg;
    (void)c;
    told(p, 0);
    p->closes++;
    p->r = r;
    p->what = why->what;
}

const struct conn_events peer_events = { on_open, on_data, on_eof, on_drained, on_closed };

static void adopt(struct peer *p, struct conn *c)
{
    p->c = c;
    p->got = BUF_INIT(PEER_MAX_BYTES);
    p->hold = bench.hold;
    p->echo = bench.echo;
    conn_set_arg(c, &peer_events, p);
}

void bench_accepted(struct conn *c, void *arg)
{
    (void)arg;
    assert_false(bench.inside);
    adopt(&bench.peers[bench.n_peers++], c);
}

static void on_over(struct conn *c, void *arg)
{
    (void)arg;
    adopt(&bench.over[bench.n_over++], c);
}

static void stop(void *arg)
{
    (void)arg;
    loop_stop(bench.loop);
}

int bench_make(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof(bench));
    bench.server_name = "kms.test";
    strcpy(bench.dir, "/tmp/nitroseal-t-XXXXXX");
    if (!mkdtemp(bench.dir) || loop_new(&bench.loop) != ERR_OK)
        return -1;
    return loop_timer_new(bench.loop, stop, NULL, &bench.tick) == ERR_OK ? 0 : -1;
}

int bench_unmake(void **state)
{
    char cmd[64];
    (void)state;
    listener_free(bench.listener);
    for (unsigned i = 0; i < bench.n_peers; i++)
        buf_clear(&bench.peers[i].got);
    for (unsigned i = 0; i < bench.n_over; i++)
        buf_clear(&bench.over[i].got);
    loop_timer_free(bench.tick);
    loop_free(bench.loop); /* what is still connected is dropped here, and LSan looks on */
    snprintf(cmd, sizeof(cmd), "rm -rf %s", bench.dir);
    return system(cmd);
}

const char *bench_path(const char *name)
{
    static char path[100];
    snprintf(path, sizeof(path), "%s/%s", bench.dir, name);
    return path;
}

struct addr unix_addr(const char *name)
{
    struct addr a;
    assert_int_equal(addr_unix(bench_path(name), &a, NULL), ERR_OK);
    return a;
}

struct addr vsock_addr(uint32_t cid, uint32_t port)
{
    struct addr a;
    char setting[64];
    snprintf(setting, sizeof(setting), "unix:%s", bench.dir);
    assert_int_equal(addr_vsock(setting, cid, port, &a, NULL), ERR_OK);
    return a;
}

struct addr tcp_addr(unsigned port)
{
    struct addr a;
    char text[32];
    snprintf(text, sizeof(text), "127.0.0.1:%u", port);
    assert_int_equal(addr_tcp(text, &a, NULL), ERR_OK);
    return a;
}

/* Listen on one of the kinds and say where to connect. */
struct addr listen_kind(const char *kind, size_t in_max, unsigned max)
{
    struct addr at = strcmp(kind, "tcp") == 0    ? tcp_addr(0)
                     : strcmp(kind, "unix") == 0 ? unix_addr("s")
                                                 : vsock_addr(16, 5000);
    bench_listen(&at, NULL, in_max, max, false);
    if (at.kind == ADDR_TCP)
        return tcp_addr(listener_port(bench.listener));
    assert_int_equal(listener_port(bench.listener), 0);
    return at;
}

void connect_fails(const struct addr *to, uint64_t in_ns, enum err want, const char *what)
{
    struct peer p = { .got = BUF_INIT(64) };
    const struct conn_options o = { .in_max = 64,
                                    .deadline_ns = in_ns ? clock_mono_ns() + in_ns : 0,
                                    .events = &peer_events,
                                    .arg = &p };
    bench.inside = true;
    assert_int_equal(conn_connect(bench.loop, to, &o, &p.c, NULL), ERR_OK);
    bench.inside = false;
    UNTIL(p.closes);
    assert_int_equal(p.r, want);
    assert_string_equal(p.what, what);
    assert_int_equal(p.opens + p.datas + p.eofs, 0);
    buf_clear(&p.got);
}

void bench_tick(void)
{
    loop_timer_arm(bench.tick, loop_now_ns(bench.loop) + NS_PER_MS);
    loop_run(bench.loop);
}

void bench_listen(const struct addr *at, struct tls_ctx *tls, size_t in_max, unsigned max,
                  bool with_over)
{
    const struct listener_options o = {
        .conn = { .tls = tls, .in_max = in_max, .events = &peer_events },
        .max = max,
        .accepted = bench_accepted,
        .over = with_over ? on_over : NULL,
    };
    struct why why = { 0 };
    if (listener_new(bench.loop, at, &o, &bench.listener, &why) != ERR_OK)
        fail_msg("listen: %s", why.what);
}

void peer_connect(struct peer *p, const struct addr *to, struct tls_ctx *tls, size_t in_max)
{
    const struct conn_options o = { .tls = tls,
                                    .server_name = tls ? bench.server_name : NULL,
                                    .in_max = in_max,
                                    .events = &peer_events,
                                    .arg = p };
    *p = (struct peer){ .got = BUF_INIT(PEER_MAX_BYTES) };
    bench.inside = true;
    assert_int_equal(conn_connect(bench.loop, to, &o, &p->c, NULL), ERR_OK);
    bench.inside = false;
}

void peer_send(struct peer *p, struct span s)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(PEER_MAX_BYTES);
    assert_int_equal(buf_append(&b, s), ERR_OK);
    bench.inside = true;
    assert_int_equal(conn_send(p->c, &b), ERR_OK);
    bench.inside = false;
    assert_int_equal(b.len, 0);
}

void peer_close(struct peer *p)
{
    bench.inside = true;
    conn_close(p->c);
    conn_close(p->c);
    bench.inside = false;
}

void peer_done(struct peer *p)
{
    if (!p->closes)
        peer_close(p);
    UNTIL(p->closes == 1);
    buf_clear(&p->got);
}

struct span pattern(size_t n)
{
    static uint8_t *bytes;
    static size_t have;
    if (n > have) {
        free(bytes);
        bytes = malloc(n);
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16) * 3);
        have = n;
    }
    return span_of(bytes, n);
}
