/* page.h - inside localkms: Limit and Marker of the operations that list, and their answers.
 *
 * A marker is base64 of the last item's name, so that any name goes into one; to a client it is
 * opaque. One more item than asked for tells whether there are more.
 */
#ifndef LOCALKMS_PAGE_H
#define LOCALKMS_PAGE_H

#include "localkms/call.h"

struct page {
    unsigned limit, n; /* n: given so far */
    struct buf after;  /* decoded marker; empty: from the start */
    struct buf last;   /* name of the last one that was given */
    bool more;
};

#define PAGE_INIT ((struct page){ .after = BUF_INIT(2048), .last = BUF_INIT(2048) })
void page_clear(struct page *p);

/* Faults: ValidationException (limits of the model), InvalidMarkerException. */
MUST_USE enum err page_take(struct call *c, unsigned limit_default, unsigned limit_max,
                            struct page *p);
/* For a visitor: is there room for one more? Then its name is kept for the marker. */
MUST_USE enum err page_next(struct page *p, struct span name, bool *fits);
/* NextMarker, if there are more, and Truncated. */
MUST_USE enum err page_end(struct call *c, const struct page *p);

#endif
