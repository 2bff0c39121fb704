#include "softnsm/softnsm.h"

#include <stdlib.h>

enum {
    TEXT_MAX_BYTES = 128,
    CN_MAX_BYTES = 64, /* ub-common-name, RFC 5280 appendix A */
    CN_REST_BYTES = 7, /* of the leaf's: ".", ".local" */
    INSTANCE_CN_REST_BYTES = 22,
    ROLE_PCR = 3,
    INSTANCE_PCR = 4,
    /* PCR0-2 are zero in real debug documents. PCR8 is in those of unsigned images; for signed ones
     * nobody outside AWS knows, so the strict side is taken. */
    DEBUG_ZEROED = 0x107,
    INDEX_MAX = UINT8_MAX, /* of the wire, as QEMU reads it */
    RANDOM_TAIL_BYTES = 2,
};

struct softnsm {
    struct softnsm_pki *pki;
    struct buf region, instance_id, module_id;
    bool debug_mode, definite, expired_leaf;
    size_t field_max;
    unsigned fail_every, asked;
    uint8_t pcr[NSM_PCRS][NSM_PCR_BYTES];
    uint32_t locked;
};

static const uint8_t zero_pcr[NSM_PCR_BYTES];

void softnsm_free(struct softnsm *n)
{
    if (!n)
        return;
    softnsm_pki_free(n->pki);
    buf_clear(&n->region);
    buf_clear(&n->instance_id);
    buf_clear(&n->module_id);
    free(n);
}

void softnsm_freep(struct softnsm **n)
{
    softnsm_free(*n);
}

const struct softnsm_pki *softnsm_pki_of(const struct softnsm *n)
{
    return n->pki;
}

struct span softnsm_module_id(const struct softnsm *n)
{
    return buf_view(&n->module_id);
}

/* Letters, digits and hyphens: parts of a common name that are set apart by dots. */
static bool is_label(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-'))
            return false;
    }
    return s.len > 0;
}

/* "-enc" and sixteen digits: twelve of the time in milliseconds, four at random. */
static enum err module_id_make(struct crypto *cx, int64_t now_ms, struct span instance_id,
                               struct buf *out)
{
    uint8_t tail[RANDOM_TAIL_BYTES];

    enum err r = rng_bytes(cx, tail, sizeof(tail));
    if (r == ERR_OK)
        r = buf_append(out, instance_id);
    if (r != ERR_OK)
        return r;
    uint64_t ms = (uint64_t)now_ms & UINT64_C(0xffffffffffff);
    return buf_printf(out, "-enc%012llx%02x%02x", (unsigned long long)ms, tail[0], tail[1]);
}

static enum err names_init(struct crypto *cx, struct softnsm *n, const struct softnsm_settings *s,
                           int64_t now_ms, struct why *why)
{
    enum err r = ERR_OK;

    if (!is_label(s->region))
        return why_fail(why, ERR_MALFORMED, "region is not letters, digits and hyphens", 0);
    if (!is_label(s->instance_id))
        return why_fail(why, ERR_MALFORMED, "instance id is not letters, digits and hyphens", 0);
    if (s->module_id.len > 0 && !is_label(s->module_id))
        return why_fail(why, ERR_MALFORMED, "module id is not letters, digits and hyphens", 0);
    if (s->instance_id.len + s->region.len + INSTANCE_CN_REST_BYTES > CN_MAX_BYTES)
        return why_fail(why, ERR_MALFORMED, "instance id and region are too long together", 0);
    if (s->module_id.len > 0)
        r = buf_append(&n->module_id, s->module_id);
    else
        r = module_id_make(cx, now_ms, s->instance_id, &n->module_id);
    if (r == ERR_OK && n->module_id.len + s->region.len + CN_REST_BYTES > CN_MAX_BYTES)
        return why_fail(why, ERR_MALFORMED, "module id and region are too long together", 0);
    if (r == ERR_OK)
        r = buf_append(&n->region, s->region);
    if (r == ERR_OK)
        r = buf_append(&n->instance_id, s->instance_id);
    return r == ERR_OK ? ERR_OK : why_fail(why, r, "names", 0);
}

static void pcrs_init(struct softnsm *n, const struct softnsm_settings *s)
{
    for (unsigned i = 0; i < NSM_PCRS; i++)
        if (s->pcrs.present & UINT32_C(1) << i)
            memcpy(n->pcr[i], s->pcrs.value[i], NSM_PCR_BYTES);
    memset(n->pcr[ROLE_PCR], 0, NSM_PCR_BYTES);
    memset(n->pcr[INSTANCE_PCR], 0, NSM_PCR_BYTES);
    if (s->role_arn.len > 0)
        attest_pcr_extend(n->pcr[ROLE_PCR], s->role_arn);
    attest_pcr_extend(n->pcr[INSTANCE_PCR], s->instance_id);
}

