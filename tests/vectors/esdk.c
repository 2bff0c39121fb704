/* esdk.c - messages of the AWS Encryption SDK. With a raw key (kind esdk-keys beside them) they are
 * decrypted, in whole and in pieces; without one, header and frames are walked to the last byte and
 * the signature is verified. */
#include "runner.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/base64.h"
#include "base/hex.h"
#include "crypto/gcm.h"
#include "crypto/hash.h"
#include "esdk/esdk.h"

enum { RAW_INFO_AFTER_NAME_BYTES = 20, PLAIN_MAX = 64 << 20 };

/* ---- header ---- */

static bool hex_is(struct span got, const char *want)
{
    AUTO(buf_clear) struct buf bytes = BUF_INIT(0);

    return want && unhex(want, &bytes) && span_eq(buf_view(&bytes), got);
}

static bool number_is(json_t *header, const char *name, size_t got)
{
    json_t *want = json_object_get(header, name);

    return !want || (size_t)json_integer_value(want) == got;
}

/* With its length: a text may hold a NUL. */
static bool text_is(struct span got, json_t *want)
{
    return span_eq(got, span_of(json_string_value(want), json_string_length(want)));
}

static bool context_matches(json_t *want, const struct esdk_header *h)
{
    struct span rest = h->context;
    struct esdk_pair p;
    json_t *pair;
    size_t i;

    if (json_array_size(want) != h->n_pairs)
        return false;
    json_array_foreach(want, i, pair)
    {
        if (!esdk_pair_next(&rest, &p) || !text_is(p.key, json_array_get(pair, 0)) ||
            !text_is(p.value, json_array_get(pair, 1)))
            return false;
    }
    return rest.len == 0;
}

static bool keys_match(json_t *want, const struct esdk_header *h)
{
    struct span rest = h->keys;
    struct esdk_key k;
    json_t *key;
    size_t i;

    if (json_array_size(want) != h->n_keys)
        return false;
    json_array_foreach(want, i, key)
    {
        const char *info = json_string_value(json_object_get(key, "info"));
        if (!esdk_key_next(&rest, &k) ||
            !span_is(k.provider, json_string_value(json_object_get(key, "provider"))) ||
            !number_is(key, "info_len", k.info.len) ||
            !number_is(key, "ct_len", k.ciphertext.len) ||
            !(span_is(k.info, info) || hex_is(k.info, info)))
            return false;
    }
    return rest.len == 0;
}

static bool header_matches(struct runner *r, const struct entry *e, const struct esdk_header *h)
{
    json_t *want = json_object_get(e->values, "header");
    const char *id = json_string_value(json_object_get(want, "messageId"));
    const char *suite = json_string_value(json_object_get(want, "suite"));

    if (!want)
        return true;
    const char *off = !number_is(want, "version", h->suite->version)       ? "version"
                      : suite && strtoul(suite, NULL, 16) != h->suite->id  ? "suite"
                      : id && !hex_is(h->message_id, id)                   ? "message id"
                      : !number_is(want, "contentType", h->framed ? 2 : 1) ? "content type"
                      : !number_is(want, "frameLength", h->frame_length)   ? "frame length"
                      : !context_matches(json_object_get(want, "encryptionContext"), h) ? "context"
                      : !keys_match(json_object_get(want, "edks"), h) ? "data keys"
                                                                      : NULL;
    if (off)
        set_note(r, "header: %s differs", off);
    return !off;
}

/* ---- raw keyrings ---- */

static bool aes_unwrap(struct runner *r, json_t *key, const struct esdk_header *h,
                       const struct esdk_key *k, struct secret *out)
{
    const char *name = json_string_value(json_object_get(key, "keyName"));
    const char *hex = json_string_value(json_object_get(key, "hex"));
    AUTO(buf_clear) struct buf wrapping = BUF_INIT(0);
    AUTO(buf_clear) struct buf context = BUF_INIT(1 << 17);
    AUTO(gcm_freep) struct gcm *g = NULL;
    AUTO(secret_clear) struct secret plain = { 0 };
    size_t n = name ? strlen(name) : 0;
    size_t ct = k->ciphertext.len >= GCM_TAG_BYTES ? k->ciphertext.len - GCM_TAG_BYTES : 0;

    if (!hex || !unhex(hex, &wrapping) || ct == 0 || k->info.len != n + RAW_INFO_AFTER_NAME_BYTES ||
        !span_is(span_sub(k->info, 0, n), name) ||
        !hex_is(span_sub(k->info, n, 8), "000000800000000c"))
        return false;
    const uint8_t *iv = k->info.ptr + n + 8;
    if (secret_new(ct, &plain) != ERR_OK ||
        esdk_context_full(h, NULL, 0, &context, NULL) != ERR_OK ||
        gcm_new(r->cx, buf_view(&wrapping), GCM_OPEN, &g) != ERR_OK || gcm_begin(g, iv) != ERR_OK ||
        gcm_aad(g, buf_view(&context)) != ERR_OK ||
        gcm_update(g, span_sub(k->ciphertext, 0, ct), plain.ptr) != ERR_OK ||
        gcm_check(g, k->ciphertext.ptr + ct) != ERR_OK)
        return false;
    *out = secret_take(&plain);
    return true;
}

