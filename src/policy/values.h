/* values.h - inside policy: numbers, times and addresses as conditions compare them. */
#ifndef POLICY_VALUES_H
#define POLICY_VALUES_H

#include "base/span.h"

/* whole + nano / 10^9, nano from 0 to 999,999,999: also below zero. */
struct quantity {
    int64_t whole;
    uint32_t nano;
};
/* -1, 0, 1 */
int quantity_compare(struct quantity a, struct quantity b);

/* A decimal number: sign, up to 15 digits, up to 9 more behind a point. ERR_MALFORMED. */
MUST_USE enum err quantity_parse(struct span text, struct quantity *out);
/* Unix seconds, or ISO 8601 as the W3C's note has it: YYYY, YYYY-MM, YYYY-MM-DD, and with
 * Thh:mm, Thh:mm:ss, Thh:mm:ss.f and Z or +hh:mm behind. ERR_MALFORMED. */
MUST_USE enum err quantity_parse_time(struct span text, struct quantity *out);

struct network {
    unsigned family; /* 4 or 6 */
    uint8_t bytes[16];
    unsigned prefix; /* bits that count */
};
/* An address, or ADDRESS/PREFIX. ERR_MALFORMED. */
MUST_USE enum err network_parse(struct span text, struct network *out);
/* Is every address of `inner` in `outer`? */
bool network_contains(const struct network *outer, const struct network *inner);

#endif
