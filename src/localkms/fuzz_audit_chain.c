#include "localkms/audit_chain.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *arg, const struct audit_finding *f)
{
    (void)f;
    ++*(unsigned *)arg;
}

/* Any text as a log: judged, and what is found is told. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct audit_check *a = NULL;
    struct audit_tip head = { .sequence = 3 };
    struct span rest = span_of(data, size);
    unsigned n = 0, line = 0;

    (void)!audit_head_parse(rest, &head);
    if (audit_check_new(&a) != ERR_OK)
        abort();
    while (rest.ptr && rest.len)
        if (audit_check_line(a, span_cut(&rest, '\n'), 0, ++line) != ERR_OK)
            abort();
    if (audit_check_end(a, &head, count, &n) != n || audit_check_summary(a).records != line)
        abort();
    audit_check_free(a);
    return 0;
}
