/* A certificate: what we read is what OpenSSL reads, and no span leaves the input. */
#include <stdlib.h>

#include "crypto/x509_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct span part, struct span whole)
{
    if (part.len && (part.ptr < whole.ptr || part.len > whole.len ||
                     (size_t)(part.ptr - whole.ptr) > whole.len - part.len))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct crypto *cx;
    AUTO(x509_freep) struct x509 *cert = NULL;
    struct why why = { 0 };

    if (!cx && (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK))
        abort();
    if (x509_parse(cx, span_of(data, size), &cert, &why) != ERR_OK) {
        if (cert || !why.what)
            abort();
        return 0;
    }
    const struct x509_facts *f = x509_facts(cert);
    inside(f->subject, f->der);
    inside(f->issuer, f->der);
    inside(cert->tbs, f->der);
    inside(cert->sig, f->der);
    if (!span_is_utf8(f->common_name) || f->is_p384 != (x509_pub(cert) != NULL) ||
        x509_oracle(cert))
        abort();
    return 0;
}
