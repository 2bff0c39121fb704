/* esdk.h - the AWS Encryption SDK's message format, read and written as a stream.
 *
 * Pure: bytes in, bytes out; no file, no clock, no KMS. Sources: the Encryption SDK specification,
 * data-format/ and client-apis/ (sections below are those of its pages). Read: all eleven
 * algorithm suites, header versions 1 and 2, framed bodies and bodies of one block. Written: 0x0478
 * (unless told otherwise) and 0x0578, framed.
 *
 * Reading, in this order:
 *   1. esdk_decrypt_header() until it says ERR_OK. Nothing of the header is authenticated yet, but
 *      suite, policy, limits and the public key have been checked. The caller looks at the
 * encrypted data keys and the context, decides, and has one data key opened.
 *   2. esdk_decrypt_start() with that key: commitment and header tag hold now, and with them every
 *      field of the header.
 *   3. esdk_decrypt_step() gives the plaintext of one frame whose tag holds. The last frame of a
 *      signed message comes only after the signature was verified.
 *   4. esdk_decrypt_end() is the verdict, separate and final: only ERR_OK here says that the
 *      message was whole. Otherwise whatever was given out before has to be thrown away.
 *
 * Writing: esdk_encrypt_new() fixes the encryption context (for a signed suite with the public key
 * in it), which the caller gives to KMS for the data key; esdk_encrypt_start() writes the header,
 * esdk_encrypt_step() one frame, esdk_encrypt_end() the rest.
 *
 * After a failure an object gives nothing more: each later call returns the same error. Memory is
 * bounded by the limits: one header, one frame. An object is one thread's at a time, but may move.
 */
#ifndef ESDK_ESDK_H
#define ESDK_ESDK_H

#include "base/buf.h"
#include "crypto/crypto.h"
#include "crypto/esig.h"

/* ---- suites (framework/algorithm-suites.md) ---- */

enum {
    ESDK_SUITE_COMMITTING = 0x0478, /* AES-256-GCM, HKDF-SHA-512, key commitment */
    ESDK_SUITE_SIGNED = 0x0578,     /* the same, and ECDSA P-384 */
    ESDK_FRAME_LENGTH_DEFAULT = 4096,
    ESDK_SUITE_NAME_BYTES = 56,
    ESDK_COMMITMENT_BYTES = 32,
};

struct esdk_suite {
    uint16_t id;
    uint8_t version;   /* of the header: 1 or 2 */
    uint8_t key_bytes; /* of the data key: 16, 24, 32 */
    bool derives;      /* the data key is not the encryption key itself */
    bool commits;
    bool signs;
    enum esig_curve curve;            /* where it signs */
    char name[ESDK_SUITE_NAME_BYTES]; /* as AWS writes it: "AES_256_GCM_..." */
};

/* NULL: there is no such suite. */
const struct esdk_suite *esdk_suite_find(unsigned id);

/* framework/commitment-policy.md. The zero value is the strictest. */
enum esdk_policy {
    ESDK_REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
    ESDK_REQUIRE_ENCRYPT_ALLOW_DECRYPT,
    ESDK_FORBID_ENCRYPT_ALLOW_DECRYPT,
};

bool esdk_policy_reads(enum esdk_policy policy, const struct esdk_suite *suite);
bool esdk_policy_writes(enum esdk_policy policy, const struct esdk_suite *suite);

/* Each member 0: the default in brackets. What is checked is what a message claims, before anything
 * of that size is allocated. Memory for one message: header_bytes, and the frame or block. */
struct esdk_limits {
    size_t header_bytes;  /* [65,536] the whole header */
    size_t context_bytes; /* [8,192] the serialised encryption context */
    unsigned pairs;       /* [128] of the encryption context; unsorted ones cost their square */
    unsigned keys;        /* [8] encrypted data keys; 65,535: as many as the format has */
    size_t frame_bytes;   /* [1 MiB] the frame length */
    size_t block_bytes;   /* [1 MiB] a body of one block, which is released only whole */
};

/* ---- encryption context and encrypted data keys ---- */

struct esdk_pair {
    struct span key, value; /* UTF-8 */
};

/* framework/structures.md, encrypted data key. From KMS: provider "aws-kms", info the key's ARN. */
struct esdk_key {
    struct span provider; /* UTF-8 */
    struct span info, ciphertext;
};

/* The one name that is written by this module and not by callers; all that begin "aws-crypto-" are
 * reserved. */
#define ESDK_PUBLIC_KEY_NAME "aws-crypto-public-key"

/* Walk over a parsed header's pairs or keys: start with `rest` = header.context or header.keys.
 * False: there are no more. The spans point into what `rest` pointed into. */
bool esdk_pair_next(struct span *rest, struct esdk_pair *out);
bool esdk_key_next(struct span *rest, struct esdk_key *out);

/* Append the canonical serialisation of `pairs` (without the length before it): sorted by the bytes
 * of the key; none is no bytes. Any name is taken here. ERR_MALFORMED: not UTF-8, or a key twice.
 * ERR_LIMIT: more than 65,535 pairs or bytes. ERR_NOMEM. */
