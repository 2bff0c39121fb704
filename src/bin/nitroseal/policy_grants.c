#include "bin/nitroseal/policy_grants.h"

#include <jansson.h>

enum { GRANT_FILE_MAX_BYTES = 65536 };

/* Kept with the question, for the JSON value goes away. */
static bool keep(struct question *q, const json_t *j, struct span *out)
{
    size_t at = q->text.len;

    if (!json_is_string(j) || json_string_length(j) == 0 ||
        buf_append(&q->text, span_of(json_string_value(j), json_string_length(j))) != ERR_OK)
        return false;
    *out = span_from(buf_view(&q->text), at);
    return true;
}

static bool take_operations(struct question *q, const json_t *list, struct question_grant *g)
{
    size_t n = json_array_size(list);

    if (n == 0 || n > QUESTION_GRANT_ITEMS_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!keep(q, json_array_get(list, i), &g->operations[i]))
            return false;
    g->grant.operations = g->operations;
    g->grant.n_operations = n;
    return true;
}

static bool take_pairs(struct question *q, json_t *object, struct policy_pair *pairs, size_t *n)
{
    const char *name;
    json_t *value;

    if (!json_is_object(object) || json_object_size(object) > QUESTION_GRANT_ITEMS_MAX)
        return false;
    json_object_foreach(object, name, value)
    {
        json_t *key = json_string(name);
        bool kept = key && keep(q, key, &pairs[*n].name) && keep(q, value, &pairs[*n].value);
        json_decref(key);
        if (!kept)
            return false;
        ++*n;
    }
    return true;
}

static bool take_constraints(struct question *q, json_t *c, struct question_grant *g)
{
    json_t *equals = json_object_get(c, "EncryptionContextEquals");
    json_t *subset = json_object_get(c, "EncryptionContextSubset");

    g->grant.has_equals = equals != NULL;
    g->grant.equals = g->equals;
    g->grant.subset = g->subset;
    return (!equals || take_pairs(q, equals, g->equals, &g->grant.n_equals)) &&
           (!subset || take_pairs(q, subset, g->subset, &g->grant.n_subset));
}

static bool take_grant(struct question *q, const json_t *j, struct question_grant *g)
{
    return keep(q, json_object_get(j, "GranteePrincipal"), &g->grant.grantee) &&
           take_operations(q, json_object_get(j, "Operations"), g) &&
           take_constraints(q, json_object_get(j, "Constraints"), g);
}

static int read_one(const char *path, struct question *q, unsigned i, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(GRANT_FILE_MAX_BYTES);
    int status = policy_file_read(path, &text, f);

    if (status != CLI_OK)
        return status;
    bool nul = span_find(buf_view(&text), '\0') < text.len;
    json_t *j =
        nul ? NULL : json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    bool good = take_grant(q, j, &q->grants[i]);
    json_decref(j);
    if (!good)
        return cli_fault_set(f, CLI_FILE,
                             _("%s is not a grant: JSON with GranteePrincipal, Operations and "
                               "perhaps Constraints"),
                             path);
    q->grant_list[i] = q->grants[i].grant;
    return CLI_OK;
}

int question_grants(const struct options *o, struct question *q, struct cli_fault *f)
{
    unsigned n = option_count(o, "grant");
    int status = CLI_OK;

    if (n > QUESTION_GRANTS_MAX)
        return cli_fault_set(f, CLI_USAGE, _("--%s: more than %d"), "grant", QUESTION_GRANTS_MAX);
    for (unsigned i = 0; i < n && status == CLI_OK; i++)
        status = read_one(option_at(o, "grant", i), q, i, f);
    q->access.grants = q->grant_list;
    q->access.n_grants = n;
    return status;
}
