/* A tar archive from a stranger, as a layer on a small tree: what comes out is a tree whose parents
 * are folders, and can be written as a ramdisk. */
#include <stdlib.h>

#include "image/cpio.h"
#include "image/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NODES = 200, BYTES = 1 << 16 };

static void parents_are_folders(const struct tree *t)
{
    for (size_t i = 0; i < t->n; i++) {
        const char *path = t->nodes[i].path, *slash = strrchr(path, '/');
        const struct tree_node *parent =
            slash ? tree_find(t, span_of(path, (size_t)(slash - path))) : NULL;
        if (t->nodes[i].kind > TREE_SYMLINK || (slash && (!parent || parent->kind != TREE_DIR)))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const below[] = { "etc/passwd", "a/b/c", "bin" };
    AUTO(tree_clear) struct tree lower = TREE_INIT(NODES, BYTES);
    AUTO(tree_clear) struct tree upper = TREE_INIT(NODES, BYTES);
    AUTO(buf_clear) struct buf out = BUF_INIT(1 << 20);
    struct cpio_out w = cpio_out_init(&out);
    struct cpio_entry e;
    bool end = false;

    for (size_t i = 0; i < 3; i++)
        if (tree_add(&lower, &(struct tree_add){ .path = span_str(below[i]), .kind = TREE_FILE },
                     NULL) != ERR_OK)
            abort();
    if (tree_finish(&lower, NULL) != ERR_OK)
        abort();
    if (unpack_tree(span_of(data, size), true, &upper, NULL) != ERR_OK ||
        tree_merge(&lower, &upper, NULL) != ERR_OK)
        return 0;
    parents_are_folders(&lower);
    cpio_out_tree(&w, &lower, "rootfs");
    if (cpio_out_end(&w) != ERR_OK)
        return 0;
    struct cpio_in c = cpio_in_init(buf_view(&out));
    while (!end)
        if (cpio_next(&c, &e, &end, NULL) != ERR_OK)
            abort();
    return 0;
}
