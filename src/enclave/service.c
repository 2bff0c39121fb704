#include "enclave/private.h"

#include <stdlib.h>

enum { MONO_NS_PER_MS = 1000000 };

static bool is_bare_id(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return s.len > 0 && s.len <= KEY_ARN_MAX;
}

/* arn:PARTITION:kms:REGION:... */
static struct span arn_region(struct span arn)
{
    for (int i = 0; i < 3; i++)
        (void)span_cut(&arn, ':');
    return span_cut(&arn, ':');
}

static enum err settings_check(const struct enclave_settings *s, struct why *why)
{
    if (span_starts(s->key_id, "alias/"))
        return why_fail(why, ERR_MALFORMED, "key id is an alias; give the key's ARN", 0);
    if (!kms_is_key_arn(s->key_id) && !is_bare_id(s->key_id))
        return why_fail(why, ERR_MALFORMED, "key id is neither a key ARN nor an id", 0);
    if (kms_is_key_arn(s->key_id) && !span_eq(arn_region(s->key_id), s->region))
        return why_fail(why, ERR_MALFORMED, "key ARN names another region", 0);
    if (s->request_max == 0 || s->kms_tries == 0 || s->kms_try_ms == 0 || s->kms_deadline_ms == 0)
        return why_fail(why, ERR_MALFORMED, "a limit is zero", 0);
    if (s->root_der.len == 0)
        return why_fail(why, ERR_MALFORMED, "no attestation root", 0);
    return ERR_OK;
}

enum err enclave_new(struct crypto *cx, const struct enclave_settings *s, struct enclave **out,
                     struct why *why)
{
    struct {
        uint64_t jitter;
        uint32_t id_prefix;
    } random = { 0 };
    enum err r = settings_check(s, why);

    if (r != ERR_OK)
        return r;
    if (rng_bytes(cx, (uint8_t *)&random, sizeof random) != ERR_OK)
        return why_fail(why, ERR_CRYPTO, "random generator", 0);
    struct enclave *e = calloc(1, sizeof *e);
    if (!e || (s->cache.age_ns && key_cache_new(&s->cache, &e->cache) != ERR_OK)) {
        free(e);
        return why_fail(why, ERR_NOMEM, "memory", 0);
    }
    e->cx = cx;
    e->set = *s;
    e->document = BUF_INIT(ATTEST_DOC_MAX);
    e->key_arn = BUF_INIT(KEY_ARN_MAX);
    e->jitter = random.jitter | 1;
    e->id_prefix = random.id_prefix;
    *out = e;
    return ERR_OK;
}

void enclave_free(struct enclave *e)
{
    if (!e)
        return;
    rsa_key_free(e->key);
    rsa_key_free(e->next_key);
    buf_clear(&e->document);
    kms_recipient_clear(&e->recipient);
    buf_clear(&e->key_arn);
    secret_clear(&e->held_bytes);
    key_cache_free(e->cache);
    wipe(e, sizeof *e);
    free(e);
}

void enclave_key_set(struct enclave *e, struct rsa_key *take)
{
    rsa_key_free(e->key);
    e->key = take;
    buf_reset(&e->document); /* it names the key before */
}

void enclave_key_next(struct enclave *e, struct rsa_key *take)
{
    rsa_key_free(e->next_key);
    e->next_key = take;
}

bool enclave_has_next_key(const struct enclave *e)
{
    return e->next_key != NULL;
}

bool document_is_good(const struct enclave *e, uint64_t mono_ns)
{
    uint64_t max_ns = (uint64_t)e->set.document_max_age_ms * MONO_NS_PER_MS;

    return e->document.len > 0 && mono_ns - e->document_born_ns < max_ns;
}

bool enclave_document_age_ns(const struct enclave *e, uint64_t mono_ns, uint64_t *age_ns)
{
    *age_ns = e->document.len ? mono_ns - e->document_born_ns : 0;
    return document_is_good(e, mono_ns);
}

/* Append to the secret and give the view. */
static struct span put(struct secret *all, size_t *at, struct span s)
{
    struct span view = span_of(all->ptr + *at, s.len);

    if (s.len)
        memcpy(all->ptr + *at, s.ptr, s.len);
    *at += s.len;
    return view;
}

enum err enclave_credentials_set(struct enclave *e, const struct sigv4_credentials *c,
                                 int64_t expire_s)
{
    struct secret all;
    size_t at = 0;

    if (c->access_key_id.len == 0 || c->secret_access_key.len == 0 ||
        !credential_is_clean(c->access_key_id) || !credential_is_clean(c->secret_access_key) ||
        !credential_is_clean(c->session_token))
        return ERR_MALFORMED;
    enum err r =
        secret_new(c->access_key_id.len + c->secret_access_key.len + c->session_token.len, &all);
    if (r != ERR_OK)
        return r;
    e->held.access_key_id = put(&all, &at, c->access_key_id);
    e->held.secret_access_key = put(&all, &at, c->secret_access_key);
    e->held.session_token = put(&all, &at, c->session_token);
    secret_clear(&e->held_bytes); /* calls under way have signed already */
    e->held_bytes = all;
    e->held_until_s = expire_s;
    epoch_next(e);
    return ERR_OK;
}

