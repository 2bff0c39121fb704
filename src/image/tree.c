#include "image/tree.h"

#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAP = 64, IMPLIED_MODE = 0755 };

/* ---- nodes ---- */

static void bytes_drop(struct tree_bytes *b)
{
    if (b && --b->refs == 0)
        free(b);
}

static void node_clear(struct tree_node *n)
{
    free(n->path);
    bytes_drop(n->bytes);
    *n = (struct tree_node){ 0 };
}

void tree_clear(struct tree *t)
{
    for (size_t i = 0; i < t->n; i++)
        node_clear(&t->nodes[i]);
    free(t->nodes);
    t->nodes = NULL;
    t->n = t->cap = t->bytes = 0;
}

struct span tree_node_bytes(const struct tree_node *n)
{
    return n->bytes ? span_of(n->bytes->at, n->bytes->len) : SPAN_EMPTY;
}

MUST_USE static enum err fail(struct tree_why *why, enum err r, const char *what, struct span path)
{
    if (why) {
        why->what = what;
        snprintf(why->path, sizeof why->path, "%.*s", (int)path.len,
                 path.ptr ? (const char *)path.ptr : "");
    }
    return r;
}

static enum err room(struct tree *t, size_t n)
{
    if (n <= t->cap)
        return ERR_OK;
    size_t cap = t->cap ? t->cap : FIRST_CAP;
    while (cap < n)
        cap *= 2;
    struct tree_node *p = reallocarray(t->nodes, cap, sizeof *p);
    if (!p)
        return ERR_NOMEM;
    t->nodes = p;
    t->cap = cap;
    return ERR_OK;
}

/* ---- paths ---- */

enum err tree_path_clean(struct span raw, struct buf *out, const char **what)
{
    struct span rest = raw;

    *what = NULL;
    if (raw.len && raw.ptr[0] == '/')
        *what = "an absolute path";
    if (raw.len && memchr(raw.ptr, 0, raw.len))
        *what = "a NUL in the path";
    while (!*what && rest.ptr) {
        struct span part = span_cut(&rest, '/');
        if (part.len == 0 || span_is(part, "."))
            continue;
        if (span_is(part, ".."))
            *what = "a path with '..'";
        else if (part.len > TREE_NAME_MAX || out->len + 1 + part.len > TREE_PATH_MAX)
            return *what = "the path is too long", ERR_LIMIT;
        else if ((out->len && buf_append_byte(out, '/') != ERR_OK) ||
                 buf_append(out, part) != ERR_OK)
            return *what = "memory", ERR_NOMEM;
    }
    return *what ? ERR_MALFORMED : ERR_OK;
}

static int rank(struct span s, size_t at)
{
    return at == s.len ? 0 : s.ptr[at] == '/' ? 1 : s.ptr[at] + 2;
}

/* A folder's content follows it at once: '/' sorts before every other byte, the end before that. */
static int path_cmp(struct span a, struct span b)
{
    size_t i = 0;

    while (i < a.len && i < b.len && a.ptr[i] == b.ptr[i])
        i++;
    return rank(a, i) - rank(b, i);
}

static int node_path_cmp(const struct tree_node *a, const struct tree_node *b)
{
    return path_cmp(span_str(a->path), span_str(b->path));
}

/* Is `path` inside the folder `dir`? */
static bool is_below(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    return strncmp(path, dir, n) == 0 && (n == 0 ? path[0] != 0 : path[n] == '/');
}

static int node_cmp(const void *a, const void *b)
{
    const struct tree_node *x = a, *y = b;
    int c = node_path_cmp(x, y);

    return c ? c : (x->order > y->order) - (x->order < y->order);
}

/* ---- filling ---- */

static enum err add_check(struct tree *t, const struct tree_add *a, struct tree_why *why)
{
    bool names = a->kind == TREE_SYMLINK || a->kind == TREE_HARDLINK;

    if (a->path.len == 0 && a->kind != TREE_OPAQUE)
        return fail(why, ERR_MALFORMED, "an entry without a name", a->path);
    if (a->path.len > TREE_PATH_MAX)
        return fail(why, ERR_LIMIT, "the path is too long", a->path);
    if (t->orders >= t->nodes_max)
        return fail(why, ERR_LIMIT, "too many files", a->path);
    if (names && (a->bytes.len == 0 || memchr(a->bytes.ptr, 0, a->bytes.len)))
        return fail(why, ERR_MALFORMED, "a link to nothing", a->path);
    if (names && a->bytes.len > TREE_TARGET_MAX)
        return fail(why, ERR_LIMIT, "the link is too long", a->path);
    if (a->bytes.len > t->bytes_max - t->bytes)
        return fail(why, ERR_LIMIT, "too many bytes in all", a->path);
    return ERR_OK;
}

