/* session.h - what a virtual machine's monitor asks of a vhost-user device, as a step function.
 *
 * Source: vhost-user protocol (QEMU's docs/interop/vhost-user.rst), back end's side. Pure: the
 * shell receives bytes and descriptors, maps memory, and hands the answers back. The device is
 * virtio-vsock with two rings that are ours (the event queue stays with QEMU). Offered: VERSION_1,
 * and of the protocol CONFIG and REPLY_ACK. Everything else is refused, which ends the session.
 */
#ifndef VHOST_SESSION_H
#define VHOST_SESSION_H

#include "base/buf.h"
#include "vhost/virtq.h"

enum {
    VHOST_HEADER_BYTES = 12,
    VHOST_PAYLOAD_MAX_BYTES = 512, /* the memory table is the longest: 8 + 8 * 32 */
    VHOST_RINGS = 2,
    VHOST_RING_RX = 0,      /* to the guest */
    VHOST_RING_TX = 1,      /* from it */
    VHOST_CONFIG_BYTES = 8, /* struct virtio_vsock_config: the guest's CID */
    VHOST_FDS_MAX = GUEST_PARTS_MAX,
};

enum vhost_request {
    VHOST_GET_FEATURES = 1,
    VHOST_SET_FEATURES = 2,
    VHOST_SET_OWNER = 3,
    VHOST_RESET_OWNER = 4,
    VHOST_SET_MEM_TABLE = 5,
    VHOST_SET_VRING_NUM = 8,
    VHOST_SET_VRING_ADDR = 9,
    VHOST_SET_VRING_BASE = 10,
    VHOST_GET_VRING_BASE = 11,
    VHOST_SET_VRING_KICK = 12,
    VHOST_SET_VRING_CALL = 13,
    VHOST_SET_VRING_ERR = 14,
    VHOST_GET_PROTOCOL_FEATURES = 15,
    VHOST_SET_PROTOCOL_FEATURES = 16,
    VHOST_SET_VRING_ENABLE = 18,
    VHOST_GET_CONFIG = 24,
    VHOST_SET_CONFIG = 25,
};

#define VHOST_F_VERSION_1         (UINT64_C(1) << 32)
#define VHOST_F_PROTOCOL_FEATURES (UINT64_C(1) << 30)
#define VHOST_P_REPLY_ACK         (UINT64_C(1) << 3)
#define VHOST_P_CONFIG            (UINT64_C(1) << 9)
#define VHOST_FEATURES            (VHOST_F_VERSION_1 | VHOST_F_PROTOCOL_FEATURES)
#define VHOST_PROTOCOL_FEATURES   (VHOST_P_REPLY_ACK | VHOST_P_CONFIG)

struct vhost_msg {
    uint32_t request;
    bool need_reply;
    struct span payload;
};

/* One message off the front of `in`; *used: its bytes. ERR_MORE: incomplete. ERR_MALFORMED: another
 * version, or a reply. ERR_LIMIT: a payload past VHOST_PAYLOAD_MAX_BYTES. */
MUST_USE enum err vhost_msg_parse(struct span in, struct vhost_msg *out, size_t *used,
                                  struct why *why);
/* Append a message: what vhost_step() answers with, and what a test's monitor asks with. */
MUST_USE enum err vhost_msg_write(struct buf *out, uint32_t request, uint32_t flags,
                                  struct span payload);
enum {
    VHOST_FLAG_VERSION = 1,
    VHOST_FLAG_REPLY = 4,
    VHOST_FLAG_NEED_REPLY = 8,
};

struct vhost_ring {
    struct virtq q;
    uint64_t desc, avail, used; /* addresses of the monitor's */
    bool has_addr, has_kick, enabled;
    bool broken; /* the guest was wrong; until it is set up again */
};

struct vhost_session {
    uint64_t features, protocol; /* that the monitor has taken */
    uint8_t config[VHOST_CONFIG_BYTES];
    struct guest_mem mem;
    struct vhost_ring ring[VHOST_RINGS];
};

/* What the shell does with the message's descriptors. */
enum vhost_do {
    VHOST_DO_NOTHING,
    VHOST_DO_MAP,  /* map `parts` (host addresses still to be filled in) with the descriptors, in
                      this order, and call vhost_mapped(); unmap what was mapped before */
    VHOST_DO_KICK, /* the one descriptor (or none: then polling is asked for, which we refuse) */
    VHOST_DO_CALL, /* the one descriptor, or none */
    VHOST_DO_ERR,
    VHOST_DO_STOP, /* the ring has stopped: close its kick and call descriptors */
};

struct vhost_action {
    enum vhost_do what;
    unsigned ring;
    unsigned n_parts;
    struct guest_part part[GUEST_PARTS_MAX];
    uint64_t offset[GUEST_PARTS_MAX]; /* in each descriptor's file */
};

void vhost_session_init(struct vhost_session *s, uint32_t guest_cid);
/* Carry a message out; appends the answer, if one is due, to `reply`. For VHOST_DO_MAP with an
 * acknowledgement the answer is due after vhost_mapped(), so it is not appended when the shell says
 * that mapping failed: the session ends then. ERR_UNSUPPORTED, ERR_MALFORMED, ERR_LIMIT: end the
 * session. *act is untouched on failure. */
MUST_USE enum err vhost_step(struct vhost_session *s, const struct vhost_msg *msg, unsigned n_fds,
                             struct vhost_action *act, struct buf *reply, struct why *why);
/* The memory that is mapped now; looks the rings up anew. ERR_MALFORMED: a ring is outside. */
MUST_USE enum err vhost_mapped(struct vhost_session *s, const struct guest_mem *mem,
                               struct why *why);
/* May this ring be worked on? */
bool vhost_ring_runs(const struct vhost_session *s, unsigned ring);

#endif
