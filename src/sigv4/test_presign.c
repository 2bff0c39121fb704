#include "sigv4/presign.h"
#include "testing/t.h"

#include <stdio.h>

#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define DATE   "20260102T030405Z"
#define GOOD                                                                                       \
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20260102%2Feu-west-1%2Fkms"          \
    "%2Faws4_request&X-Amz-Date=" DATE "&X-Amz-SignedHeaders=host&X-Amz-Expires=60"
#define SIGNED GOOD "&X-Amz-Signature=00"

/* A query, and what is wrong with it. */
struct row {
    const char *name, *query;
    enum err want;
    const char *what;
};

static const struct row rows[] = {
    { "all there", SIGNED, ERR_OK, NULL },
    { "a token", SIGNED "&X-Amz-Security-Token=a%2Fb%3d", ERR_OK, NULL },
    { "another parameter", "Action=x&" SIGNED, ERR_OK, NULL },
    { "no signature", GOOD, ERR_MALFORMED, "X-Amz-Signature" },
    { "an empty signature", GOOD "&X-Amz-Signature=", ERR_MALFORMED, "X-Amz-Signature" },
    { "a name alone", GOOD "&X-Amz-Signature", ERR_MALFORMED, "X-Amz-Signature" },
    { "a signature twice", SIGNED "&X-Amz-Signature=00", ERR_MALFORMED, "X-Amz-Signature" },
    { "a token twice", SIGNED "&X-Amz-Security-Token=a&X-Amz-Security-Token=a", ERR_MALFORMED,
      "X-Amz-Security-Token" },
    { "nothing", "", ERR_MALFORMED, "X-Amz-Algorithm" },
    { "another algorithm",
      "X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256&X-Amz-Credential=A%2F2%2Fe%2Fkms%2Faws4_request&X-"
      "Amz-"
      "Date=" DATE "&X-Amz-SignedHeaders=host&X-Amz-Expires=60&X-Amz-Signature=00",
      ERR_MALFORMED, "X-Amz-Algorithm" },
    { "a credential of three parts",
      "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F2%2Fe&X-Amz-Date=" DATE
      "&X-Amz-SignedHeaders=host&X-Amz-Expires=60&X-Amz-Signature=00",
      ERR_MALFORMED, "X-Amz-Credential" },
    { "a date that is none",
      "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F2%2Fe%2Fkms%2Faws4_request&X-Amz-Date="
      "2026-01-02&X-Amz-SignedHeaders=host&X-Amz-Expires=60&X-Amz-Signature=00",
      ERR_MALFORMED, "X-Amz-Date" },
    { "an escape cut off", SIGNED "&X-Amz-Security-Token=%4", ERR_MALFORMED,
      "X-Amz-Security-Token" },
    { "an escape of no digits", SIGNED "&X-Amz-Security-Token=%zz", ERR_MALFORMED,
      "X-Amz-Security-Token" },
};

static void parse_row(void **state)
{
    const struct row *row = *state;
    struct span query = t_copy(span_str(row->query));
    struct sigv4_presigned p = { .expires_s = 4711 };
    struct why why = { 0 };

    assert_int_equal(sigv4_presigned_parse(query, &p, &why), row->want);
    if (row->want == ERR_OK) {
        t_assert_span(p.claim.access_key_id, SPAN_LIT("AKID"));
        t_assert_span(p.claim.region, SPAN_LIT("eu-west-1"));
        assert_int_equal(p.expires_s, 60);
        sigv4_presigned_clear(&p);
    } else {
        assert_string_equal(why.what, row->what);
        assert_int_equal(p.expires_s, 4711);
    }
    t_free(query);
}

static enum err parse_expires(const char *text)
{
    struct sigv4_presigned p = { .expires_s = 0 };
    char query[512];

    snprintf(query, sizeof query,
             "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%%2F2%%2Fe%%2Fkms%%2Faws4_request&"
             "X-Amz-Date=" DATE "&X-Amz-SignedHeaders=host&X-Amz-Signature=00&X-Amz-Expires=%s",
             text);
    enum err r = sigv4_presigned_parse(span_str(query), &p, NULL);
    sigv4_presigned_clear(&p);
    return r;
}

static void limits(void **state)
{
    AUTO(buf_clear) struct buf long_query = BUF_INIT(SIGV4_QUERY_MAX_BYTES + 1);
    struct sigv4_presigned p = { .expires_s = 0 };

    (void)state;
    assert_int_equal(parse_expires("1"), ERR_OK);
    assert_int_equal(parse_expires("604800"), ERR_OK);
    assert_int_equal(parse_expires("604801"), ERR_MALFORMED);
    assert_int_equal(parse_expires("0"), ERR_MALFORMED);
    assert_int_equal(parse_expires("-1"), ERR_MALFORMED);
    assert_int_equal(buf_append(&long_query, SPAN_LIT(SIGNED "&x=")), ERR_OK);
    while (long_query.len < SIGV4_QUERY_MAX_BYTES)
        assert_int_equal(buf_append_byte(&long_query, 'y'), ERR_OK);
    assert_int_equal(sigv4_presigned_parse(buf_view(&long_query), &p, NULL), ERR_OK);
    sigv4_presigned_clear(&p);
    assert_int_equal(buf_append_byte(&long_query, 'y'), ERR_OK);
    assert_int_equal(sigv4_presigned_parse(buf_view(&long_query), &p, NULL), ERR_LIMIT);
}

static void which_form(void **state)
{
    (void)state;
    assert_false(sigv4_is_presigned(SPAN_EMPTY));
    assert_false(sigv4_is_presigned(SPAN_LIT("x=X-Amz-Signature")));
    assert_true(sigv4_is_presigned(SPAN_LIT("a=b&X-Amz-Signature")));
    assert_true(sigv4_is_presigned(SPAN_LIT("X-Amz-Algorithm=x")));
}

