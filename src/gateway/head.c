/* head.c - heads of requests and answers, written anew. */
#include "gateway/gateway.h"

#define VIA "via: 1.1 nitroseal-gateway\r\n"

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

static enum err finish(struct out *o, size_t start)
{
    if (o->err != ERR_OK)
        buf_truncate(o->buf, start);
    return o->err;
}

/* For this connection only (RFC 9110 section 7.6.1), or written by us. */
static bool is_ours(struct span name)
{
    static const char *const names[] = {
        "connection",          "keep-alive",
        "proxy-connection",    "proxy-authenticate",
        "proxy-authorization", "te",
        "transfer-encoding",   "upgrade",
        "content-length",      "http2-settings",
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (span_eq_nocase(name, span_str(names[i])))
            return true;
    return false;
}

/* Named by a Connection field: the sender calls it its own. Host cannot be taken away like that. */
static bool is_named(const struct http1_head *h, struct span name)
{
    if (span_eq_nocase(name, SPAN_LIT("host")))
        return false;
    for (size_t i = 0; i < h->n_headers; i++) {
        struct span rest = h->headers[i].value;
        if (!span_eq_nocase(h->headers[i].name, SPAN_LIT("connection")))
            continue;
        while (rest.ptr)
            if (span_eq_nocase(span_trim(span_cut(&rest, ',')), name))
                return true;
    }
    return false;
}

/* The head was parsed: names are tokens, values hold no control characters. */
static void put_fields(struct out *o, const struct http1_head *h, bool has_connection)
{
    for (size_t i = 0; i < h->n_headers; i++) {
        if (is_ours(h->headers[i].name) || (has_connection && is_named(h, h->headers[i].name)))
            continue;
        put(o, h->headers[i].name);
        put(o, SPAN_LIT(": "));
        put(o, h->headers[i].value);
        put(o, SPAN_LIT("\r\n"));
    }
}

static void put_length(struct out *o, uint64_t n)
{
    if (o->err == ERR_OK)
        o->err = buf_printf(o->buf, "content-length: %llu\r\n", (unsigned long long)n);
}

static void put_framing(struct out *o, enum http1_framing framing, uint64_t length)
{
    if (framing == HTTP1_CHUNKED)
        put(o, SPAN_LIT("transfer-encoding: chunked\r\n"));
    if (framing == HTTP1_LENGTH)
        put_length(o, length);
}

static bool has(const struct http1_head *h, const char *name)
{
    return http1_header_get(h, name).ptr != NULL;
}

enum err gateway_request_write(const struct http1_head *head, struct span target, struct buf *out)
{
    struct out o = { .buf = out };
    size_t start = out->len;

    put(&o, head->method);
    put(&o, SPAN_LIT(" "));
    put(&o, target);
    put(&o, SPAN_LIT(" HTTP/1.1\r\n"));
    if (!has(head, "host"))
        put(&o, SPAN_LIT("host: enclave\r\n")); /* an HTTP/1.0 client need not send one */
    put_fields(&o, head, has(head, "connection"));
    put_framing(&o, head->framing, head->content_length);
    put(&o, SPAN_LIT(VIA "\r\n"));
    return finish(&o, start);
}

enum http1_framing gateway_answer_framing(const struct http1_head *head,
                                          const struct gateway_client *to)
{
    bool delimits_itself = head->framing == HTTP1_NO_BODY || head->framing == HTTP1_LENGTH;

    if (delimits_itself)
        return head->framing;
    return to->minor == 0 ? HTTP1_UNTIL_CLOSE : HTTP1_CHUNKED;
}

enum err gateway_answer_write(const struct http1_head *head, const struct gateway_client *to,
                              struct buf *out)
{
    struct out o = { .buf = out };
    size_t start = out->len;
    enum http1_framing framing = gateway_answer_framing(head, to);
    bool keep = to->keep_alive && framing != HTTP1_UNTIL_CLOSE;

    o.err = buf_printf(out, "HTTP/1.1 %u ", head->status);
    put(&o, head->reason);
    put(&o, SPAN_LIT("\r\n"));
    put_fields(&o, head, has(head, "connection"));
    put_framing(&o, framing, head->content_length);
    /* An answer to HEAD says the length that it would have. */
    if (to->head_only && has(head, "content-length"))
        put_length(&o, head->content_length);
    if (head->status >= 200 && !keep)
        put(&o, SPAN_LIT("connection: close\r\n"));
    else if (head->status >= 200 && to->minor == 0)
        put(&o, SPAN_LIT("connection: keep-alive\r\n"));
    put(&o, SPAN_LIT(VIA "\r\n"));
    return finish(&o, start);
}