static bool rsa_unwrap(json_t *key, const char *hash, const struct esdk_key *k, struct secret *out)
{
    const char *pem = json_string_value(json_object_get(key, "pem"));
    BIO *bio = BIO_new_mem_buf(pem ? pem : "", -1);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    EVP_PKEY_CTX *ctx = pkey ? EVP_PKEY_CTX_new(pkey, NULL) : NULL;
    uint8_t plain[1024];
    size_t n = sizeof plain;

    bool good = ctx && EVP_PKEY_decrypt_init(ctx) == 1 &&
                EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
                EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, hash, NULL) == 1 &&
                EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, hash, NULL) == 1 &&
                EVP_PKEY_decrypt(ctx, plain, &n, k->ciphertext.ptr, k->ciphertext.len) == 1 &&
                secret_copy(span_of(plain, n), out) == ERR_OK;
    wipe(plain, sizeof plain);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    BIO_free(bio);
    return good;
}

/* The file of kind esdk-keys that the manifest names. */
static json_t *keys_load(struct runner *r)
{
    json_t *item, *keys = NULL;
    size_t i;

    json_array_foreach(r->entries, i, item)
    {
        const char *kind = json_string_value(json_object_get(item, "kind"));
        const char *path = json_string_value(json_object_get(item, "path"));
        AUTO(buf_clear) struct buf text = BUF_INIT(0);
        if (kind && path && !keys && strcmp(kind, "esdk-keys") == 0 && read_file(r, path, &text))
            keys = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    }
    return keys;
}

/* "aes-256" or "rsa-2048:sha256". */
static bool unwrap(struct runner *r, const char *keyring, const struct esdk_header *h,
                   struct secret *out)
{
    json_t *keys = keys_load(r);
    const char *colon = strchr(keyring, ':');
    struct span rest = h->keys;
    bool good = false;
    struct esdk_key k;
    char name[64];

    snprintf(name, sizeof name, "%.*s", (int)(colon ? colon - keyring : (long)strlen(keyring)),
             keyring);
    json_t *key = json_object_get(keys, name);
    const char *ns = json_string_value(json_object_get(key, "keyNamespace"));
    while (!good && key && esdk_key_next(&rest, &k))
        if (span_is(k.provider, ns))
            good = colon ? rsa_unwrap(key, colon + 1, &k, out) : aes_unwrap(r, key, h, &k, out);
    json_decref(keys);
    return good;
}

/* ---- with a key ---- */

static const struct esdk_decrypt_options all_suites = {
    .policy = ESDK_REQUIRE_ENCRYPT_ALLOW_DECRYPT,
};

/* Plaintext of every step, whatever the verdict, in pieces of at most `cut`. */
static enum err decrypt(struct runner *r, const struct entry *e, const char *keyring, size_t cut,
                        struct buf *plain, struct why *why)
{
    AUTO(esdk_decrypt_freep) struct esdk_decrypt *d = NULL;
    AUTO(secret_clear) struct secret key = { 0 };
    const struct esdk_header *h = NULL;
    struct span rest = e->bytes, piece, out;

    enum err r2 = esdk_decrypt_new(&all_suites, &d);
    for (; r2 == ERR_OK && !h;) {
        piece = span_sub(rest, 0, cut);
        rest = span_from(rest, piece.len);
        enum err got = esdk_decrypt_header(d, r->cx, &piece, &h, why);
        if (got != ERR_OK && (got != ERR_MORE || rest.len == 0))
            return got == ERR_MORE ? esdk_decrypt_end(d, why) : got;
        if (got == ERR_OK)
            rest = span_of(rest.ptr - piece.len, rest.len + piece.len);
    }
    if (r2 == ERR_OK && !unwrap(r, keyring, h, &key))
        return why_fail(why, ERR_VERIFY, "no key of the keyring opens a data key", 0);
    if (r2 == ERR_OK)
        r2 = esdk_decrypt_start(d, r->cx, &key, NULL, 0, why);
    while (r2 == ERR_OK && rest.len) {
        piece = span_sub(rest, 0, cut);
        rest = span_from(rest, piece.len);
        while ((r2 = esdk_decrypt_step(d, &piece, &out, why)) == ERR_OK)
            r2 = buf_append(plain, out);
        r2 = r2 == ERR_MORE ? ERR_OK : r2;
    }
    return r2 == ERR_OK ? esdk_decrypt_end(d, why) : r2;
}

static bool plain_matches(struct runner *r, const struct entry *e, struct span plain)
{
    uint8_t sum[SHA256_BYTES];

    sha256(plain, sum);
    json_t *len = json_object_get(e->values, "plaintext_len");
    if (len && (size_t)json_integer_value(len) != plain.len) {
        set_note(r, "%zu bytes of plaintext", plain.len);
        return false;
    }
    return value_matches_hex(r, e, "plaintext_sha256", SPAN_ARRAY(sum)) &&
           value_matches_hex(r, e, "plaintext_hex", plain);
}

