#include "bin/common/allocator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Accepted: as many CPUs as the pool names, and no more memory than the limit. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct allocator a;
    struct why why = { 0 };
    uint64_t cpus = 0;

    if (allocator_parse(span_of(data, size), &a, &why) != ERR_OK) {
        if (!why.what || why.at > size)
            __builtin_trap();
        return 0;
    }
    for (unsigned i = 0; i < ALLOCATOR_CPUS_MAX; i++)
        cpus += allocator_has_cpu(&a, i);
    if (a.memory_mib > ALLOCATOR_MEMORY_MAX_MIB || (a.has_pool && cpus != a.cpu_count))
        __builtin_trap();
    return 0;
}
