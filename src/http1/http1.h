/* http1.h - HTTP/1.1 messages, both directions, one reader for heads and one for bodies (RFC 9112).
 *
 * Strict: CRLF only, no folding, no bare CR, Content-Length and Transfer-Encoding never together,
 * one Content-Length, chunked last and alone, no whitespace before the colon, token characters in
 * names and methods. Views into the caller's bytes.
 */
#ifndef HTTP1_HTTP1_H
#define HTTP1_HTTP1_H

#include "base/buf.h"

enum { HTTP1_HEAD_MAX = 32768, HTTP1_HEADERS_MAX = 100 };

struct http1_header {
    struct span name, value;
}; /* value trimmed */

enum http1_framing { HTTP1_NO_BODY, HTTP1_LENGTH, HTTP1_CHUNKED, HTTP1_UNTIL_CLOSE };

struct http1_head {
    struct span method, target; /* request */
    unsigned status;            /* response */
    struct span reason;
    unsigned minor; /* HTTP/1.minor, 0 or 1 */
    struct http1_header headers[HTTP1_HEADERS_MAX];
    size_t n_headers;
    enum http1_framing framing;
    uint64_t content_length; /* of HTTP1_LENGTH */
    bool keep_alive;
    bool expect_continue;
    bool upgrade; /* asks for or switches to another protocol: what follows is not ours */
};

/* Parse the head at the start of `in`; *consumed is its length with the empty line. ERR_MORE: not
 * complete yet. ERR_MALFORMED, ERR_LIMIT. */
MUST_USE enum err http1_request_parse(struct span in, struct http1_head *out, size_t *consumed,
                                      struct why *why);
/* `head_request`: the response has no body whatever it says. */
MUST_USE enum err http1_response_parse(struct span in, bool head_request, struct http1_head *out,
                                       size_t *consumed, struct why *why);
/* First header of that name (case-insensitive), or the absent span. */
struct span http1_header_get(const struct http1_head *h, const char *name);

/* The body, as it comes. */
struct http1_body {
    enum http1_framing framing;
    uint64_t left;       /* of the length or of the current chunk */
    uint64_t total, max; /* content bytes so far and allowed */
    unsigned state;
    /* What the last http1_body_next() passed over, views into its `in`, else absent: the text after
     * the semicolon of a chunk's size; one trailer. Means nothing to most readers. */
    struct span extension;
    struct http1_header trailer;
};
struct http1_body http1_body_init(const struct http1_head *h, uint64_t max);
/* Take bytes from the start of `in`: *content is a view of what is content in the part taken (may
 * be empty), *consumed the part's length. ERR_OK with *done: finished. ERR_MORE: everything usable
 * is taken, more must come. ERR_LIMIT past max. ERR_MALFORMED. Call again after ERR_OK without
 * *done. */
MUST_USE enum err http1_body_next(struct http1_body *b, struct span in, struct span *content,
                                  size_t *consumed, bool *done, struct why *why);
/* What http1_body_next() takes next is a trailer line, checked for its form only, or the empty line
 * after the last: for who hands trailers on. */
bool http1_body_in_trailers(const struct http1_body *b);
/* The stream ended: ERR_OK only if the message may end here. */
MUST_USE enum err http1_body_eof(const struct http1_body *b);

/* Writers append. Names and values are checked (ERR_MALFORMED: CR, LF, NUL or a bad name; then *out
 * is as before). Content-Length is added unless it is among the headers or the message can have no
 * body. */
MUST_USE enum err http1_request_write(struct buf *out, struct span method, struct span target,
                                      const struct http1_header *h, size_t n, struct span body);
MUST_USE enum err http1_response_write(struct buf *out, unsigned status,
                                       const struct http1_header *h, size_t n, struct span body);

#endif
