#include "localkms/validate.h"

#include <stdarg.h>
#include <stdio.h>

enum { SHOWN_MAX_BYTES = 2048, CONSTRAINT_MAX_BYTES = 1024 };

void checks_clear(struct checks *c)
{
    buf_clear(&c->text);
}

/* The start of a long value, up to the end of a character. */
static struct span shorten(struct span value)
{
    size_t n = value.len > SHOWN_MAX_BYTES ? SHOWN_MAX_BYTES : value.len;

    while (n < value.len && n > 0 && (value.ptr[n] & 0xc0) == 0x80)
        n--;
    return span_sub(value, 0, n);
}

/* An absent `quoted` is shown as null; hidden: not shown at all. */
static void add(struct checks *c, const char *member, struct span quoted, bool hidden,
                const char *constraint)
{
    struct span shown = shorten(quoted);
    const char *separator = c->n++ ? "; " : "";
    enum err r;

    if (hidden)
        r = buf_printf(&c->text, "%sValue at '%s' failed to satisfy constraint: %s", separator,
                       member, constraint);
    else if (!quoted.ptr)
        r = buf_printf(&c->text, "%sValue null at '%s' failed to satisfy constraint: %s", separator,
                       member, constraint);
    else
        r = buf_printf(&c->text, "%sValue '%.*s' at '%s' failed to satisfy constraint: %s",
                       separator, (int)shown.len, (const char *)shown.ptr, member, constraint);
    (void)r; /* past the limit: the count still tells */
}

void check_required(struct checks *c, const char *member, bool given)
{
    if (!given)
        add(c, member, SPAN_EMPTY, false, "Member must not be null");
}

void check_range(struct checks *c, const char *member, int64_t value, int64_t min, int64_t max)
{
    char shown[32], constraint[128];

    if (value >= min && value <= max)
        return;
    snprintf(shown, sizeof shown, "%lld", (long long)value);
    snprintf(constraint, sizeof constraint, "Member must have value %s than or equal to %lld",
             value < min ? "greater" : "less", (long long)(value < min ? min : max));
    add(c, member, span_str(shown), false, constraint);
}

static void length(struct checks *c, const char *member, struct span shown, bool hidden, size_t len,
                   size_t min, size_t max)
{
    char constraint[128];

    if (len >= min && len <= max)
        return;
    snprintf(constraint, sizeof constraint, "Member must have length %s than or equal to %zu",
             len < min ? "greater" : "less", len < min ? min : max);
    add(c, member, shown, hidden, constraint);
}

void check_length(struct checks *c, const char *member, struct span value, size_t min, size_t max)
{
    if (value.ptr)
        length(c, member, value, false, value.len, min, max);
}

void check_hidden_length(struct checks *c, const char *member, size_t len, size_t min, size_t max)
{
    length(c, member, SPAN_EMPTY, true, len, min, max);
}

void check_list_length(struct checks *c, const char *member, size_t n, size_t min, size_t max)
{
    length(c, member, SPAN_EMPTY, true, n, min, max);
}

void check_enum(struct checks *c, const char *member, struct span value, const char *const *set)
{
    AUTO(buf_clear) struct buf constraint = BUF_INIT(CONSTRAINT_MAX_BYTES);

    if (!value.ptr)
        return;
    enum err r = buf_append_str(&constraint, "Member must satisfy enum value set: [");
    for (size_t i = 0; set[i]; i++) {
        if (span_is(value, set[i]))
            return;
        if (r == ERR_OK)
            r = buf_printf(&constraint, "%s%s", i ? ", " : "", set[i]);
    }
    if (r == ERR_OK)
        r = buf_append_byte(&constraint, ']');
    const char *text = r == ERR_OK ? buf_cstr(&constraint) : NULL;
    add(c, member, value, false, text ? text : "Member must satisfy enum value set");
}

/* Valid UTF-8 comes in; what is past U+00FF begins with a byte past C3, and no other byte of a
 * sequence is as high. */
static bool in_policy_pattern(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t b = s.ptr[i];
        if (b > 0xc3 || (b < 0x20 && b != '\t' && b != '\n' && b != '\r'))
            return false;
    }
    return true;
}

void check_policy_characters(struct checks *c, const char *member, struct span value)
{
    if (value.ptr && !in_policy_pattern(value))
        add(c, member, value, false,
            "Member must satisfy regular expression pattern: "
            "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+");
}

static bool has_only(struct span s, const char *others)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t b = s.ptr[i];
        bool alnum = (b >= '0' && b <= '9') || (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z');
        if (!alnum && (b == '\0' || !strchr(others, b)))
            return false;
    }
    return true;
}

void check_characters(struct checks *c, const char *member, struct span value, const char *others,
                      const char *pattern)
{
    char constraint[128];

    if (!value.ptr || has_only(value, others))
        return;
    snprintf(constraint, sizeof constraint, "Member must satisfy regular expression pattern: %s",
             pattern);
    add(c, member, value, false, constraint);
}

enum err checks_end(const struct checks *c, struct fault *f)
{
    if (c->n == 0)
        return ERR_OK;
    return fault_set(f, FAULT_VALIDATION, "%u validation error%s detected: %.*s", c->n,
                     c->n == 1 ? "" : "s", (int)c->text.len, (const char *)c->text.ptr);
}
