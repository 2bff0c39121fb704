/* test_principals.c - the operator's list of access keys. */
#include "localkms/principals.h"

#include <stdlib.h>

#include "sigv4/sigv4.h"
#include "testing/t.h"

#define ARN        "arn:aws:iam::111122223333:user/alice"
#define ARN_MEMBER "\"arn\":\"" ARN "\""
#define ID         "\"access_key_id\":\"AKIDEXAMPLE\""
#define SECRET     "\"secret_access_key\":\"wJalrXUtnFEMI/K7MDENG/EXAMPLEKEY\""
#define GOOD       "{" ID "," SECRET "," ARN_MEMBER "}"
#define WITH(m)    "[{" ID "," SECRET "," ARN_MEMBER "," m "}]"
#define POLICY(x)                                                                                  \
    "{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"kms:*\",\"Resource\":\"*\"" x "}}"

static const struct row {
    const char *name, *json;
    const char *what; /* NULL: accepted */
    size_t at;
} rows[] = {
    { "empty list", "[]", NULL, 0 },
    { "one", "[" GOOD "]", NULL, 0 },
    { "session token", WITH("\"session_token\":\"tok/en==\""), NULL, 0 },
    { "expiration", WITH("\"expiration\":\"2026-01-02T03:04:05Z\""), NULL, 0 },
    { "no policies", WITH("\"policies\":[]"), NULL, 0 },
    { "policies", WITH("\"policies\":[" POLICY("") "," POLICY("") "]"), NULL, 0 },
    { "no bytes", "", "not JSON", 0 },
    { "cut", "[" GOOD, "not JSON", 0 },
    { "trailing text", "[" GOOD "]x", "not JSON", 0 },
    { "member twice", "[{" ID "," ID "," SECRET "," ARN_MEMBER "}]", "not JSON", 0 },
    { "an object", GOOD, "not a list", 0 },
    { "a number in the list", "[1]", "principal is not an object", 1 },
    { "second is null", "[" GOOD ",null]", "principal is not an object", 2 },
    { "unknown member", WITH("\"secret\":\"x\""), "unknown member of a principal", 1 },
    { "no access key id", "[{" SECRET "," ARN_MEMBER "}]",
      "access_key_id, secret_access_key or arn is missing", 1 },
    { "no secret", "[{" ID "," ARN_MEMBER "}]",
      "access_key_id, secret_access_key or arn is missing", 1 },
    { "no arn", "[{" ID "," SECRET "}]", "access_key_id, secret_access_key or arn is missing", 1 },
    { "empty access key id", "[{\"access_key_id\":\"\"," SECRET "," ARN_MEMBER "}]",
      "access_key_id", 1 },
    { "access key id is a number", "[{\"access_key_id\":1," SECRET "," ARN_MEMBER "}]",
      "access_key_id", 1 },
    { "empty secret", "[{" ID ",\"secret_access_key\":\"\"," ARN_MEMBER "}]", "secret_access_key",
      1 },
    { "secret is null", "[{" ID ",\"secret_access_key\":null," ARN_MEMBER "}]", "secret_access_key",
      1 },
    { "empty session token", WITH("\"session_token\":\"\""), "session_token", 1 },
    { "arn of a group", "[{" ID "," SECRET ",\"arn\":\"arn:aws:iam::111122223333:group/g\"}]",
      "arn", 1 },
    { "arn is text", "[{" ID "," SECRET ",\"arn\":\"alice\"}]", "arn", 1 },
    { "arn is a list", "[{" ID "," SECRET ",\"arn\":[]}]", "arn", 1 },
    { "expiration without Z", WITH("\"expiration\":\"2026-01-02T03:04:05\""), "expiration", 1 },
    { "expiration with an offset", WITH("\"expiration\":\"2026-01-02T03:04:05+00:00\""),
      "expiration", 1 },
    { "expiration with a blank", WITH("\"expiration\":\"2026-01-02 03:04:05Z\""), "expiration", 1 },
    { "expiration in month 13", WITH("\"expiration\":\"2026-13-02T03:04:05Z\""), "expiration", 1 },
    { "expiration is a number", WITH("\"expiration\":1767323045"), "expiration", 1 },
    { "expiration without colons", WITH("\"expiration\":\"2026-01-02T03.04:05Z\""), "expiration",
      1 },
    { "expiration with a dot after the year", WITH("\"expiration\":\"2026.01-02T03:04:05Z\""),
      "expiration", 1 },
    { "expiration with a dot after the month", WITH("\"expiration\":\"2026-01.02T03:04:05Z\""),
      "expiration", 1 },
    { "expiration with a dot after the minute", WITH("\"expiration\":\"2026-01-02T03:04.05Z\""),
      "expiration", 1 },
    { "expiration with a fraction", WITH("\"expiration\":\"2026-01-02T03:04:05.0Z\""), "expiration",
      1 },
    { "policies is an object", WITH("\"policies\":{}"), "policies is not a list of at most 20", 1 },
    { "policy is text", WITH("\"policies\":[\"x\"]"), "Policy is not an object", 1 },
    { "policy with a principal", WITH("\"policies\":[" POLICY(",\"Principal\":\"*\"") "]"),
      "Principal in an identity policy", 1 },
    { "second policy with an unknown operator",
      WITH("\"policies\":[" POLICY("") "," POLICY(
          ",\"Condition\":{\"DateLike\":{\"a:b\":\"c\"}}") "]"),
      "Unsupported condition operator", 1 },
    { "same access key id twice", "[" GOOD "," GOOD "]", "access_key_id comes twice", 2 },
};
enum { N = sizeof rows / sizeof rows[0] };

