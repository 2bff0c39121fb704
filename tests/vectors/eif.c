/* eif.c - enclave images: taken apart, measured, described, their signatures verified. */
#include "runner.h"

#include <stdio.h>

#include "base/hex.h"
#include "eif/describe.h"

static const struct {
    const char *name;
    unsigned index;
} measured[] = { { "PCR0", 0 }, { "PCR1", 1 }, { "PCR2", 2 }, { "PCR8", 8 } };

static bool pcrs_match(struct runner *r, const struct entry *e, const struct attest_pcrs *pcrs)
{
    json_t *want = json_object_get(e->values, "pcrs");
    char hex[2 * ATTEST_PCR_BYTES + 1];

    for (size_t i = 0; i < sizeof measured / sizeof measured[0]; i++) {
        const char *value = json_string_value(json_object_get(want, measured[i].name));
        if (!value)
            continue;
        hex_write(SPAN_ARRAY(pcrs->value[measured[i].index]), hex);
        if (!(pcrs->present & 1U << measured[i].index) || strcmp(hex, value) != 0) {
            set_note(r, "%s differs", measured[i].name);
            return false;
        }
    }
    return true;
}

static bool layout_matches(struct runner *r, const struct entry *e, const struct eif *eif)
{
    json_t *section, *sections = json_object_get(e->values, "sections"),
                     *version = json_object_get(e->values, "version");
    const char *arch = value_text(e, "arch"), *crc = value_text(e, "crc32");
    char hex[16];
    size_t i;

    snprintf(hex, sizeof hex, "%08x", eif->crc);
    if ((version && json_integer_value(version) != (json_int_t)eif->version) ||
        (arch && strcmp(arch, eif->aarch64 ? "aarch64" : "x86_64") != 0) ||
        (crc && strcmp(crc, hex) != 0) ||
        (sections && json_array_size(sections) != eif->n_sections)) {
        set_note(r, "version, architecture, CRC or number of sections differs");
        return false;
    }
    json_array_foreach(sections, i, section)
    {
        const struct eif_section *s = &eif->sections[i];
        if (json_integer_value(json_object_get(section, "type")) != (json_int_t)s->type ||
            json_integer_value(json_object_get(section, "size")) != (json_int_t)s->data.len) {
            set_note(r, "section %zu differs", i);
            return false;
        }
    }
    return true;
}

/* Written anew from its parts, it is the same file. */
static bool round_trips(struct runner *r, const struct entry *e, const struct eif *eif)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(e->bytes.len);

    if (eif_write(eif, &out, NULL) == ERR_OK && span_eq(buf_view(&out), e->bytes))
        return true;
    set_note(r, "written back differently");
    return false;
}

enum outcome run_eif(struct runner *r, const struct entry *e)
{
    AUTO(eif_report_clear) struct eif_report report = EIF_REPORT_NONE;
    const struct eif *eif = &report.eif;
    struct why why = { 0 };

    if (eif_report_make(e->bytes, &report, &why) != ERR_OK) {
        set_note(r, "refused: %s", why.what);
        return REFUSED;
    }
    if (eif->crc != eif->crc_computed)
        return REFUSED;
    if (report.is_signed && !report.signature_ok) {
        set_note(r, "refused: %s", report.signature_fault.what);
        return REFUSED;
    }
    if (!pcrs_match(r, e, &report.pcrs) || !layout_matches(r, e, eif) || !round_trips(r, e, eif))
        return MISMATCH;
    return ACCEPTED;
}
