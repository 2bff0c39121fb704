/* framework/algorithm-suites.md and transitive-requirements.md: from the data key to the key of the
 * message. */
#include "crypto/hkdf.h"
#include "esdk/esdk_in.h"

/* Version 1: the whole of HKDF with an empty salt, bound to suite and message id. */
static enum err derive_v1(struct crypto *cx, const struct esdk_suite *suite, struct span message_id,
                          const struct secret *data_key, uint8_t *key)
{
    AUTO(secret_clear) struct secret prk = { 0 };
    enum mac_alg hash = suite_hash(suite);
    uint8_t info[2 + ID_V1_BYTES];

    put16(info, suite->id);
    memcpy(info + 2, message_id.ptr, ID_V1_BYTES);
    enum err r = hkdf_extract(cx, hash, SPAN_EMPTY, secret_view(data_key), &prk);
    if (r == ERR_OK)
        r = hkdf_expand(cx, hash, &prk, SPAN_ARRAY(info), key, suite->key_bytes);
    return r;
}

/* Version 2: the message id is the salt; one extract, and two expands with labels of their own. The
 * commitment's has no suite in it. */
static enum err derive_v2(struct crypto *cx, const struct esdk_suite *suite, struct span message_id,
                          const struct secret *data_key, uint8_t *key,
                          uint8_t commitment[static ESDK_COMMITMENT_BYTES])
{
    static const char label[] = "DERIVEKEY";
    AUTO(secret_clear) struct secret prk = { 0 };
    enum mac_alg hash = suite_hash(suite);
    uint8_t info[2 + sizeof label - 1];

    put16(info, suite->id);
    memcpy(info + 2, label, sizeof label - 1);
    enum err r = hkdf_extract(cx, hash, message_id, secret_view(data_key), &prk);
    if (r == ERR_OK)
        r = hkdf_expand(cx, hash, &prk, SPAN_LIT("COMMITKEY"), commitment, ESDK_COMMITMENT_BYTES);
    if (r == ERR_OK)
        r = hkdf_expand(cx, hash, &prk, SPAN_ARRAY(info), key, suite->key_bytes);
    return r;
}

enum err keys_derive(struct crypto *cx, const struct esdk_suite *suite, struct span message_id,
                     const struct secret *data_key, struct secret *key,
                     uint8_t commitment[static ESDK_COMMITMENT_BYTES])
{
    AUTO(secret_clear) struct secret made = { 0 };

    if (!suite->derives)
        return secret_copy(secret_view(data_key), key);
    enum err r = secret_new(suite->key_bytes, &made);
    if (r != ERR_OK)
        return r;
    r = suite->commits ? derive_v2(cx, suite, message_id, data_key, made.ptr, commitment)
                       : derive_v1(cx, suite, message_id, data_key, made.ptr);
    if (r == ERR_OK)
        *key = secret_take(&made);
    return r;
}
