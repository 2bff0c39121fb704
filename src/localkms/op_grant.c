/* op_grant.c - CreateGrant, ListGrants, ListRetirableGrants. */
#include "base/hex.h"
#include "localkms/grants.h"
#include "localkms/page.h"

enum {
    PRINCIPAL_MAX_BYTES = 256,
    NAME_MAX_BYTES = 256,
    GRANT_ID_MAX_BYTES = 128,
    LIST_DEFAULT = 50,
    LIST_MAX = 100,
    GRANTS_PER_KEY_MAX = 50000,
};

struct create {
    struct span key_id, grantee, retiring, name, constraints;
    struct span operations[GRANT_OPERATIONS]; /* names that live for ever */
    size_t n_operations;
    uint32_t bits;
};

static void check_principal(struct checks *check, const char *member, struct span value)
{
    check_length(check, member, value, 1, PRINCIPAL_MAX_BYTES);
    check_characters(check, member, value, "_+=,.@:/-", "^[\\w+=,.@:/-]+$");
}

/* What a principal of a grant may be: an IAM or STS one. Services are not here. */
static enum err check_arn(struct call *c, struct span arn)
{
    struct policy_caller unused;

    if (!arn.ptr || policy_caller_parse(arn, &unused) == ERR_OK)
        return ERR_OK;
    return fault_set(&c->fault, FAULT_INVALID_ARN, "ARN does not refer to a valid principal: %.*s",
                     (int)arn.len, (const char *)arn.ptr);
}

static enum err refuse_services(struct call *c)
{
    static const char *const members[] = { "GranteeServicePrincipal", "RetiringServicePrincipal" };
    struct span value = SPAN_EMPTY;

