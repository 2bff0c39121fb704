/* The key of the local stack and its policy; the image that the policy names. */
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hex.h"
#include "bin/nitroseal/stack.h"
#include "io/sys.h"

enum {
    PEM_MAX_BYTES = 65536,
    PORT_MAX_BYTES = 16,
    ARN_MAX_BYTES = 127,
    IMAGE_MAX_BYTES = 64 << 20,
    CALL_S = 5
};

void stack_kms_clear(struct stack_kms *k)
{
    buf_clear(&k->ca_pem);
}

enum err stack_kms_find(const char *dir, const char *region, struct stack_kms *out, struct why *why)
{
    AUTO(buf_clear) struct buf port = BUF_INIT(PORT_MAX_BYTES), pem = BUF_INIT(PEM_MAX_BYTES);
    char path[STACK_PATH_BYTES];
    uint64_t number = 0;

    stack_path(dir, "kms/port", path);
    enum err r = file_read(path, &port, why);
    while (port.len > 0 && port.ptr[port.len - 1] == '\n')
        buf_truncate(&port, port.len - 1);
    if (r == ERR_OK && span_to_u64(buf_view(&port), UINT16_MAX, &number) != ERR_OK)
        r = why_fail(why, ERR_IO, "kms/port", 0);
    stack_path(dir, "kms/ca.pem", path);
    if (r == ERR_OK)
        r = file_read(path, &pem, why);
    if (r != ERR_OK)
        return r;
    buf_clear(&out->ca_pem);
    out->ca_pem = buf_take(&pem);
    out->port = (unsigned)number;
    snprintf(out->host, sizeof out->host, "localhost:%u", out->port);
    out->server = (struct kms_server){
        .ca_pem = buf_view(&out->ca_pem),
        .host = span_str(out->host),
        .region = span_str(region),
    };
    return addr_tcp(out->host, &out->server.at, why);
}

/* One value per PCR, lower-case hexadecimal, as `nitro-cli` prints them. */
static json_t *conditions(const struct attest_pcrs *pcrs)
{
    json_t *j = json_object();
    char key[48], hex[2 * ATTEST_PCR_BYTES + 1];

    for (unsigned i = 0; i < ATTEST_PCRS; i++) {
        if (!(pcrs->present & UINT32_C(1) << i))
            continue;
        snprintf(key, sizeof key, "kms:RecipientAttestation:PCR%u", i);
        hex_write(SPAN_ARRAY(pcrs->value[i]), hex);
        if (json_object_set_new(j, key, json_string(hex)) != 0)
            break; /* out of memory; json_pack below fails then, too */
    }
    return j;
}

/* Administration without use, use only attested by this image. */
static char *policy_text(const struct stack_principals *who, const struct attest_pcrs *pcrs)
{
    json_t *j =
        json_pack("{s:s, s:[{s:s, s:s, s:{s:s}, s:[sssssss], s:s},"
                  " {s:s, s:s, s:{s:s}, s:[ss], s:s, s:{s:o}},"
                  " {s:s, s:s, s:{s:s}, s:[ss], s:s}]}",
                  "Version", "2012-10-17", "Statement", //
                  "Sid", "Administration without use", "Effect", "Allow", "Principal", "AWS",
                  who->admin.arn, //
                  "Action", "kms:Describe*", "kms:Get*", "kms:List*", "kms:PutKeyPolicy",
                  "kms:Enable*", "kms:Disable*", "kms:ScheduleKeyDeletion", "Resource", "*", //
                  "Sid", "Use by the attested image", "Effect", "Allow", "Principal", "AWS",
                  who->app.arn, "Action", "kms:GenerateDataKey", "kms:Decrypt", "Resource", "*",
                  "Condition", "StringEqualsIgnoreCase", conditions(pcrs), //
                  "Sid", "Looking at it", "Effect", "Allow", "Principal", "AWS", who->app.arn,
                  "Action", "kms:DescribeKey", "kms:GetKeyPolicy", "Resource", "*");
    char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;

    json_decref(j);
    return text;
}

struct admin {
    const struct stack_kms *kms;
    const struct stack_principals *who;
};

/* One call as the administrator. ERR_DENIED: KMS says no, and `f` says what. */
static enum err call(const struct admin *a, const char *operation, json_t *body,
                     struct http_reply *reply, struct cli_fault *f)
{
    const struct sigv4_credentials cred = {
        .access_key_id = span_str(a->who->admin.id),
        .secret_access_key = secret_view(&a->who->admin.secret),
    };
    struct why why = { 0 };
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

