#include "sigv4/sigv4.h"
#include "testing/t.h"

#include <stdio.h>

/* The worked example of the sigv4 reference, which matches botocore byte for byte. */
#define AKID       "AKIDEXAMPLEKMS000001"
#define SECRET     "wJalrXUtnFEMI/K7MDENG/kmsEXAMPLEKEY00001"
#define BODY       "{\"KeyId\":\"alias/demo\",\"Plaintext\":\"aGVsbG8=\"}"
#define NAMES      "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"
#define SIGNATURE  "9cd5dea84538aa8943bce58409ab6b67104bdd7c9935b9d854048f7613b9b86f"
#define CREDENTIAL AKID "/20260102/eu-west-1/kms/aws4_request"
#define AUTHORIZATION                                                                              \
    "AWS4-HMAC-SHA256 Credential=" CREDENTIAL ", SignedHeaders=" NAMES ", Signature=" SIGNATURE

static const struct sigv4_header example_headers[] = {
    { SPAN_INIT("Host"), SPAN_INIT("kms.eu-west-1.amazonaws.com") },
    { SPAN_INIT("X-Amz-Target"), SPAN_INIT("TrentService.Encrypt") },
    { SPAN_INIT("Content-Type"), SPAN_INIT("application/x-amz-json-1.1") },
    { SPAN_INIT("X-Amz-Date"), SPAN_INIT("20260102T030405Z") },
    { SPAN_INIT("X-Amz-Security-Token"), SPAN_INIT("SESSIONTOKENEXAMPLE//abc==") },
};
enum { N_EXAMPLE = sizeof example_headers / sizeof example_headers[0] };

static struct sigv4_request example(void)
{
    return (struct sigv4_request){
        .method = SPAN_LIT("POST"),
        .path = SPAN_LIT("/"),
        .headers = example_headers,
        .n_headers = N_EXAMPLE,
        .body = SPAN_LIT(BODY),
    };
}

static const struct sigv4_scope example_scope = { SPAN_INIT("eu-west-1"), SPAN_INIT("kms") };
static const struct sigv4_credentials example_cred = { .access_key_id = SPAN_INIT(AKID),
                                                       .secret_access_key = SPAN_INIT(SECRET) };

static void worked_example(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(4096);
    AUTO(buf_clear) struct buf text = BUF_INIT(4096);
    struct sigv4_request rq = example();

    assert_int_equal(sigv4_canonical_request(&rq, &b), ERR_OK);
    t_assert_buf(&b, "POST\n/\n\n"
                     "content-type:application/x-amz-json-1.1\n"
                     "host:kms.eu-west-1.amazonaws.com\n"
                     "x-amz-date:20260102T030405Z\n"
                     "x-amz-security-token:SESSIONTOKENEXAMPLE//abc==\n"
                     "x-amz-target:TrentService.Encrypt\n\n" NAMES "\n"
                     "251ef0d51fd39b75c8bcbd9f63069f49106ef04bd317fda3f38640840b7e4dc5");
    assert_int_equal(
        sigv4_string_to_sign(SPAN_LIT("20260102T030405Z"), example_scope, buf_view(&b), &text),
        ERR_OK);
    t_assert_buf(&text, "AWS4-HMAC-SHA256\n20260102T030405Z\n20260102/eu-west-1/kms/aws4_request\n"
                        "765dd4b6999f24ed8b156bdc4de33757331f99903b49a381a7924e84d672a57b");
    buf_reset(&b);
    assert_int_equal(
        sigv4_sign(&rq, example_scope, SPAN_LIT("20260102T030405Z"), &example_cred, &b), ERR_OK);
    t_assert_buf(&b, AUTHORIZATION);

    /* The same where the hash of the body is known already. */
    struct sigv4_request hashed = rq;
    uint8_t sum[SHA256_BYTES];
    sha256(rq.body, sum);
    hashed.body = SPAN_LIT("not read");
    hashed.body_sha256 = sum;
    buf_reset(&b);
    assert_int_equal(
        sigv4_sign(&hashed, example_scope, SPAN_LIT("20260102T030405Z"), &example_cred, &b),
        ERR_OK);
    t_assert_buf(&b, AUTHORIZATION);
}

