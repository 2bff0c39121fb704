/* The input is a document and, put into an envelope, a payload. What is accepted is written, in its
 * own form, as one that is written the same again. */
#include <stdlib.h>

#include "attest/chain.h"
#include "base/cbor.h"

enum { NULLS_MAX_BYTES = 64 }; /* missing optionals are written as null */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void wrap(struct span payload, struct buf *out)
{
    static const uint8_t phdr[] = { 0xa1, 0x01, 0x38, 0x22 }, sig[COSE_SIG_BYTES];
    struct cbor_out w = cbor_out_init(out);

    cbor_out_array(&w, 4);
    cbor_out_bstr(&w, SPAN_ARRAY(phdr));
    cbor_out_map(&w, 0);
    cbor_out_bstr(&w, payload);
    cbor_out_bstr(&w, SPAN_ARRAY(sig));
    if (cbor_out_end(&w) != ERR_OK)
        abort();
}

static void document(struct crypto *cx, struct span in)
{
    AUTO(buf_clear) struct buf once = BUF_INIT(ATTEST_DOC_MAX + NULLS_MAX_BYTES);
    AUTO(buf_clear) struct buf twice = BUF_INIT(ATTEST_DOC_MAX + NULLS_MAX_BYTES);
    AUTO(buf_clear) struct buf again = BUF_INIT(ATTEST_DOC_MAX + 1024);
    static struct attest_doc doc;
    static struct attest_verified v;

    if (attest_doc_parse(in, &doc, NULL) != ERR_OK)
        return;
    bool indefinite = doc.sign1.payload.ptr[0] == 0xbf;
    /* Against its own first certificate, so that the walk is reached. */
    (void)!attest_verify(cx, in, doc.cabundle[0], (int64_t)(doc.timestamp_ms / 1000), &v, NULL);
    if (attest_doc_write(&doc, indefinite, &once) != ERR_OK)
        abort();
    wrap(buf_view(&once), &again);
    if (again.len > ATTEST_DOC_MAX)
        return;
    if (attest_doc_parse(buf_view(&again), &doc, NULL) != ERR_OK ||
        attest_doc_write(&doc, indefinite, &twice) != ERR_OK ||
        !span_eq(buf_view(&once), buf_view(&twice)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct crypto *cx;
    AUTO(buf_clear) struct buf wrapped = BUF_INIT(ATTEST_DOC_MAX + 1024);

    if (size > ATTEST_DOC_MAX || (!cx && crypto_new(&cx) != ERR_OK))
        return 0;
    document(cx, span_of(data, size));
    wrap(span_of(data, size), &wrapped);
    document(cx, buf_view(&wrapped));
    return 0;
}