enum err tree_add(struct tree *t, const struct tree_add *a, struct tree_why *why)
{
    bool plain = a->kind == TREE_DIR || a->kind == TREE_WHITEOUT || a->kind == TREE_OPAQUE;
    struct tree_node n = { .kind = a->kind,
                           .mode = a->mode & TREE_MODE_BITS,
                           .uid = a->uid,
                           .gid = a->gid,
                           .order = t->orders };

    enum err r = add_check(t, a, why);
    if (r != ERR_OK)
        return r;
    n.path = calloc(1, a->path.len + 1);
    n.bytes = plain ? NULL : calloc(1, sizeof *n.bytes + a->bytes.len);
    if (n.bytes)
        n.bytes->refs = 1;
    if (!n.path || (!plain && !n.bytes) || room(t, t->n + 1) != ERR_OK) {
        node_clear(&n);
        return fail(why, ERR_NOMEM, "memory", a->path);
    }
    if (a->path.len)
        memcpy(n.path, a->path.ptr, a->path.len);
    if (n.bytes) {
        n.bytes->len = a->bytes.len;
        if (a->bytes.len)
            memcpy(n.bytes->at, a->bytes.ptr, a->bytes.len);
        t->bytes += a->bytes.len;
    }
    t->orders++;
    t->nodes[t->n++] = n;
    return ERR_OK;
}

/* ---- finishing ---- */

