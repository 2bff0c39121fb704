/* Any text as a policy; what is accepted answers a request, and the lockout check, which looks away
 * from conditioned Allows, never says yes to more. */
#include <stdlib.h>

#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct span value = SPAN_INIT("00");
    static const struct policy_fact fact = { SPAN_INIT("kms:RecipientAttestation:PCR0"), &value,
                                             1 };
    struct policy_caller who;
    struct policy_verdict v;
    struct policy *p = NULL;
    AUTO(buf_clear) struct buf line = BUF_INIT(1 << 20);

    if (policy_parse(span_of(data, size), POLICY_OF_KEY, &p, NULL) != ERR_OK) {
        if (p)
            abort();
        return 0;
    }
    if (policy_caller_parse(SPAN_LIT("arn:aws:iam::111122223333:user/a"), &who) != ERR_OK)
        abort();
    struct policy_request rq = { .caller = &who,
                                 .action = SPAN_LIT("kms:Decrypt"),
                                 .resource = SPAN_LIT("*"),
                                 .facts = &fact,
                                 .n_facts = 1 };
    policy_evaluate(p, &rq, &v);
    if ((v.answer == POLICY_SILENT) != (v.decided.statement == 0))
        abort();
    if (policy_explain(&v, &line) != ERR_OK)
        abort();
    rq.lasting = true;
    enum policy_answer before = v.answer;
    policy_evaluate(p, &rq, &v);
    if (v.answer > before && v.answer != POLICY_DENY)
        abort();
    policy_free(p);
    return 0;
}
