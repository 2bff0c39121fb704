/* principal.c - who a statement is about, and is the caller among them? */
#include <stdlib.h>

#include "policy/compiled.h"

enum { ACCOUNT_DIGITS = 12, UNIQUE_ID_MIN_CHARS = 16 };

static bool is_account(struct span s)
{
    uint64_t n;

    return s.len == ACCOUNT_DIGITS && span_to_u64(s, UINT64_MAX, &n) == ERR_OK;
}

/* Letters, digits and _+=,.@-, as IAM allows in names; `/` between parts of a path. */
static bool is_name(struct span s, bool path)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alnum && !(path && c == '/') && (c == '\0' || !strchr("_+=,.@-", c)))
            return false;
    }
    return s.len > 0 && s.ptr[0] != '/' && s.ptr[s.len - 1] != '/';
}

static bool iam_resource(struct span resource, struct policy_caller *out)
{
    struct span rest = resource;
    struct span type = span_cut(&rest, '/');

    if (span_is(resource, "root")) {
        out->kind = POLICY_CALLER_ROOT;
        return true;
    }
    out->kind = POLICY_CALLER_NAMED;
    return (span_is(type, "user") || span_is(type, "role")) && is_name(rest, true);
}

static bool sts_resource(struct span resource, struct policy_caller *out)
{
    struct span rest = resource;
    struct span type = span_cut(&rest, '/');

    if (span_is(type, "federated-user")) {
        out->kind = POLICY_CALLER_NAMED;
        return is_name(rest, false);
    }
    out->kind = POLICY_CALLER_SESSION;
    out->role = span_cut(&rest, '/');
    return span_is(type, "assumed-role") && is_name(out->role, false) && is_name(rest, false);
}

enum err policy_caller_parse(struct span arn, struct policy_caller *out)
{
    struct policy_caller who = { .arn = arn };
    struct span rest = arn;

    if (!span_is(span_cut(&rest, ':'), "arn"))
        return ERR_MALFORMED;
    who.partition = span_cut(&rest, ':');
    struct span service = span_cut(&rest, ':');
    struct span region = span_cut(&rest, ':');
    who.account = span_cut(&rest, ':');
    if (!span_starts(who.partition, "aws") || region.len != 0 || !is_account(who.account))
        return ERR_MALFORMED;
    bool good = span_is(service, "iam")   ? iam_resource(rest, &who)
                : span_is(service, "sts") ? sts_resource(rest, &who)
                                          : false;
    if (!good)
        return ERR_MALFORMED;
    *out = who;
    return ERR_OK;
}

static struct span text_of(const json_t *j)
{
    return span_of(json_string_value(j), json_string_length(j));
}

/* What a deleted user or role is shown as. */
static bool is_unique_id(struct span s)
{
    if (s.len < UNIQUE_ID_MIN_CHARS || !(span_starts(s, "AIDA") || span_starts(s, "AROA")))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!((s.ptr[i] >= 'A' && s.ptr[i] <= 'Z') || (s.ptr[i] >= '0' && s.ptr[i] <= '9')))
            return false;
    return true;
}

static enum err aws_principal(struct span s, struct policy_principal *out)
{
    if (span_is(s, "*")) {
        out->kind = PRINCIPAL_ANYONE;
        return ERR_OK;
    }
    if (is_account(s)) {
        *out = (struct policy_principal){ .kind = PRINCIPAL_ACCOUNT, .who = { .account = s } };
        return ERR_OK;
    }
    if (is_unique_id(s)) {
        out->kind = PRINCIPAL_ABSENT;
        return ERR_OK;
    }
    enum err r = policy_caller_parse(s, &out->who);
    if (r == ERR_OK)
        out->kind = out->who.kind == POLICY_CALLER_ROOT ? PRINCIPAL_ACCOUNT : PRINCIPAL_ARN;
    return r;
}

