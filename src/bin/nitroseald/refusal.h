/* refusal.h - the answer to one request too many. Under overload it is the one that is given most
 * often, so it is written once; what is left then is a copy with the request's id in its two
 * places. */
#ifndef BIN_NITROSEALD_REFUSAL_H
#define BIN_NITROSEALD_REFUSAL_H

#include "api/api.h"

struct refusal {
    struct buf text;         /* 503 `busy` with its problem document, for a connection that stays */
    size_t id_at[2], id_len; /* header and member */
};

/* Says that too many requests run. */
extern const struct api_fault refusal_busy;

/* `id`: one that is formed as all of them are. ERR_NOMEM. */
MUST_USE enum err refusal_new(struct span id, struct refusal *out);
/* Append the answer to `out`. ERR_NOMEM, ERR_LIMIT; ERR_INTERNAL: the id has another length. */
MUST_USE enum err refusal_put(const struct refusal *r, struct span id, struct buf *out);
void refusal_clear(struct refusal *r);

#endif