static void parse_row(void **state)
{
    const struct row *row = *state;
    struct span json = t_copy(span_str(row->json));
    struct principals untouched = { (struct principal *)(uintptr_t)&rows, 4242 }, p = untouched;
    struct why why = { 0 };

    if (row->what)
        assert_int_equal(principals_parse(json, &p, NULL), ERR_MALFORMED);
    enum err r = principals_parse(json, &p, &why);
    t_free(json);
    if (!row->what) {
        assert_int_equal(r, ERR_OK);
        principals_clear(&p);
        assert_int_equal(p.n, 0);
        return;
    }
    assert_int_equal(r, ERR_MALFORMED);
    assert_string_equal(why.what, row->what);
    assert_int_equal(why.at, row->at);
    assert_memory_equal(&p, &untouched, sizeof p);
}

static void values(void **state)
{
    (void)state;
    AUTO(principals_clear) struct principals p = { NULL, 0 };
    struct span json = t_copy(SPAN_LIT(
        "[" GOOD ",{\"arn\":\"arn:aws-cn:sts::444455556666:assumed-role/r/s\",\"access_key_id\":"
        "\"ASIA\",\"secret_access_key\":\"se\\ncret\",\"session_token\":\"token\",\"expiration\":"
        "\"2026-01-02T03:04:05Z\",\"policies\":[" POLICY("") "]}]"));

    assert_int_equal(principals_parse(json, &p, NULL), ERR_OK);
    t_free(json); /* nothing points into it */
    assert_int_equal(p.n, 2);
    const struct principal *alice = principals_find(&p, SPAN_LIT("AKIDEXAMPLE"));
    assert_ptr_equal(alice, &p.all[0]);
    assert_string_equal(alice->arn, ARN);
    assert_int_equal(alice->caller.kind, POLICY_CALLER_NAMED);
    assert_ptr_equal(alice->caller.arn.ptr, alice->arn);
    assert_int_equal(alice->session_token.len, 0);
    assert_int_equal(alice->expires_s, 0);
    assert_int_equal(alice->n_policies, 0);
    const struct principal *session = principals_find(&p, SPAN_LIT("ASIA"));
    assert_ptr_equal(session, &p.all[1]);
    t_assert_span(secret_view(&session->secret_access_key), SPAN_LIT("se\ncret"));
    t_assert_span(secret_view(&session->session_token), SPAN_LIT("token"));
    assert_int_equal(session->expires_s, 1767323045);
    assert_int_equal(session->caller.kind, POLICY_CALLER_SESSION);
    t_assert_span(session->caller.role, SPAN_LIT("r"));
    t_assert_span(session->caller.account, SPAN_LIT("444455556666"));
    assert_int_equal(session->n_policies, 1);
    assert_null(principals_find(&p, SPAN_LIT("akidexample")));
    assert_null(principals_find(&p, SPAN_LIT("AKIDEXAMPL")));
    assert_null(principals_find(&p, SPAN_EMPTY));
}

