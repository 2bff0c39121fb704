#include "vhost/session.h"

#include "vhost/le.h"

enum {
    VERSION_MASK = 3,
    INDEX_MASK = 0xff,
    NO_FD = 0x100,
    MEM_HEAD_BYTES = 8,
    MEM_PART_BYTES = 32,
    CONFIG_HEAD_BYTES = 12,
};

enum err vhost_msg_parse(struct span in, struct vhost_msg *out, size_t *used, struct why *why)
{
    if (in.len < VHOST_HEADER_BYTES)
        return ERR_MORE;
    uint32_t flags = le32(in.ptr + 4), size = le32(in.ptr + 8);
    if ((flags & VERSION_MASK) != VHOST_FLAG_VERSION || (flags & VHOST_FLAG_REPLY))
        return why_fail(why, ERR_MALFORMED, "a vhost-user message's flags", 4);
    if (size > VHOST_PAYLOAD_MAX_BYTES)
        return why_fail(why, ERR_LIMIT, "a vhost-user message is too long", 8);
    if (in.len - VHOST_HEADER_BYTES < size)
        return ERR_MORE;
    *out = (struct vhost_msg){ .request = le32(in.ptr),
                               .need_reply = flags & VHOST_FLAG_NEED_REPLY,
                               .payload = span_sub(in, VHOST_HEADER_BYTES, size) };
    *used = VHOST_HEADER_BYTES + (size_t)size;
    return ERR_OK;
}

enum err vhost_msg_write(struct buf *out, uint32_t request, uint32_t flags, struct span payload)
{
    uint8_t *p;

    enum err r = buf_reserve(out, VHOST_HEADER_BYTES + payload.len, &p);
    if (r != ERR_OK)
        return r;
    put_le32(p, request);
    put_le32(p + 4, flags | VHOST_FLAG_VERSION);
    put_le32(p + 8, (uint32_t)payload.len);
    if (payload.len > 0)
        memcpy(p + VHOST_HEADER_BYTES, payload.ptr, payload.len);
    buf_commit(out, VHOST_HEADER_BYTES + payload.len);
    return ERR_OK;
}

void vhost_session_init(struct vhost_session *s, uint32_t guest_cid)
{
    *s = (struct vhost_session){ .features = 0 };
    put_le64(s->config, guest_cid);
}

static enum err reply_u64(struct buf *reply, uint32_t request, uint64_t v)
{
    uint8_t raw[8];

    put_le64(raw, v);
    return vhost_msg_write(reply, request, VHOST_FLAG_REPLY, SPAN_ARRAY(raw));
}

/* A ring's areas have addresses on our side, and the ones that virtio 1 asks for are aligned. */
static enum err find_ring(struct vhost_session *s, struct vhost_ring *g, struct why *why)
{
    struct virtq q = g->q;

    if (!g->has_addr || q.num == 0)
        return ERR_OK;
    q.desc = guest_mem_at_user(&s->mem, g->desc, virtq_desc_bytes(q.num));
    q.avail = guest_mem_at_user(&s->mem, g->avail, virtq_avail_bytes(q.num));
    q.used = guest_mem_at_user(&s->mem, g->used, virtq_used_bytes(q.num));
    if (!q.desc || !q.avail || !q.used)
        return why_fail(why, ERR_MALFORMED, "a ring outside the guest's memory", 0);
    if (((uintptr_t)q.avail & 1) || ((uintptr_t)q.used & 3))
        return why_fail(why, ERR_MALFORMED, "a ring that is not aligned", 0);
    g->q = q;
    return ERR_OK;
}

enum err vhost_mapped(struct vhost_session *s, const struct guest_mem *mem, struct why *why)
{
    enum err r = ERR_OK;

    s->mem = *mem;
    for (unsigned i = 0; i < VHOST_RINGS; i++)
        s->ring[i].q.desc = s->ring[i].q.avail = s->ring[i].q.used = NULL;
    for (unsigned i = 0; i < VHOST_RINGS && r == ERR_OK; i++)
        r = find_ring(s, &s->ring[i], why);
    return r;
}

bool vhost_ring_runs(const struct vhost_session *s, unsigned ring)
{
    const struct vhost_ring *g = &s->ring[ring];

    return g->q.desc && g->has_kick && !g->broken &&
           (g->enabled || !(s->features & VHOST_F_PROTOCOL_FEATURES));
}

