#include "localkms/recipient.h"

#include <stdlib.h>

#include "attest/pcrs.h"
#include "base/hex.h"
#include "localkms/validate.h"

enum {
    ROOTS_MAX = 16,
    ROOT_MAX_BYTES = X509_MAX_BYTES,
};

#define PCR_KEY(n) SPAN_INIT("kms:RecipientAttestation:PCR" n)
#define PCR_KEYS_OF_TEN(t)                                                                         \
    PCR_KEY(t "0"), PCR_KEY(t "1"), PCR_KEY(t "2"), PCR_KEY(t "3"), PCR_KEY(t "4"),                \
        PCR_KEY(t "5"), PCR_KEY(t "6"), PCR_KEY(t "7"), PCR_KEY(t "8"), PCR_KEY(t "9")

static const struct span pcr_keys[ATTEST_PCRS] = {
    PCR_KEYS_OF_TEN(""), PCR_KEYS_OF_TEN("1"), PCR_KEYS_OF_TEN("2"), PCR_KEY("30"), PCR_KEY("31"),
};
#define TPM_KEY(n) SPAN_INIT("kms:RecipientAttestation:NitroTPMPCR" n)
#define TPM_KEYS_OF_TEN(t)                                                                         \
    TPM_KEY(t "0"), TPM_KEY(t "1"), TPM_KEY(t "2"), TPM_KEY(t "3"), TPM_KEY(t "4"),                \
        TPM_KEY(t "5"), TPM_KEY(t "6"), TPM_KEY(t "7"), TPM_KEY(t "8"), TPM_KEY(t "9")

static const struct span tpm_keys[ATTEST_PCRS] = {
    TPM_KEYS_OF_TEN(""), TPM_KEYS_OF_TEN("1"), TPM_KEYS_OF_TEN("2"), TPM_KEY("30"), TPM_KEY("31"),
};
static const struct span image_key = SPAN_INIT("kms:RecipientAttestation:ImageSha384");

struct recipients {
    struct buf roots[ROOTS_MAX];
    size_t n_roots;
    char qemu_modules[QEMU_NSM_MODULES_MAX][ATTEST_MODULE_ID_MAX + 1];
    size_t n_qemu_modules;
    struct recipient_rules rules;
    struct recipient_counts counts;
    struct attest_seen seen;
    uint64_t clock; /* of uses */
    struct recipient *kept[RECIPIENT_KEPT_MAX];
};

static void recipient_free(struct recipient *r)
{
    if (!r)
        return;
    cms_recipient_clear(&r->to);
    free(r);
}

static void recipient_freep(struct recipient **r)
{
    recipient_free(*r);
    *r = NULL;
}

enum err recipients_new(const struct span *roots, size_t n, struct recipients **out)
{
    if (n == 0 || n > ROOTS_MAX)
        return ERR_INTERNAL;
    struct recipients *rs = calloc(1, sizeof *rs);
    if (!rs)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        rs->roots[i] = BUF_INIT(ROOT_MAX_BYTES);
        rs->n_roots = i + 1;
        enum err r = buf_append(&rs->roots[i], roots[i]);
        if (r != ERR_OK) {
            recipients_free(rs);
            return r;
        }
    }
    *out = rs;
    return ERR_OK;
}

enum err recipients_trust_qemu(struct recipients *rs, const struct span *module_ids, size_t n)
{
    if (n > QEMU_NSM_MODULES_MAX)
        return ERR_LIMIT;
    for (size_t i = 0; i < n; i++)
        if (module_ids[i].len == 0 || module_ids[i].len > ATTEST_MODULE_ID_MAX)
            return ERR_MALFORMED;
    for (size_t i = 0; i < n; i++) {
        memcpy(rs->qemu_modules[i], module_ids[i].ptr, module_ids[i].len);
        rs->qemu_modules[i][module_ids[i].len] = '\0';
    }
    rs->n_qemu_modules = n;
    return ERR_OK;
}

void recipients_free(struct recipients *rs)
{
    if (!rs)
        return;
    for (size_t i = 0; i < rs->n_roots; i++)
        buf_clear(&rs->roots[i]);
    for (unsigned i = 0; i < RECIPIENT_KEPT_MAX; i++)
        recipient_free(rs->kept[i]);
    attest_seen_clear(&rs->seen);
    free(rs);
}

/* With several roots the fault to tell is the one of the root that the document names. */
static enum err verify(struct crypto *cx, struct recipients *rs, struct span document,
                       int64_t now_s, struct attest_verified *out, struct why *why)
{
    enum err r = ERR_INTERNAL;

    for (size_t i = 0; i < rs->n_roots; i++) {
        r = attest_verify_seen(cx, document, buf_view(&rs->roots[i]), now_s, &rs->seen, out, why);
        if (r != ERR_VERIFY || strcmp(why->what, "root") != 0)
            return r;
    }
    return r;
}

