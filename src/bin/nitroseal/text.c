/* Text that somebody else wrote, made safe to show. */
#include "bin/nitroseal/fault.h"

/* Bytes that a character of its own control set takes at `p`: C0, DEL, or C1 (U+0080 to U+009F, two
 * bytes in UTF-8); 0: an ordinary byte. */
static size_t control_bytes(struct span s, size_t at)
{
    uint8_t c = s.ptr[at];

    if (c < 0x20 || c == 0x7f)
        return 1;
    if (c == 0xc2 && at + 1 < s.len && s.ptr[at + 1] >= 0x80 && s.ptr[at + 1] <= 0x9f)
        return 2;
    return 0;
}

void cli_append_clean(struct buf *out, struct span text)
{
    enum err r = ERR_OK;

    for (size_t i = 0; i < text.len && r == ERR_OK;) {
        size_t n = control_bytes(text, i);
        r = buf_append_byte(out, n ? '?' : text.ptr[i]);
        i += n ? n : 1;
    }
    /* A message past its limit is cut: still the best there is to show. */
}