/* Verification: the good request with one thing changed. */
struct change {
    const char *name;
    const char *authorization; /* NULL: the good one */
    const char *secret, *body, *method, *path, *query;
    int header;        /* index that is changed, -1: none */
    const char *value; /* NULL: the header is left out */
    const char *extra_name, *extra_value;
    enum err want;
    const char *what;
};

#define AUTH(names)                                                                                \
    "AWS4-HMAC-SHA256 Credential=" CREDENTIAL ",SignedHeaders=" names ",Signature=" SIGNATURE

static const struct change changes[] = {
    { .name = "verify: as signed", .header = -1 },
    { .name = "verify: bare commas", .authorization = AUTH(NAMES), .header = -1 },
    { .name = "verify: an unsigned header of another family may be added",
      .header = -1,
      .extra_name = "User-Agent",
      .extra_value = "x" },
    { .name = "verify: blanks around and inside of a value do not count",
      .header = 1,
      .value = " \tTrentService.Encrypt " },
    { .name = "verify: another secret",
      .header = -1,
      .secret = "x",
      .want = ERR_VERIFY,
      .what = "signature" },
    { .name = "verify: empty secret",
      .header = -1,
      .secret = "",
      .want = ERR_VERIFY,
      .what = "signature" },
    { .name = "verify: body", .header = -1, .body = "{}", .want = ERR_VERIFY, .what = "signature" },
    { .name = "verify: method",
      .header = -1,
      .method = "PUT",
      .want = ERR_VERIFY,
      .what = "signature" },
    { .name = "verify: path", .header = -1, .path = "/x", .want = ERR_VERIFY, .what = "signature" },
    { .name = "verify: query",
      .header = -1,
      .query = "a=b",
      .want = ERR_VERIFY,
      .what = "signature" },
    { .name = "verify: target",
      .header = 1,
      .value = "TrentService.Decrypt",
      .want = ERR_VERIFY,
      .what = "signature" },
    { .name = "verify: host",
      .header = 0,
      .value = "evil",
      .want = ERR_VERIFY,
      .what = "signature" },
    { .name = "verify: date",
      .header = 3,
      .value = "20260102T030406Z",
      .want = ERR_VERIFY,
      .what = "signature" },
    { .name = "verify: token", .header = 4, .value = "x", .want = ERR_VERIFY, .what = "signature" },
    { .name = "verify: token left out", .header = 4, .want = ERR_VERIFY, .what = "signed headers" },
    { .name = "verify: date left out", .header = 3, .want = ERR_VERIFY, .what = "signed headers" },
    { .name = "verify: host left out", .header = 0, .want = ERR_VERIFY, .what = "signed headers" },
    { .name = "verify: second date",
      .header = -1,
      .extra_name = "x-amz-date",
      .extra_value = "20260102T030405Z",
      .want = ERR_VERIFY,
      .what = "signed headers" },
    { .name = "verify: a header that came twice is signed as both",
      .header = -1,
      .extra_name = "host",
      .extra_value = "kms.eu-west-1.amazonaws.com",
      .want = ERR_VERIFY,
      .what = "signature" },
    { .name = "verify: x-amz header that is not signed",
      .header = -1,
      .extra_name = "X-AMZ-Meta",
      .extra_value = "1",
      .want = ERR_VERIFY,
      .what = "signed headers" },
    { .name = "verify: target not among the signed names",
      .authorization = AUTH("content-type;host;x-amz-date;x-amz-security-token"),
      .header = -1,
      .want = ERR_VERIFY,
      .what = "signed headers" },
    { .name = "verify: host not among the signed names",
      .authorization = AUTH("content-type;x-amz-date;x-amz-security-token;x-amz-target"),
      .header = -1,
      .want = ERR_VERIFY,
      .what = "signed headers" },
    { .name = "verify: names not sorted",
      .authorization = AUTH("host;content-type;x-amz-date;x-amz-security-token;x-amz-target"),
      .header = -1,
      .want = ERR_VERIFY,
      .what = "signed headers" },
    { .name = "verify: names in upper case",
      .authorization = AUTH("Content-Type;host;x-amz-date;x-amz-security-token;x-amz-target"),
      .header = -1,
      .want = ERR_VERIFY,
      .what = "signed headers" },
    { .name = "verify: a name twice",
      .authorization = AUTH("content-type;host;host;x-amz-date;x-amz-security-token;x-amz-target"),
      .header = -1,
      .want = ERR_VERIFY,
      .what = "signed headers" },
    { .name = "verify: a name of a header that did not come",
      .authorization = AUTH(NAMES ";x-zzz"),
      .header = -1,
      .want = ERR_VERIFY,
      .what = "signed headers" },
    { .name = "verify: body hash of another body",
      .authorization = AUTH("content-type;host;x-amz-content-sha256;x-amz-date;"
                            "x-amz-security-token;x-amz-target"),
      .header = -1,
      .extra_name = "x-amz-content-sha256",
      .extra_value = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      .want = ERR_VERIFY,
      .what = "body hash" },
    { .name = "verify: body hash left open",
      .authorization = AUTH("content-type;host;x-amz-content-sha256;x-amz-date;"
                            "x-amz-security-token;x-amz-target"),
      .header = -1,
      .extra_name = "x-amz-content-sha256",
      .extra_value = "UNSIGNED-PAYLOAD",
      .want = ERR_VERIFY,
      .what = "body hash" },
};

