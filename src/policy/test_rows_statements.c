/* test_rows_statements.c - principals, actions, resources, variables, and statements together. */
#include "policy/test_rows.h"

#define D "kms:Decrypt"
/* Who is named, who calls, and what follows. */
#define WHO(principal, caller, want)                                                               \
    {                                                                                              \
        "principal " principal " | " caller, ALLOW(principal), caller, D, "", want                 \
    }
#define MISS "silent principal 1"
#define NOT(list, caller, want)                                                                    \
    {                                                                                              \
        "NotPrincipal " list " | " caller,                                                         \
            EVERYBODY ",{'Effect':'Deny','NotPrincipal':" list ",'Action':'*','Resource':'*'}",    \
            caller, D, "", want                                                                    \
    }
/* Which action is written, which is called. */
#define ACT(element, action, called, want)                                                         \
    {                                                                                              \
        element " " action " | " called,                                                           \
            "{'Effect':'Allow','Principal':'*','" element "':" action ",'Resource':'*'}", ALICE,   \
            called, "", want                                                                       \
    }
#define RES(element, resource, facts, want)                                                        \
    {                                                                                              \
        element " " resource " | " facts,                                                          \
            "{'Effect':'Allow','Principal':'*','Action':'*','" element "':" resource "}", ALICE,   \
            D, facts, want                                                                         \
    }
/* A variable in a text condition on a:k. */
#define VAR(op, value, facts, want)                                                                \
    {                                                                                              \
        op " " value " | " facts, ALLOW_IF("'" op "':{'a:k':'" value "'}"), ALICE, D, facts, want  \
    }
#define VAR_NO(op, value, facts) VAR(op, value, facts, "silent 1 " op " a:k")

