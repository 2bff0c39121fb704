#include "bin/nitroseal/kms_call.h"

#include "crypto/tls.h"
#include "http1/http1.h"
#include "io/sys.h"

enum { PIECE_BYTES = 16384, REQUEST_MAX_BYTES = 1 << 20, MS_PER_S = 1000 };

void kms_reply_clear(struct kms_reply *r)
{
    buf_clear(&r->bytes);
    r->body = r->request_id = SPAN_EMPTY;
}

static enum err request_write(struct crypto *cx, const struct kms_server *server,
                              const struct sigv4_credentials *cred, const char *operation,
                              struct span body, struct buf *out)
{
    AUTO(buf_clear) struct buf target = BUF_INIT(256), authorization = BUF_INIT(4096);
    char date[SIGV4_TIME_BYTES + 1];
    enum err r = buf_printf(&target, "TrentService.%s", operation);

    if (r != ERR_OK)
        return r;
    sigv4_time_write(clock_wall_ms() / MS_PER_S, date);
    const struct sigv4_header signed_headers[] = {
        { SPAN_LIT("content-type"), SPAN_LIT("application/x-amz-json-1.1") },
        { SPAN_LIT("host"), server->host },
        { SPAN_LIT("x-amz-date"), span_str(date) },
        { SPAN_LIT("x-amz-target"), buf_view(&target) },
    };
    enum { N_SIGNED = sizeof signed_headers / sizeof signed_headers[0] };
    const struct sigv4_request rq = {
        .method = SPAN_LIT("POST"),
        .path = SPAN_LIT("/"),
        .headers = signed_headers,
        .n_headers = N_SIGNED,
        .body = body,
    };
    const struct sigv4_scope scope = { server->region, SPAN_LIT("kms") };
    r = sigv4_sign(cx, &rq, scope, span_str(date), cred, &authorization);
    if (r != ERR_OK)
        return r;
    struct http1_header headers[N_SIGNED + 2];
    for (size_t i = 0; i < N_SIGNED; i++)
        headers[i] = (struct http1_header){ signed_headers[i].name, signed_headers[i].value };
    headers[N_SIGNED] =
        (struct http1_header){ SPAN_LIT("authorization"), buf_view(&authorization) };
    headers[N_SIGNED + 1] = (struct http1_header){ SPAN_LIT("connection"), SPAN_LIT("close") };
    return http1_request_write(out, rq.method, rq.path, headers, N_SIGNED + 2, body);
}

struct session {
    int fd;
    struct tls *tls;
    uint64_t deadline_ns;
};

static enum err flush(struct session *s, struct why *why)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(2 * REQUEST_MAX_BYTES);
    enum err r = tls_drain(s->tls, &out);

    if (r != ERR_OK)
        return why_fail(why, r, "TLS", 0);
    return out.len ? fd_write_all(s->fd, buf_view(&out), s->deadline_ns, why) : ERR_OK;
}

/* Feed what comes next; *eof at the peer's end. */
static enum err receive(struct session *s, bool *eof, struct why *why)
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
        r = receive(s, &eof, why);
    }
    return r;
}

/* Is the whole response there? ERR_MORE: not yet. */
static enum err reply_parse(struct kms_reply *reply, struct why *why)
{
    struct http1_head head;
    size_t n = 0;
    enum err r = http1_response_parse(buf_view(&reply->bytes), false, &head, &n, why);

    if (r != ERR_OK)
        return r;
    if (head.framing != HTTP1_LENGTH && head.framing != HTTP1_NO_BODY)
        return why_fail(why, ERR_MALFORMED, "framing of the response", 0);
    uint64_t length = head.framing == HTTP1_LENGTH ? head.content_length : 0;
    if (length > reply->bytes.len - n)
        return length > KMS_REPLY_MAX_BYTES ? why_fail(why, ERR_LIMIT, "response", 0) : ERR_MORE;
    reply->status = head.status;
    reply->body = span_sub(buf_view(&reply->bytes), n, (size_t)length);
    reply->request_id = http1_header_get(&head, "x-amzn-requestid");
    return ERR_OK;
}

static enum err exchange(struct session *s, struct span request, struct kms_reply *out,
                         struct why *why)
{
    bool eof = false;
    enum err r = tls_write(s->tls, request);

    if (r != ERR_OK)
        return why_fail(why, r, "TLS", 0);
    r = flush(s, why);
    while (r == ERR_OK) {
        r = tls_read(s->tls, &out->bytes, why);
        if (r != ERR_OK)
            return r;
        enum err complete = reply_parse(out, why);
        if (complete != ERR_MORE)
            return complete;
        if (eof || tls_is_closed(s->tls))
            return why_fail(why, ERR_IO, "closed before the response was complete", 0);
        r = receive(s, &eof, why);
    }
    return r;
}

enum err kms_call(struct crypto *cx, const struct kms_server *server,
                  const struct sigv4_credentials *cred, const char *operation, struct span body,
                  uint64_t deadline_ns, struct kms_reply *out, struct why *why)
{
    AUTO(buf_clear) struct buf request = BUF_INIT(REQUEST_MAX_BYTES);
    AUTO(tls_ctx_freep) struct tls_ctx *ctx = NULL;
    AUTO(tls_freep) struct tls *tls = NULL;
    AUTO(fd_close) int fd = -1;

    enum err r = request_write(cx, server, cred, operation, body, &request);
    if (r != ERR_OK)
        return why_fail(why, r, "request", 0);
    r = tls_ctx_client(server->ca_pem, &ctx, why);
    if (r == ERR_OK)
        r = tls_new(ctx, "localhost", &tls);
    if (r == ERR_OK)
        r = addr_connect(&server->at, deadline_ns, &fd, why);
    if (r != ERR_OK)
        return r;
    struct session s = { fd, tls, deadline_ns };
    r = handshake(&s, why);
    return r == ERR_OK ? exchange(&s, buf_view(&request), out, why) : r;
}
