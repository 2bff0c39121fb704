/* test_auth_query.c - requests signed in their query, and development mode. Signatures are made
 * here with sigv4_presign(), which AWS's suite judges. */
#include "localkms/auth.h"

#include <stdio.h>

#include "sigv4/presign.h"
#include "testing/t.h"

#define SIGNED_S 1767323045 /* 20260102T030405Z */
#define SECRET   "wJalrXUtnFEMI/K7MDENG/kmsEXAMPLEKEY00001"
#define TOKEN    "SESSIONTOKENEXAMPLE//abc=="
#define BODY     "{}"
#define PRINCIPALS                                                                                 \
    "[{\"access_key_id\":\"AKIDSESSION\",\"secret_access_key\":\"" SECRET                          \
    "\",\"session_token\":\"" TOKEN "\",\"expiration\":\"2026-01-02T03:09:05Z\","                  \
    "\"arn\":\"arn:aws:sts::111122223333:assumed-role/parent/s\"},"                                \
    "{\"access_key_id\":\"AKIDUSER\",\"secret_access_key\":\"" SECRET                              \
    "\",\"arn\":\"arn:aws:iam::111122223333:user/alice\"}]"
#define NOT_MATCHING                                                                               \
    "The request signature we calculated does not match the signature you provided. Check your "   \
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
#define BAD_TOKEN "The security token included in the request is invalid."

static struct principals known;

struct row {
    const char *name;
    const char *id, *secret, *token; /* NULL: AKIDUSER, its secret, none */
    const char *region, *service;    /* NULL: eu-west-1, kms */
    const char *from, *to;           /* the first `from` of the query becomes `to` */
    const char *extra;               /* a header line that is not signed */
    const char *body;                /* as received */
    unsigned expires_s;              /* 0: 600 */
    int late_s;
    enum fault_kind fault;
    const char *text;
};

static const struct row rows[] = {
    { .name = "as signed" },
    { .name = "with a session's token", .id = "AKIDSESSION", .token = TOKEN },
    { .name = "the last second", .late_s = 600 },
    { .name = "one past it",
      .late_s = 601,
      .fault = FAULT_INVALID_SIGNATURE,
      .text = "Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z "
              "(20260102T031406Z - 10 min.)" },
    { .name = "one past it, not whole minutes",
      .expires_s = 61,
      .late_s = 62,
      .fault = FAULT_INVALID_SIGNATURE,
      .text = "Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z "
              "(20260102T030507Z - 61 s.)" },
    { .name = "as early as the skew allows", .late_s = -300 },
    { .name = "earlier",
      .late_s = -301,
      .fault = FAULT_INVALID_SIGNATURE,
      .text = "Signature not yet current: 20260102T030405Z is still later than 20260102T030404Z "
              "(20260102T025904Z + 5 min.)" },
    { .name = "no signature",
      .from = "&X-Amz-Signature=",
      .to = "&x=",
      .fault = FAULT_INCOMPLETE_SIGNATURE,
      .text = "AWS query-string parameters must include 'X-Amz-Signature'. Re-examine the "
              "query-string parameters." },
    { .name = "no date",
      .from = "X-Amz-Date=",
      .to = "x=",
      .fault = FAULT_INCOMPLETE_SIGNATURE,
      .text = "AWS query-string parameters must include 'X-Amz-Date'. Re-examine the "
              "query-string parameters." },
    { .name = "a week is the most",
      .from = "X-Amz-Expires=600",
      .to = "X-Amz-Expires=604801",
      .fault = FAULT_INCOMPLETE_SIGNATURE,
      .text = "AWS query-string parameter 'X-Amz-Expires' is not of the form that is required. "
              "Re-examine the query-string parameters." },
    { .name = "another Region",
      .region = "us-east-1",
      .fault = FAULT_INVALID_SIGNATURE,
      .text = "Credential should be scoped to a valid region." },
    { .name = "another service",
      .service = "s3",
      .fault = FAULT_INVALID_SIGNATURE,
      .text = "Credential should be scoped to correct service: 'kms'." },
    { .name = "another day in the scope",
      .from = "20260102%2Feu",
      .to = "20260103%2Feu",
      .fault = FAULT_INVALID_SIGNATURE,
      .text = "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
              "from HTTP" },
    { .name = "an unknown key",
      .id = "AKIDNOBODY",
      .fault = FAULT_UNRECOGNIZED_CLIENT,
      .text = BAD_TOKEN },
    { .name = "a session without its token",
      .id = "AKIDSESSION",
      .fault = FAULT_UNRECOGNIZED_CLIENT,
      .text = BAD_TOKEN },
    { .name = "another token",
      .id = "AKIDSESSION",
      .token = "x",
      .fault = FAULT_UNRECOGNIZED_CLIENT,
      .text = BAD_TOKEN },
    { .name = "a token that ended",
      .id = "AKIDSESSION",
      .token = TOKEN,
      .late_s = 300,
      .fault = FAULT_EXPIRED_TOKEN,
      .text = "The security token included in the request is expired" },
    { .name = "another secret",
      .secret = "x",
      .fault = FAULT_INVALID_SIGNATURE,
      .text = NOT_MATCHING },
    { .name = "another body",
      .body = "{\"KeyId\":\"x\"}",
      .fault = FAULT_INVALID_SIGNATURE,
      .text = NOT_MATCHING },
    { .name = "longer than signed",
      .from = "X-Amz-Expires=600",
      .to = "X-Amz-Expires=601",
      .fault = FAULT_INVALID_SIGNATURE,
      .text = NOT_MATCHING },
    { .name = "a header that was not signed and counts",
      .extra = "X-Amz-Security-Token: x\r\n",
      .fault = FAULT_INVALID_SIGNATURE,
      .text = NOT_MATCHING },
    { .name = "in both places",
      .extra = "Authorization: AWS4-HMAC-SHA256 x\r\n",
      .fault = FAULT_INVALID_SIGNATURE,
      .text =
          "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature "
          "query string parameter or the Authorization header should be specified" },
};

