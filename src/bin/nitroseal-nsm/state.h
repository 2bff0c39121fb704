/* state.h - the folder that keeps the local PKI: pki.pem (0600: private keys), root.pem (0644: what
 * verifiers are told to trust), and lock, held while the PKI is looked for or made. */
#ifndef BIN_NITROSEAL_NSM_STATE_H
#define BIN_NITROSEAL_NSM_STATE_H

#include "softnsm/pki.h"

/* What is in DIR, or a new root. ERR_IO, ERR_LIMIT (path), and what softnsm_pki_parse() says of a
 * pki.pem that is there: it is never replaced by a new root, which nobody would trust. */
MUST_USE enum err state_load(struct crypto *cx, const char *dir, int64_t now_s,
                             struct softnsm_pki **out, struct why *why);
/* Keep the authorities. */
MUST_USE enum err state_save(const char *dir, const struct softnsm_pki *pki, struct why *why);
/* DIR/root.pem, appended. */
MUST_USE enum err state_root_path(const char *dir, struct buf *out);

#endif
