#include "localkms/crypt.h"

#define OTHER_KEY                                                                                  \
    "The ciphertext refers to a customer master key that does not exist, does not exist in this "  \
    "region, or you are not allowed to access."
#define WRONG_KEY                                                                                  \
    "The key ID in the request does not identify a CMK that can perform this operation."

const char *const crypt_algorithms[] = { "SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1",
                                         "RSAES_OAEP_SHA_256", "SM2PKE", NULL };

bool crypt_is_symmetric(struct span algorithm)
{
    return !algorithm.ptr || span_is(algorithm, "SYMMETRIC_DEFAULT");
}

static enum akey_oaep_hash hash_of(struct span algorithm)
{
    return span_is(algorithm, "RSAES_OAEP_SHA_1") ? AKEY_OAEP_SHA1 : AKEY_OAEP_SHA256;
}

enum err crypt_check_algorithm(struct call *c, struct span algorithm)
{
    const char *const *own = key_algorithms(c->key->row.spec, c->key->row.usage);
    struct span name = algorithm.ptr ? algorithm : SPAN_LIT("SYMMETRIC_DEFAULT");
    size_t i = 0;

    while (own[i] && !span_is(name, own[i]))
        i++;
    if (!own[i])
        return call_bad_algorithm(c, name);
    if (key_spec_is_pair(c->key->row.spec) && c->context.n)
        return fault_set(&c->fault, FAULT_VALIDATION,
                         "EncryptionContext is supported by symmetric encryption keys only.");
    return ERR_OK;
}

/* The blob's key. A blob that is not ours, and one whose key is not here, are told apart as KMS
 * does. */
static enum err find_of_blob(struct call *c, struct span key_id, const struct blob *b)
{
    char id[KEY_ID_BYTES + 1] = "";
    bool found = false;

    memcpy(id, b->key_id.ptr, KEY_ID_BYTES);
    if (key_id.ptr) {
        enum err r = call_find_key(c, key_id);
        if (r != ERR_OK)
            return r;
        return strcmp(c->key->row.id, id) == 0
                   ? ERR_OK
                   : fault_set(&c->fault, FAULT_INCORRECT_KEY, WRONG_KEY);
    }
    enum err r = call_find_key_by_id(c, id, &found);
    if (r != ERR_OK)
        return r;
    return found ? ERR_OK : fault_set(&c->fault, FAULT_ACCESS_DENIED, OTHER_KEY);
}

enum err crypt_find_source(struct call *c, struct span key_id, struct span algorithm,
                           struct span ciphertext, struct blob *b)
{
    bool symmetric = crypt_is_symmetric(algorithm), ours = blob_parse(ciphertext, b) == ERR_OK;

    if (symmetric && ours)
        return find_of_blob(c, key_id, b);
    if (!symmetric && key_id.ptr)
        return call_find_key(c, key_id);
    if (symmetric || ours)
        return fault_bare(&c->fault, FAULT_INVALID_CIPHERTEXT);
    return fault_set(&c->fault, FAULT_VALIDATION,
                     "A KeyId is required with EncryptionAlgorithm %.*s.", (int)algorithm.len,
                     (const char *)algorithm.ptr);
}

enum err crypt_check_wraps(struct call *c, const char *operation)
{
    enum err r = call_check_usage(c, KEY_ENCRYPT_DECRYPT, operation);

    if (r == ERR_OK && c->key->row.spec != KEY_SYMMETRIC)
        r = fault_set(&c->fault, FAULT_INVALID_KEY_USAGE,
                      "%s key spec is %s which is not valid for %s.", c->key_arn,
                      key_spec_name(c->key->row.spec), operation);
    if (r == ERR_OK)
        r = call_check_state(c);
    return r == ERR_OK ? call_check_dry_run(c) : r;
}

enum err crypt_blob(struct call *c, struct span plain, struct buf *out)
{
    return call_fail(c, blob_seal(c->cx, span_str(c->key->row.id), c->key->row.material,
                                  secret_view(&c->key->material), buf_view(&c->context_bytes),
                                  plain, out));
}

static enum err rsa_seal(struct call *c, struct span algorithm, struct span plain, struct buf *out)
{
    const struct akey *pair = NULL;

    enum err r = call_fail(c, vault_pair(c->k->vault, c->key, &pair));
    if (r != ERR_OK)
        return r;
    r = akey_oaep_seal(c->cx, pair, hash_of(algorithm), plain, out);
    if (r == ERR_LIMIT)
        return fault_set(&c->fault, FAULT_VALIDATION,
                         "Algorithm %.*s and key spec %s cannot encrypt data larger than %zu "
                         "bytes.",
                         (int)algorithm.len, (const char *)algorithm.ptr,
                         key_spec_name(c->key->row.spec),
                         akey_oaep_max_bytes(pair, hash_of(algorithm)));
    return call_fail(c, r);
}

enum err crypt_seal(struct call *c, struct span algorithm, struct span plain, struct buf *out)
{
    return crypt_is_symmetric(algorithm) ? crypt_blob(c, plain, out)
                                         : rsa_seal(c, algorithm, plain, out);
}

static enum err blob_open_any(struct call *c, const struct blob *b, struct secret *out)
{
    AUTO(secret_clear) struct secret older = { 0 };
    struct span material = secret_view(&c->key->material);
    bool found = true;

    if (b->material != c->key->row.material) {
        enum err r = vault_material(c->k->vault, c->key, b->material, &older, &found);
        if (r != ERR_OK)
            return call_fail_store(c, r, STORE_READ);
        material = secret_view(&older);
    }
    if (!found)
        return fault_bare(&c->fault, FAULT_INVALID_CIPHERTEXT);
    enum err r = blob_open(c->cx, b, material, buf_view(&c->context_bytes), out);
    return r == ERR_VERIFY ? fault_bare(&c->fault, FAULT_INVALID_CIPHERTEXT) : call_fail(c, r);
}

static enum err rsa_open(struct call *c, struct span algorithm, struct span ciphertext,
                         struct secret *out)
{
    const struct akey *pair = NULL;

    enum err r = call_fail(c, vault_pair(c->k->vault, c->key, &pair));
    if (r != ERR_OK)
        return r;
    r = akey_oaep_open(c->cx, pair, hash_of(algorithm), ciphertext, out);
    return r == ERR_VERIFY ? fault_bare(&c->fault, FAULT_INVALID_CIPHERTEXT) : call_fail(c, r);
}

enum err crypt_open(struct call *c, struct span algorithm, struct span ciphertext,
                    const struct blob *b, struct secret *out, uint32_t *number)
{
    *number = 0;
    if (!crypt_is_symmetric(algorithm))
        return rsa_open(c, algorithm, ciphertext, out);
    *number = b->material;
    return blob_open_any(c, b, out);
}
