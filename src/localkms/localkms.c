#include "localkms/localkms.h"

#include <stdio.h>
#include <stdlib.h>

#include "localkms/audit.h"
#include "localkms/auth.h"
#include "localkms/call.h"
#include "localkms/people.h"
#include "sigv4/sigv4.h"

enum {
    DATE_BYTES = 29,
    ANSWER_MAX_BYTES = LOCALKMS_RESPONSE_MAX_BYTES - 4096,
    DAY_S = 86400,
    SPKI_MAX_BYTES = 1024
};

#define TARGET_PREFIX "TrentService."

static const struct operation {
    const char *name;
    call_fn *fn;
    bool empty_answer; /* no output shape: 200 with an empty body */
} operations[] = {
    { "CancelKeyDeletion", op_cancel_key_deletion, false },
    { "CreateAlias", op_create_alias, true },
    { "CreateGrant", op_create_grant, false },
    { "CreateKey", op_create_key, false },
    { "Decrypt", op_decrypt, false },
    { "DeleteAlias", op_delete_alias, true },
    { "DeleteImportedKeyMaterial", op_delete_imported_key_material, false },
    { "DeriveSharedSecret", op_derive_shared_secret, false },
    { "DescribeKey", op_describe_key, false },
    { "DisableKey", op_disable_key, true },
    { "DisableKeyRotation", op_disable_key_rotation, true },
    { "EnableKey", op_enable_key, true },
    { "EnableKeyRotation", op_enable_key_rotation, true },
    { "Encrypt", op_encrypt, false },
    { "GenerateDataKey", op_generate_data_key, false },
    { "GenerateDataKeyPair", op_generate_data_key_pair, false },
    { "GenerateDataKeyPairWithoutPlaintext", op_generate_data_key_pair_without_plaintext, false },
    { "GenerateDataKeyWithoutPlaintext", op_generate_data_key_without_plaintext, false },
    { "GenerateMac", op_generate_mac, false },
    { "GenerateRandom", op_generate_random, false },
    { "GetKeyPolicy", op_get_key_policy, false },
    { "GetKeyRotationStatus", op_get_key_rotation_status, false },
    { "GetParametersForImport", op_get_parameters_for_import, false },
    { "GetPublicKey", op_get_public_key, false },
    { "ImportKeyMaterial", op_import_key_material, false },
    { "ListAliases", op_list_aliases, false },
    { "ListGrants", op_list_grants, false },
    { "ListKeyPolicies", op_list_key_policies, false },
    { "ListKeyRotations", op_list_key_rotations, false },
    { "ListKeys", op_list_keys, false },
    { "ListResourceTags", op_list_resource_tags, false },
    { "ListRetirableGrants", op_list_retirable_grants, false },
    { "PutKeyPolicy", op_put_key_policy, true },
    { "ReEncrypt", op_re_encrypt, false },
    { "RetireGrant", op_retire_grant, true },
    { "RevokeGrant", op_revoke_grant, true },
    { "RotateKeyOnDemand", op_rotate_key_on_demand, false },
    { "ScheduleKeyDeletion", op_schedule_key_deletion, false },
    { "Sign", op_sign, false },
    { "TagResource", op_tag_resource, true },
    { "UntagResource", op_untag_resource, true },
    { "UpdateAlias", op_update_alias, true },
    { "UpdateKeyDescription", op_update_key_description, true },
    { "Verify", op_verify, false },
    { "VerifyMac", op_verify_mac, false },
};
enum { N_OPERATIONS = sizeof operations / sizeof operations[0] };

static const struct operation *find_operation(const struct http1_head *head)
{
    struct span target = http1_header_get(head, "x-amz-target");
    struct span query = head->target; /* of a presigned request; KMS has none otherwise */

    if (!span_is(head->method, "POST") || !span_is(span_cut(&query, '?'), "/") ||
        !span_starts(target, TARGET_PREFIX))
        return NULL;
    target = span_from(target, sizeof TARGET_PREFIX - 1);
    for (size_t i = 0; i < N_OPERATIONS; i++)
        if (span_is(target, operations[i].name))
            return &operations[i];
    return NULL;
}

static bool copy_word(char *out, size_t size, struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.ptr[i] >= 'a' && s.ptr[i] <= 'z') || (s.ptr[i] >= '0' && s.ptr[i] <= '9') ||
              s.ptr[i] == '-'))
            return false;
    if (s.len == 0 || s.len >= size)
        return false;
    memcpy(out, s.ptr, s.len);
    out[s.len] = '\0';
    return true;
}

/* Who unknown credentials stand for in development mode: the account itself. */
static enum err anybody_make(struct localkms *k)
{
    char arn[64];

    snprintf(arn, sizeof arn, "arn:%s:iam::%s:root", k->partition, k->account);
    k->anybody.arn = strdup(arn);
    if (!k->anybody.arn)
        return ERR_NOMEM;
    return policy_caller_parse(span_str(k->anybody.arn), &k->anybody.caller);
}

static enum err fill(struct crypto *cx, const struct localkms_settings *s, struct localkms *k,
                     struct why *why)
{
    uint64_t unused;

