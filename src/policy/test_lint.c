/* test_lint.c - what the critics find in which policy. Documents are written with ' for ", and what
 * is found as ID@STATEMENT (0: the document), in the order of the findings. */
#include <stdio.h>

#include "policy/generate.h"
#include "policy/lint.h"
#include "policy/words.h"
#include "testing/t.h"

#define HEX16  "00112233445566778899aabbccddeeff"
#define A      HEX16 HEX16 HEX16
#define UPPER  "00112233445566778899AABBCCDDEEFF" HEX16 HEX16
#define ZERO16 "00000000000000000000000000000000"
#define ZERO   ZERO16 ZERO16 ZERO16
#define USER   "{'AWS':'arn:aws:iam::111122223333:role/parent'}"
#define ADMIN  "{'AWS':'arn:aws:iam::111122223333:role/admin'}"
#define ROOT   "{'AWS':'111122223333'}"

#define ST(effect, who, action, rest)                                                              \
    "{'Effect':'" effect "','Principal':" who ",'Action':" action ",'Resource':'*'" rest "}"
#define IF(c)     ",'Condition':{" c "}"
#define PCR(n)    "'kms:RecipientAttestation:PCR" #n "'"
#define ASK(n, v) PCR(n) ":'" v "'"
#define IMAGE     ASK(0, A) "," ASK(1, A) "," ASK(2, A)
#define EQ(list)  IF("'StringEqualsIgnoreCase':{" list "}")
#define USE(c)    ST("Allow", USER, "'kms:Decrypt'", c)
#define MANAGE    ST("Allow", ADMIN, "'kms:PutKeyPolicy'", "")
#define ALL                                                                                        \
    "['kms:Decrypt','kms:DeriveSharedSecret','kms:GenerateDataKey','kms:GenerateDataKeyPair',"     \
    "'kms:CreateGrant','kms:ReEncryptFrom']"
#define BELT ST("Deny", "'*'", ALL, IF("'StringNotEqualsIgnoreCase':{" ASK(0, A) "}"))
/* The belt in two, of which the second spares a sealer. */
#define SEALER     "'arn:aws:iam::111122223333:role/sealer'"
#define SEALS(who) ST("Allow", "{'AWS':" who "}", "'kms:GenerateDataKey'", "")
#define REST                                                                                       \
    "['kms:Decrypt','kms:DeriveSharedSecret','kms:GenerateDataKeyPair','kms:CreateGrant',"         \
    "'kms:ReEncryptFrom']"
#define NOT_PCR0     "'StringNotEqualsIgnoreCase':{" ASK(0, A) "}"
#define BUT(op, who) "'" op "':{'aws:PrincipalArn':" who "}"
#define SPARING(actions, but)                                                                      \
    MANAGE "," USE(EQ(IMAGE)) "," ST("Deny", "'*'", REST, IF(NOT_PCR0)) "," ST(                    \
        "Deny", "'*'", actions, IF(NOT_PCR0 "," but)) ","
#define SPARED SPARING("'kms:GenerateDataKey'", BUT("ArnNotEquals", SEALER))
/* One statement among others that are good. */
#define AMONG(st) MANAGE "," st "," BELT
#define GOOD      AMONG(USE(EQ(IMAGE)))

