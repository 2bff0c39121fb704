/* A peer's SubjectPublicKeyInfo. First byte: the curve of our key. */
#include <stdlib.h>

#include "crypto/ecdh.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[ECDH_SEED_BYTES];
    static struct crypto *cx;
    static struct ecdh_key *keys[ECDH_CURVES];
    AUTO(secret_clear) struct secret z = { 0 };
    struct why why = { 0 };

    if (!cx && (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK))
        abort();
    for (int i = 0; i < ECDH_CURVES; i++)
        if (!keys[i] &&
            ecdh_key_from_seed(cx, (enum ecdh_curve)i, SPAN_ARRAY(seed), &keys[i]) != ERR_OK)
            abort();
    if (size == 0)
        return 0;
    enum err r =
        ecdh_derive(cx, keys[data[0] % ECDH_CURVES], span_of(data + 1, size - 1), &z, &why);
    if (r == ERR_OK ? z.len != (size_t[]){ 32, 48, 66 }[data[0] % ECDH_CURVES] : z.ptr || !why.what)
        abort();
    return 0;
}
