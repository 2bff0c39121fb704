/* stream_in.h - inside a stream: its state, shared by stream.c (input, work, keys) and
 * stream_answer.c (answer, end). */
#ifndef BIN_NITROSEALD_STREAM_IN_H
#define BIN_NITROSEALD_STREAM_IN_H

#include "bin/nitroseald/service.h"
#include "enclave/message.h"

enum {
    PARTS_MAX = 32,        /* chunks of one piece */
    IN_MAX = 256 * 1024,   /* of a piece, and of the next one behind it */
    UNSENT_MAX = 1 << 20,  /* of answers that the client has not taken */
    CHUNK_HEAD_BYTES = 10, /* eight digits, CRLF */
    HEADERS_MAX = 9 + API_PAIRS_MAX,
    HEAD_MAX = 65536,
    BLOB_MAX = 6144,
    OUT_MORE = 4096,           /* that a piece grows by, as a rule */
    INLINE_MAX = 16384,        /* bytes that are sealed or opened on the loop, */
    INLINE_ALONE_MAX = IN_MAX, /* and where nobody else is served */
    INLINE_FRAME_MIN = 4096,   /* shorter frames cost more a byte */
    SUITE_TEXT_BYTES = 16,
    STREAM_BYTES = 2 << 20, /* what one takes, for the sum of what is in memory */
};

struct stream {
    struct client *cl;
    struct message *m;
    struct http1_body reader;
    struct buf in; /* the piece; its contents are parts[at] ... */
    struct span parts[PARTS_MAX];
    unsigned n_parts, at;
    bool input_is_over; /* nothing follows the last part */
    struct buf out;
    enum err result;
    bool is_working, has_key_task, has_answered, is_noted;
    struct enclave_key_ticket ticket; /* of a key that may be kept once it has proved itself */
    struct secret proving;
    struct buf proving_blob;
    unsigned suite_asked, frame_asked;
    uint64_t length; /* of the body, or ENCLAVE_BYTES_UNKNOWN */
    uint64_t bytes_in, bytes_out, born_ns;
    char id[ENCLAVE_ID_BYTES];
};

/* stream_answer.c */
/* The worker's output as one chunk, after the head if that is still to be sent. */
MUST_USE enum err stream_send_piece(struct stream *st);
/* The message is whole: last chunk and trailer. Ends the call. */
void stream_finish(struct stream *st);
/* A problem document, or an answer that stays unfinished. Ends the call. */
void stream_fail(struct stream *st, const struct proto_error *e);
/* The audit line: who opened what under which key, and how it ended. One for each message: what
 * comes after the first is its consequence. */
void stream_note_end(struct stream *st, const char *code, const char *detail);

#endif