static struct span or_else(const char *text, struct span otherwise)
{
    return text ? span_str(text) : otherwise;
}

static void change_row(void **state)
{
    const struct change *c = *state;
    struct sigv4_header headers[N_EXAMPLE + 1];
    struct sigv4_request rq = example();
    struct sigv4_claim claim;
    struct why why = { 0 };
    size_t n = 0;

    for (int i = 0; i < N_EXAMPLE; i++) {
        if (i == c->header && !c->value)
            continue;
        headers[n] = example_headers[i];
        if (i == c->header)
            headers[n].value = span_str(c->value);
        n++;
    }
    if (c->extra_name)
        headers[n++] = (struct sigv4_header){ span_str(c->extra_name), span_str(c->extra_value) };
    rq.headers = headers;
    rq.n_headers = n;
    rq.body = or_else(c->body, rq.body);
    rq.method = or_else(c->method, rq.method);
    rq.path = or_else(c->path, rq.path);
    rq.query = or_else(c->query, rq.query);
    struct span auth = t_copy(or_else(c->authorization, SPAN_LIT(AUTHORIZATION)));
    assert_int_equal(sigv4_claim_parse(auth, &claim, &why), ERR_OK);
    assert_int_equal(sigv4_verify(&rq, &claim, or_else(c->secret, SPAN_LIT(SECRET)), &why),
                     c->want);
    if (c->want != ERR_OK)
        assert_string_equal(why.what, c->what);
    t_free(auth);
}

