#include "attest/pcrs.h"

#include "base/hex.h"
#include "crypto/hash.h"

enum {
    DEBUG_PCRS = 0x7,      /* PCR0 to PCR2 are zeroed in debug mode */
    RUN_TIME_PCRS = 0x18,  /* PCR3 and PCR4 are true in debug mode too */
    IMAGE_FIXED_PARTS = 3, /* kernel, cmdline, first ramdisk */
};

static const char *const differs[ATTEST_PCRS] = {
    "PCR0 differs",  "PCR1 differs",  "PCR2 differs",  "PCR3 differs",  "PCR4 differs",
    "PCR5 differs",  "PCR6 differs",  "PCR7 differs",  "PCR8 differs",  "PCR9 differs",
    "PCR10 differs", "PCR11 differs", "PCR12 differs", "PCR13 differs", "PCR14 differs",
    "PCR15 differs", "PCR16 differs", "PCR17 differs", "PCR18 differs", "PCR19 differs",
    "PCR20 differs", "PCR21 differs", "PCR22 differs", "PCR23 differs", "PCR24 differs",
    "PCR25 differs", "PCR26 differs", "PCR27 differs", "PCR28 differs", "PCR29 differs",
    "PCR30 differs", "PCR31 differs",
};

static const uint8_t zeros[ATTEST_PCR_BYTES];

bool attest_is_debug(const struct attest_pcrs *pcrs)
{
    if (pcrs->is_tpm || (pcrs->present & DEBUG_PCRS) != DEBUG_PCRS)
        return false;
    for (unsigned i = 0; i < 3; i++)
        if (!span_eq(SPAN_ARRAY(pcrs->value[i]), SPAN_ARRAY(zeros)))
            return false;
    return true;
}

enum err attest_pcrs_check(const struct attest_verified *v, const struct attest_pcrs *want,
                           bool allow_debug, struct why *why)
{
    const struct attest_pcrs *got = &v->doc.pcrs;

    if (want->present == 0)
        return why_fail(why, ERR_MALFORMED, "no expected PCRs", 0);
    if ((want->present & ~(uint32_t)RUN_TIME_PCRS) == 0)
        return why_fail(why, ERR_MALFORMED, "PCR3 and PCR4 alone", 0);
    if (got->is_tpm)
        return why_fail(why, ERR_VERIFY, "NitroTPM document", 0);
    if (!allow_debug && attest_is_debug(got))
        return why_fail(why, ERR_VERIFY, "debug enclave", 0);
    if (want->present & ~got->present)
        return why_fail(why, ERR_VERIFY, "PCR not in the document", 0);
    for (unsigned i = 0; i < ATTEST_PCRS; i++)
        if (want->present & UINT32_C(1) << i &&
            !span_eq(SPAN_ARRAY(want->value[i]), SPAN_ARRAY(got->value[i])))
            return why_fail(why, ERR_VERIFY, differs[i], 0);
    return ERR_OK;
}

enum err attest_pcr_parse(struct span text, struct attest_pcrs *want, struct why *why)
{
    AUTO(buf_clear) struct buf value = BUF_INIT(ATTEST_PCR_BYTES);
    struct span hex = text;
    uint64_t index;

    struct span name = span_cut(&hex, '=');
    if (span_starts(name, "PCR"))
        name = span_from(name, 3);
    if (name.len > 2 || span_to_u64(name, ATTEST_PCRS - 1, &index) != ERR_OK)
        return why_fail(why, ERR_MALFORMED, "PCR index is not a number from 0 to 31", 0);
    if (hex.len != (size_t)ATTEST_PCR_BYTES * 2 || hex_parse(hex, &value) != ERR_OK)
        return why_fail(why, ERR_MALFORMED, "PCR value is not 96 hexadecimal digits",
                        text.len - hex.len);
    if (want->present & UINT32_C(1) << index)
        return why_fail(why, ERR_MALFORMED, "PCR given twice", 0);

    memcpy(want->value[index], value.ptr, value.len);
    want->present |= UINT32_C(1) << index;
    return ERR_OK;
}

void attest_pcr_extend(uint8_t pcr[static ATTEST_PCR_BYTES], struct span data)
{
    const struct span parts[] = { span_of(pcr, ATTEST_PCR_BYTES), data };

    sha384_parts(parts, 2, pcr);
}

void attest_pcr_measure(const struct span *parts, size_t n, uint8_t pcr[static ATTEST_PCR_BYTES])
{
    uint8_t digest[SHA384_BYTES];

    sha384_parts(parts, n, digest);
    memset(pcr, 0, ATTEST_PCR_BYTES);
    attest_pcr_extend(pcr, SPAN_ARRAY(digest));
}

enum err attest_pcrs_of_image(const struct span *parts, size_t n, struct attest_pcrs *out)
{
    if (n < IMAGE_FIXED_PARTS)
        return ERR_INTERNAL;
    attest_pcr_measure(parts, n, out->value[0]);
    attest_pcr_measure(parts, IMAGE_FIXED_PARTS, out->value[1]);
    attest_pcr_measure(parts + IMAGE_FIXED_PARTS, n - IMAGE_FIXED_PARTS, out->value[2]);
    out->present |= DEBUG_PCRS;
    return ERR_OK;
}
