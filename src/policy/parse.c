/* parse.c - a policy document's text to its compiled form, with the place of whatever is wrong. */
#include <stdlib.h>

#include "policy/pattern.h"
#include "policy/reader.h"

static void effect_parse(struct reader *r, struct policy_statement *st)
{
    enum json_kind kind;
    size_t at = reader_here(r, &kind);
    struct span s = reader_text(r, "Effect is neither Allow nor Deny");

    st->allows = span_is(s, "Allow");
    if (!reader_failed(r) && !st->allows && !span_is(s, "Deny"))
        reader_fail(r, at, "Effect is neither Allow nor Deny");
}

/* Both the plain and the Not form of an element. */
enum element { EL_SID, EL_EFFECT, EL_PRINCIPAL, EL_ACTION, EL_RESOURCE, EL_CONDITION, ELEMENTS };

static const struct {
    const char *name;
    enum element element;
    bool negated;
} elements[] = {
    { "Sid", EL_SID, false },
    { "Effect", EL_EFFECT, false },
    { "Principal", EL_PRINCIPAL, false },
    { "NotPrincipal", EL_PRINCIPAL, true },
    { "Action", EL_ACTION, false },
    { "NotAction", EL_ACTION, true },
    { "Resource", EL_RESOURCE, false },
    { "NotResource", EL_RESOURCE, true },
    { "Condition", EL_CONDITION, false },
};
enum { N_ELEMENTS = sizeof elements / sizeof elements[0] };

static void element_parse(struct reader *r, enum element which, bool negated,
                          struct policy_statement *st)
{
    switch (which) {
    case EL_SID:
        st->sid = reader_text(r, "Sid is not a string");
        return;
    case EL_EFFECT:
        effect_parse(r, st);
        return;
    case EL_PRINCIPAL:
        st->not_principals = negated;
        reader_principals(r, st);
        return;
    case EL_ACTION:
        st->not_actions = negated;
        reader_actions(r, st);
        return;
    case EL_RESOURCE:
        st->not_resources = negated;
        reader_resources(r, st);
        return;
    case EL_CONDITION:
        reader_conditions(r, st);
        return;
    case ELEMENTS:
        break;
    }
}

/* A key policy without Action or Resource is accepted and has no effect (kms-policy section 2). */
static const char *missing(const bool seen[static ELEMENTS], enum policy_use use,
                           const struct policy_statement *st)
{
    if (!seen[EL_EFFECT])
        return "Statement without Effect";
    if (st->allows && st->not_principals)
        return "NotPrincipal with Allow is not supported";
    if (use == POLICY_OF_KEY)
        return seen[EL_PRINCIPAL] ? NULL : "Statement without Principal";
    if (seen[EL_PRINCIPAL])
        return "Principal in an identity policy";
    if (!seen[EL_ACTION])
        return "Statement without Action";
    return seen[EL_RESOURCE] ? NULL : "Statement without Resource";
}

static void statement_parse(struct reader *r, struct policy_statement *st)
{
    bool seen[ELEMENTS] = { false };
    struct json_str name;
    enum json_kind kind;

    st->at = reader_here(r, &kind);
    if (!reader_object(r, "Statement is not an object"))
        return;
    while (json_in_member(&r->j, &name)) {
        size_t at = reader_name_at(r, name), i = 0;
        while (i < N_ELEMENTS && !json_str_is(name, elements[i].name))
            i++;
        if (i == N_ELEMENTS) {
            reader_fail(r, at, "Unknown element in statement");
            return;
        }
        if (seen[elements[i].element])
            reader_fail(r, at, "Element together with its Not form");
        seen[elements[i].element] = true;
        element_parse(r, elements[i].element, elements[i].negated, st);
    }
    const char *what = reader_failed(r) ? NULL : missing(seen, r->p->use, st);
    if (what)
        reader_fail(r, st->at, what);
}

static void statement_add(struct reader *r)
{
    struct policy *p = r->p;
    enum json_kind kind;
    size_t at = reader_here(r, &kind);

    r->fault.statement = (unsigned)p->n + 1;
    if (p->n == POLICY_STATEMENTS_MAX) {
        r->fault.statement = 0;
        reader_fail(r, at, "Too many statements");
        return;
    }
    struct policy_statement *more = reader_grow(r, p->statements, p->n, sizeof *more);
    if (!more)
        return;
    p->statements = more;
    more[p->n] = (struct policy_statement){ .at = at };
    statement_parse(r, &more[p->n++]);
    if (!reader_failed(r))
        r->fault.statement = 0;
}

static void statements_parse(struct reader *r)
{
    enum json_kind kind;
    size_t at = reader_here(r, &kind);

    if (kind == JSON_KIND_OBJECT) {
        statement_add(r);
        return;
    }
    if (kind != JSON_KIND_ARRAY && kind != JSON_KIND_NONE)
        reader_fail(r, at, "Policy without Statement");
    for (json_in_array(&r->j); json_in_element(&r->j);)
        statement_add(r);
    if (!reader_failed(r) && r->p->n == 0)
        reader_fail(r, at, "Policy without Statement");
}

