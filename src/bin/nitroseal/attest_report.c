#include "base/hex.h"
#include "base/rfc3339.h"
#include "bin/nitroseal/attest.h"

enum { MS_PER_S = 1000 };

static bool is_zero(const uint8_t pcr[static ATTEST_PCR_BYTES])
{
    uint8_t any = 0;

    for (size_t i = 0; i < ATTEST_PCR_BYTES; i++)
        any |= pcr[i];
    return any == 0;
}

/* The first three always, of the others those that hold something. */
static bool is_shown(const struct attest_pcrs *pcrs, unsigned i)
{
    return (pcrs->present & UINT32_C(1) << i) && (i < 3 || !is_zero(pcrs->value[i]));
}

static const char *compared(const struct attest_question *q, unsigned i)
{
    return q->want.present & UINT32_C(1) << i ? _("  as expected") : "";
}

static enum err pcr_lines(const struct attest_verified *v, const struct attest_question *q,
                          struct buf *out)
{
    enum err r = ERR_OK;

    for (unsigned i = 0; i < ATTEST_PCRS && r == ERR_OK; i++) {
        char hex[2 * ATTEST_PCR_BYTES + 1];
        if (!is_shown(&v->doc.pcrs, i))
            continue;
        hex_write(SPAN_ARRAY(v->doc.pcrs.value[i]), hex);
        r = buf_printf(out, "PCR%-9u %s%s\n", i, hex, compared(q, i));
    }
    if (r == ERR_OK && q->any_image)
        r = buf_append_str(out, _("PCRs were compared with nothing (--any-image): this may be any "
                                  "image\n"));
    return r;
}

enum err attest_lines_write(const struct attest_verified *v, const struct attest_question *q,
                            struct buf *out)
{
    char made[RFC3339_BYTES], from[RFC3339_BYTES], until[RFC3339_BYTES];

    rfc3339_write((int64_t)(v->doc.timestamp_ms / MS_PER_S), made);
    rfc3339_write(v->not_before, from);
    rfc3339_write(v->not_after, until);
    enum err r = buf_append_str(out, "module       ");
    if (r == ERR_OK)
        cli_append_clean(out, v->doc.module_id);
    r = buf_printf(out,
                   "\ntime         %s\ncertificate  %s .. %s\nroot         %s\nnonce        %s\n"
                   "digest       SHA384\n",
                   made, from, until,
                   q->aws_root ? _("AWS Nitro Enclaves root G1") : _("a root given by --root"),
                   q->nonce.ptr ? _("as sent") : _("not compared"));
    return r == ERR_OK ? pcr_lines(v, q, out) : r;
}

static void json_time(struct json_out *w, const char *name, int64_t unix_s)
{
    char text[RFC3339_BYTES];

    rfc3339_write(unix_s, text);
    json_out_key(w, name);
    json_out_string(w, span_str(text));
}

static void json_pcrs(struct json_out *w, const struct attest_verified *v,
                      const struct attest_question *q)
{
    char name[8], hex[2 * ATTEST_PCR_BYTES + 1];

    json_out_key(w, "pcrs");
    json_out_object(w);
    for (unsigned i = 0; i < ATTEST_PCRS; i++) {
        if (!is_shown(&v->doc.pcrs, i))
            continue;
        snprintf(name, sizeof name, "PCR%u", i);
        hex_write(SPAN_ARRAY(v->doc.pcrs.value[i]), hex);
        json_out_key(w, name);
        json_out_string(w, span_str(hex));
    }
    json_out_object_end(w);
    json_out_key(w, "pcrs_compared");
    json_out_bool(w, q->want.present != 0);
    json_out_key(w, "pcrs_as_expected");
    json_out_array(w);
    for (unsigned i = 0; i < ATTEST_PCRS; i++) {
        if (!(q->want.present & UINT32_C(1) << i))
            continue;
        snprintf(name, sizeof name, "PCR%u", i);
        json_out_string(w, span_str(name));
    }
    json_out_array_end(w);
}

enum err attest_json_write(const struct attest_verified *v, const struct attest_question *q,
                           struct buf *out)
{
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    json_out_key(&w, "module_id");
    json_out_string(&w, v->doc.module_id);
    json_out_key(&w, "timestamp_ms");
    json_out_uint(&w, v->doc.timestamp_ms);
    json_time(&w, "timestamp", (int64_t)(v->doc.timestamp_ms / MS_PER_S));
    json_time(&w, "certificate_not_before", v->not_before);
    json_time(&w, "certificate_not_after", v->not_after);
    json_out_key(&w, "root");
    json_out_string(&w, q->aws_root ? SPAN_LIT("aws-g1") : SPAN_LIT("given"));
    json_out_key(&w, "nonce_compared");
    json_out_bool(&w, q->nonce.ptr != NULL);
    json_out_key(&w, "debug");
    json_out_bool(&w, attest_is_debug(&v->doc.pcrs));
    json_out_key(&w, "digest");
    json_out_string(&w, SPAN_LIT("SHA384"));
    json_pcrs(&w, v, q);
    json_out_object_end(&w);
    enum err r = json_out_end(&w);
    return r == ERR_OK ? buf_append_byte(out, '\n') : r;
}
