/* key_spec.h - the kinds of keys that there are here, what each may be used for, and KMS's names
 * for them and their algorithms.
 *
 * Source: kms-recipient reference section 4 and the service model. Not here: SM2 (China's Regions
 * only), ML_DSA_* (OpenSSL 3.0 has none).
 */
#ifndef LOCALKMS_KEY_SPEC_H
#define LOCALKMS_KEY_SPEC_H

#include "base/span.h"
#include "crypto/akey.h"
#include "crypto/ecdh.h"
#include "crypto/mac.h"

/* Numbers are in the database: do not renumber. */
enum key_spec {
    KEY_SYMMETRIC = 1, /* AES-256; the only one before there were specs */
    KEY_ECC_NIST_P256 = 2,
    KEY_ECC_NIST_P384 = 3,
    KEY_ECC_NIST_P521 = 4,
    KEY_ECC_SECG_P256K1 = 5,
    KEY_ECC_NIST_EDWARDS25519 = 6,
    KEY_RSA_2048 = 7,
    KEY_RSA_3072 = 8,
    KEY_RSA_4096 = 9,
    KEY_HMAC_224 = 10,
    KEY_HMAC_256 = 11,
    KEY_HMAC_384 = 12,
    KEY_HMAC_512 = 13,
};
enum { KEY_SPEC_LAST = KEY_HMAC_512 };

enum key_usage {
    KEY_ENCRYPT_DECRYPT = 1,
    KEY_SIGN_VERIFY = 2,
    KEY_GENERATE_VERIFY_MAC = 3,
    KEY_KEY_AGREEMENT = 4,
};
enum key_origin { KEY_AWS_KMS = 1, KEY_EXTERNAL = 2 };

/* "SYMMETRIC_DEFAULT", "ECC_NIST_P256", ... */
const char *key_spec_name(enum key_spec spec);
/* False: not one that there is here. */
MUST_USE bool key_spec_by_name(struct span name, enum key_spec *out);
bool key_spec_is_pair(enum key_spec spec); /* a private and a public key */
bool key_spec_is_mac(enum key_spec spec);
bool key_spec_allows(enum key_spec spec, enum key_usage usage);
/* Bytes of a key that is no pair. */
size_t key_spec_secret_bytes(enum key_spec spec);
/* Of a pair. */
enum keypair_spec key_spec_pair(enum key_spec spec);
/* Of a key whose usage is KEY_KEY_AGREEMENT. */
enum ecdh_curve key_spec_curve(enum key_spec spec);
enum mac_alg key_spec_mac(enum key_spec spec);

const char *key_usage_name(enum key_usage usage);
MUST_USE bool key_usage_by_name(struct span name, enum key_usage *out);
const char *key_origin_name(enum key_origin origin);

/* What a key of this kind and usage can do, as KeyMetadata lists it: NULL-terminated. */
const char *const *key_algorithms(enum key_spec spec, enum key_usage usage);
/* "EncryptionAlgorithms", "SigningAlgorithms", "MacAlgorithms", "KeyAgreementAlgorithms". */
const char *key_algorithms_member(enum key_usage usage);
/* The names of enum akey_sign_alg; false: not one of those. */
MUST_USE bool key_sign_alg(struct span name, enum akey_sign_alg *out);
MUST_USE bool key_mac_alg(struct span name, enum mac_alg *out);

#endif
