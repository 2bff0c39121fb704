#include "http1/http1.h"

enum { CHUNK_LINE_MAX = 512, TRAILERS_MAX = 8192 };

enum state { AT_START, AT_SIZE, AT_DATA, AT_DATA_END, AT_TRAILER, AT_DONE };

struct http1_body http1_body_init(const struct http1_head *h, uint64_t max)
{
    return (struct http1_body){ .framing = h->framing,
                                .left = h->framing == HTTP1_LENGTH ? h->content_length : 0,
                                .max = max,
                                .state = h->framing == HTTP1_CHUNKED ? AT_SIZE : AT_START };
}

/* A line that ends in CRLF at the start of `in`: its length with it. ERR_MORE: not all there. */
static enum err line_len(struct span in, size_t max, size_t *len, struct why *why)
{
    size_t n = span_find(in, '\n');

    if (n == in.len && in.len > max)
        return why_fail(why, ERR_LIMIT, "chunk line too long", 0);
    if (n == in.len) {
        if (span_find(in, '\r') + 1 < in.len)
            return why_fail(why, ERR_MALFORMED, "chunk line end", span_find(in, '\r'));
        return ERR_MORE;
    }
    if (n > max)
        return why_fail(why, ERR_LIMIT, "chunk line too long", 0);
    if (n == 0 || in.ptr[n - 1] != '\r' || span_find(span_sub(in, 0, n - 1), '\r') != n - 1)
        return why_fail(why, ERR_MALFORMED, "chunk line end", n);
    *len = n + 1;
    return ERR_OK;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* chunk-size [ ";" extension ], RFC 9112 section 7.1; extensions are passed over, control bytes in
 * them refused. */
static enum err parse_size(struct span line, uint64_t *size, struct span *extension,
                           struct why *why)
{
    uint64_t v = 0;
    size_t i = 0;

    for (; i < line.len && hex_value(line.ptr[i]) >= 0; i++) {
        if (v >> 56)
            return why_fail(why, ERR_LIMIT, "chunk size", i);
        v = v << 4 | (uint64_t)hex_value(line.ptr[i]);
    }
    if (i == 0 || (i < line.len && line.ptr[i] != ';'))
        return why_fail(why, ERR_MALFORMED, "chunk size", i);
    if (i + 1 == line.len) /* a semicolon with nothing after it */
        return why_fail(why, ERR_MALFORMED, "chunk extension", i);
    if (i < line.len)
        *extension = span_from(line, i + 1);
    for (; i < line.len; i++)
        if ((line.ptr[i] < 0x20 && line.ptr[i] != '\t') || line.ptr[i] == 0x7f)
            return why_fail(why, ERR_MALFORMED, "chunk extension", i);
    *size = v;
    return ERR_OK;
}

static enum err step_size(struct http1_body *b, struct span in, size_t *consumed, struct why *why)
{
    size_t n = 0;
    enum err r = line_len(in, CHUNK_LINE_MAX, &n, why);

    if (r != ERR_OK)
        return r;
    r = parse_size(span_sub(in, 0, n - 2), &b->left, &b->extension, why);
    if (r != ERR_OK)
        return r;
    if (b->left > b->max - b->total)
        return why_fail(why, ERR_LIMIT, "body too long", 0);
    b->state = b->left ? AT_DATA : AT_TRAILER;
    if (!b->left)
        b->left = TRAILERS_MAX; /* now counts what trailers may still take */
    *consumed = n;
    return ERR_OK;
}

static enum err step_data_end(struct http1_body *b, struct span in, size_t *consumed,
                              struct why *why)
{
    if (in.len && in.ptr[0] != '\r')
        return why_fail(why, ERR_MALFORMED, "chunk end", 0);
    if (in.len < 2)
        return ERR_MORE;
    if (in.ptr[1] != '\n')
        return why_fail(why, ERR_MALFORMED, "chunk end", 1);
    b->state = AT_SIZE;
    *consumed = 2;
    return ERR_OK;
}

/* Trailers are passed over: what they mean is the caller's business. A name must stand before the
 * colon all the same. */
static enum err step_trailer(struct http1_body *b, struct span in, size_t *consumed,
                             struct why *why)
{
    size_t n = 0;
    enum err r = line_len(in, (size_t)b->left, &n, why);

