/* test_policy.c - what compiled policies answer: one row, one named test. */
#include "policy/policy.h"
#include "testing/t.h"

#define A     "111122223333"
#define KEY   "arn:aws:kms:us-east-1:" A ":key/1234abcd-12ab-34cd-56ef-1234567890ab"
#define ROOT  "arn:aws:iam::" A ":root"
#define ALICE "arn:aws:iam::" A ":user/alice"
#define BOB   "arn:aws:iam::" A ":user/team/bob"
#define ROLE  "arn:aws:iam::" A ":role/parent"
#define SESS  "arn:aws:sts::" A ":assumed-role/parent/i-0123"
#define OTHER "arn:aws:iam::444455556666:user/alice"
#define PCR   "kms:RecipientAttestation:PCR0"
#define HEX48                                                                                      \
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbccdd" \
    "eeff"
#define HEX48_UPPER                                                                                \
    "00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDD" \
    "EEFF"
#define ZEROS                                                                                      \
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" \
    "0000"

#define DOC(st) "{\"Version\":\"2012-10-17\",\"Statement\":[" st "]}"
#define AWS(p)  "{\"AWS\":\"" p "\"}"
#define ST(effect, principal, rest)                                                                \
    "{\"Effect\":\"" effect "\",\"Principal\":" principal ",\"Resource\":\"*\"," rest "}"
#define ACT(a)              "\"Action\":\"" a "\""
#define IF(c)               ",\"Condition\":{" c "}"
#define OP(op, key, values) "\"" op "\":{\"" key "\":" values "}"
#define ALLOW(p, a)         ST("Allow", p, ACT(a))
#define DENY(p, a)          ST("Deny", p, ACT(a))
#define ALLOW_IF(c)         ST("Allow", "\"*\"", ACT("kms:Decrypt") IF(c))
#define DENY_IF(c)          ST("Deny", "\"*\"", ACT("kms:Decrypt") IF(c))
#define NOT(a, b)                                                                                  \
    "{\"Effect\":\"Deny\",\"NotPrincipal\":{\"AWS\":[\"" a "\",\"" b "\"]},\"Action\":\"kms:*\","  \
    "\"Resource\":\"*\"}"
#define EVERYONE ALLOW("\"*\"", "kms:*")

/* What the request context holds. */
enum facts { PLAIN, ATTESTED, DEBUG_ENCLAVE, CONTEXT };

struct row {
    const char *name, *doc, *caller, *action;
    enum facts facts;
    enum policy_answer answer;
    unsigned statement; /* that decided */
    enum policy_miss miss;
};

