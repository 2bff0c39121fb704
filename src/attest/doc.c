#include "attest/doc.h"

#include "base/cbor.h"

enum {
    KEY_MAX_BYTES = 16,
    DIGEST_MAX_BYTES = 16,
};

/* Order of the Rust struct, which is the order of real documents; any order is read. */
enum member {
    MODULE_ID,
    DIGEST,
    TIMESTAMP,
    PCRS,
    CERTIFICATE,
    CABUNDLE,
    PUBLIC_KEY,
    USER_DATA,
    NONCE,
    TPM_PCRS, /* in place of PCRS */
    MEMBERS,
};

static const char *const names[MEMBERS] = {
    [MODULE_ID] = "module_id",
    [DIGEST] = "digest",
    [TIMESTAMP] = "timestamp",
    [PCRS] = "pcrs",
    [CERTIFICATE] = "certificate",
    [CABUNDLE] = "cabundle",
    [PUBLIC_KEY] = "public_key",
    [USER_DATA] = "user_data",
    [NONCE] = "nonce",
    [TPM_PCRS] = "nitrotpm_pcrs",
};

enum { MANDATORY = (1 << PUBLIC_KEY) - 1, PCRS_OF_EITHER = 1 << PCRS | 1 << TPM_PCRS };

/* The fault belongs to the item that starts at `at`, which the cursor has passed already. */
static void fail_at(struct cbor_in *c, size_t at, enum err r, const char *what)
{
    if (c->err != ERR_OK)
        return;
    c->pos = at;
    cbor_in_fail(c, r, what);
}

static struct span read_module_id(struct cbor_in *c)
{
    size_t at = c->pos;
    struct span s = cbor_in_tstr(c, ATTEST_MODULE_ID_MAX);

    if (s.len == 0)
        fail_at(c, at, ERR_MALFORMED, "module id");
    return s;
}

/* The comment in the NSM's source knows SHA256 and SHA512 too; documents have SHA384 only. */
static void read_digest(struct cbor_in *c)
{
    size_t at = c->pos;

    if (!span_is(cbor_in_tstr(c, DIGEST_MAX_BYTES), "SHA384"))
        fail_at(c, at, ERR_UNSUPPORTED, "digest");
}

static uint64_t read_timestamp(struct cbor_in *c)
{
    size_t at = c->pos;
    uint64_t ms = cbor_in_uint(c, UINT64_MAX);

    if (ms == 0)
        fail_at(c, at, ERR_MALFORMED, "timestamp");
    return ms;
}

static void read_pcrs(struct cbor_in *c, struct attest_pcrs *out)
{
    size_t start = c->pos;
    uint64_t n = cbor_in_map_upto(c, ATTEST_PCRS);

    if (n == 0)
        fail_at(c, start, ERR_MALFORMED, "no PCRs");
    for (uint64_t i = 0; i < n && c->err == ERR_OK; i++) {
        size_t at = c->pos;
        uint64_t index = cbor_in_uint(c, ATTEST_PCRS - 1);
        if (out->present & UINT32_C(1) << index)
            fail_at(c, at, ERR_MALFORMED, "PCR twice");
        size_t value_at = c->pos;
        struct span v = cbor_in_bstr(c, ATTEST_PCR_BYTES);
        if (v.len != ATTEST_PCR_BYTES)
            fail_at(c, value_at, ERR_MALFORMED, "PCR length");
        if (c->err != ERR_OK)
            return;
        out->present |= UINT32_C(1) << index;
        memcpy(out->value[index], v.ptr, v.len);
    }
}

static struct span read_certificate(struct cbor_in *c)
{
    size_t at = c->pos;
    struct span s = cbor_in_bstr(c, ATTEST_CERT_MAX);

    if (s.len == 0)
        fail_at(c, at, ERR_MALFORMED, "empty certificate");
    return s;
}

static void read_cabundle(struct cbor_in *c, struct attest_doc *out)
{
    size_t start = c->pos;
    uint64_t n = cbor_in_array_upto(c, ATTEST_CABUNDLE_MAX);

    if (n == 0)
        fail_at(c, start, ERR_MALFORMED, "empty cabundle");
    for (uint64_t i = 0; i < n && c->err == ERR_OK; i++)
        out->cabundle[i] = read_certificate(c);
    out->n_cabundle = (size_t)n;
}

/* Null is absent, an empty string is there: real documents have both (an empty public_key too). */
static struct span read_optional(struct cbor_in *c)
{
    return cbor_in_null_opt(c) ? SPAN_EMPTY : cbor_in_bstr(c, ATTEST_FIELD_MAX);
}

static void read_member(struct cbor_in *c, enum member m, struct attest_doc *out)
{
    switch (m) {
    case MODULE_ID:
        out->module_id = read_module_id(c);
        break;
    case DIGEST:
        read_digest(c);
        break;
    case TIMESTAMP:
        out->timestamp_ms = read_timestamp(c);
        break;
    case PCRS:
        read_pcrs(c, &out->pcrs);
        break;
    case CERTIFICATE:
        out->certificate = read_certificate(c);
        break;
    case CABUNDLE:
        read_cabundle(c, out);
        break;
    case PUBLIC_KEY:
        out->public_key = read_optional(c);
        break;
    case USER_DATA:
        out->user_data = read_optional(c);
        break;
    case NONCE:
        out->nonce = read_optional(c);
        break;
    case TPM_PCRS:
        out->pcrs.is_tpm = true;
        read_pcrs(c, &out->pcrs);
        break;
    case MEMBERS:
        break;
    }
}