/* Parsing of the Authorization header. */
static const struct claim_row {
    const char *name, *text;
    const char *what; /* NULL: accepted */
    size_t at;
} claims[] = {
    { "claim: in another order",
      "AWS4-HMAC-SHA256 Signature=s,SignedHeaders=host,Credential=a/b/c/d/aws4_request", NULL, 0 },
    { "claim: empty", "", "algorithm", 0 },
    { "claim: another scheme", "Bearer abc", "algorithm", 0 },
    { "claim: another algorithm", "AWS4-ECDSA-P256-SHA256 Credential=a", "algorithm", 0 },
    { "claim: algorithm alone", "AWS4-HMAC-SHA256", "algorithm", 0 },
    { "claim: nothing after the algorithm", "AWS4-HMAC-SHA256 ", "parameter", 17 },
    { "claim: no credential", "AWS4-HMAC-SHA256 SignedHeaders=host,Signature=s", "Credential", 0 },
    { "claim: no signed headers", "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request,Signature=s",
      "SignedHeaders", 0 },
    { "claim: no signature", "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, SignedHeaders=host",
      "Signature", 0 },
    { "claim: empty signature",
      "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, SignedHeaders=host, Signature=",
      "Signature", 69 },
    { "claim: signature twice",
      "AWS4-HMAC-SHA256 Signature=a,Signature=a,Credential=a/b/c/d/aws4_request", "Signature", 29 },
    { "claim: unknown parameter", "AWS4-HMAC-SHA256 X=1", "parameter", 17 },
    { "claim: trailing comma", "AWS4-HMAC-SHA256 Signature=s,", "parameter", 29 },
    { "claim: scope of four parts",
      "AWS4-HMAC-SHA256 Credential=a/b/c/aws4_request,SignedHeaders=host,Signature=s", "Credential",
      0 },
    { "claim: scope of six parts",
      "AWS4-HMAC-SHA256 Credential=a/b/c/d/e/aws4_request,SignedHeaders=host,Signature=s",
      "Credential", 0 },
    { "claim: another terminator",
      "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws5_request,SignedHeaders=host,Signature=s",
      "Credential", 0 },
    { "claim: empty key id",
      "AWS4-HMAC-SHA256 Credential=/b/c/d/aws4_request,SignedHeaders=host,Signature=s",
      "Credential", 0 },
};

static void claim_row(void **state)
{
    const struct claim_row *row = *state;
    struct span text = t_copy(span_str(row->text));
    struct sigv4_claim claim = { .region = SPAN_LIT("untouched") };
    struct why why = { 0 };

    assert_int_equal(sigv4_claim_parse(text, &claim, &why), row->what ? ERR_MALFORMED : ERR_OK);
    if (row->what) {
        assert_string_equal(why.what, row->what);
        assert_int_equal(why.at, row->at);
        t_assert_span(claim.region, SPAN_LIT("untouched"));
    } else {
        t_assert_span(claim.access_key_id, SPAN_LIT("a"));
        t_assert_span(claim.date, SPAN_LIT("b"));
        t_assert_span(claim.region, SPAN_LIT("c"));
        t_assert_span(claim.service, SPAN_LIT("d"));
        t_assert_span(claim.signed_headers, SPAN_LIT("host"));
        t_assert_span(claim.signature, SPAN_LIT("s"));
    }
    t_free(text);
}

static bool accepted(struct span auth)
{
    struct sigv4_request rq = example();
    struct sigv4_claim claim;

    if (sigv4_claim_parse(auth, &claim, NULL) != ERR_OK)
        return false;
    /* The key id is no part of what is signed: the verifier looks the secret up by it. */
    return span_is(claim.access_key_id, AKID) &&
           sigv4_verify(&rq, &claim, SPAN_LIT(SECRET), NULL) == ERR_OK;
}

static void damaged_authorization(void **state)
{
    (void)state;
    struct span good = SPAN_LIT(AUTHORIZATION);

    assert_true(accepted(good));
    for (size_t n = 0; n < good.len; n++) {
        struct span cut = t_copy(span_sub(good, 0, n));
        assert_false(accepted(cut));
        t_free(cut);
    }
    for (size_t bit = 0; bit < good.len * 8; bit++) {
        AUTO(buf_clear) struct buf b = BUF_INIT(1024);
        assert_int_equal(buf_append(&b, good), ERR_OK);
        b.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(accepted(buf_view(&b)));
    }
}

/* Canonical form: path, query, headers. */
static const struct canonical_row {
    const char *name, *path, *query;
    bool keep_path;
    const char *want_path, *want_query;
} canonical_rows[] = {
    { "path: empty", "", "", false, "/", "" },
    { "path: empty, kept", "", "", true, "/", "" },
    { "path: only parents", "/../../..", "", false, "/", "" },
    { "path: parent of a parent", "/a/b/../../c", "", false, "/c", "" },
    { "path: folder", "/a//b/./", "", false, "/a/b/", "" },
    { "path: kept", "/a//../b/./", "", true, "/a//../b/./", "" },
    { "path: no slash at the start", "a", "", false, "/a", "" },
    { "path: bytes that are encoded", "/ %~\xc3\xa9", "", false, "/%20%25~%C3%A9", "" },
    { "query: name without value", "/", "b&a", false, "/", "a=&b=" },
    { "query: same name by value", "/", "a=2&a=10&a=1", false, "/", "a=1&a=10&a=2" },
    { "query: upper case first", "/", "a=1&B=2", false, "/", "B=2&a=1" },
    { "query: a shorter name first", "/", "ab=1&a=2", false, "/", "a=2&ab=1" },
    { "query: a second equals sign is encoded", "/", "a=b=c", false, "/", "a=b%3Dc" },
    { "query: escapes stay", "/", "a=%2F", false, "/", "a=%2F" },
    { "query: empty parameters vanish", "/", "&&a=1&", false, "/", "a=1" },
};