    for (size_t i = 0; i < 2; i++) {
        enum err r = input_string(&c->in, members[i], &value, &c->fault);
        if (r == ERR_OK && value.ptr)
            r = fault_set(&c->fault, FAULT_UNSUPPORTED, "%s is not supported here.", members[i]);
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

static enum err take_operations(struct call *c, struct checks *check, struct create *in)
{
    AUTO(buf_clear) struct buf scratch = BUF_INIT(INPUT_BODY_MAX_BYTES);
    struct span list = SPAN_EMPTY, name;
    unsigned bit = 0;

    enum err r = input_list(&c->in, "Operations", &list, &c->fault);
    if (r != ERR_OK)
        return r;
    check_required(check, "operations", list.ptr != NULL);
    struct json_in j = json_in_init(list.ptr ? list : SPAN_LIT("[]"));
    for (json_in_array(&j); json_in_element(&j);) {
        if (json_in_peek(&j) != JSON_KIND_STRING)
            return fault_set(&c->fault, FAULT_SERIALIZATION, "Operations is not a list of Strings");
        if (json_str_view(json_in_string(&j), &scratch, &name) != ERR_OK)
            return fault_bare(&c->fault, FAULT_SERIALIZATION);
        if (!grant_operation_by_name(name, &bit)) {
            check_enum(check, "operations", name, grant_operations);
        } else if (!(in->bits >> bit & 1)) {
            in->bits |= 1u << bit;
            in->operations[in->n_operations++] = span_str(grant_operations[bit]);
        }
    }
    return ERR_OK;
}

static enum err members(struct call *c, struct create *in)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;

    enum err r = input_string(&c->in, "KeyId", &in->key_id, &c->fault);
    if (r == ERR_OK)
        r = input_string(&c->in, "GranteePrincipal", &in->grantee, &c->fault);
    if (r == ERR_OK)
        r = input_string(&c->in, "RetiringPrincipal", &in->retiring, &c->fault);
    if (r == ERR_OK)
        r = input_string(&c->in, "Name", &in->name, &c->fault);
    if (r == ERR_OK)
        r = input_object(&c->in, "Constraints", &in->constraints, &c->fault);
    if (r == ERR_OK)
        r = call_take_dry_run(c);
    if (r == ERR_OK)
        r = refuse_services(c);
    if (r != ERR_OK)
        return r;
    call_check_key_id(&check, in->key_id);
    check_required(&check, "granteePrincipal", in->grantee.ptr != NULL);
    check_principal(&check, "granteePrincipal", in->grantee);
    check_principal(&check, "retiringPrincipal", in->retiring);
    check_length(&check, "name", in->name, 1, NAME_MAX_BYTES);
    check_characters(&check, "name", in->name, ":/_-", "^[a-zA-Z0-9:/_-]+$");
    r = take_operations(c, &check, in);
    if (r == ERR_OK)
        r = checks_end(&check, &c->fault);
    if (r == ERR_OK)
        r = check_arn(c, in->grantee);
    if (r == ERR_OK)
        r = check_arn(c, in->retiring);
    if (r == ERR_OK)
        r = grant_constraints_check(c, in->constraints);
    return r == ERR_OK ? call_take_grants(c) : r;
}

/* Bits of what a key of this usage can be asked for. */
static uint32_t possible(const struct key_row *row)
{
    static const char *const symmetric[] = { "Decrypt",
                                             "Encrypt",
                                             "GenerateDataKey",
                                             "GenerateDataKeyWithoutPlaintext",
                                             "ReEncryptFrom",
                                             "ReEncryptTo",
                                             "GenerateDataKeyPair",
                                             "GenerateDataKeyPairWithoutPlaintext",
                                             "CreateGrant",
                                             "RetireGrant",
                                             "DescribeKey",
                                             NULL };
    static const char *const rsa[] = { "Decrypt",     "Encrypt",      "ReEncryptFrom",
                                       "ReEncryptTo", "GetPublicKey", "CreateGrant",
                                       "RetireGrant", "DescribeKey",  NULL };
    static const char *const sign[] = { "Sign",        "Verify",      "GetPublicKey",
                                        "CreateGrant", "RetireGrant", "DescribeKey",
                                        NULL };
    static const char *const mac[] = { "GenerateMac", "VerifyMac",   "CreateGrant",
                                       "RetireGrant", "DescribeKey", NULL };
    static const char *const agree[] = { "DeriveSharedSecret", "GetPublicKey", "CreateGrant",
                                         "RetireGrant",        "DescribeKey",  NULL };
    const char *const *names = row->usage == KEY_SIGN_VERIFY           ? sign
                               : row->usage == KEY_GENERATE_VERIFY_MAC ? mac
                               : row->usage == KEY_KEY_AGREEMENT       ? agree
                               : row->spec == KEY_SYMMETRIC            ? symmetric
                                                                       : rsa;
    uint32_t bits = 0;
    unsigned bit = 0;

    for (size_t i = 0; names[i]; i++)
        if (grant_operation_by_name(span_str(names[i]), &bit))
            bits |= 1u << bit;
    return bits;
}

static enum err check_fits(struct call *c, const struct create *in)
{
    if (in->bits & ~possible(&c->key->row))
        return fault_set(&c->fault, FAULT_VALIDATION,
                         "The operations of the grant are not supported by KMS keys with key spec "
                         "%s and key usage %s.",
                         key_spec_name(c->key->row.spec), key_usage_name(c->key->row.usage));
    if (in->constraints.ptr && c->key->row.spec != KEY_SYMMETRIC)
        return fault_set(&c->fault, FAULT_VALIDATION,
                         "Grant constraints are supported by symmetric encryption keys only.");
    return ERR_OK;
}

static void facts(struct call *c, const struct create *in)
{
    struct span equals = SPAN_LIT("EncryptionContextEquals");

    call_fact(c, SPAN_LIT("kms:GranteePrincipal"), in->grantee);
    if (in->retiring.ptr)
        call_fact(c, SPAN_LIT("kms:RetiringPrincipal"), in->retiring);
    call_fact(c, SPAN_LIT("kms:GrantIsForAWSResource"), SPAN_LIT("false"));
    if (in->n_operations)
        call_fact_list(c, SPAN_LIT("kms:GrantOperations"), in->operations, in->n_operations);
    if (in->constraints.ptr)
        call_fact(c, SPAN_LIT("kms:GrantConstraintType"),
                  memmem(in->constraints.ptr, in->constraints.len, equals.ptr, equals.len)
                      ? equals
                      : SPAN_LIT("EncryptionContextSubset"));
    c->grant_bits = in->bits;
    c->grant_constraints = in->constraints;
}

/* A name makes a request that comes again give the same grant. */
struct duplicate {
    const struct create *in;
    char id[GRANT_ID_BYTES + 1], token[GRANT_TOKEN_BYTES + 1];
    unsigned n;
};

static enum err compare(void *ctx, const struct grant_row *row)
{
    struct duplicate *d = ctx;
    const struct create *in = d->in;