    if (!copy_word(k->region, sizeof k->region, s->region))
        return why_fail(why, ERR_MALFORMED, "region", 0);
    if (s->account.len != LOCALKMS_ACCOUNT_DIGITS ||
        span_to_u64(s->account, UINT64_MAX, &unused) != ERR_OK ||
        !copy_word(k->account, sizeof k->account, s->account))
        return why_fail(why, ERR_MALFORMED, "account", 0);
    if (!copy_word(k->partition, sizeof k->partition, s->partition))
        return why_fail(why, ERR_MALFORMED, "partition", 0);
    k->cx = cx;
    k->form = s->form;
    k->audit = s->audit;
    k->audit_hex = s->audit_hex;
    k->quota = quota_init(s->quota, 0);
    k->origin = (struct localkms_origin){ .ip = "127.0.0.1", .tls = true };
    k->wanted = KEYPAIR_SPECS;
    k->made_spki = BUF_INIT(SPKI_MAX_BYTES);
    k->call = calloc(1, sizeof *k->call);
    if (!k->call)
        return ERR_NOMEM;
    enum err r = vault_new(cx, s->store, s->master_key, &k->vault);
    if (r != ERR_OK)
        return why_fail(why, r, "master key", 0);
    r = s->accept_any ? anybody_make(k) : ERR_OK;
    if (r != ERR_OK)
        return why_fail(why, r, "development mode", 0);
    r = recipients_new(s->roots, s->n_roots, &k->recipients);
    if (r != ERR_OK)
        return why_fail(why, r, "attestation roots", 0);
    const struct recipient_rules rules = { s->max_document_age_s, s->refuse_debug };
    recipients_set_rules(k->recipients, &rules);
    r = recipients_trust_qemu(k->recipients, s->qemu_modules, s->n_qemu_modules);
    return r == ERR_OK ? ERR_OK : why_fail(why, r, "module ids of QEMU's NSM", 0);
}

enum err localkms_new(struct crypto *cx, const struct localkms_settings *s, struct localkms **out,
                      struct why *why)
{
    struct localkms *k = calloc(1, sizeof *k);

    if (!k)
        return ERR_NOMEM;
    enum err r = fill(cx, s, k, why);
    if (r != ERR_OK) {
        localkms_free(k);
        return r;
    }
    *out = k;
    return ERR_OK;
}

void localkms_free(struct localkms *k)
{
    if (!k)
        return;
    secret_clear(&k->made_pkcs8);
    buf_clear(&k->made_spki);
    principals_clear(&k->principals);
    free(k->anybody.arn);
    recipients_free(k->recipients);
    vault_free(k->vault);
    free(k->call);
    free(k);
}

enum err localkms_set_principals(struct localkms *k, struct span text, struct why *why)
{
    const struct people_defaults defaults = { k->partition, k->account };
    struct principals fresh;

    size_t at = 0;
    while (at < text.len && memchr(" \t\r\n", text.ptr[at], 4))
        at++;
    enum err r = span_starts(span_from(text, at), "[") ? principals_parse(text, &fresh, why)
                                                       : people_parse(text, &defaults, &fresh, why);
    if (r != ERR_OK)
        return r;
    principals_clear(&k->principals);
    k->principals = fresh;
    return ERR_OK;
}

struct localkms_documents localkms_documents(const struct localkms *k)
{
    struct recipient_counts c = recipients_counts(k->recipients);

    return (struct localkms_documents){ c.verified, c.kept };
}

void localkms_set_origin(struct localkms *k, const struct localkms_origin *origin)
{
    k->origin = *origin;
}

void localkms_note_clear(struct localkms_note *note)
{
    buf_clear(&note->audit);
    buf_clear(&note->message);
    buf_clear(&note->explain);
}

static void call_begin(struct localkms *k, int64_t now_ms, struct localkms_note *note)
{
    struct call *c = k->call;

    c->k = k;
    c->cx = k->cx;
    c->now_ms = now_ms;
    c->who = NULL;
    c->note = note;
    c->fault = FAULT_INIT;
    c->in.n = 0;
    c->in.scratch = BUF_INIT(0);
    c->context.n = 0;
    c->context.scratch = BUF_INIT(0);
    c->context_bytes = BUF_INIT(CONTEXT_CANONICAL_MAX_BYTES);
    c->recipient = NULL;
    c->key = NULL;
    c->key_arn[0] = '\0';
    c->alias = SPAN_EMPTY;
    c->dry_run = false;
    c->grant_bits = 0;
    c->grant_constraints = SPAN_EMPTY;
    c->n_facts = 0;
    c->facts_lost = false;
    c->n_owned = 0;
}

static void call_end(struct call *c)
{
    fault_clear(&c->fault);
    input_clear(&c->in);
    context_clear(&c->context);
    buf_clear(&c->context_bytes);
    call_forget_facts(c);
}

