/* stack_parts.h - inside the supervisor: what each part is started with, and when it answers. */
#ifndef BIN_NITROSEAL_STACK_PARTS_H
#define BIN_NITROSEAL_STACK_PARTS_H

#include "bin/nitroseal/stack.h"

enum { WORDS_MAX = 40, WORDS_BYTES = 16384 };

/* argv or environment: NULL-terminated, the texts kept inside. */
struct words {
    const char *list[WORDS_MAX + 1];
    unsigned n;
    char text[WORDS_BYTES];
    size_t used;
    bool full;
};

struct stack_facts { /* what parts need to know of those that started before them */
    const struct stack_options *so;
    struct crypto *cx;
    struct stack_principals who;
    struct attest_pcrs pcrs;
    struct stack_kms kms;
    unsigned kms_port; /* 0: any; the one it had, when it is started again */
    char arn[128];
};

/* CLI_OK, or the fault: program missing, a text too long. */
MUST_USE int part_words(enum stack_part part, const struct stack_facts *facts, struct words *argv,
                        struct words *env, struct cli_fault *f);
/* ERR_OK: it answers, and what later parts need of it is in `facts`. ERR_DENIED: it never will.
 * Anything else: not yet; the fault says what was seen. */
MUST_USE enum err part_answers(enum stack_part part, struct stack_facts *facts,
                               struct cli_fault *f);
/* The variables that a shell needs to use this stack. */
void stack_exports_fill(const struct stack_facts *facts, struct stack_state *s);

#endif
