#include "base/cbor.h"

enum {
    MAJOR_UINT,
    MAJOR_NINT,
    MAJOR_BSTR,
    MAJOR_TSTR,
    MAJOR_ARRAY,
    MAJOR_MAP,
    MAJOR_TAG,
    MAJOR_SIMPLE,
    SIMPLE_FALSE = 20,
    SIMPLE_TRUE = 21,
    SIMPLE_NULL = 22,
    INFO_INDEFINITE = 31,
    BREAK = 0xff,
    INDEFINITE_MAP = 0xbf,
};

struct head {
    unsigned major, info;
    uint64_t value;
    size_t len; /* bytes of the head itself */
};

struct cbor_in cbor_in_init(struct span in)
{
    return (struct cbor_in){ .in = in };
}

void cbor_in_fail(struct cbor_in *c, enum err r, const char *what)
{
    if (c->err != ERR_OK)
        return;
    c->err = r;
    c->what = what;
}

/* Decode the head at the cursor without moving it. False after setting the fault. */
static bool head_at(struct cbor_in *c, struct head *h)
{
    if (c->err != ERR_OK)
        return false;
    if (c->pos >= c->in.len) {
        cbor_in_fail(c, ERR_MALFORMED, "end of input");
        return false;
    }
    const uint8_t *p = c->in.ptr + c->pos;
    *h = (struct head){ .major = p[0] >> 5, .info = p[0] & 31u, .value = p[0] & 31u, .len = 1 };
    if (h->info < 24 || h->info == INFO_INDEFINITE)
        return true;
    if (h->info > 27) {
        cbor_in_fail(c, ERR_MALFORMED, "head");
        return false;
    }
    size_t n = (size_t)1 << (h->info - 24);
    if (c->in.len - c->pos - 1 < n) {
        cbor_in_fail(c, ERR_MALFORMED, "end of input");
        return false;
    }
    h->value = 0;
    for (size_t i = 0; i < n; i++)
        h->value = h->value << 8 | p[1 + i];
    h->len = 1 + n;
    return true;
}

/* RFC 8949 section 4.2.1: the shortest head for its value. A float's value is no length, so not
 * asked. */
static bool is_minimal(const struct head *h)
{
    switch (h->len) {
    case 2:
        return h->value >= 24;
    case 3:
        return h->value > UINT8_MAX;
    case 5:
        return h->value > UINT16_MAX;
    case 9:
        return h->value > UINT32_MAX;
    default:
        return true;
    }
}

/* Take a head of that major type, definite and minimal. */
static bool take(struct cbor_in *c, unsigned major, const char *wrong, struct head *h)
{
    if (!head_at(c, h))
        return false;
    if (h->major != major) {
        cbor_in_fail(c, ERR_MALFORMED, wrong);
        return false;
    }
    if (h->info == INFO_INDEFINITE || !is_minimal(h)) {
        cbor_in_fail(c, ERR_MALFORMED, "head");
        return false;
    }
    c->pos += h->len;
    return true;
}

enum cbor_type cbor_in_peek(const struct cbor_in *c)
{
    if (c->err != ERR_OK || c->pos >= c->in.len)
        return CBOR_NONE;
    uint8_t b = c->in.ptr[c->pos];
    if (b == BREAK)
        return CBOR_BREAK;
    switch (b >> 5) {
    case MAJOR_UINT:
        return CBOR_UINT;
    case MAJOR_NINT:
        return CBOR_NINT;
    case MAJOR_BSTR:
        return CBOR_BSTR;
    case MAJOR_TSTR:
        return CBOR_TSTR;
    case MAJOR_ARRAY:
        return CBOR_ARRAY;
    case MAJOR_MAP:
        return CBOR_MAP;
    case MAJOR_TAG:
        return CBOR_TAG;
    default:
        break;
    }
    switch (b & 31) {
    case SIMPLE_FALSE:
    case SIMPLE_TRUE:
        return CBOR_BOOL;
    case SIMPLE_NULL:
        return CBOR_NULL;
    default:
        return CBOR_OTHER;
    }
}

uint64_t cbor_in_uint(struct cbor_in *c, uint64_t max)
{
    struct head h;

    if (!take(c, MAJOR_UINT, "type", &h))
        return 0;
    if (h.value <= max)
        return h.value;
    c->pos -= h.len;
    cbor_in_fail(c, ERR_LIMIT, "integer");
    return 0;
}

int64_t cbor_in_int(struct cbor_in *c)
{
    struct head h;

    if (cbor_in_peek(c) != CBOR_NINT)
        return (int64_t)cbor_in_uint(c, INT64_MAX);
    if (!take(c, MAJOR_NINT, "type", &h))
        return 0;
    if (h.value <= INT64_MAX)
        return -1 - (int64_t)h.value;
    c->pos -= h.len;
    cbor_in_fail(c, ERR_LIMIT, "integer");
    return 0;
}

