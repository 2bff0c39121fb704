#include "localkms/audit.h"

#include <stdio.h>

#include "base/hex.h"
#include "localkms/call.h"

enum { USER_AGENT_MAX_BYTES = 512, ID_DIGITS = 16 };

/* All that CloudTrail tells of KMS requests; what is data, key material or a token is not here. */
static const char *const members[] = {
    "AliasName",
    "BypassPolicyLockoutSafetyCheck",
    "Constraints",
    "CustomerMasterKeySpec",
    "Description",
    "DestinationEncryptionAlgorithm",
    "DestinationEncryptionContext",
    "DestinationKeyId",
    "DryRun",
    "EncryptionAlgorithm",
    "EncryptionContext",
    "ExpirationModel",
    "GrantId",
    "GranteePrincipal",
    "IncludeKeyMaterial",
    "KeyAgreementAlgorithm",
    "KeyId",
    "KeyPairSpec",
    "KeySpec",
    "KeyUsage",
    "Limit",
    "MacAlgorithm",
    "MessageType",
    "MultiRegion",
    "Name",
    "NumberOfBytes",
    "Operations",
    "Origin",
    "PendingWindowInDays",
    "Policy",
    "PolicyName",
    "PrimaryRegion",
    "ReplicaRegion",
    "RetiringPrincipal",
    "RotationPeriodInDays",
    "SigningAlgorithm",
    "SourceEncryptionAlgorithm",
    "SourceEncryptionContext",
    "SourceKeyId",
    "TagKeys",
    "Tags",
    "TargetKeyId",
    "ValidTo",
    "WrappingAlgorithm",
    "WrappingKeySpec",
};

/* By how they begin: the others only read. */
static const char *const writers[] = {
    "Cancel", "Create", "Delete",    "Disable",  "Enable", "Import", "Put",    "Replicate",
    "Retire", "Revoke", "RotateKey", "Schedule", "Tag",    "Untag",  "Update",
};

bool audit_tells(struct span member)
{
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (span_is(member, members[i]))
            return true;
    return false;
}

static bool only_reads(const char *operation)
{
    for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++)
        if (span_starts(span_str(operation), writers[i]))
            return false;
    return true;
}

static void put(struct json_out *w, const char *name, struct span value)
{
    json_out_key(w, name);
    json_out_string(w, value);
}

/* One value, written anew: the client's own may be spread over lines. */
static void put_value(struct json_out *w, struct json_in *j, unsigned depth)
{
    struct json_str name;

    if (depth > JSON_DEPTH_MAX) {
        w->err = ERR_LIMIT;
        return;
    }
    switch (json_in_peek(j)) {
    case JSON_KIND_OBJECT:
        json_out_object(w);
        for (json_in_object(j); json_in_member(j, &name);) {
            AUTO(buf_clear) struct buf text = BUF_INIT(LOCALKMS_BODY_MAX_BYTES);
            if (json_str_decode(name, &text) != ERR_OK)
                w->err = ERR_NOMEM;
            json_out_key_text(w, text.len ? buf_view(&text) : SPAN_LIT(""));
            put_value(w, j, depth + 1);
        }
        json_out_object_end(w);
        break;
    case JSON_KIND_ARRAY:
        json_out_array(w);
        for (json_in_array(j); json_in_element(j);)
            put_value(w, j, depth + 1);
        json_out_array_end(w);
        break;
    case JSON_KIND_STRING:
        json_out_raw_string(w, json_in_string(j));
        break;
    case JSON_KIND_NUMBER:
    case JSON_KIND_TRUE:
    case JSON_KIND_FALSE:
    case JSON_KIND_NULL:
    case JSON_KIND_NONE:
        json_out_raw(w, json_in_skip(j));
        break;
    }
}

static void put_member(struct json_out *w, const struct input_member *m)
{
    char name[64];
    struct json_in j = json_in_init(m->raw);

    /* CloudTrail writes members with a small first letter. All of ours are short ASCII words. */
    size_t len = m->name.raw.len < sizeof name ? m->name.raw.len : sizeof name - 1;
    memcpy(name, m->name.raw.ptr, len);
    name[len] = '\0';
    name[0] = (char)(name[0] | 0x20);
    json_out_key(w, name);
    put_value(w, &j, 0);
}

static enum err parameters(const struct call *c, struct buf *out)
{
    struct json_out w = json_out_init(out);
    unsigned n = 0;

    json_out_object(&w);
    for (size_t i = 0; i < c->in.n; i++) {
        const struct input_member *m = &c->in.members[i];
        if (m->name.escaped || !audit_tells(m->name.raw) || m->kind == JSON_KIND_NULL)
            continue;
        put_member(&w, m);
        n++;
    }
    json_out_object_end(&w);
    enum err r = json_out_end(&w);
    if (r == ERR_OK && n == 0)
        buf_reset(out);
    return r;
}

