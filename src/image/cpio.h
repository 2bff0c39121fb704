/* cpio.h - ramdisks: cpio archives of the "newc" form, uncompressed.
 *
 * Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst and init/initramfs.c. An
 * archive begins at a multiple of four bytes, so its length is one: the kernel sees all ramdisks of
 * an image behind each other. Nothing of the machine that writes gets in: no time, no device, inode
 * numbers counted from 1.
 */
#ifndef IMAGE_CPIO_H
#define IMAGE_CPIO_H

#include "image/tree.h"

enum { CPIO_HEADER_BYTES = 110, CPIO_NAME_MAX = 4096 };

struct cpio_out {
    struct buf *out;
    enum err err;
    uint32_t inode;
};

struct cpio_out cpio_out_init(struct buf *out);
/* A finished tree, every path below `prefix` ("" or "rootfs"; the prefix itself is the caller's to
 * write). Hard links stay links: the first name has the bytes. */
void cpio_out_tree(struct cpio_out *w, const struct tree *t, const char *prefix);
void cpio_out_dir(struct cpio_out *w, const char *name, unsigned mode);
void cpio_out_file(struct cpio_out *w, const char *name, unsigned mode, struct span bytes);
/* The trailer. ERR_LIMIT: past the buf's maximum, or a file of 4 GiB; ERR_NOMEM. */
MUST_USE enum err cpio_out_end(struct cpio_out *w);

struct cpio_entry {
    struct span name; /* without its NUL */
    uint32_t inode, mode, uid, gid, nlink, mtime;
    struct span data;
};
struct cpio_in {
    struct span in;
    size_t pos;
};

static inline struct cpio_in cpio_in_init(struct span in)
{
    return (struct cpio_in){ .in = in };
}
/* The next entry; *end is true, and *out as before, at the trailer, behind which only zero bytes
 * may stand. Spans point into the input. ERR_MALFORMED: not this form, cut short, a name that is
 * empty, absolute or has a "..". */
MUST_USE enum err cpio_next(struct cpio_in *c, struct cpio_entry *out, bool *end, struct why *why);

#endif