static void canonical_row(void **state)
{
    const struct canonical_row *row = *state;
    AUTO(buf_clear) struct buf b = BUF_INIT(4096);
    char want[512];
    struct sigv4_header h = { SPAN_LIT("Host"), SPAN_LIT("h") };
    struct sigv4_request rq = { .method = SPAN_LIT("GET"),
                                .path = span_str(row->path),
                                .query = span_str(row->query),
                                .headers = &h,
                                .n_headers = 1,
                                .keep_path = row->keep_path };

    snprintf(want, sizeof want, "GET\n%s\n%s\nhost:h\n\nhost\n", row->want_path, row->want_query);
    assert_int_equal(sigv4_canonical_request(&rq, &b), ERR_OK);
    t_assert_span(span_sub(buf_view(&b), 0, b.len - 64), span_str(want));
}

static void duplicate_headers(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(4096);
    const struct sigv4_header headers[] = {
        { SPAN_LIT("B"), SPAN_LIT("  z  y\t\tx ") },
        { SPAN_LIT("a"), SPAN_LIT("one\r\n  two") },
        { SPAN_LIT("b"), SPAN_LIT("") },
        { SPAN_LIT("B"), SPAN_LIT("a") },
        { SPAN_LIT("A_Z"), SPAN_LIT("underscore") },
    };
    struct sigv4_request rq = { .method = SPAN_LIT("GET"), .headers = headers, .n_headers = 5 };

    assert_int_equal(sigv4_canonical_request(&rq, &b), ERR_OK);
    t_assert_span(span_sub(buf_view(&b), 0, b.len - 64),
                  SPAN_LIT("GET\n/\n\na:one two\na_z:underscore\nb:z y x,,a\n\na;a_z;b\n"));
}

static void limits(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(65536);
    struct sigv4_header headers[SIGV4_HEADERS_MAX + 1];
    char names[SIGV4_HEADERS_MAX + 1][8], query[256] = "", secret[SIGV4_SECRET_MAX_BYTES + 1];
    struct sigv4_request rq = example();
    struct sigv4_credentials cred = example_cred;

    for (int i = 0; i <= SIGV4_HEADERS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "h%d", SIGV4_HEADERS_MAX - i);
        headers[i] = (struct sigv4_header){ span_str(names[i]), SPAN_LIT("v") };
    }
    rq.headers = headers;
    rq.n_headers = SIGV4_HEADERS_MAX;
    assert_int_equal(sigv4_canonical_request(&rq, &b), ERR_OK);
    buf_reset(&b);
    rq.n_headers = SIGV4_HEADERS_MAX + 1;
    assert_int_equal(sigv4_canonical_request(&rq, &b), ERR_LIMIT);
    assert_int_equal(b.len, 0);

    rq = example();
    for (int i = 0; i < 64; i++)
        strcat(query, "a&");
    rq.query = span_str(query);
    assert_int_equal(sigv4_canonical_request(&rq, &b), ERR_OK);
    buf_reset(&b);
    strcat(query, "a");
    rq.query = span_str(query);
    assert_int_equal(sigv4_canonical_request(&rq, &b), ERR_LIMIT);
    assert_int_equal(b.len, 0);

    rq = example();
    struct span date = SPAN_LIT("20260102T030405Z");
    memset(secret, 's', sizeof secret);
    cred.secret_access_key = span_of(secret, SIGV4_SECRET_MAX_BYTES);
    assert_int_equal(sigv4_sign(&rq, example_scope, date, &cred, &b), ERR_OK);
    buf_reset(&b);
    cred.secret_access_key = span_of(secret, SIGV4_SECRET_MAX_BYTES + 1);
    assert_int_equal(sigv4_sign(&rq, example_scope, date, &cred, &b), ERR_LIMIT);
    assert_int_equal(sigv4_sign(&rq, example_scope, SPAN_LIT("2026-01-02"), &example_cred, &b),
                     ERR_MALFORMED);
    assert_int_equal(b.len, 0);
    for (size_t room = 0; room < sizeof AUTHORIZATION - 1; room++) {
        AUTO(buf_clear) struct buf small = BUF_INIT(room);
        assert_int_equal(sigv4_sign(&rq, example_scope, date, &example_cred, &small), ERR_LIMIT);
        assert_int_equal(small.len, 0);
    }
}

