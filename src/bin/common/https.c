#include "bin/common/https.h"

#include <poll.h>

#include "io/sys.h"

enum { PIECE_BYTES = 16384, OUT_MAX_BYTES = 2 << 20 };

void https_close(struct https *c)
{
    tls_freep(&c->tls);
    fd_close(&c->fd);
}

void https_answer_clear(struct https_answer *a)
{
    buf_clear(&a->bytes);
    buf_clear(&a->body);
    a->head.n_headers = 0;
}

static enum err flush(const struct https *c, uint64_t deadline_ns, struct why *why)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(OUT_MAX_BYTES);
    enum err r = tls_drain(c->tls, &out);

    if (r != ERR_OK)
        return why_fail(why, r, "TLS", 0);
    return out.len ? fd_write_all(c->fd, buf_view(&out), deadline_ns, why) : ERR_OK;
}

/* Feed what comes next; *eof at the peer's end. */
static enum err receive(const struct https *c, uint64_t deadline_ns, bool *eof, struct why *why)
{
    AUTO(buf_clear) struct buf in = BUF_INIT(PIECE_BYTES);
    struct why flushed = { 0 };
    enum err r = fd_read_some(c->fd, PIECE_BYTES, &in, eof, deadline_ns, why);

    if (r != ERR_OK || in.len == 0)
        return r;
    r = tls_feed(c->tls, buf_view(&in), why);
    enum err sent = flush(c, deadline_ns, &flushed); /* after a failure: the alert */
    return r != ERR_OK || sent == ERR_OK ? r : why_fail(why, sent, flushed.what, 0);
}

bool https_is_usable(const struct https *c)
{
    struct pollfd p = { .fd = c->fd, .events = POLLIN };
    AUTO(buf_clear) struct buf plain = BUF_INIT(1);
    bool eof = false;

    if (c->fd < 0)
        return false;
    while (tls_is_open(c->tls) && !tls_is_closed(c->tls) && poll(&p, 1, 0) > 0) {
        enum err r = receive(c, clock_mono_ns() + NS_PER_S, &eof, NULL);
        if (r == ERR_OK)
            r = tls_read(c->tls, &plain, NULL);
        if (r != ERR_OK || eof || plain.len > 0)
            return false;
    }
    return tls_is_open(c->tls) && !tls_is_closed(c->tls);
}

static enum err handshake(const struct https *c, uint64_t deadline_ns, struct why *why)
{
    bool eof = false;
    enum err r = tls_start(c->tls);

    if (r != ERR_OK)
        return why_fail(why, r, "TLS", 0);
    r = flush(c, deadline_ns, why);
    while (r == ERR_OK && !tls_is_open(c->tls)) {
        if (eof)
            return why_fail(why, ERR_IO, "closed during the TLS handshake", 0);
        r = receive(c, deadline_ns, &eof, why);
    }
    return r;
}

enum err https_open(const struct addr *at, struct tls_ctx *tls, const char *server_name,
                    uint64_t deadline_ns, struct https *out, struct why *why)
{
    AUTO(https_close) struct https c = HTTPS_CLOSED;

    enum err r = tls_new(tls, server_name, &c.tls);
    if (r != ERR_OK)
        return why_fail(why, r, "TLS", 0);
    r = addr_connect(at, deadline_ns, &c.fd, why);
    if (r == ERR_OK)
        r = handshake(&c, deadline_ns, why);
    if (r != ERR_OK)
        return r;
    *out = c;
    c = HTTPS_CLOSED;
    return ERR_OK;
}

/* One step of reading: what is decrypted goes to `plain`; if that is nothing, wait for more. */
static enum err read_more(const struct https *c, uint64_t deadline_ns, struct buf *plain, bool *eof,
                          struct why *why)
{
    size_t before = plain->len;

    enum err r = tls_read(c->tls, plain, why);
    while (r == ERR_OK && plain->len == before && !*eof && !tls_is_closed(c->tls)) {
        r = receive(c, deadline_ns, eof, why);
        if (r == ERR_OK)
            r = tls_read(c->tls, plain, why);
    }
    if (r == ERR_OK && plain->len == before)
        *eof = true;
    return r;
}

static enum err read_head(const struct https *c, uint64_t deadline_ns, struct https_answer *out,
                          size_t *used, bool *eof, struct why *why)
{
    for (;;) {
        enum err r = read_more(c, deadline_ns, &out->bytes, eof, why);
        if (r != ERR_OK)
            return r;
        if (*eof)
            return why_fail(why, ERR_IO, "closed before the response was complete", 0);
        r = http1_response_parse(buf_view(&out->bytes), false, &out->head, used, why);
        if (r != ERR_MORE)
            return r;
    }
}

/* Move what is content from the front of `in` to the body. */
static enum err take_body(struct http1_body *b, struct buf *in, struct buf *body, bool *done,
                          struct why *why)
{
    for (;;) {
        struct span content = SPAN_EMPTY;
        size_t used = 0;
        enum err r = http1_body_next(b, buf_view(in), &content, &used, done, why);
        if (r != ERR_OK && r != ERR_MORE)
            return r;
        if (buf_append(body, content) != ERR_OK)
            return why_fail(why, ERR_LIMIT, "response", 0);
        buf_consume(in, used);
        if (r == ERR_MORE || *done)
            return ERR_OK;
    }
}

static enum err read_body(const struct https *c, uint64_t deadline_ns, struct https_answer *out,
                          size_t head_bytes, bool eof, struct why *why)
{
    struct http1_body b = http1_body_init(&out->head, HTTPS_BODY_MAX_BYTES);
    AUTO(buf_clear) struct buf in = BUF_INIT(HTTP1_HEAD_MAX + HTTPS_BODY_MAX_BYTES);
    bool done = false;

    enum err r = buf_append(&in, span_from(buf_view(&out->bytes), head_bytes));
    if (r != ERR_OK)
        return why_fail(why, r, "response", 0);
    for (;;) {
        r = take_body(&b, &in, &out->body, &done, why);
        if (r != ERR_OK || done)
            return r;
        r = read_more(c, deadline_ns, &in, &eof, why);
        if (r != ERR_OK)
            return r;
        if (eof)
            return http1_body_eof(&b) == ERR_OK
                       ? ERR_OK
                       : why_fail(why, ERR_IO, "closed before the response was complete", 0);
    }
}

enum err https_call(struct https *c, struct span request, uint64_t deadline_ns,
                    struct https_answer *out, bool *began, struct why *why)
{
    size_t head_bytes = 0;
    bool eof = false;

    https_answer_clear(out);
    *began = false;
    enum err r = tls_write(c->tls, request);
    r = r == ERR_OK ? flush(c, deadline_ns, why) : why_fail(why, r, "TLS", 0);
    if (r == ERR_OK)
        r = read_head(c, deadline_ns, out, &head_bytes, &eof, why);
    *began = out->bytes.len > 0;
    if (r == ERR_OK)
        r = read_body(c, deadline_ns, out, head_bytes, eof, why);
    if (r != ERR_OK || !out->head.keep_alive || out->head.framing == HTTP1_UNTIL_CLOSE)
        https_close(c);
    return r;
}
