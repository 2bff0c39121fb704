#include "localkms/qemu_nsm.h"

#include "base/cbor.h"

enum { MS_PER_S = 1000 };

static const uint8_t phdr[] = { 0xa1, 0x01, 0x20 }; /* {1: -1} */
static const uint8_t zeros[QEMU_NSM_ZEROS_BYTES];

bool qemu_nsm_is(struct span in)
{
    struct cose_sign1 msg;
    struct span uhdr;

    return in.len <= ATTEST_DOC_MAX && cose_sign1_split(in, &msg, &uhdr, NULL) == ERR_OK &&
           span_eq(msg.phdr, SPAN_ARRAY(phdr));
}

enum err qemu_nsm_write(const struct attest_doc *doc, struct buf *out)
{
    AUTO(buf_clear) struct buf payload = BUF_INIT(COSE_PAYLOAD_MAX);
    struct attest_doc plain = *doc;
    size_t before = out->len;

    plain.certificate = plain.cabundle[0] = SPAN_ARRAY(zeros);
    plain.n_cabundle = 1;
    plain.timestamp_ms -= plain.timestamp_ms % MS_PER_S;
    enum err r = attest_doc_write(&plain, false, &payload);
    if (r != ERR_OK)
        return r;

    struct cbor_out w = cbor_out_init(out);
    cbor_out_array(&w, 4);
    cbor_out_bstr(&w, SPAN_ARRAY(phdr));
    cbor_out_map(&w, 0);
    cbor_out_bstr(&w, buf_view(&payload));
    cbor_out_bstr(&w, SPAN_ARRAY(zeros));
    r = cbor_out_end(&w);
    if (r != ERR_OK)
        buf_truncate(out, before);
    return r;
}

static enum err fail(struct why *why, const char *what, struct span in, struct span part)
{
    return why_fail(why, ERR_MALFORMED, what, (size_t)(part.ptr - in.ptr));
}

/* There is one encoding of each document, so it is compared with what we would write. */
static enum err check_form(struct span in, const struct attest_doc *doc, struct why *why)
{
    AUTO(buf_clear) struct buf again = BUF_INIT(ATTEST_DOC_MAX);
    size_t at = 0;

    if (!span_eq(doc->certificate, SPAN_ARRAY(zeros)))
        return fail(why, "certificate of an unsigned document", in, doc->certificate);
    if (doc->n_cabundle != 1 || !span_eq(doc->cabundle[0], SPAN_ARRAY(zeros)))
        return fail(why, "cabundle of an unsigned document", in, doc->cabundle[0]);
    if (!span_eq(doc->sign1.sig, SPAN_ARRAY(zeros)))
        return fail(why, "signature of an unsigned document", in, doc->sign1.sig);
    if (doc->timestamp_ms % MS_PER_S != 0)
        return fail(why, "time of an unsigned document", in, doc->sign1.payload);
    enum err r = qemu_nsm_write(doc, &again);
    if (r != ERR_OK)
        return why_fail(why, r, "document length", 0);
    if (span_eq(in, buf_view(&again)))
        return ERR_OK;
    while (at < in.len && at < again.len && in.ptr[at] == again.ptr[at])
        at++;
    return why_fail(why, ERR_MALFORMED, "form of an unsigned document", at);
}

enum err qemu_nsm_parse(struct span in, struct attest_doc *out, struct why *why)
{
    struct attest_doc doc = { 0 };
    struct span uhdr;

    if (in.len > ATTEST_DOC_MAX)
        return why_fail(why, ERR_LIMIT, "document length", 0);
    enum err r = cose_sign1_split(in, &doc.sign1, &uhdr, why);
    if (r == ERR_OK && !span_eq(doc.sign1.phdr, SPAN_ARRAY(phdr)))
        r = why_fail(why, ERR_UNSUPPORTED, "protected header",
                     (size_t)(doc.sign1.phdr.ptr - in.ptr));
    if (r == ERR_OK)
        r = attest_payload_parse(in, doc.sign1.payload, &doc, why);
    if (r == ERR_OK)
        r = check_form(in, &doc, why);
    if (r == ERR_OK)
        *out = doc;
    return r;
}