static const struct row {
    const char *name, *statements, *found;
} rows[] = {
    { "as it ought to be", GOOD, "administrator@1" },
    /* use without attestation */
    { "no condition at all", MANAGE "," USE(""), "administrator@1 unattested-use@2" },
    { "no condition, but a belt", AMONG(USE("")), "administrator@1" },
    { "another condition", MANAGE "," USE(IF("'Bool':{'aws:SecureTransport':'true'}")),
      "administrator@1 unattested-use@2" },
    { "the account may do all", ST("Allow", ROOT, "'kms:*'", ""),
      "delegated-use@1 administrator@1 create-grant@1 re-encrypt@1" },
    { "the account may do all, and a belt", ST("Allow", ROOT, "'kms:*'", "") "," BELT,
      "administrator@1" },
    { "negated Allow", AMONG(USE(IF("'StringNotEquals':{" IMAGE "}"))),
      "negated-allow@2 negated-allow@2 negated-allow@2 administrator@1" },
    { "IfExists", AMONG(USE(IF("'StringEqualsIfExists':{" ASK(0, A) "}"))),
      "if-exists@2 administrator@1" },
    { "ForAllValues", AMONG(USE(IF("'ForAllValues:StringEquals':{" ASK(0, A) "}"))),
      "all-values@2 administrator@1" },
    { "Null true", AMONG(USE(IF("'Null':{" PCR(0) ":'true'}"))), "null-allow@2 administrator@1" },
    { "Null false names no image", MANAGE "," USE(IF("'Null':{" PCR(0) ":'false'}")),
      "administrator@1 unattested-use@2" },
    { "negated Deny is the belt",
      GOOD "," ST("Deny", "'*'", "'kms:Decrypt'", IF("'StringNotLike':{" ASK(0, A) "}")),
      "administrator@1" },
    /* which image */
    { "PCR3 and PCR4 alone", AMONG(USE(EQ(ASK(3, A) "," ASK(4, A)))),
      "parent-only@2 administrator@1" },
    { "PCR1 alone", AMONG(USE(EQ(ASK(1, A)))), "no-image@2 administrator@1" },
    { "PCR0 alone", AMONG(USE(EQ(ASK(0, A)))), "image-by-pcr0@2 administrator@1" },
    { "ImageSha384 alone", AMONG(USE(EQ("'kms:RecipientAttestation:ImageSha384':'" A "'"))),
      "image-by-pcr0@2 administrator@1" },
    { "PCR8 alone", AMONG(USE(EQ(ASK(8, A)))), "administrator@1" },
    { "PCR0 and PCR8", AMONG(USE(EQ(ASK(0, A) "," ASK(8, A)))), "administrator@1" },
    { "debug enclave", MANAGE "," USE(EQ(ASK(0, ZERO) "," ASK(1, ZERO) "," ASK(2, ZERO))),
      "debug-register@2 debug-register@2 debug-register@2 administrator@1 no-belt@0" },
    { "denying debug enclaves is good", GOOD "," ST("Deny", "'*'", "'kms:*'", EQ(ASK(0, ZERO))),
      "administrator@1" },
    { "zero PCR8", AMONG(USE(EQ(IMAGE "," ASK(8, ZERO)))), "unsigned-register@2 administrator@1" },
    { "zero PCR3", AMONG(USE(EQ(IMAGE "," ASK(3, ZERO)))), "zero-register@2 administrator@1" },
    { "too short", AMONG(USE(EQ(IMAGE "," ASK(8, HEX16)))), "register-value@2 administrator@1" },
    { "0x in front", AMONG(USE(EQ(IMAGE "," ASK(8, "0x" A)))), "register-value@2 administrator@1" },
    { "no digits", AMONG(USE(EQ(IMAGE "," ASK(8, HEX16 HEX16 "g0112233445566778899aabbccddeeff")))),
      "register-value@2 administrator@1" },
    { "capitals with an operator that heeds them",
      AMONG(USE(IF("'StringEquals':{" IMAGE "," ASK(8, UPPER) "}"))),
      "register-case@2 administrator@1" },
    { "capitals with one that does not", AMONG(USE(EQ(IMAGE "," ASK(8, UPPER)))),
      "administrator@1" },
    { "wildcard", AMONG(USE(EQ(IMAGE))) "," USE(IF("'StringLike':{" ASK(0, "*") "}")),
      "register-wildcard@4 image-by-pcr0@4 administrator@1 belt-denies-image@3" },
    { "lists of two registers",
      AMONG(USE(EQ(PCR(0) ":['" A "','" A "']," PCR(1) ":['" A "','" A "']," ASK(2, A)))),
      "mixed-images@2 administrator@1" },
    { "unknown register", AMONG(USE(EQ(IMAGE "," ASK(32, A)))),
      "unknown-register@2 administrator@1" },
    { "no register", AMONG(USE(EQ(IMAGE ",'kms:RecipientAttestation':'x'"))),
      "unknown-register@2 administrator@1" },
    { "another name", AMONG(USE(EQ(IMAGE ",'kms:RecipientAttestation:Image':'x'"))),
      "unknown-register@2 administrator@1" },
    { "PCR5", AMONG(USE(EQ(IMAGE "," ASK(5, A)))), "empty-register@2 administrator@1" },
    { "PCR16", AMONG(USE(EQ(IMAGE "," ASK(16, A)))), "run-time-register@2 administrator@1" },
    { "enclave and NitroTPM",
      AMONG(USE(EQ(IMAGE ",'kms:RecipientAttestation:NitroTPMPCR4':'" A "'"))),
      "mixed-devices@2 administrator@1" },
    { "NitroTPM without PCR12",
      MANAGE "," USE(EQ("'kms:RecipientAttestation:NitroTPMPCR4':'" A
                        "','kms:RecipientAttestation:NitroTPMPCR7':'" A "'")),
      "nitrotpm-registers@2 administrator@1 no-belt@0" },
    { "Sign under attestation", AMONG(ST("Allow", USER, "['kms:Decrypt','kms:Sign']", EQ(IMAGE))),
      "never-attested@2 administrator@1" },
    /* the belt */
    { "no belt", MANAGE "," USE(EQ(IMAGE)), "administrator@1 no-belt@0" },
    { "belt for one principal",
      MANAGE "," USE(EQ(IMAGE)) "," ST("Deny", USER, ALL, IF("'StringNotEquals':{" ASK(0, A) "}")),
      "administrator@1 no-belt@0" },
    { "belt with two conditions",
      MANAGE "," USE(EQ(IMAGE)) "," ST("Deny", "'*'", ALL,
                                       IF("'StringNotEquals':{" ASK(0, A) "," ASK(1, A) "}")),
      "administrator@1 no-belt@0" },
    { "belt without an action",
      MANAGE "," USE(EQ(IMAGE)) "," ST("Deny", "'*'", "['kms:Decrypt','kms:Gen*','kms:Der*']",
                                       IF("'StringNotEquals':{" ASK(0, A) "}")),
      "administrator@1 belt-gap@0 belt-gap@0" },
    { "belt that denies the image",
      MANAGE
      "," USE(EQ(IMAGE)) "," ST("Deny", "'*'", ALL, IF("'StringNotEquals':{" ASK(0, ZERO) "}")),
      "administrator@1 belt-denies-image@3" },
    /* who may seal */
    { "a sealer", SPARED SEALS(SEALER), "administrator@1 sealer@5" },
    { "a session of the sealer", SPARED SEALS("'arn:aws:sts::111122223333:assumed-role/sealer/x'"),
      "administrator@1 sealer@5" },
    { "a sealer who is not spared", SPARED SEALS("'arn:aws:iam::111122223333:role/other'"),
      "administrator@1" },
    { "a sealer and another", SPARED SEALS("[" SEALER ",'arn:aws:iam::111122223333:role/x']"),
      "administrator@1 unattested-use@5" },
    { "a sealer by a wildcard",
      SPARING("'kms:GenerateDataKey'", BUT("ArnNotLike", "'*'")) SEALS(SEALER),
      "administrator@1 unattested-use@5" },
    { "the account seals", SPARED SEALS("'111122223333'"), "administrator@1 delegated-use@5" },
    { "the parent seals",
      SPARING("'kms:GenerateDataKey'",
              BUT("ArnNotEquals", "'arn:aws:iam::111122223333:role/parent'"))
          SEALS("'arn:aws:iam::111122223333:role/parent'"),
      "administrator@1 sealer@5 parent-writes@5" },
    { "a sealer who opens, too",
      SPARED ST("Allow", "{'AWS':" SEALER "}", "['kms:GenerateDataKey','kms:Decrypt']", ""),
      "administrator@1 sealer@5" }, /* the other belt holds for Decrypt */
    { "a belt that spares for all",
      SPARING(ALL, BUT("StringNotEquals", SEALER))
          ST("Allow", "{'AWS':" SEALER "}", "['kms:GenerateDataKeyPair']", ""),
      "administrator@1" }, /* the first belt still holds */
    { "the only belt spares for all",
      MANAGE "," USE(EQ(IMAGE)) "," ST(
          "Deny", "'*'", ALL,
          IF(NOT_PCR0 "," BUT("ArnNotEquals", SEALER))) "," ST("Allow", "{'AWS':" SEALER "}",
                                                               "'kms:Decrypt'", ""),
      "administrator@1 unattested-use@4" },
    { "a belt for those who are named",
      MANAGE
      "," USE(EQ(IMAGE)) "," ST("Deny", "'*'", ALL, IF(NOT_PCR0 "," BUT("ArnEquals", SEALER))),
      "administrator@1 no-belt@0" },
    { "the condition on the register stands second",
      MANAGE "," USE(EQ(IMAGE)) "," ST(
          "Deny", "'*'", ALL,
          IF(BUT("ArnNotEquals", SEALER) ",'StringNotEqualsIgnoreCase':{" ASK(0, ZERO) "}")),
      "administrator@1 belt-denies-image@3" },
    /* administration */
    { "nobody administers", USE(EQ(IMAGE)) "," BELT, "lockout@0" },
    { "administration under a condition",
      ST("Allow", ADMIN, "'kms:PutKeyPolicy'",
         IF("'Bool':{'aws:MultiFactorAuthPresent':'true'}")) "," USE(EQ(IMAGE)) "," BELT,
      "administrator@1 lockout@0" },
    { "the user administers", AMONG(USE(EQ(IMAGE))) "," ST("Allow", USER, "'kms:Put*'", ""),
      "administrator@1 user-administers@4" },
    { "CreateGrant", MANAGE "," ST("Allow", ADMIN, "'kms:CreateGrant'", ""),
      "administrator@1 create-grant@2" },
    { "ReEncryptFrom", MANAGE "," ST("Allow", ADMIN, "'kms:ReEncrypt*'", ""),
      "administrator@1 re-encrypt@2" },
    { "the parent encrypts", GOOD "," ST("Allow", USER, "'kms:Encrypt'", ""),
      "administrator@1 parent-writes@4" },
    { "somebody else encrypts", GOOD "," ST("Allow", ADMIN, "'kms:Encrypt'", ""),
      "administrator@1" },
    /* principals */
    { "everybody", GOOD "," ST("Allow", "'*'", "'kms:DescribeKey'", ""),
      "administrator@1 everybody@4" },
    { "everybody with the image", AMONG(ST("Allow", "'*'", "'kms:Decrypt'", EQ(IMAGE))),
      "administrator@1 everybody-with-image@2" },
    /* what has another effect than meant */
    { "no Resource", GOOD ",{'Effect':'Deny','Principal':'*','Action':'kms:*'}",
      "no-effect@4 administrator@1" },
    { "no Action", GOOD ",{'Effect':'Deny','Principal':'*','Resource':'*'}",
      "no-effect@4 administrator@1" },
    { "a resource",
      GOOD ",{'Effect':'Deny','Principal':'*','Action':'kms:Sign','Resource':"
           "'arn:aws:kms:*:*:key/x'}",
      "resource@4 administrator@1" },
    { "ListKeys in a key policy", GOOD "," ST("Allow", ADMIN, "'kms:ListKeys'", ""),
      "keyless-action@4 administrator@1" },
    { "GenerateRandom in a key policy",
      AMONG(ST("Allow", USER, "['kms:Decrypt','kms:GenerateRandom']", EQ(IMAGE))),
      "keyless-action@2 administrator@1" },
    { "NotAction",
      GOOD ",{'Effect':'Allow','Principal':" ADMIN ",'NotAction':'kms:*','Resource':'*'}",
      "not-action@4 administrator@1" },
    { "unknown action", GOOD "," ST("Deny", "'*'", "'kms:Decript'", ""),
      "unknown-action@4 administrator@1" },
    { "action of another service", GOOD "," ST("Deny", "'*'", "'s3:GetObject'", ""),
      "administrator@1" },
    { "unknown key", GOOD "," ST("Deny", "'*'", "'kms:Sign'", IF("'Bool':{'aws:Mfa':'true'}")),
      "unknown-key@4 administrator@1" },
    { "number for text",
      GOOD "," ST("Deny", "'*'", "'kms:Sign'", IF("'NumericEquals':{'kms:CallerAccount':1}")),
      "key-type@4 administrator@1" },
    { "text for an address",
      GOOD "," ST("Deny", "'*'", "'kms:Sign'", IF("'StringEquals':{'aws:SourceIp':'10.0.0.1'}")),
      "key-type@4 administrator@1" },
    { "operators of the right type",
      GOOD "," ST("Deny", "'*'", "'kms:Sign'",
                  IF("'DateLessThan':{'aws:CurrentTime':'2026'},'NumericLessThan':{"
                     "'kms:RotationPeriodInDays':1,'aws:EpochTime':7},'IpAddress':{'aws:SourceIp':"
                     "'10.0.0.0/8'},'ArnLike':{'aws:PrincipalArn':'*','kms:ViaService':'*'},"
                     "'Bool':{'aws:SecureTransport':true},'StringLike':{'aws:PrincipalArn':'*'}")),
      "administrator@1" },
    { "a date for a number, a number for a date, an ARN for a truth value, bytes for text",
      GOOD "," ST("Deny", "'*'", "'kms:Sign'",
                  IF("'DateLessThan':{'kms:RotationPeriodInDays':'2026'},'NumericEquals':{"
                     "'aws:SourceIp':1},'ArnLike':{'aws:SecureTransport':'*'},'BinaryEquals':{"
                     "'kms:ViaService':'QQ=='},'IpAddress':{'kms:KeySpec':'::'},'Bool':{"
                     "'aws:CurrentTime':true}")),
      "key-type@4 key-type@4 key-type@4 key-type@4 key-type@4 key-type@4 administrator@1" },
    { "set over one value",
      GOOD
      "," ST("Deny", "'*'", "'kms:Sign'", IF("'ForAnyValue:StringEquals':{'kms:ViaService':'x'}")),
      "one-value@4 administrator@1" },
    { "several values without a set",
      GOOD
      "," ST("Deny", "'*'", "'kms:Sign'", IF("'StringEquals':{'kms:EncryptionContextKeys':'x'}")),
      "several-values@4 administrator@1" },
    { "variable in the old version",
      GOOD "," ST("Deny", "'*'", "'kms:Sign'",
                  IF("'StringLike':{'aws:PrincipalTag/a':'${aws:username}'}")),
      "old-version@4 administrator@1" },
    { "Latin characters",
      GOOD ",{'Sid':'\xc3\xa9\xc3\xbf','Effect':'Deny','Principal':'*',"
           "'Action':'kms:Sign','Resource':'*'}",
      "administrator@1" },
    { "other characters",
      GOOD ",{'Sid':'\xe4\xb8\xad','Effect':'Deny','Principal':'*',"
           "'Action':'kms:Sign','Resource':'*'}",
      "administrator@1 characters@0" },
};
enum { N = sizeof rows / sizeof rows[0] };

