#include "bin/nitroseal/triple.h"

enum { N_VALUES = 3 };

static const struct {
    const char *line, *member, *missing, *twice;
} values[N_VALUES] = {
    { "ENCRYPTED=", "encrypted", "no ENCRYPTED value", "more than one ENCRYPTED value" },
    { "SIGNATURE=", "signature", "no SIGNATURE value", "more than one SIGNATURE value" },
    { "CIPHERTEXT_BLOB=", "ciphertext_blob", "no CIPHERTEXT_BLOB value",
      "more than one CIPHERTEXT_BLOB value" },
};

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static enum err from_json(struct span text, struct buf *scratch, struct span found[static N_VALUES],
                          struct why *why)
{
    struct json_in j = json_in_init(text);
    struct json_str name, got[N_VALUES] = { { .escaped = false } };

    for (json_in_object(&j); json_in_member(&j, &name);) {
        struct json_str *to = NULL;
        for (size_t i = 0; i < N_VALUES; i++)
            if (json_str_is(name, values[i].member))
                to = &got[i];
        if (to)
            *to = json_in_string(&j);
        if (!to)
            (void)json_in_skip(&j);
    }
    if (json_in_end(&j) != ERR_OK)
        return why_fail(why, j.err == ERR_OK ? ERR_MALFORMED : j.err, j.what, j.pos);
    /* Base64 holds no character that needs an escape but "/", which some writers escape: the
     * scratch buf may move as it grows, so only one form of view is taken. */
    size_t at[N_VALUES + 1] = { scratch->len };
    for (size_t i = 0; i < N_VALUES; i++) {
        if (!json_str_is_set(got[i]))
            return why_fail(why, ERR_MALFORMED, values[i].missing, 0);
        enum err r = json_str_decode(got[i], scratch);
        if (r != ERR_OK)
            return why_fail(why, r, "value too long", 0);
        at[i + 1] = scratch->len;
    }
    for (size_t i = 0; i < N_VALUES; i++)
        found[i] = span_sub(buf_view(scratch), at[i], at[i + 1] - at[i]);
    return ERR_OK;
}

static enum err line_take(struct span line, struct span found[static N_VALUES], struct why *why,
                          size_t at)
{
    while (line.len && is_space(line.ptr[line.len - 1]))
        line.len--;
    for (size_t i = 0; i < N_VALUES; i++) {
        if (!span_starts(line, values[i].line))
            continue;
        if (found[i].ptr)
            return why_fail(why, ERR_MALFORMED, values[i].twice, at);
        found[i] = span_from(line, strlen(values[i].line));
    }
    return ERR_OK;
}

static enum err from_lines(struct span text, struct span found[static N_VALUES], struct why *why)
{
    struct span rest = text;

    while (rest.ptr && rest.len > 0) {
        size_t at = text.len - rest.len;
        enum err r = line_take(span_cut(&rest, '\n'), found, why, at);
        if (r != ERR_OK)
            return r;
    }
    for (size_t i = 0; i < N_VALUES; i++)
        if (found[i].len == 0)
            return why_fail(why, ERR_MALFORMED, values[i].missing, text.len);
    return ERR_OK;
}

enum err triple_parse(struct span text, struct buf *scratch, struct triple *out, struct why *why)
{
    struct span found[N_VALUES] = { SPAN_EMPTY };
    size_t skip = 0;

    while (skip < text.len && is_space(text.ptr[skip]))
        skip++;
    bool json = skip < text.len && text.ptr[skip] == '{';
    enum err r = json ? from_json(text, scratch, found, why) : from_lines(text, found, why);
    if (r != ERR_OK)
        return r;
    *out = (struct triple){ found[0], found[1], found[2] };
    return ERR_OK;
}

/* The lines are read by shells: what is none of base64's characters could be a line, or a command,
 * of its own. */
static bool is_base64_text(struct span s)
{
    static const char others[] = { '+', '/', '=' };

    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_letter && !(c >= '0' && c <= '9') && !memchr(others, c, sizeof others))
            return false;
    }
    return true;
}

enum err triple_write(struct buf *out, const struct triple *t)
{
    const struct span in_order[N_VALUES] = { t->encrypted, t->signature, t->ciphertext_blob };
    enum err r = ERR_OK;

    for (size_t i = 0; i < N_VALUES; i++)
        if (!is_base64_text(in_order[i]))
            return ERR_MALFORMED;
    for (size_t i = 0; i < N_VALUES && r == ERR_OK; i++) {
        r = buf_append_str(out, values[i].line);
        if (r == ERR_OK)
            r = buf_append(out, in_order[i]);
        if (r == ERR_OK)
            r = buf_append_byte(out, '\n');
    }
    return r;
}
