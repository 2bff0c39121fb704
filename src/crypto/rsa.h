/* rsa.h - RSAES-OAEP with SHA-256 and MGF1-SHA-256, empty label (RFC 8017 section 7.1): the
 * recipient key. A key may be used by several threads at once, each with its own `struct crypto`.
 */
#ifndef CRYPTO_RSA_H
#define CRYPTO_RSA_H

#include "base/buf.h"
#include "crypto/crypto.h"

struct rsa_key; /* private, reference counted */
struct rsa_pub;

enum { RSA_BITS_DEFAULT = 2048 };

/* e = 65537. For 2,048 bits it takes some 35 ms of CPU on two threads, now and then three times
 * that (rsa_gen.h). ERR_CRYPTO, ERR_INTERNAL (not 2048, 3072 or 4096). */
MUST_USE enum err rsa_key_new(struct crypto *cx, unsigned bits, struct rsa_key **out);
/* PKCS#8 or PKCS#1 PEM. ERR_MALFORMED; ERR_UNSUPPORTED: not RSA of 2048 to 4096 bits. */
MUST_USE enum err rsa_key_parse_pem(struct crypto *cx, struct span pem, struct rsa_key **out,
                                    struct why *why);
struct rsa_key *rsa_key_ref(struct rsa_key *key);
void rsa_key_free(struct rsa_key *key); /* drops a reference; NULL is fine */
void rsa_key_freep(struct rsa_key **key);
/* DER SubjectPublicKeyInfo, 294 bytes for 2,048 bits; lives as long as the key. */
struct span rsa_key_spki(const struct rsa_key *key);
/* SHA-256 of it: a CMS recipient's subjectKeyIdentifier. */
struct span rsa_key_spki_sha256(const struct rsa_key *key);
/* Modulus length in bytes. */
size_t rsa_key_bytes(const struct rsa_key *key);
/* ERR_VERIFY: does not open, whatever is wrong with it. ERR_NOMEM. */
MUST_USE enum err rsa_oaep_open(struct crypto *cx, const struct rsa_key *key, struct span ct,
                                struct secret *out);

/* DER SubjectPublicKeyInfo, nothing after it. ERR_MALFORMED; ERR_UNSUPPORTED: not RSA of 2048 to
 * 4096 bits, e < 65537 or even. */
MUST_USE enum err rsa_pub_parse(struct crypto *cx, struct span spki, struct rsa_pub **out,
                                struct why *why);
void rsa_pub_free(struct rsa_pub *pub);
void rsa_pub_freep(struct rsa_pub **pub);
size_t rsa_pub_bytes(const struct rsa_pub *pub);
/* Append rsa_pub_bytes() of ciphertext. ERR_INTERNAL: `plain` too long for the key. */
MUST_USE enum err rsa_oaep_seal(struct crypto *cx, const struct rsa_pub *pub, struct span plain,
                                struct buf *out);

#endif