static unsigned member_of(struct span key)
{
    unsigned m = 0;

    while (m < MEMBERS && !span_is(key, names[m]))
        m++;
    return m;
}

static bool is_pcrs(unsigned m)
{
    return m == PCRS || m == TPM_PCRS;
}

static void read_payload(struct cbor_in *c, struct attest_doc *out)
{
    struct cbor_map map = cbor_in_map_any(c, MEMBERS - 1);
    unsigned seen = 0;

    while (cbor_in_map_next(c, &map)) {
        size_t at = c->pos;
        unsigned m = member_of(cbor_in_tstr(c, KEY_MAX_BYTES));
        if (m == MEMBERS)
            fail_at(c, at, ERR_MALFORMED, "unknown field");
        else if (seen & 1U << m || (is_pcrs(m) && seen & PCRS_OF_EITHER))
            fail_at(c, at, ERR_MALFORMED, "field twice");
        seen |= 1U << m;
        read_member(c, (enum member)m, out);
    }
    if (seen & 1U << TPM_PCRS)
        seen |= 1U << PCRS;
    if ((seen & MANDATORY) != MANDATORY)
        fail_at(c, 0, ERR_MALFORMED, "field missing");
}

enum err attest_payload_parse(struct span in, struct span payload, struct attest_doc *out,
                              struct why *why)
{
    struct attest_doc doc = { .sign1 = out->sign1 };
    struct cbor_in c = cbor_in_init(payload);

    read_payload(&c, &doc);
    if (cbor_in_end(&c) != ERR_OK)
        return why_fail(why, c.err, c.what, (size_t)(payload.ptr - in.ptr) + c.pos);
    *out = doc;
    return ERR_OK;
}

enum err attest_doc_parse(struct span in, struct attest_doc *out, struct why *why)
{
    struct attest_doc doc = { 0 };

    if (in.len > ATTEST_DOC_MAX)
        return why_fail(why, ERR_LIMIT, "document length", 0);
    enum err r = cose_sign1_parse(in, &doc.sign1, why);
    if (r == ERR_OK)
        r = attest_payload_parse(in, doc.sign1.payload, &doc, why);
    if (r == ERR_OK)
        *out = doc;
    return r;
}

static void write_pcrs(struct cbor_out *w, const struct attest_pcrs *pcrs)
{
    cbor_out_map(w, (uint64_t)__builtin_popcount(pcrs->present));
    for (unsigned i = 0; i < ATTEST_PCRS; i++) {
        if (!(pcrs->present & UINT32_C(1) << i))
            continue;
        cbor_out_uint(w, i);
        cbor_out_bstr(w, SPAN_ARRAY(pcrs->value[i]));
    }
}

static void write_optional(struct cbor_out *w, enum member m, struct span s)
{
    cbor_out_tstr(w, span_str(names[m]));
    if (s.ptr)
        cbor_out_bstr(w, s);
    else
        cbor_out_null(w);
}

enum err attest_doc_write(const struct attest_doc *doc, bool indefinite, struct buf *out)
{
    struct cbor_out w = cbor_out_init(out);
    size_t before = out->len;

    if (indefinite)
        cbor_out_map_begin(&w);
    else
        cbor_out_map(&w, MEMBERS - 1);
    cbor_out_tstr(&w, span_str(names[MODULE_ID]));
    cbor_out_tstr(&w, doc->module_id);
    cbor_out_tstr(&w, span_str(names[DIGEST]));
    cbor_out_tstr(&w, SPAN_LIT("SHA384"));
    cbor_out_tstr(&w, span_str(names[TIMESTAMP]));
    cbor_out_uint(&w, doc->timestamp_ms);
    cbor_out_tstr(&w, span_str(names[doc->pcrs.is_tpm ? TPM_PCRS : PCRS]));
    write_pcrs(&w, &doc->pcrs);
    cbor_out_tstr(&w, span_str(names[CERTIFICATE]));
    cbor_out_bstr(&w, doc->certificate);
    cbor_out_tstr(&w, span_str(names[CABUNDLE]));
    cbor_out_array(&w, doc->n_cabundle);
    for (size_t i = 0; i < doc->n_cabundle; i++)
        cbor_out_bstr(&w, doc->cabundle[i]);
    write_optional(&w, PUBLIC_KEY, doc->public_key);
    write_optional(&w, USER_DATA, doc->user_data);
    write_optional(&w, NONCE, doc->nonce);
    if (indefinite)
        cbor_out_map_end(&w);
    enum err r = cbor_out_end(&w);
    if (r != ERR_OK)
        buf_truncate(out, before);
    return r;
}
