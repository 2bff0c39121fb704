#include "eif/eif.h"

#include <zlib.h>

#include "crypto/hash.h"

enum {
    OFF_VERSION = 0x004,
    OFF_FLAGS = 0x006,
    OFF_MEM = 0x008,
    OFF_CPUS = 0x010,
    OFF_RESERVED = 0x018,
    OFF_NUM = 0x01a,
    OFF_OFFSETS = 0x01c,
    OFF_SIZES = 0x11c,
    OFF_UNUSED = 0x21c,
    OFF_CRC = 0x220,
    VERSION_MIN = 2,
    VERSION_SIGNED = 3,
    VERSION_METADATA = 4,
    TABLE_ENTRY = 8,
    DEFAULT_MEM = 1 << 30, /* what AWS's builder writes */
    DEFAULT_CPUS = 2,
    MEASURED_MAX = EIF_SECTIONS_MAX,
};

static const uint8_t magic[] = { '.', 'e', 'i', 'f' };

static uint64_t get(struct span in, size_t at, size_t bytes)
{
    uint64_t v = 0;

    for (size_t i = 0; i < bytes; i++)
        v = v << 8 | in.ptr[at + i];
    return v;
}

static void put(uint8_t *at, size_t bytes, uint64_t v)
{
    for (size_t i = bytes; i-- > 0; v >>= 8)
        at[i] = (uint8_t)v;
}

/* zlib counts in `uInt`. */
static uint32_t crc_of(uint32_t crc, struct span s)
{
    while (s.len) {
        struct span part = span_sub(s, 0, UINT32_MAX);
        crc = (uint32_t)crc32(crc, part.ptr, (uInt)part.len);
        s = span_from(s, part.len);
    }
    return crc;
}

/* ---- shape ---- */

const char *eif_type_name(enum eif_type type)
{
    switch (type) {
    case EIF_KERNEL:
        return "kernel";
    case EIF_CMDLINE:
        return "cmdline";
    case EIF_RAMDISK:
        return "ramdisk";
    case EIF_SIGNATURE:
        return "signature";
    case EIF_METADATA:
        return "metadata";
    }
    return "unknown";
}

static unsigned count(const struct eif *e, enum eif_type type)
{
    unsigned n = 0;

    for (unsigned i = 0; i < e->n_sections; i++)
        n += e->sections[i].type == type;
    return n;
}

struct span eif_find(const struct eif *e, enum eif_type type)
{
    for (unsigned i = 0; i < e->n_sections; i++)
        if (e->sections[i].type == type)
            return e->sections[i].data;
    return SPAN_EMPTY;
}

unsigned eif_ramdisks(const struct eif *e)
{
    return count(e, EIF_RAMDISK);
}

struct span eif_ramdisk(const struct eif *e, unsigned n)
{
    for (unsigned i = 0; i < e->n_sections; i++)
        if (e->sections[i].type == EIF_RAMDISK && n-- == 0)
            return e->sections[i].data;
    return SPAN_EMPTY;
}

/* Which sections there are, and in which order: the rules of eif.md sections 1.4 and 1.5. */
static enum err shape_check(const struct eif *e, struct why *why)
{
    bool kernel_seen = false;

