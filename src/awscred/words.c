#include "awscred/awscred.h"

/* Where the reader stands: outside of a word, in one, or between quotes. */
struct cutter {
    struct span rest;
    struct buf *text;
    bool in_word;
    uint8_t quote; /* ' or ", or 0 */
};

static enum err put(struct cutter *c, uint8_t byte)
{
    c->in_word = true;
    return buf_append_byte(c->text, byte);
}

/* The character after a backslash; inside of double quotes only some lose theirs. */
static enum err escaped(struct cutter *c, struct why *why)
{
    if (c->rest.len == 0)
        return why_fail(why, ERR_MALFORMED, "nothing after a backslash", 0);
    uint8_t next = c->rest.ptr[0];
    c->rest = span_from(c->rest, 1);
    if (c->quote == '"' && next != '"' && next != '\\') {
        enum err r = put(c, '\\');
        if (r != ERR_OK)
            return r;
    }
    return put(c, next);
}

static enum err one(struct cutter *c, uint8_t byte, bool *word_ends, struct why *why)
{
    *word_ends = false;
    if (byte == 0)
        return why_fail(why, ERR_MALFORMED, "NUL byte", 0);
    if (c->quote && byte == c->quote) {
        c->quote = 0;
        return ERR_OK;
    }
    if (byte == '\\' && c->quote != '\'')
        return escaped(c, why);
    if (c->quote)
        return put(c, byte);
    if (byte == '\'' || byte == '"') {
        c->quote = byte;
        c->in_word = true; /* '' is a word */
        return ERR_OK;
    }
    if (byte != ' ' && byte != '\t')
        return put(c, byte);
    *word_ends = c->in_word;
    return ERR_OK;
}

enum err awscred_words(struct span line, struct buf *text,
                       const char *argv[static AWSCRED_WORDS_MAX + 1], struct why *why)
{
    struct cutter c = { .rest = line, .text = text };
    size_t starts[AWSCRED_WORDS_MAX], n = 0, start = text->len;

    /* Offsets first: the text may move while it grows. */
    while (c.rest.len || c.in_word || c.quote) {
        bool ends = c.rest.len == 0;
        enum err r = ERR_OK;
        if (ends && c.quote)
            return why_fail(why, ERR_MALFORMED, "quote that is not closed", 0);
        if (!ends) {
            uint8_t byte = c.rest.ptr[0];
            c.rest = span_from(c.rest, 1);
            r = one(&c, byte, &ends, why);
        }
        if (r == ERR_OK && ends) {
            if (n == AWSCRED_WORDS_MAX)
                return why_fail(why, ERR_LIMIT, "too many words", 0);
            starts[n++] = start;
            r = buf_append_byte(text, 0);
            start = text->len;
            c.in_word = false;
        }
        if (r != ERR_OK)
            return r == ERR_MALFORMED ? r : why_fail(why, r, "too long", 0);
    }
    if (n == 0)
        return why_fail(why, ERR_MALFORMED, "no command", 0);
    for (size_t i = 0; i < n; i++)
        argv[i] = (const char *)text->ptr + starts[i];
    argv[n] = NULL;
    return ERR_OK;
}