const struct tree_node *tree_find(const struct tree *t, struct span path)
{
    size_t low = 0, high = t->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = path_cmp(span_str(t->nodes[mid].path), path);
        if (c == 0)
            return &t->nodes[mid];
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* May a later entry of the same path not stand beside this one? Marks and real entries do not
 * replace each other: what a whiteout takes away is below this layer only. */
static bool same_slot(const struct tree_node *a, const struct tree_node *b)
{
    int x = a->kind == TREE_OPAQUE ? 1 : a->kind == TREE_WHITEOUT ? 2 : 0;
    int y = b->kind == TREE_OPAQUE ? 1 : b->kind == TREE_WHITEOUT ? 2 : 0;

    return x == y && strcmp(a->path, b->path) == 0;
}

/* Sorted, each path in its last form; an opaque mark stands before the folder it is about. */
static void sort_and_thin(struct tree *t)
{
    size_t kept = 0;

    if (t->n)
        qsort(t->nodes, t->n, sizeof t->nodes[0], node_cmp);
    for (size_t i = 0; i < t->n; i++) {
        size_t slot = kept;
        for (size_t k = kept; k > 0 && strcmp(t->nodes[k - 1].path, t->nodes[i].path) == 0; k--)
            if (same_slot(&t->nodes[k - 1], &t->nodes[i]))
                slot = k - 1;
        struct tree_node n = t->nodes[i];
        t->nodes[i] = (struct tree_node){ 0 };
        if (slot < kept)
            node_clear(&t->nodes[slot]);
        else
            kept++;
        t->nodes[slot] = n;
    }
    t->n = kept;
}

static int by_order(const void *a, const void *b)
{
    const struct tree_node *const *x = a, *const *y = b;

    return ((*x)->order > (*y)->order) - ((*x)->order < (*y)->order);
}

/* The name becomes one more of the file that it names, in this layer or below. */
static enum err link_one(struct tree_node *n, const struct tree *upper, const struct tree *lower,
                         struct tree_why *why)
{
    struct span to = tree_node_bytes(n);
    const struct tree_node *target = tree_find(upper, to);

    if (!target || target->kind == TREE_WHITEOUT || target->kind == TREE_OPAQUE)
        target = tree_find(lower, to);
    if (!target || target == n || (target->kind != TREE_FILE && target->kind != TREE_SYMLINK))
        return fail(why, ERR_MALFORMED, "a hard link to what is not a file of the image",
                    span_str(n->path));
    target->bytes->refs++;
    bytes_drop(n->bytes);
    n->bytes = target->bytes;
    n->kind = target->kind;
    n->mode = target->mode;
    n->uid = target->uid;
    n->gid = target->gid;
    return ERR_OK;
}

/* In the order in which they came, so that a link to a link finds the file. */
static enum err link_all(struct tree *upper, const struct tree *lower, struct tree_why *why)
{
    size_t n = 0, at = 0;
    enum err r = ERR_OK;

    for (size_t i = 0; i < upper->n; i++)
        n += upper->nodes[i].kind == TREE_HARDLINK;
    if (n == 0)
        return ERR_OK;
    struct tree_node **links = calloc(n, sizeof *links);
    if (!links)
        return fail(why, ERR_NOMEM, "memory", SPAN_EMPTY);
    for (size_t i = 0; i < upper->n; i++)
        if (upper->nodes[i].kind == TREE_HARDLINK)
            links[at++] = &upper->nodes[i];
    qsort(links, n, sizeof links[0], by_order);
    for (size_t i = 0; i < n && r == ERR_OK; i++)
        r = link_one(links[i], upper, lower, why);
    free(links);
    return r;
}

/* What of the lower tree a node of the layer takes away: the path itself, and what is below. */
static bool takes_path(const struct tree_node *u)
{
    return u->kind != TREE_OPAQUE;
}
static bool takes_below(const struct tree_node *u)
{
    return u->kind != TREE_DIR;
}

static enum err move_in(struct tree *out, struct tree_node *n)
{
    enum err r = room(out, out->n + 1);

    if (r == ERR_OK) {
        out->nodes[out->n++] = *n;
        *n = (struct tree_node){ 0 };
    }
    return r;
}

/* Both sorted: one pass. `shadow` is the layer's node whose subtree of the lower tree is gone. */
static enum err overlay(struct tree *lower, struct tree *upper, struct tree *out)
{
    const char *shadow = NULL;
    enum err r = ERR_OK;
    size_t l = 0, u = 0;

    while (r == ERR_OK && (l < lower->n || u < upper->n)) {
        int c = l == lower->n   ? 1
                : u == upper->n ? -1
                                : node_path_cmp(&lower->nodes[l], &upper->nodes[u]);
        if (c >= 0) {
            struct tree_node *n = &upper->nodes[u++];
            if (c == 0 && takes_path(n))
                l++;
            if (takes_below(n) && !(shadow && is_below(n->path, shadow)))
                shadow = n->path;
            continue;
        }
        struct tree_node *n = &lower->nodes[l++];
        if (!shadow || !is_below(n->path, shadow))
            r = move_in(out, n);
    }
    for (u = 0; u < upper->n && r == ERR_OK; u++)
        if (upper->nodes[u].kind != TREE_WHITEOUT && upper->nodes[u].kind != TREE_OPAQUE)
            r = move_in(out, &upper->nodes[u]);
    return r;
}

/* Folders that are not there, for a path whose parent is `parent` so far; innermost last. */
static enum err add_parents(struct tree *t, const char *path, const struct tree *known,
                            struct tree_why *why)
{
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        struct span dir = span_of(path, (size_t)(slash - path));
        const struct tree_node *there = tree_find(known, dir);
        if (there && there->kind != TREE_DIR)
            return fail(why, ERR_MALFORMED,
                        there->kind == TREE_SYMLINK ? "the path goes through a symbolic link"
                                                    : "the path goes through a file",
                        span_str(path));
        if (there)
            continue;
        enum err r = tree_add(
            t, &(struct tree_add){ .path = dir, .kind = TREE_DIR, .mode = IMPLIED_MODE }, why);
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

/* Every parent is there and is a folder. */
static enum err complete(struct tree *t, struct tree_why *why)
{
    AUTO(tree_clear) struct tree missing = TREE_INIT(t->nodes_max, t->bytes_max);
    const char *parent = "";
    enum err r = ERR_OK;

    sort_and_thin(t);
    for (size_t i = 0; i < t->n && r == ERR_OK; i++) {
        const char *path = t->nodes[i].path, *slash = strrchr(path, '/');
        size_t len = slash ? (size_t)(slash - path) : 0;
        bool same = strlen(parent) >= len && strncmp(parent, path, len) == 0 && slash &&
                    strrchr(parent, '/') == parent + len;
        if (!same) /* not a sibling of the one before it */
            r = add_parents(&missing, path, t, why);
        parent = path;
    }
    if (r == ERR_OK && missing.n > 0 && t->n + missing.n > t->nodes_max)
        r = fail(why, ERR_LIMIT, "too many files", SPAN_EMPTY);
    for (size_t i = 0; i < missing.n && r == ERR_OK; i++)
        r = move_in(t, &missing.nodes[i]);
    if (missing.n)
        sort_and_thin(t);
    return r;
}

enum err tree_merge(struct tree *lower, struct tree *upper, struct tree_why *why)
{
    AUTO(tree_clear) struct tree out = TREE_INIT(lower->nodes_max, lower->bytes_max);

    sort_and_thin(upper);
    out.bytes = lower->bytes + upper->bytes;
    out.orders = lower->orders + upper->orders;
    enum err r = out.orders > out.nodes_max ? fail(why, ERR_LIMIT, "too many files", SPAN_EMPTY)
                 : out.bytes > out.bytes_max
                     ? fail(why, ERR_LIMIT, "too many bytes in all", SPAN_EMPTY)
                     : link_all(upper, lower, why);
    if (r == ERR_OK)
        r = overlay(lower, upper, &out);
    tree_clear(lower);
    tree_clear(upper);
    if (r == ERR_OK)
        r = complete(&out, why);
    if (r != ERR_OK)
        return r;
    *lower = out;
    out = (struct tree){ 0 };
    return ERR_OK;
}

enum err tree_finish(struct tree *t, struct tree_why *why)
{
    struct tree upper = *t;
    struct tree lower = TREE_INIT(t->nodes_max, t->bytes_max);

    *t = lower;
    return tree_merge(t, &upper, why);
}