static enum err mem_table(const struct vhost_msg *msg, unsigned n_fds, struct vhost_action *act,
                          struct why *why)
{
    struct vhost_action a = { .what = VHOST_DO_MAP };
    struct guest_mem check = { .n = 0 };

    if (msg->payload.len < MEM_HEAD_BYTES)
        return why_fail(why, ERR_MALFORMED, "a memory table's length", 0);
    uint32_t n = le32(msg->payload.ptr);
    if (n == 0 || n > GUEST_PARTS_MAX || n != n_fds ||
        msg->payload.len != MEM_HEAD_BYTES + (size_t)MEM_PART_BYTES * n)
        return why_fail(why, ERR_MALFORMED, "a memory table's length", 0);
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *p = msg->payload.ptr + MEM_HEAD_BYTES + (size_t)MEM_PART_BYTES * i;
        a.part[i] =
            (struct guest_part){ .gpa = le64(p), .size = le64(p + 8), .user = le64(p + 16) };
        a.offset[i] = le64(p + 24);
        if (a.offset[i] > UINT64_MAX - a.part[i].size)
            return why_fail(why, ERR_MALFORMED, "a memory region's offset", i);
        enum err r = guest_mem_add(&check, a.part[i], why);
        if (r != ERR_OK)
            return r;
    }
    a.n_parts = n;
    *act = a;
    return ERR_OK;
}

/* {index, number}: NUM, BASE, ENABLE. */
static enum err ring_state(struct vhost_session *s, const struct vhost_msg *msg,
                           struct vhost_action *act, struct buf *reply, struct why *why)
{
    if (msg->payload.len != 8 || le32(msg->payload.ptr) >= VHOST_RINGS)
        return why_fail(why, ERR_MALFORMED, "a ring's number", 0);
    uint32_t index = le32(msg->payload.ptr), num = le32(msg->payload.ptr + 4);
    struct vhost_ring *g = &s->ring[index];
    uint8_t raw[8];

    switch (msg->request) {
    case VHOST_SET_VRING_NUM:
        if (!virtq_num_ok(num))
            return why_fail(why, ERR_MALFORMED, "a ring's size", 4);
        g->q = (struct virtq){ .num = (uint16_t)num, .next = g->q.next };
        return find_ring(s, g, why);
    case VHOST_SET_VRING_BASE:
        if (num > UINT16_MAX)
            return why_fail(why, ERR_MALFORMED, "a ring's index", 4);
        g->q.next = (uint16_t)num;
        g->broken = false;
        return ERR_OK;
    case VHOST_SET_VRING_ENABLE:
        g->enabled = num != 0;
        return ERR_OK;
    case VHOST_GET_VRING_BASE:
        put_le32(raw, index);
        put_le32(raw + 4, g->q.next);
        g->has_kick = g->has_addr = false;
        g->q.desc = g->q.avail = g->q.used = NULL;
        *act = (struct vhost_action){ .what = VHOST_DO_STOP, .ring = index };
        return vhost_msg_write(reply, msg->request, VHOST_FLAG_REPLY, SPAN_ARRAY(raw));
    default:
        return ERR_INTERNAL;
    }
}

/* {index, flags, descriptors, used, avail, log} */
static enum err ring_addr(struct vhost_session *s, const struct vhost_msg *msg, struct why *why)
{
    const uint8_t *p = msg->payload.ptr;

    if (msg->payload.len != 40 || le32(p) >= VHOST_RINGS)
        return why_fail(why, ERR_MALFORMED, "a ring's addresses", 0);
    if (le32(p + 4) != 0)
        return why_fail(why, ERR_UNSUPPORTED, "a log of dirty pages, which was not offered", 4);
    struct vhost_ring *g = &s->ring[le32(p)];
    g->desc = le64(p + 8);
    g->used = le64(p + 16);
    g->avail = le64(p + 24);
    g->has_addr = true;
    return find_ring(s, g, why);
}

static enum err ring_fd(struct vhost_session *s, const struct vhost_msg *msg, unsigned n_fds,
                        struct vhost_action *act, struct why *why)
{
    if (msg->payload.len != 8)
        return why_fail(why, ERR_MALFORMED, "a ring's descriptor", 0);
    uint64_t v = le64(msg->payload.ptr);
    unsigned ring = v & INDEX_MASK, want = v & NO_FD ? 0 : 1;
    if (ring >= VHOST_RINGS || n_fds != want || v > (INDEX_MASK | NO_FD))
        return why_fail(why, ERR_MALFORMED, "a ring's descriptor", 0);
    *act = (struct vhost_action){ .what = msg->request == VHOST_SET_VRING_CALL  ? VHOST_DO_CALL
                                          : msg->request == VHOST_SET_VRING_ERR ? VHOST_DO_ERR
                                                                                : VHOST_DO_KICK,
                                  .ring = ring };
    if (act->what != VHOST_DO_KICK)
        return ERR_OK;
    if (want == 0)
        return why_fail(why, ERR_UNSUPPORTED, "a ring that is to be polled", 0);
    s->ring[ring].has_kick = true;
    return ERR_OK;
}