static void add_fact(struct recipient *r, struct span key, const struct span *value)
{
    r->facts[r->n_facts++] = (struct policy_fact){ .key = key, .values = value, .n_values = 1 };
}

/* The caller's PCRs as policies see them; an enclave's PCR0 has two names. */
static void set_facts(struct recipient *r, const struct attest_pcrs *pcrs)
{
    for (unsigned i = 0; i < ATTEST_PCRS; i++) {
        if (!(pcrs->present & UINT32_C(1) << i))
            continue;
        hex_write(SPAN_ARRAY(pcrs->value[i]), r->hex[i]);
        r->values[i] = span_of(r->hex[i], 2 * ATTEST_PCR_BYTES);
        add_fact(r, pcrs->is_tpm ? tpm_keys[i] : pcr_keys[i], &r->values[i]);
        if (i == 0 && !pcrs->is_tpm)
            add_fact(r, image_key, &r->values[0]);
    }
}

static enum err bad_document(enum err r, const struct why *why, struct fault *f)
{
    if (r == ERR_NOMEM || r == ERR_INTERNAL || r == ERR_CRYPTO)
        return fault_bare(f, FAULT_INTERNAL);
    return fault_set(f, FAULT_VALIDATION, "The attestation document is not valid: %s",
                     why->what ? why->what : err_name(r));
}

/* A document whose origin is settled, one way or the other. */
struct judged {
    struct attest_doc doc;
    int64_t not_before, not_after;
    bool is_unsigned;
};

static bool trusts_qemu(const struct recipients *rs, struct span module_id)
{
    for (size_t i = 0; i < rs->n_qemu_modules; i++)
        if (span_is(module_id, rs->qemu_modules[i]))
            return true;
    return false;
}

/* No certificate says how long it counts, so its own time does. */
static enum err judge_unsigned(const struct recipients *rs, struct span document, int64_t now_s,
                               struct judged *out, struct why *why)
{
    if (rs->n_qemu_modules == 0)
        return why_fail(why, ERR_VERIFY,
                        "unsigned, as QEMU's nitro-enclave machine makes them; it is taken only by "
                        "a local KMS started with --trust-qemu-nsm and its module id",
                        0);
    enum err r = qemu_nsm_parse(document, &out->doc, why);
    if (r != ERR_OK)
        return r;
    if (!trusts_qemu(rs, out->doc.module_id))
        return why_fail(why, ERR_VERIFY,
                        "unsigned, and of a module id that --trust-qemu-nsm does not name", 0);
    if (out->doc.timestamp_ms / 1000 > INT64_MAX / 1000)
        return why_fail(why, ERR_VERIFY, "document time", 0);
    int64_t made_s = (int64_t)(out->doc.timestamp_ms / 1000);
    out->not_before = made_s - QEMU_NSM_MAX_AHEAD_S;
    out->not_after = made_s + QEMU_NSM_MAX_AGE_S;
    out->is_unsigned = true;
    return now_s >= out->not_before && now_s <= out->not_after
               ? ERR_OK
               : why_fail(why, ERR_VERIFY, "document time", 0);
}

static enum err judge(struct crypto *cx, struct recipients *rs, struct span document, int64_t now_s,
                      struct judged *out, struct why *why)
{
    struct attest_verified v;

    *out = (struct judged){ .is_unsigned = false };
    if (qemu_nsm_is(document))
        return judge_unsigned(rs, document, now_s, out, why);
    enum err r = verify(cx, rs, document, now_s, &v, why);
    if (r == ERR_OK)
        *out = (struct judged){ .doc = v.doc, .not_before = v.chain_from, .not_after = v.chain_to };
    return r;
}

/* The operator's own rules, on top of KMS's. */
static enum err check_rules(const struct recipient_rules *rules, int64_t now_s, struct judged *v,
                            struct why *why)
{
    int64_t made_s = (int64_t)(v->doc.timestamp_ms / 1000);

    if (rules->refuse_debug && attest_is_debug(&v->doc.pcrs))
        return why_fail(why, ERR_VERIFY, "debug enclave, refused by --debug-documents", 0);
    if (rules->max_age_s == 0)
        return ERR_OK;
    if (now_s > made_s + rules->max_age_s)
        return why_fail(why, ERR_VERIFY, "older than --max-document-age", 0);
    if (v->not_after > made_s + rules->max_age_s)
        v->not_after = made_s + rules->max_age_s;
    return ERR_OK;
}

static enum err make(struct crypto *cx, struct recipients *rs, struct span document, int64_t now_s,
                     struct recipient *made, struct fault *f)
{
    struct judged v;
    struct why why = { 0 };

