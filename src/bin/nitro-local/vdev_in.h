/* vdev_in.h - what the device's files share. */
#ifndef BIN_NITRO_LOCAL_VDEV_IN_H
#define BIN_NITRO_LOCAL_VDEV_IN_H

#include "bin/nitro-local/vdev.h"
#include "io/accept.h"
#include "io/addr.h"
#include "io/ready.h"
#include "vhost/mux.h"
#include "vhost/session.h"

enum {
    GREETING_BYTES = 32,
    GREETERS_MAX = 256, /* who is connected and has not said CONNECT yet */
};

struct vdev;

/* A socket on our side: of a connection, or of one who has not said what he wants. */
struct peer {
    struct vdev *v;
    struct vsock_conn *conn; /* NULL: greeting */
    int fd;
    struct ready *ready;
    struct peer *prev, *next; /* greeting or dialling */
    bool listed;
    uint64_t until_ns; /* of the greeting, of the dialling */
    uint32_t port;     /* that is dialled */
};

struct monitor { /* the vhost-user connection */
    int fd;
    struct loop_watch *watch;
    uint8_t raw[VHOST_HEADER_BYTES + VHOST_PAYLOAD_MAX_BYTES];
    size_t have;
    int fds[VHOST_FDS_MAX];
    unsigned n_fds;
    struct vhost_session session;
    int kick[VHOST_RINGS], call[VHOST_RINGS], err[VHOST_RINGS];
    struct loop_watch *kicked[VHOST_RINGS];
    struct {
        void *base;
        size_t len;
    } map[GUEST_PARTS_MAX];
    unsigned n_maps;
};

struct vdev {
    struct loop *loop;
    uint32_t cid;
    char folder[108];
    int (*serve)(void *arg, uint32_t port);
    void (*restarted)(void *arg);
    void *arg;
    struct acceptor *monitors, *hosts;
    struct monitor monitor; /* fd -1: none */
    struct vsock_mux *mux;
    struct loop_timer *timer;
    int again; /* eventfd: there is more to do, after the others had their turn */
    struct loop_watch *on_again;
    struct peer *listed;
    unsigned n_greeters;
};

/* vdev_monitor.c: the vhost-user side. */
void monitor_accept(struct vdev *v, int fd);
void monitor_close(struct vdev *v);

/* vdev_peer.c: the sockets. */
void peer_accept(struct vdev *v, int fd);
/* Do what the mux asks for. */
void peer_actions(struct vdev *v);
/* Retry what is dialled, drop who does not greet. */
void peer_tick(struct vdev *v, uint64_t now_ns);
/* When there is something to do; 0: never. */
uint64_t peer_wake_ns(const struct vdev *v);
void peer_clear(struct vdev *v);

/* vdev.c: move packets both ways until there is nothing to move. */
void vdev_turn(struct vdev *v);

#endif
