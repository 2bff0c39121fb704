/* rsa_gen.h - new RSA keys from OpenSSL's primes. Private to this folder.
 *
 * OpenSSL 3.0's own key generation builds each prime from auxiliary primes (FIPS 186-5 A.1.6),
 * which costs two to three times as much as the plain probable primes of A.1.3. This makes the
 * latter: the primes themselves, their random bits and their Miller-Rabin rounds (64 for 1,024
 * bits, where FIPS 186-5 table B.1 asks for 5) are OpenSSL's BN_generate_prime_ex2(); ours is only
 * the arithmetic that turns two primes into a key, and the checks.
 *
 * Source: FIPS 186-5 A.1.1 (conditions on p, q, d) and A.1.3; SP 800-56B rev. 2 section 6.4.1.1
 * (pairwise consistency).
 */
#ifndef CRYPTO_RSA_GEN_H
#define CRYPTO_RSA_GEN_H

#include "crypto/internal.h"

/* A key of 2048, 3072 or 4096 bits, e = 65537; the caller frees it. The two primes are sought on
 * two threads where there can be a second one. ERR_CRYPTO, ERR_NOMEM; ERR_INTERNAL: another size.
 */
MUST_USE enum err rsa_generate(unsigned bits, EVP_PKEY **out);

/* The key of two primes, each of `bits` / 2 bits. Does not look whether they are prime; the round
 * trip at the end finds a composite with overwhelming odds. Both numbers get BN_FLG_CONSTTIME.
 * ERR_VERIFY: they break a condition (why->what says which), or the round trip failed. */
MUST_USE enum err rsa_assemble(unsigned bits, BIGNUM *p, BIGNUM *q, EVP_PKEY **out,
                               struct why *why);

#endif
