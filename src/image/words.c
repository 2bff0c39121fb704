#include "image/words.h"

enum err words_add(struct buf *lines, struct span word, const char **what)
{
    size_t before = lines->len;

    if (word.len && (memchr(word.ptr, '\n', word.len) || memchr(word.ptr, 0, word.len))) {
        *what = "a word with a line feed or a NUL cannot be written into the image";
        return ERR_MALFORMED;
    }
    enum err r = buf_append(lines, word);
    if (r == ERR_OK)
        r = buf_append_byte(lines, '\n');
    if (r != ERR_OK) {
        buf_truncate(lines, before);
        *what = "too many words";
    }
    return r;
}

/* The line that sets the name: where it starts, and its length with the line feed. */
static bool line_find(struct span lines, struct span name, size_t *at, size_t *len)
{
    for (*at = 0; *at < lines.len; *at += *len) {
        struct span line = span_from(lines, *at);
        *len = span_find(line, '\n') + 1;
        if (line.len > name.len && line.ptr[name.len] == '=' &&
            span_eq(span_sub(line, 0, name.len), name))
            return true;
    }
    return false;
}

enum err words_set(struct buf *lines, struct span assignment, const char **what)
{
    struct span value = assignment, name = span_cut(&value, '=');
    AUTO(buf_clear) struct buf next = BUF_INIT(lines->max);
    size_t at, len;

    if (name.len == 0 || !value.ptr) {
        *what = "not NAME=VALUE";
        return ERR_MALFORMED;
    }
    if (!line_find(buf_view(lines), name, &at, &len))
        return words_add(lines, assignment, what);
    enum err r = buf_append(&next, span_sub(buf_view(lines), 0, at));
    if (r == ERR_OK)
        r = words_add(&next, assignment, what);
    if (r == ERR_OK)
        r = buf_append(&next, span_from(buf_view(lines), at + len));
    if (r != ERR_OK) {
        *what = *what ? *what : "too many words";
        return r;
    }
    buf_clear(lines);
    *lines = buf_take(&next);
    return ERR_OK;
}

struct span words_get(const struct buf *lines, const char *name)
{
    struct span all = buf_view(lines), key = span_str(name);
    size_t at, len;

    if (!line_find(all, key, &at, &len))
        return SPAN_EMPTY;
    return span_sub(all, at + key.len + 1, len - 1 - key.len - 1);
}

struct span words_at(const struct buf *lines, unsigned i)
{
    struct span rest = buf_view(lines);

    while (rest.len) {
        struct span line = span_cut(&rest, '\n');
        if (i-- == 0)
            return line;
    }
    return SPAN_EMPTY;
}
