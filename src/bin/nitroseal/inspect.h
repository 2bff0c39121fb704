/* inspect.h - what a message of the Encryption SDK says of itself, without a key: its header, and
 * how its body is cut, walked frame by frame. Nothing of it is verified by that.
 *
 * Pure, a piece at a time; memory for one header. Limits are wide: a message that the service would
 * refuse can still be looked at.
 */
#ifndef BIN_NITROSEAL_INSPECT_H
#define BIN_NITROSEAL_INSPECT_H

#include "base/json.h"
#include "esdk/esdk.h"

enum { INSPECT_HEADER_MAX_BYTES = 1 << 20, INSPECT_PAIRS_MAX = 1024, INSPECT_KEYS_MAX = 65535 };

struct inspect {
    struct buf head;           /* the header's bytes */
    struct esdk_header header; /* views of `head`, once header_read */
    bool header_read;
    uint64_t bytes, frames, plaintext_bytes, signature_bytes;
    uint64_t last_frame_bytes;
    bool whole; /* to the end of the last frame or signature */

    /* where the walk is */
    unsigned state;
    size_t need;
    uint8_t small[ESDK_FRAME_HEAD_MAX_BYTES];
    size_t n_small;
    uint64_t skip;
    enum esdk_frame_kind kind;
};

void inspect_init(struct inspect *i);
void inspect_clear(struct inspect *i);
/* ERR_MALFORMED, ERR_UNSUPPORTED, ERR_LIMIT: why->at is the offset in the message; what was found
 * before stays there to be shown. ERR_NOMEM. Not to be used after a failure. */
MUST_USE enum err inspect_take(struct inspect *i, struct span in, struct why *why);
/* The input is at its end. ERR_MALFORMED: cut off. */
MUST_USE enum err inspect_end(struct inspect *i, struct why *why);

/* How a report begins and ends, where the caller knows more. */
struct inspect_report {
    bool armored;
    const char *fault; /* why it is not whole, or NULL */
    uint64_t fault_at;
};
/* One JSON object with a line feed, or lines for people (control characters replaced). Nothing but
 * `fault` where no header was read. ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err inspect_write_json(const struct inspect *i, const struct inspect_report *how,
                                     struct buf *out);
MUST_USE enum err inspect_write_text(const struct inspect *i, const struct inspect_report *how,
                                     struct buf *out);

/* The same of a seed message: lengths are all that it shows. Base64 texts. ERR_MALFORMED: a value
 * is not base64, or shorter than IV and tag. */
struct inspect_seed {
    size_t encrypted_bytes, plaintext_bytes, signature_bytes, ciphertext_blob_bytes;
};
MUST_USE enum err inspect_seed(struct span encrypted, struct span signature,
                               struct span ciphertext_blob, struct inspect_seed *out,
                               struct why *why);
MUST_USE enum err inspect_seed_write(const struct inspect_seed *s, bool json, struct buf *out);

#endif
