#include "cms/cms.h"
#include "crypto/aead.h"

static enum err open_content(struct crypto *cx, const struct cms_envelope *env, struct span cek,
                             struct secret *out)
{
    AUTO(buf_clear) struct buf joined = BUF_INIT(CMS_MAX_BYTES);

    if (cek.len != AES256_KEY_BYTES)
        return ERR_VERIFY;
    if (env->n_chunks == 1)
        return aes256cbc_open(cx, cek, env->iv, env->chunks[0], out);
    for (size_t i = 0; i < env->n_chunks; i++) {
        enum err r = buf_append(&joined, env->chunks[i]);
        if (r != ERR_OK)
            return r;
    }
    return aes256cbc_open(cx, cek, env->iv, buf_view(&joined), out);
}

/* CBC has no tag: what keeps a wrong key from giving garbage is OAEP, which does not open under
 * any key but its own. So there is no second guess after it (RFC 3218's countermeasure for PKCS#1
 * v1.5, a random key in place of the one that did not open, is how OpenSSL comes to report success
 * with garbage once in a while). */
static enum err open_envelope(struct crypto *cx, const struct cms_envelope *env,
                              const struct rsa_key *key, struct secret *out)
{
    AUTO(secret_clear) struct secret cek = { 0 };

    if (!ct_eq(env->ski, rsa_key_spki_sha256(key)))
        return ERR_VERIFY;
    enum err r = rsa_oaep_open(cx, key, env->encrypted_key, &cek);
    if (r == ERR_OK)
        r = open_content(cx, env, secret_view(&cek), out);
    return r;
}

enum err cms_open(struct crypto *cx, struct span in, const struct rsa_key *key, struct secret *out,
                  struct why *why)
{
    struct cms_envelope env;

    enum err r = cms_parse(in, &env, why);
    if (r != ERR_OK)
        return r;
    r = open_envelope(cx, &env, key, out);
    if (r == ERR_OK)
        return ERR_OK;
    /* One answer for all that can go wrong from here on; no memory says nothing about the input. */
    return why_fail(why, r == ERR_NOMEM ? ERR_NOMEM : ERR_VERIFY, "does not open", 0);
}
