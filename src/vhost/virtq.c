#include "vhost/virtq.h"

#include "vhost/le.h"

enum {
    DESC_BYTES = 16,
    DESC_F_NEXT = 1,
    DESC_F_WRITE = 2,
    DESC_F_INDIRECT = 4,
    AVAIL_F_NO_INTERRUPT = 1,
    USED_F_NO_NOTIFY = 1,
    RING_AT = 4, /* after flags and index, in both rings */
    USED_ELEM_BYTES = 8,
};

bool virtq_num_ok(uint32_t num)
{
    return num > 0 && num <= VIRTQ_NUM_MAX && (num & (num - 1)) == 0;
}

size_t virtq_desc_bytes(uint16_t num)
{
    return (size_t)DESC_BYTES * num;
}

size_t virtq_avail_bytes(uint16_t num)
{
    return 6 + (size_t)2 * num;
}

size_t virtq_used_bytes(uint16_t num)
{
    return 6 + (size_t)USED_ELEM_BYTES * num;
}

/* The rings are shared with a running guest: whole 16-bit words, in this order. They stand at even
 * addresses (the shell checks). */
static uint16_t load16(const uint8_t *p)
{
    return le16toh(__atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE));
}

static void store16(uint8_t *p, uint16_t v)
{
    __atomic_store_n((uint16_t *)(void *)p, htole16(v), __ATOMIC_RELEASE);
}

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

static struct desc read_desc(const struct virtq *q, uint16_t i)
{
    uint8_t raw[DESC_BYTES];

    memcpy(raw, q->desc + (size_t)DESC_BYTES * i, sizeof raw); /* once: it may change meanwhile */
    return (struct desc){
        .addr = le64(raw), .len = le32(raw + 8), .flags = le16(raw + 12), .next = le16(raw + 14)
    };
}

static enum err add_seg(const struct guest_mem *m, struct desc d, struct virtq_chain *c,
                        struct why *why)
{
    bool writable = d.flags & DESC_F_WRITE;

    if (d.flags & DESC_F_INDIRECT)
        return why_fail(why, ERR_MALFORMED, "an indirect descriptor, which was not offered", c->n);
    if (c->n == VIRTQ_SEGS_MAX)
        return why_fail(why, ERR_LIMIT, "too many descriptors in a chain", c->n);
    if (c->n > 0 && writable != c->writable)
        return why_fail(why, ERR_MALFORMED, "a chain to read and to write", c->n);
    c->writable = writable;
    if (d.len == 0)
        return ERR_OK; /* odd, and harmless */
    uint8_t *p = guest_mem_at(m, d.addr, d.len);
    if (!p)
        return why_fail(why, ERR_MALFORMED, "a descriptor outside the guest's memory", c->n);
    c->seg[c->n++] = (struct virtq_seg){ p, d.len };
    c->len += d.len;
    return ERR_OK;
}

enum err virtq_peek(const struct virtq *q, const struct guest_mem *m, struct virtq_chain *out,
                    struct why *why)
{
    uint16_t mask = (uint16_t)(q->num - 1);
    uint16_t there = (uint16_t)(load16(q->avail + 2) - q->next);

    if (there == 0)
        return ERR_MORE;
    if (there > q->num)
        return why_fail(why, ERR_MALFORMED, "the avail ring's index jumped", 0);
    uint16_t at = load16(q->avail + RING_AT + (size_t)2 * (q->next & mask));
    out->head = at;
    out->n = 0;
    out->len = 0;
    out->writable = false;
    for (unsigned seen = 0; seen < q->num; seen++) {
        if (at >= q->num)
            return why_fail(why, ERR_MALFORMED, "a descriptor's number", seen);
        struct desc d = read_desc(q, at);
        enum err r = add_seg(m, d, out, why);
        if (r != ERR_OK)
            return r;
        if (!(d.flags & DESC_F_NEXT))
            return ERR_OK;
        at = d.next;
    }
    return why_fail(why, ERR_MALFORMED, "a chain that does not end", 0);
}

void virtq_give(struct virtq *q, const struct virtq_chain *c, uint32_t len)
{
    uint8_t *elem = q->used + RING_AT + (size_t)USED_ELEM_BYTES * (q->next & (q->num - 1));

    put_le32(elem, c->head);
    put_le32(elem + 4, len);
    q->next++;
    store16(q->used + 2, q->next);
}

bool virtq_wants_call(const struct virtq *q)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the used index before the flag (2.7.7) */
    return !(load16(q->avail) & AVAIL_F_NO_INTERRUPT);
}

void virtq_want_kick(struct virtq *q, bool on)
{
    store16(q->used, on ? 0 : USED_F_NO_NOTIFY);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the flag before the avail index (2.7.10) */
}

/* Segment and offset of byte `at`. */
static unsigned locate(const struct virtq_chain *c, size_t *at)
{
    unsigned i = 0;

    while (i < c->n && *at >= c->seg[i].len)
        *at -= c->seg[i++].len;
    return i;
}

size_t virtq_read(const struct virtq_chain *c, size_t at, uint8_t *to, size_t len)
{
    size_t done = 0;

    for (unsigned i = locate(c, &at); i < c->n && done < len; i++, at = 0) {
        size_t n = c->seg[i].len - at;
        n = n < len - done ? n : len - done;
        memcpy(to + done, c->seg[i].ptr + at, n);
        done += n;
    }
    return done;
}

size_t virtq_write(const struct virtq_chain *c, size_t at, const uint8_t *from, size_t len)
{
    size_t done = 0;

    for (unsigned i = locate(c, &at); i < c->n && done < len; i++, at = 0) {
        size_t n = c->seg[i].len - at;
        n = n < len - done ? n : len - done;
        memcpy(c->seg[i].ptr + at, from + done, n);
        done += n;
    }
    return done;
}
