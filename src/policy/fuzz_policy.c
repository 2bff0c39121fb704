/* Any text as a policy; what is accepted answers requests of every kind, the same each time. The
 * lockout check, which looks away from conditioned Allows, never says yes to more; a fault lies in
 * the text. As an identity policy beside itself as a key policy it never allows what a denial in
 * either forbids. */
#include <stdlib.h>

#include "policy/access.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ACCOUNT "111122223333"
#define VALUES(...)                                                                                \
    (const struct span[])                                                                          \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static const char *const callers[] = {
    "arn:aws:iam::" ACCOUNT ":user/a",
    "arn:aws:sts::" ACCOUNT ":assumed-role/parent/i-0123",
    "arn:aws:iam::444455556666:root",
};
enum { CALLERS = sizeof callers / sizeof callers[0] };

static void ask(const struct policy *p, const struct policy_request *rq)
{
    AUTO(buf_clear) struct buf line = BUF_INIT(1 << 20);
    struct policy_request lasting = *rq;
    struct policy_verdict v, again;

    policy_evaluate(p, rq, &v);
    policy_evaluate(p, rq, &again);
    if (v.answer != again.answer || v.decided.statement != again.decided.statement)
        abort();
    if ((v.answer == POLICY_SILENT) != (v.decided.statement == 0))
        abort();
    if (policy_explain(&v, &line) != ERR_OK)
        abort();
    lasting.lasting = true;
    policy_evaluate(p, &lasting, &again);
    if (again.answer > v.answer && again.answer != POLICY_DENY)
        abort();
}

static void together(const struct policy *key, struct policy *identity,
                     const struct policy_request *rq)
{
    struct access_question q = { .rq = *rq, .key = key, .key_account = SPAN_LIT(ACCOUNT) };
    struct access a;

    if (identity) {
        q.identity = &identity;
        q.n_identity = 1;
    }
    access_decide(&q, &a);
    bool denied = (key && a.key.answer == POLICY_DENY) || a.identity.answer == POLICY_DENY;
    if (denied && a.reason == ACCESS_ALLOWED)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct policy_fact facts[] = {
        { SPAN_LIT("kms:RecipientAttestation:PCR0"), VALUES(SPAN_LIT("00")), 1 },
        { SPAN_LIT("kms:EncryptionContext:app"), VALUES(SPAN_LIT("demo")), 1 },
        { SPAN_LIT("kms:EncryptionContextKeys"), VALUES(SPAN_LIT("app"), SPAN_LIT("b")), 2 },
        { SPAN_LIT("aws:SourceIp"), VALUES(SPAN_LIT("2001:db8::7")), 1 },
        { SPAN_LIT("aws:CurrentTime"), VALUES(SPAN_LIT("2026-01-02T03:04:05Z")), 1 },
        { SPAN_LIT("aws:PrincipalArn"), VALUES(SPAN_LIT("arn:aws:iam::" ACCOUNT ":role/parent")),
          1 },
        { SPAN_LIT("aws:SecureTransport"), VALUES(SPAN_LIT("true")), 1 },
        { SPAN_LIT("kms:RotationPeriodInDays"), VALUES(SPAN_LIT("90")), 1 },
    };
    struct policy_request rq = { .action = SPAN_LIT("kms:Decrypt"),
                                 .resource = SPAN_LIT("arn:aws:kms:us-east-1:" ACCOUNT ":key/x"),
                                 .facts = facts,
                                 .n_facts = sizeof facts / sizeof facts[0] };
    AUTO(policy_freep) struct policy *key = NULL, *identity = NULL;
    struct policy_fault f = { .what = NULL };
    struct policy_caller who;

    enum err r = policy_parse_at(span_of(data, size), POLICY_OF_KEY, &key, &f);
    if ((r == ERR_OK) != (key != NULL) || (r == ERR_MALFORMED && (!f.what || f.at > size)))
        abort();
    if (policy_parse_at(span_of(data, size), POLICY_OF_IDENTITY, &identity, &f) != ERR_OK &&
        identity)
        abort();
    for (unsigned i = 0; i < CALLERS; i++) {
        if (policy_caller_parse(span_str(callers[i]), &who) != ERR_OK)
            abort();
        rq.caller = &who;
        if (key)
            ask(key, &rq);
        if (identity)
            ask(identity, &rq);
        together(key, identity, &rq);
    }
    return 0;
}