static void version_parse(struct reader *r)
{
    enum json_kind kind;
    size_t at = reader_here(r, &kind);

    r->p->version = reader_text(r, "Unknown policy Version");
    r->p->variables = span_is(r->p->version, "2012-10-17");
    if (!reader_failed(r) && !r->p->variables && !span_is(r->p->version, "2008-10-17"))
        reader_fail(r, at, "Unknown policy Version");
}

static void document_parse(struct reader *r)
{
    struct json_str name;
    bool any = false;

    if (!reader_object(r, "Policy is not an object"))
        return;
    while (json_in_member(&r->j, &name)) {
        if (json_str_is(name, "Version"))
            version_parse(r);
        else if (json_str_is(name, "Id"))
            (void)reader_text(r, "Id is not a string");
        else if (json_str_is(name, "Statement"))
            statements_parse(r);
        else
            reader_fail(r, reader_name_at(r, name), "Unknown element in policy");
        any = any || json_str_is(name, "Statement");
    }
    if (!reader_failed(r) && !any)
        reader_fail(r, 0, "Policy without Statement");
}

/* Only now is it known whether ${ begins a variable. */
static bool variables_valid(const struct policy_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (!pattern_variables_valid(list->items[i]))
            return false;
    return true;
}

static void variables_check(struct reader *r)
{
    const struct policy *p = r->p;

    for (size_t i = 0; p->variables && i < p->n && !reader_failed(r); i++) {
        const struct policy_statement *st = &p->statements[i];
        bool good = variables_valid(&st->resources);
        for (size_t k = 0; k < st->n_conditions && good; k++)
            good = variables_valid(&st->conditions[k].values);
        if (good)
            continue;
        r->fault.statement = (unsigned)i + 1;
        reader_fail(r, st->at, "Invalid policy variable");
    }
}

static enum err parse(struct reader *r, struct span text_in)
{
    struct policy *p = r->p;
    uint8_t *unused;

    p->text = BUF_INIT(POLICY_MAX_BYTES);
    p->scratch = BUF_INIT(POLICY_MAX_BYTES);
    enum err e = buf_append(&p->text, text_in);
    if (e == ERR_OK)
        e = buf_reserve(&p->scratch, text_in.len, &unused);
    if (e != ERR_OK)
        return e;
    r->j = json_in_init(buf_view(&p->text));
    document_parse(r);
    e = json_in_end(&r->j);
    if (e == ERR_OK) {
        variables_check(r);
        e = r->j.err;
    }
    if (e != ERR_OK && !r->fault.what) {
        r->fault.what = e == ERR_LIMIT ? "Policy is nested too deeply or has too many members"
                                       : "Policy is not JSON";
        r->fault.at = r->j.pos;
        r->fault.statement = 0;
    }
    return e == ERR_LIMIT ? ERR_MALFORMED : e;
}

enum err policy_parse_at(struct span text_in, enum policy_use use, struct policy **out,
                         struct policy_fault *fault)
{
    struct reader *r = NULL;

    if (text_in.len > POLICY_MAX_BYTES) {
        *fault = (struct policy_fault){ .what = "Policy is too long", .at = POLICY_MAX_BYTES };
        return ERR_LIMIT;
    }
    AUTO(policy_freep) struct policy *p = calloc(1, sizeof *p);
    r = calloc(1, sizeof *r);
    if (!p || !r) {
        free(r);
        return ERR_NOMEM;
    }
    p->use = use;
    r->p = p;
    enum err e = parse(r, text_in);
    if (e == ERR_MALFORMED)
        *fault = r->fault;
    free(r);
    if (e != ERR_OK)
        return e;
    *out = p;
    p = NULL; /* handed over */
    return ERR_OK;
}

enum err policy_parse(struct span text_in, enum policy_use use, struct policy **out,
                      struct why *why)
{
    struct policy_fault f = { .what = NULL };

    enum err e = policy_parse_at(text_in, use, out, &f);
    if (e != ERR_MALFORMED && e != ERR_LIMIT)
        return e;
    bool is_text = e == ERR_MALFORMED && strcmp(f.what, "Policy is not JSON") == 0;
    return why_fail(why, e, f.what, is_text ? f.at : f.statement);
}

struct policy_position policy_position_of(struct span text_in, size_t at)
{
    struct policy_position pos = { .line = 1, .column = 1 };

    for (size_t i = 0; i < at && i < text_in.len; i++) {
        pos.column++;
        if (text_in.ptr[i] == '\n')
            pos = (struct policy_position){ .line = pos.line + 1, .column = 1 };
    }
    return pos;
}

static void statement_clear(struct policy_statement *st)
{
    for (size_t i = 0; i < st->n_conditions; i++)
        free(st->conditions[i].values.items);
    free(st->conditions);
    free(st->principals);
    free(st->actions.items);
    free(st->resources.items);
}

void policy_free(struct policy *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++)
        statement_clear(&p->statements[i]);
    free(p->statements);
    buf_clear(&p->text);
    buf_clear(&p->scratch);
    free(p);
}

void policy_freep(struct policy **p)
{
    policy_free(*p);
    *p = NULL;
}
