#include "awscred/awscred.h"
#include "testing/t.h"

#define GOOD                                                                                       \
    "{\"Code\":\"Success\",\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\",\"Token\":\"T\","       \
    "\"Expiration\":\"2026-01-02T03:04:05Z\"}"

static struct url_row {
    const char *name, *url;
    enum err want;
    const char *what, *host, *path; /* what: the fault */
    uint16_t port;
    bool tls, allowed;
} url_rows[] = {
    { "ECS", "http://169.254.170.2/v2/x?y", ERR_OK, NULL, "169.254.170.2", "/v2/x?y", 80, false,
      true },
    { "EKS", "http://169.254.170.23/v1/credentials", ERR_OK, NULL, "169.254.170.23",
      "/v1/credentials", 80, false, true },
    { "EKS over IPv6", "http://[fd00:ec2::23]/v1", ERR_OK, NULL, "fd00:ec2::23", "/v1", 80, false,
      true },
    { "loopback", "http://127.0.0.9:8080", ERR_OK, NULL, "127.0.0.9", "/", 8080, false, true },
    { "loopback over IPv6", "http://[::1]:81/", ERR_OK, NULL, "::1", "/", 81, false, true },
    { "localhost", "http://localhost/x", ERR_OK, NULL, "localhost", "/x", 80, false, true },
    { "any host with TLS", "https://example.com/x", ERR_OK, NULL, "example.com", "/x", 443, true,
      true },
    { "another host without TLS", "http://example.com/x", ERR_OK, NULL, "example.com", "/x", 80,
      false, false },
    { "a name that begins like loopback", "http://127.0.0.1.example.com/", ERR_OK, NULL,
      "127.0.0.1.example.com", "/", 80, false, false },
    { "the metadata service is no container", "http://169.254.169.254/", ERR_OK, NULL,
      "169.254.169.254", "/", 80, false, false },
    { "another scheme", "ftp://x/", ERR_MALFORMED, "neither http:// nor https://", NULL, NULL, 0,
      false, false },
    { "user in the URL", "http://a@b/", ERR_MALFORMED, "host", NULL, NULL, 0, false, false },
    { "no host", "http:///x", ERR_MALFORMED, "host", NULL, NULL, 0, false, false },
    { "open bracket", "http://[::1/x", ERR_MALFORMED, "host", NULL, NULL, 0, false, false },
    { "IPv6 without brackets", "http://::1/x", ERR_MALFORMED, "host", NULL, NULL, 0, false, false },
    { "port 0", "http://a:0/", ERR_MALFORMED, "port", NULL, NULL, 0, false, false },
    { "port past 16 bits", "http://a:65536/", ERR_MALFORMED, "port", NULL, NULL, 0, false, false },
    { "empty port", "http://a:/", ERR_MALFORMED, "port", NULL, NULL, 0, false, false },
    { "CRLF in the path", "http://a/x\r\ny: z", ERR_MALFORMED, "path", NULL, NULL, 0, false,
      false },
    { "fragment", "http://a/x#y", ERR_MALFORMED, "path", NULL, NULL, 0, false, false },
    { "blank in the host", "http://a b/", ERR_MALFORMED, "host", NULL, NULL, 0, false, false },
};

static void url_row(void **state)
{
    const struct url_row *row = *state;
    struct awscred_place p = { .port = 7 };
    struct why why = { 0 };

    assert_int_equal(awscred_url_parse(span_str(row->url), &p, &why), row->want);
    if (row->want != ERR_OK) {
        assert_string_equal(why.what, row->what);
        assert_int_equal(p.port, 7);
        return;
    }
    assert_string_equal(p.host, row->host);
    assert_true(span_is(p.path, row->path));
    assert_int_equal(p.port, row->port);
    assert_int_equal(p.tls, row->tls);
    assert_int_equal(awscred_container_allows(&p), row->allowed);
}

static struct awscred_place place_of(const char *url)
{
    struct awscred_place p;

    assert_int_equal(awscred_url_parse(span_str(url), &p, NULL), ERR_OK);
    return p;
}

