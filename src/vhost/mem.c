#include "vhost/mem.h"

static bool overlaps(uint64_t a, uint64_t b, uint64_t a_size, uint64_t b_size)
{
    return a < b ? b - a < a_size : a - b < b_size;
}

enum err guest_mem_add(struct guest_mem *m, struct guest_part part, struct why *why)
{
    if (m->n == GUEST_PARTS_MAX)
        return why_fail(why, ERR_LIMIT, "too many memory regions", m->n);
    if (part.size == 0 || part.size > UINT64_MAX - part.gpa || part.size > UINT64_MAX - part.user)
        return why_fail(why, ERR_MALFORMED, "a memory region's size", m->n);
    for (unsigned i = 0; i < m->n; i++) {
        const struct guest_part *p = &m->part[i];
        if (overlaps(p->gpa, part.gpa, p->size, part.size) ||
            overlaps(p->user, part.user, p->size, part.size))
            return why_fail(why, ERR_MALFORMED, "memory regions overlap", m->n);
    }
    m->part[m->n++] = part;
    return ERR_OK;
}

static uint8_t *inside(const struct guest_part *p, uint64_t start, uint64_t at, uint64_t len)
{
    if (at < start || at - start >= p->size || len > p->size - (at - start))
        return NULL;
    return p->host + (at - start);
}

uint8_t *guest_mem_at(const struct guest_mem *m, uint64_t gpa, uint64_t len)
{
    uint8_t *found = NULL;

    for (unsigned i = 0; i < m->n && !found && len > 0; i++)
        found = inside(&m->part[i], m->part[i].gpa, gpa, len);
    return found;
}

uint8_t *guest_mem_at_user(const struct guest_mem *m, uint64_t user, uint64_t len)
{
    uint8_t *found = NULL;

    for (unsigned i = 0; i < m->n && !found && len > 0; i++)
        found = inside(&m->part[i], m->part[i].user, user, len);
    return found;
}
