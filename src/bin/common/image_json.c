#include "bin/common/image_json.h"

#include <stdlib.h>

#include "base/hex.h"
#include "image/image.h"

enum { PEM_MAX = 1 << 20 };

static bool pretty(const struct json_out *w, struct buf *out, struct image_fault *f)
{
    struct span compact = buf_view(w->out);

    if (w->err == ERR_OK && json_pretty(compact, out) == ERR_OK &&
        buf_append_byte(out, '\n') == ERR_OK)
        return true;
    return image_fault_set(f, IMAGE_FAULT_INTERNAL, "answer", "%s",
                           w->err == ERR_MALFORMED ? "a text that is not UTF-8" : "too long");
}

bool image_json_measured(const struct attest_pcrs *pcrs, struct buf *out, struct image_fault *f)
{
    AUTO(buf_clear) struct buf compact = BUF_INIT(IMAGE_JSON_MAX);
    struct json_out w = json_out_init(&compact);

    eif_measured_write(&w, pcrs);
    return pretty(&w, out, f);
}

void image_opened_freep(struct image_opened **i)
{
    if (!*i)
        return;
    eif_report_clear(&(*i)->report);
    buf_clear(&(*i)->file);
    free(*i);
    *i = NULL;
}

bool image_open(const char *path, struct image_opened **out, struct image_fault *f)
{
    AUTO(image_opened_freep) struct image_opened *i = calloc(1, sizeof *i);
    struct why why = { 0 };

    if (!i)
        return image_fault_set(f, IMAGE_FAULT_INTERNAL, path, "no memory");
    if (!image_file(path, IMAGE_BYTES_MAX, &i->file, f))
        return false;
    enum err r = eif_report_make(buf_view(&i->file), &i->report, &why);
    if (r != ERR_OK) {
        bool ours = r == ERR_NOMEM || r == ERR_CRYPTO;
        return image_fault_set(f, ours ? IMAGE_FAULT_INTERNAL : IMAGE_FAULT_CONTENT, path, "%s",
                               why.what);
    }
    *out = i;
    i = NULL;
    return true;
}

bool image_json_described(const char *path, bool sections, struct buf *out, struct image_fault *f)
{
    AUTO(image_opened_freep) struct image_opened *i = NULL;
    AUTO(buf_clear) struct buf compact = BUF_INIT(IMAGE_JSON_MAX);
    struct json_out w = json_out_init(&compact);

    if (!image_open(path, &i, f))
        return false;
    eif_report_write(&w, sections, &i->report);
    return pretty(&w, out, f);
}

static bool one_pcr(const char *name, const uint8_t pcr[static ATTEST_PCR_BYTES], struct buf *out,
                    struct image_fault *f)
{
    AUTO(buf_clear) struct buf compact = BUF_INIT(1024);
    struct json_out w = json_out_init(&compact);
    char hex[2 * ATTEST_PCR_BYTES + 1];

    hex_write(span_of(pcr, ATTEST_PCR_BYTES), hex);
    json_out_object(&w);
    json_out_key(&w, name);
    json_out_string(&w, span_str(hex));
    json_out_object_end(&w);
    return pretty(&w, out, f);
}

bool image_json_pcr_of_file(const char *path, struct buf *out, struct image_fault *f)
{
    AUTO(buf_clear) struct buf file = { 0 };
    uint8_t pcr[ATTEST_PCR_BYTES];

    if (!image_file(path, IMAGE_BYTES_MAX, &file, f))
        return false;
    struct span bytes = buf_view(&file);
    attest_pcr_measure(&bytes, 1, pcr);
    return one_pcr("PCR", pcr, out, f);
}

bool image_json_pcr8(const char *path, struct buf *out, struct image_fault *f)
{
    AUTO(signer_cert_freep) struct signer_cert *cert = NULL;
    AUTO(buf_clear) struct buf pem = { 0 };
    struct attest_pcrs pcrs = { 0 };
    struct why why = { 0 };

    if (!image_file(path, PEM_MAX, &pem, f))
        return false;
    if (eif_cert_from_pem(buf_view(&pem), &cert, &why) != ERR_OK)
        return image_fault_set(f, IMAGE_FAULT_CONTENT, path, "%s", why.what);
    eif_pcr8(cert, &pcrs);
    return one_pcr("PCR8", pcrs.value[8], out, f);
}
