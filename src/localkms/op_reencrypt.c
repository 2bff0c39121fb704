/* op_reencrypt.c - ReEncrypt, and DryRunModifiers. Two keys, two contexts, two permissions: first
 * the source is opened, then the destination seals, and the plaintext never leaves. */
#include "localkms/crypt.h"
#include "localkms/modifiers.h"

static enum err refuse_modifiers(struct call *c, const char *text)
{
    return fault_set(&c->fault, FAULT_VALIDATION, "%s", text);
}

enum err modifiers_take(struct call *c, bool ciphertext_given, struct span key_id, bool *ignore)
{
    static const char *const known[] = { "IGNORE_CIPHERTEXT", NULL };
    AUTO(checks_clear) struct checks check = CHECKS_INIT;
    AUTO(buf_clear) struct buf scratch = BUF_INIT(INPUT_BODY_MAX_BYTES);
    struct span list = SPAN_EMPTY, name;

    enum err r = input_list(&c->in, "DryRunModifiers", &list, &c->fault);
    if (r != ERR_OK || !list.ptr)
        return r;
    struct json_in j = json_in_init(list);
    for (json_in_array(&j); json_in_element(&j);) {
        if (json_in_peek(&j) != JSON_KIND_STRING)
            return fault_set(&c->fault, FAULT_SERIALIZATION,
                             "DryRunModifiers is not a list of Strings");
        if (json_str_view(json_in_string(&j), &scratch, &name) != ERR_OK)
            return fault_bare(&c->fault, FAULT_SERIALIZATION);
        check_enum(&check, "dryRunModifiers", name, known);
        *ignore = true;
    }
    r = checks_end(&check, &c->fault);
    if (r != ERR_OK || !*ignore)
        return r;
    if (!c->dry_run)
        return refuse_modifiers(c, "DryRunModifiers can be used with DryRun only.");
    if (ciphertext_given || !key_id.ptr)
        return refuse_modifiers(c, "IGNORE_CIPHERTEXT needs a key ID and no ciphertext.");
    return ERR_OK;
}

struct reencrypt {
    struct span from, to, from_algorithm, to_algorithm;
    struct buf data;
    bool data_given, ignore_ciphertext;
    char from_arn[KEY_ARN_BYTES], material_id[65];
    struct secret plain;
};

static void reencrypt_clear(struct reencrypt *in)
{
    buf_clear(&in->data);
    secret_clear(&in->plain);
}

static enum err members(struct call *c, struct reencrypt *in)
{
    struct input *m = &c->in;
    enum err r = input_string(m, "SourceKeyId", &in->from, &c->fault);

    if (r == ERR_OK)
        r = input_string(m, "DestinationKeyId", &in->to, &c->fault);
    if (r == ERR_OK)
        r = input_string(m, "SourceEncryptionAlgorithm", &in->from_algorithm, &c->fault);
    if (r == ERR_OK)
        r = input_string(m, "DestinationEncryptionAlgorithm", &in->to_algorithm, &c->fault);
    if (r == ERR_OK)
        r = input_blob(m, "CiphertextBlob", &in->data, &in->data_given, &c->fault);
    if (r == ERR_OK)
        r = call_take_dry_run(c);
    if (r == ERR_OK)
        r = modifiers_take(c, in->data_given, in->from, &in->ignore_ciphertext);
    return r;
}

static enum err constraints(struct call *c, const struct reencrypt *in)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;

    check_required(&check, "ciphertextBlob", in->data_given || in->ignore_ciphertext);
    if (in->data_given)
        check_hidden_length(&check, "ciphertextBlob", in->data.len, 1, BLOB_MAX_BYTES);
    check_length(&check, "sourceKeyId", in->from, 1, KEY_REF_MAX_BYTES);
    check_required(&check, "destinationKeyId", in->to.ptr != NULL);
    check_length(&check, "destinationKeyId", in->to, 1, KEY_REF_MAX_BYTES);
    check_enum(&check, "sourceEncryptionAlgorithm", in->from_algorithm, crypt_algorithms);
    check_enum(&check, "destinationEncryptionAlgorithm", in->to_algorithm, crypt_algorithms);
    enum err r = checks_end(&check, &c->fault);
    return r == ERR_OK ? call_take_grants(c) : r;
}

static enum err find_from(struct call *c, const struct reencrypt *in, struct blob *b)
{
    return in->ignore_ciphertext
               ? call_find_key(c, in->from)
               : crypt_find_source(c, in->from, in->from_algorithm, buf_view(&in->data), b);
}

