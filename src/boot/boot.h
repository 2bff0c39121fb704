/* boot.h - what the first process of an enclave reads, and what it decides from it.
 *
 * Pure: no files, no clock, no system calls. Source: enclave-init reference, sections 3, 4 and 8
 * (the files of AWS's own init) and doc/decisions.md for the three files that are ours (/init.conf,
 * /workdir, /user). All of them are measured; they are parsed strictly because a fault in them is a
 * fault of the image, and an image that does something else than it says is worse than none.
 */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include <sys/types.h>

#include "base/buf.h"

enum {
    BOOT_FILE_MAX = 1 << 20, /* bytes of any of the files */
    BOOT_WORDS_MAX = 4096,   /* arguments, or environment variables */
    BOOT_WORD_MAX = 131072,  /* bytes of one; the kernel's own limit (MAX_ARG_STRLEN) */
    BOOT_PATH_MAX = 4095,    /* bytes of a path without its NUL */
    BOOT_GROUPS_MAX = 64,    /* supplementary groups of /user */
    BOOT_CGROUPS_MAX = 32,   /* controllers of /proc/cgroups */
    BOOT_CGROUP_NAME_MAX = 31,
    BOOT_RESTARTS_MAX = 10,          /* in a row */
    BOOT_RESTART_FIRST_MS = 1000,    /* then doubled */
    BOOT_RESTART_LONGEST_MS = 60000, /* but never longer */
    BOOT_STEADY_MS = 600000,         /* a service that lived so long starts a new row */
};

/* What AWS's init looks in, whatever the environment says; ours takes PATH of /env first. */
#define BOOT_PATH_DEFAULT "/sbin:/usr/sbin:/bin:/usr/bin"

/* A list as execve(2) wants it: `ptr` ends with NULL. The zero value is an empty list. */
struct boot_words {
    char **ptr;
    size_t n;
    char *text; /* what the words point into */
};
void boot_words_clear(struct boot_words *w);

/* /cmd: one argument a line, nothing quoted; an empty line is an empty argument; the last line may
 * lack its LF. ERR_MALFORMED: nothing in it, the program is empty, a NUL. ERR_LIMIT, ERR_NOMEM.
 * *out is untouched on failure, here and below. */
MUST_USE enum err boot_cmd_parse(struct span file, struct boot_words *out, struct why *why);
/* /env: one NAME=value a line; empty lines are passed over; an empty file is fine.
 * ERR_MALFORMED: a line without a name and "=", a NUL. ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err boot_env_parse(struct span file, struct boot_words *out, struct why *why);
/* The value of the first `name`, or NULL. */
const char *boot_env_get(const struct boot_words *env, const char *name);

/* The n-th path where `program` may be: itself if it has a "/", else in the n-th absolute folder of
 * `path` (PATH's form; NULL: BOOT_PATH_DEFAULT). Relative and empty folders are passed over.
 * ERR_MORE: no further one. ERR_LIMIT: too long. */
MUST_USE enum err boot_candidate(const char *path, const char *program, unsigned n,
                                 char out[static BOOT_PATH_MAX + 1]);

/* /init.conf: lines of name=value; heartbeat=late|early, restart=never|always. Absent: the first
 * of each. */
struct boot_conf {
    bool heartbeat_early, restart;
};
/* ERR_MALFORMED: not name=value, twice the same name. ERR_UNSUPPORTED: a name or a value that we do
 * not know. */
MUST_USE enum err boot_conf_parse(struct span file, struct boot_conf *out, struct why *why);

/* /workdir: one line, an absolute path. ERR_MALFORMED, ERR_LIMIT. */
MUST_USE enum err boot_workdir_parse(struct span file, char out[static BOOT_PATH_MAX + 1],
                                     struct why *why);

/* /user: one line, uid:gid[,gid...], decimal. The first group is the primary one; the others are
 * supplementary. */
struct boot_user {
    uid_t uid;
    gid_t gid;
    size_t n_groups;
    gid_t groups[BOOT_GROUPS_MAX];
};
/* ERR_MALFORMED; ERR_LIMIT: more groups than BOOT_GROUPS_MAX, or a number past 2^32 - 2. */
MUST_USE enum err boot_user_parse(struct span file, struct boot_user *out, struct why *why);

/* The controllers that a kernel with cgroups of version 1 has enabled, from /proc/cgroups. */
struct boot_cgroups {
    unsigned n;
    char name[BOOT_CGROUPS_MAX][BOOT_CGROUP_NAME_MAX + 1];
};
/* ERR_MALFORMED: a line of another form, or a name that is no file name. ERR_LIMIT. */
MUST_USE enum err boot_cgroups_parse(struct span file, struct boot_cgroups *out, struct why *why);

/* How the service ended, from waitpid(2). */
struct boot_end {
    bool signalled;
    int number; /* of the signal, else the exit status */
};
struct boot_end boot_end_of(int wait_status);

struct boot_next {
    bool restart;      /* else: reboot, which ends the enclave */
    unsigned pause_ms; /* before the restart */
};
/* `row`: restarts in a row until now, counted on here. */
struct boot_next boot_next_of(const struct boot_conf *conf, uint64_t lived_ms, unsigned *row);

#endif
