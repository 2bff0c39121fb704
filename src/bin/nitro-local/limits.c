#include "bin/nitro-local/limits.h"

#include <stdio.h>

#include "io/sys.h"

enum { BOOT_SECONDS = 90, BOOT_SECONDS_MAX = 86400 };
enum { HUGE_PAGE_MIB = 2, MIB = 1 << 20, EIF_TIMES = 4, MEMORY_MAX_MIB = 1 << 24 };

struct allocator limit_default_pool(uint64_t memory_mib)
{
    return (struct allocator){ .memory_mib = memory_mib, .cpu_count = LIMIT_DEFAULT_CPUS };
}

bool limit_in_pool(const struct allocator *pool, unsigned cpu)
{
    return pool->has_pool ? allocator_has_cpu(pool, cpu) : cpu >= 1 && cpu <= pool->cpu_count;
}

int limit_cpus(const struct allocator *pool, const struct run_request *q, struct fault *f)
{
    unsigned count = q->cpu_count ? q->cpu_count : q->n_cpus;

    if (count > pool->cpu_count || count > ENCLAVE_CPUS_MAX)
        return fault_set(f, E22_NOT_ENOUGH_CPUS,
                         "Insufficient CPUs available: %u were asked for and the pool has %u. "
                         "Make the pool larger in allocator.yaml, or ask for fewer.",
                         count, (unsigned)pool->cpu_count);
    for (unsigned i = 0; i < q->n_cpus; i++) {
        for (unsigned k = 0; k < i; k++)
            if (q->cpus[k] == q->cpus[i])
                return fault_set(f, E20_DUPLICATE_CPU, "CPU %u was given twice.", q->cpus[i]);
        if (!limit_in_pool(pool, q->cpus[i]))
            return fault_set(f, E21_CPU_NOT_IN_POOL, "CPU %u is not in the CPU pool.", q->cpus[i]);
    }
    return STATUS_OK;
}

int limit_memory(const struct run_request *q, uint64_t eif_bytes, struct fault *f)
{
    uint64_t need = (EIF_TIMES * eif_bytes + MIB - 1) / MIB;

    if (q->memory_mib >= need)
        return STATUS_OK;
    return fault_set(f, E26_MEMORY_TOO_SMALL,
                     "Insufficient memory requested: %llu MiB were asked for. At least %llu MiB "
                     "(four times the size of the image) must be allocated.",
                     (unsigned long long)q->memory_mib, (unsigned long long)need);
}

static bool cpu_is_used(const struct enclaves *running, unsigned cpu)
{
    for (unsigned i = 0; i < running->n; i++)
        for (unsigned k = 0; k < running->list[i].n_cpus; k++)
            if (running->list[i].cpus[k] == cpu)
                return true;
    return false;
}

static int choose_cpus(const struct allocator *pool, const struct enclaves *running,
                       const struct run_request *q, struct enclave *e, struct fault *f)
{
    e->n_cpus = 0;
    for (unsigned i = 0; i < q->n_cpus; i++) {
        if (cpu_is_used(running, q->cpus[i]))
            return fault_set(f, E29_IOCTL, "CPU %u belongs to another enclave.", q->cpus[i]);
        e->cpus[e->n_cpus++] = q->cpus[i];
    }
    for (unsigned cpu = 0; e->n_cpus < q->cpu_count && cpu < ALLOCATOR_CPUS_MAX; cpu++)
        if (limit_in_pool(pool, cpu) && !cpu_is_used(running, cpu))
            e->cpus[e->n_cpus++] = cpu;
    if (e->n_cpus < q->cpu_count)
        return fault_set(f, E29_IOCTL,
                         "The CPU pool has %u CPUs left and %u were asked for: the others belong "
                         "to enclaves that run.",
                         e->n_cpus, q->cpu_count);
    return STATUS_OK;
}

static int choose_memory(const struct allocator *pool, const struct enclaves *running,
                         const struct run_request *q, uint64_t min_mib, struct enclave *e,
                         struct fault *f)
{
    uint64_t used = 0;

    if (q->memory_mib < min_mib)
        return fault_set(f, E29_IOCTL, "An enclave needs at least %llu MiB of memory.",
                         (unsigned long long)min_mib);
    for (unsigned i = 0; i < running->n; i++)
        used += running->list[i].memory_mib;
    uint64_t left = used < pool->memory_mib ? pool->memory_mib - used : 0;
    e->memory_mib = (q->memory_mib + HUGE_PAGE_MIB - 1) / HUGE_PAGE_MIB * HUGE_PAGE_MIB;
    if (e->memory_mib > left)
        return fault_set(f, E27_NOT_ENOUGH_MEMORY,
                         "Insufficient huge page memory: %llu MiB were asked for; of the %llu MiB "
                         "reserved for enclaves (memory_mib in allocator.yaml) %llu are left.",
                         (unsigned long long)e->memory_mib, (unsigned long long)pool->memory_mib,
                         (unsigned long long)left);
    return STATUS_OK;
}

