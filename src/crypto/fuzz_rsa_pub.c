/* SubjectPublicKeyInfo of a recipient: what is accepted has a usable size. */
#include <stdlib.h>

#include "crypto/rsa.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct crypto *cx;
    AUTO(rsa_pub_freep) struct rsa_pub *pub = NULL;
    struct why why = { 0 };

    if (!cx && (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK))
        abort();
    if (rsa_pub_parse(cx, span_of(data, size), &pub, &why) != ERR_OK) {
        if (pub || !why.what)
            abort();
        return 0;
    }
    if (rsa_pub_bytes(pub) < 256 || rsa_pub_bytes(pub) > 512 || size < rsa_pub_bytes(pub))
        abort();
    return 0;
}
