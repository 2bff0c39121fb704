/* Any text: no crash, and what is accepted keeps its limits. */
#include <stdlib.h>

#include "proxy/allowlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct allowlist a = { .n = 77 };
    struct why why = { 0 };

    if (allowlist_parse(span_of(data, size), &a, &why) != ERR_OK) {
        if (!why.what || a.n != 77)
            abort();
        return 0;
    }
    if (a.n > ALLOWLIST_ENTRIES_MAX)
        abort();
    for (unsigned i = 0; i < a.n; i++)
        if (memchr(a.list[i].address, 0, sizeof(a.list[i].address)) == NULL)
            abort();
    for (unsigned i = 0; i < a.n && !a.list[i].fault; i++)
        if (allowlist_check(&a, a.list[i].address, a.list[i].port, NULL) != ERR_OK)
            abort();
    allowlist_clear(&a);
    return 0;
}
