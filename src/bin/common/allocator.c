#include "bin/common/allocator.h"

struct reading {
    struct allocator a;
    bool memory, count;
};

bool allocator_has_cpu(const struct allocator *a, unsigned cpu)
{
    return cpu < ALLOCATOR_CPUS_MAX && (a->pool[cpu / 64] >> (cpu % 64) & 1) != 0;
}

/* "6" or "6-9", into the pool; a CPU named twice counts once. */
static enum err take_range(struct span range, struct allocator *a)
{
    struct span rest = range;
    uint64_t first = 0, last = 0;
    enum err r = span_to_u64(span_trim(span_cut(&rest, '-')), ALLOCATOR_CPUS_MAX - 1, &first);

    last = first;
    if (r == ERR_OK && rest.ptr)
        r = span_to_u64(span_trim(rest), ALLOCATOR_CPUS_MAX - 1, &last);
    if (r != ERR_OK || last < first)
        return r != ERR_OK ? r : ERR_MALFORMED;
    for (uint64_t cpu = first; cpu <= last; cpu++) {
        a->cpu_count += !allocator_has_cpu(a, (unsigned)cpu);
        a->pool[cpu / 64] |= UINT64_C(1) << (cpu % 64);
    }
    return ERR_OK;
}

static enum err take_pool(struct span value, struct allocator *a)
{
    struct span rest = value;
    enum err r = ERR_OK;

    a->has_pool = true;
    while (r == ERR_OK && rest.ptr)
        r = take_range(span_trim(span_cut(&rest, ',')), a);
    return r;
}

static enum err take_line(struct reading *rd, struct span line, struct why *why)
{
    struct span value = line;
    struct span name = span_trim(span_cut(&value, ':'));
    enum err r = ERR_OK;

    value = span_trim(value);
    if (value.len == 0)
        return why_fail(why, ERR_MALFORMED, "a line without `name: value`", 0);
    if (span_is(name, "memory_mib")) {
        if (rd->memory)
            return why_fail(why, ERR_MALFORMED, "memory_mib twice", 0);
        rd->memory = true;
        r = span_to_u64(value, ALLOCATOR_MEMORY_MAX_MIB, &rd->a.memory_mib);
        return r == ERR_OK ? ERR_OK : why_fail(why, r, "memory_mib is not a number of MiB", 0);
    }
    if (!span_is(name, "cpu_count") && !span_is(name, "cpu_pool"))
        return why_fail(why, ERR_MALFORMED, "neither memory_mib, cpu_count nor cpu_pool", 0);
    if (rd->count || rd->a.has_pool)
        return why_fail(why, ERR_MALFORMED, "cpu_count or cpu_pool: one of them, once", 0);
    if (span_is(name, "cpu_pool")) {
        r = take_pool(value, &rd->a);
        return r == ERR_OK ? ERR_OK : why_fail(why, r, "cpu_pool is not like 2,3,6-9", 0);
    }
    rd->count = true;
    r = span_to_u64(value, ALLOCATOR_CPUS_MAX, &rd->a.cpu_count);
    return r == ERR_OK ? ERR_OK : why_fail(why, r, "cpu_count is not a number of CPUs", 0);
}

enum err allocator_parse(struct span text, struct allocator *out, struct why *why)
{
    struct reading rd = { .memory = false };
    struct span rest = text;
    bool begun = false;

    while (rest.ptr && rest.len > 0) {
        size_t at = (size_t)(rest.ptr - text.ptr);
        struct why what = { 0 };
        struct span line = span_trim(span_cut(&rest, '\n'));
        if (!begun) {
            begun = span_is(line, "---");
            continue;
        }
        if (span_starts(line, "#"))
            continue;
        enum err r = take_line(&rd, line, &what);
        if (r != ERR_OK)
            return why_fail(why, r, what.what, at);
    }
    if (!begun)
        return why_fail(why, ERR_MALFORMED, "no line `---` before the settings", text.len);
    if (!rd.memory)
        return why_fail(why, ERR_MALFORMED, "no memory_mib", text.len);
    if (!rd.count && !rd.a.has_pool)
        return why_fail(why, ERR_MALFORMED, "neither cpu_count nor cpu_pool", text.len);
    *out = rd.a;
    return ERR_OK;
}
