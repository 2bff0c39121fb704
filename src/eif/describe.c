#include "eif/describe.h"

#include <stdio.h>

#include "base/hex.h"
#include "crypto/hash.h"

enum { NAME_MAX_BYTES = 256, VALUE_MAX_BYTES = 8192, PCR8 = 8 };

void eif_report_clear(struct eif_report *r)
{
    eif_signature_clear(&r->signature);
    *r = EIF_REPORT_NONE;
}

static enum err signature_take(struct eif_report *r, struct why *why)
{
    struct span section = eif_find(&r->eif, EIF_SIGNATURE);

    if (!section.ptr)
        return ERR_OK;
    enum err e = eif_signature_parse(section, &r->signature, why);
    if (e != ERR_OK)
        return e;
    eif_pcr8(r->signature.cert, &r->pcrs);
    r->is_signed = true;
    e = eif_signature_verify(&r->signature, r->pcrs.value[0], &r->signature_fault);
    r->signature_ok = e == ERR_OK;
    return e == ERR_CRYPTO || e == ERR_NOMEM ? e : ERR_OK;
}

enum err eif_report_make(struct span file, struct eif_report *out, struct why *why)
{
    AUTO(eif_report_clear) struct eif_report r = EIF_REPORT_NONE;

    enum err e = eif_split(file, &r.eif, why);
    if (e != ERR_OK)
        return e;
    e = eif_measure(&r.eif, &r.pcrs);
    if (e != ERR_OK)
        return why_fail(why, e, "cannot measure", 0);
    struct span metadata = eif_find(&r.eif, EIF_METADATA);
    r.has_metadata = metadata.ptr != NULL;
    if (r.has_metadata)
        e = eif_metadata_parse(metadata, &r.metadata, why);
    if (e == ERR_OK)
        e = signature_take(&r, why);
    if (e != ERR_OK)
        return e;
    *out = r;
    r = EIF_REPORT_NONE;
    return ERR_OK;
}

static void text(struct json_out *w, const char *name, const char *value)
{
    json_out_key(w, name);
    json_out_string(w, span_str(value));
}

void eif_measurements_write(struct json_out *w, const struct attest_pcrs *pcrs)
{
    static const unsigned shown[] = { 0, 1, 2, PCR8 };
    char name[16], value[2 * ATTEST_PCR_BYTES + 1];

    json_out_object(w);
    text(w, "HashAlgorithm", "Sha384 { ... }"); /* nitro-cli prints it so */
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        if (!(pcrs->present & UINT32_C(1) << shown[i]))
            continue;
        (void)snprintf(name, sizeof name, "PCR%u", shown[i]);
        hex_write(SPAN_ARRAY(pcrs->value[shown[i]]), value);
        text(w, name, value);
    }
    json_out_object_end(w);
}

void eif_measured_write(struct json_out *w, const struct attest_pcrs *pcrs)
{
    json_out_object(w);
    json_out_key(w, "Measurements");
    eif_measurements_write(w, pcrs);
    json_out_object_end(w);
}

/* ---- certificate ---- */

/* Does an attribute after `i` have the same name? In a JSON object only one of them can stand. */
static bool comes_again(const struct signer_cert *cert, unsigned i, struct span name)
{
    for (unsigned k = i + 1; k < signer_issuer_count(cert); k++) {
        AUTO(buf_clear) struct buf other = BUF_INIT(NAME_MAX_BYTES);
        AUTO(buf_clear) struct buf value = BUF_INIT(VALUE_MAX_BYTES);
        if (signer_issuer_at(cert, k, &other, &value) == ERR_OK && span_eq(buf_view(&other), name))
            return true;
    }
    return false;
}

static void issuer_write(struct json_out *w, const struct signer_cert *cert)
{
    json_out_object(w);
    for (unsigned i = 0; i < signer_issuer_count(cert); i++) {
        AUTO(buf_clear) struct buf name = BUF_INIT(NAME_MAX_BYTES);
        AUTO(buf_clear) struct buf value = BUF_INIT(VALUE_MAX_BYTES);
        if (signer_issuer_at(cert, i, &name, &value) != ERR_OK ||
            comes_again(cert, i, buf_view(&name)))
            continue;
        json_out_key_text(w, buf_view(&name));
        json_out_string(w, buf_view(&value));
    }
    json_out_object_end(w);
}

