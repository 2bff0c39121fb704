#include "base/json.h"

#include "base/json_escape.h"

struct json_in json_in_init(struct span in)
{
    struct json_in j = { .in = in };

    if (in.len > UINT32_MAX) /* names are kept as 32-bit offsets */
        json_in_fail(&j, ERR_LIMIT, "input");
    return j;
}

void json_in_fail(struct json_in *j, enum err r, const char *what)
{
    if (j->err != ERR_OK)
        return;
    j->err = r;
    j->what = what;
}

static bool at_end(const struct json_in *j)
{
    return j->err != ERR_OK || j->pos >= j->in.len;
}

static void skip_space(struct json_in *j)
{
    while (!at_end(j)) {
        uint8_t c = j->in.ptr[j->pos];
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
            return;
        j->pos++;
    }
}

/* The next character after white space, or 0. */
static uint8_t next_char(struct json_in *j)
{
    skip_space(j);
    return at_end(j) ? 0 : j->in.ptr[j->pos];
}

/* Take `c`, or fail saying what was expected. */
static bool take(struct json_in *j, uint8_t c, const char *what)
{
    if (next_char(j) == c && !at_end(j)) {
        j->pos++;
        return true;
    }
    json_in_fail(j, ERR_MALFORMED, j->pos >= j->in.len ? "end of input" : what);
    return false;
}

enum json_kind json_in_peek(struct json_in *j)
{
    switch (next_char(j)) {
    case '{':
        return JSON_KIND_OBJECT;
    case '[':
        return JSON_KIND_ARRAY;
    case '"':
        return JSON_KIND_STRING;
    case 't':
        return JSON_KIND_TRUE;
    case 'f':
        return JSON_KIND_FALSE;
    case 'n':
        return JSON_KIND_NULL;
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return JSON_KIND_NUMBER;
    default:
        return JSON_KIND_NONE;
    }
}

static bool open_level(struct json_in *j, uint8_t bracket)
{
    if (!take(j, bracket, "type"))
        return false;
    if (j->depth == JSON_DEPTH_MAX) {
        j->pos--;
        json_in_fail(j, ERR_LIMIT, "depth");
        return false;
    }
    j->first[j->depth] = true;
    j->members_base[j->depth] = j->n_names;
    j->depth++;
    return true;
}

static void close_level(struct json_in *j)
{
    j->pos++;
    j->depth--;
    j->n_names = j->members_base[j->depth];
}

/* True if an element or member comes next; false at the closing bracket, which is taken, or after a
 * fault. */
static bool next_in_level(struct json_in *j, uint8_t bracket)
{
    if (j->err != ERR_OK || j->depth == 0)
        return false;
    if (next_char(j) == bracket && !at_end(j)) {
        close_level(j);
        return false;
    }
    if (!j->first[j->depth - 1] && !take(j, ',', "comma"))
        return false;
    j->first[j->depth - 1] = false;
    return true;
}

void json_in_object(struct json_in *j)
{
    open_level(j, '{');
}

void json_in_array(struct json_in *j)
{
    open_level(j, '[');
}

bool json_in_element(struct json_in *j)
{
    return next_in_level(j, ']');
}

/* The name that starts at offset `at`, which has been checked before. */
static struct json_str name_at(const struct json_in *j, uint32_t at)
{
    struct json_str s = { .raw = span_from(j->in, at) };
    size_t n = 0;

    for (; s.raw.ptr[n] != '"'; n++) {
        if (s.raw.ptr[n] != '\\')
            continue;
        s.escaped = true;
        n++; /* whatever is escaped is not the end */
    }
    s.raw.len = n;
    return s;
}

static bool same_name(struct json_str a, struct json_str b)
{
    if (!a.escaped && !b.escaped)
        return span_eq(a.raw, b.raw);
    struct span x = a.raw, y = b.raw;
    while (x.len && y.len)
        if (json_str_next(&x) != json_str_next(&y))
            return false;
    return x.len == y.len;
}

static void remember_name(struct json_in *j, struct json_str name)
{
    for (unsigned i = j->members_base[j->depth - 1]; i < j->n_names; i++)
        if (same_name(name_at(j, j->names[i]), name)) {
            j->pos = (size_t)(name.raw.ptr - j->in.ptr);
            json_in_fail(j, ERR_MALFORMED, "duplicate member");
            return;
        }
    if (j->n_names == JSON_MEMBERS_MAX) {
        json_in_fail(j, ERR_LIMIT, "members");
        return;
    }
    j->names[j->n_names++] = (uint32_t)(name.raw.ptr - j->in.ptr);
}

bool json_in_member(struct json_in *j, struct json_str *name)
{
    if (!next_in_level(j, '}'))
        return false;
    struct json_str s = json_in_string(j);
    if (j->err != ERR_OK)
        return false;
    remember_name(j, s);
    if (!take(j, ':', "colon"))
        return false;
    *name = s;
    return true;
}

/* Length of the escape at the start of `s`, 0 if it is wrong; a surrogate pair is one escape. */
static size_t escape_len(struct span s)
{
    if (s.len < 2)
        return 0;
    if (s.ptr[1] != 'u')
        return memchr("\"\\/bfnrt", s.ptr[1], 8) ? 2 : 0;
    int32_t high = json_unicode_escape(s);
    if (high < 0 || (high >= 0xdc00 && high <= 0xdfff))
        return 0;
    if (high < 0xd800 || high > 0xdbff)
        return 6;
    int32_t low = json_unicode_escape(span_from(s, 6));
    return low >= 0xdc00 && low <= 0xdfff ? 12 : 0;
}

/* Bytes of escapes that follow each other at the start of `s`: clients that write all but ASCII as
 * escapes send little else. 0: the first one is wrong. */
