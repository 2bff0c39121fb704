/* unpack.h - root file systems from tar archives, through libarchive: plain, gzip or zstd.
 *
 * Taken: folders, files, symbolic and hard links, with their permission bits and numeric owners.
 * Left out, since the init mounts over them: what is below dev, proc and sys. Refused: absolute
 * paths and "..", devices, pipes and sockets anywhere else, more than the tree's limits. Not kept:
 * times, extended attributes (so file capabilities).
 */
#ifndef IMAGE_UNPACK_H
#define IMAGE_UNPACK_H

#include "image/tree.h"

/* Add the entries to *t, unfinished. With `layer` names that begin with ".wh." are the marks of OCI
 * layers (image specification 1.1, layer.md), without it they are names. ERR_MALFORMED: not a tar
 * archive, cut short, an entry that is refused; ERR_LIMIT; ERR_NOMEM. */
MUST_USE enum err unpack_tree(struct span tar, bool layer, struct tree *t, struct tree_why *why);

/* The content of one file of a tar archive, "./" before its name or not, appended to *out. ERR_IO
 * "not in the archive"; ERR_LIMIT past the buf's maximum. */
MUST_USE enum err unpack_member(struct span tar, const char *name, struct buf *out,
                                struct tree_why *why);

/* Is the path one of those that the init mounts over, or below one: "dev/...", "proc/...",
 * "sys/..."? The folders themselves are not. */
bool unpack_is_mounted_over(struct span path);

#endif