#define D "kms:Decrypt"
static struct row rows[] = {
    /* principals */
    { "star as text", DOC(ALLOW("\"*\"", D)), ALICE, D, PLAIN, POLICY_ALLOW, 1, 0 },
    { "star under AWS", DOC(ALLOW(AWS("*"), D)), OTHER, D, PLAIN, POLICY_ALLOW, 1, 0 },
    { "user by ARN", DOC(ALLOW(AWS(ALICE), D)), ALICE, D, PLAIN, POLICY_ALLOW, 1, 0 },
    { "user with a path", DOC(ALLOW(AWS(BOB), D)), BOB, D, PLAIN, POLICY_ALLOW, 1, 0 },
    { "another user", DOC(ALLOW(AWS(ALICE), D)), BOB, D, PLAIN, POLICY_SILENT, 0,
      POLICY_MISS_PRINCIPAL },
    { "same name in another account", DOC(ALLOW(AWS(ALICE), D)), OTHER, D, PLAIN, POLICY_SILENT, 0,
      POLICY_MISS_PRINCIPAL },
    { "several principals", DOC(ALLOW("{\"AWS\":[\"" BOB "\",\"" ALICE "\"]}", D)), ALICE, D, PLAIN,
      POLICY_ALLOW, 1, 0 },
    { "account by root ARN delegates", DOC(ALLOW(AWS(ROOT), D)), ALICE, D, PLAIN, POLICY_DELEGATE,
      1, 0 },
    { "account by number delegates", DOC(ALLOW(AWS(A), D)), ALICE, D, PLAIN, POLICY_DELEGATE, 1,
      0 },
    { "account by number, another", DOC(ALLOW(AWS("444455556666"), D)), ALICE, D, PLAIN,
      POLICY_SILENT, 0, POLICY_MISS_PRINCIPAL },
    { "account is the root user itself", DOC(ALLOW(AWS(ROOT), D)), ROOT, D, PLAIN, POLICY_ALLOW, 1,
      0 },
    { "account of another partition", DOC(ALLOW(AWS("arn:aws-cn:iam::" A ":root"), D)), ALICE, D,
      PLAIN, POLICY_SILENT, 0, POLICY_MISS_PRINCIPAL },
    { "role stands for its sessions", DOC(ALLOW(AWS(ROLE), D)), SESS, D, PLAIN, POLICY_ALLOW, 1,
      0 },
    { "role with a path stands for its sessions",
      DOC(ALLOW(AWS("arn:aws:iam::" A ":role/service/ec2/parent"), D)), SESS, D, PLAIN,
      POLICY_ALLOW, 1, 0 },
    { "role of another name", DOC(ALLOW(AWS("arn:aws:iam::" A ":role/parents"), D)), SESS, D, PLAIN,
      POLICY_SILENT, 0, POLICY_MISS_PRINCIPAL },
    { "role of another account", DOC(ALLOW(AWS("arn:aws:iam::444455556666:role/parent"), D)), SESS,
      D, PLAIN, POLICY_SILENT, 0, POLICY_MISS_PRINCIPAL },
    { "a user is no role", DOC(ALLOW(AWS("arn:aws:iam::" A ":user/parent"), D)), SESS, D, PLAIN,
      POLICY_SILENT, 0, POLICY_MISS_PRINCIPAL },
    { "session by its ARN", DOC(ALLOW(AWS(SESS), D)), SESS, D, PLAIN, POLICY_ALLOW, 1, 0 },
    { "another session", DOC(ALLOW(AWS("arn:aws:sts::" A ":assumed-role/parent/i-9999"), D)), SESS,
      D, PLAIN, POLICY_SILENT, 0, POLICY_MISS_PRINCIPAL },
    { "account delegates to a session", DOC(ALLOW(AWS(A), D)), SESS, D, PLAIN, POLICY_DELEGATE, 1,
      0 },
    { "service is nobody here", DOC(ALLOW("{\"Service\":\"ec2.amazonaws.com\"}", D)), ALICE, D,
      PLAIN, POLICY_SILENT, 0, POLICY_MISS_PRINCIPAL },
    { "federated is nobody here",
      DOC(ALLOW("{\"Federated\":\"cognito-identity.amazonaws.com\"}", D)), ALICE, D, PLAIN,
      POLICY_SILENT, 0, POLICY_MISS_PRINCIPAL },
    { "service beside a user",
      DOC(ALLOW("{\"Service\":\"ec2.amazonaws.com\",\"AWS\":\"" ALICE "\"}", D)), ALICE, D, PLAIN,
      POLICY_ALLOW, 1, 0 },
    { "deleted user is nobody", DOC(ALLOW(AWS("AIDAEXAMPLEEXAMPLEEX"), D)), ALICE, D, PLAIN,
      POLICY_SILENT, 0, POLICY_MISS_PRINCIPAL },
    { "NotPrincipal excepts whom it names with his account", DOC(EVERYONE "," NOT(ALICE, ROOT)),
      ALICE, D, PLAIN, POLICY_ALLOW, 1, 0 },
    { "NotPrincipal excepts nobody without his account", DOC(EVERYONE "," NOT(ALICE, BOB)), ALICE,
      D, PLAIN, POLICY_DENY, 2, 0 },
    { "NotPrincipal denies the others", DOC(EVERYONE "," NOT(ALICE, ROOT)), BOB, D, PLAIN,
      POLICY_DENY, 2, 0 },
    { "NotPrincipal with the account excepts no user of it", DOC(EVERYONE "," NOT(A, ROOT)), BOB, D,
      PLAIN, POLICY_DENY, 2, 0 },
    { "NotPrincipal with a role excepts its sessions", DOC(EVERYONE "," NOT(ROLE, A)), SESS, D,
      PLAIN, POLICY_ALLOW, 1, 0 },
    { "NotPrincipal with the account of somebody else",
      DOC(EVERYONE "," NOT(ALICE, "444455556666")), ALICE, D, PLAIN, POLICY_DENY, 2, 0 },
    /* actions */
    { "action exactly", DOC(ALLOW("\"*\"", D)), ALICE, D, PLAIN, POLICY_ALLOW, 1, 0 },
    { "action ignores case", DOC(ALLOW("\"*\"", "KMS:dEcRyPt")), ALICE, D, PLAIN, POLICY_ALLOW, 1,
      0 },
    { "action by star", DOC(ALLOW("\"*\"", "kms:*")), ALICE, D, PLAIN, POLICY_ALLOW, 1, 0 },
    { "every action of every service", DOC(ALLOW("\"*\"", "*")), ALICE, D, PLAIN, POLICY_ALLOW, 1,
      0 },
    { "action by prefix", DOC(ALLOW("\"*\"", "kms:De*")), ALICE, D, PLAIN, POLICY_ALLOW, 1, 0 },
    { "action by question marks", DOC(ALLOW("\"*\"", "kms:Decryp?")), ALICE, D, PLAIN, POLICY_ALLOW,
      1, 0 },
    { "question mark is one character", DOC(ALLOW("\"*\"", "kms:Decrypt?")), ALICE, D, PLAIN,
      POLICY_SILENT, 0, POLICY_MISS_ACTION },
    { "another action", DOC(ALLOW("\"*\"", "kms:Encrypt")), ALICE, D, PLAIN, POLICY_SILENT, 0,
      POLICY_MISS_ACTION },
    { "prefix is no match", DOC(ALLOW("\"*\"", "kms:Decr")), ALICE, D, PLAIN, POLICY_SILENT, 0,
      POLICY_MISS_ACTION },
    { "action of another service", DOC(ALLOW("\"*\"", "s3:*")), ALICE, D, PLAIN, POLICY_SILENT, 0,
      POLICY_MISS_ACTION },
    { "GenerateDataKeyWithoutPlaintext is not GenerateDataKey",
      DOC(ALLOW("\"*\"", "kms:GenerateDataKeyWithoutPlaintext")), ALICE, "kms:GenerateDataKey",
      PLAIN, POLICY_SILENT, 0, POLICY_MISS_ACTION },
    { "several actions", DOC(ST("Allow", "\"*\"", "\"Action\":[\"kms:Encrypt\",\"kms:Decrypt\"]")),
      ALICE, D, PLAIN, POLICY_ALLOW, 1, 0 },
    { "NotAction allows the others", DOC(ST("Allow", "\"*\"", "\"NotAction\":\"kms:Encrypt\"")),
      ALICE, D, PLAIN, POLICY_ALLOW, 1, 0 },
    { "NotAction keeps out the named", DOC(ST("Allow", "\"*\"", "\"NotAction\":\"kms:Decrypt\"")),
      ALICE, D, PLAIN, POLICY_SILENT, 0, POLICY_MISS_ACTION },
    { "Deny with NotAction", DOC(EVERYONE "," ST("Deny", "\"*\"", "\"NotAction\":\"kms:Encrypt\"")),
      ALICE, D, PLAIN, POLICY_DENY, 2, 0 },
    { "statement without Action has no effect",
      DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Resource\":\"*\"}"), ALICE, D, PLAIN,
      POLICY_SILENT, 0, POLICY_MISS_ACTION },
    /* resources */
    { "resource by ARN",
      DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"kms:*\",\"Resource\":\"" KEY
          "\"}"),
      ALICE, D, PLAIN, POLICY_ALLOW, 1, 0 },
    { "resource by pattern",
      DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"kms:*\",\"Resource\":"
          "\"arn:aws:kms:*:" A ":key/*\"}"),
      ALICE, D, PLAIN, POLICY_ALLOW, 1, 0 },
    { "resource is case-sensitive",
      DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"kms:*\",\"Resource\":"
          "\"arn:aws:KMS:*:" A ":key/*\"}"),
      ALICE, D, PLAIN, POLICY_SILENT, 0, POLICY_MISS_RESOURCE },
    { "another resource",
      DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"kms:*\",\"Resource\":"
          "\"arn:aws:kms:eu-west-1:" A ":key/*\"}"),
      ALICE, D, PLAIN, POLICY_SILENT, 0, POLICY_MISS_RESOURCE },
    { "NotResource keeps out the named",
      DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"kms:*\",\"NotResource\":\"" KEY
          "\"}"),
      ALICE, D, PLAIN, POLICY_SILENT, 0, POLICY_MISS_RESOURCE },
    { "statement without Resource has no effect",
      DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"kms:*\"}"), ALICE, D, PLAIN,
      POLICY_SILENT, 0, POLICY_MISS_RESOURCE },
    /* effects and their order */
    { "nothing matches", DOC(DENY("\"*\"", "kms:Encrypt")), ALICE, D, PLAIN, POLICY_SILENT, 0, 0 },
    { "deny after allow", DOC(EVERYONE "," DENY(AWS(ALICE), D)), ALICE, D, PLAIN, POLICY_DENY, 2,
      0 },
    { "deny before allow", DOC(DENY(AWS(ALICE), D) "," EVERYONE), ALICE, D, PLAIN, POLICY_DENY, 1,
      0 },
    { "deny for somebody else", DOC(EVERYONE "," DENY(AWS(ALICE), D)), BOB, D, PLAIN, POLICY_ALLOW,
      1, 0 },
    { "deny for the account is for its users", DOC(EVERYONE "," DENY(AWS(A), D)), BOB, D, PLAIN,
      POLICY_DENY, 2, 0 },
    { "direct allow beats delegation", DOC(ALLOW(AWS(A), D) "," ALLOW(AWS(ALICE), D)), ALICE, D,
      PLAIN, POLICY_ALLOW, 2, 0 },
    { "delegation after direct allow", DOC(ALLOW(AWS(ALICE), D) "," ALLOW(AWS(A), D)), ALICE, D,
      PLAIN, POLICY_ALLOW, 1, 0 },
    { "one statement without a list", "{\"Statement\":" ALLOW("\"*\"", D) "}", ALICE, D, PLAIN,
      POLICY_ALLOW, 1, 0 },
    { "old version", "{\"Version\":\"2008-10-17\",\"Statement\":" ALLOW("\"*\"", D) "}", ALICE, D,
      PLAIN, POLICY_ALLOW, 1, 0 },
    /* attestation */
    { "StringEquals on PCR0, attested", DOC(ALLOW_IF(OP("StringEquals", PCR, "\"" HEX48 "\""))),
      ALICE, D, ATTESTED, POLICY_ALLOW, 1, 0 },
    { "StringEquals heeds case", DOC(ALLOW_IF(OP("StringEquals", PCR, "\"" HEX48_UPPER "\""))),
      ALICE, D, ATTESTED, POLICY_SILENT, 0, POLICY_MISS_CONDITION },
    { "StringEqualsIgnoreCase does not",
      DOC(ALLOW_IF(OP("StringEqualsIgnoreCase", PCR, "\"" HEX48_UPPER "\""))), ALICE, D, ATTESTED,
      POLICY_ALLOW, 1, 0 },
    { "ImageSha384 is PCR0",
      DOC(ALLOW_IF(
          OP("StringEqualsIgnoreCase", "kms:RecipientAttestation:ImageSha384", "\"" HEX48 "\""))),
      ALICE, D, ATTESTED, POLICY_ALLOW, 1, 0 },
    { "condition key ignores case",
      DOC(ALLOW_IF(OP("StringEquals", "KMS:recipientattestation:pcr0", "\"" HEX48 "\""))), ALICE, D,
      ATTESTED, POLICY_ALLOW, 1, 0 },
    { "0x is not stripped", DOC(ALLOW_IF(OP("StringEqualsIgnoreCase", PCR, "\"0x" HEX48 "\""))),
      ALICE, D, ATTESTED, POLICY_SILENT, 0, POLICY_MISS_CONDITION },
    { "without attestation", DOC(ALLOW_IF(OP("StringEqualsIgnoreCase", PCR, "\"" HEX48 "\""))),
      ALICE, D, PLAIN, POLICY_SILENT, 0, POLICY_MISS_CONDITION },
    { "debug enclave has other values",
      DOC(ALLOW_IF(OP("StringEqualsIgnoreCase", PCR, "\"" HEX48 "\""))), ALICE, D, DEBUG_ENCLAVE,
      POLICY_SILENT, 0, POLICY_MISS_CONDITION },
    { "zeros let every debug enclave in",
      DOC(ALLOW_IF(OP("StringEqualsIgnoreCase", PCR, "\"" ZEROS "\""))), ALICE, D, DEBUG_ENCLAVE,
      POLICY_ALLOW, 1, 0 },
    { "a register that is not in the document",
      DOC(ALLOW_IF(
          OP("StringEqualsIgnoreCase", "kms:RecipientAttestation:PCR16", "\"" HEX48 "\""))),
      ALICE, D, ATTESTED, POLICY_SILENT, 0, POLICY_MISS_CONDITION },
    { "one of several values",
      DOC(ALLOW_IF(OP("StringEqualsIgnoreCase", PCR, "[\"" ZEROS "\",\"" HEX48 "\"]"))), ALICE, D,
      ATTESTED, POLICY_ALLOW, 1, 0 },
    { "two keys are both needed",
      DOC(ALLOW_IF("\"StringEquals\":{\"" PCR "\":\"" HEX48
                   "\",\"kms:RecipientAttestation:PCR8\":\"" ZEROS "\"}")),
      ALICE, D, ATTESTED, POLICY_SILENT, 0, POLICY_MISS_CONDITION },
    { "two operators are both needed",
      DOC(ALLOW_IF(OP("StringEquals", PCR, "\"" HEX48 "\"") "," OP(
          "Null", "kms:RecipientAttestation:PCR8", "\"true\""))),
      ALICE, D, ATTESTED, POLICY_ALLOW, 1, 0 },
    { "there is no key kms:RecipientAttestation",
      DOC(ALLOW_IF(OP("Null", "kms:RecipientAttestation", "\"false\""))), ALICE, D, ATTESTED,
      POLICY_SILENT, 0, POLICY_MISS_CONDITION },
    { "Null true without attestation", DOC(ALLOW_IF(OP("Null", PCR, "\"true\""))), ALICE, D, PLAIN,
      POLICY_ALLOW, 1, 0 },
    { "Null true with attestation", DOC(ALLOW_IF(OP("Null", PCR, "\"true\""))), ALICE, D, ATTESTED,
      POLICY_SILENT, 0, POLICY_MISS_CONDITION },
    { "Null false with attestation", DOC(ALLOW_IF(OP("Null", PCR, "false"))), ALICE, D, ATTESTED,
      POLICY_ALLOW, 1, 0 },
    { "Null of both", DOC(ALLOW_IF(OP("Null", PCR, "[true,false]"))), ALICE, D, PLAIN, POLICY_ALLOW,
      1, 0 },
    { "deny unless attested, not attested",
      DOC(EVERYONE "," DENY_IF(OP("StringNotEqualsIgnoreCase", PCR, "\"" HEX48 "\""))), ALICE, D,
      PLAIN, POLICY_DENY, 2, 0 },
    { "deny unless attested, attested",
      DOC(EVERYONE "," DENY_IF(OP("StringNotEqualsIgnoreCase", PCR, "\"" HEX48_UPPER "\""))), ALICE,
      D, ATTESTED, POLICY_ALLOW, 1, 0 },
    { "deny unless attested, another image",
      DOC(EVERYONE "," DENY_IF(OP("StringNotEqualsIgnoreCase", PCR, "\"" HEX48 "\""))), ALICE, D,
      DEBUG_ENCLAVE, POLICY_DENY, 2, 0 },
    { "StringNotEquals heeds case",
      DOC(EVERYONE "," DENY_IF(OP("StringNotEquals", PCR, "\"" HEX48_UPPER "\""))), ALICE, D,
      ATTESTED, POLICY_DENY, 2, 0 },
    { "negated: none of several may match",
      DOC(ALLOW_IF(OP("StringNotEquals", PCR, "[\"x\",\"" HEX48 "\"]"))), ALICE, D, ATTESTED,
      POLICY_SILENT, 0, POLICY_MISS_CONDITION },
    { "deny if Null", DOC(EVERYONE "," DENY_IF(OP("Null", PCR, "\"true\""))), ALICE, D, PLAIN,
      POLICY_DENY, 2, 0 },
    { "deny with a positive operator needs the key",
      DOC(EVERYONE "," DENY_IF(OP("StringEquals", PCR, "\"" ZEROS "\""))), ALICE, D, PLAIN,
      POLICY_ALLOW, 1, 0 },
    { "IfExists makes absence match",
      DOC(ALLOW_IF(OP("StringEqualsIfExists", PCR, "\"" HEX48 "\""))), ALICE, D, PLAIN,
      POLICY_ALLOW, 1, 0 },
    { "IfExists with the key compares",
      DOC(ALLOW_IF(OP("StringEqualsIfExists", PCR, "\"" HEX48 "\""))), ALICE, D, DEBUG_ENCLAVE,
      POLICY_SILENT, 0, POLICY_MISS_CONDITION },
    { "IgnoreCaseIfExists",
      DOC(ALLOW_IF(OP("StringEqualsIgnoreCaseIfExists", PCR, "\"" HEX48_UPPER "\""))), ALICE, D,
      ATTESTED, POLICY_ALLOW, 1, 0 },
    { "NotEqualsIfExists", DOC(ALLOW_IF(OP("StringNotEqualsIfExists", PCR, "\"" HEX48 "\""))),
      ALICE, D, PLAIN, POLICY_ALLOW, 1, 0 },
    { "StringLike", DOC(ALLOW_IF(OP("StringLike", PCR, "\"00112233*eeff\""))), ALICE, D, ATTESTED,
      POLICY_ALLOW, 1, 0 },
    { "StringLike heeds case", DOC(ALLOW_IF(OP("StringLike", PCR, "\"00112233*EEFF\""))), ALICE, D,
      ATTESTED, POLICY_SILENT, 0, POLICY_MISS_CONDITION },
    { "StringLike star needs the key", DOC(ALLOW_IF(OP("StringLike", PCR, "\"*\""))), ALICE, D,
      PLAIN, POLICY_SILENT, 0, POLICY_MISS_CONDITION },
    { "StringNotLike", DOC(ALLOW_IF(OP("StringNotLike", PCR, "\"0000*\""))), ALICE, D, ATTESTED,
      POLICY_ALLOW, 1, 0 },
    { "StringNotLike without the key", DOC(ALLOW_IF(OP("StringNotLike", PCR, "\"0000*\""))), ALICE,
      D, PLAIN, POLICY_ALLOW, 1, 0 },
    { "StringNotLike heeds case",
      DOC(ALLOW_IF(OP("StringNotLike", "kms:EncryptionContext:app", "\"D*\""))), ALICE, D, CONTEXT,
      POLICY_ALLOW, 1, 0 },
    { "StringLikeIfExists", DOC(ALLOW_IF(OP("StringLikeIfExists", PCR, "\"x*\""))), ALICE, D, PLAIN,
      POLICY_ALLOW, 1, 0 },
    { "StringEquals takes a star for a star", DOC(ALLOW_IF(OP("StringEquals", PCR, "\"*\""))),
      ALICE, D, ATTESTED, POLICY_SILENT, 0, POLICY_MISS_CONDITION },
    /* other keys */
    { "Bool as text", DOC(ALLOW_IF(OP("Bool", "aws:SecureTransport", "\"true\""))), ALICE, D,
      CONTEXT, POLICY_ALLOW, 1, 0 },
    { "Bool as a literal", DOC(ALLOW_IF(OP("Bool", "aws:SecureTransport", "true"))), ALICE, D,
      CONTEXT, POLICY_ALLOW, 1, 0 },
    { "Bool with a capital", DOC(ALLOW_IF(OP("Bool", "aws:SecureTransport", "\"True\""))), ALICE, D,
      CONTEXT, POLICY_ALLOW, 1, 0 },
    { "Null with a capital", DOC(ALLOW_IF(OP("Null", PCR, "\"False\""))), ALICE, D, ATTESTED,
      POLICY_ALLOW, 1, 0 },
    { "Bool false", DOC(ALLOW_IF(OP("Bool", "aws:SecureTransport", "\"False\""))), ALICE, D,
      CONTEXT, POLICY_SILENT, 0, POLICY_MISS_CONDITION },
    { "Bool without the key", DOC(ALLOW_IF(OP("Bool", "aws:SecureTransport", "\"true\""))), ALICE,
      D, PLAIN, POLICY_SILENT, 0, POLICY_MISS_CONDITION },
    { "BoolIfExists", DOC(ALLOW_IF(OP("BoolIfExists", "aws:SecureTransport", "\"true\""))), ALICE,
      D, PLAIN, POLICY_ALLOW, 1, 0 },
    { "encryption context value",
      DOC(ALLOW_IF(OP("StringEquals", "kms:EncryptionContext:app", "\"demo\""))), ALICE, D, CONTEXT,
      POLICY_ALLOW, 1, 0 },
    { "encryption context, another value",
      DOC(ALLOW_IF(OP("StringEquals", "kms:EncryptionContext:app", "\"Demo\""))), ALICE, D, CONTEXT,
      POLICY_SILENT, 0, POLICY_MISS_CONDITION },
    { "one value of a list matches",
      DOC(ALLOW_IF(OP("StringEquals", "kms:EncryptionContextKeys", "\"tenant\""))), ALICE, D,
      CONTEXT, POLICY_ALLOW, 1, 0 },
    { "negated, over a list",
      DOC(ALLOW_IF(OP("StringNotEquals", "kms:EncryptionContextKeys", "\"tenant\""))), ALICE, D,
      CONTEXT, POLICY_SILENT, 0, POLICY_MISS_CONDITION },
    { "unknown key is absent", DOC(ALLOW_IF(OP("StringEquals", "aws:NoSuchKey", "\"x\""))), ALICE,
      D, CONTEXT, POLICY_SILENT, 0, POLICY_MISS_CONDITION },
    { "empty Condition", DOC(ST("Allow", "\"*\"", ACT(D) ",\"Condition\":{}")), ALICE, D, PLAIN,
      POLICY_ALLOW, 1, 0 },
    /* what came nearest */
    { "nearest is the failing condition",
      DOC(ALLOW(AWS(BOB), D) "," ALLOW("\"*\"", "kms:Sign") "," ALLOW_IF(
          OP("StringEquals", PCR, "\"" HEX48 "\""))),
      ALICE, D, PLAIN, POLICY_SILENT, 0, POLICY_MISS_CONDITION },
    { "delegation keeps the nearest, too",
      DOC(ALLOW(AWS(A), D) "," ALLOW_IF(OP("StringEquals", PCR, "\"" HEX48 "\""))), ALICE, D, PLAIN,
      POLICY_DELEGATE, 1, POLICY_MISS_CONDITION },
};