const struct sigv4_credentials *enclave_credentials(const struct enclave *e, int64_t wall_s)
{
    bool is_over = e->held_until_s && wall_s >= e->held_until_s;

    return e->held_bytes.len && !is_over ? &e->held : NULL;
}

int64_t enclave_credentials_expire_s(const struct enclave *e)
{
    return e->held_bytes.len ? e->held_until_s : 0;
}

struct span enclave_key_arn(const struct enclave *e)
{
    return kms_is_key_arn(key_to_ask(e)) ? key_to_ask(e) : SPAN_EMPTY;
}

struct span key_to_ask(const struct enclave *e)
{
    return e->key_arn.len ? buf_view(&e->key_arn) : e->set.key_id;
}

enum err key_check(struct enclave *e, struct span arn)
{
    if (!kms_is_key_arn(arn) || !kms_key_matches(key_to_ask(e), arn) ||
        !span_eq(arn_region(arn), e->set.region))
        return ERR_VERIFY;
    return e->key_arn.len ? ERR_OK : buf_append(&e->key_arn, arn);
}

static void job_free(struct enclave_document_job *job)
{
    buf_clear(&job->request);
    buf_clear(&job->response);
    rsa_key_free(job->key);
    free(job);
}

enum err enclave_document_begin(struct enclave *e, struct enclave_time now,
                                struct enclave_document_job **out)
{
    if (e->job_runs) {
        *out = NULL;
        return ERR_OK;
    }
    struct enclave_document_job *job = calloc(1, sizeof *job);
    if (!job)
        return ERR_NOMEM;
    job->request = BUF_INIT(NSM_REQUEST_MAX);
    job->response = BUF_INIT(NSM_RESPONSE_MAX);
    job->key = rsa_key_ref(e->next_key ? e->next_key : e->key);
    job->root_der = e->set.root_der;
    job->nsm_unsigned = e->set.nsm_unsigned;
    job->now_s = now.wall_s;
    job->result = ERR_INTERNAL;
    /* Nothing that a caller chose goes into the document that KMS trusts. */
    const struct nsm_request ask = { .op = NSM_ATTESTATION, .public_key = rsa_key_spki(job->key) };
    enum err r = nsm_request_write(&ask, &job->request);
    if (r != ERR_OK) {
        job_free(job);
        return r;
    }
    e->job_runs = true;
    *out = job;
    return ERR_OK;
}

static bool has(struct span all, struct span part)
{
    return memmem(all.ptr, all.len, part.ptr, part.len) != NULL;
}

void enclave_document_check(struct crypto *cx, struct enclave_document_job *job)
{
    struct nsm_response rs;
    struct attest_verified v;

    job->result = nsm_response_parse(buf_view(&job->response), NSM_ATTESTATION, &rs, &job->why);
    if (job->result != ERR_OK)
        return;
    if (rs.error != NSM_SUCCESS) {
        job->result = why_fail(&job->why, ERR_DENIED, nsm_error_name(rs.error), 0);
        return;
    }
    if (!job->nsm_unsigned) {
        job->result = attest_verify(cx, rs.data, job->root_der, job->now_s, &v, &job->why);
        if (job->result != ERR_OK)
            return;
        sha384(SPAN_ARRAY(v.doc.pcrs.value), job->pcrs);
    }
    if (job->nsm_unsigned ? !has(rs.data, rsa_key_spki(job->key))
                          : !span_eq(v.doc.public_key, rsa_key_spki(job->key))) {
        job->result = why_fail(&job->why, ERR_VERIFY, "public key", 0);
        return;
    }
    job->document = rs.data;
}

void enclave_document_end(struct enclave *e, struct enclave_document_job *job,
                          struct enclave_time now)
{
    e->job_runs = false;
    if (job->result == ERR_OK && job->key == e->next_key) {
        enclave_key_set(e, e->next_key);
        e->next_key = NULL;
        epoch_next(e);
    }
    if (job->result == ERR_OK && memcmp(e->pcrs, job->pcrs, sizeof e->pcrs) != 0) {
        memcpy(e->pcrs, job->pcrs, sizeof e->pcrs);
        epoch_next(e);
    }
    if (job->result == ERR_OK && job->key == e->key) {
        buf_reset(&e->document);
        if (buf_append(&e->document, job->document) == ERR_OK) {
            e->document_born_ns = now.mono_ns;
            e->document_number++;
        }
    }
    job_free(job);
}
