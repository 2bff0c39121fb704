#include "localkms/people.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/rfc3339.h"
#include "localkms/yaml_in.h"
#include "sigv4/sigv4.h"

enum { ARN_BYTES = 512, NAME_MAX_BYTES = 64, ACCOUNT_DIGITS = 12 };

struct reading {
    const struct people_defaults *defaults;
    struct principals *out;
    struct why *why;
};

/* What a principal's access keys have in common. */
struct owner {
    char arn[ARN_BYTES];
    struct yaml_at policies; /* may be absent */
};

static enum err fail(const struct reading *g, struct yaml_at at, const char *what)
{
    return why_fail(g->why, ERR_MALFORMED, what, yaml_line(at));
}

static enum err take_policy(const struct reading *g, struct yaml_at at, struct principal *p)
{
    AUTO(buf_clear) struct buf json = BUF_INIT(2 * POLICY_MAX_BYTES);
    struct span text;
    struct why inner = { 0 };

    enum err r = yaml_text(at, &text, NULL);
    if (r != ERR_OK) {
        r = yaml_json(at, &json, g->why);
        text = buf_view(&json);
    }
    if (r != ERR_OK)
        return r;
    r = policy_parse(text, POLICY_OF_IDENTITY, &p->policies[p->n_policies], &inner);
    if (r != ERR_OK)
        return why_fail(g->why, r, inner.what ? inner.what : err_name(r), yaml_line(at));
    p->n_policies++;
    return ERR_OK;
}

static enum err take_policies(const struct reading *g, struct yaml_at list, struct principal *p)
{
    struct yaml_at one;

