/* identity.h - what KMS answers to: an RSA key and the NSM's document over its public half.
 *
 * One for all threads of a process. The key is replaced after an hour, the document after a minute
 * (DESIGN section 7); the document holds the public key and nothing that a caller chose.
 */
#ifndef BIN_KMSTOOL_IDENTITY_H
#define BIN_KMSTOOL_IDENTITY_H

#include "base/buf.h"
#include "crypto/rsa.h"

struct identity;

/* Opens the NSM and gives the kernel its entropy before any key is made: a device whose entropy
 * cannot be mixed in is refused. `nsm`: /dev/nsm or another node, or unix:PATH, which is a
 * process of this machine and gives none. ERR_IO, ERR_DENIED, ERR_MALFORMED, ERR_NOMEM. */
MUST_USE enum err identity_new(const char *nsm, struct identity **out, struct why *why);
void identity_free(struct identity *id); /* NULL is fine */
/* Make the key if there is none, so that the next identity_take() need not. ERR_CRYPTO. */
MUST_USE enum err identity_prepare(struct identity *id, struct crypto *cx);
/* Replace what would be too old within `ahead_s`. Errors as identity_take(). */
MUST_USE enum err identity_renew(struct identity *id, struct crypto *cx, unsigned ahead_s,
                                 struct why *why);
/* A reference to the key and a copy of a document for it; `fresh`: made now. ERR_CRYPTO: no key.
 * ERR_IO, ERR_TIMEOUT, ERR_DENIED, ERR_MALFORMED: the NSM. */
MUST_USE enum err identity_take(struct identity *id, struct crypto *cx, bool fresh,
                                struct rsa_key **key, struct buf *document, struct why *why);

#endif