static const struct span hex48 = SPAN_INIT(HEX48), zeros = SPAN_INIT(ZEROS),
                         demo = SPAN_INIT("demo"), yes = SPAN_INIT("true");
static const struct span context_keys[] = { SPAN_INIT("app"), SPAN_INIT("tenant") };
static const struct policy_fact attested[] = {
    { SPAN_INIT("kms:CallerAccount"), &demo, 1 },
    { SPAN_INIT(PCR), &hex48, 1 },
    { SPAN_INIT("kms:RecipientAttestation:ImageSha384"), &hex48, 1 },
};
static const struct policy_fact debug_enclave[] = { { SPAN_INIT(PCR), &zeros, 1 } };
static const struct policy_fact context[] = {
    { SPAN_INIT("aws:SecureTransport"), &yes, 1 },
    { SPAN_INIT("kms:EncryptionContext:app"), &demo, 1 },
    { SPAN_INIT("kms:EncryptionContextKeys"), context_keys, 2 },
};

static const struct {
    const struct policy_fact *facts;
    size_t n;
} fact_sets[] = {
    [PLAIN] = { NULL, 0 },
    [ATTESTED] = { attested, 3 },
    [DEBUG_ENCLAVE] = { debug_enclave, 1 },
    [CONTEXT] = { context, 3 },
};