    for (unsigned i = 0; i < e->n_sections; i++) {
        const struct eif_section *s = &e->sections[i];
        if (s->type == EIF_RAMDISK && !kernel_seen)
            return why_fail(why, ERR_MALFORMED, "a ramdisk stands before the kernel", s->offset);
        if (s->type == EIF_SIGNATURE && s->data.len > EIF_SIGNATURE_MAX)
            return why_fail(why, ERR_LIMIT, "the signature section is too long", s->offset);
        kernel_seen = kernel_seen || s->type == EIF_KERNEL;
    }
    if (count(e, EIF_KERNEL) != 1)
        return why_fail(why, ERR_MALFORMED, "not exactly one kernel", 0);
    if (count(e, EIF_CMDLINE) != 1)
        return why_fail(why, ERR_MALFORMED, "not exactly one command line", 0);
    if (count(e, EIF_RAMDISK) == 0)
        return why_fail(why, ERR_MALFORMED, "no ramdisk", 0);
    if (count(e, EIF_METADATA) > 1)
        return why_fail(why, ERR_MALFORMED, "more than one metadata section", 0);
    if (e->version >= VERSION_METADATA && eif_find(e, EIF_METADATA).len == 0)
        return why_fail(why, ERR_MALFORMED, "no metadata", 0);
    if (count(e, EIF_SIGNATURE) > (e->version >= VERSION_SIGNED ? 1U : 0U))
        return why_fail(why, ERR_MALFORMED, "too many signature sections", 0);
    return ERR_OK;
}

/* ---- reading ---- */

static enum err header_check(struct span in, struct why *why)
{
    if (in.len < EIF_HEADER_BYTES || memcmp(in.ptr, magic, sizeof magic) != 0)
        return why_fail(why, ERR_MALFORMED, "not an enclave image", 0);
    uint64_t version = get(in, OFF_VERSION, 2), n = get(in, OFF_NUM, 2);
    if (version < VERSION_MIN || version > EIF_VERSION)
        return why_fail(why, ERR_UNSUPPORTED, "version", OFF_VERSION);
    if (get(in, OFF_FLAGS, 2) & ~(uint64_t)EIF_FLAG_AARCH64)
        return why_fail(why, ERR_UNSUPPORTED, "unknown flags", OFF_FLAGS);
    if (get(in, OFF_RESERVED, 2) || get(in, OFF_UNUSED, 4))
        return why_fail(why, ERR_UNSUPPORTED, "a reserved field is not zero", OFF_RESERVED);
    if (n > EIF_SECTIONS_MAX)
        return why_fail(why, ERR_LIMIT, "too many sections", OFF_NUM);
    for (size_t i = n; i < EIF_SECTIONS_MAX; i++)
        if (get(in, OFF_OFFSETS + i * TABLE_ENTRY, TABLE_ENTRY) ||
            get(in, OFF_SIZES + i * TABLE_ENTRY, TABLE_ENTRY))
            return why_fail(why, ERR_MALFORMED, "the table has more entries than sections",
                            OFF_OFFSETS + i * TABLE_ENTRY);
    return ERR_OK;
}

/* The section at *at, which is entry `i` of the table; moves *at behind it. */
static enum err section_read(struct span in, unsigned i, size_t *at, struct eif_section *out,
                             struct why *why)
{
    if (get(in, OFF_OFFSETS + i * TABLE_ENTRY, TABLE_ENTRY) != *at)
        return why_fail(why, ERR_MALFORMED, "a section does not begin where the one before it ends",
                        OFF_OFFSETS + i * TABLE_ENTRY);
    if (in.len - *at < EIF_SECTION_HEADER_BYTES)
        return why_fail(why, ERR_MALFORMED, "end of file in a section header", *at);
    uint64_t type = get(in, *at, 2), size = get(in, *at + 4, 8);
    if (type < EIF_KERNEL || type > EIF_METADATA)
        return why_fail(why, ERR_UNSUPPORTED, "section type", *at);
    if (get(in, *at + 2, 2))
        return why_fail(why, ERR_UNSUPPORTED, "section flags", *at);
    if (size != get(in, OFF_SIZES + i * TABLE_ENTRY, TABLE_ENTRY))
        return why_fail(why, ERR_MALFORMED, "a section's size differs from the table's", *at);
    if (size > in.len - *at - EIF_SECTION_HEADER_BYTES)
        return why_fail(why, ERR_MALFORMED, "end of file in a section", *at);
    *out = (struct eif_section){ (enum eif_type)type, *at,
                                 span_sub(in, *at + EIF_SECTION_HEADER_BYTES, (size_t)size) };
    *at += EIF_SECTION_HEADER_BYTES + (size_t)size;
    return ERR_OK;
}

