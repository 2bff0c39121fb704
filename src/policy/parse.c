/* parse.c - a policy document's text to its compiled form. */
#include <stdlib.h>

#include "policy/compiled.h"

enum { IF_EXISTS_BYTES = sizeof "IfExists" - 1 };

const struct policy_operator policy_operators[] = {
    { "StringEquals", TEST_EQUAL, false, false },
    { "StringEqualsIgnoreCase", TEST_EQUAL, false, true },
    { "StringNotEquals", TEST_EQUAL, true, false },
    { "StringNotEqualsIgnoreCase", TEST_EQUAL, true, true },
    { "StringLike", TEST_LIKE, false, false },
    { "StringNotLike", TEST_LIKE, true, false },
    { "Bool", TEST_BOOL, false, true },
    { "Null", TEST_NULL, false, true },
    { 0 },
};

static enum err fail(struct why *why, const char *what)
{
    return why_fail(why, ERR_MALFORMED, what, 0);
}

static struct span text_of(const json_t *j)
{
    return span_of(json_string_value(j), json_string_length(j));
}

static bool has_variable(struct span s)
{
    for (size_t i = 0; i + 1 < s.len; i++)
        if (s.ptr[i] == '$' && s.ptr[i + 1] == '{')
            return true;
    return false;
}

/* A string, or an array of at least one. `boolean`: true and false stand for their names. */
static enum err list_parse(json_t *value, bool boolean, struct policy_list *out, struct why *why)
{
    size_t n = json_is_array(value) ? json_array_size(value) : 1;

    if (n == 0)
        return fail(why, "Empty list in policy");
    out->items = calloc(n, sizeof *out->items);
    if (!out->items)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(value) ? json_array_get(value, i) : value;
        if (json_is_string(one))
            out->items[i] = text_of(one);
        else if (boolean && json_is_boolean(one))
            out->items[i] = json_is_true(one) ? SPAN_LIT("true") : SPAN_LIT("false");
        else
            return fail(why, "Value of a wrong type in policy");
        if (has_variable(out->items[i]))
            return fail(why, "Policy variables are not supported");
        out->n = i + 1;
    }
    return ERR_OK;
}

/* "*", or SERVICE:PATTERN. */
static bool is_action(struct span s)
{
    struct span rest = s;
    struct span service = span_cut(&rest, ':');

    if (span_is(s, "*"))
        return true;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alnum && c != '-' && c != ':' && c != '*' && c != '?')
            return false;
    }
    return service.len > 0 && rest.len > 0 && span_find(rest, ':') == rest.len;
}

static enum err actions_parse(json_t *value, struct policy_statement *st, struct why *why)
{
    enum err r = list_parse(value, false, &st->actions, why);

    for (size_t i = 0; r == ERR_OK && i < st->actions.n; i++)
        if (!is_action(st->actions.items[i]))
            r = fail(why, "Invalid action in policy");
    return r;
}

static enum err resources_parse(json_t *value, struct policy_statement *st, struct why *why)
{
    enum err r = list_parse(value, false, &st->resources, why);

    for (size_t i = 0; r == ERR_OK && i < st->resources.n; i++)
        if (!span_is(st->resources.items[i], "*") && !span_starts(st->resources.items[i], "arn:"))
            r = fail(why, "Invalid resource in policy");
    return r;
}

static bool operator_parse(const char *name, struct policy_condition *out)
{
    struct span s = span_str(name);

    for (unsigned pass = 0; pass < 2; pass++) {
        for (const struct policy_operator *o = policy_operators; o->name; o++) {
            if (!span_is(s, o->name))
                continue;
            out->op = o;
            out->if_exists = pass == 1;
            return pass == 0 || o->test != TEST_NULL; /* there is no NullIfExists */
        }
        if (s.len <= IF_EXISTS_BYTES || !span_is(span_from(s, s.len - IF_EXISTS_BYTES), "IfExists"))
            return false;
        s.len -= IF_EXISTS_BYTES;
    }
    return false;
}

static bool is_condition_key(struct span s)
{
    struct span rest = s;
    struct span prefix = span_cut(&rest, ':');

    return prefix.len > 0 && rest.len > 0;
}