    json_decref(body);
    if (!text)
        return ERR_NOMEM;
    enum err r = kms_call(&a->kms->server, &cred, operation, span_str(text),
                          clock_mono_ns() + CALL_S * NS_PER_S, reply, &why);
    free(text);
    if (r != ERR_OK) {
        (void)cli_fault_set(f, CLI_FAILED, "%s: %s", operation, why.what ? why.what : err_name(r));
        return r;
    }
    if (reply->status == 200)
        return ERR_OK;
    (void)cli_fault_set(f, CLI_FAILED, _("%s was refused: %.*s"), operation, (int)reply->body.len,
                        (const char *)reply->body.ptr);
    return ERR_DENIED;
}

static enum err put_policy(const struct admin *a, const char *arn, const char *policy,
                           struct cli_fault *f)
{
    AUTO(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;

    return call(
        a, "PutKeyPolicy",
        json_pack("{s:s, s:s, s:s}", "KeyId", arn, "PolicyName", "default", "Policy", policy),
        &reply, f);
}

static enum err create_key(const struct admin *a, const char *policy, const char *path,
                           char arn[static 128], struct cli_fault *f)
{
    AUTO(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
    struct why why = { 0 };
    enum err r =
        call(a, "CreateKey",
             json_pack("{s:s, s:s}", "Description", "local stack", "Policy", policy), &reply, f);
    if (r != ERR_OK)
        return r;
    json_t *j = json_loadb((const char *)reply.body.ptr, reply.body.len, 0, NULL);
    const char *found =
        json_string_value(json_object_get(json_object_get(j, "KeyMetadata"), "Arn"));
    r = found && strlen(found) <= ARN_MAX_BYTES ? ERR_OK : ERR_MALFORMED;
    if (r == ERR_OK)
        snprintf(arn, 128, "%s", found);
    json_decref(j);
    if (r == ERR_OK)
        r = file_write(path, span_str(arn), 0600, &why);
    if (r != ERR_OK)
        (void)cli_fault_set(f, CLI_FAILED, _("CreateKey gave no key: %s"),
                            why.what ? why.what : err_name(r));
    return r;
}

/* The key of an earlier start, if KMS still has it. */
static bool kept_key(const struct admin *a, const char *path, const char *policy,
                     char arn[static 128], struct cli_fault *f)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(ARN_MAX_BYTES + 1);

    if (access(path, F_OK) != 0 || file_read(path, &text, NULL) != ERR_OK || text.len == 0)
        return false;
    snprintf(arn, 128, "%.*s", (int)text.len, (const char *)text.ptr);
    return put_policy(a, arn, policy, f) == ERR_OK;
}

enum err stack_key_ensure(const char *dir, const struct stack_kms *k,
                          const struct stack_principals *who, const struct attest_pcrs *pcrs,
                          char arn[static 128], struct cli_fault *f)
{
    const struct admin a = { k, who };
    char *policy = policy_text(who, pcrs);
    char path[STACK_PATH_BYTES];

    if (!policy)
        return ERR_NOMEM;
    stack_path(dir, "key", path);
    enum err r = kept_key(&a, path, policy, arn, f) ? ERR_OK : create_key(&a, policy, path, arn, f);
    free(policy);
    return r;
}

int stack_image_pcrs(const struct stack_options *so, struct attest_pcrs *out, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf image = BUF_INIT(IMAGE_MAX_BYTES);
    char path[STACK_PATH_BYTES];
    struct why why = { 0 };

    *out = (struct attest_pcrs){ .present = 0 };
    if (!stack_find_program("nitroseald", path))
        return cli_fault_set(f, CLI_SETTINGS,
                             _("nitroseald is neither beside nitroseal nor on PATH"));
    if (file_read(path, &image, &why) != ERR_OK)
        return cli_fault_set(f, CLI_FILE, _("cannot read %s: %s"), path, why.what);
    /* kernel, command line, the init ramdisk, the application's: an image as nitro-cli makes it. */
    const struct span parts[] = { SPAN_EMPTY, SPAN_LIT(STACK_CMDLINE), SPAN_EMPTY,
                                  buf_view(&image) };
    if (attest_pcrs_of_image(parts, 4, out) != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("cannot measure %s"), path);
    for (unsigned i = 0; i < so->n_pcrs; i++)
        if (attest_pcr_parse(span_str(so->pcrs[i]), out, &why) != ERR_OK)
            return cli_fault_set(f, CLI_USAGE, _("--pcr %s: %s"), so->pcrs[i], why.what);
    return CLI_OK;
}
