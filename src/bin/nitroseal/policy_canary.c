/* nitroseal policy canary: what the policies say about use without attestation, asked of KMS itself
 * . Every call is a dry run: KMS judges it and does nothing. */
#include "base/base64.h"
#include "base/json.h"
#include "bin/nitroseal/cred_source.h"
#include "bin/nitroseal/kms_call.h"
#include "bin/nitroseal/policy_cmd.h"
#include "io/sys.h"
#include "kms/kms.h"

enum {
    TRY_S = 10,
    URL_MAX_BYTES = 2048,
    BODY_MAX_BYTES = 65536,
    REQUEST_MAX_BYTES = 131072,
    TEXT_MAX_BYTES = 8192,
    ANSWER_MAX_BYTES = 65536,
    ARN_REGION = 3,
    ARN_COLONS = 5,
};

static const struct option_def options[] = {
    { "key", 0, "ARN", "KMS_KEY_ID", NULL, "The key: its whole ARN." },
    { "ciphertext-blob", 0, "BASE64", NULL, NULL,
      "Something that the key encrypted, to try Decrypt and ReEncrypt, too." },
    { "context", 0, "NAME=VALUE", NULL, NULL, "A pair of its encryption context; repeatable." },
    { "endpoint", 0, "URL", "AWS_ENDPOINT_URL_KMS", NULL, "Another KMS than the region's." },
    CLI_PROFILE_OPTION,
    { "json", 0, NULL, NULL, NULL, "Print JSON, also for a failure." },
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseal policy canary",
    .synopsis = "--key ARN [OPTION ...]",
    .summary = "Ask KMS whether these credentials could use the key without attestation. Nothing "
               "is done: each\ncall is a dry run.",
    .options = options,
    .footer = "Exit status: 0 all refused, 5 some would be allowed, 1 no answer told it, 2 usage, "
              "3 KMS not\nreached, 7 settings or credentials.\n",
};

enum outcome { REFUSED, ALLOWED, UNKNOWN };

/* Members besides KeyId (or CiphertextBlob), EncryptionContext and DryRun. */
static const struct trial {
    const char *operation, *members;
    bool needs_blob;
} trials[] = {
    { "GenerateDataKey", "\"KeySpec\":\"AES_256\"", false },
    { "GenerateDataKeyWithoutPlaintext", "\"KeySpec\":\"AES_256\"", false },
    { "GenerateDataKeyPair", "\"KeyPairSpec\":\"ECC_NIST_P256\"", false },
    { "Decrypt", "", true },
    { "ReEncrypt", "", true },
};
enum { TRIALS = sizeof trials / sizeof trials[0] };

struct canary {
    const struct options *o;
    struct span key, region, blob;
    struct awscred_place place;
    struct http_server server;
    struct buf host;
    struct cli_credentials cred;
    enum outcome outcomes[TRIALS];
    struct buf reasons[TRIALS]; /* KMS's "Type: message" */
    bool tried[TRIALS];
};

static void canary_clear(struct canary *c)
{
    tls_ctx_free(c->server.tls);
    cli_credentials_clear(&c->cred);
    buf_clear(&c->host);
    for (unsigned i = 0; i < TRIALS; i++)
        buf_clear(&c->reasons[i]);
}

static int read_key(struct canary *c, struct cli_fault *f)
{
    const char *key = option_text(c->o, "key"), *blob = option_text(c->o, "ciphertext-blob");
    AUTO(buf_clear) struct buf bytes = BUF_INIT(BODY_MAX_BYTES);
    struct span rest = span_str(key);

    for (unsigned i = 0; i < ARN_COLONS; i++) {
        struct span part = span_cut(&rest, ':');
        if (i == ARN_REGION)
            c->region = part;
    }
    if (!key || strncmp(key, "arn:", 4) != 0 || !span_starts(rest, "key/") || !c->region.len)
        return cli_fault_set(f, CLI_USAGE, _("--key takes the whole ARN of a key"));
    c->key = span_str(key);
    c->blob = span_str(blob);
    if (blob && base64_parse(c->blob, &bytes, NULL) != ERR_OK)
        return cli_fault_set(f, CLI_USAGE, _("--ciphertext-blob is not base64"));
    return CLI_OK;
}

