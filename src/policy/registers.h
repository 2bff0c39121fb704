/* registers.h - the registers that a policy asks for, beside those of a request: which one differs.
 */
#ifndef POLICY_REGISTERS_H
#define POLICY_REGISTERS_H

#include "policy/policy.h"

struct policy_register {
    unsigned statement; /* counted from 1 */
    struct span sid;
    bool allows;
    const char *op;
    struct span key;
    const struct span *wanted;
    size_t n_wanted;
    struct span got; /* absent: not in the request */
    bool holds;      /* the condition */
};

typedef void policy_register_fn(void *arg, const struct policy_register *r);

/* Calls `emit` for each condition on a register of each statement that is about this action and
 * this caller, whatever its other conditions say. */
void policy_registers(const struct policy *p, const struct policy_request *rq,
                      policy_register_fn *emit, void *arg);

#endif
