/* test_make.h - messages of every suite and form, written by the test and not by the module: from
 * the reference, field by field, so that a misreading would have to be made twice. */
#ifndef ESDK_TEST_MAKE_H
#define ESDK_TEST_MAKE_H

#include "crypto/gcm.h"
#include "esdk/esdk.h"
#include "testing/t.h"

enum { MADE_FRAMES_MAX = 16, MADE_MAX_BYTES = 1 << 20, ALL_SUITES = 11 };

extern const unsigned all_suites[ALL_SUITES];

struct make {
    unsigned suite;
    uint32_t frame_length; /* 0: one block */
    struct span plain;
    const struct esdk_pair
        *pairs; /* in the order of the message; the public key is put among them */
    size_t n_pairs;
    struct span unstored; /* serialised pairs for the header's tag only */
    bool empty_final;     /* where the plaintext ends on a frame */
    uint8_t iv_first;     /* of every stored IV: readers take them as they are */
};

struct made {
    struct buf bytes;
    size_t header_bytes, frame_at[MADE_FRAMES_MAX + 1], footer_at;
    unsigned frames;
};

/* The message id is 40 41 42 .. , the data key test_data_key(), two encrypted data keys. */
struct made make_message(struct crypto *cx, struct make m);
void made_clear(struct made *m);

/* 00 01 02 .., as long as the suite wants it. */
struct secret test_data_key(const struct esdk_suite *suite);
/* Plaintext that is nowhere like itself. */
struct buf test_plain(size_t n);
void put(struct buf *b, struct span s);
void put_be(struct buf *b, uint64_t v, unsigned bytes);
void put_counted(struct buf *b, struct span s);

/* How to read: pieces of at most `cut`; `key` NULL: test_data_key(). */
struct reading {
    const struct esdk_decrypt_options *options;
    const struct secret *key;
    const struct esdk_pair *required;
    size_t n_required, cut;
};

/* The verdict; appends what came out, whatever it is. Fails the test where a failure is not
 * sticky. */
enum err read_message(struct crypto *cx, struct reading how, struct span msg, struct buf *plain,
                      struct why *why);

#endif
