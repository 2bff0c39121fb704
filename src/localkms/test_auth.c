/* test_auth.c - the eight steps in which a signature is judged, each with its own answer.
 *
 * The request and its signature are the worked example of the sigv4 reference, section 2, computed
 * with botocore; a row alters its text. Checks before the seventh need no signature that fits.
 */
#include "localkms/auth.h"

#include "base/base64.h"
#include "sigv4/sigv4.h"
#include "testing/t.h"

#define SIGNED_S  1767323045 /* 20260102T030405Z */
#define BODY      "{\"KeyId\":\"alias/demo\",\"Plaintext\":\"aGVsbG8=\"}"
#define DATE      "X-Amz-Date: 20260102T030405Z\r\n"
#define TOKEN     "X-Amz-Security-Token: SESSIONTOKENEXAMPLE//abc==\r\n"
#define SCOPE     "20260102/eu-west-1/kms/aws4_request"
#define NAMES     "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"
#define SIGNATURE "9cd5dea84538aa8943bce58409ab6b67104bdd7c9935b9d854048f7613b9b86f"
#define AUTHORIZATION                                                                              \
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLEKMS000001/" SCOPE ", SignedHeaders=" NAMES             \
    ", Signature=" SIGNATURE
#define REQUEST                                                                                    \
    "POST / HTTP/1.1\r\nHost: kms.eu-west-1.amazonaws.com\r\n"                                     \
    "Content-Type: application/x-amz-json-1.1\r\n" DATE TOKEN                                      \
    "X-Amz-Target: TrentService.Encrypt\r\nContent-Length: 45\r\n"                                 \
    "Authorization: " AUTHORIZATION "\r\n\r\n"

#define PRINCIPALS                                                                                 \
    "[{\"access_key_id\":\"AKIDEXAMPLEKMS000001\",\"secret_access_key\":"                          \
    "\"wJalrXUtnFEMI/K7MDENG/kmsEXAMPLEKEY00001\",\"session_token\":"                              \
    "\"SESSIONTOKENEXAMPLE//abc==\",\"expiration\":\"2026-01-02T03:09:05Z\","                      \
    "\"arn\":\"arn:aws:sts::111122223333:assumed-role/parent/s\"},"                                \
    "{\"access_key_id\":\"AKIDWITHOUTTOKEN\",\"secret_access_key\":\"secret\","                    \
    "\"arn\":\"arn:aws:iam::111122223333:user/alice\"}]"

#define NOT_MATCHING                                                                               \
    "The request signature we calculated does not match the signature you provided. Check your "   \
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
#define BAD_TOKEN "The security token included in the request is invalid."

static struct principals known;

/* Every first `from` becomes `to`. */
static struct span altered(const char *text, const char *const change[4])
{
    AUTO(buf_clear) struct buf out = BUF_INIT(8192);

    assert_int_equal(buf_append_str(&out, text), ERR_OK);
    for (unsigned i = 0; i < 4 && change[i]; i += 2) {
        AUTO(buf_clear) struct buf old = buf_take(&out);
        const char *all = buf_cstr(&old);
        const char *at = all ? strstr(all, change[i]) : NULL;
        if (!at)
            fail_msg("not in the request: %s", change[i]);
        assert_int_equal(buf_append(&out, span_of(all, (size_t)(at - all))), ERR_OK);
        assert_int_equal(buf_append_str(&out, change[i + 1]), ERR_OK);
        assert_int_equal(buf_append_str(&out, at + strlen(change[i])), ERR_OK);
    }
    return t_copy(buf_view(&out));
}

static enum err ask(struct span text, struct span body, int64_t now_s, const struct principal **out,
                    struct fault *f)
{
    struct http1_head head;
    size_t used = 0;

    assert_int_equal(http1_request_parse(text, &head, &used, NULL), ERR_OK);
    const struct auth_request rq = {
        .head = &head,
        .body = body,
        .region = SPAN_LIT("eu-west-1"),
        .now_s = now_s,
    };
    return auth_check(&rq, &known, out, f);
}