static struct policy_verdict evaluate(const struct policy *p, const char *caller,
                                      const char *action, enum facts facts, bool lasting)
{
    struct policy_caller who;
    struct policy_verdict v;

    assert_int_equal(policy_caller_parse(span_str(caller), &who), ERR_OK);
    const struct policy_request rq = {
        .caller = &who,
        .action = span_str(action),
        .resource = SPAN_LIT(KEY),
        .facts = fact_sets[facts].facts,
        .n_facts = fact_sets[facts].n,
        .lasting = lasting,
    };
    policy_evaluate(p, &rq, &v);
    return v;
}

static void answers(void **state)
{
    const struct row *row = *state;
    AUTO(policy_freep) struct policy *p = NULL;
    struct span text = t_copy(span_str(row->doc));
    AUTO(buf_clear) struct buf line = BUF_INIT(16384);

    assert_int_equal(policy_parse(text, POLICY_OF_KEY, &p, NULL), ERR_OK);
    t_free(text);
    struct policy_verdict v = evaluate(p, row->caller, row->action, row->facts, false);
    assert_int_equal(v.answer, row->answer);
    assert_int_equal(v.decided.statement, row->statement);
    assert_int_equal(v.nearest.miss, row->miss);
    assert_int_equal(v.nearest.op != NULL, row->miss == POLICY_MISS_CONDITION);
    assert_int_equal(policy_explain(&v, &line), ERR_OK);
    assert_true(line.len > 0);
}