    d->n++;
    if (!in->name.ptr || !span_eq(row->name, in->name) || !span_eq(row->grantee, in->grantee) ||
        !span_eq(row->retiring, in->retiring) || row->operations != in->bits ||
        !span_eq(row->constraints, in->constraints))
        return ERR_OK;
    memcpy(d->id, row->id, sizeof d->id);
    memcpy(d->token, row->token, sizeof d->token);
    return ERR_OK;
}

static enum err random_hex(struct call *c, char *out, size_t digits)
{
    uint8_t raw[64];

    enum err r = rng_bytes(c->cx, raw, digits / 2);
    if (r == ERR_OK)
        hex_write(span_of(raw, digits / 2), out);
    return call_fail(c, r);
}

static enum err insert(struct call *c, const struct create *in, struct duplicate *d)
{
    AUTO(buf_clear) struct buf issuing = BUF_INIT(128);
    const struct keystore *store = vault_store(c->k->vault);
    struct grant_row row = { .created_ms = c->now_ms,
                             .operations = in->bits,
                             .name = in->name,
                             .grantee = in->grantee,
                             .retiring = in->retiring,
                             .constraints = in->constraints };

    memcpy(row.key_id, c->key->row.id, sizeof row.key_id);
    enum err r = random_hex(c, row.id, GRANT_ID_BYTES);
    if (r == ERR_OK)
        r = random_hex(c, row.token, GRANT_TOKEN_BYTES);
    if (r == ERR_OK)
        r = call_fail(c,
                      buf_printf(&issuing, "arn:%s:iam::%s:root", c->k->partition, c->k->account));
    row.issuing = buf_view(&issuing);
    if (r == ERR_OK)
        r = call_fail_store(c, store->insert_grant(store->arg, &row), STORE_WRITE);
    memcpy(d->id, row.id, sizeof d->id);
    memcpy(d->token, row.token, sizeof d->token);
    return r;
}

enum err op_create_grant(struct call *c)
{
    const struct keystore *store = vault_store(c->k->vault);
    struct create in = { .bits = 0 };
    struct duplicate d = { .in = &in };

    enum err r = members(c, &in);
    if (r == ERR_OK)
        r = call_find_key_only(c, in.key_id);
    if (r != ERR_OK)
        return r;
    facts(c, &in);
    r = call_authorize(c, "kms:CreateGrant");
    if (r == ERR_OK)
        r = call_check_state(c);
    if (r == ERR_OK)
        r = check_fits(c, &in);
    if (r == ERR_OK)
        r = call_check_dry_run(c);
    if (r != ERR_OK)
        return r;
    const struct grant_filter filter = { .key_id = span_str(c->key->row.id) };
    r = call_fail_store(
        c, store->list_grants(store->arg, &filter, "", GRANTS_PER_KEY_MAX, compare, &d),
        STORE_READ);
    if (r == ERR_OK && d.n == GRANTS_PER_KEY_MAX)
        r = fault_set(&c->fault, FAULT_LIMIT_EXCEEDED, "%s has %d grants already.", c->key_arn,
                      GRANTS_PER_KEY_MAX);
    if (r == ERR_OK && !d.id[0])
        r = insert(c, &in, &d);
    if (r != ERR_OK)
        return r;
    call_put_text(c, "GrantId", span_str(d.id));
    call_put_text(c, "GrantToken", span_str(d.token));
    return ERR_OK;
}

/* ---- lists ---- */

struct listing {
    struct call *c;
    struct page *p;
    struct span only; /* id of the one grant that is asked for */
};

static enum err put_grant(void *ctx, const struct grant_row *row)
{
    struct listing *l = ctx;
    struct call *c = l->c;
    char arn[KEY_ARN_BYTES];
    bool fits;