/* The operation's answer into `answer`, or the fault into c->fault. */
static enum err perform(struct call *c, const struct http1_head *head, struct span body,
                        const struct operation *op, struct buf *answer)
{
    const struct auth_request auth = {
        .head = head,
        .body = body,
        .region = span_str(c->k->region),
        .now_s = c->now_ms / 1000,
        .anybody = c->k->anybody.arn ? &c->k->anybody : NULL,
    };

    if (!op)
        return fault_bare(&c->fault, FAULT_UNKNOWN_OPERATION);
    enum err r = auth_check(&auth, &c->k->principals, &c->who, &c->fault);
    if (r != ERR_OK)
        return r;
    c->note->caller = c->who->arn;
    if (!quota_take(&c->k->quota, c->now_ms))
        return call_throttled(c);
    r = input_parse(body, &c->in, &c->fault);
    if (r != ERR_OK)
        return r;
    c->out = json_out_init(answer);
    json_out_object(&c->out);
    r = op->fn(c);
    if (r != ERR_OK)
        return r;
    json_out_object_end(&c->out);
    if (op->empty_answer)
        buf_reset(answer);
    return call_fail(c, json_out_end(&c->out));
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7), out of SigV4's form of the same time.
 */
static void http_date(int64_t now_s, char out[static DATE_BYTES + 1])
{
    static const char days[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01 was a Thursday */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char t[SIGV4_TIME_BYTES + 1];

    sigv4_time_write(now_s, t);
    unsigned month = (unsigned)(t[4] - '0') * 10 + (unsigned)(t[5] - '0') - 1;
    snprintf(out, DATE_BYTES + 1, "%.3s, %.2s %.3s %.4s %.2s:%.2s:%.2s GMT",
             days + 3 * (now_s / DAY_S % 7), t + 6, months + 3 * month, t, t + 9, t + 11, t + 13);
}

static enum err respond(const struct http1_head *head, int64_t now_ms, struct span body,
                        struct buf *response, const struct localkms_note *note)
{
    char date[DATE_BYTES + 1];
    struct http1_header headers[] = {
        { SPAN_LIT("Content-Type"), SPAN_LIT("application/x-amz-json-1.1") },
        { SPAN_LIT("x-amzn-RequestId"), span_str(note->request_id) },
        { SPAN_LIT("Date"), SPAN_LIT("") },
        { SPAN_LIT("Connection"), SPAN_LIT("close") },
    };

    http_date(now_ms / 1000, date);
    headers[2].value = span_str(date);
    return http1_response_write(response, note->status, headers, head->keep_alive ? 3 : 4, body);
}

static enum err write_fault(struct call *c, struct localkms_note *note, struct buf *answer)
{
    buf_reset(answer);
    note->error = fault_name(c->fault.kind);
    note->status = fault_status(c->fault.kind);
    /* A log without the text is better than no answer. */
    if (buf_append(&note->message, buf_view(&c->fault.text)) != ERR_OK)
        buf_reset(&note->message);
    return fault_write(&c->fault, answer);
}

enum keypair_spec localkms_wanted(const struct localkms *k)
{
    return k->wanted;
}

enum err localkms_give(struct localkms *k, struct secret *pkcs8, struct span spki)
{
    secret_clear(&k->made_pkcs8);
    buf_reset(&k->made_spki);
    enum err r = buf_append(&k->made_spki, spki);
    if (r == ERR_OK)
        k->made_pkcs8 = secret_take(pkcs8);
    return r;
}

void localkms_decline(struct localkms *k)
{
    k->declined = true;
}

void localkms_forget(struct localkms *k)
{
    k->declined = false;
    secret_clear(&k->made_pkcs8);
    buf_reset(&k->made_spki);
}

/* What time brought comes first; a store that fails to do it is the log's, not this caller's. */
static void do_due(struct localkms *k, int64_t now_ms, struct localkms_note *note)
{
    enum err r = vault_do_due(k->vault, now_ms);

    if (r != ERR_OK)
        note->store_reason = r == ERR_IO ? vault_store_reason(k->vault) : err_name(r);
}

enum err localkms_handle(struct localkms *k, const struct http1_head *head, struct span body,
                         int64_t now_ms, struct buf *response, struct localkms_note *note)
{
    AUTO(buf_clear) struct buf answer = BUF_INIT(ANSWER_MAX_BYTES);
    const struct operation *op = find_operation(head);
    struct call *c = k->call;

    buf_reset(&note->audit);
    buf_reset(&note->message);
    buf_reset(&note->explain);
    *note = (struct localkms_note){
        .operation = op ? op->name : "",
        .error = "",
        .status = 200,
        .caller = "",
        .module_id = "",
        .store_reason = "",
        .audit = note->audit,
        .message = note->message,
        .explain = note->explain,
    };
    enum err r = uuid_new(k->cx, note->request_id);
    if (r != ERR_OK)
        return r;
    do_due(k, now_ms, note);
    call_begin(k, now_ms, note);
    r = call_fail(c, perform(c, head, body, op, &answer));
    if (r == ERR_DENIED)
        r = write_fault(c, note, &answer);
    if (r == ERR_OK && k->audit)
        r = audit_record(c, head, &note->audit);
    call_end(c);
    localkms_forget(k);
    return r == ERR_OK ? respond(head, now_ms, buf_view(&answer), response, note) : r;
}
