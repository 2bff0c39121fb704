/* call.h - one attested operation, from the command line's words to what goes to stdout.
 *
 * A session keeps what the next operation can use again: the TLS connection, as long as it leads to
 * the same place. It belongs to one thread; the identity is shared.
 */
#ifndef BIN_KMSTOOL_CALL_H
#define BIN_KMSTOOL_CALL_H

#include "bin/common/https.h"
#include "bin/kmstool/args.h"
#include "bin/kmstool/credentials.h"
#include "bin/kmstool/identity.h"

enum { OUTCOME_MAX_BYTES = 65536 };

struct session {
    struct crypto *cx;
    struct identity *id;
    struct https conn;
    struct buf conn_to; /* relay and name that it leads to */
    struct tls_ctx *tls;
    struct buf tls_file; /* that `tls` was made from */
};

struct outcome {
    int status;
    struct buf out, err; /* for stdout: only with status 0; for stderr */
};
#define OUTCOME_INIT                                                                               \
    ((struct outcome){ .status = KMSTOOL_FAILED,                                                   \
                       .out = BUF_INIT(OUTCOME_MAX_BYTES),                                         \
                       .err = BUF_INIT(KMSTOOL_ERR_MAX_BYTES) })
void outcome_clear(struct outcome *o);

void session_init(struct session *s, struct crypto *cx, struct identity *id);
void session_clear(struct session *s);
/* Connect ahead of the first operation; if that fails, the operation will say why. */
void session_warm(struct session *s, const struct args *a);
/* Never fails to answer: *o says how it went. */
void session_run(struct session *s, const struct args *a, const struct credentials *cred,
                 struct outcome *o);

#endif