static const char * or (const char *given, const char *fallback)
{
    return given ? given : fallback;
}

static void query_of(const struct row *row, struct buf *out)
{
    const struct sigv4_header headers[] = { { SPAN_LIT("Host"), SPAN_LIT("localhost") },
                                            { SPAN_LIT("X-Amz-Target"),
                                              SPAN_LIT("TrentService.ListKeys") } };
    const struct sigv4_request rq = { .method = SPAN_LIT("POST"),
                                      .path = SPAN_LIT("/"),
                                      .headers = headers,
                                      .n_headers = 2,
                                      .body = SPAN_LIT(BODY) };
    const struct sigv4_credentials cred = { span_str(or (row->id, "AKIDUSER")),
                                            span_str(or (row->secret, SECRET)),
                                            span_str(or (row->token, "")) };
    const struct sigv4_scope scope = { span_str(or (row->region, "eu-west-1")),
                                       span_str(or (row->service, "kms")) };

    assert_int_equal(sigv4_presign(&rq, scope, SPAN_LIT("20260102T030405Z"),
                                   row->expires_s ? row->expires_s : 600, &cred, out),
                     ERR_OK);
}

static enum err ask(const struct row *row, const struct principal *anybody,
                    const struct principal **who, struct fault *f)
{
    AUTO(buf_clear) struct buf query = BUF_INIT(8192), text = BUF_INIT(16384);
    struct http1_head head;
    size_t used = 0;

    query_of(row, &query);
    const char *all = buf_cstr(&query), *at = row->from && all ? strstr(all, row->from) : NULL;
    if (row->from)
        assert_non_null(at);
    int before = at ? (int)(at - all) : (int)query.len;
    assert_int_equal(buf_printf(&text,
                                "POST /?%.*s%s%s HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: "
                                "TrentService.ListKeys\r\n%s\r\n",
                                before, all, at ? row->to : "", at ? at + strlen(row->from) : "",
                                row->extra ? row->extra : ""),
                     ERR_OK);
    assert_int_equal(http1_request_parse(buf_view(&text), &head, &used, NULL), ERR_OK);
    const struct auth_request rq = {
        .head = &head,
        .body = span_str(or (row->body, BODY)),
        .region = SPAN_LIT("eu-west-1"),
        .now_s = SIGNED_S + row->late_s,
        .anybody = anybody,
    };
    return auth_check(&rq, &known, who, f);
}

static void auth_row(void **state)
{
    const struct row *row = *state;
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    static const struct principal untouched;
    const struct principal *who = &untouched;

    assert_int_equal(ask(row, NULL, &who, &f), row->fault ? ERR_DENIED : ERR_OK);
    assert_int_equal(f.kind, row->fault);
    if (row->fault) {
        t_assert_buf(&f.text, row->text);
        assert_ptr_equal(who, &untouched);
    } else {
        assert_string_equal(who->access_key_id, or (row->id, "AKIDUSER"));
    }
}

/* Anything of the right form is taken, but it has to have the form. */
static void development(void **state)
{
    static const struct row stranger = { .id = "AKIDNOBODY", .secret = "x", .late_s = 9999 };
    static const struct row bad_secret = { .id = "AKIDUSER", .secret = "x", .region = "xx" };
    static const struct row no_form = { .from = "&X-Amz-Signature=", .to = "&x=" };
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    static const struct principal anybody;
    const struct principal *who = NULL;

    (void)state;
    assert_int_equal(ask(&stranger, &anybody, &who, &f), ERR_OK);
    assert_ptr_equal(who, &anybody);
    assert_int_equal(ask(&bad_secret, &anybody, &who, &f), ERR_OK);
    assert_string_equal(who->access_key_id, "AKIDUSER");
    assert_int_equal(ask(&no_form, &anybody, &who, &f), ERR_DENIED);
    assert_int_equal(f.kind, FAULT_INCOMPLETE_SIGNATURE);
}

static int setup(void **state)
{
    (void)state;
    return principals_parse(SPAN_LIT(PRINCIPALS), &known, NULL) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    principals_clear(&known);
    return 0;
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0] };
    static struct CMUnitTest tests[ROWS + 1];

    T_ROWS(tests, rows, auth_row);
    tests[ROWS] = (struct CMUnitTest){ "development mode", development, NULL, NULL, NULL };
    return _cmocka_run_group_tests("auth_query", tests, ROWS + 1, setup, teardown);
}
