#include "http1/http1.h"

static bool is_line_safe(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((s.ptr[i] < 0x20 && s.ptr[i] != '\t') || s.ptr[i] == 0x7f)
            return false;
    return true;
}

/* RFC 9110 section 5.6.2: one bit for each character below 128. */
static bool is_name(struct span s)
{
    static const uint64_t token[2] = { 0x03ff6cfa00000000, 0x57ffffffc7fffffe };

    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] >= 0x80 || !(token[s.ptr[i] >> 6] >> (s.ptr[i] & 63) & 1))
            return false;
    return s.len > 0;
}

/* Sticky, like the other writers here. */
struct out {
    struct buf *buf;
    enum err err;
};

static void put(struct out *o, struct span s)
{
    if (o->err == ERR_OK)
        o->err = buf_append(o->buf, s);
}

static void put_field(struct out *o, struct span name, struct span value)
{
    if (o->err == ERR_OK && (!is_name(name) || !is_line_safe(value)))
        o->err = ERR_MALFORMED;
    put(o, name);
    put(o, SPAN_LIT(": "));
    put(o, value);
    put(o, SPAN_LIT("\r\n"));
}

static void put_rest(struct out *o, const struct http1_header *h, size_t n, struct span body,
                     bool wants_length)
{
    for (size_t i = 0; i < n; i++) {
        put_field(o, h[i].name, h[i].value);
        if (span_eq_nocase(h[i].name, SPAN_LIT("content-length")) ||
            span_eq_nocase(h[i].name, SPAN_LIT("transfer-encoding")))
            wants_length = false;
    }
    if (wants_length && o->err == ERR_OK)
        o->err = buf_append_str(o->buf, "content-length: ");
    if (wants_length && o->err == ERR_OK)
        o->err = buf_append_uint(o->buf, body.len);
    put(o, wants_length ? SPAN_LIT("\r\n\r\n") : SPAN_LIT("\r\n"));
    put(o, body);
}

static enum err finish(struct out *o, size_t start)
{
    if (o->err != ERR_OK)
        buf_truncate(o->buf, start);
    return o->err;
}

enum err http1_request_write(struct buf *out, struct span method, struct span target,
                             const struct http1_header *h, size_t n, struct span body)
{
    struct out o = { .buf = out };
    size_t start = out->len;

    if (!is_name(method) || target.len == 0 || !is_line_safe(target) ||
        span_find(target, ' ') != target.len)
        return ERR_MALFORMED;
    put(&o, method);
    put(&o, SPAN_LIT(" "));
    put(&o, target);
    put(&o, SPAN_LIT(" HTTP/1.1\r\n"));
    put_rest(&o, h, n, body, body.len > 0 || span_is(method, "POST") || span_is(method, "PUT"));
    return finish(&o, start);
}

static const char *reason_of(unsigned status)
{
    switch (status) {
    case 100:
        return "Continue";
    case 200:
        return "OK";
    case 204:
        return "No Content";
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 411:
        return "Length Required";
    case 413:
        return "Content Too Large";
    case 415:
        return "Unsupported Media Type";
    case 422:
        return "Unprocessable Content";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    default:
        return "";
    }
}

enum err http1_response_write(struct buf *out, unsigned status, const struct http1_header *h,
                              size_t n, struct span body)
{
    struct out o = { .buf = out };
    size_t start = out->len;

    if (status < 100 || status > 599)
        return ERR_MALFORMED;
    put(&o, SPAN_LIT("HTTP/1.1 "));
    if (o.err == ERR_OK)
        o.err = buf_append_uint(out, status);
    put(&o, SPAN_LIT(" "));
    put(&o, span_str(reason_of(status)));
    put(&o, SPAN_LIT("\r\n"));
    put_rest(&o, h, n, body, status >= 200 && status != 204 && status != 304);
    return finish(&o, start);
}