/* One side's permission, usage and state; c->key is the side's. */
static enum err side(struct call *c, const char *action, struct span algorithm, bool same)
{
    enum err r = call_crypto_facts(c, algorithm);

    if (r != ERR_OK)
        return r;
    call_fact(c, SPAN_LIT("kms:ReEncryptOnSameKey"), same ? SPAN_LIT("true") : SPAN_LIT("false"));
    r = call_authorize(c, action);
    if (r == ERR_OK)
        r = call_check_usage(c, KEY_ENCRYPT_DECRYPT, "ReEncrypt");
    return r == ERR_OK ? call_check_state(c) : r;
}

/* Is it the key that the destination means? The vault keeps both for the moment. */
static enum err is_same(struct call *c, const struct reencrypt *in, bool *same)
{
    char id[KEY_ID_BYTES + 1];
    bool found = false;
    struct span alias = c->alias;

    memcpy(id, c->key->row.id, sizeof id);
    enum err r = call_find_key(c, in->to);
    *same = r == ERR_OK && strcmp(c->key->row.id, id) == 0;
    if (r == ERR_OK)
        r = call_find_key_by_id(c, id, &found);
    c->alias = alias;
    return r;
}

static enum err open_source(struct call *c, struct reencrypt *in, bool *same)
{
    struct blob b = { .material = 0 };
    uint32_t number = 0;

    enum err r = call_take_context_of(c, "SourceEncryptionContext");
    if (r == ERR_OK)
        r = find_from(c, in, &b);
    if (r == ERR_OK)
        r = is_same(c, in, same);
    if (r == ERR_OK)
        r = side(c, "kms:ReEncryptFrom", in->from_algorithm, *same);
    if (r == ERR_OK)
        r = crypt_check_algorithm(c, in->from_algorithm);
    if (r == ERR_OK && !in->ignore_ciphertext)
        r = crypt_open(c, in->from_algorithm, buf_view(&in->data), &b, &in->plain, &number);
    if (r == ERR_OK && number)
        call_material_id(c, number, in->material_id);
    memcpy(in->from_arn, c->key_arn, sizeof in->from_arn);
    return r;
}

static enum err seal_destination(struct call *c, const struct reencrypt *in, bool same,
                                 struct buf *out)
{
    call_forget_facts(c);
    enum err r = call_take_context_of(c, "DestinationEncryptionContext");
    if (r == ERR_OK)
        r = call_find_key(c, in->to);
    if (r == ERR_OK)
        r = side(c, "kms:ReEncryptTo", in->to_algorithm, same);
    if (r == ERR_OK)
        r = crypt_check_algorithm(c, in->to_algorithm);
    if (r == ERR_OK)
        r = call_check_dry_run(c);
    return r == ERR_OK ? crypt_seal(c, in->to_algorithm, secret_view(&in->plain), out) : r;
}

static struct span algorithm_name(struct span algorithm)
{
    return algorithm.ptr ? algorithm : SPAN_LIT("SYMMETRIC_DEFAULT");
}

enum err op_re_encrypt(struct call *c)
{
    AUTO(reencrypt_clear) struct reencrypt in = { .data = BUF_INIT(INPUT_BODY_MAX_BYTES) };
    AUTO(buf_clear) struct buf blob = BUF_INIT(BLOB_MAX_BYTES);
    bool same = false;

    enum err r = members(c, &in);
    if (r == ERR_OK)
        r = constraints(c, &in);
    if (r == ERR_OK)
        r = open_source(c, &in, &same);
    if (r == ERR_OK)
        r = seal_destination(c, &in, same, &blob);
    if (r != ERR_OK)
        return r;
    call_put_blob(c, "CiphertextBlob", buf_view(&blob));
    call_put_text(c, "DestinationEncryptionAlgorithm", algorithm_name(in.to_algorithm));
    if (crypt_is_symmetric(in.to_algorithm))
        call_put_material_id(c, "DestinationKeyMaterialId", c->key->row.material);
    call_put_text(c, "KeyId", span_str(c->key_arn));
    call_put_text(c, "SourceEncryptionAlgorithm", algorithm_name(in.from_algorithm));
    call_put_text(c, "SourceKeyId", span_str(in.from_arn));
    if (in.material_id[0])
        call_put_text(c, "SourceKeyMaterialId", span_str(in.material_id));
    return ERR_OK;
}