static const struct sigv4_header headers[] = {
    { SPAN_INIT("Host"), SPAN_INIT("kms.eu-west-1.amazonaws.com") },
    { SPAN_INIT("X-Amz-Target"), SPAN_INIT("TrentService.Decrypt") },
    { SPAN_INIT("Content-Type"), SPAN_INIT("application/x-amz-json-1.1") },
};

static struct sigv4_request request(void)
{
    return (struct sigv4_request){ .method = SPAN_LIT("POST"),
                                   .path = SPAN_LIT("/"),
                                   .headers = headers,
                                   .n_headers = 3,
                                   .body = SPAN_LIT("{}") };
}

static enum err judge(const struct sigv4_request *rq, const char **what)
{
    struct sigv4_presigned p = { .expires_s = 0 };
    struct why why = { .what = "" };

    enum err r = sigv4_presigned_parse(rq->query, &p, &why);
    if (r == ERR_OK)
        r = sigv4_presigned_verify(rq, &p, SPAN_LIT(SECRET), &why);
    sigv4_presigned_clear(&p);
    *what = why.what;
    return r;
}

static void sign_into(struct buf *query)
{
    struct sigv4_request rq = request();
    struct sigv4_credentials cred = { SPAN_LIT("AKID"), SPAN_LIT(SECRET), SPAN_LIT("to/k+en=") };
    struct sigv4_scope scope = { SPAN_LIT("eu-west-1"), SPAN_LIT("kms") };

    assert_int_equal(sigv4_presign(&rq, scope, SPAN_LIT(DATE), 60, &cred, query), ERR_OK);
}

static void round_trip(void **state)
{
    AUTO(buf_clear) struct buf query = BUF_INIT(4096);
    struct sigv4_request rq = request();
    struct sigv4_header more[4];
    const char *what;

    (void)state;
    sign_into(&query);
    rq.query = buf_view(&query);
    assert_int_equal(judge(&rq, &what), ERR_OK);
    rq.body = SPAN_LIT("{ }");
    assert_int_equal(judge(&rq, &what), ERR_VERIFY);
    assert_string_equal(what, "signature");
    rq = request();
    rq.query = buf_view(&query);
    memcpy(more, headers, sizeof headers);
    more[3] = (struct sigv4_header){ SPAN_LIT("X-Amz-Other"), SPAN_LIT("x") };
    rq.headers = more;
    rq.n_headers = 4;
    assert_int_equal(judge(&rq, &what), ERR_VERIFY);
    assert_string_equal(what, "signed headers");
    rq.n_headers = 2; /* one that is named did not come */
    assert_int_equal(judge(&rq, &what), ERR_VERIFY);
    assert_string_equal(what, "signed headers");
}

/* No single bit of the query may change without being noticed. */
static void flips(void **state)
{
    AUTO(buf_clear) struct buf query = BUF_INIT(4096);
    struct sigv4_request rq = request();
    const char *what;

    (void)state;
    sign_into(&query);
    for (size_t i = 0; i < query.len * 8; i++) {
        query.ptr[i / 8] ^= (uint8_t)(1 << i % 8);
        rq.query = buf_view(&query);
        assert_int_not_equal(judge(&rq, &what), ERR_OK);
        query.ptr[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t n = 0; n < query.len; n++) {
        rq.query = span_sub(buf_view(&query), 0, n);
        assert_int_not_equal(judge(&rq, &what), ERR_OK);
    }
}

static void sign_refuses(void **state)
{
    AUTO(buf_clear) struct buf query = BUF_INIT(4096);
    AUTO(buf_clear) struct buf small = BUF_INIT(64);
    struct sigv4_request rq = request();
    struct sigv4_credentials cred = { SPAN_LIT("AKID"), SPAN_LIT(SECRET), SPAN_EMPTY };
    struct sigv4_scope scope = { SPAN_LIT("eu-west-1"), SPAN_LIT("kms") };

    (void)state;
    assert_int_equal(sigv4_presign(&rq, scope, SPAN_LIT("today"), 60, &cred, &query),
                     ERR_MALFORMED);
    assert_int_equal(sigv4_presign(&rq, scope, SPAN_LIT(DATE), 0, &cred, &query), ERR_MALFORMED);
    assert_int_equal(
        sigv4_presign(&rq, scope, SPAN_LIT(DATE), SIGV4_EXPIRES_MAX_S + 1, &cred, &query),
        ERR_MALFORMED);
    assert_int_equal(sigv4_presign(&rq, scope, SPAN_LIT(DATE), 60, &cred, &small), ERR_LIMIT);
    assert_int_equal(query.len, 0);
    assert_int_equal(small.len, 0);
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0] };
    static struct CMUnitTest tests[ROWS + 5];
    size_t n = 0;

    n += T_ROWS(tests + n, rows, parse_row);
    tests[n++] = (struct CMUnitTest){ "limits", limits, NULL, NULL, NULL };
    tests[n++] = (struct CMUnitTest){ "which form", which_form, NULL, NULL, NULL };
    tests[n++] = (struct CMUnitTest){ "round trip", round_trip, NULL, NULL, NULL };
    tests[n++] = (struct CMUnitTest){ "bit flips and truncations", flips, NULL, NULL, NULL };
    tests[n++] = (struct CMUnitTest){ "sign refuses", sign_refuses, NULL, NULL, NULL };
    return _cmocka_run_group_tests("presign", tests, n, NULL, NULL);
}
