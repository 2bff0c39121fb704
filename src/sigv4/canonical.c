#include "sigv4/canonical.h"

#include "base/hex.h"
#include "base/percent.h"

enum {
    QUERY_PARAMS_MAX = 64,
    ENCODED_BYTES = 3, /* "%E1": what one byte can become */
};

/* Appends until something fails; the failure stays. */
struct sink {
    struct buf *out;
    enum err err;
};

static void put(struct sink *w, struct span s)
{
    if (w->err == ERR_OK)
        w->err = buf_append(w->out, s);
}

static void put_byte(struct sink *w, uint8_t c)
{
    put(w, span_of(&c, 1));
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static int compare_bytes(struct span a, struct span b, uint8_t (*map)(uint8_t))
{
    size_t n = a.len < b.len ? a.len : b.len;

    for (size_t i = 0; i < n; i++) {
        uint8_t x = map ? map(a.ptr[i]) : a.ptr[i];
        uint8_t y = map ? map(b.ptr[i]) : b.ptr[i];
        if (x != y)
            return x < y ? -1 : 1;
    }
    return a.len == b.len ? 0 : a.len < b.len ? -1 : 1;
}

enum err selection_add(struct selection *sel, const struct sigv4_request *rq, size_t at)
{
    if (sel->n == SIGV4_HEADERS_MAX || at > UINT16_MAX)
        return ERR_LIMIT;
    size_t i = sel->n++;
    for (; i > 0; i--) {
        struct span before = rq->headers[sel->at[i - 1]].name;
        if (compare_bytes(before, rq->headers[at].name, lower) <= 0)
            break;
        sel->at[i] = sel->at[i - 1];
    }
    sel->at[i] = (uint16_t)at;
    return ERR_OK;
}

struct span header_only(const struct sigv4_request *rq, const char *name)
{
    struct span found = SPAN_EMPTY;

    for (size_t i = 0; i < rq->n_headers; i++) {
        if (!span_eq_nocase(rq->headers[i].name, span_str(name)))
            continue;
        if (found.ptr)
            return SPAN_EMPTY;
        found = span_trim(rq->headers[i].value);
    }
    return found;
}

static void put_encoded(struct sink *w, struct span s, bool escapes_stay)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (percent_is_unreserved(c) || (c == '%' && escapes_stay)) {
            put_byte(w, c);
            continue;
        }
        char escape[ENCODED_BYTES] = { '%', digits[c >> 4], digits[c & 15] };
        put(w, SPAN_ARRAY(escape));
    }
}

/* "/a/b/../c/" to "/a/c/" (RFC 3986 section 5.2.4); empty segments go too. */
static void put_path(struct sink *w, struct span path, bool keep)
{
    size_t start = w->out->len;
    struct span rest = path.len && path.ptr[0] == '/' ? span_from(path, 1) : path;

    while (w->err == ERR_OK && rest.ptr) {
        struct span segment = span_cut(&rest, '/');
        if (!keep && (segment.len == 0 || span_is(segment, ".")))
            continue;
        if (!keep && span_is(segment, "..")) {
            size_t at = w->out->len;
            while (at > start && w->out->ptr[--at] != '/')
                ;
            buf_truncate(w->out, at);
            continue;
        }
        put_byte(w, '/');
        put_encoded(w, segment, false);
    }
    bool is_folder = !keep && path.len && path.ptr[path.len - 1] == '/';
    if (is_folder || w->out->len == start)
        put_byte(w, '/');
}

/* Offsets into the scratch, which may move while it grows. */
struct param {
    size_t name, name_len, value, value_len;
};

static int param_compare(const struct param *a, const struct param *b, struct span text)
{
    int c = compare_bytes(span_sub(text, a->name, a->name_len),
                          span_sub(text, b->name, b->name_len), NULL);

    return c ? c
             : compare_bytes(span_sub(text, a->value, a->value_len),
                             span_sub(text, b->value, b->value_len), NULL);
}

static size_t encode_into(struct sink *w, struct span s)
{
    size_t before = w->out->len;

    put_encoded(w, s, true);
    return w->out->len - before;
}