bool cbor_in_bool(struct cbor_in *c)
{
    enum cbor_type type = cbor_in_peek(c);
    struct head h;

    if (type != CBOR_BOOL) {
        cbor_in_fail(c, ERR_MALFORMED, type == CBOR_NONE ? "end of input" : "type");
        return false;
    }
    return take(c, MAJOR_SIMPLE, "type", &h) && h.value == SIMPLE_TRUE;
}

bool cbor_in_null_opt(struct cbor_in *c)
{
    if (cbor_in_peek(c) != CBOR_NULL)
        return false;
    c->pos++;
    return true;
}

static struct span string(struct cbor_in *c, unsigned major, size_t max, const char *too_long)
{
    size_t start = c->pos;
    struct head h;

    if (!take(c, major, "type", &h))
        return SPAN_EMPTY;
    const char *what = h.value > max ? too_long : "end of input";
    if (h.value > max || h.value > c->in.len - c->pos) {
        c->pos = start;
        cbor_in_fail(c, h.value > max ? ERR_LIMIT : ERR_MALFORMED, what);
        return SPAN_EMPTY;
    }
    struct span s = span_sub(c->in, c->pos, (size_t)h.value);
    if (major == MAJOR_TSTR && !span_is_utf8(s)) {
        c->pos = start;
        cbor_in_fail(c, ERR_MALFORMED, "UTF-8");
        return SPAN_EMPTY;
    }
    c->pos += (size_t)h.value;
    return s;
}

struct span cbor_in_bstr(struct cbor_in *c, size_t max)
{
    return string(c, MAJOR_BSTR, max, "byte string");
}

struct span cbor_in_tstr(struct cbor_in *c, size_t max)
{
    return string(c, MAJOR_TSTR, max, "text string");
}

static void exactly(struct cbor_in *c, unsigned major, uint64_t n, const char *what)
{
    struct head h;

    if (!take(c, major, "type", &h) || h.value == n)
        return;
    c->pos -= h.len;
    cbor_in_fail(c, ERR_MALFORMED, what);
}

void cbor_in_array(struct cbor_in *c, uint64_t n)
{
    exactly(c, MAJOR_ARRAY, n, "array length");
}

void cbor_in_map(struct cbor_in *c, uint64_t n)
{
    exactly(c, MAJOR_MAP, n, "map length");
}

static uint64_t upto(struct cbor_in *c, unsigned major, uint64_t max, const char *what)
{
    struct head h;

    if (!take(c, major, "type", &h))
        return 0;
    if (h.value <= max)
        return h.value;
    c->pos -= h.len;
    cbor_in_fail(c, ERR_LIMIT, what);
    return 0;
}

uint64_t cbor_in_array_upto(struct cbor_in *c, uint64_t max)
{
    return upto(c, MAJOR_ARRAY, max, "array length");
}

uint64_t cbor_in_map_upto(struct cbor_in *c, uint64_t max)
{
    return upto(c, MAJOR_MAP, max, "map length");
}

struct cbor_map cbor_in_map_any(struct cbor_in *c, uint64_t max)
{
    if (c->err == ERR_OK && c->pos < c->in.len && c->in.ptr[c->pos] == INDEFINITE_MAP) {
        c->pos++;
        return (struct cbor_map){ .left = max, .indefinite = true };
    }
    return (struct cbor_map){ .left = cbor_in_map_upto(c, max) };
}

bool cbor_in_map_next(struct cbor_in *c, struct cbor_map *m)
{
    if (c->err != ERR_OK)
        return false;
    if (m->indefinite && cbor_in_peek(c) == CBOR_BREAK) {
        c->pos++;
        m->left = 0;
        m->indefinite = false;
        return false;
    }
    if (m->left == 0) {
        if (m->indefinite)
            cbor_in_fail(c, ERR_LIMIT, "map length");
        return false;
    }
    m->left--;
    return true;
}

void cbor_in_tag_opt(struct cbor_in *c, uint64_t tag)
{
    struct head h;

    if (cbor_in_peek(c) != CBOR_TAG || !take(c, MAJOR_TAG, "type", &h) || h.value == tag)
        return;
    c->pos -= h.len;
    cbor_in_fail(c, ERR_MALFORMED, "tag");
}

/* Items that a head announces, each of which takes a byte at least: more than the input can hold is
 * a cut input. */
static uint64_t items_within(struct cbor_in *c, unsigned major, uint64_t per_entry)
{
    size_t start = c->pos;
    uint64_t n = upto(c, major, UINT64_MAX, "");

    if (n <= (c->in.len - c->pos) / per_entry)
        return n * per_entry;
    c->pos = start;
    cbor_in_fail(c, ERR_MALFORMED, "end of input");
    return 0;
}

