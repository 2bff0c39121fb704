/* percent.h - percent-encoding as queries and headers of the API have it. */
#ifndef API_PERCENT_H
#define API_PERCENT_H

#include "base/span.h"

/* Take one character off the front of *s, which is not empty. -1: '%' without two hex digits. A '+'
 * stays one: base64 has it, and nothing here has blanks. */
int percent_next(struct span *s);

#endif
