/* kms.h - the running program: what its files share. main.c has the options, start.c brings it up,
 * requests.c answers, control.c takes the operator's orders. */
#ifndef BIN_NITROSEAL_KMS_KMS_H
#define BIN_NITROSEAL_KMS_KMS_H

#include "bin/common/options.h"
#include "bin/nitroseal-kms/audit_log.h"
#include "bin/nitroseal-kms/metrics.h"
#include "bin/nitroseal-kms/server.h"
#include "bin/nitroseal-kms/state.h"
#include "io/work.h"
#include "localkms/keystore_sqlite.h"
#include "localkms/localkms.h"
#include "localkms/qemu_nsm.h"

enum { EXIT_USAGE = 2, EXIT_CONFIGURATION = 7, KMS_ROOTS_MAX = 8, MS_PER_S = 1000 };

struct kms {
    struct crypto *cx;
    struct loop *loop;
    struct server *server, *metrics_server, *control_server;
    struct localkms *core;
    struct work_pool *pool; /* makes RSA keys */
    struct keystore_sqlite *store;
    struct tls_ctx *tls; /* NULL: plain HTTP */
    struct state state;
    const char *dir, *region, *principals; /* principals NULL: only in development mode */
    struct span qemu_modules[QEMU_NSM_MODULES_MAX];
    size_t n_qemu_modules;
    struct buf roots[KMS_ROOTS_MAX]; /* DER */
    size_t n_roots;
    struct audit_log *audit; /* NULL: none */
    bool audit_failed;       /* at the last record */
    struct localkms_note note;
    struct metrics metrics;
    bool explain, accept_any;
};

/* One line in the log, and the status. */
int kms_fail(int status, const char *event, const char *which, enum err r, const struct why *why);

/* start.c: -1, or the status to leave with. */
MUST_USE int kms_start(const struct options *o, struct kms *k);
MUST_USE enum err kms_read_principals(struct kms *k, struct why *why);
void kms_forget_port(const struct kms *k);

/* pairs.c: have a pair made that the core wants for this client's request, then handle that again.
 * ERR_LIMIT: too many wait. */
MUST_USE enum err kms_make_pair(struct kms *k, uint64_t client);

/* requests.c */
server_handle_fn kms_handle, kms_handle_metrics;
/* control.c: over DIR/control, for programs of the same user */
server_handle_fn kms_handle_control;
/* The database into a new file. ERR_IO, also where the file is there already. */
MUST_USE enum err kms_backup(struct keystore_sqlite *store, const char *to, struct why *why);

/* Subcommands: their exit status. */
int cmd_audit_verify(int argc, char **argv);
int cmd_backup(int argc, char **argv);

#endif