static const struct rows_row rows[] = {
    /* principals */
    WHO("'*'", ALICE, "allow 1"),
    WHO("'*'", EVE, "allow 1"),
    WHO("'*'", EC2, "allow 1"),
    WHO(AWS("*"), SESSION, "allow 1"),
    WHO(AWS(ALICE), ALICE, "allow 1"),
    WHO(AWS(ALICE), BOB, MISS),
    WHO(AWS(ALICE), ROOT, MISS),
    WHO(AWS(ACCOUNT), ALICE, "delegate 1"),
    WHO(AWS(ACCOUNT), SESSION, "delegate 1"),
    WHO(AWS(ACCOUNT), ROOT, "allow 1"),
    WHO(AWS(ACCOUNT), EVE, MISS),
    WHO(AWS(ACCOUNT), EC2, MISS),
    WHO(AWS(ROOT), ALICE, "delegate 1"),
    WHO(AWS(ROOT), ROOT, "allow 1"),
    WHO(AWS(OTHER), EVE, "delegate 1"),
    WHO(AWS("arn:aws-cn:iam::" ACCOUNT ":root"), ALICE, MISS),
    WHO(AWS(ROLE), SESSION, "allow 1"),
    WHO(AWS(ROLE), ROLE, "allow 1"),
    WHO(AWS(ROLE), ALICE, MISS),
    WHO(AWS("arn:aws:iam::" ACCOUNT ":role/path/to/parent"), SESSION, "allow 1"),
    WHO(AWS("arn:aws:iam::" ACCOUNT ":role/path/parents"), SESSION, MISS),
    WHO(AWS("arn:aws:iam::" OTHER ":role/parent"), SESSION, MISS),
    WHO(AWS("arn:aws-cn:iam::" ACCOUNT ":role/parent"), SESSION, MISS),
    WHO(AWS(SESSION), SESSION, "allow 1"),
    WHO(AWS("arn:aws:sts::" ACCOUNT ":assumed-role/parent/i-4567"), SESSION, MISS),
    WHO(AWS("arn:aws:sts::" ACCOUNT ":federated-user/fred"),
        "arn:aws:sts::" ACCOUNT ":federated-user/fred", "allow 1"),
    WHO(AWS("AIDAEXAMPLEEXAMPLEEX"), ALICE, MISS),
    WHO("{'AWS':['" BOB "','" ALICE "']}", ALICE, "allow 1"),
    WHO("{'Service':'ec2.amazonaws.com'}", EC2, "allow 1"),
    WHO("{'Service':'EC2.amazonaws.com'}", EC2, "allow 1"),
    WHO("{'Service':'s3.amazonaws.com'}", EC2, MISS),
    WHO("{'Service':'ec2.amazonaws.com'}", ALICE, MISS),
    WHO("{'Service':['s3.amazonaws.com','ec2.amazonaws.com'],'AWS':'" ALICE "'}", EC2, "allow 1"),
    WHO("{'Federated':'cognito-identity.amazonaws.com'}", ALICE, MISS),
    /* NotPrincipal: who is named with his account */
    NOT("{'AWS':['" ALICE "','" ACCOUNT "']}", ALICE, "allow 1"),
    NOT("{'AWS':['" ALICE "','" ROOT "']}", ALICE, "allow 1"),
    NOT("{'AWS':['" ALICE "','" ROOT "']}", BOB, "deny 2"),
    NOT("{'AWS':'" ALICE "'}", ALICE, "deny 2"),
    NOT("{'AWS':'" ACCOUNT "'}", ALICE, "deny 2"),
    NOT("{'AWS':'" ACCOUNT "'}", ROOT, "allow 1"),
    NOT("{'AWS':['" ROLE "','" ACCOUNT "']}", SESSION, "allow 1"),
    NOT("{'AWS':['" SESSION "','" ACCOUNT "']}", SESSION, "allow 1"),
    NOT("{'AWS':['" ROLE "','" OTHER "']}", SESSION, "deny 2"),
    NOT("{'AWS':'*'}", EVE, "allow 1"),
    NOT("{'Service':'ec2.amazonaws.com'}", EC2, "allow 1"),
    NOT("{'Service':'ec2.amazonaws.com'}", ALICE, "deny 2"),
    /* actions */
    ACT("Action", "'kms:Decrypt'", D, "allow 1"),
    ACT("Action", "'KMS:DECRYPT'", D, "allow 1"),
    ACT("Action", "'kms:*'", D, "allow 1"),
    ACT("Action", "'*'", D, "allow 1"),
    ACT("Action", "'*:*'", D, "allow 1"),
    ACT("Action", "'kms:De*'", D, "allow 1"),
    ACT("Action", "'kms:*crypt'", "kms:Encrypt", "allow 1"),
    ACT("Action", "'kms:*crypt'", "kms:ReEncryptFrom", "silent action 1"),
    ACT("Action", "'kms:?ecrypt'", D, "allow 1"),
    ACT("Action", "'kms:Decrypt?'", D, "silent action 1"),
    ACT("Action", "'kms:Decryp'", D, "silent action 1"),
    ACT("Action", "'s3:*'", D, "silent action 1"),
    ACT("Action", "['s3:*','kms:Decrypt']", D, "allow 1"),
    ACT("Action", "'kms:GenerateDataKey'", "kms:GenerateDataKeyPair", "silent action 1"),
    ACT("Action", "'kms:ReEncrypt*'", "kms:ReEncryptTo", "allow 1"),
    ACT("NotAction", "'kms:Encrypt'", D, "allow 1"),
    ACT("NotAction", "'kms:Decrypt'", D, "silent action 1"),
    ACT("NotAction", "'s3:*'", D, "allow 1"),
    ACT("NotAction", "['kms:En*','kms:De*']", D, "silent action 1"),
    { "no Action", "{'Effect':'Allow','Principal':'*','Resource':'*'}", ALICE, D, "",
      "silent action 1" },
    { "Deny NotAction",
      EVERYBODY ",{'Effect':'Deny','Principal':'*','NotAction':'kms:En*','Resource':'*'}", ALICE, D,
      "", "deny 2" },
    { "Deny NotAction spares the named",
      EVERYBODY ",{'Effect':'Deny','Principal':'*','NotAction':'kms:De*','Resource':'*'}", ALICE, D,
      "", "allow 1" },
    /* resources */
    RES("Resource", "'*'", "", "allow 1"),
    RES("Resource", "'" KEY "'", "", "allow 1"),
    RES("Resource", "'arn:aws:kms:*:" ACCOUNT ":key/*'", "", "allow 1"),
    RES("Resource", "'arn:aws:kms:us-east-?:*'", "", "allow 1"),
    RES("Resource", "'arn:aws:kms:eu-west-1:*'", "", "silent resource 1"),
    RES("Resource", "'arn:AWS:kms:*'", "", "silent resource 1"),
    RES("Resource", "['arn:aws:s3:::b','" KEY "']", "", "allow 1"),
    RES("NotResource", "'" KEY "'", "", "silent resource 1"),
    RES("NotResource", "'arn:aws:s3:::b'", "", "allow 1"),
    RES("Resource", "'arn:aws:kms:*:${aws:PrincipalAccount}:key/*'",
        "aws:PrincipalAccount=" ACCOUNT, "allow 1"),
    RES("Resource", "'arn:aws:kms:*:${aws:PrincipalAccount}:key/*'", "aws:PrincipalAccount=" OTHER,
        "silent resource 1"),
    RES("Resource", "'arn:aws:kms:*:${aws:PrincipalAccount}:key/*'", "", "silent resource 1"),
    RES("NotResource", "'arn:aws:kms:*:${aws:PrincipalAccount}:key/*'", "", "allow 1"),
    { "no Resource", "{'Effect':'Allow','Principal':'*','Action':'*'}", ALICE, D, "",
      "silent resource 1" },
    /* variables */
    VAR("StringEquals", "${aws:username}", "a:k=alice; aws:username=alice", "allow 1"),
    VAR_NO("StringEquals", "${aws:username}", "a:k=alice; aws:username=bob"),
    VAR_NO("StringEquals", "${aws:username}", "a:k=alice"),
    VAR_NO("StringEquals", "${aws:username}", "a:k=${aws:username}"),
    VAR("StringEquals", "${AWS:userName}", "a:k=alice; aws:username=alice", "allow 1"),
    VAR("StringEquals", "x/${a:b}/y", "a:k=x/1/y; a:b=1", "allow 1"),
    VAR("StringEquals", "${a:b}${a:c}", "a:k=12; a:b=1; a:c=2", "allow 1"),
    VAR("StringEquals", "x${a:b}", "a:k=x; a:b=", "allow 1"),
    VAR_NO("StringEquals", "${a:b}", "a:k=1; a:b=1|2"),
    VAR("StringEquals", "${a:b, `none`}", "a:k=none", "allow 1"),
    VAR("StringEquals", "${a:b, `none`}", "a:k=1; a:b=1", "allow 1"),
    VAR_NO("StringEquals", "${a:b, `none`}", "a:k=none; a:b=1"),
    VAR_NO("StringEquals", "${a:b, `none`}", "a:k=none; a:b=1|2"),
    VAR("StringEquals", "${*}${?}${$}", "a:k=*?$", "allow 1"),
    VAR("StringLike", "${*}*", "a:k=*x", "allow 1"),
    VAR_NO("StringLike", "${*}", "a:k=x"),
    VAR("StringLike", "home/${aws:username}/*", "a:k=home/alice/x; aws:username=alice", "allow 1"),
    VAR_NO("StringLike", "home/${aws:username}/*", "a:k=home/alicia/x; aws:username=alic?a"),
    VAR_NO("StringLike", "${aws:username}", "a:k=anything; aws:username=*"),
    VAR("StringLike", "*${a:b}*", "a:k=aXbXc; a:b=XbX", "allow 1"),
    VAR("StringNotEquals", "${aws:username}", "a:k=alice", "allow 1"),
    VAR_NO("StringNotEquals", "${aws:username}", "a:k=alice; aws:username=alice"),
    VAR("StringEqualsIgnoreCase", "${aws:username}", "a:k=ALICE; aws:username=alice", "allow 1"),
    VAR("ArnLike", "arn:aws:iam::${aws:PrincipalAccount}:role/*",
        "a:k=" ROLE "; aws:PrincipalAccount=" ACCOUNT, "allow 1"),
    VAR_NO("ArnLike", "arn:aws:iam::${aws:PrincipalAccount}:role/*",
           "a:k=" ROLE "; aws:PrincipalAccount=" OTHER),
    VAR_NO("ArnLike", "arn:aws:iam::${a:b}:role/parent", "a:k=" ROLE "; a:b=*"),
    { "a variable in the old version is text",
      "!" ALLOW_IF("'StringEquals':{'a:k':'${aws:username}'}"), ALICE, D,
      "a:k=alice; aws:username=alice", "silent 1 StringEquals a:k" },
    { "and equals that text", "!" ALLOW_IF("'StringEquals':{'a:k':'${aws:username}'}"), ALICE, D,
      "a:k=${aws:username}", "allow 1" },
    /* statements together */
    { "nothing but a denial of something else", ST("Deny", "'*'", "'kms:Encrypt'", ""), ALICE, D,
      "", "silent" },
    { "a denial after", EVERYBODY "," DENY(AWS(ALICE)), ALICE, D, "", "deny 2" },
    { "a denial before", DENY(AWS(ALICE)) "," EVERYBODY, ALICE, D, "", "deny 1" },
    { "a denial of somebody else", EVERYBODY "," DENY(AWS(BOB)), ALICE, D, "", "allow 1" },
    { "a denial of the account", EVERYBODY "," DENY(AWS(ACCOUNT)), ALICE, D, "", "deny 2" },
    { "a denial of the account is not for others", EVERYBODY "," DENY(AWS(ACCOUNT)), EVE, D, "",
      "allow 1" },
    { "a denial of the role is for its sessions", EVERYBODY "," DENY(AWS(ROLE)), SESSION, D, "",
      "deny 2" },
    { "direct beats delegated", ALLOW(AWS(ACCOUNT)) "," ALLOW(AWS(ALICE)), ALICE, D, "",
      "allow 2" },
    { "the first of two that allow", EVERYBODY "," ALLOW(AWS(ALICE)), ALICE, D, "", "allow 1" },
    { "the first of two that deny", DENY("'*'") "," DENY(AWS(ALICE)), ALICE, D, "", "deny 1" },
    { "all conditions of a statement", ALLOW_IF("'Bool':{'a:b':'true','a:c':'true'}"), ALICE, D,
      "a:b=true; a:c=true", "allow 1" },
    { "the second condition of an operator fails", ALLOW_IF("'Bool':{'a:b':'true','a:c':'true'}"),
      ALICE, D, "a:b=true; a:c=false", "silent 1 Bool a:c" },
    { "the second operator fails", ALLOW_IF("'Bool':{'a:b':'true'},'Null':{'a:c':'true'}"), ALICE,
      D, "a:b=true; a:c=x", "silent 1 Null a:c" },
    { "no conditions in Condition", ALLOW_IF(""), ALICE, D, "", "allow 1" },
    { "condition keys heed no case", ALLOW_IF("'Bool':{'A:B':'true'}"), ALICE, D, "a:b=true",
      "allow 1" },
    { "a denial under a condition that holds", EVERYBODY "," DENY_IF("'Bool':{'a:b':'true'}"),
      ALICE, D, "a:b=true", "deny 2 Bool a:b" },
    { "and one that does not", EVERYBODY "," DENY_IF("'Bool':{'a:b':'true'}"), ALICE, D,
      "a:b=false", "allow 1" },
    { "the nearest is the one that came farthest",
      ST("Allow", "'*'", "'s3:*'", "") "," ALLOW(AWS(BOB)) "," ALLOW_IF("'Bool':{'a:b':'true'}"),
      ALICE, D, "", "silent 3 Bool a:b" },
};

int main(void)
{
    return rows_run("policy_rows_statements", rows, sizeof rows / sizeof rows[0]);
}