static bool cid_is_used(const struct enclaves *running, uint32_t cid)
{
    for (unsigned i = 0; i < running->n; i++)
        if (running->list[i].cid == cid)
            return true;
    return false;
}

static int choose_cid(const struct enclaves *running, const struct run_request *q,
                      struct enclave *e, struct fault *f)
{
    e->cid = q->cid;
    if (q->cid != 0)
        return !cid_is_used(running, q->cid)
                   ? STATUS_OK
                   : fault_set(f, E29_IOCTL, "The CID %u belongs to another enclave.", q->cid);
    e->cid = LIMIT_FIRST_CID;
    while (cid_is_used(running, e->cid))
        e->cid++;
    return STATUS_OK;
}

static bool name_is_used(const struct enclaves *running, const char *name)
{
    for (unsigned i = 0; i < running->n; i++)
        if (strcmp(running->list[i].name, name) == 0)
            return true;
    return false;
}

/* The file's name without ".eif". */
static void base_name(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t len = strlen(name);

    if (len > 4 && strcmp(name + len - 4, ".eif") == 0)
        len -= 4;
    if (len >= size)
        len = size - 1;
    memcpy(out, name, len);
    out[len] = '\0';
}

static int choose_name(const struct enclaves *running, const struct run_request *q,
                       struct enclave *e, struct fault *f)
{
    char base[ENCLAVE_NAME_BYTES];

    (void)snprintf(base, sizeof base, "%s", q->name);
    if (base[0] == '\0')
        base_name(q->eif_path, base, sizeof base);
    (void)snprintf(e->name, sizeof e->name, "%s", base);
    for (unsigned i = 1; name_is_used(running, e->name); i++)
        if (snprintf(e->name, sizeof e->name, "%s_%u", base, i) >= (int)sizeof e->name)
            return fault_set(f, E58_NAME, "The enclave's name is too long.");
    return STATUS_OK;
}

int limit_reserve(const struct allocator *pool, const struct enclaves *running,
                  const struct run_request *q, uint64_t min_memory_mib, struct enclave *e,
                  struct fault *f)
{
    if (running->n >= ENCLAVES_MAX)
        return fault_set(f, E29_IOCTL, "%u enclaves run, and a parent has at most %d.", running->n,
                         ENCLAVES_MAX);
    int status = choose_memory(pool, running, q, min_memory_mib, e, f);
    if (status == STATUS_OK)
        status = choose_cpus(pool, running, q, e, f);
    if (status == STATUS_OK)
        status = choose_cid(running, q, e, f);
    if (status == STATUS_OK)
        status = choose_name(running, q, e, f);
    return status;
}

bool limit_parse_memory(const char *text, uint64_t *mib)
{
    struct span s = span_str(text);
    uint64_t unit = 1, n;
    uint8_t last = s.len > 0 ? s.ptr[s.len - 1] : 0;

    if (last == 'g' || last == 'G')
        unit = 1 << 10;
    if (last == 't' || last == 'T')
        unit = 1 << 20;
    if (unit > 1 || last == 'm' || last == 'M')
        s.len--;
    if (span_to_u64(s, MEMORY_MAX_MIB, &n) != ERR_OK || n > MEMORY_MAX_MIB / unit)
        return false;
    *mib = n * unit;
    return true;
}

int limit_parse_cid(const char *text, uint32_t *out, struct fault *f)
{
    uint64_t cid;

    if (span_to_u64(span_str(text), UINT32_MAX, &cid) != ERR_OK)
        return fault_set(f, E03_INVALID_ARGUMENT,
                         "The enclave CID %s is not a number from 4 to 4294967294.", text);
    if ((cid >= 1 && cid <= 3) || cid == UINT32_MAX)
        return fault_set(f, E03_INVALID_ARGUMENT,
                         "CID %s is reserved. Give another one, or 0 to have one chosen.", text);
    *out = (uint32_t)cid;
    return STATUS_OK;
}

uint64_t limit_boot_ns(uint64_t eif_bytes, uint64_t memory_mib, const char *setting)
{
    const uint64_t eif_step = UINT64_C(6) << 30, memory_step = UINT64_C(100) << 10;
    uint64_t seconds;

    if (setting && span_to_u64(span_str(setting), BOOT_SECONDS_MAX, &seconds) == ERR_OK)
        return seconds * NS_PER_S;
    uint64_t steps =
        (eif_bytes + eif_step - 1) / eif_step + (memory_mib + memory_step - 1) / memory_step;
    return steps * BOOT_SECONDS * NS_PER_S;
}