/* Times. */
static const struct time_row {
    const char *name, *text;
    int64_t unix_s; /* -1: refused */
} times[] = {
    { "time: epoch", "19700101T000000Z", 0 },
    { "time: of the suite", "20150830T123600Z", 1440938160 },
    { "time: leap day", "20240229T235959Z", 1709251199 },
    { "time: leap day of a century", "20000229T000000Z", 951782400 },
    { "time: last", "99991231T235959Z", 253402300799 },
    { "time: no leap year", "20250229T000000Z", -1 },
    { "time: no leap century", "21000229T000000Z", -1 },
    { "time: month 0", "20250029T000000Z", -1 },
    { "time: month 13", "20251301T000000Z", -1 },
    { "time: day 0", "20250100T000000Z", -1 },
    { "time: day 31 of a short month", "20250431T000000Z", -1 },
    { "time: hour 24", "20250101T240000Z", -1 },
    { "time: minute 60", "20250101T006000Z", -1 },
    { "time: second 60", "20250101T000060Z", -1 },
    { "time: no T", "20250101 000000Z", -1 },
    { "time: no Z", "20250101T0000000", -1 },
    { "time: sign", "+0250101T000000Z", -1 },
    { "time: too long", "20250101T000000ZZ", -1 },
    { "time: empty", "", -1 },
};

static void time_row(void **state)
{
    const struct time_row *row = *state;
    int64_t got = 42;
    char text[SIGV4_TIME_BYTES + 1];

    if (row->unix_s < 0) {
        assert_int_equal(sigv4_time_parse(span_str(row->text), &got), ERR_MALFORMED);
        assert_int_equal(got, 42);
        return;
    }
    assert_int_equal(sigv4_time_parse(span_str(row->text), &got), ERR_OK);
    assert_int_equal(got, row->unix_s);
    sigv4_time_write(row->unix_s, text);
    assert_string_equal(text, row->text);
}

/* Every day of 1,000 years, at another second each, there and back. */
static void time_round_trip(void **state)
{
    (void)state;
    char text[SIGV4_TIME_BYTES + 1];

    for (int64_t t = 0; t < INT64_C(31556952000); t += 86400 + 7) {
        int64_t back;
        sigv4_time_write(t, text);
        assert_int_equal(sigv4_time_parse(span_str(text), &back), ERR_OK);
        assert_int_equal(back, t);
    }
    sigv4_time_write(INT64_MIN, text);
    assert_string_equal(text, "00000101T000000Z");
    sigv4_time_write(INT64_MAX, text);
    assert_string_equal(text, "99991231T235959Z");
}

