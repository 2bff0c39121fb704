/* test_rows_enclave.c - policies as people write them for enclaves, and calls as they come. */
#include "policy/test_rows.h"

#define HEX16  "00112233445566778899aabbccddeeff"
#define A      HEX16 HEX16 HEX16
#define B      "ffeeddccbbaa99887766554433221100" HEX16 HEX16
#define ZERO16 "00000000000000000000000000000000"
#define ZERO   ZERO16 ZERO16 ZERO16
#define PCR(n) "kms:RecipientAttestation:PCR" #n
#define IMAGE  "kms:RecipientAttestation:ImageSha384"

#define ASK(n, v) "'" PCR(n) "':'" v "'"
#define USE(c)                                                                                     \
    ST("Allow", AWS(ROLE), "['kms:Decrypt','kms:GenerateDataKey']",                                \
       IF("'StringEqualsIgnoreCase':{" c "}"))
#define MANAGE ST("Allow", AWS(ALICE), "['kms:PutKeyPolicy','kms:Encrypt','kms:DescribeKey']", "")
#define BELT                                                                                       \
    ST("Deny", "'*'", "['kms:Decrypt','kms:CreateGrant','kms:ReEncryptFrom']",                     \
       IF("'StringNotEqualsIgnoreCase':{'" PCR(0) "':['" A "','" B "']}"))
/* The reference's minimal policy. */
#define MINIMAL MANAGE "," USE(ASK(0, A) "," ASK(8, A)) "," BELT
#define ROLLOUT MANAGE "," USE(ASK(0, A) "," ASK(1, A)) "," USE(ASK(0, B) "," ASK(1, B)) "," BELT

#define DOC(pcr0, pcr8) PCR(0) "=" pcr0 "; " IMAGE "=" pcr0 "; " PCR(8) "=" pcr8
#define TWO(pcr0, pcr1) PCR(0) "=" pcr0 "; " IMAGE "=" pcr0 "; " PCR(1) "=" pcr1
#define CTX(k, v)       "kms:EncryptionContext:" k "=" v "; kms:EncryptionContextKeys=" k

