/* stream.h - the endpoints of messages, from the client's side: the head of a request, and the
 * answer as it comes. Pure.
 *
 * An answer is one of three things, and only the first is a whole message or text: a stream of
 * chunks that ended with its last chunk and the trailer "Nitroseal-Result: ok"; a stream that did
 * not, whatever came of it; a problem document (RFC 9457). A 200 without that trailer is the
 * second, so that nothing between here and the enclave can make a part pass for the whole.
 */
#ifndef BIN_NITROSEAL_STREAM_H
#define BIN_NITROSEAL_STREAM_H

#include "base/json.h"
#include "esdk/esdk.h"
#include "http1/http1.h"
#include "proto/proto.h"

enum {
    STREAM_PAIRS_MAX = 64,         /* each kind: the service's own limit */
    STREAM_HEAD_MAX_BYTES = 65536, /* of an answer */
    STREAM_PROBLEM_MAX_BYTES = 65536,
    STREAM_CODE_MAX_BYTES = 64,
    STREAM_LINE_MAX_BYTES = 16384, /* the reader's own limits come first */
};

enum stream_op { STREAM_ENCRYPT, STREAM_DECRYPT, STREAM_REWRAP };

struct stream_request {
    enum stream_op op;
    const struct esdk_pair *context, *required; /* at most STREAM_PAIRS_MAX each */
    size_t n_context, n_required;
    const char *suite;     /* "0x0478", or NULL */
    uint64_t frame_length; /* 0: not said */
    const char *key_id;    /* or NULL */
    bool has_length;
    uint64_t length; /* of the body; without: chunks */
};
/* "NAME=VALUE" cut at its first '='. ERR_MALFORMED: none, no name, not UTF-8, or a name that the
 * format keeps for itself. */
MUST_USE enum err stream_pair_parse(struct span text, struct esdk_pair *out, struct why *why);
/* Append the head. ERR_MALFORMED: a key id that cannot stand in a header. ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err stream_request_write(const struct stream_request *q, struct buf *out);
/* RFC 3339 of a unix time, as PUT /v1/credentials takes it; "" for 0 (not known) or what no
 * calendar has. */
enum { STREAM_TIME_BYTES = 32 };
void stream_time_write(int64_t unix_s, char out[static STREAM_TIME_BYTES]);

struct stream_answer {
    struct buf head; /* bytes of the head */
    bool has_head;
    unsigned status;
    struct http1_body body;
    struct buf carry;                 /* the beginning of a line whose end has not come */
    struct buf problem;               /* of another status than 200 */
    bool is_over;                     /* the message of HTTP is complete */
    bool result_ok;                   /* with the trailer that says so */
    char code[STREAM_CODE_MAX_BYTES]; /* why a stream was broken off, as the service says; or "" */
    /* Of a stream's head, views of `head`; absent where it does not say. */
    struct span suite, key_id, request_id;
};
void stream_answer_init(struct stream_answer *a);
void stream_answer_clear(struct stream_answer *a);
/* Take what is there from the front of *in. ERR_OK: *content is a part of the stream, perhaps
 * empty: call again, unless is_over. ERR_MORE: all was taken. ERR_MALFORMED (not
 * HTTP, or bytes after its end), ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err stream_answer_take(struct stream_answer *a, struct span *in, struct span *content,
                                     struct why *why);
static inline bool stream_answer_is_good(const struct stream_answer *a)
{
    return a->is_over && a->status == 200 && a->result_ok;
}
/* A problem document's members as an answer of the seed protocol has them; none where it is no such
 * document. */
void stream_problem_parse(struct span body, struct proto_answer *out);

#endif
