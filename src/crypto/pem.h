/* pem.h - PEM (RFC 7468) through OpenSSL's reader: the first block of a kind, unencrypted only, so
 * that nothing ever asks for a passphrase. Private to this folder. */
#ifndef CRYPTO_PEM_H
#define CRYPTO_PEM_H

#include "crypto/internal.h"

/* One block; `label` NULL: there was none any more. Released with pem_block_clear(). */
struct pem_block {
    char *label;
    uint8_t *der;
    long len;
};
/* The next block of `bio`, whatever its label. ERR_MALFORMED: not well formed, or encrypted in the
 * old way; ERR_NOMEM. *out is untouched then. */
MUST_USE enum err pem_next(BIO *bio, struct pem_block *out);
void pem_block_clear(struct pem_block *b);

/* The first private key of `pem`, of the algorithm named ("RSA", "EC"; NULL: any). ERR_MALFORMED;
 * ERR_UNSUPPORTED: another algorithm, or encrypted. */
MUST_USE enum err pem_private_key(struct span pem, const char *algorithm, EVP_PKEY **out,
                                  struct why *why);

#endif
