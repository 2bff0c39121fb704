#include "image/cpio.h"

#include <stdlib.h>

enum {
    MODE_DIR = 0040000,
    MODE_FILE = 0100000,
    MODE_SYMLINK = 0120000,
    SYMLINK_MODE = 0777,
    FIELDS = 13,
    FIELD_BYTES = 8,
    F_INODE = 0,
    F_MODE,
    F_UID,
    F_GID,
    F_NLINK,
    F_MTIME,
    F_SIZE,
    F_NAME_SIZE = 11,
    MAGIC_BYTES = 6,
    ALIGNMENT = 4,
};

static const char magic[] = "070701";
static const char trailer[] = "TRAILER!!!";

static size_t padding(size_t len)
{
    return (ALIGNMENT - len % ALIGNMENT) % ALIGNMENT;
}

/* ---- writing ---- */

struct cpio_out cpio_out_init(struct buf *out)
{
    return (struct cpio_out){ .out = out };
}

static void put(struct cpio_out *w, struct span s)
{
    if (w->err == ERR_OK)
        w->err = buf_append(w->out, s);
}

static void pad(struct cpio_out *w, size_t len)
{
    put(w, span_sub(SPAN_LIT("\0\0\0"), 0, padding(len)));
}

static void field(uint8_t *at, uint32_t v)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = FIELD_BYTES; i-- > 0; v >>= 4)
        at[i] = (uint8_t)digits[v & 15];
}

struct head {
    struct span prefix, name;
    uint32_t inode, mode, uid, gid, nlink;
};

static void entry(struct cpio_out *w, const struct head *h, struct span bytes)
{
    uint8_t raw[CPIO_HEADER_BYTES];
    size_t name = h->prefix.len + (h->prefix.len ? 1 : 0) + h->name.len + 1;
    uint32_t fields[FIELDS] = { [F_INODE] = h->inode,
                                [F_MODE] = h->mode,
                                [F_UID] = h->uid,
                                [F_GID] = h->gid,
                                [F_NLINK] = h->nlink };

    if (w->err == ERR_OK && (bytes.len > UINT32_MAX || name > CPIO_NAME_MAX))
        w->err = ERR_LIMIT;
    fields[F_SIZE] = (uint32_t)bytes.len;
    fields[F_NAME_SIZE] = (uint32_t)name;
    memcpy(raw, magic, MAGIC_BYTES);
    for (size_t i = 0; i < FIELDS; i++)
        field(raw + MAGIC_BYTES + i * FIELD_BYTES, fields[i]);
    put(w, SPAN_ARRAY(raw));
    put(w, h->prefix);
    put(w, span_sub(SPAN_LIT("/"), 0, h->prefix.len ? 1 : 0));
    put(w, h->name);
    put(w, SPAN_LIT("\0"));
    pad(w, sizeof raw + name);
    put(w, bytes);
    pad(w, bytes.len);
}

void cpio_out_dir(struct cpio_out *w, const char *name, unsigned mode)
{
    const struct head h = {
        .name = span_str(name), .inode = ++w->inode, .mode = MODE_DIR | mode, .nlink = 2
    };

    entry(w, &h, SPAN_EMPTY);
}

void cpio_out_file(struct cpio_out *w, const char *name, unsigned mode, struct span bytes)
{
    const struct head h = {
        .name = span_str(name), .inode = ++w->inode, .mode = MODE_FILE | mode, .nlink = 1
    };

    entry(w, &h, bytes);
}

/* Names of one file, found by sorting: which of them comes first, and how many there are. */
struct name_of {
    const struct tree_bytes *bytes;
    size_t node;
    uint32_t inode, names; /* of the first only */
};

