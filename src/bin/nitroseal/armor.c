#include "bin/nitroseal/armor.h"

#include "base/base64.h"

/* ---- writing ---- */

static enum err put_line(struct span data, struct buf *out)
{
    enum err r = base64_append(out, data);

    return r == ERR_OK ? buf_append_byte(out, '\n') : r;
}

static enum err begin(struct armor_out *a, struct buf *out)
{
    if (a->begun)
        return ERR_OK;
    a->begun = true;
    return buf_append_str(out, ARMOR_BEGIN "\n");
}

enum err armor_put(struct armor_out *a, struct span data, struct buf *out)
{
    enum err r = begin(a, out);

    if (a->n > 0 && r == ERR_OK) {
        struct span head = span_sub(data, 0, sizeof a->rest - a->n);
        if (head.len)
            memcpy(a->rest + a->n, head.ptr, head.len);
        a->n += head.len;
        data = span_from(data, head.len);
        if (a->n < sizeof a->rest)
            return ERR_OK;
        a->n = 0;
        r = put_line(SPAN_ARRAY(a->rest), out);
    }
    for (; r == ERR_OK && data.len >= ARMOR_LINE_BYTES; data = span_from(data, ARMOR_LINE_BYTES))
        r = put_line(span_sub(data, 0, ARMOR_LINE_BYTES), out);
    if (r != ERR_OK || data.len == 0)
        return r;
    memcpy(a->rest, data.ptr, data.len);
    a->n = data.len;
    return ERR_OK;
}

enum err armor_finish(struct armor_out *a, struct buf *out)
{
    enum err r = begin(a, out);

    if (r == ERR_OK && a->n > 0)
        r = put_line(span_of(a->rest, a->n), out);
    a->n = 0;
    return r == ERR_OK ? buf_append_str(out, ARMOR_END "\n") : r;
}

/* ---- reading ---- */

enum state { AT_START, AT_BEGIN_LINE, AT_DATA, AT_END_LINE, AT_AFTER };

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_data(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/' || c == '=';
}

static enum err fault(const struct armor_in *a, const char *what, struct why *why)
{
    return why_fail(why, ERR_MALFORMED, what, (size_t)a->at);
}

static bool edge_is(const struct armor_in *a, const char *text)
{
    struct span line = span_of(a->edge, a->n_edge);

    while (line.len && is_blank(line.ptr[line.len - 1]))
        line.len--;
    return span_is(line, text);
}

/* The line that opens or closes, to its line feed. */
static enum err take_edge(struct armor_in *a, struct span text, size_t *used, struct why *why)
{
    size_t n = span_find(text, '\n');

    *used = n < text.len ? n + 1 : n;
    if (n > sizeof a->edge - a->n_edge)
        return fault(a, "armor: a line that begins with '-' and is neither BEGIN nor END", why);
    memcpy(a->edge + a->n_edge, text.ptr, n);
    a->n_edge += (unsigned)n;
    if (n == text.len)
        return ERR_OK;
    bool end = a->state == AT_END_LINE;
    if (!edge_is(a, end ? ARMOR_END : ARMOR_BEGIN))
        return fault(a,
                     end ? "armor: expected its END line: " ARMOR_END
                         : "armor: not the BEGIN line of a message: " ARMOR_BEGIN,
                     why);
    a->n_edge = 0;
    a->state = end ? AT_AFTER : AT_DATA;
    a->line_start = true;
    return ERR_OK;
}

static enum err decode(struct armor_in *a, struct span text, struct buf *out, struct why *why)
{
    struct why inner = { 0 };

    if (text.len == 0)
        return ERR_OK;
    if (a->padded)
        return fault(a, "armor: base64 goes on after its end", why);
    enum err r = base64_parse(text, out, &inner);
    a->padded = text.ptr[text.len - 1] == '=';
    if (r == ERR_MALFORMED)
        return fault(a, "armor: not base64", why);
    return r == ERR_OK ? r : why_fail(why, r, "armor: no room", (size_t)a->at);
}

