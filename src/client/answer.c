/* answer.c - answers of the HTTP API: framing, then what they say. */
#include "client/client.h"

enum { RETRY_AFTER_MAX_S = 86400, STATUS_MAX = 599 };

void client_reader_init(struct client_reader *r)
{
    r->raw = BUF_INIT(CLIENT_HEAD_MAX_BYTES);
    r->body = BUF_INIT(CLIENT_BODY_MAX_BYTES);
    r->has_head = r->is_done = false;
}

void client_reader_clear(struct client_reader *r)
{
    buf_clear(&r->raw);
    buf_clear(&r->body);
    r->has_head = r->is_done = false;
}

/* Length of `in` up to and with the empty line that ends the head of which `before` is here
 * already; 0: it is not among these bytes. */
static size_t head_end(struct span before, struct span in)
{
    static const char end[] = "\r\n\r\n";
    size_t same = 0;

    /* How much of the end stands at the end of `before`: it may come in pieces. */
    for (size_t n = before.len < 3 ? before.len : 3; n > 0 && same == 0; n--)
        if (memcmp(before.ptr + before.len - n, end, n) == 0)
            same = n;
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.ptr[i];
        if (c == (uint8_t)end[same])
            same++;
        else
            same = c == '\r' ? 1 : 0;
        if (same == 4)
            return i + 1;
    }
    return 0;
}

/* Is this the beginning of an HTTP answer? So that another protocol is not waited for. */
static bool is_http_so_far(struct span s)
{
    static const char start[] = "HTTP/1.";
    size_t n = s.len < sizeof start - 1 ? s.len : sizeof start - 1;

    return n == 0 || memcmp(s.ptr, start, n) == 0;
}

static enum err feed_head(struct client_reader *r, struct span in, size_t *used, struct why *why)
{
    size_t n = head_end(buf_view(&r->raw), in);
    size_t parsed;

    enum err e = buf_append(&r->raw, n ? span_sub(in, 0, n) : in);
    if (e != ERR_OK)
        return why_fail(why, e, "head of the answer is too long", r->raw.len);
    *used = n ? n : in.len;
    if (!is_http_so_far(buf_view(&r->raw)))
        return why_fail(why, ERR_MALFORMED, "not an HTTP answer", 0);
    if (n == 0)
        return ERR_MORE;
    e = http1_response_parse(buf_view(&r->raw), false, &r->head, &parsed, why);
    if (e != ERR_OK)
        return e == ERR_MORE ? why_fail(why, ERR_MALFORMED, "not an HTTP answer", 0) : e;
    if (r->head.status == 101)
        return why_fail(why, ERR_MALFORMED, "another protocol than was asked for", 0);
    if (r->head.status < 200) {
        buf_reset(&r->raw);
        return ERR_OK;
    }
    r->left = http1_body_init(&r->head, CLIENT_BODY_MAX_BYTES);
    r->has_head = true;
    return ERR_OK;
}

static enum err reserve_body(struct client_reader *r)
{
    uint8_t *room;

    if (r->head.framing != HTTP1_LENGTH || r->head.content_length >= CLIENT_BODY_MAX_BYTES)
        return ERR_OK;
    /* One more for a NUL that the caller may want behind it. */
    return buf_reserve(&r->body, (size_t)r->head.content_length + 1, &room);
}

static enum err feed_body(struct client_reader *r, struct span in, size_t *used, struct why *why)
{
    enum err e = ERR_OK;
    size_t at = 0;

    while (e == ERR_OK && !r->is_done) {
        struct span content;
        size_t taken = 0;
        e = http1_body_next(&r->left, span_from(in, at), &content, &taken, &r->is_done, why);
        if (e != ERR_OK && e != ERR_MORE)
            return e;
        /* A claim of a length costs nothing before its first byte. */
        if (content.len && r->body.len == 0 && reserve_body(r) != ERR_OK)
            return why_fail(why, ERR_NOMEM, "no memory for the answer", 0);
        if (buf_append(&r->body, content) != ERR_OK)
            return why_fail(why, ERR_NOMEM, "no memory for the answer", 0);
        at += taken;
    }
    *used = at;
    return r->is_done ? ERR_OK : ERR_MORE;
}

enum err client_reader_feed(struct client_reader *r, struct span in, size_t *used, struct why *why)
{
    size_t at = 0, n = 0;
    enum err e = ERR_OK;

    while (!r->has_head && e == ERR_OK && at < in.len) {
        e = feed_head(r, span_from(in, at), &n, why);
        at += n;
        n = 0;
    }
    if (e == ERR_OK && r->has_head)
        e = feed_body(r, span_from(in, at), &n, why);
    else if (e == ERR_OK)
        e = ERR_MORE;
    *used = at + n;
    return e;
}

enum err client_reader_eof(struct client_reader *r)
{
    if (!r->has_head || http1_body_eof(&r->left) != ERR_OK)
        return ERR_MALFORMED;
    r->is_done = true;
    return ERR_OK;
}

