/* test_seed.c - keys out of the operator's file: made once, checked as a whole. */
#include "localkms/seed.h"

#include <stdio.h>

#include "localkms/test_ops.h"

#define ID    "12345678-1234-1234-1234-123456789abc"
#define OTHER "mrk-0123456789abcdef0123456789abcdef"

static enum err seed(const char *yaml, struct seeded *made, struct why *why)
{
    struct span text = t_copy(span_str(yaml));
    enum err r = localkms_seed(api.k, text, API_NOW_MS, made, why);

    t_free(text);
    return r;
}

static const char whole[] =
    "keys:\n"
    "  - id: " ID "\n"
    "    description: for tests\n"
    "    aliases: [alias/one, alias/two]\n"
    "    tags: [{key: team, value: blue}]\n"
    "    material: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
    "  - id: " OTHER "\n"
    "    spec: HMAC_256\n"
    "    usage: GENERATE_VERIFY_MAC\n"
    "    policy:\n"
    "      Version: \"2012-10-17\"\n"
    "      Statement:\n"
    "        - {Effect: Allow, Principal: {AWS: \"" API_ADMIN "\"}, Action: \"kms:*\", Resource: "
    "\"*\"}\n";

/* Once; and again nothing, but for an alias that is not there any more. */
static void made_once(void **state)
{
    struct seeded made;
    (void)state;

    assert_int_equal(seed(whole, &made, NULL), ERR_OK);
    assert_int_equal(made.keys, 2);
    assert_int_equal(made.aliases, 2);
    does("DescribeKey", "{\"KeyId\":\"alias/one\"}", "\"Description\":\"for tests\"");
    api_assert_ok(&api, ID);
    does("ListResourceTags", "{\"KeyId\":\"" ID "\"}", "\"TagValue\":\"blue\"");
    does("DescribeKey", "{\"KeyId\":\"" OTHER "\"}", "\"MultiRegion\":true");
    does("GetKeyPolicy", "{\"KeyId\":\"" OTHER "\"}", API_ADMIN);
    does("GetKeyPolicy", "{\"KeyId\":\"" ID "\"}", "key-default-1");
    does("DeleteAlias", "{\"AliasName\":\"alias/two\"}", "");
    does("UpdateKeyDescription", "{\"KeyId\":\"" ID "\",\"Description\":\"changed\"}", "");
    api_restart(&api);
    assert_int_equal(seed(whole, &made, NULL), ERR_OK);
    assert_int_equal(made.keys, 0);
    assert_int_equal(made.aliases, 1);
    does("DescribeKey", "{\"KeyId\":\"alias/two\"}", "\"Description\":\"changed\"");
}

/* The same material in another folder opens the same ciphertexts. */
static void same_material(void **state)
{
    struct seeded made;
    (void)state;

    does("Encrypt", "{\"KeyId\":\"" ID "\",\"Plaintext\":\"aGVsbG8=\"}", "CiphertextBlob");
    api_keep(&api, "CiphertextBlob");
    char kept[512];
    snprintf(kept, sizeof kept, "%.511s", api.kept);
    api_down(&api);
    api_up(&api, SPAN_LIT("no root is asked for here"), CMS_FORM_A);
    assert_int_equal(seed(whole, &made, NULL), ERR_OK);
    assert_int_equal(made.keys, 2);
    snprintf(api.kept, sizeof api.kept, "%s", kept);
    does("Decrypt", "{\"CiphertextBlob\":\"$KEPT\"}", "\"Plaintext\":\"aGVsbG8=\"");
}

#define KEY(more) "keys:\n  - id: " ID "\n    aliases: [alias/new]\n" more

static struct row {
    const char *name, *yaml;
    enum err want;
    const char *what;
    size_t line;
} rows[] = {
    { "no keys", "{}", ERR_MALFORMED, "keys is missing", 1 },
    { "keys is text", "keys: x", ERR_MALFORMED, "keys is not a list", 1 },
    { "no id", "keys:\n  - spec: RSA_2048\n", ERR_MALFORMED, "id is missing", 2 },
    { "id in capitals", "keys:\n  - id: 12345678-1234-1234-1234-123456789ABC\n", ERR_MALFORMED,
      "an id is a UUID in small letters, or mrk- and 32 digits", 2 },
    { "unknown member", KEY("    colour: blue\n"), ERR_MALFORMED, "unknown key", 4 },
    { "spec that is not here", KEY("    spec: SM2\n"), ERR_UNSUPPORTED, "a spec that is not here",
      4 },
    { "spec without its usage", KEY("    spec: HMAC_256\n"), ERR_MALFORMED,
      "the spec needs another usage", 4 },
    { "usage that is none", KEY("    usage: DANCE\n"), ERR_MALFORMED, "not a usage", 4 },
    { "alias without prefix", KEY("    tags: []\n  - id: " OTHER "\n    aliases: [x]\n"),
      ERR_MALFORMED, "an alias begins with alias/, and goes on with letters, digits, :/_-", 6 },
    { "alias of AWS", "keys:\n  - id: " ID "\n    aliases: [alias/aws/x]\n", ERR_MALFORMED,
      "an alias begins with alias/, and goes on with letters, digits, :/_-", 3 },
    { "tags is text", KEY("    tags: x\n"), ERR_MALFORMED, "tags is not a list", 4 },
    { "material that is no base64", KEY("    material: \"!\"\n"), ERR_MALFORMED,
      "material is not base64", 4 },
    { "material too short", KEY("    material: AAAA\n"), ERR_MALFORMED,
      "material does not go with the spec", 4 },
    { "material of a pair that is none",
      KEY("    spec: ECC_NIST_P256\n    usage: SIGN_VERIFY\n    material: AAAA\n"), ERR_MALFORMED,
      "material does not go with the spec", 6 },
    { "policy without statement", KEY("    policy: {}\n"), ERR_MALFORMED,
      "Policy without Statement", 4 },
};
enum { ROWS = sizeof rows / sizeof rows[0] };

/* Nothing is made of a file with a fault anywhere. */
static void refused(void **state)
{
    const struct row *row = *state;
    struct why why = { 0 };
    struct seeded made;

    assert_int_equal(seed(row->yaml, &made, &why), row->want);
    assert_string_equal(why.what, row->what);
    assert_int_equal(why.at, row->line);
    refuses("DescribeKey", "{\"KeyId\":\"alias/new\"}", "NotFoundException",
            "Alias arn:aws:kms:us-east-1:" API_ACCOUNT ":alias/new is not found.");
}

int main(void)
{
    struct CMUnitTest tests[ROWS + 2] = { cmocka_unit_test(made_once),
                                          cmocka_unit_test(same_material) };

    T_ROWS(tests + 2, rows, refused);
    return cmocka_run_group_tests_name("seed", tests, ops_up, ops_down);
}