MUST_USE enum err esdk_context_write(const struct esdk_pair *pairs, size_t n, struct buf *out,
                                     struct why *why);

/* ---- header (data-format/message-header.md) ---- */

/* Spans point into what was parsed. */
struct esdk_header {
    const struct esdk_suite *suite;
    struct span message_id; /* 16 bytes in version 1, 32 in version 2 */
    struct span context;    /* pairs after their count, as received (perhaps not sorted) */
    struct span public_key; /* value of ESDK_PUBLIC_KEY_NAME; absent in unsigned suites */
    struct span keys;       /* encrypted data keys after their count */
    unsigned n_pairs, n_keys;
    bool framed;
    uint32_t frame_length;  /* 0: one block */
    struct span commitment; /* 32 bytes in version 2; else empty */
    struct span body;       /* all of the above: what the tag covers */
    struct span iv;         /* version 1: the 12 stored bytes; else empty */
    struct span tag;
    size_t bytes; /* of the header with its tag: the message's body starts there */
};

/* One header at the start of `in`; more may follow. No key, no policy, nothing verified: for
 * `inspect`. ERR_MORE: `in` ends too early, and *need (which may be NULL) is the least number of
 * bytes with which to try again. ERR_MALFORMED, ERR_UNSUPPORTED (version, suite, base64 text),
 * ERR_LIMIT; why->at is the offset. *out untouched on failure. */
MUST_USE enum err esdk_header_parse(struct span in, const struct esdk_limits *limits,
                                    struct esdk_header *out, size_t *need, struct why *why);

/* ---- frames (data-format/message-body.md) ---- */

enum {
    ESDK_FRAME_HEAD_MAX_BYTES = 24,
    ESDK_TAG_BYTES = 16,
    ESDK_FOOTER_HEAD_BYTES = 2, /* then the signature */
};
enum esdk_frame_kind { ESDK_FRAME_REGULAR, ESDK_FRAME_FINAL, ESDK_FRAME_BLOCK };

struct esdk_frame {
    enum esdk_frame_kind kind;
    uint32_t sequence; /* from 1; one block: 1 */
    struct span iv;    /* 12 bytes, in what was parsed */
    uint64_t length;   /* of the ciphertext; the tag follows it */
    size_t head_bytes; /* of what stands before the ciphertext */
};

/* What stands before a frame's ciphertext, for walking a message without a key. `sequence`: the
 * number that has to come. ERR_MORE (as above), ERR_MALFORMED, ERR_LIMIT. */
MUST_USE enum err esdk_frame_parse(const struct esdk_header *header, uint32_t sequence,
                                   struct span in, struct esdk_frame *out, size_t *need,
                                   struct why *why);

/* ---- reading (client-apis/decrypt.md) ---- */

struct esdk_decrypt;

struct esdk_decrypt_options {
    struct esdk_limits limits;
    enum esdk_policy policy;
    bool unsigned_only; /* refuse signing suites: for callers that use plaintext before the end */
};

/* ERR_NOMEM. */
MUST_USE enum err esdk_decrypt_new(const struct esdk_decrypt_options *options,
                                   struct esdk_decrypt **out);
void esdk_decrypt_free(struct esdk_decrypt *d); /* wipes; NULL is fine */
void esdk_decrypt_freep(struct esdk_decrypt **d);

/* Takes header bytes from the front of *in, never more. ERR_OK: *header lives as long as `d`.
 * ERR_MORE: all of *in was taken, give more. ERR_UNSUPPORTED: also what the policy refuses;
 * ERR_MALFORMED: also a public key that is missing, superfluous or no point; ERR_LIMIT; ERR_CRYPTO,
 * ERR_NOMEM. why->at is here and below the offset in the message. */
MUST_USE enum err esdk_decrypt_header(struct esdk_decrypt *d, struct crypto *cx, struct span *in,
                                      const struct esdk_header **header, struct why *why);

/* The message's context together with pairs that the caller requires: canonical, without a length,
 * appended to `out`; this is the context for KMS and raw keyrings. A required pair that the header
 * does not carry must have been authenticated without being stored (newer SDKs can do that), which
 * esdk_decrypt_start() finds out. ERR_VERIFY: the message has another value under a required key.
 * ERR_MALFORMED: pairs that are not UTF-8 or twice. ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err esdk_context_full(const struct esdk_header *header,
                                    const struct esdk_pair *required, size_t n, struct buf *out,
                                    struct why *why);

/* With the plaintext data key (header.suite->key_bytes long) and the pairs given to
 * esdk_context_full(). ERR_VERIFY: commitment, header tag or a required pair does not hold; also a
 * key of another length, the one failure after which another key may be tried. ERR_INTERNAL: not
 * after the header. ERR_CRYPTO, ERR_NOMEM, and those of esdk_context_full(). */
MUST_USE enum err esdk_decrypt_start(struct esdk_decrypt *d, struct crypto *cx,
                                     const struct secret *data_key,
                                     const struct esdk_pair *required, size_t n, struct why *why);

