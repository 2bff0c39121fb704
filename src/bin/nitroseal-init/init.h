/* init.h - the first process of an enclave, in parts: the machine, the root, the image's files,
 * the heartbeat, the service.
 *
 * Every part says what failed through `why` and the name of the thing at fault, which is static or
 * lives as long as the process; main() prints both and reboots. Nothing here reads the kernel's
 * command line: its words arrive as arguments and environment variables, and both are ignored.
 */
#ifndef BIN_NITROSEAL_INIT_INIT_H
#define BIN_NITROSEAL_INIT_INIT_H

#include "boot/boot.h"
#include "io/log.h"

/* What failed: a path, a mount, a device. */
struct fault {
    const char *name;
    struct why why;
};

/* Record a fault; `r` back, as why_fail() does. */
MUST_USE enum err fault_at(struct fault *f, const char *name, enum err r, const char *what);
/* The same from errno. */
MUST_USE enum err fault_errno(struct fault *f, const char *name);

/* --- machine.c: before the image's own root ------------------------------------------------- */
MUST_USE enum err machine_dev(struct fault *f); /* devtmpfs on /dev */
void machine_console(void);                     /* /dev/console as 0, 1, 2, or else /dev/null */
MUST_USE enum err machine_nsm_module(struct fault *f); /* /nsm.ko, if it is there */
MUST_USE enum err machine_loopback(struct fault *f);   /* lo up; a kernel without INET is fine */
MUST_USE enum err machine_entropy(struct fault *f);    /* */

/* --- root.c ----------------------------------------------------------------------------------- */
MUST_USE enum err root_enter(struct fault *f);  /* /rootfs becomes / */
MUST_USE enum err root_mounts(struct fault *f); /* /proc, /sys, /tmp, ... as AWS's init */

/* --- image.c ---------------------------------------------------------------------------------- */
struct image {
    struct boot_words cmd, env;
    struct boot_conf conf;
    bool has_user;
    struct boot_user user;
    char workdir[BOOT_PATH_MAX + 1]; /* "/" without the file */
    char program[BOOT_PATH_MAX + 1]; /* found by image_program() */
};
/* Read /cmd, /env, /init.conf, /workdir, /user and remove them, as AWS's init does with its two. */
MUST_USE enum err image_read(struct image *im, struct fault *f);
/* Where the program is: argv[0], or in PATH of /env. In the final root and working directory. */
MUST_USE enum err image_program(struct image *im, struct fault *f);

/* --- heartbeat.c ------------------------------------------------------------------------------ */
/* Tell the parent (CID 3, port 9000) that the enclave is up: a few tries, then a fault. */
MUST_USE enum err heartbeat_send(struct fault *f);

/* --- service.c -------------------------------------------------------------------------------- */
/* Start the program and watch it, reaping whatever else ends, until the enclave shall end. */
MUST_USE enum err service_watch(const struct image *im, struct fault *f);

#endif
