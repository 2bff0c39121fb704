#include "base/secret.h"

#include <stdatomic.h>
#include <sys/mman.h>

enum { PAGE_BYTES = 4096, SPARE_PAGES = 16 };

/* Wiped single pages that are locked and marked already. Making and unmaking one takes six system
 * calls, each under the process's memory lock: a tenth of what a worker of the service did. */
static _Atomic(uint8_t *) spare[SPARE_PAGES];

static uint8_t *spare_take(void)
{
    uint8_t *p = NULL;

    for (size_t i = 0; i < SPARE_PAGES && !p; i++)
        if (atomic_load_explicit(&spare[i], memory_order_relaxed))
            p = atomic_exchange(&spare[i], NULL);
    return p;
}

static bool spare_give(uint8_t *p)
{
    for (size_t i = 0; i < SPARE_PAGES; i++) {
        uint8_t *none = NULL;
        if (atomic_compare_exchange_strong(&spare[i], &none, p))
            return true;
    }
    return false;
}

enum err secret_new(size_t len, struct secret *out)
{
    if (len > SECRET_MAX_BYTES)
        return ERR_LIMIT;
    size_t cap = (len + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    if (cap == 0)
        cap = PAGE_BYTES;
    uint8_t *kept = cap == PAGE_BYTES ? spare_take() : NULL;
    if (kept) {
        *out = (struct secret){ .ptr = kept, .len = len, .cap = cap };
        return ERR_OK;
    }
    void *p = mmap(NULL, cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return ERR_NOMEM;
    if (madvise(p, cap, MADV_DONTDUMP) != 0 || madvise(p, cap, MADV_WIPEONFORK) != 0) {
        munmap(p, cap);
        return ERR_NOMEM;
    }
    (void)!mlock(p, cap); /* best effort: see the header */
    *out = (struct secret){ .ptr = p, .len = len, .cap = cap };
    return ERR_OK;
}

enum err secret_copy(struct span s, struct secret *out)
{
    struct secret made;
    enum err r = secret_new(s.len, &made);

    if (r != ERR_OK)
        return r;
    if (s.len)
        memcpy(made.ptr, s.ptr, s.len);
    *out = made;
    return ERR_OK;
}

void secret_shorten(struct secret *s, size_t len)
{
    if (len >= s->len)
        return;
    wipe(s->ptr + len, s->len - len);
    s->len = len;
}

void secret_clear(struct secret *s)
{
    if (s->ptr) {
        wipe(s->ptr, s->cap);
        if (s->cap != PAGE_BYTES || !spare_give(s->ptr))
            munmap(s->ptr, s->cap);
    }
    *s = (struct secret){ 0 };
}

struct secret secret_take(struct secret *s)
{
    struct secret taken = *s;
    *s = (struct secret){ 0 };
    return taken;
}