static const struct row {
    const char *name;
    const char *change[4];
    int late_s;
    enum fault_kind fault;
    const char *text; /* of IncompleteSignatureException: without the hash */
} rows[] = {
    { "as signed", { NULL }, 0, FAULT_NONE, NULL },
    { "bare commas",
      { ", SignedHeaders", ",SignedHeaders", ", Signature", ",Signature" },
      0,
      FAULT_NONE,
      NULL },
    { "other order of parameters",
      { "Signature=" SIGNATURE, "SignedHeaders=" NAMES, "SignedHeaders=" NAMES,
        "Signature=" SIGNATURE },
      0,
      FAULT_NONE,
      NULL },
    { "header names in other case",
      { "X-Amz-Target", "x-amz-TARGET", "Authorization:", "authorization:" },
      0,
      FAULT_NONE,
      NULL },
    { "white space in a value",
      { "TrentService.Encrypt", "  TrentService.Encrypt \t" },
      0,
      FAULT_NONE,
      NULL },
    { "headers that nobody signed",
      { TOKEN, TOKEN "User-Agent: x/1\r\namz-sdk-request: attempt=1\r\nAccept: */*\r\n" },
      0,
      FAULT_NONE,
      NULL },
    { "300 s late, token expires the second after", { NULL }, 299, FAULT_NONE, NULL },
    { "300 s early", { NULL }, -300, FAULT_NONE, NULL },

    { "1: no Authorization",
      { "Authorization: " AUTHORIZATION "\r\n", "" },
      0,
      FAULT_MISSING_TOKEN,
      "Missing Authentication Token" },
    { "1: a query that signs nothing",
      { "Authorization: " AUTHORIZATION "\r\n", "", "POST / ", "POST /?x=X-Amz-Algorithm " },
      0,
      FAULT_MISSING_TOKEN,
      "Missing Authentication Token" },
    { "2: another algorithm",
      { "AWS4-HMAC-SHA256 ", "AWS4-ECDSA-P256-SHA256 " },
      0,
      FAULT_INCOMPLETE_SIGNATURE,
      "Authorization header requires algorithm AWS4-HMAC-SHA256." },
    { "2: Basic",
      { AUTHORIZATION, "Basic dXNlcjpwYXNz" },
      0,
      FAULT_INCOMPLETE_SIGNATURE,
      "Authorization header requires algorithm AWS4-HMAC-SHA256." },
    { "2: no Credential",
      { "Credential=AKIDEXAMPLEKMS000001/" SCOPE ", ", "" },
      0,
      FAULT_INCOMPLETE_SIGNATURE,
      "Authorization header requires 'Credential' parameter." },
    { "2: Credential without a scope",
      { "/" SCOPE, "" },
      0,
      FAULT_INCOMPLETE_SIGNATURE,
      "Authorization header requires 'Credential' parameter." },
    { "2: another terminator",
      { "aws4_request", "aws5_request" },
      0,
      FAULT_INCOMPLETE_SIGNATURE,
      "Authorization header requires 'Credential' parameter." },
    { "2: no SignedHeaders",
      { ", SignedHeaders=" NAMES, "" },
      0,
      FAULT_INCOMPLETE_SIGNATURE,
      "Authorization header requires 'SignedHeaders' parameter." },
    { "2: no Signature",
      { ", Signature=" SIGNATURE, "" },
      0,
      FAULT_INCOMPLETE_SIGNATURE,
      "Authorization header requires 'Signature' parameter." },
    { "2: Signature twice",
      { "Signature=" SIGNATURE, "Signature=" SIGNATURE ", Signature=" SIGNATURE },
      0,
      FAULT_INCOMPLETE_SIGNATURE,
      "Authorization header requires 'Signature' parameter." },
    { "2: a Date header in place of x-amz-date",
      { DATE, "Date: Fri, 02 Jan 2026 03:04:05 GMT\r\n" },
      0,
      FAULT_INCOMPLETE_SIGNATURE,
      "Authorization header requires existence of an 'X-Amz-Date' header." },
    { "2: date with punctuation",
      { "X-Amz-Date: 20260102T030405Z", "X-Amz-Date: 2026-01-02T03:04:05Z" },
      0,
      FAULT_INCOMPLETE_SIGNATURE,
      "Date must be in ISO-8601 'basic format'." },
    { "2: date that is none",
      { "X-Amz-Date: 20260102T030405Z", "X-Amz-Date: 20260230T030405Z" },
      0,
      FAULT_INCOMPLETE_SIGNATURE,
      "Date must be in ISO-8601 'basic format'." },

    { "3: another day",
      { "/20260102/", "/20260101/" },
      0,
      FAULT_INVALID_SIGNATURE,
      "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP" },
    { "3: another region",
      { "/eu-west-1/", "/us-east-1/" },
      0,
      FAULT_INVALID_SIGNATURE,
      "Credential should be scoped to a valid region." },
    { "3: another service",
      { "/kms/", "/s3/" },
      0,
      FAULT_INVALID_SIGNATURE,
      "Credential should be scoped to correct service: 'kms'." },
    { "4: 301 s late",
      { NULL },
      301,
      FAULT_INVALID_SIGNATURE,
      "Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z "
      "(20260102T030906Z - 5 min.)" },
    { "4: 301 s early",
      { NULL },
      -301,
      FAULT_INVALID_SIGNATURE,
      "Signature not yet current: 20260102T030405Z is still later than 20260102T030404Z "
      "(20260102T025904Z + 5 min.)" },
    { "5: unknown access key",
      { "AKIDEXAMPLEKMS000001", "AKIDEXAMPLEKMS000002" },
      0,
      FAULT_UNRECOGNIZED_CLIENT,
      BAD_TOKEN },
    { "5: access key in other case",
      { "AKIDEXAMPLEKMS000001", "akidexamplekms000001" },
      0,
      FAULT_UNRECOGNIZED_CLIENT,
      BAD_TOKEN },
    { "5: without its token", { TOKEN, "" }, 0, FAULT_UNRECOGNIZED_CLIENT, BAD_TOKEN },
    { "5: another token",
      { "SESSIONTOKENEXAMPLE//abc==", "SESSIONTOKENEXAMPLE//abd==" },
      0,
      FAULT_UNRECOGNIZED_CLIENT,
      BAD_TOKEN },
    { "5: a token where there is none",
      { "AKIDEXAMPLEKMS000001", "AKIDWITHOUTTOKEN" },
      0,
      FAULT_UNRECOGNIZED_CLIENT,
      BAD_TOKEN },
    { "6: the token has expired",
      { NULL },
      300,
      FAULT_EXPIRED_TOKEN,
      "The security token included in the request is expired" },
    { "7: another method", { "POST /", "PUT /" }, 0, FAULT_INVALID_SIGNATURE, NOT_MATCHING },
    { "7: another path", { "POST / ", "POST /x " }, 0, FAULT_INVALID_SIGNATURE, NOT_MATCHING },
    { "7: a query", { "POST / ", "POST /?a=b " }, 0, FAULT_INVALID_SIGNATURE, NOT_MATCHING },
    { "7: another host",
      { "kms.eu-west-1.amazonaws.com", "localhost:8443" },
      0,
      FAULT_INVALID_SIGNATURE,
      NOT_MATCHING },
    { "7: another operation",
      { "TrentService.Encrypt", "TrentService.Decrypt" },
      0,
      FAULT_INVALID_SIGNATURE,
      NOT_MATCHING },
    { "7: another second",
      { "X-Amz-Date: 20260102T030405Z", "X-Amz-Date: 20260102T030406Z" },
      0,
      FAULT_INVALID_SIGNATURE,
      NOT_MATCHING },
    { "7: signature in capitals",
      { SIGNATURE, "9CD5DEA84538AA8943BCE58409AB6B67104BDD7C9935B9D854048F7613B9B86F" },
      0,
      FAULT_INVALID_SIGNATURE,
      NOT_MATCHING },
    { "7: signature cut", { SIGNATURE, "9cd5dea8" }, 0, FAULT_INVALID_SIGNATURE, NOT_MATCHING },
    { "8: host is not signed",
      { "content-type;host;", "content-type;" },
      0,
      FAULT_INVALID_SIGNATURE,
      NOT_MATCHING },
    { "8: x-amz-date is not signed",
      { "x-amz-date;x-amz-security", "x-amz-security" },
      0,
      FAULT_INVALID_SIGNATURE,
      NOT_MATCHING },
    { "8: x-amz-target is not signed",
      { ";x-amz-target,", "," },
      0,
      FAULT_INVALID_SIGNATURE,
      NOT_MATCHING },
    { "8: another x-amz- header is not signed",
      { TOKEN, TOKEN "X-Amz-Meta: 1\r\n" },
      0,
      FAULT_INVALID_SIGNATURE,
      NOT_MATCHING },
    { "8: a signed header is not there",
      { "x-amz-target,", "x-amz-target;x-other," },
      0,
      FAULT_INVALID_SIGNATURE,
      NOT_MATCHING },
    { "8: two dates", { DATE, DATE DATE }, 0, FAULT_INVALID_SIGNATURE, NOT_MATCHING },

    { "order: scope before clock",
      { "/eu-west-1/", "/us-east-1/" },
      9999,
      FAULT_INVALID_SIGNATURE,
      "Credential should be scoped to a valid region." },
    { "order: clock before access key",
      { "AKIDEXAMPLEKMS000001", "AKIDEXAMPLEKMS000002" },
      -301,
      FAULT_INVALID_SIGNATURE,
      "Signature not yet current: 20260102T030405Z is still later than 20260102T030404Z "
      "(20260102T025904Z + 5 min.)" },
    { "order: access key before signature",
      { "AKIDEXAMPLEKMS000001", "AKIDEXAMPLEKMS000002", SIGNATURE, "00" },
      0,
      FAULT_UNRECOGNIZED_CLIENT,
      BAD_TOKEN },
    { "order: expiry before signature",
      { SIGNATURE, "00" },
      300,
      FAULT_EXPIRED_TOKEN,
      "The security token included in the request is expired" },
};
enum { N = sizeof rows / sizeof rows[0] };