/* Parameters by name, then by value, as they look when encoded; a name alone becomes "name=". */
static void put_query(struct sink *w, struct span query)
{
    AUTO(buf_clear) struct buf scratch = BUF_INIT(query.len * ENCODED_BYTES);
    struct sink s = { .out = &scratch };
    struct param list[QUERY_PARAMS_MAX];
    size_t n = 0;

    while (query.len > 0) {
        struct span value = span_cut(&query, '&');
        if (value.len == 0)
            continue;
        if (n == QUERY_PARAMS_MAX) {
            w->err = ERR_LIMIT;
            return;
        }
        struct param p = { .name = scratch.len };
        struct span name = span_cut(&value, '=');
        p.name_len = encode_into(&s, name);
        p.value = scratch.len;
        p.value_len = encode_into(&s, value);
        size_t i = n++;
        for (; i > 0 && param_compare(&list[i - 1], &p, buf_view(&scratch)) > 0; i--)
            list[i] = list[i - 1];
        list[i] = p;
    }
    if (s.err != ERR_OK)
        w->err = s.err;
    for (size_t i = 0; i < n && w->err == ERR_OK; i++) {
        if (i)
            put_byte(w, '&');
        put(w, span_sub(buf_view(&scratch), list[i].name, list[i].name_len));
        put_byte(w, '=');
        put(w, span_sub(buf_view(&scratch), list[i].value, list[i].value_len));
    }
}

static void put_lower(struct sink *w, struct span s)
{
    uint8_t *to;

    if (w->err == ERR_OK)
        w->err = buf_reserve(w->out, s.len, &to);
    if (w->err != ERR_OK)
        return;
    for (size_t i = 0; i < s.len; i++)
        to[i] = lower(s.ptr[i]);
    buf_commit(w->out, s.len);
}

/* A folded header's line end counts as a blank too. */
static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Trimmed, and each run of blanks inside as one space. */
static void put_value(struct sink *w, struct span s)
{
    bool any = false;

    for (size_t i = 0; i < s.len;) {
        size_t end = i;
        while (end < s.len && !is_blank(s.ptr[end]))
            end++;
        if (end > i) {
            if (any)
                put_byte(w, ' ');
            put(w, span_sub(s, i, end - i));
            any = true;
        }
        i = end + 1;
    }
}

static bool same_name_as_before(const struct selection *sel, const struct sigv4_request *rq,
                                size_t i)
{
    return i > 0 && span_eq_nocase(rq->headers[sel->at[i]].name, rq->headers[sel->at[i - 1]].name);
}

static void put_headers(struct sink *w, const struct selection *sel, const struct sigv4_request *rq)
{
    for (size_t i = 0; i < sel->n; i++) {
        const struct sigv4_header *h = &rq->headers[sel->at[i]];
        if (same_name_as_before(sel, rq, i)) {
            put_byte(w, ',');
        } else {
            if (i > 0)
                put_byte(w, '\n');
            put_lower(w, h->name);
            put_byte(w, ':');
        }
        put_value(w, h->value);
    }
    put_byte(w, '\n');
}

static void put_names(struct sink *w, const struct selection *sel, const struct sigv4_request *rq)
{
    for (size_t i = 0; i < sel->n; i++) {
        if (same_name_as_before(sel, rq, i))
            continue;
        if (i > 0)
            put_byte(w, ';');
        put_lower(w, rq->headers[sel->at[i]].name);
    }
}

enum err selection_names(const struct selection *sel, const struct sigv4_request *rq,
                         struct buf *out)
{
    struct sink w = { .out = out };
    size_t before = out->len;

    put_names(&w, sel, rq);
    if (w.err != ERR_OK)
        buf_truncate(out, before);
    return w.err;
}

/* The value of x-amz-content-sha256 where the request has it, whatever it says: comparing it with
 * the body is the verifier's. */
static void put_body_hash(struct sink *w, const struct sigv4_request *rq)
{
    struct span given = header_only(rq, "x-amz-content-sha256");
    uint8_t hash[SHA256_BYTES];
    struct span known = span_of(rq->body_sha256, SHA256_BYTES);

    if (given.ptr) {
        put(w, given);
        return;
    }
    if (!rq->body_sha256)
        sha256(rq->body, hash);
    if (w->err == ERR_OK)
        w->err = hex_append(w->out, rq->body_sha256 ? known : SPAN_ARRAY(hash));
}

enum err canonical_write(const struct sigv4_request *rq, const struct selection *sel,
                         struct buf *out)
{
    size_t before = out->len, likely = rq->method.len + rq->path.len + rq->query.len + 128;
    struct sink w = { .out = out };
    uint8_t *room;

    for (size_t i = 0; i < sel->n; i++)
        likely += 2 * rq->headers[sel->at[i]].name.len + rq->headers[sel->at[i]].value.len + 3;
    w.err = buf_reserve(out, likely, &room); /* so that it does not grow in steps */
    put(&w, rq->method);
    put_byte(&w, '\n');
    put_path(&w, rq->path, rq->keep_path);
    put_byte(&w, '\n');
    put_query(&w, rq->query);
    put_byte(&w, '\n');
    put_headers(&w, sel, rq);
    put_byte(&w, '\n');
    put_names(&w, sel, rq);
    put_byte(&w, '\n');
    put_body_hash(&w, rq);
    if (w.err != ERR_OK)
        buf_truncate(out, before);
    return w.err;
}