static const struct rows_row rows[] = {
    { "the enclave decrypts", MINIMAL, SESSION, "kms:Decrypt", DOC(A, A), "allow 2" },
    { "and makes data keys", MINIMAL, SESSION, "kms:GenerateDataKey", DOC(A, A), "allow 2" },
    { "not without attestation", MINIMAL, SESSION, "kms:Decrypt", "",
      "deny 3 StringNotEqualsIgnoreCase " PCR(0) },
    { "nor data keys, which the denial leaves out", MINIMAL, SESSION, "kms:GenerateDataKey", "",
      "silent 2 StringEqualsIgnoreCase " PCR(0) },
    { "not another image", MINIMAL, SESSION, "kms:Decrypt", DOC(ZERO, A),
      "deny 3 StringNotEqualsIgnoreCase " PCR(0) },
    { "not another signer", MINIMAL, SESSION, "kms:Decrypt", DOC(A, B),
      "silent 2 StringEqualsIgnoreCase " PCR(8) },
    { "not an unsigned image", MINIMAL, SESSION, "kms:Decrypt", DOC(A, ZERO),
      "silent 2 StringEqualsIgnoreCase " PCR(8) },
    { "not a document without PCR8", MINIMAL, SESSION, "kms:Decrypt", PCR(0) "=" A,
      "silent 2 StringEqualsIgnoreCase " PCR(8) },
    { "not another principal with the image", MINIMAL, BOB, "kms:Decrypt", DOC(A, A),
      "silent principal 2" },
    { "not the administrator", MINIMAL, ALICE, "kms:Decrypt", "",
      "deny 3 StringNotEqualsIgnoreCase " PCR(0) },
    { "not the administrator with the image", MINIMAL, ALICE, "kms:Decrypt", DOC(A, A),
      "silent principal 2" },
    { "the administrator administers", MINIMAL, ALICE, "kms:PutKeyPolicy", "", "allow 1" },
    { "the enclave does not", MINIMAL, SESSION, "kms:PutKeyPolicy", "", "silent principal 1" },
    { "nobody makes grants", MINIMAL, ALICE, "kms:CreateGrant", "",
      "deny 3 StringNotEqualsIgnoreCase " PCR(0) },
    { "nobody moves ciphertexts away", MINIMAL, SESSION, "kms:ReEncryptFrom", "",
      "deny 3 StringNotEqualsIgnoreCase " PCR(0) },
    { "Sign is in no statement", MINIMAL, SESSION, "kms:Sign", DOC(A, A), "silent action 1" },
    { "roll-out: the old image", ROLLOUT, SESSION, "kms:Decrypt", TWO(A, A), "allow 2" },
    { "roll-out: the new image", ROLLOUT, SESSION, "kms:Decrypt", TWO(B, B), "allow 3" },
    { "roll-out: registers of both", ROLLOUT, SESSION, "kms:Decrypt", TWO(A, B),
      "silent 2 StringEqualsIgnoreCase " PCR(1) },
    { "roll-out: neither", ROLLOUT, SESSION, "kms:Decrypt", TWO(ZERO, ZERO),
      "deny 4 StringNotEqualsIgnoreCase " PCR(0) },
    { "ImageSha384 is PCR0", USE("'" IMAGE "':'" A "'"), SESSION, "kms:Decrypt", DOC(A, A),
      "allow 1" },
    { "a debug enclave under zeros", USE(ASK(0, ZERO)), SESSION, "kms:Decrypt", DOC(ZERO, ZERO),
      "allow 1" },
    { "PCR3 alone lets a debug enclave in", USE(ASK(3, A)), SESSION, "kms:Decrypt",
      DOC(ZERO, ZERO) "; " PCR(3) "=" A, "allow 1" },
    { "PCR16 before it was locked", USE(ASK(16, A)), SESSION, "kms:Decrypt", DOC(A, A),
      "silent 1 StringEqualsIgnoreCase " PCR(16) },
    { "PCR16 after", USE(ASK(16, A)), SESSION, "kms:Decrypt", DOC(A, A) "; " PCR(16) "=" A,
      "allow 1" },
    { "0x in front matches nothing", USE(ASK(0, "0x" A)), SESSION, "kms:Decrypt", DOC(A, A),
      "silent 1 StringEqualsIgnoreCase " PCR(0) },
    { "IfExists lets the unattested in",
      ST("Allow", AWS(ROLE), "'kms:Decrypt'", IF("'StringEqualsIfExists':{" ASK(0, A) "}")),
      SESSION, "kms:Decrypt", "", "allow 1" },
    { "a negated Allow lets the unattested in",
      ST("Allow", AWS(ROLE), "'kms:Decrypt'", IF("'StringNotEquals':{" ASK(0, ZERO) "}")), SESSION,
      "kms:Decrypt", "", "allow 1" },
    { "Null keeps them out", EVERYBODY "," DENY_IF("'Null':{'" PCR(0) "':'true'}"), SESSION,
      "kms:Decrypt", "", "deny 2 Null " PCR(0) },
    { "and lets the attested in", EVERYBODY "," DENY_IF("'Null':{'" PCR(0) "':'true'}"), SESSION,
      "kms:Decrypt", DOC(A, A), "allow 1" },
    { "there is no key RecipientAttestation alone",
      EVERYBODY "," DENY_IF("'Null':{'kms:RecipientAttestation':'true'}"), SESSION, "kms:Decrypt",
      DOC(A, A), "deny 2 Null kms:RecipientAttestation" },
    { "image by prefix",
      ST("Allow", AWS(ROLE), "'kms:*'", IF("'StringLike':{'" PCR(0) "':'0011*'}")), SESSION,
      "kms:Decrypt", DOC(A, A), "allow 1" },
    { "all but one image",
      EVERYBODY "," DENY_IF("'StringEquals':{'" PCR(0) "':['" B "','" ZERO "']}"), SESSION,
      "kms:Decrypt", DOC(ZERO, A), "deny 2 StringEquals " PCR(0) },
    /* encryption contexts */
    { "context as asked", ALLOW_IF("'StringEquals':{'kms:EncryptionContext:app':'demo'}"), SESSION,
      "kms:Decrypt", CTX("app", "demo"), "allow 1" },
    { "another value of the context",
      ALLOW_IF("'StringEquals':{'kms:EncryptionContext:app':'demo'}"), SESSION, "kms:Decrypt",
      CTX("app", "Demo"), "silent 1 StringEquals kms:EncryptionContext:app" },
    { "names of contexts heed no case as condition keys",
      ALLOW_IF("'StringEquals':{'kms:EncryptionContext:APP':'demo'}"), SESSION, "kms:Decrypt",
      CTX("app", "demo"), "allow 1" },
    { "no context", ALLOW_IF("'StringEquals':{'kms:EncryptionContext:app':'demo'}"), SESSION,
      "kms:Decrypt", "", "silent 1 StringEquals kms:EncryptionContext:app" },
    { "only these names",
      ALLOW_IF("'ForAllValues:StringEquals':{'kms:EncryptionContextKeys':['a','b']}"), SESSION,
      "kms:Decrypt", "kms:EncryptionContextKeys=a|c",
      "silent 1 ForAllValues:StringEquals kms:EncryptionContextKeys" },
    { "only these names, and there are none",
      ALLOW_IF("'ForAllValues:StringEquals':{'kms:EncryptionContextKeys':['a','b']}"), SESSION,
      "kms:Decrypt", "", "allow 1" },
    { "this name among others",
      ALLOW_IF("'ForAnyValue:StringEquals':{'kms:EncryptionContextKeys':'a'}"), SESSION,
      "kms:Decrypt", "kms:EncryptionContextKeys=b|a", "allow 1" },
    { "some context", ALLOW_IF("'Null':{'kms:EncryptionContextKeys':'false'}"), SESSION,
      "kms:Decrypt", "", "silent 1 Null kms:EncryptionContextKeys" },
    { "a context of the caller's own",
      ALLOW_IF("'StringEquals':{'kms:EncryptionContext:owner':'${aws:PrincipalArn}'}"), SESSION,
      "kms:Decrypt", CTX("owner", ROLE) "; aws:PrincipalArn=" ROLE, "allow 1" },
    /* other keys of KMS and IAM */
    { "through a service only",
      ALLOW_IF("'StringEquals':{'kms:ViaService':'s3.us-east-1.amazonaws.com'}"), ALICE,
      "kms:Decrypt", "", "silent 1 StringEquals kms:ViaService" },
    { "from the network", ALLOW_IF("'IpAddress':{'aws:SourceIp':['10.0.0.0/8','192.0.2.0/24']}"),
      ALICE, "kms:Decrypt", "aws:SourceIp=192.0.2.7", "allow 1" },
    { "by TLS only", EVERYBODY "," DENY_IF("'Bool':{'aws:SecureTransport':'false'}"), ALICE,
      "kms:Decrypt", "aws:SecureTransport=true", "allow 1" },
    { "until a day", ALLOW_IF("'DateLessThan':{'aws:CurrentTime':'2026-02-01T00:00:00Z'}"), ALICE,
      "kms:Decrypt", "aws:CurrentTime=2026-01-31T23:59:59Z", "allow 1" },
    { "after it", ALLOW_IF("'DateLessThan':{'aws:CurrentTime':'2026-02-01T00:00:00Z'}"), ALICE,
      "kms:Decrypt", "aws:CurrentTime=2026-02-01T00:00:00Z",
      "silent 1 DateLessThan aws:CurrentTime" },
    { "roles of an account",
      ALLOW_IF("'ArnLike':{'aws:PrincipalArn':'arn:aws:iam::" ACCOUNT ":role/*'}"), SESSION,
      "kms:Decrypt", "aws:PrincipalArn=" ROLE, "allow 1" },
    { "keys may be deleted slowly only",
      EVERYBODY "," DENY_IF("'NumericLessThan':{'kms:ScheduleKeyDeletionPendingWindowInDays':30}"),
      ALICE, "kms:ScheduleKeyDeletion", "kms:ScheduleKeyDeletionPendingWindowInDays=7",
      "deny 2 NumericLessThan kms:ScheduleKeyDeletionPendingWindowInDays" },
    { "nobody passes the lockout check by",
      EVERYBODY "," DENY_IF("'Bool':{'kms:BypassPolicyLockoutSafetyCheck':'true'}"), ALICE,
      "kms:PutKeyPolicy", "kms:BypassPolicyLockoutSafetyCheck=true",
      "deny 2 Bool kms:BypassPolicyLockoutSafetyCheck" },
    { "grants for AWS's services only", ALLOW_IF("'Bool':{'kms:GrantIsForAWSResource':'true'}"),
      ALICE, "kms:CreateGrant", "", "silent 1 Bool kms:GrantIsForAWSResource" },
    { "grants for these operations only",
      ALLOW_IF("'ForAllValues:StringEquals':{'kms:GrantOperations':['Encrypt','Decrypt']}"), ALICE,
      "kms:CreateGrant", "kms:GrantOperations=Decrypt|Sign",
      "silent 1 ForAllValues:StringEquals kms:GrantOperations" },
};

int main(void)
{
    return rows_run("policy_rows_enclave", rows, sizeof rows / sizeof rows[0]);
}