static const struct row identity_rows[] = {
    { "identity policy",
      "{'Effect':'Allow','Action':'kms:Decrypt','Resource':'arn:aws:kms:::key/x'" EQ(IMAGE) "}",
      "" },
    { "identity policy without a condition",
      "{'Effect':'Allow','Action':'kms:Decrypt','Resource':'arn:aws:kms:::key/x'}",
      "delegated-use@1" },
    { "identity policy for all keys",
      "{'Effect':'Allow','Action':'kms:Decrypt','Resource':'*'" EQ(IMAGE) "}", "all-keys@1" },
    { "identity policy for random bytes",
      "{'Effect':'Allow','Action':'kms:GenerateRandom','Resource':'*'}", "delegated-use@1" },
    { "identity policy for random bytes, attested",
      "{'Effect':'Allow','Action':'kms:GenerateRandom','Resource':'*'" EQ(IMAGE) "}", "" },
};
enum { N_IDENTITY = sizeof identity_rows / sizeof identity_rows[0] };

static struct policy_lint lint;

static void judge(const struct row *row, enum policy_use use)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(POLICY_MAX_BYTES), found = BUF_INIT(4096);
    AUTO(policy_freep) struct policy *p = NULL;
    struct policy_fault f = { .what = "" };

    assert_int_equal(buf_append_str(&text, "{\"Statement\":["), ERR_OK);
    for (const char *c = row->statements; *c; c++)
        assert_int_equal(buf_append_byte(&text, *c == '\'' ? '"' : (uint8_t)*c), ERR_OK);
    assert_int_equal(buf_append_str(&text, "]}"), ERR_OK);
    if (policy_parse_at(buf_view(&text), use, &p, &f) != ERR_OK)
        fail_msg("%s at %zu", f.what, f.at);
    policy_lint(p, &lint);
    for (size_t i = 0; i < lint.n; i++)
        assert_int_equal(buf_printf(&found, "%s%s@%u", i ? " " : "", lint.found[i].rule->id,
                                    lint.found[i].statement),
                         ERR_OK);
    t_assert_buf(&found, row->found);
    assert_false(lint.more);
}

