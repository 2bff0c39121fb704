#include <stdlib.h>

#include "http1/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_MAX = 4096 };

static bool inside(struct span part, struct span in)
{
    return !part.ptr || (part.ptr >= in.ptr && part.ptr + part.len <= in.ptr + in.len);
}

static void check_head(const struct http1_head *h, struct span in, size_t used)
{
    if (used == 0 || used > in.len || used > HTTP1_HEAD_MAX || h->n_headers > HTTP1_HEADERS_MAX)
        abort();
    for (size_t i = 0; i < h->n_headers; i++)
        if (!inside(h->headers[i].name, in) || !inside(h->headers[i].value, in) ||
            h->headers[i].name.len == 0)
            abort();
    if (!inside(h->method, in) || !inside(h->target, in) || !inside(h->reason, in))
        abort();
}

/* Read the body giving at most `step` bytes at a time; returns where it ends, or 0. */
static size_t read_body(const struct http1_head *h, struct span in, size_t step, struct buf *out)
{
    struct http1_body b = http1_body_init(h, BODY_MAX);
    size_t at = 0, there = 0;

    for (bool done = false; !done;) {
        struct span content;
        size_t used;
        enum err r =
            http1_body_next(&b, span_sub(in, at, there - at), &content, &used, &done, NULL);
        if (r != ERR_OK && r != ERR_MORE)
            return 0;
        if (used > there - at || !inside(content, in) || buf_append(out, content) != ERR_OK)
            abort();
        if (!inside(b.extension, in) || !inside(b.trailer.name, in) || !inside(b.trailer.value, in))
            abort();
        if (content.len && (b.extension.ptr || b.trailer.name.ptr))
            abort();
        at += used;
        if (r == ERR_MORE && there == in.len)
            return 0;
        if (r == ERR_MORE)
            there += step < in.len - there ? step : in.len - there;
    }
    return at;
}

/* Whole or byte by byte, the body is the same and ends at the same place. */
static void check_body(const struct http1_head *h, struct span in)
{
    AUTO(buf_clear) struct buf whole = BUF_INIT(BODY_MAX), single = BUF_INIT(BODY_MAX);
    size_t end = read_body(h, in, in.len, &whole);

    if (end != read_body(h, in, 1, &single))
        abort();
    if (end && !span_eq(buf_view(&whole), buf_view(&single)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    static struct http1_head h; /* large */
    size_t used = 0;

    if (http1_request_parse(in, &h, &used, NULL) == ERR_OK) {
        check_head(&h, in, used);
        check_body(&h, span_from(in, used));
    }
    for (int head_request = 0; head_request < 2; head_request++) {
        if (http1_response_parse(in, head_request, &h, &used, NULL) != ERR_OK)
            continue;
        check_head(&h, in, used);
        check_body(&h, span_from(in, used));
    }
    return 0;
}