enum err eif_split(struct span in, struct eif *out, struct why *why)
{
    struct eif e = { 0 };
    size_t at = EIF_HEADER_BYTES;

    enum err r = header_check(in, why);
    if (r != ERR_OK)
        return r;
    e.version = (unsigned)get(in, OFF_VERSION, 2);
    e.aarch64 = get(in, OFF_FLAGS, 2) & EIF_FLAG_AARCH64;
    e.default_mem = get(in, OFF_MEM, 8);
    e.default_cpus = get(in, OFF_CPUS, 8);
    e.n_sections = (unsigned)get(in, OFF_NUM, 2);
    for (unsigned i = 0; i < e.n_sections && r == ERR_OK; i++)
        r = section_read(in, i, &at, &e.sections[i], why);
    if (r != ERR_OK)
        return r;
    if (at != in.len)
        return why_fail(why, ERR_MALFORMED, "bytes after the last section", at);
    r = shape_check(&e, why);
    if (r != ERR_OK)
        return r;
    e.crc = (uint32_t)get(in, OFF_CRC, 4);
    e.crc_computed = crc_of(crc_of(0, span_sub(in, 0, OFF_CRC)), span_from(in, EIF_HEADER_BYTES));
    *out = e;
    return ERR_OK;
}

enum err eif_parse(struct span in, struct eif *out, struct why *why)
{
    struct eif e;

    enum err r = eif_split(in, &e, why);
    if (r != ERR_OK)
        return r;
    if (e.crc != e.crc_computed)
        return why_fail(why, ERR_VERIFY, "CRC", OFF_CRC);
    *out = e;
    return ERR_OK;
}

/* ---- writing ---- */

struct eif eif_new(bool aarch64)
{
    return (struct eif){ .version = EIF_VERSION,
                         .aarch64 = aarch64,
                         .default_mem = DEFAULT_MEM,
                         .default_cpus = DEFAULT_CPUS };
}

enum err eif_add(struct eif *e, enum eif_type type, struct span data)
{
    if (e->n_sections == EIF_SECTIONS_MAX)
        return ERR_LIMIT;
    e->sections[e->n_sections++] = (struct eif_section){ .type = type, .data = data };
    return ERR_OK;
}

enum err eif_set_signature(struct eif *e, struct span data)
{
    unsigned i = 0;

    while (i < e->n_sections && e->sections[i].type != EIF_SIGNATURE)
        i++;
    if (data.len == 0) {
        if (i < e->n_sections) {
            e->n_sections--;
            memmove(e->sections + i, e->sections + i + 1,
                    (e->n_sections - i) * sizeof e->sections[0]);
        }
        return ERR_OK;
    }
    if (i == e->n_sections) {
        enum err r = eif_add(e, EIF_SIGNATURE, data);
        if (r != ERR_OK)
            return r;
    }
    e->sections[i].data = data;
    if (e->version < VERSION_SIGNED)
        e->version = VERSION_SIGNED;
    return ERR_OK;
}

size_t eif_size(const struct eif *e)
{
    size_t n = EIF_HEADER_BYTES;

    for (unsigned i = 0; i < e->n_sections; i++)
        n += EIF_SECTION_HEADER_BYTES + e->sections[i].data.len;
    return n;
}

static enum err write_check(const struct eif *e, struct why *why)
{
    enum err r = shape_check(e, why);

