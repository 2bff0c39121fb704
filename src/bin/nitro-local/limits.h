/* limits.h - what an enclave may have, as nitro-cli and its driver would decide it (nitro-cli.md
 * sections 3, 5 and 7). Pure. */
#ifndef BIN_NITRO_LOCAL_LIMITS_H
#define BIN_NITRO_LOCAL_LIMITS_H

#include "bin/common/allocator.h"
#include "bin/nitro-local/state.h"

enum {
    LIMIT_FIRST_CID = 16,
    LIMIT_MEMORY_MIN_MIB = 64, /* the driver's; NITRO_LOCAL_MIN_MEMORY_MIB changes it here */
    LIMIT_DEFAULT_CPUS = 8,    /* without an allocator.yaml: CPUs 1 to 8 */
};

struct run_request {
    char eif_path[STATE_PATH_BYTES];
    uint64_t memory_mib;
    unsigned cpu_count; /* 0: the ids say which */
    unsigned cpus[ENCLAVE_CPUS_MAX], n_cpus;
    uint32_t cid;                  /* 0: chosen here */
    char name[ENCLAVE_NAME_BYTES]; /* "": the image's file name */
    bool debug, attach;
};

/* Without allocator.yaml: so much memory, and CPUs 1 to LIMIT_DEFAULT_CPUS. */
struct allocator limit_default_pool(uint64_t memory_mib);
/* A pool by cpu_count has the CPUs 1 to that: CPU 0 stays with the parent. */
bool limit_in_pool(const struct allocator *pool, unsigned cpu);

/* All of them return STATUS_OK or the exit status after setting the fault. */

/* Step 2: E20, E21, E22. */
MUST_USE int limit_cpus(const struct allocator *pool, const struct run_request *q, struct fault *f);
/* Step 3: E26. */
MUST_USE int limit_memory(const struct run_request *q, uint64_t eif_bytes, struct fault *f);
/* Steps 4, 7 and 9 and the start: four enclaves, memory left, CPUs left, the CID. Fills the name,
 * CPUs, memory (in whole huge pages of 2 MiB) and CID of *e. E29, E27. */
MUST_USE int limit_reserve(const struct allocator *pool, const struct enclaves *running,
                           const struct run_request *q, uint64_t min_memory_mib, struct enclave *e,
                           struct fault *f);

/* Time until the heartbeat: `setting` (NITRO_LOCAL_BOOT_SECONDS) if it is a number, else
 * nitro-cli's rule, 90 s for each 6 GiB of image begun and 90 s for each 100 GiB of memory begun
 * (enclave-init.md section 4). */
uint64_t limit_boot_ns(uint64_t eif_bytes, uint64_t memory_mib, const char *setting);
/* "512", "512M", "1g", "1T": MiB. False: E03. */
bool limit_parse_memory(const char *text, uint64_t *mib);
/* 0 and what is not reserved: E03 with the reason otherwise. */
MUST_USE int limit_parse_cid(const char *text, uint32_t *out, struct fault *f);

#endif
