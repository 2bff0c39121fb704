/* canonical.h - the canonical request over a choice of headers. Private to this folder.
 *
 * Source: sigv4 reference section 1. The path is URI-encoded and, unless `keep_path`, freed of dot
 * segments and empty segments; escapes in the query stay as sent. */
#ifndef SIGV4_CANONICAL_H
#define SIGV4_CANONICAL_H

#include "sigv4/sigv4.h"

/* Indices into rq->headers, by lower-case name; those of one name in the order received. */
struct selection {
    uint16_t at[SIGV4_HEADERS_MAX];
    size_t n;
};

/* Put one more header in its place. ERR_LIMIT: there are SIGV4_HEADERS_MAX already. */
MUST_USE enum err selection_add(struct selection *sel, const struct sigv4_request *rq, size_t at);
/* "content-type;host;x-amz-date": each name once. Appends. */
MUST_USE enum err selection_names(const struct selection *sel, const struct sigv4_request *rq,
                                  struct buf *out);
/* Append the canonical request; nothing is appended on failure. */
MUST_USE enum err canonical_write(const struct sigv4_request *rq, const struct selection *sel,
                                  struct buf *out);

/* The one header of that name (lower case), or the absent span if there is none or more than one.
 */
struct span header_only(const struct sigv4_request *rq, const char *name);

#endif
