/* virtq.h - the device's side of a split virtqueue (virtio 1.2, section 2.7).
 *
 * Indices, descriptors and lengths are the guest's and taken for hostile: each is copied once, then
 * checked, and a fault ends the queue, not us. Not offered, and so refused: indirect descriptors,
 * packed rings. Chains are taken one at a time and given back in order.
 */
#ifndef VHOST_VIRTQ_H
#define VHOST_VIRTQ_H

#include "vhost/mem.h"

enum {
    VIRTQ_NUM_MAX = 1024, /* entries; QEMU's vsock device has 128 */
    VIRTQ_SEGS_MAX = 64,  /* descriptors of one chain; Linux sends at most 20 */
};

struct virtq {
    uint16_t num;                 /* entries, a power of two; 0: not set up */
    uint8_t *desc, *avail, *used; /* 16 * num, 6 + 2 * num, 6 + 8 * num bytes */
    uint16_t next; /* of the avail ring, free running; also our index of the used ring */
};

struct virtq_seg {
    uint8_t *ptr;
    size_t len;
};

struct virtq_chain {
    uint16_t head;
    unsigned n;
    struct virtq_seg seg[VIRTQ_SEGS_MAX];
    size_t len;    /* of all of them */
    bool writable; /* for us to write to; a chain that is both is refused: vsock has none */
};

/* Whether `num` is a number of entries that we take. */
bool virtq_num_ok(uint32_t num);
/* Bytes of each area. */
size_t virtq_desc_bytes(uint16_t num);
size_t virtq_avail_bytes(uint16_t num);
size_t virtq_used_bytes(uint16_t num);

/* Look at the next chain without taking it. ERR_MORE: there is none. ERR_MALFORMED, ERR_LIMIT: the
 * guest is wrong, and the queue is not to be used any more. *out holds nothing of use then (it is
 * written in place: a kilobyte per packet is not copied about). */
MUST_USE enum err virtq_peek(const struct virtq *q, const struct guest_mem *m,
                             struct virtq_chain *out, struct why *why);
/* Give the chain that was looked at last back to the guest, `len` bytes written into it. */
void virtq_give(struct virtq *q, const struct virtq_chain *c, uint32_t len);
/* Is the guest to be told that we gave something back? Ask after the last virtq_give(). */
bool virtq_wants_call(const struct virtq *q);
/* Whether we want to be told of new chains. After turning it on, look once more. */
void virtq_want_kick(struct virtq *q, bool on);

/* Copy out of and into a chain, from byte `at` on; at most `len` bytes and what there is. Returns
 * the number of bytes. */
size_t virtq_read(const struct virtq_chain *c, size_t at, uint8_t *to, size_t len);
size_t virtq_write(const struct virtq_chain *c, size_t at, const uint8_t *from, size_t len);

#endif
