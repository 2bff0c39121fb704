/* key_spec.h - the kinds of keys that there are here, and KMS's names for them. */
#ifndef LOCALKMS_KEY_SPEC_H
#define LOCALKMS_KEY_SPEC_H

#include "base/span.h"
#include "crypto/ecdh.h"

/* Numbers are in the database: do not renumber. */
enum key_spec {
    KEY_SYMMETRIC = 1, /* AES-256; the only one before there were specs */
    KEY_ECC_NIST_P256 = 2,
    KEY_ECC_NIST_P384 = 3,
    KEY_ECC_NIST_P521 = 4,
};

static inline bool key_spec_is_agreement(enum key_spec spec)
{
    return spec != KEY_SYMMETRIC;
}
/* "SYMMETRIC_DEFAULT", "ECC_NIST_P256", ... */
const char *key_spec_name(enum key_spec spec);
/* "ENCRYPT_DECRYPT" or "KEY_AGREEMENT": a kind has one usage here. */
const char *key_spec_usage(enum key_spec spec);
/* False: not one that there is here. */
MUST_USE bool key_spec_by_name(struct span name, enum key_spec *out);
/* Of an agreement key. */
enum ecdh_curve key_spec_curve(enum key_spec spec);

#endif
