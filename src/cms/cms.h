/* cms.h - CiphertextForRecipient: the one CMS EnvelopedData shape that KMS emits (RFC 5652 section
 * 6, RFC 3560).
 *
 * ContentInfo(envelopedData) v2, one KeyTransRecipientInfo v2 with a 32-byte subjectKeyIdentifier,
 * RSAES-OAEP with SHA-256 and MGF1-SHA-256, AES-256-CBC; lengths definite or indefinite, content
 * primitive or in several octet strings. Bounded, no recursion. Any failure after parsing is one
 * ERR_VERIFY with one text. The content has no tag (AES-CBC): only the TLS connection that a
 * message came through says that KMS made it and that nobody changed it.
 */
#ifndef CMS_CMS_H
#define CMS_CMS_H

#include "base/buf.h"
#include "crypto/rsa.h"

enum {
    CMS_MAX_BYTES = 8192, /* API limit of CiphertextForRecipient is 6,144 */
    CMS_CHUNKS_MAX = 64,
    CMS_PLAIN_MAX_BYTES = 6144, /* that we seal: KMS's largest plaintexts are 4,096 */
    CMS_SKI_BYTES = 32,         /* SHA-256 of the recipient's SubjectPublicKeyInfo */
};

struct cms_envelope {
    struct span ski, encrypted_key, iv; /* borrowed from the input */
    struct span chunks[CMS_CHUNKS_MAX]; /* of the encrypted content */
    size_t n_chunks;
};

/* Split into parts; opens nothing. ERR_MALFORMED: not BER, or lengths that cannot be.
 * ERR_UNSUPPORTED: another content type, version, recipient or algorithm. ERR_LIMIT: too long, too
 * many chunks, too deep. *out untouched on failure. */
MUST_USE enum err cms_parse(struct span in, struct cms_envelope *out, struct why *why);
/* Parse and open with `key`. ERR_MALFORMED, ERR_LIMIT, ERR_UNSUPPORTED: the shape. ERR_VERIFY: not
 * for this key (SKI), or does not open. ERR_NOMEM. *out untouched on failure. */
MUST_USE enum err cms_open(struct crypto *cx, struct span in, const struct rsa_key *key,
                           struct secret *out, struct why *why);

enum cms_form { CMS_FORM_A, CMS_FORM_B };
/* Append the BER that KMS would send for `plain` to the recipient with public key `spki` (DER): for
 * the local KMS. Form A chunks at 1,000 bytes. ERR_LIMIT: `plain` or *out. Nothing appended on
 * failure. */
MUST_USE enum err cms_seal(struct crypto *cx, struct span plain, struct span spki,
                           enum cms_form form, struct buf *out, struct why *why);

/* The same in two steps, for many messages to one recipient. */
struct cms_recipient {
    struct rsa_pub *pub; /* owned */
    uint8_t ski[CMS_SKI_BYTES];
};
/* As rsa_pub_parse() fails. *out untouched on failure. */
MUST_USE enum err cms_recipient_init(struct crypto *cx, struct span spki, struct cms_recipient *out,
                                     struct why *why);
void cms_recipient_clear(struct cms_recipient *to);
MUST_USE enum err cms_seal_to(struct crypto *cx, struct span plain, const struct cms_recipient *to,
                              enum cms_form form, struct buf *out, struct why *why);

#endif
