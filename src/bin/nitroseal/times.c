#include "bin/nitroseal/times.h"

#include "base/rfc3339.h"

enum err times_parse(struct span text, int64_t *unix_s)
{
    static const uint64_t last = 253402300799; /* 9999-12-31T23:59:59Z */
    uint64_t seconds = 0;

    if (span_to_u64(text, last, &seconds) != ERR_OK)
        return rfc3339_parse_plain(text, unix_s);
    *unix_s = (int64_t)seconds;
    return ERR_OK;
}
