/* test_layout.h - an OCI layout in memory, whose digests are right unless a test bends them. */
#ifndef IMAGE_TEST_LAYOUT_H
#define IMAGE_TEST_LAYOUT_H

#include <stdio.h>

#include "base/hex.h"
#include "image/oci.h"

enum { LAYOUT_FILES = 16, LAYOUT_ROOM = 1 << 20 };

struct layout {
    struct {
        char name[128];
        struct buf bytes;
    } files[LAYOUT_FILES];
    unsigned n;
};

static void layout_clear(struct layout *l)
{
    for (unsigned i = 0; i < l->n; i++)
        buf_clear(&l->files[i].bytes);
    l->n = 0;
}

static enum err layout_fetch(void *arg, const char *name, struct buf *out, struct tree_why *why)
{
    struct layout *l = (struct layout *)arg;

    for (unsigned i = 0; i < l->n; i++)
        if (strcmp(l->files[i].name, name) == 0)
            return buf_append(out, buf_view(&l->files[i].bytes));
    why->what = "not there";
    return ERR_IO;
}

/* A file of the layout; false: no room. */
static bool layout_put(struct layout *l, const char *name, struct span bytes)
{
    if (l->n == LAYOUT_FILES)
        return false;
    l->files[l->n].bytes = BUF_INIT(LAYOUT_ROOM);
    snprintf(l->files[l->n].name, sizeof l->files[0].name, "%s", name);
    return buf_append(&l->files[l->n++].bytes, bytes) == ERR_OK;
}

/* A blob; `descriptor` becomes its descriptor, with more members where `more` is not "". */
static bool layout_blob(struct layout *l, struct span bytes, const char *type, const char *more,
                        char *descriptor, size_t room)
{
    uint8_t sum[SHA256_BYTES];
    char hex[2 * SHA256_BYTES + 1], name[128];

    sha256(bytes, sum);
    hex_write(SPAN_ARRAY(sum), hex);
    snprintf(name, sizeof name, "blobs/sha256/%s", hex);
    snprintf(descriptor, room, "{\"mediaType\":\"%s\",\"digest\":\"sha256:%s\",\"size\":%zu%s}",
             type, hex, bytes.len, more);
    return layout_put(l, name, bytes);
}

#endif
