/* principal.c - who a statement is about, and is the caller among them? */
#include "policy/compiled.h"

enum { ACCOUNT_DIGITS = 12, UNIQUE_ID_MIN_CHARS = 16, SERVICE_MAX_BYTES = 256 };

static bool is_account(struct span s)
{
    uint64_t n;

    return s.len == ACCOUNT_DIGITS && span_to_u64(s, UINT64_MAX, &n) == ERR_OK;
}

static bool is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Letters, digits and _+=,.@-, as IAM allows in names; `/` between parts of a path. */
static bool is_name(struct span s, bool path)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (!is_alnum(c) && !(path && c == '/') && (c == '\0' || !strchr("_+=,.@-", c)))
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

/* Labels, of which "amazonaws" is the last but one or two. */
enum err policy_service_parse(struct span name, struct policy_caller *out)
{
    struct span rest = name;
    bool amazon = false;
    unsigned before = 0;

    if (name.len > SERVICE_MAX_BYTES)
        return ERR_MALFORMED;
    while (rest.ptr) {
        struct span label = span_cut(&rest, '.');
        for (size_t i = 0; i < label.len; i++)
            if (!is_alnum(label.ptr[i]) && label.ptr[i] != '-')
                return ERR_MALFORMED;
        if (label.len == 0)
            return ERR_MALFORMED;
        if (span_is(label, "amazonaws") && before > 0)
            amazon = rest.ptr && (span_is(rest, "com") || span_is(rest, "com.cn"));
        before++;
    }
    if (!amazon)
        return ERR_MALFORMED;
    *out = (struct policy_caller){ .kind = POLICY_CALLER_SERVICE, .arn = name };
    return ERR_OK;
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

static bool aws_principal(struct span s, struct policy_principal *out)
{
    if (span_is(s, "*")) {
        out->kind = PRINCIPAL_ANYONE;
        return true;
    }
    if (is_account(s)) {
        *out = (struct policy_principal){ .kind = PRINCIPAL_ACCOUNT, .who = { .account = s } };
        return true;
    }
    if (is_unique_id(s)) {
        out->kind = PRINCIPAL_ABSENT;
        return true;
    }
    if (policy_caller_parse(s, &out->who) != ERR_OK)
        return false;
    out->kind = out->who.kind == POLICY_CALLER_ROOT ? PRINCIPAL_ACCOUNT : PRINCIPAL_ARN;
    return true;
}

bool policy_principal_parse(struct span type, struct span value, struct policy_principal *out)
{
    if (span_is(type, "*"))
        return span_is(value, "*") && aws_principal(value, out);
    if (span_is(type, "AWS"))
        return aws_principal(value, out);
    if (span_is(type, "Service")) {
        out->kind = PRINCIPAL_SERVICE;
        return policy_service_parse(value, &out->who) == ERR_OK;
    }
    out->kind = PRINCIPAL_ABSENT;
    return span_is(type, "Federated") && value.len > 0;
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

bool policy_caller_is(const struct policy_caller *who, struct span arn)
{
    struct policy_caller named;

    return policy_caller_parse(arn, &named) == ERR_OK &&
           (span_eq(named.arn, who->arn) || is_role_of(&named, who));
}

static bool is_account_of(const struct policy_principal *p, const struct policy_caller *who)
{
    return p->kind == PRINCIPAL_ACCOUNT && who->kind != POLICY_CALLER_SERVICE &&
           span_eq(p->who.account, who->account) &&
           (!p->who.partition.len || span_eq(p->who.partition, who->partition));
}

static enum principal_match match(const struct policy_principal *p, const struct policy_caller *who)
{
    bool same;

    switch (p->kind) {
    case PRINCIPAL_ANYONE:
        return PRINCIPAL_DIRECT;
    case PRINCIPAL_ACCOUNT:
        if (!is_account_of(p, who))
            return PRINCIPAL_NO;
        return who->kind == POLICY_CALLER_ROOT ? PRINCIPAL_DIRECT : PRINCIPAL_BY_ACCOUNT;
    case PRINCIPAL_ARN:
        same = who->kind != POLICY_CALLER_SERVICE &&
               (span_eq(p->who.arn, who->arn) || is_role_of(&p->who, who));
        return same ? PRINCIPAL_DIRECT : PRINCIPAL_NO;
    case PRINCIPAL_SERVICE:
        same = who->kind == POLICY_CALLER_SERVICE && span_eq_nocase(p->who.arn, who->arn);
        return same ? PRINCIPAL_DIRECT : PRINCIPAL_NO;
    case PRINCIPAL_ABSENT:
        break;
    }
    return PRINCIPAL_NO;
}

/* Excepted is who is named together with his account: IAM looks at the account first, then at the
 * role, then at the session, and a denial of one of them is enough (IAM user guide, NotPrincipal
 * with Deny). A role stands for its sessions. */
static bool is_excepted(const struct policy_statement *st, const struct policy_caller *who)
{
    bool named = false, account = who->kind == POLICY_CALLER_SERVICE;

    for (size_t i = 0; i < st->n_principals; i++) {
        const struct policy_principal *p = &st->principals[i];
        bool anyone = p->kind == PRINCIPAL_ANYONE;
        named = named || match(p, who) == PRINCIPAL_DIRECT;
        account = account || anyone || is_account_of(p, who);
    }
    return named && account;
}

enum principal_match policy_principals_match(const struct policy_statement *st,
                                             const struct policy_caller *who)
{
    enum principal_match best = PRINCIPAL_NO;

    if (st->not_principals)
        return is_excepted(st, who) ? PRINCIPAL_NO : PRINCIPAL_DIRECT;
    for (size_t i = 0; i < st->n_principals; i++) {
        enum principal_match m = match(&st->principals[i], who);
        if (m > best)
            best = m;
    }
    return best;
}
