/* A role's credentials from STS: for keys that another source gave, or for a web identity. */
#include "awscred/sts.h"
#include "bin/nitroseal/cred_source.h"
#include "http1/http1.h"
#include "io/sys.h"
#include "kms/kms.h"
#include "sigv4/sigv4.h"

enum {
    FORM_MAX_BYTES = 65536,
    REQUEST_MAX_BYTES = 131072,
    HOST_MAX_BYTES = 512,
    TRIES = 3,
    TRY_S = 5,
    WAIT_MS = 500,
    MS_PER_S = 1000,
};

/* STS is named like KMS in every partition. */
static int endpoint_find(const struct cred_sts *sts, struct buf *url, struct awscred_place *out,
                         struct cli_fault *f)
{
    const struct awsconf_endpoint *e = &sts->endpoint;
    struct why why = { 0 };

    if (e->url.len) {
        if (buf_append(url, e->url) == ERR_OK &&
            awscred_url_parse(buf_view(url), out, &why) == ERR_OK)
            return CLI_OK;
        return cli_fault_set(f, CLI_SETTINGS, _("the endpoint URL configured for STS: %s"),
                             why.what ? why.what : err_name(ERR_LIMIT));
    }
    if (buf_append_str(url, "https://") == ERR_OK &&
        aws_host_of_region("sts", sts->region, e->fips, e->dualstack, url) == ERR_OK &&
        awscred_url_parse(buf_view(url), out, NULL) == ERR_OK)
        return CLI_OK;
    return cli_fault_set(f, CLI_SETTINGS, _("'%.*s' is not an AWS region"), (int)sts->region.len,
                         (const char *)sts->region.ptr);
}

/* The whole request; signed if there is a source. */
static enum err request_write(const struct awscred_place *at, struct span form,
                              const struct cli_credentials *source, struct span region,
                              struct buf *out)
{
    AUTO(buf_clear) struct buf host = BUF_INIT(HOST_MAX_BYTES), authorization = BUF_INIT(4096);
    char date[SIGV4_TIME_BYTES + 1];
    struct sigv4_header h[5] = {
        { SPAN_LIT("content-type"), SPAN_LIT("application/x-www-form-urlencoded; charset=utf-8") },
        { SPAN_LIT("host"), SPAN_EMPTY },
    };
    struct http1_header sent[7];
    size_t n = 2;

    enum err r = awscred_place_host(at, &host);
    if (r != ERR_OK)
        return r;
    h[1].value = buf_view(&host);
    if (source) {
        sigv4_time_write(clock_wall_ms() / MS_PER_S, date);
        h[n++] = (struct sigv4_header){ SPAN_LIT("x-amz-date"), span_str(date) };
        if (source->session_token.len)
            h[n++] = (struct sigv4_header){ SPAN_LIT("x-amz-security-token"),
                                            secret_view(&source->session_token) };
        const struct sigv4_request rq = {
            .method = SPAN_LIT("POST"), .path = at->path, .headers = h, .n_headers = n, .body = form
        };
        const struct sigv4_credentials cred = {
            .access_key_id = buf_view(&source->access_key_id),
            .secret_access_key = secret_view(&source->secret_access_key),
            .session_token = secret_view(&source->session_token),
        };
        r = sigv4_sign(&rq, (struct sigv4_scope){ region, SPAN_LIT("sts") }, span_str(date), &cred,
                       &authorization);
        if (r != ERR_OK)
            return r;
        h[n++] = (struct sigv4_header){ SPAN_LIT("authorization"), buf_view(&authorization) };
    }
    for (size_t i = 0; i < n; i++)
        sent[i] = (struct http1_header){ h[i].name, h[i].value };
    sent[n++] = (struct http1_header){ SPAN_LIT("connection"), SPAN_LIT("close") };
    return http1_request_write(out, SPAN_LIT("POST"), at->path, sent, n, form);
}

