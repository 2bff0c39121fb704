/* qemu.h - the QEMU that plays the Nitro hypervisor: finding it, and its command line. */
#ifndef BIN_NITRO_LOCAL_QEMU_H
#define BIN_NITRO_LOCAL_QEMU_H

#include "bin/nitro-local/state.h"

/* NITROSEAL_QEMU, else qemu-system-x86_64 in PATH; it must have the nitro-enclave machine. E19 with
 * what to do. */
MUST_USE int qemu_find(char out[static STATE_PATH_BYTES], struct fault *f);
/* Start it for that enclave: ends when this process (this thread) does. Its console and messages go
 * to *console, a pipe's end that does not block. ERR_IO. */
MUST_USE enum err qemu_start(const char *qemu, const struct enclave *e, const char *eif, int *pid,
                             int *console, struct why *why);

#endif
