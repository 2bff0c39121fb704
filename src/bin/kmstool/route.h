/* route.h - inside the tool: the way to KMS, opened or used again. */
#ifndef BIN_KMSTOOL_ROUTE_H
#define BIN_KMSTOOL_ROUTE_H

#include "bin/kmstool/call.h"

enum { ROUTE_NAME_MAX_BYTES = 320 };

struct route {
    struct addr relay;
    struct buf server_name, host; /* what TLS proves; what the Host header says */
};
#define ROUTE_INIT                                                                                 \
    ((struct route){ .server_name = BUF_INIT(ROUTE_NAME_MAX_BYTES),                                \
                     .host = BUF_INIT(ROUTE_NAME_MAX_BYTES) })
void route_clear(struct route *r);
/* False after a line in `err`. */
MUST_USE bool route_find(const struct args *a, struct route *out, struct buf *err);
/* A connection in s->conn; *reused if it was there already. False after lines in `err`. */
MUST_USE bool route_open(struct session *s, const struct args *a, struct route *to,
                         uint64_t deadline_ns, bool *reused, struct buf *err);

#endif