static void of_key(void **state)
{
    judge(*state, POLICY_OF_KEY);
}

static void of_identity(void **state)
{
    judge(*state, POLICY_OF_IDENTITY);
}

/* What we write ourselves has no fault worth a warning. */
static void generated_is_clean(void **state)
{
    (void)state;
    static struct policy_plan plan;
    AUTO(buf_clear) struct buf text = BUF_INIT(POLICY_MAX_BYTES);
    AUTO(policy_freep) struct policy *p = NULL;

    plan.users[0] = SPAN_LIT("arn:aws:iam::111122223333:role/parent");
    plan.admins[0] = SPAN_LIT("arn:aws:iam::111122223333:role/admin");
    plan.sealers[0] = SPAN_LIT("arn:aws:iam::111122223333:role/apps/sealer");
    plan.n_users = plan.n_admins = plan.n_sealers = 1;
    plan.n_images = 2;
    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 0; k < 3; k++)
            plan.images[i].pcr[k] = A;
    plan.operations = 1U << POLICY_DECRYPT | 1U << POLICY_GENERATE_DATA_KEY;
    assert_int_equal(policy_generate(&plan, POLICY_FOR_KEY, &text, NULL), ERR_OK);
    assert_int_equal(policy_parse(buf_view(&text), POLICY_OF_KEY, &p, NULL), ERR_OK);
    policy_lint(p, &lint);
    assert_int_equal(policy_lint_worst(&lint), POLICY_NOTE);
}