/* A run of characters of the alphabet; groups of four leave, the rest waits. */
static enum err take_run(struct armor_in *a, struct span run, struct buf *out, struct why *why)
{
    if (a->n_carry > 0) {
        while (run.len && a->n_carry < sizeof a->carry) {
            a->carry[a->n_carry++] = (char)run.ptr[0];
            run = span_from(run, 1);
        }
        if (a->n_carry < sizeof a->carry)
            return ERR_OK;
        a->n_carry = 0;
        enum err r = decode(a, SPAN_ARRAY(a->carry), out, why);
        if (r != ERR_OK)
            return r;
    }
    size_t whole = run.len / 4 * 4;
    enum err r = decode(a, span_sub(run, 0, whole), out, why);
    run = span_from(run, whole);
    if (run.len)
        memcpy(a->carry, run.ptr, run.len);
    a->n_carry = (unsigned)run.len;
    return r;
}

static enum err take_data(struct armor_in *a, struct span text, size_t *used, struct buf *out,
                          struct why *why)
{
    size_t n = 0;

    if (is_blank(text.ptr[0])) {
        a->line_start = a->line_start || text.ptr[0] == '\n';
        *used = 1;
        return ERR_OK;
    }
    if (text.ptr[0] == '-' && a->framed && a->line_start) {
        a->state = AT_END_LINE;
        *used = 0;
        return ERR_OK;
    }
    while (n < text.len && is_data(text.ptr[n]))
        n++;
    a->line_start = false;
    *used = n;
    return n ? take_run(a, span_sub(text, 0, n), out, why)
             : fault(a, "armor: a character that base64 does not have", why);
}

static enum err take_some(struct armor_in *a, struct span text, size_t *used, struct buf *out,
                          struct why *why)
{
    bool blank = is_blank(text.ptr[0]);

    switch ((enum state)a->state) {
    case AT_START:
        *used = blank;
        if (blank)
            return ERR_OK;
        a->framed = text.ptr[0] == '-';
        a->state = a->framed ? AT_BEGIN_LINE : AT_DATA;
        return ERR_OK;
    case AT_BEGIN_LINE:
    case AT_END_LINE:
        return take_edge(a, text, used, why);
    case AT_DATA:
        return take_data(a, text, used, out, why);
    case AT_AFTER:
        break;
    }
    *used = 1;
    return blank ? ERR_OK : fault(a, "armor: something follows its END line", why);
}

enum err armor_take(struct armor_in *a, struct span text, struct buf *out, struct why *why)
{
    enum err r = ERR_OK;

    while (text.len && r == ERR_OK) {
        size_t used = 0;
        r = take_some(a, text, &used, out, why);
        a->at += used;
        text = span_from(text, used);
    }
    return r;
}

enum err armor_end(struct armor_in *a, struct why *why)
{
    bool closed = a->state == AT_AFTER || (a->state == AT_END_LINE && edge_is(a, ARMOR_END)) ||
                  (a->state == AT_DATA && !a->framed);

    if (!closed || a->n_carry)
        return fault(a, "armor: it is cut off", why);
    return ERR_OK;
}

/* ---- which is it? ---- */

enum input_kind input_kind_of(struct span start)
{
    /* Version 1 with its type and a suite below 0x0400, or version 2 with one of its two. */
    static const char *const beginnings[] = { "AYAA", "AYAB", "AYAC",       "AYAD",
                                              "AgR4", "AgV4", "-----BEGIN " };
    struct span text = start;

    if (start.len && (start.ptr[0] == 1 || start.ptr[0] == 2))
        return INPUT_MESSAGE;
    while (text.len && is_blank(text.ptr[0]))
        text = span_from(text, 1);
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++)
        if (span_starts(text, beginnings[i]))
            return INPUT_ARMOR;
    for (size_t i = 0; i < text.len; i++)
        if ((text.ptr[i] < ' ' && !is_blank(text.ptr[i])) || text.ptr[i] == 0x7f)
            return INPUT_OTHER;
    /* The last character may be cut. */
    size_t cut = text.len > 3 && start.len >= INPUT_PEEK_BYTES ? 3 : 0;
    for (size_t i = 0; i <= cut; i++)
        if (span_is_utf8(span_sub(text, 0, text.len - i)))
            return INPUT_TEXT;
    return INPUT_OTHER;
}
