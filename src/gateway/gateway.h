/* gateway.h - HTTP between clients on the parent and services in enclaves: what a gateway decides.
 *
 * Pure: heads are written anew, bodies are framed anew, an enclave is chosen; sockets and time are
 * the caller's. Of a body nothing is looked at but where it ends, and of a refusal of the service
 * which one it is. Source: RFC 9110 section 7.6 (forwarding), RFC 9112 sections 6, 7 and 11.2
 * (smuggling): one reader decides the framing, and what leaves has exactly one.
 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "http1/http1.h"

enum {
    GATEWAY_HEAD_MAX_BYTES = 16384, /* of a request, as the service's own limit */
    GATEWAY_ENCLAVES_MAX = 64,
    GATEWAY_REFUSAL_MAX_BYTES = 8192, /* a problem document that is looked into */
    GATEWAY_RETRY_AFTER_S = 1,
};

/* A failure that the gateway answers itself; texts are static. */
struct gateway_fault {
    unsigned status;
    const char *code, *title, *detail;
    const char *allow; /* 405: value of Allow */
};

/* --- route.c: what a request is for --- */

enum gateway_place {
    GATEWAY_FORWARD, /* an enclave, whichever */
    GATEWAY_HEALTH,  /* our own */
    GATEWAY_METRICS,
    GATEWAY_ENCLAVE, /* one enclave's own health or metrics */
};

struct gateway_route {
    enum gateway_place place;
    struct span target; /* to be sent on */
    uint32_t cid;       /* GATEWAY_ENCLAVE */
    uint32_t port;      /* 0: not said */
};

/* ERR_DENIED with *fault: not for us, or not through us. Views into the head. */
MUST_USE enum err gateway_route(const struct http1_head *head, struct gateway_route *out,
                                struct gateway_fault *fault);

/* --- head.c: heads on their way --- */

/* Append the head that is sent to the enclave: `target` in place of its own. Hop-by-hop fields are
 * left out (RFC 9110 section 7.6.1), Via is added, the framing is the head's. ERR_LIMIT, ERR_NOMEM;
 * *out is as before then. */
MUST_USE enum err gateway_request_write(const struct http1_head *head, struct span target,
                                        struct buf *out);

/* Who gets an answer. */
struct gateway_client {
    unsigned minor;  /* HTTP/1.minor */
    bool head_only;  /* it asked with HEAD */
    bool keep_alive; /* the connection stays open after the answer */
};
/* How the answer's body is framed for that client. */
enum http1_framing gateway_answer_framing(const struct http1_head *head,
                                          const struct gateway_client *to);
/* Append the answer's head; the connection's end is announced where it comes. */
MUST_USE enum err gateway_answer_write(const struct http1_head *head,
                                       const struct gateway_client *to, struct buf *out);

/* --- stream.c: bodies on their way --- */

struct gateway_stream {
    struct http1_body in;
    enum http1_framing out;
    uint64_t bytes; /* of content so far */
    bool done;
    bool is_answer; /* may be taken back */
};
/* `out`: the framing that was written into the head. No limit: memory does not grow with it. */
struct gateway_stream gateway_stream_init(const struct http1_head *head, enum http1_framing out);
/* Bytes at the start of `in` that go out as they are; 0: gateway_stream_next() has to look. */
size_t gateway_stream_plain(const struct gateway_stream *s, struct span in);
/* They went. */
void gateway_stream_skip(struct gateway_stream *s, size_t n);
/* Take from `in` what is there, at most until `out` is full, and append it framed. *consumed of
 * `in` are dealt with in any case. ERR_OK: s->done, or out is full. ERR_MORE. ERR_MALFORMED: the
 * sender's framing is broken. ERR_NOMEM. ERR_DENIED, of an answer: the service takes it back
 * (doc/formats.md, "An answer that is not whole"). Its reason, a chunk's line without the chunk,
 * was appended if what leaves is chunked; nothing may follow it, and the connection has to end. */
MUST_USE enum err gateway_stream_next(struct gateway_stream *s, struct span in, struct buf *out,
                                      size_t *consumed, struct why *why);
/* The sender's connection ended: ERR_OK with s->done only if the body may end here; what ends it is
 * appended. ERR_MALFORMED: it was cut. */
MUST_USE enum err gateway_stream_eof(struct gateway_stream *s, struct buf *out);

/* --- problem.c --- */

/* Append a whole answer of our own: a problem document (RFC 9457) with Retry-After where the status
 * is 503. */
MUST_USE enum err gateway_problem_write(const struct gateway_fault *f,
                                        const struct gateway_client *to, struct buf *out);
/* Append a whole answer of ours with a text. */
MUST_USE enum err gateway_text_write(unsigned status, const char *type, struct span body,
                                     const struct gateway_client *to, struct buf *out);

/* What a 503 of the service means for us, by the code in its problem document. */
enum gateway_refusal {
    GATEWAY_REFUSAL_OTHER,
    GATEWAY_REFUSAL_BUSY,
    GATEWAY_REFUSAL_STOPPING,
    GATEWAY_REFUSAL_NO_CREDENTIALS,
    GATEWAY_REFUSAL_NO_DOCUMENT,
};
enum gateway_refusal gateway_refusal_parse(struct span body);

/* --- health.c: may an enclave be asked? --- */

enum {
    GATEWAY_RISE = 2, /* probes in a row that bring it back */
    GATEWAY_FALL = 2, /* and that take it out */
};

enum gateway_state { GATEWAY_UNKNOWN, GATEWAY_UP, GATEWAY_DOWN };

struct gateway_health {
    enum gateway_state state;
    unsigned good, bad; /* in a row */
};

enum gateway_sign {
    GATEWAY_PROBE_GOOD,
    GATEWAY_PROBE_BAD,
    GATEWAY_UNREACHABLE, /* a connect failed: nobody is there */
    GATEWAY_LEAVING,     /* it says that it stops */
};
/* True: the state has changed. */
bool gateway_health_note(struct gateway_health *h, enum gateway_sign sign);

/* When credentials that end at `expire_s` (unix; 0: not known) and were fetched at `now_s` are
 * fetched again: five minutes before, or after two thirds of a short life. */
int64_t gateway_refresh_at(int64_t now_s, int64_t expire_s);
/* Pause in ms before the next try after `failures` in a row (at least 1). */
uint64_t gateway_backoff_ms(unsigned failures);

/* --- choice.c --- */

struct gateway_candidate {
    bool usable;
    bool tried; /* for this request, and in vain */
    unsigned in_flight, max;
};
enum gateway_verdict {
    GATEWAY_CHOSEN,
    GATEWAY_WAIT, /* those that are usable have enough to do */
    GATEWAY_NONE, /* none is usable */
};
/* The one with the fewest requests in flight; ties go to the first one from `from` on. */
enum gateway_verdict gateway_choose(const struct gateway_candidate *c, size_t n, size_t from,
                                    size_t *chosen);

#endif