static size_t escape_run(struct span s)
{
    size_t i = 0, n = 1;

    while (n && i < s.len && s.ptr[i] == '\\') {
        n = escape_len(span_from(s, i));
        i += n;
    }
    return i;
}

struct json_str json_in_string(struct json_in *j)
{
    struct json_str s = { .escaped = false };

    if (!take(j, '"', "type"))
        return JSON_STR_NONE;
    size_t start = j->pos;
    for (;;) {
        j->pos += json_plain_run(span_from(j->in, j->pos), true);
        struct span rest = span_from(j->in, j->pos);
        size_t n = 0;
        if (rest.len == 0) {
            json_in_fail(j, ERR_MALFORMED, "end of input");
            return JSON_STR_NONE;
        }
        if (rest.ptr[0] == '"')
            break;
        const char *what = "control character";
        if (rest.ptr[0] == '\\') {
            what = "escape";
            n = escape_run(rest);
            s.escaped = true;
        } else if (rest.ptr[0] >= 0x80) {
            what = "UTF-8";
            n = span_utf8_run(rest);
        }
        if (n == 0) {
            json_in_fail(j, ERR_MALFORMED, what);
            return JSON_STR_NONE;
        }
        j->pos += n;
    }
    s.raw = span_sub(j->in, start, j->pos - start);
    j->pos++;
    return s;
}

static void literal(struct json_in *j, const char *text)
{
    skip_space(j);
    if (span_starts(span_from(j->in, j->pos), text))
        j->pos += strlen(text);
    else
        json_in_fail(j, ERR_MALFORMED, at_end(j) ? "end of input" : "literal");
}

bool json_in_bool(struct json_in *j)
{
    enum json_kind t = json_in_peek(j);

    if (j->err != ERR_OK)
        return false;
    if (t != JSON_KIND_TRUE && t != JSON_KIND_FALSE) {
        json_in_fail(j, ERR_MALFORMED, at_end(j) ? "end of input" : "type");
        return false;
    }
    literal(j, t == JSON_KIND_TRUE ? "true" : "false");
    return t == JSON_KIND_TRUE && j->err == ERR_OK;
}

void json_in_null(struct json_in *j)
{
    if (j->err == ERR_OK)
        literal(j, "null");
}

static size_t digits(struct span s)
{
    size_t n = 0;

    while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9')
        n++;
    return n;
}

/* Length of the number at the start of `s`, 0 if there is none (RFC 8259 section 6). */
static size_t number_len(struct span s)
{
    size_t n = s.len && s.ptr[0] == '-' ? 1 : 0, d = digits(span_from(s, n));

    if (d == 0 || (d > 1 && s.ptr[n] == '0'))
        return 0;
    n += d;
    if (n < s.len && s.ptr[n] == '.') {
        d = digits(span_from(s, n + 1));
        if (d == 0)
            return 0;
        n += 1 + d;
    }
    if (n < s.len && (s.ptr[n] | 0x20) == 'e') {
        n++;
        if (n < s.len && (s.ptr[n] == '+' || s.ptr[n] == '-'))
            n++;
        d = digits(span_from(s, n));
        return d ? n + d : 0;
    }
    return n;
}

struct span json_in_number(struct json_in *j)
{
    if (json_in_peek(j) != JSON_KIND_NUMBER) {
        json_in_fail(j, ERR_MALFORMED, at_end(j) ? "end of input" : "type");
        return SPAN_EMPTY;
    }
    size_t n = number_len(span_from(j->in, j->pos));
    if (n == 0) {
        json_in_fail(j, ERR_MALFORMED, "number");
        return SPAN_EMPTY;
    }
    struct span s = span_sub(j->in, j->pos, n);
    j->pos += n;
    return s;
}

uint64_t json_in_uint(struct json_in *j, uint64_t max)
{
    struct span s = json_in_number(j);
    uint64_t v = 0;

    if (j->err != ERR_OK)
        return 0;
    enum err r = span_to_u64(s, max, &v);
    if (r == ERR_OK)
        return v;
    j->pos -= s.len;
    json_in_fail(j, r, "integer");
    return 0;
}

/* One value that is no container, or the opening of one. */
static void skip_head(struct json_in *j, bool *is_object)
{
    switch (json_in_peek(j)) {
    case JSON_KIND_OBJECT:
        is_object[j->depth] = true;
        json_in_object(j);
        return;
    case JSON_KIND_ARRAY:
        is_object[j->depth] = false;
        json_in_array(j);
        return;
    case JSON_KIND_STRING:
        json_in_string(j);
        return;
    case JSON_KIND_NUMBER:
        json_in_number(j);
        return;
    case JSON_KIND_TRUE:
    case JSON_KIND_FALSE:
        json_in_bool(j);
        return;
    case JSON_KIND_NULL:
        json_in_null(j);
        return;
    case JSON_KIND_NONE:
        json_in_fail(j, ERR_MALFORMED, at_end(j) ? "end of input" : "value");
        return;
    }
}

struct span json_in_skip(struct json_in *j)
{
    bool is_object[JSON_DEPTH_MAX + 1]; /* of the levels opened here */
    unsigned base = j->depth;

    skip_space(j);
    size_t start = j->pos;
    skip_head(j, is_object);
    while (j->err == ERR_OK && j->depth > base) {
        struct json_str name;
        bool more = is_object[j->depth - 1] ? json_in_member(j, &name) : json_in_element(j);
        if (more)
            skip_head(j, is_object);
    }
    return j->err == ERR_OK ? span_sub(j->in, start, j->pos - start) : SPAN_EMPTY;
}

enum err json_in_end(struct json_in *j)
{
    skip_space(j);
    if (j->err == ERR_OK && j->pos != j->in.len)
        json_in_fail(j, ERR_MALFORMED, "trailing bytes");
    return j->err;
}
