/* triple.h - the three values of a seed message as `encrypt` prints them, found again in a text.
 *
 * Two forms: a JSON object with members encrypted, signature, ciphertext_blob (others ignored), or
 * lines ENCRYPTED=, SIGNATURE=, CIPHERTEXT_BLOB= (other lines ignored, so what kms-client printed
 * works as it is). Pure; says nothing about the values but that they are there, once.
 */
#ifndef BIN_NITROSEAL_TRIPLE_H
#define BIN_NITROSEAL_TRIPLE_H

#include "base/json.h"

struct triple { /* base64 texts: views of the text, or of the scratch buf */
    struct span encrypted, signature, ciphertext_blob;
};

/* ERR_MALFORMED: why->what names what is missing or comes twice. ERR_LIMIT, ERR_NOMEM: scratch.
 * *out is untouched on failure. */
MUST_USE enum err triple_parse(struct span text, struct buf *scratch, struct triple *out,
                               struct why *why);

/* Append the three lines. ERR_MALFORMED: a value has characters that base64 does not, as the end of
 * a line; nothing is appended. ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err triple_write(struct buf *out, const struct triple *t);

#endif
