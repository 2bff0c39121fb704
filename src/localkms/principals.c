#include "localkms/principals.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/rfc3339.h"
#include "sigv4/sigv4.h"

static void json_freep(json_t **j)
{
    json_decref(*j);
}

static enum err fail(struct why *why, const char *what)
{
    return why_fail(why, ERR_MALFORMED, what, 0);
}

static enum err take_text(const json_t *j, char **out)
{
    char *copy = json_string_length(j) ? strdup(json_string_value(j)) : NULL;

    if (!copy)
        return ERR_MALFORMED;
    free(*out);
    *out = copy;
    return ERR_OK;
}

static enum err take_secret(const json_t *j, size_t max, struct secret *out)
{
    size_t len = json_string_length(j);

    if (len == 0 || len > max)
        return ERR_MALFORMED;
    secret_clear(out);
    return secret_copy(span_of(json_string_value(j), len), out);
}

static enum err take_time(const json_t *j, int64_t *out)
{
    const char *s = json_string_value(j);

    return rfc3339_parse_plain(s ? span_of(s, json_string_length(j)) : SPAN_EMPTY, out);
}

static enum err take_policies(json_t *list, struct principal *p, struct why *why)
{
    size_t i;
    json_t *one;

    if (!json_is_array(list) || json_array_size(list) > PRINCIPAL_POLICIES_MAX)
        return fail(why, "policies is not a list of at most 20");
    json_array_foreach(list, i, one)
    {
        char *text = json_dumps(one, JSON_COMPACT | JSON_ENCODE_ANY);
        if (!text)
            return ERR_NOMEM;
        enum err r = policy_parse(span_str(text), POLICY_OF_IDENTITY, &p->policies[i], why);
        free(text);
        if (r != ERR_OK)
            return r;
        p->n_policies = i + 1;
    }
    return ERR_OK;
}

static enum err take_member(const char *name, json_t *value, struct principal *p, struct why *why)
{
    enum err r = ERR_OK;

    if (strcmp(name, "access_key_id") == 0)
        return (r = take_text(value, &p->access_key_id)) == ERR_OK ? r : fail(why, "access_key_id");
    if (strcmp(name, "secret_access_key") == 0)
        return (r = take_secret(value, SIGV4_SECRET_MAX_BYTES, &p->secret_access_key)) == ERR_OK
                   ? r
                   : fail(why, "secret_access_key");
    if (strcmp(name, "session_token") == 0)
        return (r = take_secret(value, SECRET_MAX_BYTES, &p->session_token)) == ERR_OK
                   ? r
                   : fail(why, "session_token");
    if (strcmp(name, "expiration") == 0)
        return (r = take_time(value, &p->expires_s)) == ERR_OK ? r : fail(why, "expiration");
    if (strcmp(name, "arn") == 0)
        return (r = take_text(value, &p->arn)) == ERR_OK ? r : fail(why, "arn");
    if (strcmp(name, "policies") == 0)
        return take_policies(value, p, why);
    return fail(why, "unknown member of a principal");
}

static enum err take_principal(json_t *j, struct principal *p, struct why *why)
{
    const char *name;
    json_t *value;

    if (!json_is_object(j))
        return fail(why, "principal is not an object");
    json_object_foreach(j, name, value)
    {
        enum err r = take_member(name, value, p, why);
        if (r != ERR_OK)
            return r;
    }
    if (!p->access_key_id || !p->secret_access_key.len || !p->arn)
        return fail(why, "access_key_id, secret_access_key or arn is missing");
    return policy_caller_parse(span_str(p->arn), &p->caller) == ERR_OK ? ERR_OK : fail(why, "arn");
}

static enum err take_all(json_t *root, struct principals *out, struct why *why)
{
    size_t i;
    json_t *one;

    if (!json_is_array(root))
        return fail(why, "not a list");
    if (json_array_size(root) > PRINCIPALS_MAX)
        return why_fail(why, ERR_LIMIT, "too many principals", 0);
    out->all = calloc(json_array_size(root) + 1, sizeof *out->all);
    if (!out->all)
        return ERR_NOMEM;
    json_array_foreach(root, i, one)
    {
        out->n = i + 1;
        enum err r = take_principal(one, &out->all[i], why);
        if (r == ERR_OK &&
            principals_find(out, span_str(out->all[i].access_key_id)) != &out->all[i])
            r = fail(why, "access_key_id comes twice");
        if (r != ERR_OK && why)
            why->at = i + 1;
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

enum err principals_parse(struct span json, struct principals *out, struct why *why)
{
    AUTO(principals_clear) struct principals made = { NULL, 0 };
    json_error_t at;

    if (json.len == 0 || span_find(json, '\0') < json.len)
        return fail(why, "not JSON");
    AUTO(json_freep)
    json_t *root = json_loadb((const char *)json.ptr, json.len, JSON_REJECT_DUPLICATES, &at);
    if (!root)
        return fail(why, "not JSON");
    enum err r = take_all(root, &made, why);
    if (r != ERR_OK)
        return r;
    *out = made;
    made = (struct principals){ NULL, 0 }; /* handed over */
    return ERR_OK;
}

void principals_clear(struct principals *p)
{
    for (size_t i = 0; i < p->n; i++) {
        struct principal *one = &p->all[i];
        free(one->access_key_id);
        free(one->arn);
        secret_clear(&one->secret_access_key);
        secret_clear(&one->session_token);
        for (size_t k = 0; k < one->n_policies; k++)
            policy_free(one->policies[k]);
    }
    free(p->all);
    *p = (struct principals){ NULL, 0 };
}

const struct principal *principals_find(const struct principals *p, struct span access_key_id)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->all[i].access_key_id && span_is(access_key_id, p->all[i].access_key_id))
            return &p->all[i];
    return NULL;
}
