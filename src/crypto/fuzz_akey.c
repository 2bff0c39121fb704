/* Any PrivateKeyInfo, as somebody may import one: what is accepted is of a kind that we know, and
 * writes both its halves. */
#include <stdlib.h>

#include "crypto/akey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct crypto *cx;
    AUTO(akey_freep) struct akey *key = NULL;
    AUTO(secret_clear) struct secret pkcs8 = { 0 };
    AUTO(buf_clear) struct buf spki = BUF_INIT(65536);

    must(cx || crypto_new(&cx) == ERR_OK);
    if (akey_parse(cx, span_of(data, size), &key, NULL) != ERR_OK)
        return 0;
    must(akey_spec(key) < KEYPAIR_SM2);
    if (akey_private(key, &pkcs8) == ERR_OK && akey_public(key, &spki) == ERR_OK)
        must(pkcs8.len > 0 && spki.len > 0);
    return 0;
}
