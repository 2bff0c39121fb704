/* state.h - the state folder: what is made once and kept, and where it is.
 *
 *     master.key   32 bytes that wrap key material in the database     0600
 *     keys.db      SQLite, and its log files                           0600
 *     ca.key       private key of the local CA                         0600
 *     ca.pem       its certificate, for clients to trust               0644
 *     port         the port that is listened on                        0644
 *     lock         held while a program uses the folder                0600
 *     control      Unix socket for orders while it runs                0600
 *     audit.log    the audit log, unless it is elsewhere (audit_log.h) 0600
 *
 * The server's certificate is made anew at each start and never kept.
 */
#ifndef BIN_NITROSEAL_KMS_STATE_H
#define BIN_NITROSEAL_KMS_STATE_H

#include "base/buf.h"
#include "crypto/crypto.h"

enum { STATE_PATH_BYTES = 1024, STATE_MASTER_KEY_BYTES = 32 };

struct state {
    int lock_fd;
    struct secret master_key;
    struct buf ca_key_pem, ca_pem;
};

#define STATE_INIT                                                                                 \
    ((struct state){ .lock_fd = -1, .ca_key_pem = BUF_INIT(65536), .ca_pem = BUF_INIT(65536) })
void state_clear(struct state *st);

/* DIR/NAME. ERR_LIMIT. */
MUST_USE enum err state_path(const char *dir, const char *name, char out[static STATE_PATH_BYTES]);

/* Take the folder for this program alone; the lock ends with the descriptor. ERR_IO, also for a
 * folder in use. *fd untouched on failure. */
MUST_USE enum err state_lock(const char *dir, int *fd, struct why *why);

/* Make what is missing, read the rest. *out begins as STATE_INIT. ERR_IO, also for a folder in use
 * and for a secret that others may read; ERR_MALFORMED: a file of another content. */
MUST_USE enum err state_open(struct crypto *cx, const char *dir, int64_t now_s, struct state *out,
                             struct why *why);

/* The partition that a region is in, by its prefix (credentials reference section 6). */
struct region_partition {
    const char *name, *dns_suffix; /* "aws", "amazonaws.com" */
};
struct region_partition state_partition(const char *region);

/* A fresh certificate under the CA for localhost, 127.0.0.1, ::1 and KMS's name in the region;
 * chain and private key in PEM, appended. */
MUST_USE enum err state_server_cert(struct crypto *cx, const struct state *st, const char *region,
                                    int64_t now_s, struct buf *chain_pem, struct buf *key_pem,
                                    struct why *why);

/* A file with secrets of others: ERR_IO unless it is a regular file that at most its group may
 * read.
 */
MUST_USE enum err state_check_private(const char *path, struct why *why);

#endif