    if (l->only.ptr && !span_is(l->only, row->id))
        return ERR_OK;
    enum err r = page_next(l->p, span_str(row->id), &fits);
    if (r != ERR_OK || !fits)
        return r;
    call_write_arn(c, row->key_id, arn);
    json_out_object(&c->out);
    if (row->constraints.len) {
        json_out_key(&c->out, "Constraints");
        json_out_raw(&c->out, row->constraints);
    }
    call_put_time(c, "CreationDate", row->created_ms);
    call_put_text(c, "GrantId", span_str(row->id));
    call_put_text(c, "GranteePrincipal", row->grantee);
    call_put_text(c, "IssuingAccount", row->issuing);
    call_put_text(c, "KeyId", span_str(arn));
    if (row->name.len)
        call_put_text(c, "Name", row->name);
    json_out_key(&c->out, "Operations");
    json_out_array(&c->out);
    for (unsigned i = 0; i < GRANT_OPERATIONS; i++)
        if (row->operations >> i & 1)
            json_out_string(&c->out, span_str(grant_operations[i]));
    json_out_array_end(&c->out);
    if (row->retiring.len)
        call_put_text(c, "RetiringPrincipal", row->retiring);
    json_out_object_end(&c->out);
    return ERR_OK;
}

static enum err put_list(struct call *c, struct page *p, const struct grant_filter *filter,
                         struct span only)
{
    const struct keystore *store = vault_store(c->k->vault);
    struct listing l = { c, p, only };
    char after[GRANT_ID_BYTES + 1] = "";

    if (p->after.len && p->after.len != GRANT_ID_BYTES)
        return fault_bare(&c->fault, FAULT_INVALID_MARKER);
    if (p->after.len)
        memcpy(after, p->after.ptr, GRANT_ID_BYTES);
    json_out_key(&c->out, "Grants");
    json_out_array(&c->out);
    enum err r = store->list_grants(store->arg, filter, after,
                                    only.ptr ? GRANTS_PER_KEY_MAX : p->limit + 1, put_grant, &l);
    json_out_array_end(&c->out);
    return r == ERR_OK ? page_end(c, p) : call_fail_store(c, r, STORE_READ);
}

enum err op_list_grants(struct call *c)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;
    AUTO(page_clear) struct page p = PAGE_INIT;
    struct span grantee = SPAN_EMPTY, only = SPAN_EMPTY;

    enum err r = page_take(c, LIST_DEFAULT, LIST_MAX, &p);
    if (r == ERR_OK)
        r = input_string(&c->in, "GranteePrincipal", &grantee, &c->fault);
    if (r == ERR_OK)
        r = input_string(&c->in, "GrantId", &only, &c->fault);
    if (r == ERR_OK)
        r = refuse_services(c);
    if (r != ERR_OK)
        return r;
    check_principal(&check, "granteePrincipal", grantee);
    check_length(&check, "grantId", only, 1, GRANT_ID_MAX_BYTES);
    r = checks_end(&check, &c->fault);
    if (r == ERR_OK)
        r = call_named_key(c, "kms:ListGrants", KEY_REF_KEY);
    if (r == ERR_OK && only.ptr && only.len != GRANT_ID_BYTES)
        r = fault_bare(&c->fault, FAULT_INVALID_GRANT_ID);
    if (r != ERR_OK)
        return r;
    const struct grant_filter filter = { .key_id = span_str(c->key->row.id), .grantee = grantee };
    return put_list(c, &p, &filter, only);
}

enum err op_list_retirable_grants(struct call *c)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;
    AUTO(page_clear) struct page p = PAGE_INIT;
    struct span retiring = SPAN_EMPTY;

    enum err r = page_take(c, LIST_DEFAULT, LIST_MAX, &p);
    if (r == ERR_OK)
        r = input_string(&c->in, "RetiringPrincipal", &retiring, &c->fault);
    if (r == ERR_OK)
        r = refuse_services(c);
    if (r != ERR_OK)
        return r;
    check_required(&check, "retiringPrincipal", retiring.ptr != NULL);
    check_principal(&check, "retiringPrincipal", retiring);
    r = checks_end(&check, &c->fault);
    if (r == ERR_OK)
        r = check_arn(c, retiring);
    if (r == ERR_OK)
        r = call_authorize_on(c, "kms:ListRetirableGrants", retiring);
    if (r != ERR_OK)
        return r;
    const struct grant_filter filter = { .retiring = retiring };
    return put_list(c, &p, &filter, SPAN_EMPTY);
}