/* "30:64:02:...", upper case. */
static void octets(struct json_out *w, struct span s)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(3 * s.len + 1);

    for (size_t i = 0; i < s.len && w->err == ERR_OK; i++)
        w->err = buf_printf(&out, i ? ":%02X" : "%02X", s.ptr[i]);
    json_out_string(w, buf_view(&out));
}

static void certificate_write(struct json_out *w, const struct signer_cert *cert)
{
    const struct signer_facts *f = signer_cert_facts(cert);

    json_out_object(w);
    json_out_key(w, "IssuerName");
    issuer_write(w, cert);
    text(w, "Algorithm", f->algorithm);
    text(w, "NotBefore", f->not_before_text);
    text(w, "NotAfter", f->not_after_text);
    json_out_key(w, "Signature");
    octets(w, f->signature);
    json_out_object_end(w);
}

/* ---- metadata ---- */

static const char *const metadata_names[] = { "BuildTime",        "BuildTool",
                                              "BuildToolVersion", "OperatingSystem",
                                              "KernelVersion",    "DockerInfo" };

static bool is_ours(struct json_str key)
{
    for (size_t i = 0; i < sizeof metadata_names / sizeof metadata_names[0]; i++)
        if (json_str_is(key, metadata_names[i]))
            return true;
    return false;
}

/* The custom object's members, flattened; one that has the name of a fixed member is left out. */
static void custom_write(struct json_out *w, struct span custom)
{
    struct json_in j = json_in_init(custom);
    struct json_str key;

    if (json_in_peek(&j) != JSON_KIND_OBJECT)
        return;
    for (json_in_object(&j); json_in_member(&j, &key);) {
        AUTO(buf_clear) struct buf scratch = BUF_INIT(key.raw.len);
        struct span name = SPAN_EMPTY;
        struct span value = json_in_skip(&j);
        if (is_ours(key) || json_str_view(key, &scratch, &name) != ERR_OK || j.err != ERR_OK)
            continue;
        json_out_key_text(w, name);
        json_out_raw(w, value);
    }
}

static void word(struct json_out *w, const char *name, struct json_str s)
{
    if (!json_str_is_set(s))
        return;
    json_out_key(w, name);
    json_out_raw_string(w, s);
}

void eif_metadata_members(struct json_out *w, const struct eif_metadata *m)
{
    const struct json_str words[] = { m->build_time, m->build_tool, m->build_tool_version,
                                      m->operating_system, m->kernel_version };

    word(w, "ImageName", m->image_name);
    word(w, "ImageVersion", m->image_version);
    json_out_key(w, "Metadata");
    json_out_object(w);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        word(w, metadata_names[i], words[i]);
    if (m->docker_info.ptr) {
        json_out_key(w, "DockerInfo");
        json_out_raw(w, m->docker_info);
    }
    if (m->custom.ptr)
        custom_write(w, m->custom);
    json_out_object_end(w);
}

/* ---- all of it ---- */

static void sections_write(struct json_out *w, const struct eif *e)
{
    uint8_t sum[SHA384_BYTES];
    char hex[2 * SHA384_BYTES + 1];

    json_out_key(w, "Sections");
    json_out_array(w);
    for (unsigned i = 0; i < e->n_sections; i++) {
        const struct eif_section *s = &e->sections[i];
        sha384(s->data, sum);
        hex_write(SPAN_ARRAY(sum), hex);
        json_out_object(w);
        text(w, "Type", eif_type_name(s->type));
        json_out_key(w, "Offset");
        json_out_uint(w, s->offset);
        json_out_key(w, "Size");
        json_out_uint(w, s->data.len);
        text(w, "Sha384", hex);
        json_out_object_end(w);
    }
    json_out_array_end(w);
}

void eif_report_write(struct json_out *w, bool sections, const struct eif_report *r)
{
    json_out_object(w);
    json_out_key(w, "EifVersion");
    json_out_uint(w, r->eif.version);
    json_out_key(w, "Measurements");
    eif_measurements_write(w, &r->pcrs);
    json_out_key(w, "IsSigned");
    json_out_bool(w, r->is_signed);
    if (r->is_signed) {
        json_out_key(w, "SigningCertificate");
        certificate_write(w, r->signature.cert);
    }
    json_out_key(w, "CheckCRC");
    json_out_bool(w, r->eif.crc == r->eif.crc_computed);
    if (r->is_signed) {
        json_out_key(w, "SignatureCheck");
        json_out_bool(w, r->signature_ok);
    }
    if (r->has_metadata)
        eif_metadata_members(w, &r->metadata);
    if (sections)
        sections_write(w, &r->eif);
    json_out_object_end(w);
}
