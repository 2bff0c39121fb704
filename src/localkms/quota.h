/* quota.h - a request quota as KMS has them: so many calls a second, with bursts of at most one
 * second's worth. Source: kms-recipient reference section 6 (the calling account is throttled). */
#ifndef LOCALKMS_QUOTA_H
#define LOCALKMS_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

struct quota {
    uint32_t per_s; /* 0: no limit */
    uint64_t left;  /* thousandths of a call */
    int64_t at_ms;  /* when `left` was right */
};

/* `now_ms` may step back: nothing is gained then. */
struct quota quota_init(uint32_t per_s, int64_t now_ms);
/* False: this call is one too many. */
bool quota_take(struct quota *q, int64_t now_ms);

#endif