static enum err get_config(const struct vhost_session *s, const struct vhost_msg *msg,
                           struct buf *reply, struct why *why)
{
    const uint8_t *p = msg->payload.ptr;
    uint8_t raw[CONFIG_HEAD_BYTES + VHOST_CONFIG_BYTES];

    if (msg->payload.len < CONFIG_HEAD_BYTES)
        return why_fail(why, ERR_MALFORMED, "a configuration request", 0);
    uint32_t offset = le32(p), size = le32(p + 4);
    if (offset > VHOST_CONFIG_BYTES || size > VHOST_CONFIG_BYTES - offset)
        return why_fail(why, ERR_MALFORMED, "past the end of the configuration", 0);
    memcpy(raw, p, CONFIG_HEAD_BYTES);
    memcpy(raw + CONFIG_HEAD_BYTES, s->config + offset, size);
    return vhost_msg_write(reply, msg->request, VHOST_FLAG_REPLY,
                           span_of(raw, CONFIG_HEAD_BYTES + size));
}

static enum err set_u64(const struct vhost_msg *msg, uint64_t offered, uint64_t *out,
                        struct why *why)
{
    if (msg->payload.len != 8)
        return why_fail(why, ERR_MALFORMED, "a set of features", 0);
    uint64_t v = le64(msg->payload.ptr);
    if (v & ~offered)
        return why_fail(why, ERR_UNSUPPORTED, "a feature that was not offered", 0);
    *out = v;
    return ERR_OK;
}

static enum err step(struct vhost_session *s, const struct vhost_msg *msg, unsigned n_fds,
                     struct vhost_action *act, struct buf *reply, struct why *why)
{
    switch (msg->request) {
    case VHOST_GET_FEATURES:
        return reply_u64(reply, msg->request, VHOST_FEATURES);
    case VHOST_GET_PROTOCOL_FEATURES:
        return reply_u64(reply, msg->request, VHOST_PROTOCOL_FEATURES);
    case VHOST_SET_FEATURES:
        return set_u64(msg, VHOST_FEATURES, &s->features, why);
    case VHOST_SET_PROTOCOL_FEATURES:
        return set_u64(msg, VHOST_PROTOCOL_FEATURES, &s->protocol, why);
    case VHOST_SET_OWNER:
    case VHOST_RESET_OWNER:
        return ERR_OK;
    case VHOST_SET_MEM_TABLE:
        return mem_table(msg, n_fds, act, why);
    case VHOST_SET_VRING_NUM:
    case VHOST_SET_VRING_BASE:
    case VHOST_GET_VRING_BASE:
    case VHOST_SET_VRING_ENABLE:
        return ring_state(s, msg, act, reply, why);
    case VHOST_SET_VRING_ADDR:
        return ring_addr(s, msg, why);
    case VHOST_SET_VRING_KICK:
    case VHOST_SET_VRING_CALL:
    case VHOST_SET_VRING_ERR:
        return ring_fd(s, msg, n_fds, act, why);
    case VHOST_GET_CONFIG:
        return get_config(s, msg, reply, why);
    default:
        return why_fail(why, ERR_UNSUPPORTED, "a request that was not offered", 0);
    }
}

enum err vhost_step(struct vhost_session *s, const struct vhost_msg *msg, unsigned n_fds,
                    struct vhost_action *act, struct buf *reply, struct why *why)
{
    struct vhost_action a = { .what = VHOST_DO_NOTHING };
    size_t before = reply->len;

    enum err r = step(s, msg, n_fds, &a, reply, why);
    if (r == ERR_OK && n_fds > 0 && a.what == VHOST_DO_NOTHING)
        r = why_fail(why, ERR_MALFORMED, "descriptors with a request that takes none", 0);
    if (r == ERR_OK && reply->len == before && msg->need_reply && (s->protocol & VHOST_P_REPLY_ACK))
        r = reply_u64(reply, msg->request, 0);
    if (r == ERR_OK)
        *act = a;
    return r;
}
