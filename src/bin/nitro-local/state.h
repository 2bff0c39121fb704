/* state.h - the state folder: what runs, and what was left by what died.
 *
 *     STATE/lock              held while somebody reserves or clears up
 *     STATE/vsock/            the sockets' folder, unless another is named
 *     STATE/log/              errors and events
 *     STATE/enc<hex>/lock     held by the enclave's supervisor for as long as it lives
 *     STATE/enc<hex>/state.json, console, console.old, vhost.sock
 *
 * A folder whose lock is free belongs to a supervisor that died: the next command ends what is left
 * of it and removes the folder.
 */
#ifndef BIN_NITRO_LOCAL_STATE_H
#define BIN_NITRO_LOCAL_STATE_H

#include "bin/common/process.h"
#include "bin/nitro-local/errors.h"

enum {
    STATE_PATH_BYTES = 1024,
    ENCLAVES_MAX = 4,
    ENCLAVES_SEEN_MAX =
        64, /* folders looked at; what is left over counts too until it is removed */
    ENCLAVE_ID_BYTES = 64,
    ENCLAVE_NAME_BYTES = 256,
    ENCLAVE_CPUS_MAX = 64,
    CONSOLE_MAX_BYTES = 1 << 20, /* of each of the two files */
};

enum enclave_state { ENCLAVE_EMPTY, ENCLAVE_RUNNING, ENCLAVE_TERMINATING };

struct enclave {
    char slot[32]; /* "enc" and hex digits: the folder's name */
    char id[ENCLAVE_ID_BYTES], name[ENCLAVE_NAME_BYTES];
    struct process supervisor, qemu; /* pid 0: not yet */
    uint32_t cid;
    unsigned cpus[ENCLAVE_CPUS_MAX], n_cpus;
    uint64_t memory_mib;
    bool debug;
    enum enclave_state state;
    char vsock[108];               /* folder */
    char *measurements, *metadata; /* JSON: the object; the members ImageName ... as an object */
};
void enclave_clear(struct enclave *e);

struct enclaves {
    struct enclave list[ENCLAVES_SEEN_MAX];
    unsigned n;
};
void enclaves_clear(struct enclaves *all);

/* The state folder, made if missing: NITRO_CLI_SOCKETS_PATH, else nitro-local in XDG_RUNTIME_DIR or
 * /run/user/UID, else /tmp/nitro-local-UID. Refuses one that is another user's or open to others:
 * E07. */
MUST_USE int state_dir(char out[static STATE_PATH_BYTES], struct fault *f);
/* NITRO_CLI_LOGS_PATH, or STATE/log. */
bool state_log_dir(char out[static STATE_PATH_BYTES]);
/* STATE/SLOT/NAME. */
void state_path(const char *slot, const char *name, char out[static STATE_PATH_BYTES]);
/* Wait for the lock; closing the descriptor gives it back. */
MUST_USE int state_lock(int *fd, struct fault *f);
/* What runs; removes what is left of what died. Under the lock. */
MUST_USE int state_load(struct enclaves *out, struct fault *f);
/* Make the folder of a new enclave and take its lock, which the supervisor inherits. */
MUST_USE int state_reserve(const struct enclave *e, int *lock, struct fault *f);
MUST_USE enum err state_write(const struct enclave *e, struct why *why);
/* Remove the folder and the vsock sockets. By the lock's owner. */
void state_remove(const struct enclave *e);

/* Load under the lock, give the lock back. */
MUST_USE int state_list(struct enclaves *out, struct fault *f);
/* The one that is meant: by id (E11 if there is none) or by name (E58 if there is not exactly one).
 * NULL after setting the fault. */
const struct enclave *state_find(const struct enclaves *all, const char *id, const char *name,
                                 struct fault *f);

#endif
