#include "bin/nitroseal/times.h"

#include <stdio.h>

#include "sigv4/sigv4.h"

/* SigV4's basic form has the same fields without the punctuation. */
void times_write(int64_t unix_s, char out[static TIMES_BYTES])
{
    char t[SIGV4_TIME_BYTES + 1];

    sigv4_time_write(unix_s, t);
    snprintf(out, TIMES_BYTES, "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", t, t + 4, t + 6, t + 9, t + 11,
             t + 13);
}

enum err times_parse(struct span text, int64_t *unix_s)
{
    static const char form[] = "dddd-dd-ddTdd:dd:ddZ";
    char basic[SIGV4_TIME_BYTES];
    size_t n = 0;
    uint64_t seconds = 0;

    if (span_to_u64(text, TIMES_MAX_S, &seconds) == ERR_OK) {
        *unix_s = (int64_t)seconds;
        return ERR_OK;
    }
    if (text.len != sizeof form - 1)
        return ERR_MALFORMED;
    for (size_t i = 0; i < text.len; i++) {
        bool digit = text.ptr[i] >= '0' && text.ptr[i] <= '9';
        if (form[i] == 'd' ? !digit : text.ptr[i] != (uint8_t)form[i])
            return ERR_MALFORMED;
        if (form[i] != '-' && form[i] != ':')
            basic[n++] = (char)text.ptr[i];
    }
    return sigv4_time_parse(span_of(basic, n), unix_s);
}
