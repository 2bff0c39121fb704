/* supervise.h - the process that owns one enclave: QEMU, the vsock device, the heartbeat, the kept
 * console. Whatever of it ends, the rest ends too. */
#ifndef BIN_NITRO_LOCAL_SUPERVISE_H
#define BIN_NITRO_LOCAL_SUPERVISE_H

#include "bin/nitro-local/state.h"

enum { HEARTBEAT_PORT = 9000, HEARTBEAT_BYTE = 0xb7, REPORT_MAX_BYTES = 65536 };

struct supervise {
    struct enclave *e; /* reserved: its folder is there and its lock is ours */
    const char *qemu, *eif;
    uint64_t boot_ns; /* until the heartbeat at the latest */
    int report;       /* a socket: REPORT_READY, or the error's code, a blank, its text, a line feed
                         and the console's end. If its other end goes before that, so do we. */
};
#define REPORT_READY "ready\n"

/* Never returns before the enclave has ended and its folder is gone. */
void supervise(struct supervise *s);

#endif