static int by_bytes(const void *a, const void *b)
{
    const struct name_of *x = a, *y = b;

    if (x->bytes != y->bytes)
        return (uintptr_t)x->bytes < (uintptr_t)y->bytes ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

static uint32_t kind_mode(const struct tree_node *n)
{
    return n->kind == TREE_DIR       ? MODE_DIR | n->mode
           : n->kind == TREE_SYMLINK ? MODE_SYMLINK | SYMLINK_MODE
                                     : MODE_FILE | n->mode;
}

/* For every node the index of the first name of the same file, and at the first how many. Addresses
 * decide only who meets whom, never what is written. */
static enum err names_find(const struct tree *t, size_t *first, uint32_t *count)
{
    struct name_of *all = calloc(t->n ? t->n : 1, sizeof *all);

    if (!all)
        return ERR_NOMEM;
    for (size_t i = 0; i < t->n; i++) {
        bool file = t->nodes[i].kind == TREE_FILE;
        all[i] = (struct name_of){ .bytes = file ? t->nodes[i].bytes : NULL, .node = i };
    }
    qsort(all, t->n, sizeof all[0], by_bytes);
    for (size_t i = 0; i < t->n; i++) {
        bool again = i > 0 && all[i].bytes && all[i].bytes == all[i - 1].bytes;
        size_t node = all[i].node;
        first[node] = again ? first[all[i - 1].node] : node;
        count[first[node]]++;
    }
    free(all);
    return ERR_OK;
}

void cpio_out_tree(struct cpio_out *w, const struct tree *t, const char *prefix)
{
    size_t *first = calloc(t->n ? t->n : 1, sizeof *first);
    uint32_t *count = calloc(t->n ? t->n : 1, sizeof *count);
    uint32_t *inode = calloc(t->n ? t->n : 1, sizeof *inode);

    if (w->err == ERR_OK)
        w->err = first && count && inode ? names_find(t, first, count) : ERR_NOMEM;
    for (size_t i = 0; i < t->n && w->err == ERR_OK; i++) {
        const struct tree_node *n = &t->nodes[i];
        bool again = first[i] != i;
        inode[i] = again ? inode[first[i]] : ++w->inode;
        const struct head h = { .prefix = span_str(prefix),
                                .name = span_str(n->path),
                                .inode = inode[i],
                                .mode = kind_mode(n),
                                .uid = n->uid,
                                .gid = n->gid,
                                .nlink = n->kind == TREE_DIR ? 2 : count[first[i]] };
        entry(w, &h, again ? SPAN_EMPTY : tree_node_bytes(n));
    }
    free(first);
    free(count);
    free(inode);
}

enum err cpio_out_end(struct cpio_out *w)
{
    const struct head h = { .name = span_str(trailer), .nlink = 1 };

    entry(w, &h, SPAN_EMPTY);
    return w->err;
}

/* ---- reading ---- */

static bool hex_field(const uint8_t *at, uint32_t *out)
{
    uint32_t v = 0;

    for (size_t i = 0; i < FIELD_BYTES; i++) {
        uint8_t c = at[i];
        uint32_t d = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                            : 16;
        if (d == 16)
            return false;
        v = v << 4 | d;
    }
    *out = v;
    return true;
}

static enum err name_check(struct span name, size_t at, struct why *why)
{
    struct span rest = name;

    if (name.len == 0 || name.ptr[0] == '/' || memchr(name.ptr, 0, name.len))
        return why_fail(why, ERR_MALFORMED, "name of an entry", at);
    while (rest.ptr)
        if (span_is(span_cut(&rest, '/'), ".."))
            return why_fail(why, ERR_MALFORMED, "an entry with '..' in its name", at);
    return ERR_OK;
}

/* Behind the trailer. */
static enum err tail_check(struct cpio_in *c, struct why *why)
{
    for (; c->pos < c->in.len; c->pos++)
        if (c->in.ptr[c->pos])
            return why_fail(why, ERR_MALFORMED, "bytes after the trailer", c->pos);
    return ERR_OK;
}

enum err cpio_next(struct cpio_in *c, struct cpio_entry *out, bool *end, struct why *why)
{
    uint32_t f[FIELDS];
    struct span rest = span_from(c->in, c->pos);

    if (rest.len < CPIO_HEADER_BYTES || memcmp(rest.ptr, magic, MAGIC_BYTES) != 0)
        return why_fail(why, ERR_MALFORMED, "not a cpio entry of the newc form", c->pos);
    for (size_t i = 0; i < FIELDS; i++)
        if (!hex_field(rest.ptr + MAGIC_BYTES + i * FIELD_BYTES, &f[i]))
            return why_fail(why, ERR_MALFORMED, "header of an entry", c->pos);
    size_t name_end = CPIO_HEADER_BYTES + (size_t)f[F_NAME_SIZE];
    size_t data = name_end + padding(name_end), data_end = data + f[F_SIZE];
    if (f[F_NAME_SIZE] < 1 || f[F_NAME_SIZE] > CPIO_NAME_MAX || data_end > rest.len ||
        rest.ptr[name_end - 1] != 0)
        return why_fail(why, ERR_MALFORMED, "an entry is cut short", c->pos);
    struct span name = span_sub(rest, CPIO_HEADER_BYTES, (size_t)f[F_NAME_SIZE] - 1);
    size_t next = data_end + padding(data_end);
    *end = span_is(name, trailer);
    enum err r = *end ? ERR_OK : name_check(name, c->pos, why);
    if (r != ERR_OK)
        return r;
    c->pos += next < rest.len ? next : rest.len;
    if (*end)
        return tail_check(c, why);
    *out = (struct cpio_entry){ name,     f[F_INODE], f[F_MODE],  f[F_UID],
                                f[F_GID], f[F_NLINK], f[F_MTIME], span_sub(rest, data, f[F_SIZE]) };
    return ERR_OK;
}