/* A hash stands for the header, which is not sent back. */
static void check_incomplete(const struct fault *f, const char *text, struct span request)
{
    AUTO(buf_clear) struct buf want = BUF_INIT(1024);
    struct http1_head head;
    uint8_t digest[SHA256_BYTES];
    size_t used = 0;

    assert_int_equal(http1_request_parse(request, &head, &used, NULL), ERR_OK);
    sha256(http1_header_get(&head, "authorization"), digest);
    assert_int_equal(
        buf_printf(&want, "%s (Hashed with SHA-256 and encoded with Base64) Authorization=", text),
        ERR_OK);
    assert_int_equal(base64_append(&want, SPAN_ARRAY(digest)), ERR_OK);
    t_assert_span(buf_view(&f->text), buf_view(&want));
}

static void check_row(void **state)
{
    const struct row *row = *state;
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    const struct principal *untouched = (const struct principal *)&rows, *who = untouched;
    struct span request = altered(REQUEST, row->change), body = t_copy(SPAN_LIT(BODY));

    enum err r = ask(request, body, SIGNED_S + row->late_s, &who, &f);
    assert_int_equal(f.kind, row->fault);
    if (row->fault == FAULT_NONE) {
        assert_int_equal(r, ERR_OK);
        assert_ptr_equal(who, &known.all[0]);
    } else {
        assert_int_equal(r, ERR_DENIED);
        assert_ptr_equal(who, untouched);
        if (row->fault == FAULT_INCOMPLETE_SIGNATURE)
            check_incomplete(&f, row->text, request);
        else
            t_assert_buf(&f.text, row->text);
    }
    t_free(request);
    t_free(body);
}