/* One try. ERR_IO where another may help. */
static enum err ask(const struct http_server *server, struct span request, struct buf *text,
                    struct awscred *c, struct cli_fault *f)
{
    AUTO(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
    struct awscred_refusal no = { .code = SPAN_EMPTY };
    struct why why = { 0 };

    enum err r = http_call(server, request, clock_mono_ns() + TRY_S * NS_PER_S, &reply, &why);
    bool busy = r == ERR_OK && (reply.status == 429 || reply.status >= 500);
    if (r == ERR_OK)
        r = awscred_sts_answer(reply.body, text, c, &no, &why);
    if (r == ERR_OK)
        return ERR_OK;
    (void)cli_fault_set(f, CLI_SETTINGS, _("STS at %s gives no AWS credentials: %s"), server->name,
                        why.what ? why.what : err_name(r));
    if (no.code.len) {
        cli_append_clean(&f->text, SPAN_LIT(": "));
        cli_append_clean(&f->text, no.code);
        cli_append_clean(&f->text, SPAN_LIT(": "));
        cli_append_clean(&f->text, no.message);
    }
    return busy || r == ERR_IO || r == ERR_TIMEOUT ? ERR_IO : ERR_DENIED;
}

int cred_assume(const struct awscred_role *role, const struct cli_credentials *source,
                const struct cred_sts *sts, struct cli_credentials *out, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf url = BUF_INIT(HOST_MAX_BYTES), form = BUF_INIT(FORM_MAX_BYTES);
    AUTO(buf_clear) struct buf request = BUF_INIT(REQUEST_MAX_BYTES);
    AUTO(buf_clear) struct buf text = BUF_INIT(AWSCRED_ANSWER_MAX_BYTES), name = BUF_INIT(64);
    struct http_server server = { .tls = NULL };
    struct awscred_role named = *role;
    struct awscred_place at;
    struct why why = { 0 };
    struct awscred c;

    int status = endpoint_find(sts, &url, &at, f);
    if (status != CLI_OK)
        return status;
    if (named.session_name.len == 0) {
        if (buf_printf(&name, "nitroseal-%lld", (long long)(clock_wall_ms() / MS_PER_S)) != ERR_OK)
            return cli_fault_set(f, CLI_FAILED, "%s", err_name(ERR_NOMEM));
        named.session_name = buf_view(&name);
    }
    enum err r = crypto_process_init();
    if (r == ERR_OK)
        r = awscred_sts_form(&named, &form);
    if (r == ERR_OK)
        r = request_write(&at, buf_view(&form), source, sts->region, &request);
    if (r == ERR_OK)
        r = cred_server(&at, &server, &why);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_SETTINGS, _("STS at %s gives no AWS credentials: %s"), at.host,
                             why.what ? why.what : err_name(r));
    r = ERR_IO;
    for (int i = 0; i < TRIES && r == ERR_IO; i++) {
        cred_pause_ms(i ? WAIT_MS : 0);
        r = ask(&server, buf_view(&request), &text, &c, f);
    }
    tls_ctx_free(server.tls);
    return r == ERR_OK ? cred_take_fetched(&c, "STS", out, f) : CLI_SETTINGS;
}

int cred_assume_web(struct span token_file, struct awscred_role *role, const struct cred_sts *sts,
                    struct cli_credentials *out, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf path = BUF_INIT(4096), token = BUF_INIT(FORM_MAX_BYTES / 2);
    struct why why = { 0 };

    if (role->role_arn.len == 0)
        return cli_fault_set(f, CLI_SETTINGS,
                             _("a web identity token file is set, but no role: AWS_ROLE_ARN or "
                               "role_arn"));
    const char *name = buf_append(&path, token_file) == ERR_OK ? buf_cstr(&path) : NULL;
    if (!name || file_read(name, &token, &why) != ERR_OK)
        return cli_fault_set(f, CLI_SETTINGS, _("cannot read %s: %s"), name ? name : "?",
                             why.what ? why.what : err_name(ERR_LIMIT));
    role->web_identity_token = span_trim(buf_view(&token));
    while (role->web_identity_token.len &&
           role->web_identity_token.ptr[role->web_identity_token.len - 1] <= ' ')
        role->web_identity_token.len--;
    if (role->web_identity_token.len == 0)
        return cli_fault_set(f, CLI_SETTINGS, _("%s is empty"), name);
    return cred_assume(role, NULL, sts, out, f);
}
