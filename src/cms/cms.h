/* cms.h - CiphertextForRecipient: the one CMS EnvelopedData shape that KMS emits (RFC 5652 section
 * 6, RFC 3560).
 *
 * ContentInfo(envelopedData) v2, one KeyTransRecipientInfo v2 with a 32-byte subjectKeyIdentifier,
 * RSAES-OAEP with SHA-256 and MGF1-SHA-256, AES-256-CBC; lengths definite or indefinite, content
 * primitive or in several octet strings. Bounded, no recursion. Any failure after parsing is one
 * ERR_VERIFY with one text.
 */
#ifndef CMS_CMS_H
#define CMS_CMS_H

#include "base/buf.h"
#include "crypto/rsa.h"

enum {
    CMS_MAX_BYTES = 8192, /* API limit of CiphertextForRecipient is 6,144 */
    CMS_CHUNKS_MAX = 64,
    CMS_SKI_BYTES = 32, /* SHA-256 of the recipient's SubjectPublicKeyInfo */
};

struct cms_envelope {
    struct span ski, encrypted_key, iv; /* borrowed from the input */
    struct span chunks[CMS_CHUNKS_MAX]; /* of the encrypted content */
    size_t n_chunks;
};

MUST_USE enum err cms_parse(struct span in, struct cms_envelope *out, struct why *why);
/* Parse and open with `key`. ERR_MALFORMED, ERR_LIMIT, ERR_UNSUPPORTED: the shape. ERR_VERIFY: not
 * for this key (SKI), or does not open. */
MUST_USE enum err cms_open(struct crypto *cx, struct span in, const struct rsa_key *key,
                           struct secret *out, struct why *why);

enum cms_form { CMS_FORM_A, CMS_FORM_B };
/* Append the BER that KMS would send for `plain` to the recipient with public key `spki` (DER): for
 * the local KMS. Form A chunks at 1,000 bytes. */
MUST_USE enum err cms_seal(struct crypto *cx, struct span plain, struct span spki,
                           enum cms_form form, struct buf *out, struct why *why);

#endif
