#include "policy/pattern.h"

#include "policy/compiled.h"

enum { ARN_COLONS = 5 };

enum piece { PIECE_END, PIECE_BYTE, PIECE_ONE, PIECE_MANY, PIECE_NOTHING };

/* A place in a pattern; cheap to copy, so that going back is an assignment. */
struct place {
    struct span rest;   /* of the pattern */
    struct span inside; /* of a variable's value, before `rest` goes on */
};

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static bool same(uint8_t a, uint8_t b, bool ignore_case)
{
    return ignore_case ? lower(a) == lower(b) : a == b;
}

/* What is between ${ and } at the start of `s`; absent if it is not closed. */
static struct span variable_at(struct span s)
{
    struct span body = span_from(s, 2);
    size_t end = span_find(body, '}');

    return end < body.len ? span_sub(body, 0, end) : SPAN_EMPTY;
}

static bool at_variable(struct span s)
{
    return s.len >= 2 && s.ptr[0] == '$' && s.ptr[1] == '{';
}

/* "key" or "key, 'default'"; the default absent if there is none. */
static struct span split_default(struct span body, struct span *fallback)
{
    struct span rest = body;
    struct span key = span_cut(&rest, ',');

    *fallback = SPAN_EMPTY;
    rest = span_trim(rest);
    if (rest.len >= 2 && rest.ptr[0] == '\'' && rest.ptr[rest.len - 1] == '\'')
        *fallback = span_sub(rest, 1, rest.len - 2);
    return span_trim(key);
}

/* False: the variable is no text. */
static bool resolve(const struct pattern *p, struct span body, struct span *out)
{
    struct span fallback;
    struct span key = split_default(body, &fallback);

    if (body.len == 1) { /* ${*}, ${?}, ${$} */
        *out = body;
        return true;
    }
    const struct policy_fact *fact = p->rq ? policy_fact_find(p->rq, key) : NULL;
    if (fact && fact->n_values == 1) {
        *out = fact->values[0];
        return true;
    }
    *out = fallback;
    return !fact && fallback.ptr;
}

static enum piece next(const struct pattern *p, struct place *at, uint8_t *c)
{
    while (at->inside.len == 0 && p->variables && at_variable(at->rest)) {
        struct span body = variable_at(at->rest);
        if (!body.ptr || !resolve(p, body, &at->inside))
            return PIECE_NOTHING;
        at->rest = span_from(at->rest, body.len + 3);
    }
    bool literal = at->inside.len > 0;
    struct span *from = literal ? &at->inside : &at->rest;
    if (from->len == 0)
        return PIECE_END;
    *c = from->ptr[0];
    *from = span_from(*from, 1);
    if (!literal && p->wildcards && *c == '*')
        return PIECE_MANY;
    return !literal && p->wildcards && *c == '?' ? PIECE_ONE : PIECE_BYTE;
}

static bool has(struct span s, uint8_t c)
{
    return s.len > 0 && memchr(s.ptr, c, s.len) != NULL;
}

/* Most patterns of most policies are plain text. */
static bool is_text(const struct pattern *p)
{
    bool wild = p->wildcards && (has(p->text, '*') || has(p->text, '?'));

    return !wild && !(p->variables && has(p->text, '$'));
}

/* On a mismatch go back to the last star and let it take one more character: no recursion. */
bool pattern_matches(const struct pattern *p, struct span text)
{
    struct place at = { .rest = p->text }, star = at;
    bool starred = false;
    size_t t = 0, resume = 0;
    uint8_t c = 0;

    if (is_text(p))
        return p->ignore_case ? span_eq_nocase(p->text, text) : span_eq(p->text, text);
    while (t < text.len) {
        struct place after = at;
        enum piece piece = next(p, &after, &c);
        if (piece == PIECE_NOTHING)
            return false;
        if (piece == PIECE_MANY) {
            struct place behind = after;
            if (next(p, &behind, &c) == PIECE_END)
                return true;
            star = at = after;
            starred = true;
            resume = t;
        } else if (piece == PIECE_ONE ||
                   (piece == PIECE_BYTE && same(c, text.ptr[t], p->ignore_case))) {
            at = after;
            t++;
        } else if (starred) {
            at = star;
            t = ++resume;
        } else {
            return false;
        }
    }
    enum piece last = next(p, &at, &c);
    while (last == PIECE_MANY)
        last = next(p, &at, &c);
    return last == PIECE_END;
}

/* Cut at the first colon that is not inside of a variable. */
static struct span cut_component(struct span *rest, bool variables)
{
    struct span s = *rest;
    size_t i = 0;

    while (i < s.len && s.ptr[i] != ':') {
        struct span body =
            variables && at_variable(span_from(s, i)) ? variable_at(span_from(s, i)) : SPAN_EMPTY;
        i += body.ptr ? body.len + 3 : 1;
    }
    *rest = i < s.len ? span_from(s, i + 1) : SPAN_EMPTY;
    return span_sub(s, 0, i);
}

bool pattern_matches_arn(const struct pattern *p, struct span arn)
{
    struct pattern part = *p;
    struct span pattern = p->text, rest = arn;

    for (unsigned i = 0; i < ARN_COLONS; i++) {
        part.text = cut_component(&pattern, p->variables);
        struct span text = span_cut(&rest, ':');
        if (!pattern.ptr || !rest.ptr || !pattern_matches(&part, text))
            return false;
    }
    part.text = pattern;
    return pattern_matches(&part, rest);
}

static bool is_variable_name(struct span body)
{
    struct span fallback;
    struct span key = split_default(body, &fallback);
    struct span name = key;
    struct span service = span_cut(&name, ':');

    if (body.len == 1)
        return strchr("*?$", body.ptr[0]) != NULL && body.ptr[0] != '\0';
    if (span_find(body, ',') < body.len && !fallback.ptr)
        return false;
    return service.len > 0 && name.len > 0;
}

bool pattern_has_variable(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (at_variable(span_from(text, i)))
            return true;
    return false;
}

bool pattern_variables_valid(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!at_variable(span_from(text, i)))
            continue;
        struct span body = variable_at(span_from(text, i));
        if (!body.ptr || !is_variable_name(body))
            return false;
        i += body.len + 2;
    }
    return true;
}

bool policy_glob(struct span pattern, struct span text, bool ignore_case)
{
    const struct pattern p = { .text = pattern, .wildcards = true, .ignore_case = ignore_case };

    return pattern_matches(&p, text);
}
