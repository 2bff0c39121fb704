/* hex.h - lower-case hexadecimal (RFC 4648 section 8, lower case out, both cases in). Not for
 * secrets: indexes by value. */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include "base/buf.h"

/* Append 2 * in.len digits. ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err hex_append(struct buf *out, struct span in);
/* Write 2 * in.len digits and a NUL into `out`, which has room for them. */
void hex_write(struct span in, char *out);
/* Append in.len / 2 bytes. ERR_MALFORMED: odd length or another character (then *out is as before).
 */
MUST_USE enum err hex_parse(struct span in, struct buf *out);

#endif