static bool is_bool_name(struct span s)
{
    return span_eq_nocase(s, SPAN_LIT("true")) || span_eq_nocase(s, SPAN_LIT("false"));
}

static enum err condition_parse(const char *key, json_t *values, struct policy_condition *c,
                                struct why *why)
{
    bool boolean = c->op->test == TEST_BOOL || c->op->test == TEST_NULL;

    c->key = span_str(key);
    if (!is_condition_key(c->key))
        return fail(why, "Invalid condition key in policy");
    enum err r = list_parse(values, boolean, &c->values, why);
    for (size_t i = 0; r == ERR_OK && boolean && i < c->values.n; i++)
        if (!is_bool_name(c->values.items[i]))
            r = fail(why, "Condition value is neither true nor false");
    return r;
}

static bool starts_nocase(const char *s, const char *prefix)
{
    size_t n = strlen(prefix);

    return strlen(s) >= n && span_eq_nocase(span_of(s, n), span_str(prefix));
}

/* KMS has a name of its own for ForAllValues over keys that have one value or are absent, since it
 * holds when the key is absent (kms-policy reference section 2). */
static enum err unsupported_operator(const char *name, json_t *keys, struct why *why)
{
    const char *key;
    json_t *values;

    if (starts_nocase(name, "ForAllValues:")) {
        json_object_foreach(keys, key, values)
        {
            if (starts_nocase(key, "kms:EncryptionContext:") ||
                starts_nocase(key, "aws:RequestTag/"))
                return fail(why, "OverlyPermissiveCondition: ForAllValues with a condition key "
                                 "that has one value");
        }
    }
    return fail(why, "Unsupported condition operator");
}

static enum err conditions_parse(json_t *value, struct policy_statement *st, struct why *why)
{
    const char *name, *key;
    json_t *keys, *values;

    if (!json_is_object(value))
        return fail(why, "Condition is not an object");
    json_object_foreach(value, name, keys)
    {
        struct policy_condition c = { .op = NULL };
        if (!operator_parse(name, &c))
            return unsupported_operator(name, keys, why);
        if (!json_is_object(keys) || json_object_size(keys) == 0)
            return fail(why, "Condition operator without keys");
        json_object_foreach(keys, key, values)
        {
            struct policy_condition *more =
                reallocarray(st->conditions, st->n_conditions + 1, sizeof *more);
            if (!more)
                return ERR_NOMEM;
            st->conditions = more;
            more[st->n_conditions] = c;
            enum err r = condition_parse(key, values, &more[st->n_conditions++], why);
            if (r != ERR_OK)
                return r;
        }
    }
    return ERR_OK;
}

static enum err effect_parse(const json_t *value, struct policy_statement *st, struct why *why)
{
    struct span s = json_is_string(value) ? text_of(value) : SPAN_EMPTY;

    st->allows = span_is(s, "Allow");
    return st->allows || span_is(s, "Deny") ? ERR_OK
                                            : fail(why, "Effect is neither Allow nor Deny");
}

static enum err sid_parse(const json_t *value, struct policy_statement *st, struct why *why)
{
    if (!json_is_string(value))
        return fail(why, "Sid is not a string");
    st->sid = text_of(value);
    return ERR_OK;
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

static enum err element_parse(enum element which, bool negated, json_t *value,
                              struct policy_statement *st, struct why *why)
{
    switch (which) {
    case EL_SID:
        return sid_parse(value, st, why);
    case EL_EFFECT:
        return effect_parse(value, st, why);
    case EL_PRINCIPAL:
        st->not_principals = negated;
        return policy_principals_parse(value, st, why);
    case EL_ACTION:
        st->not_actions = negated;
        return actions_parse(value, st, why);
    case EL_RESOURCE:
        st->not_resources = negated;
        return resources_parse(value, st, why);
    case EL_CONDITION:
        return conditions_parse(value, st, why);
    case ELEMENTS:
        break;
    }
    return ERR_INTERNAL;
}

/* A key policy without Action or Resource is accepted and has no effect (kms-policy section 2). */
static enum err complete(const bool seen[static ELEMENTS], enum policy_use use, struct why *why)
{
    if (!seen[EL_EFFECT])
        return fail(why, "Statement without Effect");
    if (use == POLICY_OF_KEY)
        return seen[EL_PRINCIPAL] ? ERR_OK : fail(why, "Statement without Principal");
    if (seen[EL_PRINCIPAL])
        return fail(why, "Principal in an identity policy");
    if (!seen[EL_ACTION])
        return fail(why, "Statement without Action");
    return seen[EL_RESOURCE] ? ERR_OK : fail(why, "Statement without Resource");
}

static enum err statement_parse(json_t *value, enum policy_use use, struct policy_statement *st,
                                struct why *why)
{
    bool seen[ELEMENTS] = { false };
    const char *name;
    json_t *member;