static enum err renew(struct crypto *cx, struct softnsm *n, int64_t now_ms, struct why *why)
{
    const struct softnsm_identity id = {
        .region = buf_view(&n->region),
        .instance_id = buf_view(&n->instance_id),
        .module_id = buf_view(&n->module_id),
        .expired_leaf = n->expired_leaf,
    };

    return softnsm_pki_renew(cx, n->pki, &id, now_ms / 1000, why);
}

enum err softnsm_new(struct crypto *cx, const struct softnsm_settings *s, struct softnsm_pki *pki,
                     int64_t now_ms, struct softnsm **out, struct why *why)
{
    AUTO(softnsm_freep) struct softnsm *n = calloc(1, sizeof(*n));

    if (!n)
        return why_fail(why, ERR_NOMEM, "out of memory", 0);
    n->region = n->instance_id = n->module_id = BUF_INIT(TEXT_MAX_BYTES);
    n->debug_mode = s->debug_mode;
    n->definite = s->definite;
    n->expired_leaf = s->expired_leaf;
    n->fail_every = s->fail_every;
    n->field_max = s->field_max ? s->field_max : NSM_FIELD_MAX;
    n->locked = SOFTNSM_BOOT_LOCKED;
    enum err r = names_init(cx, n, s, now_ms, why);
    if (r != ERR_OK)
        return r;
    pcrs_init(n, s);
    n->pki = pki;
    r = renew(cx, n, now_ms, why);
    if (r != ERR_OK) {
        n->pki = NULL; /* still the caller's */
        return r;
    }
    *out = n;
    n = NULL;
    return ERR_OK;
}

static bool is_locked(const struct softnsm *n, unsigned index)
{
    return n->locked & UINT32_C(1) << index;
}

static struct span pcr_shown(const struct softnsm *n, unsigned index)
{
    if (n->debug_mode && DEBUG_ZEROED & UINT32_C(1) << index)
        return SPAN_ARRAY(zero_pcr);
    return SPAN_ARRAY(n->pcr[index]);
}

static enum nsm_error check_index(unsigned index, unsigned max)
{
    if (index > INDEX_MAX)
        return NSM_INVALID_OPERATION;
    return index > max ? NSM_INVALID_INDEX : NSM_SUCCESS;
}

static enum nsm_error describe_pcr(const struct softnsm *n, const struct nsm_request *rq,
                                   struct nsm_response *rs)
{
    enum nsm_error e = check_index(rq->index, NSM_PCRS - 1);

    if (e != NSM_SUCCESS)
        return e;
    rs->lock = is_locked(n, rq->index);
    rs->data = pcr_shown(n, rq->index);
    return NSM_SUCCESS;
}

static enum nsm_error extend_pcr(struct softnsm *n, const struct nsm_request *rq,
                                 struct nsm_response *rs)
{
    enum nsm_error e = check_index(rq->index, NSM_PCRS - 1);

    if (e != NSM_SUCCESS)
        return e;
    if (is_locked(n, rq->index))
        return NSM_READ_ONLY_INDEX;
    attest_pcr_extend(n->pcr[rq->index], rq->data);
    rs->data = SPAN_ARRAY(n->pcr[rq->index]);
    return NSM_SUCCESS;
}

static enum nsm_error lock_pcr(struct softnsm *n, const struct nsm_request *rq)
{
    enum nsm_error e = check_index(rq->index, NSM_PCRS - 1);

    if (e != NSM_SUCCESS)
        return e;
    if (is_locked(n, rq->index))
        return NSM_READ_ONLY_INDEX;
    n->locked |= UINT32_C(1) << rq->index;
    return NSM_SUCCESS;
}

/* All below the range; those that are locked already are no fault, unlike in LockPCR. */
static enum nsm_error lock_pcrs(struct softnsm *n, const struct nsm_request *rq)
{
    enum nsm_error e = check_index(rq->index, NSM_PCRS);

    if (e != NSM_SUCCESS)
        return e;
    for (unsigned i = 0; i < rq->index; i++)
        n->locked |= UINT32_C(1) << i;
    return NSM_SUCCESS;
}

static enum nsm_error describe_nsm(const struct softnsm *n, struct nsm_response *rs)
{
    rs->version_major = 1;
    rs->max_pcrs = NSM_PCRS;
    rs->module_id = buf_view(&n->module_id);
    rs->digest = SPAN_LIT("SHA384");
    rs->locked_pcrs = n->locked;
    return NSM_SUCCESS;
}

