/* Any bytes as a monitor's messages: every ring that runs lies inside the memory that was shared.
 */
#include <stdlib.h>

#include "vhost/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY_BYTES = 65536 };

static void inside(const uint8_t *memory, const uint8_t *p, size_t len)
{
    if (p < memory || len > MEMORY_BYTES || (size_t)(p - memory) > MEMORY_BYTES - len)
        abort();
}

static void map(struct vhost_session *s, const struct vhost_action *act, uint8_t *memory)
{
    struct guest_mem mem = { .n = 0 };

    for (unsigned i = 0; i < act->n_parts; i++) {
        struct guest_part p = act->part[i];
        p.host = memory;
        if (p.size <= MEMORY_BYTES && guest_mem_add(&mem, p, NULL) != ERR_OK)
            abort(); /* the table was checked */
    }
    if (vhost_mapped(s, &mem, NULL) != ERR_OK)
        return;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf_clear) struct buf reply = BUF_INIT(4096);
    struct span in = span_of(data, size);
    struct vhost_session s;
    struct vhost_action act;
    struct vhost_msg msg;
    size_t used;

    vhost_session_init(&s, 16);
    uint8_t *memory = malloc(MEMORY_BYTES);
    /* A byte before each message: its descriptors. */
    while (memory && in.len > 0 && vhost_msg_parse(span_from(in, 1), &msg, &used, NULL) == ERR_OK) {
        buf_reset(&reply);
        if (vhost_step(&s, &msg, in.ptr[0] % (VHOST_FDS_MAX + 1), &act, &reply, NULL) != ERR_OK)
            break;
        if (act.what == VHOST_DO_MAP)
            map(&s, &act, memory);
        if (act.ring >= VHOST_RINGS || act.n_parts > GUEST_PARTS_MAX)
            abort();
        for (unsigned i = 0; i < VHOST_RINGS; i++) {
            const struct virtq *q = &s.ring[i].q;
            if (!vhost_ring_runs(&s, i))
                continue;
            inside(memory, q->desc, virtq_desc_bytes(q->num));
            inside(memory, q->avail, virtq_avail_bytes(q->num));
            inside(memory, q->used, virtq_used_bytes(q->num));
        }
        in = span_from(in, 1 + used);
    }
    free(memory);
    return 0;
}