static void put_parameters(struct json_out *w, const struct call *c)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(AUDIT_PARAMETERS_MAX_BYTES);
    enum err r = parameters(c, &text);

    json_out_key(w, "requestParameters");
    if (r == ERR_LIMIT) /* as CloudTrail does with what is too long */
        json_out_raw(w, SPAN_LIT("{\"omitted\":\"too long\"}"));
    else if (r != ERR_OK)
        w->err = r;
    else if (text.len)
        json_out_raw(w, buf_view(&text));
    else
        json_out_null(w);
}

/* AWS's ids of principals look like this; ours follow from the ARN. */
static enum err principal_id(const char *prefix, struct span of, struct span session,
                             struct buf *out)
{
    uint8_t digest[SHA256_BYTES];
    char hex[2 * SHA256_BYTES + 1];

    sha256(of, digest);
    hex_write(SPAN_ARRAY(digest), hex);
    for (unsigned i = 0; i < ID_DIGITS; i++)
        hex[i] = (char)(hex[i] >= 'a' ? hex[i] - 'a' + 'A' : hex[i]);
    return buf_printf(out, "%s%.*s%s%.*s", prefix, ID_DIGITS, hex, session.len ? ":" : "",
                      (int)session.len, (const char *)session.ptr);
}

static struct span after_last_slash(struct span s)
{
    while (s.ptr) {
        struct span rest = s;
        (void)span_cut(&rest, '/');
        if (!rest.ptr)
            return s;
        s = rest;
    }
    return s;
}

static void put_session(struct json_out *w, const struct policy_caller *who)
{
    AUTO(buf_clear) struct buf arn = BUF_INIT(512);

    if (buf_printf(&arn, "arn:%.*s:iam::%.*s:role/%.*s", (int)who->partition.len,
                   (const char *)who->partition.ptr, (int)who->account.len,
                   (const char *)who->account.ptr, (int)who->role.len,
                   (const char *)who->role.ptr) != ERR_OK) {
        w->err = ERR_NOMEM;
        return;
    }
    json_out_key(w, "sessionContext");
    json_out_object(w);
    json_out_key(w, "sessionIssuer");
    json_out_object(w);
    put(w, "type", SPAN_LIT("Role"));
    put(w, "arn", buf_view(&arn));
    put(w, "accountId", who->account);
    put(w, "userName", who->role);
    json_out_object_end(w);
    json_out_key(w, "attributes");
    json_out_object(w);
    put(w, "mfaAuthenticated", SPAN_LIT("false"));
    json_out_object_end(w);
    json_out_object_end(w);
}

static void put_identity(struct json_out *w, const struct call *c)
{
    static const char *const types[] = { [POLICY_CALLER_ROOT] = "Root",
                                         [POLICY_CALLER_NAMED] = "IAMUser",
                                         [POLICY_CALLER_SESSION] = "AssumedRole" };
    static const char *const prefixes[] = {
        [POLICY_CALLER_NAMED] = "AIDA", [POLICY_CALLER_SESSION] = "AROA"
    };
    AUTO(buf_clear) struct buf id = BUF_INIT(256);

    json_out_key(w, "userIdentity");
    json_out_object(w);
    if (!c->who) {
        put(w, "type", SPAN_LIT("Unknown"));
        json_out_object_end(w);
        return;
    }
    const struct policy_caller *who = &c->who->caller;
    bool session = who->kind == POLICY_CALLER_SESSION;
    enum err r = who->kind == POLICY_CALLER_ROOT
                     ? buf_append(&id, who->account)
                     : principal_id(prefixes[who->kind], session ? who->role : who->arn,
                                    session ? after_last_slash(who->arn) : SPAN_EMPTY, &id);
    if (r != ERR_OK)
        w->err = r;
    put(w, "type", span_str(types[who->kind]));
    put(w, "principalId", buf_view(&id));
    put(w, "arn", who->arn);
    put(w, "accountId", who->account);
    if (c->who->access_key_id)
        put(w, "accessKeyId", span_str(c->who->access_key_id));
    if (session)
        put_session(w, who);
    else if (who->kind == POLICY_CALLER_NAMED)
        put(w, "userName", after_last_slash(who->arn));
    json_out_object_end(w);
}

static void put_register(struct json_out *w, const struct call *c, const char *name, unsigned i)
{
    AUTO(buf_clear) struct buf raw = BUF_INIT(ATTEST_PCR_BYTES);
    struct span hex = c->recipient->values[i];

    if (!hex.ptr)
        return;
    json_out_key(w, name);
    if (c->k->audit_hex)
        json_out_string(w, hex);
    else if (hex_parse(hex, &raw) == ERR_OK)
        json_out_base64(w, buf_view(&raw));
    else
        w->err = ERR_INTERNAL;
}

