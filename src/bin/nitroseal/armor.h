/* armor.h - messages of the Encryption SDK as text: base64 between two lines, as RFC 7468 does it
 * for keys and certificates, so that a message survives mail, chat and YAML.
 *
 *     -----BEGIN AWS ENCRYPTION SDK MESSAGE-----
 *     (lines of 64 characters)
 *     -----END AWS ENCRYPTION SDK MESSAGE-----
 *
 * Read besides: the same base64 without the two lines, as `base64` and AWS's own command line write
 * it. Blanks and line ends may stand anywhere between characters; nothing else may stand before or
 * after. Pure, a piece at a time, constant memory. The armor proves nothing: that is the message's
 * own business.
 */
#ifndef BIN_NITROSEAL_ARMOR_H
#define BIN_NITROSEAL_ARMOR_H

#include "base/buf.h"

#define ARMOR_BEGIN "-----BEGIN AWS ENCRYPTION SDK MESSAGE-----"
#define ARMOR_END   "-----END AWS ENCRYPTION SDK MESSAGE-----"

enum {
    ARMOR_LINE_BYTES = 48,     /* 64 characters */
    ARMOR_EDGE_MAX_BYTES = 64, /* of a BEGIN or END line */
    INPUT_PEEK_BYTES = 256,    /* enough for input_kind_of() */
};

/* The zero value is a fresh writer. Both append; ERR_LIMIT, ERR_NOMEM. */
struct armor_out {
    uint8_t rest[ARMOR_LINE_BYTES];
    size_t n;
    bool begun;
};
MUST_USE enum err armor_put(struct armor_out *a, struct span data, struct buf *out);
MUST_USE enum err armor_finish(struct armor_out *a, struct buf *out);

/* The zero value is a fresh reader. */
struct armor_in {
    unsigned state;
    bool framed, padded, line_start;
    char carry[4];
    unsigned n_carry;
    char edge[ARMOR_EDGE_MAX_BYTES];
    unsigned n_edge;
    uint64_t at; /* characters taken */
};
/* Append the bytes that `text` brings, three of four characters at most. ERR_MALFORMED: why->at is
 * the offset in the whole text. ERR_LIMIT, ERR_NOMEM. Not to be used after a failure. */
MUST_USE enum err armor_take(struct armor_in *a, struct span text, struct buf *out,
                             struct why *why);
/* The text is at its end. ERR_MALFORMED: the armor is not. */
MUST_USE enum err armor_end(struct armor_in *a, struct why *why);

/* What a file may be, by its first bytes (up to INPUT_PEEK_BYTES; all where it has fewer). */
enum input_kind {
    INPUT_MESSAGE, /* of the Encryption SDK */
    INPUT_ARMOR,   /* the same as text */
    INPUT_TEXT,    /* other text: perhaps a seed message */
    INPUT_OTHER,
};
enum input_kind input_kind_of(struct span start);

#endif
