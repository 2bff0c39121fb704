/* stack.h - the local stack: software NSM, local KMS, relay and service in one state folder, kept
 * by one supervisor.
 *
 *   DIR/lock             locked (flock) as long as the supervisor lives: the one sign of life
 *   DIR/state.json       supervisor, parts, what to export; rewritten at every change
 *   DIR/principals.json  access keys of `admin` and `app` (0600), kept from start to start
 *   DIR/key              ARN of the key, kept likewise, so what was encrypted stays readable
 *   DIR/nsm, DIR/kms     state of the two; DIR/nsm.sock; DIR/log/PART.log
 *   DIR/v                the vsock mapping, NITROSEAL_VSOCK=unix:DIR/v
 *
 * Every part dies with its supervisor (PR_SET_PDEATHSIG, set by `nitroseal local exec`), and a
 * later `up` or `down` ends what should be left over all the same, by pid and start time. A part
 * that leaves unasked is a crash: it is started again once; if it leaves again it stays down.
 * `status` tells of crashes until the stack is stopped.
 */
#ifndef BIN_NITROSEAL_STACK_H
#define BIN_NITROSEAL_STACK_H

#include "attest/pcrs.h"
#include "bin/common/process.h"
#include "bin/nitroseal/fault.h"
#include "bin/nitroseal/kms_call.h"

enum stack_part { PART_NSM, PART_KMS, PART_PROXY, PART_SERVICE, N_PARTS };

enum {
    STACK_DIR_MAX = 80,     /* bytes: DIR/v/4294967295.vsock_65535 must fit sun_path */
    STACK_PATH_BYTES = 512, /* of any file's path here, our programs' included */
    STACK_PCRS_MAX = 8,
    STACK_QEMU_MODULES_MAX = 4,
    STACK_PORT = 5000,       /* of the service */
    STACK_PROXY_PORT = 8000, /* DESIGN section 4 */
    STACK_START_S = 20,
};

struct stack_options {
    char dir[STACK_DIR_MAX + 1]; /* absolute */
    uint32_t cid;
    const char *region;
    bool debug_mode;
    const char *pcrs[STACK_PCRS_MAX]; /* "N=HEX" as given, instead of the image's */
    unsigned n_pcrs;
    const char *qemu_modules[STACK_QEMU_MODULES_MAX]; /* whose unsigned documents the KMS takes */
    unsigned n_qemu_modules;
};

/* DIR/NAME; always fits: DIR is short. */
void stack_path(const char *dir, const char *name, char out[static STACK_PATH_BYTES]);
const char *stack_part_name(enum stack_part part);
/* The program's file: beside our own, in libexec, or by PATH. False: nowhere. */
bool stack_find_program(const char *name, char out[static STACK_PATH_BYTES]);

/* The lock. ERR_OK: we hold it now, nobody runs. ERR_DENIED: a supervisor lives. ERR_IO. */
MUST_USE enum err stack_lock(const char *dir, int *fd, struct why *why);

/* What DIR/state.json says. */
enum stack_phase { STACK_STARTING, STACK_READY, STACK_STOPPING };
enum part_state { PART_WAITING, PART_RUNNING, PART_CRASHED, PART_STOPPED };

struct stack_part_status {
    struct process process; /* pid 0: none now */
    enum part_state state;
    int64_t since_ms; /* unix */
    unsigned crashes;
    int last_status, last_signal; /* of the last crash */
};

enum { STACK_EXPORTS_MAX = 10, STACK_VALUE_BYTES = 128 };
struct stack_export {
    const char *name;
    char value[STACK_VALUE_BYTES];
};

struct stack_state {
    struct process supervisor;
    enum stack_phase phase;
    struct stack_part_status parts[N_PARTS];
    struct stack_export exports[STACK_EXPORTS_MAX];
    unsigned n_exports;
};

MUST_USE enum err stack_state_write(const char *dir, const struct stack_state *s, struct why *why);
/* ERR_IO: no such file. ERR_MALFORMED. */
MUST_USE enum err stack_state_read(const char *dir, struct stack_state *out, struct why *why);
const char *stack_phase_name(enum stack_phase p);
const char *part_state_name(enum part_state s);
/* The value to export under that name, or NULL. */
const char *stack_export_of(const struct stack_state *s, const char *name);

/* Principals: the administrator of the key, and the application that uses it. */
struct stack_principal {
    char id[32];
    struct secret secret;
    char arn[128];
};
struct stack_principals {
    struct stack_principal admin, app;
};
void stack_principals_clear(struct stack_principals *p);
/* Read DIR/principals.json, or make it. */
MUST_USE enum err stack_principals_load(struct crypto *cx, const char *dir,
                                        struct stack_principals *out, struct why *why);

/* The local KMS, once it listens: address from DIR/kms/port, CA from DIR/kms/ca.pem. The spans
 * point into `storage`. ERR_IO: not there yet. */
struct stack_kms {
    struct buf ca_pem;
    char host[32];
    unsigned port;
    struct kms_server server;
};
void stack_kms_clear(struct stack_kms *k);
MUST_USE enum err stack_kms_find(const char *dir, const char *region, struct stack_kms *out,
                                 struct why *why);
/* The key of DIR/key, or a new one; the policy is put on it: `app` may use it attested with these
 * PCRs only, `admin` may administer and not use it. ERR_IO: not reachable yet. ERR_DENIED: KMS
 * refused, and the fault says how. */
MUST_USE enum err stack_key_ensure(const char *dir, const struct stack_kms *k,
                                   const struct stack_principals *who,
                                   const struct attest_pcrs *pcrs, char arn[static 128],
                                   struct cli_fault *f);

/* PCR0-2 of the image that runs: nitroseald as the application's ramdisk by the EIF rule, or what
 * --pcr gives instead. */
MUST_USE int stack_image_pcrs(const struct stack_options *so, struct attest_pcrs *out,
                              struct cli_fault *f);
#define STACK_CMDLINE "nitroseal local" /* what stands for kernel and init in the image */

/* Run the stack until SIGTERM or SIGINT, or until it failed to start. `ready` is called once, with
 * the exports in the state; `lock` is held meanwhile. */
MUST_USE int stack_supervise(const struct stack_options *so,
                             void (*ready)(const struct stack_state *s, void *arg), void *arg,
                             struct cli_fault *f);

/* End processes of a supervisor that is gone. `lock` is held by the caller. Returns how many. */
unsigned stack_end_leftovers(const char *dir);

#endif