static void nul_byte(void **state)
{
    (void)state;
    struct principals p = { NULL, 0 };
    struct why why = { 0 };

    assert_int_equal(principals_parse(SPAN_LIT("[]\0"), &p, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "not JSON");
    /* jansson would pass over this one. */
    assert_int_equal(principals_parse(SPAN_LIT(WITH("\"policies\":[" POLICY(
                                          ",\"Condition\":{\"Bool\":{\"a:b\":true\0}}") "]")),
                                      &p, &why),
                     ERR_MALFORMED);
    assert_string_equal(why.what, "not JSON");
    assert_null(p.all);
}

static void truncations(void **state)
{
    (void)state;
    static const char good[] = WITH("\"policies\":[" POLICY("") "]");
    struct principals p = { NULL, 0 };

    for (size_t n = 0; n < sizeof good - 1; n++) {
        struct span cut = t_copy(span_of(good, n));
        assert_int_equal(principals_parse(cut, &p, NULL), ERR_MALFORMED);
        assert_null(p.all);
        t_free(cut);
    }
}

static enum err parse_many(unsigned n, struct principals *out, struct why *why)
{
    AUTO(buf_clear) struct buf json = BUF_INIT(1 << 20);

    assert_int_equal(buf_append_byte(&json, '['), ERR_OK);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(buf_printf(&json,
                                    "%s{\"access_key_id\":\"A%u\"," SECRET "," ARN_MEMBER "}",
                                    i ? "," : "", i),
                         ERR_OK);
    assert_int_equal(buf_append_byte(&json, ']'), ERR_OK);
    return principals_parse(buf_view(&json), out, why);
}

static void principal_limit(void **state)
{
    (void)state;
    struct principals p = { NULL, 0 };
    struct why why = { 0 };

    assert_int_equal(parse_many(PRINCIPALS_MAX, &p, &why), ERR_OK);
    assert_int_equal(p.n, PRINCIPALS_MAX);
    assert_non_null(principals_find(&p, SPAN_LIT("A1023")));
    principals_clear(&p);
    assert_int_equal(parse_many(PRINCIPALS_MAX + 1, &p, &why), ERR_LIMIT);
    assert_string_equal(why.what, "too many principals");
    assert_null(p.all);
}

static void secret_limit(void **state)
{
    (void)state;
    for (unsigned n = SIGV4_SECRET_MAX_BYTES; n <= SIGV4_SECRET_MAX_BYTES + 1; n++) {
        AUTO(buf_clear) struct buf json = BUF_INIT(4096);
        AUTO(principals_clear) struct principals p = { NULL, 0 };
        struct why why = { .what = "none" };
        assert_int_equal(buf_printf(&json,
                                    "[{" ID "," ARN_MEMBER ",\"secret_access_key\":\"%0*d\"}]",
                                    (int)n, 0),
                         ERR_OK);
        bool fits = n == SIGV4_SECRET_MAX_BYTES;
        assert_int_equal(principals_parse(buf_view(&json), &p, &why),
                         fits ? ERR_OK : ERR_MALFORMED);
        assert_string_equal(why.what, fits ? "none" : "secret_access_key");
    }
}

static void policy_limit(void **state)
{
    (void)state;
    for (unsigned n = PRINCIPAL_POLICIES_MAX; n <= PRINCIPAL_POLICIES_MAX + 1; n++) {
        AUTO(buf_clear) struct buf json = BUF_INIT(65536);
        AUTO(principals_clear) struct principals p = { NULL, 0 };
        struct why why = { .what = "none" };
        assert_int_equal(buf_append_str(&json, "[{" ID "," SECRET "," ARN_MEMBER ",\"policies\":["),
                         ERR_OK);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(buf_printf(&json, "%s" POLICY(""), i ? "," : ""), ERR_OK);
        assert_int_equal(buf_append_str(&json, "]}]"), ERR_OK);
        enum err r = principals_parse(buf_view(&json), &p, &why);
        assert_int_equal(r, n > PRINCIPAL_POLICIES_MAX ? ERR_MALFORMED : ERR_OK);
        assert_int_equal(p.n ? p.all[0].n_policies : 0, r == ERR_OK ? n : 0);
    }
}

int main(void)
{
    enum { OTHERS = 6 };
    static struct CMUnitTest tests[N + OTHERS] = {
        cmocka_unit_test(values),       cmocka_unit_test(nul_byte),
        cmocka_unit_test(truncations),  cmocka_unit_test(principal_limit),
        cmocka_unit_test(secret_limit), cmocka_unit_test(policy_limit),
    };

    T_ROWS(tests + OTHERS, rows, parse_row);
    return cmocka_run_group_tests_name("principals", tests, NULL, NULL);
}
