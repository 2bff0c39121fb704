/* stream.c - bodies, read in the sender's framing and written in the one that leaves. */
#include "gateway/gateway.h"

enum {
    CHUNK_HEAD_BYTES = 24, /* "ffffffffffffffff\r\n", and the CRLF behind the chunk */
    LINE_MAX_BYTES = 520,  /* of a chunk, by the reader's limit */
};

struct gateway_stream gateway_stream_init(const struct http1_head *head, enum http1_framing out)
{
    struct gateway_stream s = { .in = http1_body_init(head, UINT64_MAX),
                                .out = out,
                                .is_answer = head->status != 0 };

    s.done = head->framing == HTTP1_NO_BODY ||
             (head->framing == HTTP1_LENGTH && head->content_length == 0);
    return s;
}

size_t gateway_stream_plain(const struct gateway_stream *s, struct span in)
{
    if (s->done || s->in.framing != s->out || s->out == HTTP1_CHUNKED)
        return 0;
    if (s->out == HTTP1_LENGTH && s->in.left < in.len)
        return (size_t)s->in.left;
    return in.len;
}

void gateway_stream_skip(struct gateway_stream *s, size_t n)
{
    if (s->out == HTTP1_LENGTH) {
        s->in.left -= n;
        s->done = s->in.left == 0;
    }
    s->bytes += n;
}

/* Fields that would be about the message's framing or routing, or belong to one connection (RFC
 * 9110 section 6.5.1). */
static bool may_trail(struct span name)
{
    static const char *const never[] = {
        "content-length", "transfer-encoding", "host",   "connection", "te",
        "trailer",        "upgrade",           "expect", "keep-alive", "authorization",
        "content-type",   "content-encoding",
    };

    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] <= 0x20 || name.ptr[i] >= 0x7f ||
            strchr("\"(),/:;<=>?@[\\]{}", name.ptr[i]))
            return false;
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        if (span_eq_nocase(name, span_str(never[i])))
            return false;
    return name.len > 0;
}

/* One trailer line with its CRLF, or the empty one that ends the body. */
static enum err put_trailer(struct buf *out, struct span line)
{
    struct span rest = line;

    if (line.len == 2 || may_trail(span_cut(&rest, ':')))
        return buf_append(out, line);
    return ERR_OK;
}

static enum err put_content(const struct gateway_stream *s, struct span content, struct buf *out)
{
    if (s->out != HTTP1_CHUNKED)
        return buf_append(out, content);
    enum err r = buf_printf(out, "%zx\r\n", content.len);
    if (r == ERR_OK)
        r = buf_append(out, content);
    return r == ERR_OK ? buf_append(out, SPAN_LIT("\r\n")) : r;
}

/* Other extensions mean nothing to anybody and stay behind. */
static bool is_taken_back(const struct gateway_stream *s)
{
    return s->is_answer && span_starts(s->in.extension, "nitroseal-error=\"");
}

/* Content that has room in `out`. */
static size_t room_for(const struct gateway_stream *s, const struct buf *out)
{
    size_t room = out->max - out->len;
    size_t extra = s->out == HTTP1_CHUNKED ? CHUNK_HEAD_BYTES : 0;

    return room > extra ? room - extra : 0;
}

/* One step of the reader; *n bytes of `in` are taken. */
static enum err step(struct gateway_stream *s, struct span in, struct buf *out, size_t *n,
                     struct why *why)
{
    bool in_trailers = http1_body_in_trailers(&s->in), done = false;
    bool was_open = !in_trailers;
    struct span content = SPAN_EMPTY;

    *n = 0;
    enum err r = http1_body_next(&s->in, in, &content, n, &done, why);
    if (r != ERR_OK && r != ERR_MORE)
        return r;
    enum err put = ERR_OK;
    if (is_taken_back(s)) {
        if (s->out == HTTP1_CHUNKED)
            put = buf_append(out, span_sub(in, 0, *n));
        return put == ERR_OK ? ERR_DENIED : put;
    }
    if (content.len)
        put = put_content(s, content, out);
    else if (in_trailers && *n && s->out == HTTP1_CHUNKED)
        put = put_trailer(out, span_sub(in, 0, *n));
    if (put == ERR_OK && was_open && http1_body_in_trailers(&s->in) && s->out == HTTP1_CHUNKED)
        put = buf_append(out, SPAN_LIT("0\r\n"));
    s->bytes += content.len;
    s->done = done;
    return put == ERR_OK ? r : put;
}

enum err gateway_stream_next(struct gateway_stream *s, struct span in, struct buf *out,
                             size_t *consumed, struct why *why)
{
    enum err r = ERR_OK;

    *consumed = 0;
    while (r == ERR_OK && !s->done) {
        bool in_trailers = http1_body_in_trailers(&s->in);
        bool in_content = s->in.framing != HTTP1_CHUNKED || (s->in.left > 0 && !in_trailers);
        size_t room = room_for(s, out), n = 0;
        /* Lines, which are bounded by the reader, are taken whole. */
        if (room == 0 || (in_trailers && room < GATEWAY_REFUSAL_MAX_BYTES) ||
            (!in_content && out->len > 0 && room < LINE_MAX_BYTES))
            return ERR_OK;
        struct span rest = span_from(in, *consumed);
        if (in_content)
            rest = span_sub(rest, 0, room);
        r = step(s, rest, out, &n, why);
        *consumed += n;
    }
    return r;
}

enum err gateway_stream_eof(struct gateway_stream *s, struct buf *out)
{
    if (s->done)
        return ERR_OK;
    enum err r = http1_body_eof(&s->in);
    if (r == ERR_OK && s->out == HTTP1_CHUNKED)
        r = buf_append(out, SPAN_LIT("0\r\n\r\n"));
    s->done = r == ERR_OK;
    return r;
}