static int find_kms(struct canary *c, struct buf *url, struct cli_fault *f)
{
    const char *given = option_text(c->o, "endpoint");
    struct why why = { 0 };

    enum err r = buf_append_str(url, given ? given : "https://");
    if (r == ERR_OK && !given)
        r = kms_host_of_region(c->region, url);
    if (r == ERR_OK)
        r = awscred_url_parse(buf_view(url), &c->place, &why);
    if (r == ERR_OK)
        r = awscred_place_host(&c->place, &c->host);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_SETTINGS, _("region %s or endpoint %s: %s"),
                             option_text(c->o, "key"), given ? given : "-",
                             why.what ? why.what : err_name(r));
    r = cred_server(&c->place, &c->server, &why);
    return r == ERR_OK ? CLI_OK
                       : cli_fault_set(f, CLI_UNREACHABLE, "%.*s: %s", (int)url->len,
                                       (const char *)url->ptr, why.what ? why.what : err_name(r));
}

static int body_write(const struct canary *c, const struct trial *t, struct buf *out,
                      struct cli_fault *f)
{
    bool moves = strcmp(t->operation, "ReEncrypt") == 0;
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    json_out_key(&w, moves ? "DestinationKeyId" : "KeyId");
    json_out_string(&w, c->key);
    if (t->needs_blob) {
        json_out_key(&w, "CiphertextBlob");
        json_out_string(&w, c->blob);
    }
    json_out_key(&w, moves ? "SourceEncryptionContext" : "EncryptionContext");
    json_out_object(&w);
    for (unsigned i = 0; i < option_count(c->o, "context"); i++) {
        struct span value = span_str(option_at(c->o, "context", i));
        struct span name = span_cut(&value, '=');
        if (!value.ptr || name.len == 0)
            return cli_fault_set(f, CLI_USAGE, _("--context takes NAME=VALUE"));
        json_out_key_text(&w, name);
        json_out_string(&w, value);
    }
    json_out_object_end(&w);
    json_out_key(&w, "DryRun");
    json_out_bool(&w, true);
    enum err r = w.err;
    if (r == ERR_OK && t->members[0])
        r = buf_printf(out, ",%s", t->members);
    if (r == ERR_OK)
        r = buf_append_byte(out, '}');
    return r == ERR_OK
               ? CLI_OK
               : cli_fault_set(f, CLI_USAGE, _("cannot write the request: %s"), err_name(r));
}

/* "Type" without its prefix, and the message, of an error's body. */
static void take_error(struct span body, struct buf *type, struct buf *message)
{
    struct json_in j = json_in_init(body);
    struct json_str name;

    for (json_in_object(&j); json_in_member(&j, &name);) {
        if (json_str_is(name, "__type"))
            cli_append_member(type, json_in_string(&j));
        else if (json_str_is(name, "message") || json_str_is(name, "Message"))
            cli_append_member(message, json_in_string(&j));
        else
            json_in_skip(&j);
    }
    size_t hash = span_find(buf_view(type), '#');
    if (hash < type->len)
        buf_consume(type, hash + 1);
}

/* Only KMS's own words about this call count; anything else leaves it open. */
static int judge(struct canary *c, unsigned i, const struct http_reply *reply, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf type = BUF_INIT(TEXT_MAX_BYTES), message = BUF_INIT(TEXT_MAX_BYTES);

    take_error(reply->body, &type, &message);
    struct span t = buf_view(&type);
    c->tried[i] = true;
    c->outcomes[i] = span_is(t, "AccessDeniedException")                              ? REFUSED
                     : span_is(t, "DryRunOperationException") || reply->status == 200 ? ALLOWED
                                                                                      : UNKNOWN;
    if (span_is(t, "UnrecognizedClientException") || span_is(t, "InvalidSignatureException") ||
        span_is(t, "ExpiredTokenException") || span_is(t, "IncompleteSignatureException") ||
        span_is(t, "MissingAuthenticationTokenException"))
        return cli_fault_set(f, CLI_SETTINGS, _("KMS does not know these credentials: %.*s"),
                             (int)t.len, (const char *)t.ptr);
    enum err r = buf_append(&c->reasons[i], t);
    if (r == ERR_OK && message.len)
        r = buf_append_str(&c->reasons[i], ": ");
    if (r == ERR_OK)
        r = buf_append(&c->reasons[i], buf_view(&message));
    return r == ERR_OK ? CLI_OK : cli_fault_set(f, CLI_FAILED, "%s", err_name(r));
}

