/* policy_question.h - inside `policy explain`: a call that somebody thinks of, as the local KMS
 * would put it to the policies. */
#ifndef BIN_NITROSEAL_POLICY_QUESTION_H
#define BIN_NITROSEAL_POLICY_QUESTION_H

#include "bin/nitroseal/policy_cmd.h"
#include "policy/access.h"
#include "policy/common.h"
#include "policy/words.h"

enum {
    QUESTION_FACTS_MAX = 160, /* registers, contexts, given ones, and our own */
    QUESTION_IDENTITIES_MAX = 20,
    QUESTION_GRANTS_MAX = 8,
    QUESTION_GRANT_ITEMS_MAX = 32,
    QUESTION_TEXT_MAX_BYTES = 1 << 20,
};

struct question_grant {
    struct policy_grant grant;
    struct span operations[QUESTION_GRANT_ITEMS_MAX];
    struct policy_pair equals[QUESTION_GRANT_ITEMS_MAX], subset[QUESTION_GRANT_ITEMS_MAX];
};

struct question {
    struct access_question access;
    struct policy_caller caller;
    const struct policy_action *action;
    bool has_registers, registers_unused; /* unused: the operation takes no document */

    struct policy *key, *identities[QUESTION_IDENTITIES_MAX];
    struct question_grant grants[QUESTION_GRANTS_MAX];
    struct policy_grant grant_list[QUESTION_GRANTS_MAX];

    struct policy_common common;
    struct policy_fact facts[QUESTION_FACTS_MAX];
    struct policy_pair pairs[QUESTION_FACTS_MAX]; /* one value each; given ones first */
    struct span values[QUESTION_FACTS_MAX];
    size_t n_pairs;
    struct buf text; /* what was put together; does not move */
};

struct question *question_new(void);
void question_free(struct question *q); /* NULL is fine */

/* All options of the command line. CLI_OK, or the fault. */
MUST_USE int question_read(const struct options *o, struct question *q, struct cli_fault *f);

#endif
