/* vdev.h - the vsock device of one virtual machine: a vhost-user back end on a Unix socket, Unix
 * sockets of a folder (DESIGN section 4) on the other side.
 *
 * The guest's connections to port PORT of CID 3 (and 2) go to FOLDER/3.vsock_PORT; who connects to
 * FOLDER/CID.vsock and says CONNECT PORT reaches the guest. One monitor at a time; when it goes,
 * all connections end, and another may come.
 */
#ifndef BIN_NITRO_LOCAL_VDEV_H
#define BIN_NITRO_LOCAL_VDEV_H

#include "io/loop.h"

struct vdev;

struct vdev_options {
    const char *socket; /* made here, 0600; for QEMU's -chardev socket,path= */
    const char *folder; /* made if missing, 0700 */
    uint32_t cid;
    /* May be NULL. A port of the parent's that is served in this process: a connected, non-blocking
     * descriptor, which is the device's from then on; -1: it goes to the folder as usual. */
    int (*serve)(void *arg, uint32_t port);
    /* May be NULL. The guest's driver was running and has stopped: it restarts. Not to free the
     * device. */
    void (*restarted)(void *arg);
    void *arg;
};

/* ERR_IO, ERR_LIMIT (a path too long for a socket), ERR_NOMEM. */
MUST_USE enum err vdev_new(struct loop *l, const struct vdev_options *o, struct vdev **out,
                           struct why *why);
/* Removes both sockets' files. Before loop_free(). NULL is fine. */
void vdev_free(struct vdev *v);

/* As many descriptors as the system lets this process have: a thousand connections need them. */
void vdev_raise_limits(void);

#endif