static void expect_not_matching(struct span request, struct span body)
{
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    const struct principal *who = NULL;

    assert_int_equal(ask(request, body, SIGNED_S, &who, &f), ERR_DENIED);
    assert_int_equal(f.kind, FAULT_INVALID_SIGNATURE);
    t_assert_buf(&f.text, NOT_MATCHING);
    assert_null(who);
}

static void every_bit_of_the_body(void **state)
{
    (void)state;
    uint8_t body[] = BODY;

    for (size_t bit = 0; bit < 8 * (sizeof BODY - 1); bit++) {
        body[bit / 8] ^= (uint8_t)(1u << bit % 8);
        expect_not_matching(SPAN_LIT(REQUEST), span_of(body, sizeof BODY - 1));
        body[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    expect_not_matching(SPAN_LIT(REQUEST), span_of(body, sizeof BODY - 2));
    expect_not_matching(SPAN_LIT(REQUEST), SPAN_EMPTY);
}

static void every_digit_of_the_signature(void **state)
{
    (void)state;
    char request[] = REQUEST;
    char *signature = strstr(request, SIGNATURE);

    for (size_t i = 0; i < sizeof SIGNATURE - 1; i++) {
        char right = signature[i];
        signature[i] = right == '0' ? '1' : '0';
        expect_not_matching(span_str(request), SPAN_LIT(BODY));
        signature[i] = right;
    }
}

/* With x-amz-content-sha256, which the header's signature covers: it has to be the body's. */
static void content_hash(void **state)
{
    const char *hash = *state;
    const struct sigv4_header headers[] = {
        { SPAN_LIT("host"), SPAN_LIT("localhost:8443") },
        { SPAN_LIT("x-amz-date"), SPAN_LIT("20260102T030405Z") },
        { SPAN_LIT("x-amz-content-sha256"), span_str(hash) },
        { SPAN_LIT("x-amz-target"), SPAN_LIT("TrentService.ListKeys") },
    };
    const struct sigv4_request rq = { .method = SPAN_LIT("POST"),
                                      .path = SPAN_LIT("/"),
                                      .headers = headers,
                                      .n_headers = 4,
                                      .body = SPAN_LIT("{}") };
    const struct sigv4_credentials cred = { .access_key_id = SPAN_LIT("AKIDWITHOUTTOKEN"),
                                            .secret_access_key = SPAN_LIT("secret") };
    const struct sigv4_scope scope = { SPAN_LIT("eu-west-1"), SPAN_LIT("kms") };
    AUTO(buf_clear) struct buf signature = BUF_INIT(1024), request = BUF_INIT(4096);
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    const struct principal *who = NULL;

    assert_int_equal(sigv4_sign(&rq, scope, headers[1].value, &cred, &signature), ERR_OK);
    assert_int_equal(buf_printf(&request,
                                "POST / HTTP/1.1\r\nHost: localhost:8443\r\nX-Amz-Date: "
                                "20260102T030405Z\r\nX-Amz-Content-Sha256: %s\r\nX-Amz-Target: "
                                "TrentService.ListKeys\r\nAuthorization: %.*s\r\n\r\n",
                                hash, (int)signature.len, (const char *)signature.ptr),
                     ERR_OK);
    /* SHA-256 of "{}" */
    if (span_starts(span_str(hash), "44136fa3")) {
        assert_int_equal(ask(buf_view(&request), SPAN_LIT("{}"), SIGNED_S, &who, &f), ERR_OK);
        assert_ptr_equal(who, &known.all[1]);
    }
    expect_not_matching(buf_view(&request), who ? SPAN_LIT("{ }") : SPAN_LIT("{}"));
}

static void too_many_signed_headers(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf headers = BUF_INIT(2048), names = BUF_INIT(1024);

    for (unsigned i = 10; i < 10 + SIGV4_HEADERS_MAX; i++) {
        assert_int_equal(buf_printf(&headers, "a%u: 1\r\n", i), ERR_OK);
        assert_int_equal(buf_printf(&names, "a%u;", i), ERR_OK);
    }
    assert_int_equal(buf_append_str(&headers, DATE), ERR_OK);
    assert_int_equal(buf_append_str(&names, NAMES), ERR_OK);
    const char *const change[4] = { DATE, buf_cstr(&headers), NAMES, buf_cstr(&names) };
    struct span request = altered(REQUEST, change);
    expect_not_matching(request, SPAN_LIT(BODY));
    t_free(request);
}

static void nobody_is_known(void **state)
{
    (void)state;
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    const struct principal *who = NULL;
    struct principals all = known;

    known = (struct principals){ NULL, 0 };
    enum err r = ask(SPAN_LIT(REQUEST), SPAN_LIT(BODY), SIGNED_S, &who, &f);
    known = all;
    assert_int_equal(r, ERR_DENIED);
    assert_int_equal(f.kind, FAULT_UNRECOGNIZED_CLIENT);
    t_assert_buf(&f.text, BAD_TOKEN);
}

static int up(void **state)
{
    (void)state;
    return principals_parse(SPAN_LIT(PRINCIPALS), &known, NULL) == ERR_OK ? 0 : -1;
}

static int down(void **state)
{
    (void)state;
    principals_clear(&known);
    return 0;
}

int main(void)
{
    static char right[] = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
                wrong[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                none[] = "UNSIGNED-PAYLOAD";
    enum { OTHERS = 7 };
    static struct CMUnitTest tests[N + OTHERS] = {
        cmocka_unit_test(every_bit_of_the_body),
        cmocka_unit_test(every_digit_of_the_signature),
        cmocka_unit_test(nobody_is_known),
        cmocka_unit_test(too_many_signed_headers),
        { "8: x-amz-content-sha256 of the body", content_hash, NULL, NULL, right },
        { "8: x-amz-content-sha256 of nothing", content_hash, NULL, NULL, wrong },
        { "8: UNSIGNED-PAYLOAD", content_hash, NULL, NULL, none },
    };

    T_ROWS(tests + OTHERS, rows, check_row);
    return cmocka_run_group_tests_name("auth", tests, up, down);
}