    if (!json_is_object(value))
        return fail(why, "Statement is not an object");
    json_object_foreach(value, name, member)
    {
        size_t i = 0;
        while (i < N_ELEMENTS && strcmp(elements[i].name, name) != 0)
            i++;
        if (i == N_ELEMENTS)
            return fail(why, "Unknown element in statement");
        if (seen[elements[i].element])
            return fail(why, "Element together with its Not form");
        seen[elements[i].element] = true;
        enum err r = element_parse(elements[i].element, elements[i].negated, member, st, why);
        if (r != ERR_OK)
            return r;
    }
    return complete(seen, use, why);
}

static enum err statements_parse(json_t *value, struct policy *p, struct why *why)
{
    size_t n = json_is_array(value) ? json_array_size(value) : 1;

    if (!json_is_array(value) && !json_is_object(value))
        return fail(why, "Policy without Statement");
    if (n == 0 || n > POLICY_STATEMENTS_MAX)
        return fail(why, n ? "Too many statements" : "Policy without Statement");
    p->statements = calloc(n, sizeof *p->statements);
    if (!p->statements)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        json_t *one = json_is_array(value) ? json_array_get(value, i) : value;
        p->n = i + 1;
        enum err r = statement_parse(one, p->use, &p->statements[i], why);
        if (r != ERR_OK && why)
            why->at = i + 1;
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

static enum err document_parse(struct policy *p, struct why *why)
{
    const char *name;
    json_t *member;

    if (!json_is_object(p->doc))
        return fail(why, "Policy is not an object");
    json_object_foreach(p->doc, name, member)
    {
        struct span s = json_is_string(member) ? text_of(member) : SPAN_EMPTY;
        if (strcmp(name, "Version") == 0) {
            if (!span_is(s, "2012-10-17") && !span_is(s, "2008-10-17"))
                return fail(why, "Unknown policy Version");
        } else if (strcmp(name, "Id") == 0) {
            if (!json_is_string(member))
                return fail(why, "Id is not a string");
        } else if (strcmp(name, "Statement") != 0) {
            return fail(why, "Unknown element in policy");
        }
    }
    return statements_parse(json_object_get(p->doc, "Statement"), p, why);
}

enum err policy_parse(struct span text, enum policy_use use, struct policy **out, struct why *why)
{
    json_error_t at;

    if (text.len > POLICY_MAX_BYTES)
        return why_fail(why, ERR_LIMIT, "Policy is too long", 0);
    /* jansson takes a NUL after a number or a literal for the end. */
    if (span_find(text, '\0') < text.len)
        return why_fail(why, ERR_MALFORMED, "Policy is not JSON", span_find(text, '\0'));
    AUTO(policy_freep) struct policy *p = calloc(1, sizeof *p);
    if (!p)
        return ERR_NOMEM;
    p->use = use;
    p->doc =
        json_loadb(text.len ? (const char *)text.ptr : "", text.len, JSON_REJECT_DUPLICATES, &at);
    if (!p->doc)
        return why_fail(why, ERR_MALFORMED, "Policy is not JSON",
                        at.position > 0 ? (size_t)at.position : 0);
    enum err r = document_parse(p, why);
    if (r != ERR_OK)
        return r;
    *out = p;
    p = NULL; /* handed over */
    return ERR_OK;
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
    json_decref(p->doc);
    free(p);
}

void policy_freep(struct policy **p)
{
    policy_free(*p);
    *p = NULL;
}
