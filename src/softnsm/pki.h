/* pki.h - the certificates of a software NSM: root, regional, zonal, instance, leaf.
 *
 * Shapes (subjects, pathLen, key usage, lifetimes) are those of real chains: attestation-document
 * reference section 3. Names end in `local.nitro-enclaves` and the organisation is Nitroseal. What
 * is kept from run to run, with its private keys, is everything but the leaf.
 */
#ifndef SOFTNSM_PKI_H
#define SOFTNSM_PKI_H

#include "crypto/x509.h"

enum {
    SOFTNSM_PKI_MAX_BYTES = 16384, /* of the PEM */
    SOFTNSM_CERT_MAX_BYTES = 1024, /* attestation_process.md section 3.1 */
    SOFTNSM_LEAF_S = 3 * 3600,
};

enum softnsm_level {
    SOFTNSM_ROOT,
    SOFTNSM_REGIONAL,
    SOFTNSM_ZONAL,
    SOFTNSM_INSTANCE,
    SOFTNSM_LEAF,
    SOFTNSM_LEVELS,
};

struct softnsm_pki;

/* Whom the certificates below the root are for. */
struct softnsm_identity {
    struct span region, instance_id, module_id;
    bool expired_leaf;
};

/* A new root and nothing below it. */
MUST_USE enum err softnsm_pki_new(struct crypto *cx, int64_t now_s, struct softnsm_pki **out);
/* What softnsm_pki_write() wrote. ERR_MALFORMED, ERR_UNSUPPORTED; ERR_VERIFY: a key does not belong
 * to its certificate, or a certificate to the one before it. */
MUST_USE enum err softnsm_pki_parse(struct crypto *cx, struct span pem, struct softnsm_pki **out,
                                    struct why *why);
/* Append private keys and certificates of the authorities: to be kept secret. */
MUST_USE enum err softnsm_pki_write(const struct softnsm_pki *p, struct buf *pem);
void softnsm_pki_free(struct softnsm_pki *p); /* NULL is fine */
void softnsm_pki_freep(struct softnsm_pki **p);

/* Make what is missing, has another name, or has an eighth or less of its time left, and all below
 * that. ERR_VERIFY: the root itself is not valid at `now_s`. ERR_CRYPTO, ERR_NOMEM: what was made
 * until then is consistent and stays. ERR_INTERNAL: a certificate that is too long. */
MUST_USE enum err softnsm_pki_renew(struct crypto *cx, struct softnsm_pki *p,
                                    const struct softnsm_identity *id, int64_t now_s,
                                    struct why *why);
/* Grows with each authority made: time to keep it again. */
unsigned softnsm_pki_generation(const struct softnsm_pki *p);
/* DER; absent if there is none yet. */
struct span softnsm_pki_der(const struct softnsm_pki *p, enum softnsm_level level);
/* The key that signs documents; NULL if there is none yet. */
const struct ec_key *softnsm_pki_leaf_key(const struct softnsm_pki *p);

#endif
