/* A stream of requests is read, and what leaves is read again by a reader that does not know what
 * came in: the same methods and bodies, one framing each, and nothing between them. The same for
 * answers. */
#include <stdlib.h>

#include "gateway/gateway.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 20, PIECE = 9000 };

static size_t count(const struct http1_head *h, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < h->n_headers; i++)
        n += span_eq_nocase(h->headers[i].name, span_str(name));
    return n;
}

/* The whole body at the start of `in`: its content appended; *used. ERR_MORE: cut. ERR_DENIED: an
 * answer that is taken back, `*used` with the line that says so, which is appended. */
static enum err read_body(const struct http1_head *h, struct span in, struct buf *content,
                          size_t *used)
{
    struct http1_body b = http1_body_init(h, UINT64_MAX);

    *used = 0;
    for (bool done = false; !done;) {
        struct span part;
        size_t n;
        enum err r = http1_body_next(&b, span_from(in, *used), &part, &n, &done, NULL);
        if (r == ERR_MORE)
            return http1_body_eof(&b) == ERR_OK ? ERR_OK : ERR_MORE;
        if (r != ERR_OK)
            return r;
        bool back = h->status && span_starts(b.extension, "nitroseal-error=\"");
        if (buf_append(content, back ? span_sub(in, *used, n) : part) != ERR_OK)
            return ERR_LIMIT;
        *used += n;
        if (back)
            return ERR_DENIED;
    }
    return ERR_OK;
}

/* In pieces of `step` bytes. */
static enum err relay_body(const struct http1_head *h, enum http1_framing framing, struct span in,
                           size_t step, struct buf *out, size_t *used)
{
    struct gateway_stream s = gateway_stream_init(h, framing);
    size_t there = 0;

    for (*used = 0; !s.done;) {
        AUTO(buf_clear) struct buf piece = BUF_INIT(PIECE);
        size_t n = 0;
        enum err r = gateway_stream_next(&s, span_sub(in, *used, there - *used), &piece, &n, NULL);
        if (n > there - *used)
            abort();
        *used += n;
        if (r != ERR_OK && r != ERR_MORE && r != ERR_DENIED)
            return r;
        if (buf_append(out, buf_view(&piece)) != ERR_OK)
            return ERR_LIMIT;
        if (r == ERR_DENIED)
            return r;
        if (r == ERR_MORE && there == in.len)
            return gateway_stream_eof(&s, out);
        if (r == ERR_MORE)
            there += step < in.len - there ? step : in.len - there;
    }
    return ERR_OK;
}

/* `out`: head and body as they leave; `want`: how the body ends. */
static void compare(struct span out, bool is_request, bool head_only, struct span content,
                    enum err want)
{
    static struct http1_head h;
    AUTO(buf_clear) struct buf again = BUF_INIT(OUT_MAX);
    size_t used = 0, body = 0;
    enum err r = is_request ? http1_request_parse(out, &h, &used, NULL)
                            : http1_response_parse(out, head_only, &h, &used, NULL);

    if (r == ERR_LIMIT) /* a few bytes more than came in */
        return;
    if (r != ERR_OK || count(&h, "transfer-encoding") + count(&h, "content-length") > 1 ||
        count(&h, "keep-alive") || count(&h, "upgrade") || count(&h, "te"))
        abort();
    if (read_body(&h, span_from(out, used), &again, &body) != want || used + body != out.len ||
        !span_eq(buf_view(&again), content))
        abort();
}

static void requests(struct span in, size_t step)
{
    static struct http1_head h;
    size_t used = 0, body = 0;

    while (http1_request_parse(in, &h, &used, NULL) == ERR_OK) {
        AUTO(buf_clear) struct buf out = BUF_INIT(OUT_MAX), content = BUF_INIT(OUT_MAX);
        struct gateway_route route;
        struct gateway_fault fault;
        struct span rest = span_from(in, used);
        if (gateway_route(&h, &route, &fault) != ERR_OK)
            return;
        enum err direct = read_body(&h, rest, &content, &body);
        enum err r = gateway_request_write(&h, route.target, &out);
        if (r != ERR_OK)
            return;
        r = relay_body(&h, h.framing, rest, step, &out, &used);
        if ((r == ERR_OK) != (direct == ERR_OK) || (r == ERR_OK && used != body))
            abort();
        if (r != ERR_OK)
            return;
        compare(buf_view(&out), true, false, buf_view(&content), ERR_OK);
        in = span_from(rest, used);
    }
}

static void answer(struct span in, size_t step, const struct gateway_client *to)
{
    static struct http1_head h;
    AUTO(buf_clear) struct buf out = BUF_INIT(OUT_MAX), content = BUF_INIT(OUT_MAX);
    size_t used = 0, body = 0;

    if (http1_response_parse(in, to->head_only, &h, &used, NULL) != ERR_OK)
        return;
    struct span rest = span_from(in, used);
    enum err direct = read_body(&h, rest, &content, &body);
    enum http1_framing framing = gateway_answer_framing(&h, to);
    if (to->minor == 0 && framing == HTTP1_CHUNKED)
        abort();
    if (gateway_answer_write(&h, to, &out) != ERR_OK)
        return;
    enum err r = relay_body(&h, framing, rest, step, &out, &used);
    if ((r == ERR_OK) != (direct == ERR_OK) || (r == ERR_DENIED) != (direct == ERR_DENIED))
        abort();
    if (r == ERR_OK || (r == ERR_DENIED && framing == HTTP1_CHUNKED))
        compare(buf_view(&out), false, to->head_only, buf_view(&content), r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    size_t step = size > 0 && data[size - 1] % 2 ? 1 : 4096;

    requests(in, step);
    for (unsigned i = 0; i < 8; i++) {
        const struct gateway_client to = { i & 1, i >> 1 & 1, i >> 2 & 1 };
        answer(in, step, &to);
    }
    (void)gateway_refusal_parse(in);
    return 0;
}
