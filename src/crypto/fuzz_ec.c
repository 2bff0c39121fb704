/* A point, then a signature in DER over "m": nothing that a fuzzer finds may verify with our key.
 */
#include <stdlib.h>

#include "crypto/ec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct crypto *cx;
    static struct ec_key *key;
    static struct ec_pub *ours;
    AUTO(ec_pub_freep) struct ec_pub *pub = NULL;
    struct span in = span_of(data, size);

    if (!cx && (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK ||
                ec_key_new(cx, &key) != ERR_OK || ec_key_pub(cx, key, &ours) != ERR_OK))
        abort();
    if (ec_pub_parse(cx, span_sub(in, 0, P384_POINT_BYTES), &pub, NULL) == ERR_OK && !pub)
        abort();
    in = span_from(in, P384_POINT_BYTES);
    if (ec_verify_p384_der(cx, ours, SPAN_LIT("m"), in) != ERR_VERIFY)
        abort();
    if (pub && ec_verify_es384(cx, pub, SPAN_LIT("m"), in) == ERR_OK && in.len != ES384_SIG_BYTES)
        abort();
    return 0;
}
