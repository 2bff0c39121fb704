/* stream.h - the endpoints of messages, from the client's side: the head of a request, and the
 * answer as it comes. Pure.
 *
 * An answer is one of three things, and only the first is a whole message or text: a stream of
 * chunks that ended with its last chunk and the trailer "Nitroseal-Result: ok"; a stream that did
 * not, whatever came of it; a problem document (RFC 9457). A 200 without that trailer is the
 * second, so that nothing between here and the enclave can make a part pass for the whole.
 */
#ifndef CLIENT_STREAM_H
#define CLIENT_STREAM_H

#include "client/client.h"

enum {
    CLIENT_STREAM_PAIRS_MAX = 64,         /* each kind: the service's own limit */
    CLIENT_STREAM_HEAD_MAX_BYTES = 65536, /* of an answer */
    CLIENT_STREAM_PROBLEM_MAX_BYTES = 65536,
    CLIENT_STREAM_CODE_MAX_BYTES = 64,
    CLIENT_STREAM_LINE_MAX_BYTES = 16384, /* the reader's own limits come first */
};

enum client_stream_op { CLIENT_STREAM_ENCRYPT, CLIENT_STREAM_DECRYPT, CLIENT_STREAM_REWRAP };

struct client_pair { /* of an encryption context */
    struct span name, value;
};
struct client_question {
    enum client_stream_op op;
    const struct client_pair *context, *required; /* at most CLIENT_STREAM_PAIRS_MAX each */
    size_t n_context, n_required;
    const char *suite;     /* "0x0478", or NULL */
    uint64_t frame_length; /* 0: not said */
    const char *key_id;    /* or NULL */
    bool has_length;
    uint64_t length; /* of the body; without: chunks */
};
/* ERR_MALFORMED: no name, one that the format keeps for itself, or not UTF-8. */
MUST_USE enum err client_pair_check(const struct client_pair *p, struct why *why);
/* "NAME=VALUE" cut at its first '=', and checked. ERR_MALFORMED. */
MUST_USE enum err client_pair_parse(struct span text, struct client_pair *out, struct why *why);
/* Append the head. ERR_MALFORMED: a key id that cannot stand in a header. ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err client_stream_write(const struct client_question *q, struct buf *out);
struct client_stream {
    struct buf head; /* bytes of the head */
    bool has_head;
    unsigned status;
    struct http1_body body;
    struct buf carry;                        /* the beginning of a line whose end has not come */
    struct buf problem;                      /* of another status than 200 */
    bool is_over;                            /* the message of HTTP is complete */
    bool keep_alive;                         /* the connection may be used again then */
    bool result_ok;                          /* with the trailer that says so */
    char code[CLIENT_STREAM_CODE_MAX_BYTES]; /* why a stream was broken off, as the service says; or
                                                "" */
    /* Of a stream's head, views of `head`; absent where it does not say. */
    struct span suite, key_id, request_id, content_type, retry_after;
};
void client_stream_init(struct client_stream *a);
void client_stream_clear(struct client_stream *a);
/* Take what is there from the front of *in. ERR_OK: *content is a part of the stream, perhaps
 * empty: call again, unless is_over. ERR_MORE: all was taken. ERR_MALFORMED (not
 * HTTP, or bytes after its end), ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err client_stream_take(struct client_stream *a, struct span *in, struct span *content,
                                     struct why *why);
static inline bool client_stream_is_good(const struct client_stream *a)
{
    return a->is_over && a->status == 200 && a->result_ok;
}
/* An answer of another status than 200, for client_problem_parse(). */
static inline struct client_refusal client_stream_refusal(const struct client_stream *a)
{
    return (struct client_refusal){ a->status, a->content_type, a->retry_after,
                                    buf_view(&a->problem) };
}

#endif
