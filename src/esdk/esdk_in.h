/* esdk_in.h - what the files of this folder share. */
#ifndef ESDK_ESDK_IN_H
#define ESDK_ESDK_IN_H

#include "crypto/gcm.h"
#include "crypto/mac.h"
#include "esdk/esdk.h"

enum {
    VERSION_1 = 0x01,
    VERSION_2 = 0x02,
    TYPE_CUSTOMER_AED = 0x80, /* the one type of version 1 */
    CONTENT_BLOCK = 0x01,
    CONTENT_FRAMED = 0x02,
    ID_V1_BYTES = 16,
    ID_V2_BYTES = 32,
    FIELD_MAX_BYTES = 0xffff, /* whatever has a length of two bytes */
    HEADER_FIXED_MAX_BYTES = 92,
    BODY_AAD_MAX_BYTES = ID_V2_BYTES + 35 + 4 + 8,
};

#define SEQUENCE_FINAL UINT32_C(0xffffffff) /* marks the final frame; and its largest number */

static inline void put16(uint8_t *p, size_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v & 0xffff);
}

static inline void put64(uint8_t *p, uint64_t v)
{
    put32(p, (uint32_t)(v >> 32));
    put32(p + 4, (uint32_t)v);
}

static inline unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static inline uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static inline uint64_t get64(const uint8_t *p)
{
    return (uint64_t)get32(p) << 32 | get32(p + 4);
}

/* With the defaults in place of zeros. */
struct esdk_limits limits_of(const struct esdk_limits *given);

/* The hash of the suite's key derivation. */
enum mac_alg suite_hash(const struct esdk_suite *suite);

/* Both of these are for data_key of suite->key_bytes. `commitment` is written in suites that
 * commit. *key untouched on failure. */
MUST_USE enum err keys_derive(struct crypto *cx, const struct esdk_suite *suite,
                              struct span message_id, const struct secret *data_key,
                              struct secret *key, uint8_t commitment[static ESDK_COMMITMENT_BYTES]);

/* data-format/message-body-aad.md: the bytes of a frame's additional data. */
size_t body_aad(struct span message_id, const struct esdk_frame *frame,
                uint8_t out[static BODY_AAD_MAX_BYTES]);

/* Is `key` in a walk over `pairs`? Then its value. */
bool pair_find(struct span pairs, struct span key, struct span *value);

/* The parts of a parsed context: *n pairs, their keys distinct. ERR_MALFORMED; `at` of why counts
 * from the start of `in`. */
MUST_USE enum err context_check(struct span in, unsigned *n, struct why *why);

/* The required pairs that the header does not carry, serialised for the header's tag: none is no
 * bytes. Errors as esdk_context_full(). */
MUST_USE enum err context_unstored(const struct esdk_header *header,
                                   const struct esdk_pair *required, size_t n, struct buf *out,
                                   struct why *why);

/* For tests: as if that many frames had gone by. */
void esdk_decrypt_skip_to(struct esdk_decrypt *d, uint32_t sequence);
void esdk_encrypt_skip_to(struct esdk_encrypt *e, uint32_t sequence);

#endif
