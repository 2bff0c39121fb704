/* ber.h - a cursor over BER (X.690 section 8) as bounded as we need it: single-byte tags, lengths
 * definite (short, or long in up to four bytes, minimal or not) or indefinite. Private to this
 * folder.
 *
 * Sticky: after the first fault every call does nothing and gives empty spans. Nothing recurses:
 * whoever enters a constructed element keeps its frame and leaves it again. Faults: "end of input",
 * "tag", "length", "end of contents". */
#ifndef CMS_BER_H
#define CMS_BER_H

#include "base/span.h"

enum {
    BER_INTEGER = 0x02,
    BER_OCTET_STRING = 0x04,
    BER_NULL = 0x05,
    BER_OID = 0x06,
    BER_OCTET_STRING_PARTS = 0x24, /* constructed */
    BER_SEQUENCE = 0x30,
    BER_SET = 0x31,
    BER_CONTEXT_0 = 0x80,
    BER_CONTEXT_0_PARTS = 0xa0,
    BER_CONTEXT_1_PARTS = 0xa1,
};

struct ber {
    struct span in;
    size_t pos, limit; /* of the innermost element of definite length */
    enum err err;
    const char *what;
};

struct ber_frame {
    size_t outer_limit;
    bool indefinite;
};

struct ber ber_init(struct span in);
/* Is the next element of this tag? False at the end and after a fault. */
bool ber_peek(const struct ber *b, unsigned tag);
/* Content of the next element, which has to be primitive and of this tag. */
struct span ber_take(struct ber *b, unsigned tag);
/* Go into the next element, which has to be constructed and of this tag; and out again, which is a
 * fault before its end. */
struct ber_frame ber_enter(struct ber *b, unsigned tag);
void ber_leave(struct ber *b, struct ber_frame f);
/* Is there nothing left in the element entered last? Also true after a fault. */
bool ber_at_end(const struct ber *b, struct ber_frame f);
/* Set a fault of the caller's own at the current position, unless one is set. */
void ber_fail(struct ber *b, enum err r, const char *what);
/* The verdict: the first fault, or ERR_MALFORMED "trailing bytes", or ERR_OK. */
MUST_USE enum err ber_end(struct ber *b);

#endif