/* More findings than there is room for. */
static void limit(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf text = BUF_INIT(POLICY_MAX_BYTES);
    AUTO(policy_freep) struct policy *p = NULL;

    assert_int_equal(buf_append_str(&text, "{\"Statement\":["), ERR_OK);
    for (unsigned i = 0; i < POLICY_LINT_MAX; i++)
        assert_int_equal(
            buf_printf(&text, "%s{\"Effect\":\"Deny\",\"Principal\":\"*\"}", i ? "," : ""), ERR_OK);
    assert_int_equal(buf_append_str(&text, "]}"), ERR_OK);
    assert_int_equal(policy_parse(buf_view(&text), POLICY_OF_KEY, &p, NULL), ERR_OK);
    policy_lint(p, &lint);
    assert_int_equal(lint.n, POLICY_LINT_MAX);
    assert_true(lint.more); /* lockout found no room */
}

/* Each rule is found by some row, so that none can rot; its texts are there and its id is alone. */
static void every_rule(void **state)
{
    (void)state;

    for (const struct policy_rule *r = policy_rules; r->id; r++) {
        char wanted[64];
        bool found = false;
        snprintf(wanted, sizeof wanted, "%s@", r->id);
        for (size_t i = 0; i < N + N_IDENTITY && !found; i++)
            found = strstr(i < N ? rows[i].found : identity_rows[i - N].found, wanted) != NULL;
        if (!found)
            fail_msg("no row finds %s", r->id);
        assert_true(strlen(r->what) > 0 && strlen(r->fix) > 0);
        for (const struct policy_rule *other = r + 1; other->id; other++)
            assert_string_not_equal(r->id, other->id);
    }
}

