#include "bin/nitroseal/http_call.h"

#include "http1/http1.h"
#include "io/sys.h"

enum { PIECE_BYTES = 16384, SEND_MAX_BYTES = 2 << 20 };

void http_reply_clear(struct http_reply *r)
{
    buf_clear(&r->bytes);
    buf_clear(&r->content);
    r->body = r->request_id = SPAN_EMPTY;
}

struct session {
    int fd;
    struct tls *tls; /* NULL: plain */
    uint64_t deadline_ns;
};

static enum err flush(struct session *s, struct why *why)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(SEND_MAX_BYTES);
    enum err r = tls_drain(s->tls, &out);

    if (r != ERR_OK)
        return why_fail(why, r, "TLS", 0);
    return out.len ? fd_write_all(s->fd, buf_view(&out), s->deadline_ns, why) : ERR_OK;
}

/* Feed what comes next; *eof at the peer's end. */
static enum err feed(struct session *s, bool *eof, struct why *why)
{
    AUTO(buf_clear) struct buf in = BUF_INIT(PIECE_BYTES);
    struct why flushed = { 0 };
    enum err r = fd_read_some(s->fd, PIECE_BYTES, &in, eof, s->deadline_ns, why);

    if (r != ERR_OK || in.len == 0)
        return r;
    r = tls_feed(s->tls, buf_view(&in), why);
    enum err sent = flush(s, &flushed);
    return r != ERR_OK || sent == ERR_OK ? r : why_fail(why, sent, flushed.what, 0);
}

static enum err handshake(struct session *s, struct why *why)
{
    bool eof = false;
    enum err r = tls_start(s->tls);

    if (r != ERR_OK)
        return why_fail(why, r, "TLS", 0);
    r = flush(s, why);
    while (r == ERR_OK && !tls_is_open(s->tls)) {
        if (eof)
            return why_fail(why, ERR_IO, "closed during the TLS handshake", 0);
        r = feed(s, &eof, why);
    }
    return r;
}

static enum err send_all(struct session *s, struct span request, struct why *why)
{
    if (!s->tls)
        return fd_write_all(s->fd, request, s->deadline_ns, why);
    enum err r = tls_write(s->tls, request);
    return r == ERR_OK ? flush(s, why) : why_fail(why, r, "TLS", 0);
}

/* Append what comes next. With TLS only the peer's own goodbye is an end: anybody can cut a
 * connection. */
static enum err receive(struct session *s, struct buf *bytes, bool *eof, struct why *why)
{
    if (!s->tls)
        return fd_read_some(s->fd, PIECE_BYTES, bytes, eof, s->deadline_ns, why);
    bool cut = false;
    enum err r = feed(s, &cut, why);
    if (r == ERR_OK)
        r = tls_read(s->tls, bytes, why);
    *eof = r == ERR_OK && tls_is_closed(s->tls);
    if (r == ERR_OK && cut && !*eof)
        return why_fail(why, ERR_IO, "closed before the response was complete", 0);
    return r;
}

/* Is the whole response there? ERR_MORE: not yet. */
static enum err reply_parse(struct http_reply *reply, bool eof, struct why *why)
{
    struct http1_head head;
    size_t at = 0;
    enum err r = http1_response_parse(buf_view(&reply->bytes), false, &head, &at, why);

    if (r != ERR_OK)
        return r;
    struct http1_body b = http1_body_init(&head, HTTP_REPLY_MAX_BYTES);
    buf_reset(&reply->content);
    for (bool done = false; !done;) {
        struct span content;
        size_t used;
        r = http1_body_next(&b, span_from(buf_view(&reply->bytes), at), &content, &used, &done,
                            why);
        if (r == ERR_MORE && used == 0 && (!eof || http1_body_eof(&b) != ERR_OK))
            return ERR_MORE;
        done = done || (r == ERR_MORE && used == 0); /* it ends with the connection */
        if (r == ERR_OK || r == ERR_MORE)
            r = buf_append(&reply->content, content);
        if (r != ERR_OK)
            return r;
        at += used;
    }
    reply->status = head.status;
    reply->body = buf_view(&reply->content);
    reply->request_id = http1_header_get(&head, "x-amzn-requestid");
    return ERR_OK;
}

static enum err exchange(struct session *s, struct span request, struct http_reply *out,
                         struct why *why)
{
    bool eof = false;
    enum err r = send_all(s, request, why);

    while (r == ERR_OK) {
        r = receive(s, &out->bytes, &eof, why);
        if (r != ERR_OK)
            return r;
        enum err complete = reply_parse(out, eof, why);
        if (complete != ERR_MORE)
            return complete;
        if (eof)
            return why_fail(why, ERR_IO, "closed before the response was complete", 0);
    }
    return r;
}

enum err http_call(const struct http_server *server, struct span request, uint64_t deadline_ns,
                   struct http_reply *out, struct why *why)
{
    AUTO(tls_freep) struct tls *tls = NULL;
    AUTO(fd_close) int fd = -1;

    enum err r = server->tls ? tls_new(server->tls, server->name, &tls) : ERR_OK;
    if (r != ERR_OK)
        return why_fail(why, r, "TLS", 0);
    r = addr_connect(&server->at, deadline_ns, &fd, why);
    if (r != ERR_OK)
        return r;
    struct session s = { fd, tls, deadline_ns };
    r = tls ? handshake(&s, why) : ERR_OK;
    return r == ERR_OK ? exchange(&s, request, out, why) : r;
}