static void explains(void **state)
{
    (void)state;
    static const char doc[] =
        DOC("{\"Sid\":\"the enclave\",\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"" D
            "\",\"Resource\":\"*\"" IF(OP("StringEquals", PCR, "[\"aa\",\"bb\"]")) "}," DENY_IF(
                OP("StringNotEqualsIfExists", "kms:EncryptionContext:app", "\"demo\"")));
    AUTO(policy_freep) struct policy *p = NULL;
    AUTO(buf_clear) struct buf line = BUF_INIT(1024);

    assert_int_equal(policy_parse(span_str(doc), POLICY_OF_KEY, &p, NULL), ERR_OK);
    struct policy_verdict v = evaluate(p, ALICE, D, CONTEXT, false);
    assert_int_equal(policy_explain(&v, &line), ERR_OK);
    t_assert_buf(&line,
                 "no statement allows it; nearest is statement 1 \"the enclave\", which fails "
                 "on StringEquals " PCR ": request has no such key, policy has [\"aa\", \"bb\"]");
    buf_reset(&line);
    v = evaluate(p, ALICE, D, ATTESTED, false);
    assert_int_equal(policy_explain(&v, &line), ERR_OK);
    t_assert_buf(&line,
                 "denied by statement 2 because of StringNotEqualsIfExists "
                 "kms:EncryptionContext:app: request has no such key, policy has [\"demo\"]");
}