static enum outcome with_key(struct runner *r, const struct entry *e, const char *keyring)
{
    static const size_t cuts[] = { SIZE_MAX, 1, 7, 1000 };
    enum outcome first = REFUSED;

    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        AUTO(buf_clear) struct buf plain = BUF_INIT(PLAIN_MAX);
        struct why why = { 0 };
        enum err got = decrypt(r, e, keyring, cuts[i], &plain, &why);
        enum outcome now = got == ERR_OK ? ACCEPTED : REFUSED;
        if (i && now != first) {
            set_note(r, "another verdict in pieces of %zu bytes", cuts[i]);
            return MISMATCH;
        }
        first = now;
        if (got == ERR_OK && !plain_matches(r, e, buf_view(&plain)))
            return MISMATCH;
        if (got != ERR_OK)
            set_note(r, "refused: %s", why.what);
    }
    return first;
}

/* ---- without one ---- */

static bool signature_holds(struct runner *r, const struct esdk_header *h, struct span signed_bytes,
                            struct span footer)
{
    AUTO(buf_clear) struct buf point = BUF_INIT(64);
    AUTO(esig_pub_freep) struct esig_pub *pub = NULL;
    AUTO(esig_freep) struct esig *sig = NULL;

    return footer.len > 2 && (size_t)(footer.ptr[0] << 8 | footer.ptr[1]) == footer.len - 2 &&
           base64_parse(h->public_key, &point, NULL) == ERR_OK &&
           esig_pub_parse(r->cx, h->suite->curve, buf_view(&point), &pub, NULL) == ERR_OK &&
           esig_new(r->cx, h->suite->curve, &sig) == ERR_OK &&
           esig_update(sig, signed_bytes) == ERR_OK &&
           esig_verify(sig, pub, span_from(footer, 2)) == ERR_OK;
}

static enum outcome without_key(struct runner *r, const struct entry *e,
                                const struct esdk_header *h)
{
    struct span rest = span_from(e->bytes, h->bytes);
    const char *path = value_text(e, "plaintext");
    AUTO(buf_clear) struct buf want = BUF_INIT(0);
    struct esdk_frame f = { 0 };
    struct why why = { 0 };
    uint64_t total = 0;

    for (uint32_t n = 1; n == 1 || f.kind == ESDK_FRAME_REGULAR; n++) {
        if (esdk_frame_parse(h, n, rest, &f, NULL, &why) != ERR_OK ||
            rest.len - f.head_bytes < f.length ||
            rest.len - f.head_bytes - f.length < ESDK_TAG_BYTES) {
            set_note(r, "frame %u: %s", n, why.what ? why.what : "cut off");
            return MISMATCH;
        }
        total += f.length;
        rest = span_from(rest, f.head_bytes + f.length + ESDK_TAG_BYTES);
    }
    struct span body = span_sub(e->bytes, 0, e->bytes.len - rest.len);
    if (h->suite->signs ? !signature_holds(r, h, body, rest) : rest.len != 0) {
        set_note(r, "%zu bytes after the last frame", rest.len);
        return MISMATCH;
    }
    if (path && (!read_file(r, path, &want) || want.len != total)) {
        set_note(r, "frames of %llu bytes in all", (unsigned long long)total);
        return MISMATCH;
    }
    return ACCEPTED;
}

/* The header without a key, and that a key which is not the message's is refused. */
static bool refuses_other_key(struct runner *r, const struct entry *e)
{
    AUTO(esdk_decrypt_freep) struct esdk_decrypt *d = NULL;
    AUTO(secret_clear) struct secret zeros = { 0 };
    const struct esdk_header *h;
    struct span in = e->bytes;

    return esdk_decrypt_new(&all_suites, &d) == ERR_OK &&
           esdk_decrypt_header(d, r->cx, &in, &h, NULL) == ERR_OK &&
           secret_new(h->suite->key_bytes, &zeros) == ERR_OK &&
           esdk_decrypt_start(d, r->cx, &zeros, NULL, 0, NULL) == ERR_VERIFY;
}

enum outcome run_esdk(struct runner *r, const struct entry *e)
{
    json_t *keyrings = json_object_get(e->values, "keyring");
    struct esdk_header h;
    struct why why = { 0 };

    if (esdk_header_parse(e->bytes, NULL, &h, NULL, &why) != ERR_OK) {
        set_note(r, "refused: %s", why.what);
        return REFUSED;
    }
    if (!header_matches(r, e, &h) || !refuses_other_key(r, e)) {
        if (!r->note[0])
            set_note(r, "took a key of zeros");
        return MISMATCH;
    }
    if (json_array_size(keyrings) == 0)
        return without_key(r, e, &h);
    return with_key(r, e, json_string_value(json_array_get(keyrings, 0)));
}
