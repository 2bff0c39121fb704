#include "localkms/quota.h"

enum { CALL = 1000, SECOND_MS = 1000 };

struct quota quota_init(uint32_t per_s, int64_t now_ms)
{
    return (struct quota){ .per_s = per_s, .left = (uint64_t)per_s * CALL, .at_ms = now_ms };
}

bool quota_take(struct quota *q, int64_t now_ms)
{
    uint64_t full = (uint64_t)q->per_s * CALL;

    if (q->per_s == 0)
        return true;
    uint64_t gone_ms = now_ms > q->at_ms ? (uint64_t)(now_ms - q->at_ms) : 0;
    if (gone_ms >= SECOND_MS)
        q->left = full;
    else
        q->left += gone_ms * q->per_s; /* thousandths: per_s calls in a second */
    if (q->left > full)
        q->left = full;
    q->at_ms = now_ms;
    if (q->left < CALL)
        return false;
    q->left -= CALL;
    return true;
}
