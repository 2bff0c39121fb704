/* Every attestation document of the shared vectors, as manifest.json expects it, and what we
 * decided where it leaves the decision to us. */
#include "testing/t.h"

#include <jansson.h>

#include "attest/chain.h"

/* "policy" documents that are accepted; all others are refused. */
static const char *const accepted_policies[] = {
    "attestation/policy/r1-outer-tag18.bin",             /* attestation_process.md allows it */
    "attestation/policy/r1-sig-high-s-twin.bin",         /* ECDSA itself has two forms */
    "attestation/synthetic/policy-public-key-empty.bin", /* real documents with it exist */
    "attestation/valid-edge/r1-time-at-leaf-end.bin",    /* RFC 5280: notAfter is inclusive */
};

static struct crypto *cx;

static bool is_accepted_policy(const char *path)
{
    for (size_t i = 0; i < sizeof(accepted_policies) / sizeof(accepted_policies[0]); i++)
        if (strcmp(path, accepted_policies[i]) == 0)
            return true;
    return false;
}

/* Seconds at which to judge; "document" means its own timestamp. False: it does not parse. */
static bool judge_at(const json_t *values, struct span in, int64_t *out)
{
    const json_t *at = json_object_get(values, "verify_time");
    struct attest_doc doc;

    if (json_is_integer(at)) {
        *out = json_integer_value(at);
        return true;
    }
    if (attest_doc_parse(in, &doc, NULL) != ERR_OK)
        return false;
    *out = (int64_t)(doc.timestamp_ms / 1000);
    return true;
}

static void root_read(const json_t *values, struct buf *der)
{
    struct span pem = t_vector(json_string_value(json_object_get(values, "trust_anchor")));

    assert_int_equal(x509_pem_to_der(pem, der, NULL), ERR_OK);
    t_free(pem);
}

static bool judge(const char *path, const json_t *values, struct attest_verified *v,
                  struct why *why, struct span *in)
{
    AUTO(buf_clear) struct buf root = BUF_INIT(4096);
    int64_t at_s;

    *in = t_vector(path);
    root_read(values, &root);
    if (!judge_at(values, *in, &at_s)) {
        why->what = "does not parse";
        return false;
    }
    return attest_verify(cx, *in, buf_view(&root), at_s, v, why) == ERR_OK;
}

/* Faults that need no signature have to be found without one: the reason says so. */
static bool reason_fits(const char *fails_at, const char *what)
{
    bool is_signature = strstr(what, "signature") != NULL;

    if (strcmp(fails_at, "syntax") == 0 || strcmp(fails_at, "field") == 0)
        return !is_signature;
    if (strcmp(fails_at, "time") == 0)
        return strcmp(what, "certificate time") == 0;
    return true;
}

static void documents(void **state)
{
    struct span text = t_vector("manifest.json");
    json_t *manifest = json_loadb((const char *)text.ptr, text.len, JSON_ALLOW_NUL, NULL), *e;
    unsigned valid = 0, invalid = 0, policy = 0;
    size_t i;
    (void)state;

    assert_non_null(manifest);
    json_array_foreach(json_object_get(manifest, "entries"), i, e)
    {
        const char *path = json_string_value(json_object_get(e, "path"));
        const char *kind = json_string_value(json_object_get(e, "kind"));
        const char *expected = json_string_value(json_object_get(e, "expected"));
        const json_t *values = json_object_get(e, "values");
        const char *fails_at = json_string_value(json_object_get(values, "fails_at"));
        struct attest_verified v;
        struct why why = { 0 };
        struct span in;
        if (!kind || strcmp(kind, "nitro-attestation") != 0 ||
            !json_object_get(values, "trust_anchor"))
            continue;
        bool got = judge(path, values, &v, &why, &in);
        bool is_valid = strcmp(expected, "valid") == 0, is_policy = strcmp(expected, "policy") == 0;
        if (got != (is_valid || (is_policy && is_accepted_policy(path))))
            fail_msg("%s: expected %s, got %s", path, expected, got ? "accepted" : why.what);
        if (!got && !is_policy && fails_at && !reason_fits(fails_at, why.what))
            fail_msg("%s: fails at %s, got: %s", path, fails_at, why.what);
        t_free(in);
        valid += is_valid;
        policy += is_policy;
        invalid += !is_valid && !is_policy;
    }
    print_message("# %u valid, %u invalid, %u to our decision\n", valid, invalid, policy);
    assert_true(valid >= 16 && invalid >= 90 && policy >= 19);
    json_decref(manifest);
    t_free(text);
}

static int setup(void **state)
{
    (void)state;
    return crypto_new(&cx) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    crypto_free(cx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