static int try_one(struct canary *c, unsigned i, struct cli_fault *f)
{
    AUTO(buf_clear)
    struct buf body = BUF_INIT(BODY_MAX_BYTES), request = BUF_INIT(REQUEST_MAX_BYTES);
    AUTO(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
    const struct sigv4_credentials cred = {
        .access_key_id = buf_view(&c->cred.access_key_id),
        .secret_access_key = secret_view(&c->cred.secret_access_key),
        .session_token = secret_view(&c->cred.session_token),
    };
    struct why why = { 0 };
    int status = body_write(c, &trials[i], &body, f);

    if (status != CLI_OK)
        return status;
    enum err r = kms_plain_request(buf_view(&c->host), c->region, &cred, trials[i].operation,
                                   buf_view(&body), &request);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("cannot write the request: %s"), err_name(r));
    r = http_call(&c->server, buf_view(&request), clock_mono_ns() + TRY_S * NS_PER_S, &reply, &why);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_UNREACHABLE, "%s: %s", c->server.name,
                             why.what ? why.what : err_name(r));
    return judge(c, i, &reply, f);
}

static const char *outcome_name(enum outcome o)
{
    return o == REFUSED ? "refused" : o == ALLOWED ? "allowed" : "unknown";
}

static const char *outcome_text(enum outcome o)
{
    return o == REFUSED ? _("refused") : o == ALLOWED ? _("WOULD BE ALLOWED") : _("not told");
}

static enum err write_json(const struct canary *c, struct buf *out)
{
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    json_out_key(&w, "key");
    json_out_string(&w, c->key);
    json_out_key(&w, "unattested");
    json_out_array(&w);
    for (unsigned i = 0; i < TRIALS; i++) {
        if (!c->tried[i])
            continue;
        json_out_object(&w);
        json_out_key(&w, "operation");
        json_out_string(&w, span_str(trials[i].operation));
        json_out_key(&w, "outcome");
        json_out_string(&w, span_str(outcome_name(c->outcomes[i])));
        json_out_key(&w, "answer");
        json_out_string(&w, buf_view(&c->reasons[i]));
        json_out_object_end(&w);
    }
    json_out_array_end(&w);
    json_out_object_end(&w);
    enum err r = json_out_end(&w);
    return r == ERR_OK ? buf_append_byte(out, '\n') : r;
}

static enum err write_lines(const struct canary *c, struct buf *out)
{
    enum err r = ERR_OK;

    for (unsigned i = 0; i < TRIALS && r == ERR_OK; i++)
        if (c->tried[i])
            r = buf_printf(out, _("%s without attestation: %s (%.*s)\n"), trials[i].operation,
                           outcome_text(c->outcomes[i]), (int)c->reasons[i].len,
                           (const char *)c->reasons[i].ptr);
    if (r == ERR_OK && !c->blob.ptr)
        r = buf_append_str(out, _("Decrypt was not tried: --ciphertext-blob gives it something to "
                                  "open\n"));
    return r;
}

static int verdict(const struct canary *c, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(ANSWER_MAX_BYTES);
    unsigned refused = 0, allowed = 0;

    enum err r = option_flag(c->o, "json") ? write_json(c, &out) : write_lines(c, &out);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("cannot write the answer: %s"), err_name(r));
    int status = cli_print(buf_view(&out), f);
    for (unsigned i = 0; i < TRIALS; i++) {
        refused += c->tried[i] && c->outcomes[i] == REFUSED;
        allowed += c->tried[i] && c->outcomes[i] == ALLOWED;
    }
    if (status != CLI_OK)
        return status;
    return allowed ? CLI_UNVERIFIED : refused ? CLI_OK : CLI_FAILED;
}

__attribute__((noinline)) static int run(struct canary *c, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf url = BUF_INIT(URL_MAX_BYTES);
    int status = read_key(c, f);

    if (status == CLI_OK && crypto_process_init() != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("the cryptographic library does not start"));
    if (status == CLI_OK)
        status = cli_credentials_find(option_text(c->o, "profile"),
                                      option_count(c->o, "profile") > 0, &c->cred, f);
    if (status == CLI_OK)
        status = find_kms(c, &url, f);
    for (unsigned i = 0; i < TRIALS && status == CLI_OK; i++)
        if (c->blob.ptr || !trials[i].needs_blob)
            status = try_one(c, i, f);
    return status == CLI_OK ? verdict(c, f) : status;
}

static int run_canary(const struct options *o, struct cli_fault *f)
{
    static struct canary c; /* large for a stack */

    c.o = o;
    c.host = BUF_INIT(URL_MAX_BYTES);
    for (unsigned i = 0; i < TRIALS; i++)
        c.reasons[i] = BUF_INIT(2 * TEXT_MAX_BYTES);
    int status = run(&c, f);
    canary_clear(&c);
    return status;
}

int cmd_policy_canary(int argc, char **argv)
{
    return cli_command(&program, argc, argv, run_canary);
}