static void words(void **state)
{
    (void)state;
    unsigned pcr;

    assert_non_null(policy_action_find(SPAN_LIT("KMS:decrypt")));
    assert_null(policy_action_find(SPAN_LIT("kms:Decryp")));
    assert_null(policy_action_find(SPAN_LIT("Decrypt")));
    assert_true(policy_key_find(SPAN_LIT("kms:encryptioncontextkeys"))->multi);
    assert_false(policy_key_find(SPAN_LIT("kms:EncryptionContext:x"))->multi);
    assert_null(policy_key_find(SPAN_LIT("kms:EncryptionContext:")));
    assert_null(policy_key_find(SPAN_LIT("kms:EncryptionContext")));
    assert_non_null(policy_key_find(SPAN_LIT("aws:ResourceTag/a/b")));
    assert_non_null(policy_key_find(SPAN_LIT("kms:RecipientAttestation:PCR31")));
    assert_null(policy_key_find(SPAN_LIT("kms:RecipientAttestation:PCR32")));
    static const struct {
        const char *key;
        enum policy_register_kind kind;
        unsigned pcr;
    } cases[] = {
        { "kms:RecipientAttestation:ImageSha384", POLICY_REGISTER_ENCLAVE, 0 },
        { "KMS:recipientattestation:pcr16", POLICY_REGISTER_ENCLAVE, 16 },
        { "kms:RecipientAttestation:NitroTPMPCR7", POLICY_REGISTER_NITROTPM, 7 },
        { "kms:RecipientAttestation:PCR", POLICY_REGISTER_UNKNOWN, 0 },
        { "kms:RecipientAttestation:PCR00", POLICY_REGISTER_UNKNOWN, 0 },
        { "kms:RecipientAttestation:PCR1x", POLICY_REGISTER_UNKNOWN, 0 },
        { "kms:RecipientAttestation", POLICY_REGISTER_UNKNOWN, 0 },
        { "kms:RecipientAttestation:", POLICY_REGISTER_UNKNOWN, 0 },
        { "kms:RecipientAttestations:PCR0", POLICY_REGISTER_NONE, 0 },
        { "kms:ViaService", POLICY_REGISTER_NONE, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(policy_register_of(span_str(cases[i].key), &pcr), cases[i].kind);
        assert_int_equal(pcr, cases[i].pcr);
    }
}

int main(void)
{
    enum { OTHERS = 4 };
    static struct CMUnitTest tests[OTHERS + N + N_IDENTITY] = {
        cmocka_unit_test(generated_is_clean),
        cmocka_unit_test(limit),
        cmocka_unit_test(every_rule),
        cmocka_unit_test(words),
    };

    T_ROWS(tests + OTHERS, rows, of_key);
    T_ROWS(tests + OTHERS + N, identity_rows, of_identity);
    return cmocka_run_group_tests_name("policy_lint", tests, NULL, NULL);
}
