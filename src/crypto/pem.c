/* Tested by test_rsa.c and test_ec.c. */
#include "crypto/pem.h"

#include <openssl/pem.h>

void pem_block_clear(struct pem_block *b)
{
    OPENSSL_free(b->label);
    OPENSSL_clear_free(b->der, (size_t)b->len);
    *b = (struct pem_block){ 0 };
}

enum err pem_next(BIO *bio, struct pem_block *out)
{
    struct pem_block b = { 0 };
    char *headers = NULL;

    if (PEM_read_bio(bio, &b.label, &headers, &b.der, &b.len) != 1) {
        bool end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
        enum err r = ossl_fail();
        if (end)
            *out = b;
        return end ? ERR_OK : r == ERR_NOMEM ? r : ERR_MALFORMED;
    }
    bool plain = headers[0] == 0; /* "Proc-Type: 4,ENCRYPTED" would stand there */
    OPENSSL_free(headers);
    if (!plain) {
        pem_block_clear(&b);
        return ERR_MALFORMED;
    }
    *out = b;
    return ERR_OK;
}

static bool is_private_key(const char *label)
{
    return strcmp(label, "PRIVATE KEY") == 0 || strcmp(label, "RSA PRIVATE KEY") == 0 ||
           strcmp(label, "EC PRIVATE KEY") == 0;
}

enum err pem_private_key(struct span pem, const char *algorithm, EVP_PKEY **out, struct why *why)
{
    AUTO(BIO_free_all_p) BIO *bio = bio_of_span(pem);

    if (!bio)
        return why_fail(why, ossl_fail(), "PEM", 0);
    for (;;) {
        AUTO(pem_block_clear) struct pem_block b = { 0 };
        enum err r = pem_next(bio, &b);
        if (r != ERR_OK || !b.label)
            return why_fail(why, r == ERR_OK ? ERR_MALFORMED : r, "PEM private key", 0);
        if (strcmp(b.label, "ENCRYPTED PRIVATE KEY") == 0)
            return why_fail(why, ERR_UNSUPPORTED, "encrypted private key", 0);
        if (!is_private_key(b.label))
            continue; /* "EC PARAMETERS", a certificate in the same file */

        const uint8_t *p = b.der;
        AUTO(EVP_PKEY_free_p) EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &p, b.len);
        if (!pkey || p != b.der + b.len) {
            r = ossl_fail();
            return why_fail(why, r == ERR_NOMEM ? r : ERR_MALFORMED, "private key", 0);
        }
        if (algorithm && !EVP_PKEY_is_a(pkey, algorithm))
            return why_fail(why, ERR_UNSUPPORTED, "key algorithm", 0);
        *out = pkey;
        pkey = NULL;
        return ERR_OK;
    }
}