    if (r != ERR_OK)
        return r;
    if (e->version < VERSION_MIN || e->version > EIF_VERSION)
        return why_fail(why, ERR_UNSUPPORTED, "version", 0);
    if (eif_find(e, EIF_KERNEL).len == 0)
        return why_fail(why, ERR_MALFORMED, "the kernel is empty", 0);
    struct span line = eif_find(e, EIF_CMDLINE);
    if (line.len >= EIF_CMDLINE_MAX)
        return why_fail(why, ERR_LIMIT, "the command line is too long", 0);
    for (size_t i = 0; i < line.len; i++)
        if (line.ptr[i] < ' ' || line.ptr[i] == 0x7f)
            return why_fail(why, ERR_MALFORMED, "a control character in the command line", i);
    return ERR_OK;
}

static void header_put(const struct eif *e, uint8_t h[static EIF_HEADER_BYTES])
{
    size_t at = EIF_HEADER_BYTES;

    memset(h, 0, EIF_HEADER_BYTES);
    memcpy(h, magic, sizeof magic);
    put(h + OFF_VERSION, 2, e->version);
    put(h + OFF_FLAGS, 2, e->aarch64 ? EIF_FLAG_AARCH64 : 0);
    put(h + OFF_MEM, 8, e->default_mem);
    put(h + OFF_CPUS, 8, e->default_cpus);
    put(h + OFF_NUM, 2, e->n_sections);
    for (unsigned i = 0; i < e->n_sections; i++) {
        put(h + OFF_OFFSETS + i * TABLE_ENTRY, TABLE_ENTRY, at);
        put(h + OFF_SIZES + i * TABLE_ENTRY, TABLE_ENTRY, e->sections[i].data.len);
        at += EIF_SECTION_HEADER_BYTES + e->sections[i].data.len;
    }
}

enum err eif_write(const struct eif *e, struct buf *out, struct why *why)
{
    size_t total = eif_size(e);
    uint8_t *p = NULL;

    enum err r = write_check(e, why);
    if (r != ERR_OK)
        return r;
    r = buf_reserve(out, total, &p);
    if (r != ERR_OK)
        return why_fail(why, r, r == ERR_LIMIT ? "the image is too large" : "memory", 0);
    header_put(e, p);
    size_t at = EIF_HEADER_BYTES;
    for (unsigned i = 0; i < e->n_sections; i++) {
        const struct eif_section *s = &e->sections[i];
        put(p + at, 2, s->type);
        put(p + at + 2, 2, 0);
        put(p + at + 4, 8, s->data.len);
        at += EIF_SECTION_HEADER_BYTES;
        if (s->data.len)
            memcpy(p + at, s->data.ptr, s->data.len);
        at += s->data.len;
    }
    put(p + OFF_CRC, 4,
        crc_of(crc_of(0, span_of(p, OFF_CRC)),
               span_of(p + EIF_HEADER_BYTES, total - EIF_HEADER_BYTES)));
    buf_commit(out, total);
    return ERR_OK;
}

/* ---- measuring ---- */

enum err eif_measure(const struct eif *e, struct attest_pcrs *out)
{
    struct span pcr0[MEASURED_MAX], pcr1[MEASURED_MAX], pcr2[MEASURED_MAX];
    size_t n0 = 0, n1 = 0, n2 = 0, ramdisks = 0;
    struct attest_pcrs pcrs = { .present = 7 };

    enum err r = shape_check(e, NULL);
    if (r != ERR_OK)
        return r;
    for (unsigned i = 0; i < e->n_sections; i++) {
        const struct eif_section *s = &e->sections[i];
        if (s->type != EIF_KERNEL && s->type != EIF_CMDLINE && s->type != EIF_RAMDISK)
            continue;
        pcr0[n0++] = s->data;
        if (s->type != EIF_RAMDISK || ramdisks++ == 0)
            pcr1[n1++] = s->data;
        else
            pcr2[n2++] = s->data;
    }
    attest_pcr_measure(pcr0, n0, pcrs.value[0]);
    attest_pcr_measure(pcr1, n1, pcrs.value[1]);
    attest_pcr_measure(pcr2, n2, pcrs.value[2]);
    *out = pcrs;
    return ERR_OK;
}