/* Takes bytes from the front of *in. ERR_OK: *plain is the authenticated plaintext of one frame,
 * never empty; it lives until the next call with `d`. Call again with what is left of *in, even
 * when that is nothing. ERR_MORE: all of *in was taken; *plain is empty. Plaintext is decrypted
 * straight out of *in, so nothing is copied. ERR_VERIFY: a tag or the signature; ERR_MALFORMED:
 * also bytes after the end; ERR_LIMIT, ERR_CRYPTO, ERR_NOMEM. */
MUST_USE enum err esdk_decrypt_step(struct esdk_decrypt *d, struct span *in, struct span *plain,
                                    struct why *why);

/* The same, but the plaintext is appended to `out`; that of a frame which is whole in *in comes to
 * stand there at once, and counts once its tag holds. Another error: ERR_LIMIT, ERR_NOMEM of `out`;
 * after any error nothing was appended. */
MUST_USE enum err esdk_decrypt_step_to(struct esdk_decrypt *d, struct span *in, struct buf *out,
                                       struct why *why);

/* The input is at its end. ERR_OK: the message is whole and, if its suite signs, its signature
 * holds. ERR_MALFORMED: cut off; or the error of an earlier failure. */
MUST_USE enum err esdk_decrypt_end(struct esdk_decrypt *d, struct why *why);

/* ---- writing (client-apis/encrypt.md) ---- */

struct esdk_encrypt;

/* Where the message id comes from. */
struct esdk_random {
    enum err (*fill)(void *arg, uint8_t *out, size_t len); /* NULL: rng_bytes() */
    void *arg;
};

struct esdk_encrypt_options {
    unsigned suite;        /* 0: ESDK_SUITE_COMMITTING; no other than that and ESDK_SUITE_SIGNED */
    uint32_t frame_length; /* 0: ESDK_FRAME_LENGTH_DEFAULT; at most limits.frame_bytes */
    enum esdk_policy policy;
    struct esdk_limits limits;       /* block_bytes means nothing here */
    const struct esdk_pair *context; /* in any order */
    size_t n_pairs;
    uint64_t plaintext_max; /* bytes; 0: none. For callers that announced a length */
    /* For a signed suite: a P-384 key that outlives the object (a cache entry's); NULL: a new one.
     */
    const struct esig_key *signing_key;
    struct esdk_random random;
};

/* Names no option after it returned. ERR_UNSUPPORTED: suite, or not under this policy.
 * ERR_MALFORMED: context not UTF-8, a key twice, or a reserved name. ERR_LIMIT. ERR_INTERNAL: the
 * signing key does not go with the suite. ERR_CRYPTO, ERR_NOMEM. */
MUST_USE enum err esdk_encrypt_new(struct crypto *cx, const struct esdk_encrypt_options *options,
                                   struct esdk_encrypt **out, struct why *why);
void esdk_encrypt_free(struct esdk_encrypt *e); /* wipes; NULL is fine */
void esdk_encrypt_freep(struct esdk_encrypt **e);

const struct esdk_suite *esdk_encrypt_suite(const struct esdk_encrypt *e);
/* The full context for KMS, pairs after their count (esdk_pair_next()); and the same with the
 * count, as raw keyrings authenticate it: empty for none. They live as long as `e`. */
struct span esdk_encrypt_pairs(const struct esdk_encrypt *e);
struct span esdk_encrypt_context(const struct esdk_encrypt *e);

/* With a data key of suite->key_bytes and at least one encrypted data key. *out is the header, and
 * lives as long as `e`. ERR_LIMIT: too many keys, or a field or the header too long. ERR_MALFORMED:
 * a provider that is not UTF-8, a data key of another length, no key. ERR_CRYPTO, ERR_NOMEM. */
MUST_USE enum err esdk_encrypt_start(struct esdk_encrypt *e, struct crypto *cx,
                                     const struct secret *data_key, const struct esdk_key *keys,
                                     size_t n, struct span *out, struct why *why);

/* Takes plaintext from the front of *in. ERR_OK: *out is one frame; it lives until the next call
 * with `e`. ERR_MORE: all of *in was taken; *out is empty. A frame's plaintext that comes in one
 * piece is encrypted straight out of *in; in several, each is copied once. ERR_LIMIT: more than
 * plaintext_max, or than 2^32-2 frames. */
MUST_USE enum err esdk_encrypt_step(struct esdk_encrypt *e, struct span *in, struct span *out,
                                    struct why *why);

/* The same, but the frame is made at the end of `out`, where nothing has to be copied. Another
 * error: ERR_LIMIT, ERR_NOMEM of `out`; nothing was appended then. */
MUST_USE enum err esdk_encrypt_step_to(struct esdk_encrypt *e, struct span *in, struct buf *out,
                                       struct why *why);

/* *out is the final frame, with the footer where the suite signs. A plaintext that ends on a frame
 * gets an empty final frame, as AWS's own SDKs write it. ERR_CRYPTO, ERR_NOMEM. */
MUST_USE enum err esdk_encrypt_end(struct esdk_encrypt *e, struct span *out, struct why *why);

#endif