/* How many items follow the head of the next item, which is passed over with its bytes. */
static uint64_t skip_one(struct cbor_in *c)
{
    switch (cbor_in_peek(c)) {
    case CBOR_UINT:
        cbor_in_uint(c, UINT64_MAX);
        break;
    case CBOR_NINT:
        (void)take(c, MAJOR_NINT, "type", &(struct head){ 0 });
        break;
    case CBOR_BSTR:
        cbor_in_bstr(c, SIZE_MAX);
        break;
    case CBOR_TSTR:
        cbor_in_tstr(c, SIZE_MAX);
        break;
    case CBOR_ARRAY:
        return items_within(c, MAJOR_ARRAY, 1);
    case CBOR_MAP:
        return items_within(c, MAJOR_MAP, 2);
    case CBOR_BOOL:
        cbor_in_bool(c);
        break;
    case CBOR_NULL:
        cbor_in_null_opt(c);
        break;
    case CBOR_NONE:
        cbor_in_fail(c, ERR_MALFORMED, "end of input");
        break;
    case CBOR_TAG:
    case CBOR_BREAK:
    case CBOR_OTHER:
        cbor_in_fail(c, ERR_MALFORMED, "type");
        break;
    }
    return 0;
}

struct span cbor_in_skip(struct cbor_in *c)
{
    uint64_t left[CBOR_DEPTH_MAX + 1] = { 1 };
    size_t depth = 0, start = c->pos;

    while (c->err == ERR_OK) {
        while (left[depth] == 0) {
            if (depth == 0)
                return span_sub(c->in, start, c->pos - start);
            depth--;
        }
        left[depth]--;
        size_t at = c->pos;
        uint64_t children = skip_one(c);
        if (children == 0)
            continue;
        if (depth == CBOR_DEPTH_MAX) {
            c->pos = at;
            cbor_in_fail(c, ERR_LIMIT, "depth");
            break;
        }
        left[++depth] = children;
    }
    return SPAN_EMPTY;
}

enum err cbor_in_end(struct cbor_in *c)
{
    if (c->err == ERR_OK && c->pos != c->in.len)
        cbor_in_fail(c, ERR_MALFORMED, "trailing bytes");
    return c->err;
}

struct cbor_out cbor_out_init(struct buf *out)
{
    return (struct cbor_out){ .out = out };
}

static void put(struct cbor_out *w, struct span s)
{
    if (w->err == ERR_OK)
        w->err = buf_append(w->out, s);
}

static void put_head(struct cbor_out *w, unsigned major, uint64_t v)
{
    uint8_t b[9];
    size_t n = v < 24 ? 0 : v <= UINT8_MAX ? 1 : v <= UINT16_MAX ? 2 : v <= UINT32_MAX ? 4 : 8;
    unsigned info = n == 0 ? (unsigned)v : n == 1 ? 24 : n == 2 ? 25 : n == 4 ? 26 : 27;

    b[0] = (uint8_t)(major << 5 | info);
    for (size_t i = 0; i < n; i++)
        b[1 + i] = (uint8_t)(v >> (8 * (n - 1 - i)));
    put(w, span_of(b, 1 + n));
}

static void put_byte(struct cbor_out *w, uint8_t b)
{
    put(w, span_of(&b, 1));
}

void cbor_out_uint(struct cbor_out *w, uint64_t v)
{
    put_head(w, MAJOR_UINT, v);
}

void cbor_out_int(struct cbor_out *w, int64_t v)
{
    if (v >= 0)
        put_head(w, MAJOR_UINT, (uint64_t)v);
    else
        put_head(w, MAJOR_NINT, (uint64_t)(-1 - v));
}

void cbor_out_bool(struct cbor_out *w, bool v)
{
    put_head(w, MAJOR_SIMPLE, v ? SIMPLE_TRUE : SIMPLE_FALSE);
}

void cbor_out_null(struct cbor_out *w)
{
    put_head(w, MAJOR_SIMPLE, SIMPLE_NULL);
}

void cbor_out_bstr(struct cbor_out *w, struct span s)
{
    put_head(w, MAJOR_BSTR, s.len);
    put(w, s);
}

void cbor_out_tstr(struct cbor_out *w, struct span s)
{
    put_head(w, MAJOR_TSTR, s.len);
    put(w, s);
}

void cbor_out_bstr_head(struct cbor_out *w, uint64_t len)
{
    put_head(w, MAJOR_BSTR, len);
}

void cbor_out_array(struct cbor_out *w, uint64_t n)
{
    put_head(w, MAJOR_ARRAY, n);
}

void cbor_out_map(struct cbor_out *w, uint64_t n)
{
    put_head(w, MAJOR_MAP, n);
}

void cbor_out_map_begin(struct cbor_out *w)
{
    put_byte(w, INDEFINITE_MAP);
}

void cbor_out_map_end(struct cbor_out *w)
{
    put_byte(w, BREAK);
}

void cbor_out_tag(struct cbor_out *w, uint64_t tag)
{
    put_head(w, MAJOR_TAG, tag);
}

enum err cbor_out_end(struct cbor_out *w)
{
    return w->err;
}