/* The next request is this one. */
static void expect(const struct awscred_talk *t, const char *first_line, const char *header,
                   unsigned wait_ms)
{
    struct awscred_request rq;

    assert_int_equal(awscred_talk_request(t, &rq), ERR_OK);
    assert_true(span_starts(buf_view(&rq.bytes), first_line));
    assert_memory_equal(rq.bytes.ptr + rq.bytes.len - 4, "\r\n\r\n", 4);
    if (header)
        assert_non_null(memmem(rq.bytes.ptr, rq.bytes.len, header, strlen(header)));
    assert_int_equal(rq.wait_ms, wait_ms);
    buf_clear(&rq.bytes);
}

static enum err answer(struct awscred_talk *t, enum err r, unsigned status, const char *body,
                       const char **what)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(1024);
    struct awscred c;
    struct why why = { 0 };

    r = awscred_talk_answer(t, r, status, span_str(body), &text, &c, &why);
    if (r == ERR_OK) {
        assert_true(span_is(c.access_key_id, "A"));
        assert_int_equal(c.expires_s, 1767323045);
    }
    *what = why.what;
    return r;
}

static void imds_goes_well(void **state)
{
    (void)state;
    struct awscred_place p = place_of("http://169.254.169.254");
    AUTO(awscred_talk_clear) struct awscred_talk t;
    const char *what;

    awscred_talk_imds(&t, &p);
    expect(&t, "PUT /latest/api/token HTTP/1.1\r\nhost: 169.254.169.254\r\n",
           "\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\n", 0);
    assert_int_equal(answer(&t, ERR_OK, 200, "TOKEN==", &what), ERR_MORE);
    expect(&t, "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1\r\n",
           "\r\nx-aws-ec2-metadata-token: TOKEN==\r\n", 0);
    assert_int_equal(answer(&t, ERR_OK, 200, "my-role\n", &what), ERR_MORE);
    expect(&t, "GET /latest/meta-data/iam/security-credentials/my-role HTTP/1.1\r\n",
           "\r\nx-aws-ec2-metadata-token: TOKEN==\r\n", 0);
    assert_int_equal(answer(&t, ERR_OK, 200, GOOD, &what), ERR_OK);
}

static void imds_token_expires(void **state)
{
    (void)state;
    struct awscred_place p = place_of("http://[fd00:ec2::254]:8080/base/");
    AUTO(awscred_talk_clear) struct awscred_talk t;
    const char *what;

    awscred_talk_imds(&t, &p);
    expect(&t, "PUT /base/latest/api/token HTTP/1.1\r\nhost: [fd00:ec2::254]:8080\r\n", NULL, 0);
    assert_int_equal(answer(&t, ERR_OK, 200, "one", &what), ERR_MORE);
    assert_int_equal(answer(&t, ERR_OK, 200, "role", &what), ERR_MORE);
    assert_int_equal(answer(&t, ERR_OK, 401, "", &what), ERR_MORE);
    expect(&t, "PUT ", NULL, 0);
    assert_int_equal(answer(&t, ERR_OK, 200, "two", &what), ERR_MORE);
    expect(&t, "GET /base/latest/meta-data/iam/security-credentials/role ",
           "x-aws-ec2-metadata-token: two\r\n", 0);
    assert_int_equal(answer(&t, ERR_OK, 401, "", &what), ERR_DENIED); /* once is enough */
    assert_string_equal(what, "the endpoint refused");
}

static struct refusal_row {
    const char *name;
    unsigned good_answers; /* before this one */
    enum err r;
    unsigned status;
    const char *body;
    enum err want;
    const char *what;
    unsigned tries;
} refusal_rows[] = {
    { "IMDS: token 403", 0, ERR_OK, 403, "", ERR_DENIED, "IMDSv2 gave no token", 1 },
    { "IMDS: token 404, no fall back to v1", 0, ERR_OK, 404, "", ERR_DENIED, "IMDSv2 gave no token",
      1 },
    { "IMDS: token 400", 0, ERR_OK, 400, "", ERR_DENIED, "IMDSv2 gave no token", 1 },
    { "IMDS: no answer", 0, ERR_TIMEOUT, 0, "", ERR_TIMEOUT, "no answer in time", 2 },
    { "IMDS: nobody there", 0, ERR_IO, 0, "", ERR_IO, "could not be asked", 2 },
    { "IMDS: busy", 0, ERR_OK, 503, "", ERR_IO, "the endpoint keeps failing", 2 },
    { "IMDS: throttled", 0, ERR_OK, 429, "", ERR_IO, "the endpoint keeps failing", 2 },
    { "IMDS: empty token", 0, ERR_OK, 200, "", ERR_MALFORMED, "IMDS token", 1 },
    { "IMDS: token of two words", 0, ERR_OK, 200, "a b", ERR_MALFORMED, "IMDS token", 1 },
    { "IMDS: no role", 1, ERR_OK, 404, "", ERR_DENIED, "the instance has no role", 1 },
    { "IMDS: empty role", 1, ERR_OK, 200, "\n", ERR_MALFORMED, "role's name", 1 },
    { "IMDS: role that would be a header", 1, ERR_OK, 200, "a\rb", ERR_MALFORMED, "role's name",
      1 },
    { "IMDS: error record", 2, ERR_OK, 200, "{\"Code\":\"Failed\",\"Message\":\"m\"}", ERR_DENIED,
      "Code is not Success", 1 },
    { "IMDS: not JSON", 2, ERR_OK, 200, "<html>", ERR_MALFORMED, "not the JSON of credentials", 2 },
};

