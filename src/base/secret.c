#include "base/secret.h"

#include <sys/mman.h>

enum { PAGE_BYTES = 4096 };

enum err secret_new(size_t len, struct secret *out)
{
    if (len > SECRET_MAX_BYTES)
        return ERR_LIMIT;
    size_t cap = (len + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    if (cap == 0)
        cap = PAGE_BYTES;
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
