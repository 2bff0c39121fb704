#include "base/json.h"

static enum err new_line(struct buf *out, unsigned depth)
{
    enum err r = buf_append_byte(out, '\n');

    for (unsigned i = 0; i < depth && r == ERR_OK; i++)
        r = buf_append_str(out, "  ");
    return r;
}

/* A string from its opening quote on; returns its length. */
static size_t string_len(struct span in)
{
    size_t n = 1;

    while (n < in.len && in.ptr[n] != '"')
        n += in.ptr[n] == '\\' ? 2 : 1;
    return n < in.len ? n + 1 : in.len;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static enum err punctuation(uint8_t c, bool empty, unsigned *depth, struct buf *out)
{
    bool opens = c == '{' || c == '[', closes = c == '}' || c == ']';
    enum err r = ERR_OK;

    if (closes && *depth)
        --*depth;
    if (closes && !empty)
        r = new_line(out, *depth);
    if (r == ERR_OK)
        r = buf_append_byte(out, c);
    if (r == ERR_OK && c == ':')
        r = buf_append_byte(out, ' ');
    if (opens)
        ++*depth;
    if (r == ERR_OK && c == ',')
        r = new_line(out, *depth);
    return r;
}

enum err json_pretty(struct span in, struct buf *out)
{
    enum err r = ERR_OK;
    unsigned depth = 0;
    bool opened = false; /* the last thing written was an opening bracket */

    for (size_t at = 0; at < in.len && r == ERR_OK;) {
        uint8_t c = in.ptr[at];
        bool mark = strchr("{}[]:,", c) != NULL && c;
        if (is_space(c)) {
            at++;
            continue;
        }
        if (opened && c != '}' && c != ']')
            r = new_line(out, depth);
        size_t n = c == '"' ? string_len(span_from(in, at)) : 1;
        if (r == ERR_OK)
            r = mark ? punctuation(c, opened, &depth, out) : buf_append(out, span_sub(in, at, n));
        opened = c == '{' || c == '[';
        at += n;
    }
    return r;
}