static void refusal_row(void **state)
{
    static const char *const good[] = { "token", "role" };
    const struct refusal_row *row = *state;
    struct awscred_place p = place_of("http://127.0.0.1:1");
    AUTO(awscred_talk_clear) struct awscred_talk t;
    const char *what;

    awscred_talk_imds(&t, &p);
    for (unsigned i = 0; i < row->good_answers; i++)
        assert_int_equal(answer(&t, ERR_OK, 200, good[i], &what), ERR_MORE);
    for (unsigned i = 1; i < row->tries; i++) {
        assert_int_equal(answer(&t, row->r, row->status, row->body, &what), ERR_MORE);
        expect(&t, "", NULL, 100);
    }
    assert_int_equal(answer(&t, row->r, row->status, row->body, &what), row->want);
    assert_string_equal(what, row->what);
}

static void container(void **state)
{
    (void)state;
    struct awscred_place p = place_of("http://169.254.170.2/v2/credentials/x");
    AUTO(awscred_talk_clear) struct awscred_talk t;
    const char *what;

    assert_int_equal(awscred_talk_container(&t, &p, SPAN_LIT("Basic abc"), NULL), ERR_OK);
    expect(&t, "GET /v2/credentials/x HTTP/1.1\r\nhost: 169.254.170.2\r\n",
           "\r\nauthorization: Basic abc\r\n", 0);
    assert_int_equal(answer(&t, ERR_TIMEOUT, 0, "", &what), ERR_MORE);
    expect(&t, "GET ", NULL, 1000);
    assert_int_equal(answer(&t, ERR_OK, 500, "", &what), ERR_MORE);
    assert_int_equal(answer(&t, ERR_OK, 200, GOOD, &what), ERR_OK);
    awscred_talk_clear(&t);

    assert_int_equal(awscred_talk_container(&t, &p, SPAN_EMPTY, NULL), ERR_OK);
    assert_int_equal(answer(&t, ERR_OK, 403, "", &what), ERR_DENIED);
    assert_string_equal(what, "the endpoint refused");
}

static void container_token_is_one_line(void **state)
{
    (void)state;
    struct awscred_place p = place_of("http://127.0.0.1/");
    struct awscred_talk t = { .tries = 5 };
    struct why why = { 0 };
    static char long_text[20000];

    assert_int_equal(awscred_talk_container(&t, &p, SPAN_LIT("a\r\nx: y"), &why), ERR_MALFORMED);
    assert_string_equal(why.what, "the authorization token has a control character");
    memset(long_text, 'a', sizeof long_text);
    assert_int_equal(awscred_talk_container(&t, &p, SPAN_ARRAY(long_text), &why), ERR_LIMIT);
    assert_int_equal(t.tries, 5);
}

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
enum { FIXED = 4 };

int main(void)
{
    struct CMUnitTest tests[FIXED + COUNT(url_rows) + COUNT(refusal_rows)] = {
        cmocka_unit_test(imds_goes_well),
        cmocka_unit_test(imds_token_expires),
        cmocka_unit_test(container),
        cmocka_unit_test(container_token_is_one_line),
    };
    struct CMUnitTest *next = tests + FIXED;

    next += T_ROWS(next, url_rows, url_row);
    next += T_ROWS(next, refusal_rows, refusal_row);
    return cmocka_run_group_tests_name("awscred_talk", tests, NULL, NULL);
}
