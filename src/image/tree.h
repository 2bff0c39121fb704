/* tree.h - a file system tree in memory, on its way into a ramdisk.
 *
 * Folders, files and symbolic links; nothing else goes into an image. Paths are relative, without
 * "." and ".."; links are never followed here, so none can lead out. A tree is filled in any order
 * and then finished: sorted so that a folder stands before what is in it, a path that came twice
 * kept in its last form, folders that nobody named added (0755, root). Source of the rules for
 * layers: OCI image specification 1.1, layer.md.
 */
#ifndef IMAGE_TREE_H
#define IMAGE_TREE_H

#include "base/buf.h"

enum {
    TREE_PATH_MAX = 4000,   /* bytes; with the prefix within the kernel's PATH_MAX */
    TREE_NAME_MAX = 255,    /* of one component */
    TREE_TARGET_MAX = 4095, /* of a symbolic link: the kernel reads no longer one */
    TREE_MODE_BITS = 07777,
    TREE_NODES_DEFAULT = 500000,
};

enum tree_kind {
    TREE_DIR,
    TREE_FILE,
    TREE_SYMLINK,
    /* In a layer only; tree_merge() and tree_finish() leave none. */
    TREE_HARDLINK, /* another name of the file at `bytes` */
    TREE_WHITEOUT, /* this path is gone from the layers below */
    TREE_OPAQUE,   /* what the layers below have in this folder is gone */
};

/* Content of a file or the text of a link; shared by hard links. */
struct tree_bytes {
    size_t refs, len;
    uint8_t at[];
};

struct tree_node {
    char *path; /* "etc/passwd" */
    enum tree_kind kind;
    unsigned mode; /* permission bits and the three above them */
    uint32_t uid, gid;
    struct tree_bytes *bytes; /* NULL for a folder */
    size_t order;             /* of coming */
};

struct tree {
    struct tree_node *nodes;
    size_t n, cap, orders;
    size_t bytes;                /* contents, each hard-linked file once */
    size_t nodes_max, bytes_max; /* limits, counted over everything that was ever added */
};

/* A fault and where: `path` is the entry's, cut to fit. */
struct tree_why {
    const char *what; /* static text */
    char path[256];
};

#define TREE_INIT(max_nodes, max_bytes)                                                            \
    ((struct tree){ .nodes_max = (max_nodes), .bytes_max = (max_bytes) })
void tree_clear(struct tree *t);

/* One path as an archive gives it ("./a/b/", "a//b") in our form, appended to *out, which has to be
 * empty. ERR_MALFORMED: absolute, a "..", a NUL. ERR_LIMIT: too long. The root itself gives "". */
MUST_USE enum err tree_path_clean(struct span raw, struct buf *out, const char **what);

struct tree_add {
    struct span path; /* in our form: tree_path_clean() */
    enum tree_kind kind;
    unsigned mode;
    uint32_t uid, gid;
    struct span bytes; /* copied */
};
/* ERR_LIMIT: past nodes_max or bytes_max, or a link longer than TREE_TARGET_MAX; ERR_MALFORMED: the
 * root, or an empty link or one with a NUL; ERR_NOMEM. `why` may be NULL. */
MUST_USE enum err tree_add(struct tree *t, const struct tree_add *a, struct tree_why *why);

/* Put the layer `upper` on the finished tree *lower: whiteouts, opaque folders, replacements. The
 * result is in *lower, finished; *upper is emptied. ERR_MALFORMED: something stands below what is
 * not a folder; a hard link to what is not there, or not a file. On failure both are cleared. */
MUST_USE enum err tree_merge(struct tree *lower, struct tree *upper, struct tree_why *why);
/* The same for a tree that stands alone. */
MUST_USE enum err tree_finish(struct tree *t, struct tree_why *why);

/* In a finished tree; NULL: not there. */
const struct tree_node *tree_find(const struct tree *t, struct span path);
struct span tree_node_bytes(const struct tree_node *n);

#endif
