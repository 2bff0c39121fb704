#include "policy/reader.h"

#include <stdlib.h>

void reader_fail(struct reader *r, size_t at, const char *what)
{
    if (r->j.err != ERR_OK)
        return;
    r->fault.what = what;
    r->fault.at = at;
    json_in_fail(&r->j, ERR_MALFORMED, what);
}

size_t reader_name_at(const struct reader *r, struct json_str name)
{
    return (size_t)(name.raw.ptr - r->j.in.ptr) - 1;
}

void *reader_grow(struct reader *r, void *list, size_t n, size_t item)
{
    void *more = reallocarray(list, n + 1, item);

    if (!more)
        json_in_fail(&r->j, ERR_NOMEM, "memory");
    return more;
}

size_t reader_here(struct reader *r, enum json_kind *kind)
{
    *kind = json_in_peek(&r->j);
    return r->j.pos;
}

/* Scratch was reserved for all of the document, so that views of it do not move. */
struct span reader_view(struct reader *r, struct json_str s)
{
    struct span out = SPAN_EMPTY;
    enum err e = reader_failed(r) ? ERR_OK : json_str_view(s, &r->p->scratch, &out);

    if (e != ERR_OK)
        json_in_fail(&r->j, e, "memory");
    return out;
}

struct span reader_text(struct reader *r, const char *otherwise)
{
    enum json_kind kind;
    size_t at = reader_here(r, &kind);

    if (!reader_failed(r) && kind != JSON_KIND_STRING && kind != JSON_KIND_NONE)
        reader_fail(r, at, otherwise);
    return reader_view(r, json_in_string(&r->j));
}

bool reader_object(struct reader *r, const char *otherwise)
{
    enum json_kind kind;
    size_t at = reader_here(r, &kind);

    if (!reader_failed(r) && kind != JSON_KIND_OBJECT && kind != JSON_KIND_NONE)
        reader_fail(r, at, otherwise);
    json_in_object(&r->j);
    return !reader_failed(r);
}

static void list_add(struct reader *r, bool loose, reader_check *check, const void *arg,
                     struct policy_list *out)
{
    enum json_kind kind;
    size_t at = reader_here(r, &kind);
    bool is_bool = kind == JSON_KIND_TRUE || kind == JSON_KIND_FALSE;
    struct span value;

    if (loose && is_bool)
        value = json_in_bool(&r->j) ? SPAN_LIT("true") : SPAN_LIT("false");
    else if (loose && kind == JSON_KIND_NUMBER)
        value = json_in_number(&r->j);
    else
        value = reader_text(r, "Value of a wrong type in policy");
    if (reader_failed(r))
        return;
    const char *what = check(value, arg);
    if (what)
        reader_fail(r, at, what);
    struct span *more = reader_failed(r) ? NULL : reader_grow(r, out->items, out->n, sizeof *more);
    if (!more)
        return;
    out->items = more;
    more[out->n++] = value;
}

void reader_list(struct reader *r, bool loose, reader_check *check, const void *arg,
                 struct policy_list *out)
{
    enum json_kind kind;
    size_t at = reader_here(r, &kind);

    if (kind != JSON_KIND_ARRAY) {
        list_add(r, loose, check, arg, out);
        return;
    }
    for (json_in_array(&r->j); json_in_element(&r->j);)
        list_add(r, loose, check, arg, out);
    if (!reader_failed(r) && out->n == 0)
        reader_fail(r, at, "Empty list in policy");
}