/* The AWS suite and requests signed by botocore, read in place. */
static const char *const suite[] = {
    "aws-c-auth/get-header-value-multiline",
    "aws-c-auth/get-relative-normalized",
    "aws-c-auth/get-slash-dot-slash-normalized",
    "aws-c-auth/get-slash-pointless-dot-normalized",
    "aws-c-auth/get-slashes-unnormalized",
    "aws-c-auth/get-space-normalized",
    "aws-c-auth/get-space-unnormalized",
    "aws-c-auth/get-unreserved",
    "aws-c-auth/get-utf8",
    "aws-c-auth/get-vanilla",
    "aws-c-auth/get-vanilla-empty-query-key",
    "aws-c-auth/get-vanilla-query-order-encoded",
    "aws-c-auth/get-vanilla-query-order-key-case",
    "aws-c-auth/get-vanilla-with-session-token",
    "aws-c-auth/post-header-key-sort",
    "aws-c-auth/post-header-value-case",
    "aws-c-auth/post-sts-header-after",
    "aws-c-auth/post-vanilla",
    "aws-c-auth/post-vanilla-empty-query-value",
    "aws-c-auth/post-vanilla-query",
    "aws-c-auth/post-x-www-form-urlencoded-parameters",
    "kms/decrypt-recipient",
    "kms/generate-data-key-no-token",
    "kms/generate-random",
    "kms/vsock-proxy-host-with-port",
};

static struct span suite_file(const char *name, const char *file)
{
    char path[512];

    snprintf(path, sizeof path, "sigv4/%s/%s", name, file);
    return t_vector(path);
}

static struct span without_line_end(struct span s)
{
    while (s.len && s.ptr[s.len - 1] == '\n')
        s.len--;
    return s;
}

/* The string or literal after `"key": ` in a context file, which is flat and has no escapes. */
static struct span context_value(struct span json, const char *key)
{
    char quoted[64];

    snprintf(quoted, sizeof quoted, "\"%s\": ", key);
    const uint8_t *hit = memmem(json.ptr, json.len, quoted, strlen(quoted));
    if (!hit)
        return SPAN_EMPTY;
    struct span rest = span_from(json, (size_t)(hit - json.ptr) + strlen(quoted));
    if (rest.ptr[0] == '"') {
        rest = span_from(rest, 1);
        return span_cut(&rest, '"');
    }
    size_t n = 0;
    while (n < rest.len && rest.ptr[n] >= 'a' && rest.ptr[n] <= 'z')
        n++;
    return span_sub(rest, 0, n);
}

/* Method, path, query, headers (folded ones too) and body of the suite's request files. */
static void request_parse(struct span text, struct sigv4_request *rq, struct sigv4_header *headers)
{
    struct span line = span_cut(&text, '\n');

    rq->method = span_cut(&line, ' ');
    line.len -= strlen(" HTTP/1.1"); /* the path itself may hold spaces */
    rq->path = span_cut(&line, '?');
    rq->query = line;
    rq->headers = headers;
    while (text.len && text.ptr[0] != '\n') {
        size_t end = span_find(text, '\n');
        while (end + 1 < text.len && text.ptr[end + 1] == ' ')
            end += 1 + span_find(span_from(text, end + 1), '\n');
        struct span value = span_sub(text, 0, end);
        text = span_from(text, end + 1);
        struct span name = span_cut(&value, ':');
        headers[rq->n_headers++] = (struct sigv4_header){ name, value };
    }
    rq->body = span_from(text, 1);
}

/* "2015-08-30T12:36:00Z" without its separators. */
static struct span compact_time(struct span iso, char out[static SIGV4_TIME_BYTES + 1])
{
    size_t n = 0;

    for (size_t i = 0; i < iso.len; i++)
        if (iso.ptr[i] != '-' && iso.ptr[i] != ':')
            out[n++] = (char)iso.ptr[i];
    assert_int_equal(n, SIGV4_TIME_BYTES);
    return span_of(out, n);
}