/* For the lockout check an Allow under a condition is none, a denial stays one. */
static void lasting(void **state)
{
    (void)state;
    static const char doc[] = DOC(ALLOW_IF(OP("Null", PCR, "\"true\"")));
    static const char denied[] = DOC(EVERYONE "," DENY_IF(OP("Null", PCR, "\"true\"")));
    AUTO(policy_freep) struct policy *p = NULL, *q = NULL;

    assert_int_equal(policy_parse(span_str(doc), POLICY_OF_KEY, &p, NULL), ERR_OK);
    assert_int_equal(evaluate(p, ALICE, D, PLAIN, false).answer, POLICY_ALLOW);
    struct policy_verdict v = evaluate(p, ALICE, D, PLAIN, true);
    assert_int_equal(v.answer, POLICY_SILENT);
    assert_int_equal(v.nearest.miss, POLICY_MISS_LASTING);
    assert_int_equal(policy_parse(span_str(denied), POLICY_OF_KEY, &q, NULL), ERR_OK);
    assert_int_equal(evaluate(q, ALICE, D, PLAIN, true).answer, POLICY_DENY);
    assert_int_equal(evaluate(q, ALICE, D, ATTESTED, true).answer, POLICY_ALLOW);
}

static void globs(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool match;
    } cases[] = {
        { "", "", true },         { "", "a", false },       { "*", "", true },
        { "*", "abc", true },     { "?", "", false },       { "?", "a", true },
        { "a*c", "abbbc", true }, { "a*c", "abcd", false }, { "*a*b*", "xxaxxbxx", true },
        { "*ab", "aab", true },   { "**", "", true },       { "a*b*c", "abcbc", true },
        { "a?c", "ac", false },   { "A", "a", false },      { "[a]", "a", false },
        { "\\*", "*", false },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct span pattern = t_copy(span_str(cases[i].pattern));
        struct span text = t_copy(span_str(cases[i].text));
        assert_int_equal(policy_glob(pattern, text, false), cases[i].match);
        t_free(pattern);
        t_free(text);
    }
    assert_true(policy_glob(SPAN_LIT("A*z"), SPAN_LIT("abZ"), true));
    /* Letters only: these are 32 apart, too. */
    assert_false(policy_glob(SPAN_LIT("@"), SPAN_LIT("`"), true));
    assert_false(policy_glob(SPAN_LIT("["), SPAN_LIT("{"), true));
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0], OTHERS = 3 };
    static struct CMUnitTest tests[N + OTHERS] = {
        cmocka_unit_test(explains),
        cmocka_unit_test(lasting),
        cmocka_unit_test(globs),
    };

    T_ROWS(tests + OTHERS, rows, answers);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
