#include "base/base64.h"
#include "base/json.h"
#include "base/json_escape.h"

struct json_out json_out_init(struct buf *out)
{
    return (struct json_out){ .out = out };
}

struct json_out json_out_resume(struct buf *out)
{
    return (struct json_out){ .out = out, .comma = true };
}

static void put(struct json_out *w, struct span s)
{
    if (w->err == ERR_OK)
        w->err = buf_append(w->out, s);
}

static void put_str(struct json_out *w, const char *s)
{
    put(w, span_str(s));
}

/* What stands before a value; after it the next one needs a comma. */
static void begin_value(struct json_out *w)
{
    if (w->comma)
        put_str(w, ",");
    w->comma = true;
}

static void open_with(struct json_out *w, const char *bracket)
{
    begin_value(w);
    put_str(w, bracket);
    w->comma = false;
}

static void close_with(struct json_out *w, const char *bracket)
{
    put_str(w, bracket);
    w->comma = true;
}

void json_out_object(struct json_out *w)
{
    open_with(w, "{");
}

void json_out_object_end(struct json_out *w)
{
    close_with(w, "}");
}

void json_out_array(struct json_out *w)
{
    open_with(w, "[");
}

void json_out_array_end(struct json_out *w)
{
    close_with(w, "]");
}

static void put_escaped(struct json_out *w, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *hit = memchr(from, c, sizeof from - 1);
    uint8_t unicode[6] = { '\\', 'u', '0', '0', (uint8_t)hex[c >> 4], (uint8_t)hex[c & 15] };
    uint8_t pair[2] = { '\\', 0 };

    if (hit)
        pair[1] = (uint8_t)to[hit - from];
    put(w, hit ? SPAN_ARRAY(pair) : SPAN_ARRAY(unicode));
}

static void put_text(struct json_out *w, struct span text)
{
    put_str(w, "\"");
    while (text.len && w->err == ERR_OK) {
        size_t run = json_plain_run(text, false);
        put(w, span_sub(text, 0, run));
        if (run < text.len)
            put_escaped(w, text.ptr[run++]);
        text = span_from(text, run);
    }
    put_str(w, "\"");
}

void json_out_key(struct json_out *w, const char *name)
{
    json_out_key_text(w, span_str(name));
}

void json_out_key_text(struct json_out *w, struct span name)
{
    json_out_string(w, name);
    put_str(w, ":");
    w->comma = false;
}

void json_out_string(struct json_out *w, struct span text)
{
    if (w->err == ERR_OK && !span_is_utf8(text))
        w->err = ERR_MALFORMED;
    begin_value(w);
    put_text(w, text);
}

void json_out_raw_string(struct json_out *w, struct json_str s)
{
    begin_value(w);
    put_str(w, "\"");
    put(w, s.raw);
    put_str(w, "\"");
}

void json_out_base64(struct json_out *w, struct span data)
{
    begin_value(w);
    put_str(w, "\"");
    if (w->err == ERR_OK)
        w->err = base64_append(w->out, data);
    put_str(w, "\"");
}

void json_out_uint(struct json_out *w, uint64_t v)
{
    begin_value(w);
    if (w->err == ERR_OK)
        w->err = buf_append_uint(w->out, v);
}

void json_out_int(struct json_out *w, int64_t v)
{
    begin_value(w);
    if (w->err == ERR_OK)
        w->err = buf_printf(w->out, "%lld", (long long)v);
}

void json_out_bool(struct json_out *w, bool v)
{
    begin_value(w);
    put_str(w, v ? "true" : "false");
}

void json_out_null(struct json_out *w)
{
    begin_value(w);
    put_str(w, "null");
}

void json_out_raw(struct json_out *w, struct span value)
{
    begin_value(w);
    put(w, value);
}

enum err json_out_end(struct json_out *w)
{
    return w->err;
}
