#include "bin/kmstool/identity.h"

#include <pthread.h>
#include <stdlib.h>

#include "bin/common/entropy.h"
#include "io/sys.h"
#include "nsm/nsm.h"

enum { NSM_MS = 5000, KEY_MAX_AGE_S = 3600, DOCUMENT_MAX_AGE_S = 60 };

struct identity {
    struct nsm_dev *nsm;
    pthread_mutex_t lock; /* of what follows */
    struct rsa_key *key;
    uint64_t key_born_ns, document_born_ns;
    struct buf document; /* of `key`; empty: none */
};

enum err identity_new(const char *nsm, struct identity **out, struct why *why)
{
    struct identity *id = calloc(1, sizeof *id);

    if (!id)
        return why_fail(why, ERR_NOMEM, "out of memory", 0);
    pthread_mutex_init(&id->lock, NULL);
    id->document = BUF_INIT(NSM_RESPONSE_MAX);
    enum err r = nsm_dev_open(nsm, &id->nsm, why);
    if (r == ERR_OK && !span_starts(span_str(nsm), "unix:"))
        r = entropy_seed(id->nsm, why);
    if (r != ERR_OK) {
        identity_free(id);
        return r;
    }
    *out = id;
    return ERR_OK;
}

void identity_free(struct identity *id)
{
    if (!id)
        return;
    nsm_dev_close(id->nsm);
    rsa_key_free(id->key);
    buf_clear(&id->document);
    pthread_mutex_destroy(&id->lock);
    free(id);
}

static bool is_young(uint64_t born_ns, unsigned max_age_s, unsigned ahead_s)
{
    return clock_mono_ns() + ahead_s * NS_PER_S - born_ns < max_age_s * NS_PER_S;
}

/* The lock is held, here and in the next. */
static enum err renew_key(struct identity *id, struct crypto *cx, unsigned ahead_s)
{
    struct rsa_key *key = NULL;

    if (id->key && is_young(id->key_born_ns, KEY_MAX_AGE_S, ahead_s))
        return ERR_OK;
    enum err r = rsa_key_new(cx, RSA_BITS_DEFAULT, &key);
    if (r != ERR_OK)
        return r;
    rsa_key_free(id->key);
    id->key = key;
    id->key_born_ns = clock_mono_ns();
    buf_reset(&id->document);
    return ERR_OK;
}

enum err identity_prepare(struct identity *id, struct crypto *cx)
{
    pthread_mutex_lock(&id->lock);
    enum err r = renew_key(id, cx, 0);
    pthread_mutex_unlock(&id->lock);
    return r;
}

static enum err renew_document(struct identity *id, unsigned ahead_s, struct why *why)
{
    AUTO(buf_clear) struct buf request = BUF_INIT(NSM_REQUEST_MAX);
    AUTO(buf_clear) struct buf response = BUF_INIT(NSM_RESPONSE_MAX);
    const struct nsm_request ask = { .op = NSM_ATTESTATION, .public_key = rsa_key_spki(id->key) };
    struct nsm_response rs = { 0 };
    uint64_t now = clock_mono_ns();

    if (id->document.len > 0 && is_young(id->document_born_ns, DOCUMENT_MAX_AGE_S, ahead_s))
        return ERR_OK;
    enum err r = nsm_request_write(&ask, &request);
    if (r == ERR_OK)
        r = nsm_dev_ask(id->nsm, buf_view(&request), &response, now + NSM_MS * NS_PER_MS, why);
    if (r == ERR_OK)
        r = nsm_response_parse(buf_view(&response), NSM_ATTESTATION, &rs, why);
    if (r == ERR_OK && rs.error != NSM_SUCCESS)
        r = why_fail(why, ERR_DENIED, nsm_error_name(rs.error), 0);
    if (r != ERR_OK)
        return r;
    buf_reset(&id->document);
    id->document_born_ns = now;
    return buf_append(&id->document, rs.data);
}

static enum err renew(struct identity *id, struct crypto *cx, unsigned key_ahead_s,
                      unsigned document_ahead_s, struct why *why)
{
    enum err r = renew_key(id, cx, key_ahead_s);

    return r == ERR_OK ? renew_document(id, document_ahead_s, why)
                       : why_fail(why, r, "no RSA key", 0);
}

enum err identity_renew(struct identity *id, struct crypto *cx, unsigned ahead_s, struct why *why)
{
    pthread_mutex_lock(&id->lock);
    enum err r = renew(id, cx, ahead_s, ahead_s, why);
    pthread_mutex_unlock(&id->lock);
    return r;
}

enum err identity_take(struct identity *id, struct crypto *cx, bool fresh, struct rsa_key **key,
                       struct buf *document, struct why *why)
{
    pthread_mutex_lock(&id->lock);
    enum err r = renew(id, cx, 0, fresh ? DOCUMENT_MAX_AGE_S : 0, why);
    if (r == ERR_OK)
        r = buf_append(document, buf_view(&id->document));
    if (r == ERR_OK)
        *key = rsa_key_ref(id->key);
    pthread_mutex_unlock(&id->lock);
    return r;
}
