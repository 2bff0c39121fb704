/* allocator.h - /etc/nitro_enclaves/allocator.yaml: what a parent reserves for its enclaves.
 *
 * Source: reference nitro-cli.md section 7 (nitro-enclaves-allocator's parse_config). Not YAML but
 * its look: everything before the line `---` is skipped, then one `name: value` a line and
 * comments. As there, an unknown name, an empty value or an empty line is a fault, memory_mib must
 * be given, and of cpu_count and cpu_pool exactly one. Pure.
 */
#ifndef BIN_COMMON_ALLOCATOR_H
#define BIN_COMMON_ALLOCATOR_H

#include "base/span.h"

#define ALLOCATOR_FILE "/etc/nitro_enclaves/allocator.yaml"
enum {
    ALLOCATOR_FILE_MAX_BYTES = 65536,
    ALLOCATOR_CPUS_MAX = 1024, /* ids below it */
    ALLOCATOR_MEMORY_MAX_MIB = 1 << 24,
};

struct allocator {
    uint64_t memory_mib;
    uint64_t cpu_count;                     /* of the pool too, where that is given */
    bool has_pool;                          /* these CPUs, not any */
    uint64_t pool[ALLOCATOR_CPUS_MAX / 64]; /* a bit a CPU */
};

/* ERR_MALFORMED, ERR_LIMIT: why->at is the offset of the line. *out is untouched on failure. */
MUST_USE enum err allocator_parse(struct span text, struct allocator *out, struct why *why);
bool allocator_has_cpu(const struct allocator *a, unsigned cpu);

#endif