/* Locked PCRs only, and all of them. */
static void document_pcrs(const struct softnsm *n, struct attest_pcrs *out)
{
    out->present = n->locked;
    for (unsigned i = 0; i < NSM_PCRS; i++)
        if (is_locked(n, i))
            memcpy(out->value[i], pcr_shown(n, i).ptr, NSM_PCR_BYTES);
}

static enum err document_write(struct crypto *cx, const struct softnsm *n,
                               const struct nsm_request *rq, int64_t now_ms, struct buf *out)
{
    AUTO(buf_clear) struct buf payload = BUF_INIT(COSE_PAYLOAD_MAX);
    struct attest_doc doc = {
        .module_id = buf_view(&n->module_id),
        .timestamp_ms = (uint64_t)now_ms,
        .certificate = softnsm_pki_der(n->pki, SOFTNSM_LEAF),
        .n_cabundle = SOFTNSM_LEAF,
        .public_key = rq->public_key,
        .user_data = rq->user_data,
        .nonce = rq->nonce,
    };

    document_pcrs(n, &doc.pcrs);
    for (unsigned i = 0; i < SOFTNSM_LEAF; i++)
        doc.cabundle[i] = softnsm_pki_der(n->pki, (enum softnsm_level)i);
    enum err r = attest_doc_write(&doc, !n->definite, &payload);
    return r == ERR_OK ? cose_sign1_write(cx, softnsm_pki_leaf_key(n->pki), buf_view(&payload), out)
                       : r;
}

static enum nsm_error attestation(struct crypto *cx, struct softnsm *n,
                                  const struct nsm_request *rq, int64_t now_ms, struct buf *scratch,
                                  struct nsm_response *rs)
{
    if (rq->user_data.len > n->field_max || rq->nonce.len > n->field_max ||
        rq->public_key.len > n->field_max)
        return NSM_INVALID_ARGUMENT;
    if (now_ms <= 0 || renew(cx, n, now_ms, NULL) != ERR_OK ||
        document_write(cx, n, rq, now_ms, scratch) != ERR_OK)
        return NSM_INTERNAL_ERROR;
    rs->data = buf_view(scratch);
    return NSM_SUCCESS;
}

static enum nsm_error get_random(struct crypto *cx, struct buf *scratch, struct nsm_response *rs)
{
    uint8_t *p;

    if (buf_reserve(scratch, NSM_RANDOM_BYTES, &p) != ERR_OK ||
        rng_bytes(cx, p, NSM_RANDOM_BYTES) != ERR_OK)
        return NSM_INTERNAL_ERROR;
    buf_commit(scratch, NSM_RANDOM_BYTES);
    rs->data = buf_view(scratch);
    return NSM_SUCCESS;
}

static enum nsm_error answer(struct crypto *cx, struct softnsm *n, const struct nsm_request *rq,
                             int64_t now_ms, struct buf *scratch, struct nsm_response *rs)
{
    switch (rq->op) {
    case NSM_DESCRIBE_PCR:
        return describe_pcr(n, rq, rs);
    case NSM_EXTEND_PCR:
        return extend_pcr(n, rq, rs);
    case NSM_LOCK_PCR:
        return lock_pcr(n, rq);
    case NSM_LOCK_PCRS:
        return lock_pcrs(n, rq);
    case NSM_DESCRIBE_NSM:
        return describe_nsm(n, rs);
    case NSM_ATTESTATION:
        return attestation(cx, n, rq, now_ms, scratch, rs);
    case NSM_GET_RANDOM:
        return get_random(cx, scratch, rs);
    }
    return NSM_INTERNAL_ERROR;
}

enum err softnsm_ask(struct crypto *cx, struct softnsm *n, struct span request, int64_t now_ms,
                     struct buf *response)
{
    AUTO(buf_clear) struct buf scratch = BUF_INIT(NSM_RESPONSE_MAX);
    struct nsm_response rs = { .error = NSM_INPUT_TOO_LARGE };
    struct nsm_request rq;

    if (request.len > NSM_REQUEST_MAX)
        return nsm_response_write(&rs, response);
    rs.error = NSM_INVALID_OPERATION;
    if (nsm_request_parse(request, &rq, NULL) != ERR_OK)
        return nsm_response_write(&rs, response);
    rs = (struct nsm_response){ .op = rq.op };
    bool is_to_fail = n->fail_every && ++n->asked % n->fail_every == 0;
    rs.error = is_to_fail ? NSM_INTERNAL_ERROR : answer(cx, n, &rq, now_ms, &scratch, &rs);
    enum err r = nsm_response_write(&rs, response);
    if (r != ERR_LIMIT || rs.error != NSM_SUCCESS)
        return r;
    rs.error = NSM_INTERNAL_ERROR; /* a document that a response cannot carry */
    return nsm_response_write(&rs, response);
}
