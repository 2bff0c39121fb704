#include "vhost/pkt.h"

#include "vhost/le.h"

struct vsock_hdr vsock_hdr_parse(const uint8_t raw[static VSOCK_HEADER_BYTES])
{
    return (struct vsock_hdr){
        .src_cid = le64(raw),
        .dst_cid = le64(raw + 8),
        .src_port = le32(raw + 16),
        .dst_port = le32(raw + 20),
        .len = le32(raw + 24),
        .type = le16(raw + 28),
        .op = le16(raw + 30),
        .flags = le32(raw + 32),
        .buf_alloc = le32(raw + 36),
        .fwd_cnt = le32(raw + 40),
    };
}

void vsock_hdr_write(const struct vsock_hdr *h, uint8_t raw[static VSOCK_HEADER_BYTES])
{
    put_le64(raw, h->src_cid);
    put_le64(raw + 8, h->dst_cid);
    put_le32(raw + 16, h->src_port);
    put_le32(raw + 20, h->dst_port);
    put_le32(raw + 24, h->len);
    put_le16(raw + 28, h->type);
    put_le16(raw + 30, h->op);
    put_le32(raw + 32, h->flags);
    put_le32(raw + 36, h->buf_alloc);
    put_le32(raw + 40, h->fwd_cnt);
}
