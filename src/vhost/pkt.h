/* pkt.h - the header of a virtio-vsock packet (virtio 1.2, section 5.10.6). */
#ifndef VHOST_PKT_H
#define VHOST_PKT_H

#include <stdint.h>

#include "base/span.h"

enum {
    VSOCK_HEADER_BYTES = 44,
    VSOCK_PAYLOAD_MAX_BYTES = 65536, /* Linux, VIRTIO_VSOCK_MAX_PKT_BUF_SIZE */
    VSOCK_TYPE_STREAM = 1,
};

enum vsock_op {
    VSOCK_OP_INVALID = 0,
    VSOCK_OP_REQUEST = 1,
    VSOCK_OP_RESPONSE = 2,
    VSOCK_OP_RST = 3,
    VSOCK_OP_SHUTDOWN = 4,
    VSOCK_OP_RW = 5,
    VSOCK_OP_CREDIT_UPDATE = 6,
    VSOCK_OP_CREDIT_REQUEST = 7,
};

enum { VSOCK_SHUT_RCV = 1, VSOCK_SHUT_SEND = 2, VSOCK_SHUT_BOTH = 3 };

struct vsock_hdr {
    uint64_t src_cid, dst_cid;
    uint32_t src_port, dst_port;
    uint32_t len;
    uint16_t type, op;
    uint32_t flags;
    uint32_t buf_alloc, fwd_cnt;
};

struct vsock_hdr vsock_hdr_parse(const uint8_t raw[static VSOCK_HEADER_BYTES]);
void vsock_hdr_write(const struct vsock_hdr *h, uint8_t raw[static VSOCK_HEADER_BYTES]);

#endif