    enum err r = judge(cx, rs, document, now_s, &v, &why);
    if (r == ERR_OK)
        r = check_rules(&rs->rules, now_s, &v, &why);
    if (r != ERR_OK)
        return bad_document(r, &why, f);
    if (v.doc.public_key.len == 0)
        return fault_set(f, FAULT_VALIDATION, "The attestation document has no public key");
    r = cms_recipient_init(cx, v.doc.public_key, &made->to, &why);
    if (r != ERR_OK)
        return bad_document(r, &why, f);
    made->valid_from_s = v.not_before;
    made->valid_to_s = v.not_after;
    made->is_debug = attest_is_debug(&v.doc.pcrs);
    made->is_tpm = v.doc.pcrs.is_tpm;
    made->is_unsigned = v.is_unsigned;
    if (v.doc.module_id.len <= ATTEST_MODULE_ID_MAX)
        memcpy(made->module_id, v.doc.module_id.ptr, v.doc.module_id.len);
    set_facts(made, &v.doc.pcrs);
    return ERR_OK;
}

/* A place for one more: a free one, or the one not used for longest. */
static struct recipient **place(struct recipients *rs)
{
    struct recipient **oldest = &rs->kept[0];

    for (unsigned i = 0; i < RECIPIENT_KEPT_MAX; i++) {
        if (!rs->kept[i])
            return &rs->kept[i];
        if (rs->kept[i]->used < (*oldest)->used)
            oldest = &rs->kept[i];
    }
    return oldest;
}

static struct recipient *find(struct recipients *rs, const uint8_t digest[static SHA256_BYTES],
                              int64_t now_s)
{
    for (unsigned i = 0; i < RECIPIENT_KEPT_MAX; i++) {
        struct recipient *r = rs->kept[i];
        if (!r || memcmp(r->digest, digest, SHA256_BYTES) != 0)
            continue;
        if (now_s >= r->valid_from_s && now_s <= r->valid_to_s)
            return r;
        recipient_freep(&rs->kept[i]); /* verified anew, which says why it is refused */
        return NULL;
    }
    return NULL;
}

static enum err lookup(struct crypto *cx, struct recipients *rs, struct span document,
                       int64_t now_s, const struct recipient **out, struct fault *f)
{
    uint8_t digest[SHA256_BYTES];

    sha256(document, digest);
    struct recipient *kept = find(rs, digest, now_s);
    if (!kept) {
        AUTO(recipient_freep) struct recipient *made = calloc(1, sizeof *made);
        if (!made)
            return fault_bare(f, FAULT_INTERNAL);
        enum err r = make(cx, rs, document, now_s, made, f);
        if (r != ERR_OK)
            return r;
        memcpy(made->digest, digest, sizeof digest);
        struct recipient **at = place(rs);
        recipient_free(*at);
        kept = *at = made;
        made = NULL; /* handed over */
        rs->counts.verified++;
    } else {
        rs->counts.kept++;
    }
    kept->used = ++rs->clock;
    *out = kept;
    return ERR_OK;
}

void recipients_set_rules(struct recipients *rs, const struct recipient_rules *rules)
{
    rs->rules = *rules;
}

struct recipient_counts recipients_counts(const struct recipients *rs)
{
    return rs->counts;
}

static enum err members(struct span object, struct buf *document, struct fault *f)
{
    static const char *const algorithms[] = { "RSAES_OAEP_SHA_256", NULL };
    AUTO(input_clear) struct input in;
    AUTO(checks_clear) struct checks c = CHECKS_INIT;
    struct span algorithm = SPAN_EMPTY;
    bool given = false;

    enum err r = input_parse(object, &in, f);
    if (r == ERR_OK)
        r = input_string(&in, "KeyEncryptionAlgorithm", &algorithm, f);
    if (r == ERR_OK)
        r = input_blob(&in, "AttestationDocument", document, &given, f);
    if (r != ERR_OK)
        return r;
    check_required(&c, "recipient.keyEncryptionAlgorithm", algorithm.ptr != NULL);
    check_enum(&c, "recipient.keyEncryptionAlgorithm", algorithm, algorithms);
    check_required(&c, "recipient.attestationDocument", given);
    if (given)
        check_hidden_length(&c, "recipient.attestationDocument", document->len, 1,
                            RECIPIENT_DOCUMENT_MAX_BYTES);
    return checks_end(&c, f);
}

enum err recipient_take(struct crypto *cx, struct recipients *rs, struct span object, int64_t now_s,
                        const struct recipient **out, struct fault *f)
{
    AUTO(buf_clear) struct buf document = BUF_INIT(INPUT_BODY_MAX_BYTES);

    *out = NULL;
    if (!object.ptr)
        return ERR_OK;
    enum err r = members(object, &document, f);
    return r == ERR_OK ? lookup(cx, rs, buf_view(&document), now_s, out, f) : r;
}
