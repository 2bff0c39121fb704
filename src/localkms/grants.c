#include "localkms/grants.h"

#include <stdlib.h>

enum { GRANTS_WALKED_MAX = 50000, PAIRS_MAX = 2 * CONTEXT_PAIRS_MAX };

const char *const grant_operations[GRANT_OPERATIONS + 1] = {
    "Decrypt",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
    "Sign",
    "Verify",
    "GetPublicKey",
    "CreateGrant",
    "RetireGrant",
    "DescribeKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateMac",
    "VerifyMac",
    "DeriveSharedSecret",
    NULL,
};

bool grant_operation_by_name(struct span name, unsigned *bit)
{
    for (unsigned i = 0; i < GRANT_OPERATIONS; i++)
        if (span_is(name, grant_operations[i])) {
            *bit = i;
            return true;
        }
    return false;
}

/* Constraints in the engine's form. Views point into the text and `scratch`. */
struct limits {
    struct policy_pair *pairs; /* `equals` first */
    size_t n_equals, n_subset;
    bool has_equals;
    struct buf scratch;
};

static void limits_clear(struct limits *l)
{
    free(l->pairs);
    buf_clear(&l->scratch);
}

static enum err pairs_take(struct call *c, struct span object, struct limits *l, size_t *n)
{
    struct json_in j = json_in_init(object);
    struct json_str name;
    size_t base = l->n_equals + l->n_subset;

    for (json_in_object(&j); json_in_member(&j, &name);) {
        struct policy_pair *pair = &l->pairs[base + *n];
        if (base + *n == PAIRS_MAX)
            return fault_set(&c->fault, FAULT_VALIDATION,
                             "A grant constraint has more than %d pairs.", PAIRS_MAX);
        if (json_in_peek(&j) != JSON_KIND_STRING)
            return fault_set(&c->fault, FAULT_SERIALIZATION,
                             "A grant constraint is not a map of Strings");
        if (json_str_view(name, &l->scratch, &pair->name) != ERR_OK ||
            json_str_view(json_in_string(&j), &l->scratch, &pair->value) != ERR_OK)
            return fault_bare(&c->fault, FAULT_SERIALIZATION);
        ++*n;
    }
    return json_in_end(&j) == ERR_OK ? ERR_OK : fault_bare(&c->fault, FAULT_SERIALIZATION);
}

/* The object of one member, or absent. */
static struct span member_of(struct span constraints, const char *wanted)
{
    struct json_in j = json_in_init(constraints);
    struct span found = SPAN_EMPTY;
    struct json_str name;

    for (json_in_object(&j); json_in_member(&j, &name);) {
        bool is = json_str_is(name, wanted) && json_in_peek(&j) == JSON_KIND_OBJECT;
        struct span value = json_in_skip(&j);
        if (is)
            found = value;
    }
    return found;
}

static enum err limits_take(struct call *c, struct span constraints, struct limits *l)
{
    struct span equals = SPAN_EMPTY, subset = SPAN_EMPTY;

    l->scratch = BUF_INIT(constraints.len);
    if (constraints.len == 0)
        return ERR_OK;
    l->pairs = calloc(PAIRS_MAX, sizeof *l->pairs);
    if (!l->pairs)
        return call_fail(c, ERR_NOMEM);
    enum err r = call_reserve(c, constraints, &l->scratch);
    equals = member_of(constraints, "EncryptionContextEquals");
    subset = member_of(constraints, "EncryptionContextSubset");
    l->has_equals = equals.ptr != NULL;
    if (r == ERR_OK && equals.ptr)
        r = pairs_take(c, equals, l, &l->n_equals);
    if (r == ERR_OK && subset.ptr)
        r = pairs_take(c, subset, l, &l->n_subset);
    return r;
}

enum err grant_constraints_check(struct call *c, struct span constraints)
{
    AUTO(limits_clear) struct limits l = { .pairs = NULL };

    return limits_take(c, constraints, &l);
}

/* Who may make grants by a grant gives no more than it has (grants of the service's guide). */
static bool gives_no_more(const struct call *c, const struct grant_row *row)
{
    return c->grant_bits == 0 ||
           ((c->grant_bits & ~row->operations) == 0 &&
            (row->constraints.len == 0 || span_eq(row->constraints, c->grant_constraints)));
}

struct asking {
    struct call *c;
    struct access_question q;
    struct access *answer;
    unsigned bit;
};

static enum err ask_one(void *ctx, const struct grant_row *row)
{
    AUTO(limits_clear) struct limits l = { .pairs = NULL };
    struct asking *a = ctx;
    struct access answer;

    if (a->answer->reason == ACCESS_ALLOWED || !(row->operations >> a->bit & 1) ||
        !gives_no_more(a->c, row))
        return ERR_OK;
    enum err r = limits_take(a->c, row->constraints, &l);
    if (r != ERR_OK)
        return r;
    const struct span operation = span_str(grant_operations[a->bit]);
    const struct policy_grant grant = {
        .grantee = row->grantee,
        .operations = &operation,
        .n_operations = 1,
        .has_equals = l.has_equals,
        .equals = l.pairs,
        .n_equals = l.n_equals,
        .subset = l.pairs ? l.pairs + l.n_equals : NULL,
        .n_subset = l.n_subset,
    };
    a->q.grants = &grant;
    a->q.n_grants = 1;
    access_decide(&a->q, &answer);
    if (answer.reason == ACCESS_ALLOWED)
        a->answer->reason = ACCESS_ALLOWED;
    return ERR_OK;
}

enum err grants_decide(struct call *c, const struct access_question *q, struct access *answer)
{
    const struct keystore *store = vault_store(c->k->vault);
    struct asking a = { .c = c, .q = *q, .answer = answer };
    struct span name = span_from(q->rq.action, sizeof "kms:" - 1);

    if (!c->key || !grant_operation_by_name(name, &a.bit))
        return ERR_OK;
    const struct grant_filter filter = { .key_id = span_str(c->key->row.id) };
    enum err r = store->list_grants(store->arg, &filter, "", GRANTS_WALKED_MAX, ask_one, &a);
    return r == ERR_DENIED ? r : call_fail_store(c, r, STORE_READ);
}
