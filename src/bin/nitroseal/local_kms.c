/* nitroseal local kms: one plain, signed, unattested call, as an application on the parent could
 * make it. Shows what a key policy answers to it, and administers the local key. */
#include <jansson.h>

#include "bin/nitroseal/local.h"
#include "io/sys.h"

enum { CALL_S = 30, BODY_MAX_BYTES = 1 << 20 };

static const struct option_def options[] = {
    LOCAL_STATE_OPTION,
    { "admin", 0, NULL, NULL, NULL, "Call as the key's administrator, not as the application." },
    LOCAL_JSON_OPTION,
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseal local kms",
    .synopsis = "[OPTION ...] OPERATION [JSON]",
    .summary =
        "Call an operation of the local KMS, as CreateKey or ListKeys, with the JSON that it "
        "takes (- for\nstandard input), and print its answer. Without attestation, so the "
        "key's policy refuses use.",
    .options = options,
    .footer = CLI_EXIT_STATUSES,
    .args_min = 1,
    .args_max = 2,
};

static int read_body(const struct options *o, struct buf *out, struct cli_fault *f)
{
    struct why why = { 0 };
    const char *text = o->n_args == 2 ? o->args[1] : "{}";
    enum err r = strcmp(text, "-") == 0 ? fd_read_all(0, out, 0, &why) : buf_append_str(out, text);

    return r == ERR_OK ? CLI_OK
                       : cli_fault_set(f, CLI_FILE, _("cannot read %s: %s"), _("standard input"),
                                       why.what ? why.what : err_name(r));
}

/* "Type: message" of an error body. */
static int refused(const struct http_reply *reply, struct cli_fault *f)
{
    json_t *j = json_loadb((const char *)reply->body.ptr, reply->body.len, 0, NULL);
    const char *type = json_string_value(json_object_get(j, "__type"));
    const char *message = json_string_value(json_object_get(j, "message"));
    const char *hash = type ? strrchr(type, '#') : NULL;

    if (!message)
        message = json_string_value(json_object_get(j, "Message"));
    int status = cli_fault_set(f, CLI_REFUSED, "%s%s%s (KMS request %.*s)",
                               hash   ? hash + 1
                               : type ? type
                                      : "?",
                               message && *message ? ": " : "", message ? message : "",
                               (int)reply->request_id.len,
                               reply->request_id.ptr ? (const char *)reply->request_id.ptr : "");
    json_decref(j);
    return status;
}

/* On its own: its frame is a large one already. */
__attribute__((noinline)) static int call(const struct options *o, struct crypto *cx,
                                          const char *dir, const struct stack_state *s,
                                          struct cli_fault *f)
{
    AUTO(buf_clear) struct buf body = BUF_INIT(BODY_MAX_BYTES);
    AUTO(stack_principals_clear) struct stack_principals who = { .admin = { .id = "" } };
    AUTO(stack_kms_clear) struct stack_kms kms = { .port = 0 };
    AUTO(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
    const char *region = stack_export_of(s, "AWS_REGION");
    struct why why = { 0 };

    int status = read_body(o, &body, f);
    if (status != CLI_OK)
        return status;
    enum err r = stack_principals_load(cx, dir, &who, &why);
    if (r == ERR_OK)
        r = stack_kms_find(dir, region ? region : "us-east-1", &kms, &why);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FILE, "%s: %s", dir, why.what ? why.what : err_name(r));
    const struct stack_principal *as = option_flag(o, "admin") ? &who.admin : &who.app;
    const struct sigv4_credentials cred = { .access_key_id = span_str(as->id),
                                            .secret_access_key = secret_view(&as->secret) };
    r = kms_call(&kms.server, &cred, o->args[0], buf_view(&body),
                 clock_mono_ns() + CALL_S * NS_PER_S, &reply, &why);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("the local KMS at %s: %s"), kms.host,
                             why.what ? why.what : err_name(r));
    if (reply.status != 200)
        return refused(&reply, f);
    status = cli_print(reply.body, f);
    return status == CLI_OK ? cli_print(SPAN_LIT("\n"), f) : status;
}

static int run(const struct options *o, struct cli_fault *f)
{
    AUTO(crypto_freep) struct crypto *cx = NULL;
    struct stack_state s;
    char dir[STACK_DIR_MAX + 1];
    int status = local_dir(o, false, dir, f);

    if (status != CLI_OK)
        return status;
    if (stack_state_read(dir, &s, NULL) != ERR_OK || !process_is_alive(&s.supervisor))
        return cli_fault_set(f, CLI_FAILED, _("nothing runs in %s"), dir);
    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("the cryptographic library does not start"));
    return call(o, cx, dir, &s, f);
}

int cmd_local_kms(int argc, char **argv)
{
    return cli_command(&program, argc, argv, run);
}