static void suite_case(void **state)
{
    const char *name = *state;
    AUTO(buf_clear) struct buf b = BUF_INIT(65536);
    AUTO(buf_clear) struct buf text = BUF_INIT(65536);
    struct span context = suite_file(name, "context.json");
    struct span request = suite_file(name, "request.txt");
    struct span canonical = suite_file(name, "header-canonical-request.txt");
    struct span to_sign = suite_file(name, "header-string-to-sign.txt");
    struct span signature = suite_file(name, "header-signature.txt");
    struct span sent = suite_file(name, "header-signed-request.txt");
    struct sigv4_header headers[16];
    struct sigv4_request rq = { .n_headers = 0 };
    struct sigv4_claim claim;
    char date[SIGV4_TIME_BYTES + 1];

    request_parse(request, &rq, headers);
    if (strncmp(name, "kms/", 4) == 0)
        rq.body = without_line_end(rq.body);
    rq.keep_path = !span_is(context_value(context, "normalize"), "true");
    struct span amz_date = compact_time(context_value(context, "timestamp"), date);
    headers[rq.n_headers++] = (struct sigv4_header){ SPAN_LIT("X-Amz-Date"), amz_date };
    struct span token = context_value(context, "token");
    if (token.ptr && !span_is(context_value(context, "omit_session_token"), "true"))
        headers[rq.n_headers++] = (struct sigv4_header){ SPAN_LIT("X-Amz-Security-Token"), token };
    if (span_is(context_value(context, "sign_body"), "true"))
        headers[rq.n_headers++] = (struct sigv4_header){
            SPAN_LIT("x-amz-content-sha256"),
            SPAN_LIT("9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e")
        };
    struct sigv4_scope scope = { context_value(context, "region"),
                                 context_value(context, "service") };
    struct sigv4_credentials cred = { .access_key_id = context_value(context, "access_key_id"),
                                      .secret_access_key =
                                          context_value(context, "secret_access_key") };

    assert_int_equal(sigv4_canonical_request(&rq, &b), ERR_OK);
    t_assert_span(buf_view(&b), without_line_end(canonical));
    assert_int_equal(sigv4_string_to_sign(amz_date, scope, buf_view(&b), &text), ERR_OK);
    t_assert_span(buf_view(&text), without_line_end(to_sign));
    buf_reset(&b);
    assert_int_equal(sigv4_sign(&rq, scope, amz_date, &cred, &b), ERR_OK);
    assert_non_null(memmem(sent.ptr, sent.len, b.ptr, b.len));
    assert_int_equal(sigv4_claim_parse(buf_view(&b), &claim, NULL), ERR_OK);
    t_assert_span(claim.signature, without_line_end(signature));
    assert_int_equal(sigv4_verify(&rq, &claim, cred.secret_access_key, NULL), ERR_OK);
    assert_int_equal(sigv4_verify(&rq, &claim, span_from(cred.secret_access_key, 1), NULL),
                     ERR_VERIFY);
    t_free(context);
    t_free(request);
    t_free(canonical);
    t_free(to_sign);
    t_free(signature);
    t_free(sent);
}

static struct CMUnitTest row_test(const char *name, CMUnitTestFunction run, const void *row)
{
    union {
        const void *view;
        void *state;
    } u = { .view = row };

    return (struct CMUnitTest){ name, run, NULL, NULL, u.state };
}

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

int main(void)
{
    static struct CMUnitTest tests[COUNT(changes) + COUNT(claims) + COUNT(canonical_rows) +
                                   COUNT(times) + COUNT(suite) + 5];
    size_t n = 0;

    tests[n++] = row_test("worked example", worked_example, NULL);
    tests[n++] = row_test("damaged authorization", damaged_authorization, NULL);
    tests[n++] = row_test("duplicate and folded headers", duplicate_headers, NULL);
    tests[n++] = row_test("limits", limits, NULL);
    tests[n++] = row_test("time: there and back", time_round_trip, NULL);
    for (size_t i = 0; i < COUNT(changes); i++)
        tests[n++] = row_test(changes[i].name, change_row, &changes[i]);
    for (size_t i = 0; i < COUNT(claims); i++)
        tests[n++] = row_test(claims[i].name, claim_row, &claims[i]);
    for (size_t i = 0; i < COUNT(canonical_rows); i++)
        tests[n++] = row_test(canonical_rows[i].name, canonical_row, &canonical_rows[i]);
    for (size_t i = 0; i < COUNT(times); i++)
        tests[n++] = row_test(times[i].name, time_row, &times[i]);
    for (size_t i = 0; i < COUNT(suite); i++)
        tests[n++] = row_test(suite[i], suite_case, suite[i]);
    return _cmocka_run_group_tests("sigv4", tests, n, NULL, NULL);
}
