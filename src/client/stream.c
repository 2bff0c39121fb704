/* stream.c - messages of the AWS Encryption SDK over the HTTP API: what is asked, what comes back.
 */
#include "client/stream.h"

#include <stdlib.h>

#include "base/percent.h"

/* ---- requests ---- */

enum err client_pair_check(const struct client_pair *p, struct why *why)
{
    if (p->name.len == 0)
        return why_fail(why, ERR_MALFORMED, "no name before the '='", 0);
    if (!span_is_utf8(p->name) || !span_is_utf8(p->value))
        return why_fail(why, ERR_MALFORMED, "not UTF-8", 0);
    if (span_starts(p->name, "aws-crypto-"))
        return why_fail(why, ERR_MALFORMED, "names that begin with aws-crypto- are reserved", 0);
    return ERR_OK;
}

enum err client_pair_parse(struct span text, struct client_pair *out, struct why *why)
{
    size_t at = span_find(text, '=');

    if (at == text.len)
        return why_fail(why, ERR_MALFORMED, "no '=' between name and value", at);
    const struct client_pair p = { span_sub(text, 0, at), span_from(text, at + 1) };
    enum err r = client_pair_check(&p, why);
    if (r == ERR_OK)
        *out = p;
    return r;
}

enum { PLAIN_HEADERS_MAX = 8 };

/* Headers whose values are made here: each is written once `text` holds them all. */
struct headers {
    struct http1_header list[2 * CLIENT_STREAM_PAIRS_MAX + PLAIN_HEADERS_MAX];
    size_t
        at[2 * CLIENT_STREAM_PAIRS_MAX + PLAIN_HEADERS_MAX]; /* where the value begins in `text` */
    size_t n;
    struct buf text;
    enum err err;
};

static void headers_free(struct headers **h)
{
    if (*h)
        buf_clear(&(*h)->text);
    free(*h);
}

static void begin(struct headers *h, const char *name)
{
    h->list[h->n].name = span_str(name);
    h->at[h->n++] = h->text.len;
}

static void put(struct headers *h, const char *name, const char *value)
{
    begin(h, name);
    if (h->err == ERR_OK)
        h->err = buf_append_str(&h->text, value);
}

static void put_number(struct headers *h, const char *name, uint64_t value)
{
    begin(h, name);
    if (h->err == ERR_OK)
        h->err = buf_printf(&h->text, "%llu", (unsigned long long)value);
}

static void put_pairs(struct headers *h, const char *name, const struct client_pair *pairs,
                      size_t n)
{
    for (size_t i = 0; i < n && h->err == ERR_OK; i++) {
        begin(h, name);
        h->err = percent_append(&h->text, pairs[i].name);
        if (h->err == ERR_OK)
            h->err = buf_append_byte(&h->text, '=');
        if (h->err == ERR_OK)
            h->err = percent_append(&h->text, pairs[i].value);
    }
}

static void fill(struct headers *h, const struct client_question *q)
{
    put(h, "host", "nitroseal");
    put(h, "content-type", "application/octet-stream");
    put(h, "te", "trailers");
    if (q->has_length)
        put_number(h, "content-length", q->length);
    else
        put(h, "transfer-encoding", "chunked");
    if (q->suite)
        put(h, "nitroseal-suite", q->suite);
    if (q->frame_length)
        put_number(h, "nitroseal-frame-length", q->frame_length);
    if (q->key_id)
        put(h, "nitroseal-key-id", q->key_id);
    put_pairs(h, "nitroseal-encryption-context", q->context, q->n_context);
    put_pairs(h, "nitroseal-require-context", q->required, q->n_required);
}

enum err client_stream_write(const struct client_question *q, struct buf *out)
{
    static const char *const targets[] = {
        [CLIENT_STREAM_ENCRYPT] = "/v1/messages/encrypt",
        [CLIENT_STREAM_DECRYPT] = "/v1/messages/decrypt",
        [CLIENT_STREAM_REWRAP] = "/v1/messages/rewrap",
    };
    AUTO(headers_free) struct headers *h = NULL;

    if (q->n_context > CLIENT_STREAM_PAIRS_MAX || q->n_required > CLIENT_STREAM_PAIRS_MAX)
        return ERR_LIMIT;
    h = calloc(1, sizeof *h);
    if (!h)
        return ERR_NOMEM;
    h->text = BUF_INIT(out->max);
    fill(h, q);
    for (size_t i = 0; i < h->n; i++) {
        size_t end = i + 1 < h->n ? h->at[i + 1] : h->text.len;
        h->list[i].value = span_sub(buf_view(&h->text), h->at[i], end - h->at[i]);
    }
    if (h->err != ERR_OK)
        return h->err;
    return http1_request_write(out, SPAN_LIT("POST"), span_str(targets[q->op]), h->list, h->n,
                               SPAN_EMPTY);
}

/* ---- answers ---- */

void client_stream_init(struct client_stream *a)
{
    *a = (struct client_stream){ .head = BUF_INIT(CLIENT_STREAM_HEAD_MAX_BYTES),
                                 .carry = BUF_INIT(CLIENT_STREAM_LINE_MAX_BYTES),
                                 .problem = BUF_INIT(CLIENT_STREAM_PROBLEM_MAX_BYTES) };
}

