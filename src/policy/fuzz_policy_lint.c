/* Two policies in one input, apart at a NUL: the critics and the comparison take whatever parses. A
 * policy does not differ from itself. */
#include <stdlib.h>

#include "policy/diff.h"
#include "policy/lint.h"
#include "policy/registers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *arg, const struct policy_change *c)
{
    if (c->before == 0 && c->after == 0)
        abort();
    ++*(size_t *)arg;
}

static void look(void *arg, const struct policy_register *r)
{
    (void)arg;
    if (r->statement == 0 || r->n_wanted == 0)
        abort();
}

static void critics(const struct policy *p)
{
    static struct policy_lint l;
    struct policy_caller who;

    policy_lint(p, &l);
    for (size_t i = 0; i < l.n; i++)
        if (!l.found[i].rule || !memchr(l.found[i].detail, '\0', sizeof l.found[i].detail) ||
            !span_is_utf8(span_str(l.found[i].detail)))
            abort();
    if (policy_caller_parse(SPAN_LIT("arn:aws:iam::111122223333:user/a"), &who) != ERR_OK)
        abort();
    const struct policy_request rq = { .caller = &who,
                                       .action = SPAN_LIT("kms:Decrypt"),
                                       .resource = SPAN_LIT("*") };
    policy_registers(p, &rq, look, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(policy_freep) struct policy *a = NULL, *b = NULL;
    struct span rest = span_of(data, size);
    struct span first = span_cut(&rest, '\0');
    enum policy_use use = size % 2 ? POLICY_OF_KEY : POLICY_OF_IDENTITY;
    size_t told = 0, back = 0;

    if (policy_parse(first, use, &a, NULL) != ERR_OK)
        return 0;
    critics(a);
    if (policy_diff(a, a, count, &told) != 0)
        abort();
    if (!rest.ptr || policy_parse(rest, use, &b, NULL) != ERR_OK)
        return 0;
    size_t there = policy_diff(a, b, count, &told), again = policy_diff(b, a, count, &back);
    if (there != told || again != back)
        abort();
    return 0;
}
