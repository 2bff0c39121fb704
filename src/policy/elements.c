/* elements.c - principals, actions, resources and conditions of a statement. */
#include "policy/reader.h"

/* "*", or SERVICE:PATTERN. */
static const char *action_fault(struct span s, const void *unused)
{
    struct span rest = s;
    struct span service = span_cut(&rest, ':');

    (void)unused;
    if (span_is(s, "*"))
        return NULL;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alnum && c != '-' && c != ':' && c != '*' && c != '?')
            return "Invalid action in policy";
    }
    return service.len > 0 && rest.len > 0 && span_find(rest, ':') == rest.len
               ? NULL
               : "Invalid action in policy";
}

static const char *resource_fault(struct span s, const void *unused)
{
    (void)unused;
    return span_is(s, "*") || span_starts(s, "arn:") ? NULL : "Invalid resource in policy";
}

static const char *condition_fault(struct span s, const void *arg)
{
    const struct policy_condition *c = arg;

    return policy_value_fault(c->op, s);
}

static bool is_condition_key(struct span s)
{
    struct span rest = s;
    struct span prefix = span_cut(&rest, ':');

    return prefix.len > 0 && rest.len > 0;
}

static bool starts_nocase(struct span s, const char *prefix)
{
    return span_eq_nocase(span_sub(s, 0, strlen(prefix)), span_str(prefix));
}

/* KMS has a name of its own for ForAllValues over keys that have one value or are absent, since it
 * holds when the key is absent (kms-policy reference section 2). */
static bool is_overly_permissive(const struct policy_condition *c)
{
    return c->quantifier == QUANTIFIER_ALL && (starts_nocase(c->key, "kms:EncryptionContext:") ||
                                               starts_nocase(c->key, "aws:RequestTag/"));
}

static void condition_parse(struct reader *r, const struct policy_condition *model, struct span key,
                            size_t at, struct policy_statement *st)
{
    struct policy_condition *more = reader_grow(r, st->conditions, st->n_conditions, sizeof *more);

    if (!more)
        return;
    st->conditions = more;
    struct policy_condition *c = &more[st->n_conditions++];
    *c = *model;
    c->key = key;
    if (!is_condition_key(key))
        reader_fail(r, at, "Invalid condition key in policy");
    else if (is_overly_permissive(c))
        reader_fail(
            r, at,
            "OverlyPermissiveCondition: ForAllValues with a condition key that has one value");
    bool plain = c->op->test == TEST_STRING || c->op->test == TEST_LIKE || c->op->test == TEST_ARN;
    reader_list(r, !plain, condition_fault, c, &c->values);
}

static void operator_parse(struct reader *r, struct span name, size_t at,
                           struct policy_statement *st)
{
    struct policy_condition model = { .op = NULL };
    struct json_str member;
    bool any = false;

    if (!policy_operator_find(name, &model))
        reader_fail(r, at, "Unsupported condition operator");
    if (!reader_failed(r) && !reader_object(r, "Condition operator without keys"))
        return;
    size_t key_at = r->j.pos;
    while (json_in_member(&r->j, &member)) {
        key_at = reader_name_at(r, member);
        condition_parse(r, &model, reader_view(r, member), key_at, st);
        any = true;
    }
    if (!reader_failed(r) && !any)
        reader_fail(r, at, "Condition operator without keys");
}

void reader_conditions(struct reader *r, struct policy_statement *st)
{
    struct json_str member;

    if (!reader_object(r, "Condition is not an object"))
        return;
    while (json_in_member(&r->j, &member)) {
        size_t at = reader_name_at(r, member);
        operator_parse(r, reader_view(r, member), at, st);
    }
}

static void principal_add(struct reader *r, struct span type, struct policy_statement *st)
{
    struct policy_principal made = { .kind = PRINCIPAL_ABSENT };
    enum json_kind kind;
    size_t at = reader_here(r, &kind);
    struct span value = reader_text(r, "Invalid principal in policy");

    if (!reader_failed(r) && !policy_principal_parse(type, value, &made))
        reader_fail(r, at, "Invalid principal in policy");
    made.text = value;
    struct policy_principal *more =
        reader_failed(r) ? NULL : reader_grow(r, st->principals, st->n_principals, sizeof *more);
    if (!more)
        return;
    st->principals = more;
    more[st->n_principals++] = made;
}

static void principal_type(struct reader *r, struct span type, struct policy_statement *st)
{
    enum json_kind kind;
    size_t at = reader_here(r, &kind), before = st->n_principals;

    if (kind != JSON_KIND_ARRAY) {
        principal_add(r, type, st);
        return;
    }
    for (json_in_array(&r->j); json_in_element(&r->j);)
        principal_add(r, type, st);
    if (!reader_failed(r) && st->n_principals == before)
        reader_fail(r, at, "Invalid principal in policy");
}

/* `"*"`, or {"AWS": one or several, "Service": ...}. */
void reader_principals(struct reader *r, struct policy_statement *st)
{
    enum json_kind kind;
    size_t at = reader_here(r, &kind);
    struct json_str member;

    if (kind == JSON_KIND_STRING) {
        principal_add(r, SPAN_LIT("*"), st);
        return;
    }
    if (!reader_object(r, "Invalid principal in policy"))
        return;
    while (json_in_member(&r->j, &member))
        principal_type(r, reader_view(r, member), st);
    if (!reader_failed(r) && st->n_principals == 0)
        reader_fail(r, at, "Invalid principal in policy");
}

void reader_actions(struct reader *r, struct policy_statement *st)
{
    reader_list(r, false, action_fault, NULL, &st->actions);
}

void reader_resources(struct reader *r, struct policy_statement *st)
{
    reader_list(r, false, resource_fault, NULL, &st->resources);
}