    if (!yaml_is_there(list))
        return ERR_OK;
    if (!yaml_is_list(list))
        return fail(g, list, "policies is not a list");
    for (size_t i = 0; yaml_element(list, i, &one); i++) {
        if (i == PRINCIPAL_POLICIES_MAX)
            return why_fail(g->why, ERR_LIMIT, "more than 20 policies", yaml_line(one));
        enum err r = take_policy(g, one, p);
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

static enum err take_secret(const struct reading *g, struct yaml_at at, size_t max,
                            struct secret *out)
{
    struct span text;

    enum err r = yaml_text(at, &text, g->why);
    if (r != ERR_OK)
        return r;
    if (text.len == 0 || text.len > max)
        return fail(g, at, "a secret that is empty or too long");
    return secret_copy(text, out);
}

/* The fields that every access key has; `name` is only a session's. */
struct key_fields {
    struct yaml_at name, id, secret, token, expires;
};

static enum err key_fields(const struct reading *g, struct yaml_at at, bool session,
                           struct key_fields *out)
{
    const struct yaml_field fields[] = {
        { "id", &out->id, "id is missing" },
        { "secret", &out->secret, "secret is missing" },
        { "session_token", &out->token, NULL },
        { "expires", &out->expires, NULL },
        { "name", &out->name, session ? "name is missing" : NULL },
    };

    out->name = YAML_ABSENT;
    return yaml_fields(at, fields, session ? 5 : 4, g->why);
}

static enum err key_values(const struct reading *g, const struct key_fields *f, struct principal *p)
{
    struct span text;

    enum err r = yaml_text(f->id, &text, g->why);
    if (r != ERR_OK)
        return r;
    p->access_key_id = strndup((const char *)text.ptr, text.len);
    if (!p->access_key_id)
        return ERR_NOMEM;
    if (text.len == 0 || principals_find(g->out, text) != p)
        return fail(g, f->id, "an access key id that comes twice or is empty");
    r = take_secret(g, f->secret, SIGV4_SECRET_MAX_BYTES, &p->secret_access_key);
    if (r == ERR_OK && yaml_is_there(f->token))
        r = take_secret(g, f->token, SECRET_MAX_BYTES, &p->session_token);
    if (r != ERR_OK || !yaml_is_there(f->expires))
        return r;
    r = yaml_text(f->expires, &text, g->why);
    if (r == ERR_OK && rfc3339_parse_plain(text, &p->expires_s) != ERR_OK)
        r = fail(g, f->expires, "expires is not a time like 2026-01-02T03:04:05Z");
    return r;
}

static enum err add_key(const struct reading *g, const struct key_fields *f,
                        const struct owner *owner, struct yaml_at at)
{
    if (g->out->n == PRINCIPALS_MAX)
        return why_fail(g->why, ERR_LIMIT, "more than 1024 access keys", yaml_line(at));
    struct principal *p = &g->out->all[g->out->n++];
    enum err r = key_values(g, f, p);
    if (r != ERR_OK)
        return r;
    p->arn = strdup(owner->arn);
    if (!p->arn)
        return ERR_NOMEM;
    if (policy_caller_parse(span_str(p->arn), &p->caller) != ERR_OK)
        return fail(g, at, "a name that no ARN can have");
    return take_policies(g, owner->policies, p);
}

static enum err add_keys(const struct reading *g, struct yaml_at list, const struct owner *owner)
{
    struct yaml_at one;
    struct key_fields f;

    if (!yaml_is_list(list))
        return fail(g, list, "access_keys is not a list");
    for (size_t i = 0; yaml_element(list, i, &one); i++) {
        enum err r = key_fields(g, one, false, &f);
        if (r == ERR_OK)
            r = add_key(g, &f, owner, one);
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

static enum err take_account(const struct reading *g, struct yaml_at at, struct span *out)
{
    uint64_t unused;

    *out = span_str(g->defaults->account);
    if (!yaml_is_there(at))
        return ERR_OK;
    enum err r = yaml_text(at, out, g->why);
    if (r == ERR_OK &&
        (out->len != ACCOUNT_DIGITS || span_to_u64(*out, UINT64_MAX, &unused) != ERR_OK))
        r = fail(g, at, "an account is 12 digits");
    return r;
}

/* IAM's characters of names and paths; a path begins and ends with a slash. */
static enum err take_name(const struct reading *g, struct yaml_at at, bool path, struct span *out)
{
    static const char special[] = "+=,.@-_";

    enum err r = yaml_text(at, out, g->why);
    if (r != ERR_OK)
        return r;
    if (out->len == 0 || out->len > NAME_MAX_BYTES)
        return fail(g, at, "a name is 1 to 64 characters");
    for (size_t i = 0; i < out->len; i++) {
        uint8_t c = out->ptr[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    (c && strchr(special, c)) || (path && c == '/');
        if (!good)
            return fail(g, at, "a character that names cannot have");
    }
    if (path && (out->ptr[0] != '/' || out->ptr[out->len - 1] != '/'))
        return fail(g, at, "a path begins and ends with /");
    return ERR_OK;
}

static enum err take_user(const struct reading *g, struct yaml_at at)
{
    struct yaml_at name, path, account, keys;
    struct owner owner;
    const struct yaml_field fields[] = {
        { "name", &name, "name is missing" },  { "path", &path, NULL },
        { "account", &account, NULL },         { "access_keys", &keys, "access_keys is missing" },
        { "policies", &owner.policies, NULL },
    };
    struct span name_text, path_text = SPAN_LIT("/"), account_text;

    enum err r = yaml_fields(at, fields, sizeof fields / sizeof fields[0], g->why);
    if (r == ERR_OK)
        r = take_name(g, name, false, &name_text);
    if (r == ERR_OK && yaml_is_there(path))
        r = take_name(g, path, true, &path_text);
    if (r == ERR_OK)
        r = take_account(g, account, &account_text);
    if (r != ERR_OK)
        return r;
    snprintf(owner.arn, sizeof owner.arn, "arn:%s:iam::%.*s:user%.*s%.*s", g->defaults->partition,
             (int)account_text.len, (const char *)account_text.ptr, (int)path_text.len,
             (const char *)path_text.ptr, (int)name_text.len, (const char *)name_text.ptr);
    return add_keys(g, keys, &owner);
}

static enum err take_session(const struct reading *g, struct yaml_at at, struct span role,
                             struct span account, struct yaml_at policies)
{
    struct owner owner = { .policies = policies };
    struct key_fields f;
    struct span name;

    enum err r = key_fields(g, at, true, &f);
    if (r == ERR_OK)
        r = take_name(g, f.name, false, &name);
    if (r != ERR_OK)
        return r;
    snprintf(owner.arn, sizeof owner.arn, "arn:%s:sts::%.*s:assumed-role/%.*s/%.*s",
             g->defaults->partition, (int)account.len, (const char *)account.ptr, (int)role.len,
             (const char *)role.ptr, (int)name.len, (const char *)name.ptr);
    return add_key(g, &f, &owner, at);
}

static enum err take_role(const struct reading *g, struct yaml_at at)
{
    struct yaml_at name, account, sessions, policies, one;
    const struct yaml_field fields[] = {
        { "name", &name, "name is missing" },
        { "account", &account, NULL },
        { "sessions", &sessions, "sessions is missing" },
        { "policies", &policies, NULL },
    };
    struct span name_text = SPAN_EMPTY, account_text = SPAN_EMPTY;

    enum err r = yaml_fields(at, fields, sizeof fields / sizeof fields[0], g->why);
    if (r == ERR_OK)
        r = take_name(g, name, false, &name_text);
    if (r == ERR_OK)
        r = take_account(g, account, &account_text);
    if (r == ERR_OK && !yaml_is_list(sessions))
        r = fail(g, sessions, "sessions is not a list");
    for (size_t i = 0; r == ERR_OK && yaml_element(sessions, i, &one); i++)
        r = take_session(g, one, name_text, account_text, policies);
    return r;
}

static enum err take_root(const struct reading *g, struct yaml_at at)
{
    struct yaml_at account, keys;
    const struct yaml_field fields[] = {
        { "account", &account, NULL },
        { "access_keys", &keys, "access_keys is missing" },
    };
    struct owner owner = { .policies = YAML_ABSENT };
    struct span account_text;

    enum err r = yaml_fields(at, fields, sizeof fields / sizeof fields[0], g->why);
    if (r == ERR_OK)
        r = take_account(g, account, &account_text);
    if (r != ERR_OK)
        return r;
    snprintf(owner.arn, sizeof owner.arn, "arn:%s:iam::%.*s:root", g->defaults->partition,
             (int)account_text.len, (const char *)account_text.ptr);
    return add_keys(g, keys, &owner);
}

static enum err take_list(const struct reading *g, struct yaml_at list,
                          enum err (*take)(const struct reading *, struct yaml_at))
{
    struct yaml_at one;
    enum err r = ERR_OK;

    if (yaml_is_there(list) && !yaml_is_list(list))
        return fail(g, list, "not a list");
    for (size_t i = 0; r == ERR_OK && yaml_element(list, i, &one); i++)
        r = take(g, one);
    return r;
}

static enum err take_all(const struct reading *g, struct yaml_at top)
{
    struct yaml_at users, roles, root;
    const struct yaml_field fields[] = {
        { "users", &users, NULL },
        { "roles", &roles, NULL },
        { "root", &root, NULL },
    };

    enum err r = yaml_fields(top, fields, sizeof fields / sizeof fields[0], g->why);
    if (r == ERR_OK)
        r = take_list(g, users, take_user);
    if (r == ERR_OK)
        r = take_list(g, roles, take_role);
    return r == ERR_OK ? take_list(g, root, take_root) : r;
}

enum err people_parse(struct span yaml, const struct people_defaults *defaults,
                      struct principals *out, struct why *why)
{
    AUTO(yaml_doc_freep) struct yaml_doc *doc = NULL;
    AUTO(principals_clear) struct principals made = { NULL, 0 };
    struct reading g = { defaults, &made, why };

    enum err r = yaml_parse(yaml, &doc, why);
    if (r != ERR_OK)
        return r;
    made.all = calloc(PRINCIPALS_MAX, sizeof *made.all);
    if (!made.all)
        return ERR_NOMEM;
    r = take_all(&g, yaml_root(doc));
    if (r != ERR_OK)
        return r;
    *out = made;
    made = (struct principals){ NULL, 0 }; /* handed over */
    return ERR_OK;
}