static enum err one_principal(const char *type, const json_t *value, struct policy_principal *out)
{
    if (!json_is_string(value) || json_string_length(value) == 0)
        return ERR_MALFORMED;
    if (strcmp(type, "AWS") == 0)
        return aws_principal(text_of(value), out);
    out->kind = PRINCIPAL_ABSENT;
    return strcmp(type, "Service") == 0 || strcmp(type, "Federated") == 0 ? ERR_OK : ERR_MALFORMED;
}

static enum err add(struct policy_statement *st, const char *type, const json_t *value,
                    struct why *why)
{
    struct policy_principal made = { .kind = PRINCIPAL_ABSENT };

    enum err r = one_principal(type, value, &made);
    if (r != ERR_OK)
        return why_fail(why, r, "Invalid principal in policy", 0);
    struct policy_principal *more =
        reallocarray(st->principals, st->n_principals + 1, sizeof *st->principals);
    if (!more)
        return ERR_NOMEM;
    st->principals = more;
    more[st->n_principals++] = made;
    return ERR_OK;
}

/* `"*"`, or {"AWS": one or several, "Service": ...}. */
enum err policy_principals_parse(json_t *value, struct policy_statement *st, struct why *why)
{
    const char *type;
    json_t *who;
    size_t i;
    const json_t *one;

    if (json_is_string(value) && span_is(text_of(value), "*"))
        return add(st, "AWS", value, why);
    if (!json_is_object(value) || json_object_size(value) == 0)
        return why_fail(why, ERR_MALFORMED, "Invalid principal in policy", 0);
    json_object_foreach(value, type, who)
    {
        if (!json_is_array(who)) {
            enum err r = add(st, type, who, why);
            if (r != ERR_OK)
                return r;
            continue;
        }
        if (json_array_size(who) == 0)
            return why_fail(why, ERR_MALFORMED, "Invalid principal in policy", 0);
        json_array_foreach(who, i, one)
        {
            enum err r = add(st, type, one, why);
            if (r != ERR_OK)
                return r;
        }
    }
    return ERR_OK;
}

static struct span last_part(struct span path)
{
    struct span part = SPAN_EMPTY;

    while (path.ptr)
        part = span_cut(&path, '/');
    return part;
}

/* arn:P:iam::A:role/PATH/NAME stands for the sessions of the role, too; a session's own ARN does
 * not tell the path. */
static bool is_role_of(const struct policy_caller *role, const struct policy_caller *session)
{
    struct span rest = role->arn;

    if (session->kind != POLICY_CALLER_SESSION || !span_eq(role->account, session->account) ||
        !span_eq(role->partition, session->partition))
        return false;
    for (unsigned colons = 0; colons < 5; colons++)
        (void)span_cut(&rest, ':');
    return span_starts(rest, "role/") && span_eq(last_part(rest), session->role);
}

static enum principal_match match(const struct policy_principal *p, const struct policy_caller *who)
{
    switch (p->kind) {
    case PRINCIPAL_ANYONE:
        return PRINCIPAL_DIRECT;
    case PRINCIPAL_ACCOUNT:
        if (!span_eq(p->who.account, who->account) ||
            (p->who.partition.len && !span_eq(p->who.partition, who->partition)))
            return PRINCIPAL_NO;
        return who->kind == POLICY_CALLER_ROOT ? PRINCIPAL_DIRECT : PRINCIPAL_BY_ACCOUNT;
    case PRINCIPAL_ARN:
        return span_eq(p->who.arn, who->arn) || is_role_of(&p->who, who) ? PRINCIPAL_DIRECT
                                                                         : PRINCIPAL_NO;
    case PRINCIPAL_ABSENT:
        break;
    }
    return PRINCIPAL_NO;
}

enum principal_match policy_principals_match(const struct policy_statement *st,
                                             const struct policy_caller *who)
{
    enum principal_match best = PRINCIPAL_NO;

    for (size_t i = 0; i < st->n_principals; i++) {
        enum principal_match m = match(&st->principals[i], who);
        if (m > best)
            best = m;
    }
    if (!st->not_principals)
        return best;
    /* Naming the account does not except its users and roles; naming them does. */
    return best == PRINCIPAL_DIRECT ? PRINCIPAL_NO : PRINCIPAL_DIRECT;
}