static void put_recipient(struct json_out *w, const struct call *c)
{
    static const struct {
        const char *name;
        unsigned pcr;
    } enclave[] = { { "attestationDocumentEnclaveImageDigest", 0 },
                    { "attestationDocumentEnclavePCR1", 1 },
                    { "attestationDocumentEnclavePCR2", 2 },
                    { "attestationDocumentEnclavePCR3", 3 },
                    { "attestationDocumentEnclavePCR4", 4 },
                    { "attestationDocumentEnclavePCR8", 8 } },
      tpm[] = { { "attestationDocumentNitroTPMPCR4", 4 },
                { "attestationDocumentNitroTPMPCR7", 7 },
                { "attestationDocumentNitroTPMPCR12", 12 } };

    if (!c->recipient)
        return;
    json_out_key(w, "additionalEventData");
    json_out_object(w);
    json_out_key(w, "recipient");
    json_out_object(w);
    put(w, "attestationDocumentModuleId", span_str(c->recipient->module_id));
    if (c->recipient->is_tpm)
        for (size_t i = 0; i < sizeof tpm / sizeof tpm[0]; i++)
            put_register(w, c, tpm[i].name, tpm[i].pcr);
    else
        for (size_t i = 0; i < sizeof enclave / sizeof enclave[0]; i++)
            put_register(w, c, enclave[i].name, enclave[i].pcr);
    json_out_object_end(w);
    json_out_object_end(w);
}

static void put_key(struct json_out *w, const struct call *c, bool had_key)
{
    json_out_key(w, "resources");
    json_out_array(w);
    if (had_key) {
        json_out_object(w);
        put(w, "accountId", span_str(c->k->account));
        put(w, "type", SPAN_LIT("AWS::KMS::Key"));
        put(w, "ARN", span_str(c->key_arn));
        json_out_object_end(w);
    }
    json_out_array_end(w);
}

/* Headers are anybody's text. */
static struct span plain_header(const struct http1_head *head, const char *name)
{
    struct span s = span_sub(http1_header_get(head, name), 0, USER_AGENT_MAX_BYTES);

    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < ' ' || s.ptr[i] > '~')
            return SPAN_LIT("-");
    return s.ptr ? s : SPAN_LIT("");
}

static void put_outcome(struct json_out *w, const struct call *c, bool had_key)
{
    const struct localkms_note *n = c->note;
    bool read_only = only_reads(n->operation);

    if (n->error[0]) /* CloudTrail's word for this one differs from the exception's name */
        put(w, "errorCode",
            strcmp(n->error, "AccessDeniedException") == 0 ? SPAN_LIT("AccessDenied")
                                                           : span_str(n->error));
    if (n->error[0] && n->message.len)
        put(w, "errorMessage", buf_view(&n->message));
    put_parameters(w, c);
    json_out_key(w, "responseElements");
    if (n->error[0] || read_only || !had_key) {
        json_out_null(w);
    } else {
        json_out_object(w);
        put(w, "keyId", span_str(c->key_arn));
        json_out_object_end(w);
    }
    put_recipient(w, c);
    put(w, "requestID", span_str(n->request_id));
}

enum err audit_record(const struct call *c, const struct http1_head *head, struct buf *out)
{
    const struct localkms_note *n = c->note;
    size_t before = out->len;
    struct json_out w = json_out_init(out);
    char when[RFC3339_BYTES], event_id[KEY_ID_BYTES + 1];
    bool had_key = n->key_id[0] && c->key_arn[0];

    enum err r = uuid_new(c->cx, event_id);
    if (r != ERR_OK)
        return r;
    rfc3339_write(c->now_ms / 1000, when);
    json_out_object(&w);
    put(&w, "eventVersion", SPAN_LIT("1.08"));
    put_identity(&w, c);
    put(&w, "eventTime", span_str(when));
    put(&w, "eventSource", SPAN_LIT("kms.amazonaws.com"));
    put(&w, "eventName", n->operation[0] ? span_str(n->operation) : SPAN_LIT("Unknown"));
    put(&w, "awsRegion", span_str(c->k->region));
    put(&w, "sourceIPAddress", span_str(c->k->origin.ip));
    put(&w, "userAgent", plain_header(head, "user-agent"));
    put_outcome(&w, c, had_key);
    put(&w, "eventID", span_str(event_id));
    json_out_key(&w, "readOnly");
    json_out_bool(&w, only_reads(n->operation));
    put_key(&w, c, had_key);
    put(&w, "eventType", SPAN_LIT("AwsApiCall"));
    json_out_key(&w, "managementEvent");
    json_out_bool(&w, true);
    put(&w, "recipientAccountId", span_str(c->k->account));
    put(&w, "eventCategory", SPAN_LIT("Management"));
    json_out_object_end(&w);
    r = json_out_end(&w);
    if (r != ERR_OK)
        buf_truncate(out, before);
    return r;
}