void client_stream_clear(struct client_stream *a)
{
    buf_clear(&a->head);
    buf_clear(&a->carry);
    buf_clear(&a->problem);
    client_stream_init(a);
}

static void note_head(struct client_stream *a, const struct http1_head *h)
{
    a->has_head = true;
    a->status = h->status;
    a->keep_alive = h->keep_alive;
    a->body = http1_body_init(h, h->status == 200 ? UINT64_MAX : CLIENT_STREAM_PROBLEM_MAX_BYTES);
    a->suite = http1_header_get(h, "nitroseal-suite");
    a->key_id = http1_header_get(h, "nitroseal-key-id");
    a->request_id = http1_header_get(h, "nitroseal-request-id");
    a->content_type = http1_header_get(h, "content-type");
    a->retry_after = http1_header_get(h, "retry-after");
}

/* All of *in until the head is complete; then what follows it is given back. */
static enum err take_head(struct client_stream *a, struct span *in, struct why *why)
{
    struct http1_head h;
    size_t before = a->head.len, n = 0;
    struct span part = span_sub(*in, 0, a->head.max - before);
    enum err r = buf_append(&a->head, part);

    if (r != ERR_OK)
        return why_fail(why, r, "no memory for the head", 0);
    r = http1_response_parse(buf_view(&a->head), false, &h, &n, why);
    if (r == ERR_MORE && part.len < in->len)
        return why_fail(why, ERR_LIMIT, "head too long", 0);
    if (r == ERR_MORE) {
        *in = SPAN_EMPTY;
        return ERR_MORE;
    }
    if (r != ERR_OK)
        return r;
    if (n < before)
        return why_fail(why, ERR_MALFORMED, "head", 0);
    *in = span_from(*in, n - before);
    buf_truncate(&a->head, n);
    if (h.status >= 100 && h.status < 200)
        buf_reset(&a->head); /* interim */
    else
        note_head(a, &h);
    return ERR_OK;
}

/* nitroseal-error="CODE" */
static void note_extension(struct client_stream *a, struct span text)
{
    static const char name[] = "nitroseal-error=\"";

    if (!span_starts(text, name))
        return;
    text = span_from(text, sizeof name - 1);
    struct span code = span_cut(&text, '"');
    if (code.len >= sizeof a->code)
        return;
    memset(a->code, 0, sizeof a->code);
    for (size_t i = 0; i < code.len; i++) {
        bool plain = (code.ptr[i] >= 'a' && code.ptr[i] <= 'z') || code.ptr[i] == '_';
        a->code[i] = (char)(plain ? code.ptr[i] : '?');
    }
}

static void note(struct client_stream *a)
{
    if (a->body.extension.len)
        note_extension(a, a->body.extension);
    if (span_eq_nocase(a->body.trailer.name, SPAN_LIT("nitroseal-result")))
        a->result_ok = span_is(a->body.trailer.value, "ok");
}

/* The line that began in an earlier piece, up to its end. What the reader asks for more of is
 * always a line. */
static enum err take_line(struct client_stream *a, struct span *in, struct why *why)
{
    size_t end = span_find(*in, '\n'), used = 0;
    struct span part = span_sub(*in, 0, end < in->len ? end + 1 : end), content;

    enum err r = buf_append(&a->carry, part);
    if (r != ERR_OK)
        return why_fail(why, r, "line too long", 0);
    *in = span_from(*in, part.len);
    r = http1_body_next(&a->body, buf_view(&a->carry), &content, &used, &a->is_over, why);
    if (r != ERR_OK)
        return r;
    note(a);
    if (used != a->carry.len)
        return why_fail(why, ERR_MALFORMED, "line", 0);
    buf_reset(&a->carry);
    return ERR_OK;
}

static enum err take_body(struct client_stream *a, struct span *in, struct span *content,
                          struct why *why)
{
    struct span part = SPAN_EMPTY;
    size_t used = 0;

    enum err r = http1_body_next(&a->body, *in, &part, &used, &a->is_over, why);
    if (r != ERR_OK && r != ERR_MORE)
        return r;
    note(a);
    *in = span_from(*in, used);
    if (r == ERR_MORE && in->len) {
        enum err kept = buf_append(&a->carry, *in);
        if (kept != ERR_OK)
            return why_fail(why, kept, "line too long", 0);
        *in = SPAN_EMPTY;
    }
    if (a->status == 200) {
        /* What the service takes back is no part of the stream. */
        *content = a->code[0] ? SPAN_EMPTY : part;
        return r;
    }
    enum err kept = buf_append(&a->problem, part);
    return kept == ERR_OK ? r : why_fail(why, kept, "body too long", 0);
}

enum err client_stream_take(struct client_stream *a, struct span *in, struct span *content,
                            struct why *why)
{
    *content = SPAN_EMPTY;
    if (a->is_over)
        return in->len ? why_fail(why, ERR_MALFORMED, "bytes after the answer's end", 0) : ERR_OK;
    if (!a->has_head)
        return take_head(a, in, why);
    return a->carry.len ? take_line(a, in, why) : take_body(a, in, content, why);
}
