/* Text that somebody else wrote, made safe to show. */
#include "bin/nitroseal/fault.h"

/* A control character at `p`, one of UTF-8 that is `n` bytes long: C0, DEL, or C1 (U+0080 to
 * U+009F). */
static bool is_control(const uint8_t *p, size_t n)
{
    return n == 1 ? p[0] < 0x20 || p[0] == 0x7f : n == 2 && p[0] == 0xc2 && p[1] < 0xa0;
}

void cli_append_clean(struct buf *out, struct span text)
{
    enum err r = ERR_OK;

    /* What is no UTF-8 is none in JSON either, and to a terminal of eight bits it may be C1. */
    for (size_t i = 0; i < text.len && r == ERR_OK;) {
        size_t n = span_utf8_sequence(span_from(text, i));
        bool plain = n > 0 && !is_control(text.ptr + i, n);
        r = plain ? buf_append(out, span_sub(text, i, n)) : buf_append_byte(out, '?');
        i += n ? n : 1;
    }
    /* A message past its limit is cut: still the best there is to show. */
}