static bool is_type(struct span value, const char *type)
{
    return span_eq_nocase(span_trim(span_cut(&value, ';')), span_str(type));
}

static struct span header(const struct client_reader *r, const char *name)
{
    struct span value = http1_header_get(&r->head, name);

    return span_is_utf8(value) ? value : SPAN_EMPTY;
}

enum err client_bytes_parse(const struct client_reader *r, size_t min, size_t max,
                            struct client_bytes *out, struct why *why)
{
    if (r->head.status != 200)
        return why_fail(why, ERR_MALFORMED, "status other than 200", 0);
    if (!is_type(http1_header_get(&r->head, "content-type"), "application/octet-stream"))
        return why_fail(why, ERR_MALFORMED, "content type other than application/octet-stream", 0);
    if (r->body.len < min || r->body.len > max)
        return why_fail(why, ERR_MALFORMED, "body of another length", r->body.len);
    *out = (struct client_bytes){ buf_view(&r->body), header(r, "nitroseal-key-id"),
                                  header(r, "nitroseal-request-id") };
    return ERR_OK;
}

enum err client_sealed_parse(const struct client_reader *r, struct client_sealed *out,
                             struct why *why)
{
    struct span signature = header(r, "nitroseal-signature");
    struct span blob = header(r, "nitroseal-ciphertext-blob");
    struct client_bytes b;
    enum err e = client_bytes_parse(r, CLIENT_OVERHEAD_BYTES, SIZE_MAX, &b, why);

    if (e != ERR_OK)
        return e;
    if (signature.len == 0)
        return why_fail(why, ERR_MALFORMED, "header Nitroseal-Signature is missing", 0);
    if (blob.len == 0)
        return why_fail(why, ERR_MALFORMED, "header Nitroseal-Ciphertext-Blob is missing", 0);
    *out = (struct client_sealed){ b.bytes, signature, blob, b.key_id, b.request_id };
    return ERR_OK;
}

enum err client_text_parse(const struct client_reader *r, enum proto_op op,
                           struct proto_answer *out, struct why *why)
{
    struct proto_answer a;

    if (r->head.status != 200)
        return why_fail(why, ERR_MALFORMED, "status other than 200", 0);
    enum err e = proto_answer_parse(buf_view(&r->body), op, &a, why);
    if (e != ERR_OK)
        return e;
    if (json_str_is_set(a.error))
        return why_fail(why, ERR_MALFORMED, "an error with status 200", 0);
    *out = a;
    return ERR_OK;
}

static void take_member(struct json_in *j, struct json_str name, struct client_problem *p)
{
    const struct {
        const char *name;
        struct json_str *to;
    } table[] = {
        { "title", &p->title },
        { "code", &p->code },
        { "detail", &p->detail },
        { "hint", &p->hint },
        { "kms_type", &p->kms_type },
        { "kms_message", &p->kms_message },
        { "kms_request_id", &p->kms_request_id },
        { "request_id", &p->request_id },
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (json_str_is(name, table[i].name) && json_in_peek(j) == JSON_KIND_STRING) {
            *table[i].to = json_in_string(j);
            return;
        }
    }
    json_in_skip(j);
}

static unsigned status_of(struct span number)
{
    uint64_t v = 0;

    return span_to_u64(number, STATUS_MAX, &v) == ERR_OK ? (unsigned)v : 0;
}

enum err client_problem_read(struct span json, struct client_problem *out)
{
    struct json_in j = json_in_init(json);
    struct client_problem p = { .status = 0 };
    struct json_str name;

    for (json_in_object(&j); json_in_member(&j, &name);) {
        if (json_str_is(name, "status") && json_in_peek(&j) == JSON_KIND_NUMBER)
            p.status = status_of(json_in_number(&j));
        else
            take_member(&j, name, &p);
    }
    enum err r = json_in_end(&j);
    if (r == ERR_OK)
        *out = p;
    return r;
}

struct client_refusal client_reader_refusal(const struct client_reader *r)
{
    return (struct client_refusal){ r->head.status, http1_header_get(&r->head, "content-type"),
                                    http1_header_get(&r->head, "retry-after"), buf_view(&r->body) };
}

void client_problem_parse(const struct client_refusal *r, struct client_problem *out)
{
    struct client_problem p = { .status = 0 };
    uint64_t seconds = 0;

    if (is_type(r->content_type, "application/problem+json") &&
        client_problem_read(r->body, &p) != ERR_OK)
        p = (struct client_problem){ .status = 0 };
    p.status = r->status;
    /* A date, which RFC 9110 allows too, is taken for nothing. */
    if (span_to_u64(r->retry_after, RETRY_AFTER_MAX_S, &seconds) == ERR_OK)
        p.retry_after_s = (unsigned)seconds;
    *out = p;
}
