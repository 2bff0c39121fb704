#include "bin/nitroseal/times.h"

#include "base/rfc3339.h"

enum err times_parse(struct span text, int64_t *unix_s)
{
    uint64_t seconds = 0;

    if (span_to_u64(text, RFC3339_LAST_S, &seconds) != ERR_OK)
        return rfc3339_parse_plain(text, unix_s);
    *unix_s = (int64_t)seconds;
    return ERR_OK;
}
