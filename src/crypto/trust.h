/* trust.h - the CA certificates that a client trusts, decoded when a server's chain asks for them.
 *
 * OpenSSL 3.0 takes 160 us to decode a certificate, 23 ms for a distribution's bundle of 144, of
 * which a connection needs one. So a bundle is split into its certificates, whose subjects are
 * read; the rest waits until a presented certificate names such a subject as its issuer. Whether a
 * chain holds is decided by OpenSSL alone, by a store that then has every candidate.
 *
 * Private to this folder. */
#ifndef CRYPTO_TRUST_H
#define CRYPTO_TRUST_H

#include <openssl/ssl.h>

#include "crypto/internal.h"

struct trust;

/* Of a PEM file; other blocks than certificates are passed over. ERR_MALFORMED: no certificate in
 * it, or one that is none; ERR_CRYPTO, ERR_NOMEM. */
MUST_USE enum err trust_new(struct span ca_pem, struct trust **out);
void trust_free(struct trust *t);
/* Let connections of `ssl` be judged by `t`, which has to outlive them. */
void trust_use(struct trust *t, SSL_CTX *ssl);
/* How many certificates there are, and how many of them have been decoded: for tests. */
size_t trust_count(const struct trust *t);
size_t trust_decoded(const struct trust *t);

#endif
