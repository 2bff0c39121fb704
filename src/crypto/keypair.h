/* keypair.h - fresh key pairs of the kinds that KMS's GenerateDataKeyPair hands out, in their
 * interchange forms: for the local KMS. */
#ifndef CRYPTO_KEYPAIR_H
#define CRYPTO_KEYPAIR_H

#include "base/buf.h"
#include "crypto/crypto.h"

enum keypair_spec {
    KEYPAIR_RSA_2048,
    KEYPAIR_RSA_3072,
    KEYPAIR_RSA_4096,
    KEYPAIR_ECC_NIST_P256,
    KEYPAIR_ECC_NIST_P384,
    KEYPAIR_ECC_NIST_P521,
    KEYPAIR_ECC_SECG_P256K1,
    KEYPAIR_ECC_NIST_EDWARDS25519,
    KEYPAIR_SM2,
    KEYPAIR_SPECS,
};

/* `pkcs8`: DER PrivateKeyInfo (RFC 5208); `spki`: DER SubjectPublicKeyInfo, appended. RSA takes
 * from tens of milliseconds to seconds. ERR_CRYPTO, ERR_LIMIT, ERR_NOMEM; both as before then. */
MUST_USE enum err keypair_new(struct crypto *cx, enum keypair_spec spec, struct secret *pkcs8,
                              struct buf *spki);

#endif