    if (r != ERR_OK)
        return r;
    struct span line = span_sub(in, 0, n - 2);
    if (line.len &&
        (span_find(line, ':') == line.len || span_find(line, ':') == 0 || line.ptr[0] <= ' '))
        return why_fail(why, ERR_MALFORMED, "trailer", 0);
    for (size_t i = 0; i < line.len; i++)
        if ((line.ptr[i] < 0x20 && line.ptr[i] != '\t') || line.ptr[i] == 0x7f)
            return why_fail(why, ERR_MALFORMED, "trailer", i);
    b->left -= n < b->left ? n : b->left;
    if (line.len == 0)
        b->state = AT_DONE;
    else
        b->trailer = (struct http1_header){ span_sub(line, 0, span_find(line, ':')),
                                            span_trim(span_from(line, span_find(line, ':') + 1)) };
    *consumed = n;
    return ERR_OK;
}

static void take_content(struct http1_body *b, struct span in, uint64_t most, struct span *content,
                         size_t *consumed)
{
    *content = span_sub(in, 0, most < in.len ? (size_t)most : in.len);
    *consumed = content->len;
    b->total += content->len;
}

static enum err step_data(struct http1_body *b, struct span in, struct span *content,
                          size_t *consumed)
{
    if (in.len == 0)
        return ERR_MORE;
    take_content(b, in, b->left, content, consumed);
    b->left -= content->len;
    if (b->left == 0)
        b->state = AT_DATA_END;
    return ERR_OK;
}

static enum err chunked_next(struct http1_body *b, struct span in, struct span *content,
                             size_t *consumed, struct why *why)
{
    switch ((enum state)b->state) {
    case AT_SIZE:
        return step_size(b, in, consumed, why);
    case AT_DATA:
        return step_data(b, in, content, consumed);
    case AT_DATA_END:
        return step_data_end(b, in, consumed, why);
    case AT_TRAILER:
        return step_trailer(b, in, consumed, why);
    case AT_START:
    case AT_DONE:
        break;
    }
    return ERR_OK;
}

static enum err length_next(struct http1_body *b, struct span in, struct span *content,
                            size_t *consumed, struct why *why)
{
    if (b->left > b->max - b->total)
        return why_fail(why, ERR_LIMIT, "body too long", 0);
    if (b->left && in.len == 0)
        return ERR_MORE;
    take_content(b, in, b->left, content, consumed);
    b->left -= content->len;
    if (b->left == 0)
        b->state = AT_DONE;
    return ERR_OK;
}

static enum err close_next(struct http1_body *b, struct span in, struct span *content,
                           size_t *consumed, struct why *why)
{
    if (in.len == 0)
        return ERR_MORE;
    if (in.len > b->max - b->total)
        return why_fail(why, ERR_LIMIT, "body too long", 0);
    take_content(b, in, in.len, content, consumed);
    return ERR_OK;
}

enum err http1_body_next(struct http1_body *b, struct span in, struct span *content,
                         size_t *consumed, bool *done, struct why *why)
{
    struct span part = SPAN_EMPTY;
    size_t n = 0;
    enum err r = ERR_OK;

    b->extension = b->trailer.name = b->trailer.value = SPAN_EMPTY;
    switch (b->framing) {
    case HTTP1_NO_BODY:
        b->state = AT_DONE;
        break;
    case HTTP1_LENGTH:
        r = length_next(b, in, &part, &n, why);
        break;
    case HTTP1_CHUNKED:
        r = chunked_next(b, in, &part, &n, why);
        break;
    case HTTP1_UNTIL_CLOSE:
        r = close_next(b, in, &part, &n, why);
        break;
    }
    if (r != ERR_OK && r != ERR_MORE)
        return r;
    *content = part;
    *consumed = n;
    *done = b->state == AT_DONE;
    return r;
}

bool http1_body_in_trailers(const struct http1_body *b)
{
    return b->framing == HTTP1_CHUNKED && b->state == AT_TRAILER;
}

enum err http1_body_eof(const struct http1_body *b)
{
    if (b->framing == HTTP1_NO_BODY || b->framing == HTTP1_UNTIL_CLOSE || b->state == AT_DONE)
        return ERR_OK;
    return ERR_MALFORMED;
}
