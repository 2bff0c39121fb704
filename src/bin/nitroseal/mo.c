#include "bin/nitroseal/mo.h"

enum {
    MO_HEADER_BYTES = 28,
    MO_ENTRY_BYTES = 8, /* length, offset */
};

#define MO_MAGIC         UINT32_C(0x950412de)
#define MO_MAGIC_SWAPPED UINT32_C(0xde120495)

static uint32_t word_at(struct span file, size_t at, bool swapped)
{
    uint32_t v;

    memcpy(&v, file.ptr + at, sizeof v);
    return swapped ? __builtin_bswap32(v) : v;
}

/* Is the table inside, and every string that it names, with a NUL after it? */
static bool table_is_sound(const struct mo *mo, uint32_t table)
{
    if (table > mo->file.len || mo->n > (mo->file.len - table) / MO_ENTRY_BYTES)
        return false;
    for (uint32_t i = 0; i < mo->n; i++) {
        size_t entry = table + (size_t)i * MO_ENTRY_BYTES;
        uint32_t len = word_at(mo->file, entry, mo->swapped);
        uint32_t at = word_at(mo->file, entry + 4, mo->swapped);
        if (at >= mo->file.len || len >= mo->file.len - at || mo->file.ptr[at + len] != '\0')
            return false;
    }
    return true;
}

enum err mo_parse(struct span file, struct mo *out, struct why *why)
{
    struct mo mo = { .file = file };

    if (file.len < MO_HEADER_BYTES)
        return why_fail(why, ERR_MALFORMED, "header", 0);
    uint32_t magic = word_at(file, 0, false);
    if (magic != MO_MAGIC && magic != MO_MAGIC_SWAPPED)
        return why_fail(why, ERR_MALFORMED, "magic number", 0);
    mo.swapped = magic == MO_MAGIC_SWAPPED;
    if (word_at(file, 4, mo.swapped) != 0)
        return why_fail(why, ERR_UNSUPPORTED, "revision", 4);
    mo.n = word_at(file, 8, mo.swapped);
    mo.originals = word_at(file, 12, mo.swapped);
    mo.translations = word_at(file, 16, mo.swapped);
    if (!table_is_sound(&mo, mo.originals) || !table_is_sound(&mo, mo.translations))
        return why_fail(why, ERR_MALFORMED, "table", 12);
    *out = mo;
    return ERR_OK;
}

static const char *string_at(const struct mo *mo, uint32_t table, uint32_t i)
{
    size_t entry = table + (size_t)i * MO_ENTRY_BYTES;

    return (const char *)mo->file.ptr + word_at(mo->file, entry + 4, mo->swapped);
}

const char *mo_find(const struct mo *mo, const char *original)
{
    uint32_t low = 0, high = mo->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(original, string_at(mo, mo->originals, middle));
        if (order == 0)
            return string_at(mo, mo->translations, middle);
        if (order < 0)
            high = middle;
        if (order > 0)
            low = middle + 1;
    }
    return NULL;
}
