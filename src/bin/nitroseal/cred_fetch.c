/* The endpoints that a container or an EC2 instance has for credentials. */
#include <stdlib.h>
#include <time.h>

#include "bin/nitroseal/cred_source.h"
#include "io/resolve.h"
#include "io/sys.h"

enum { TOKEN_MAX_BYTES = 16384, CA_MAX_BYTES = 4 << 20 };

#define ECS_ORIGIN  "http://169.254.170.2"
#define IMDS_ORIGIN "http://169.254.169.254"
#define IMDS_V6     "http://[fd00:ec2::254]"
#define SYSTEM_CA   "/etc/ssl/certs/ca-certificates.crt"

static struct span variable(const char *name)
{
    const char *v = getenv(name);

    return v && v[0] ? span_str(v) : SPAN_EMPTY;
}

bool cred_has_container(void)
{
    return variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").ptr ||
           variable("AWS_CONTAINER_CREDENTIALS_FULL_URI").ptr;
}

bool cred_has_imds(void)
{
    return !span_eq_nocase(variable("AWS_EC2_METADATA_DISABLED"), SPAN_LIT("true"));
}

void cred_pause_ms(unsigned ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

    while (ms && nanosleep(&t, &t) != 0)
        ;
}

/* A name is looked up only for https: a plain endpoint is an address. */
enum err cred_server(const struct awscred_place *p, struct http_server *server, struct why *why)
{
    AUTO(buf_clear) struct buf pem = BUF_INIT(CA_MAX_BYTES);
    struct span bundle = variable("AWS_CA_BUNDLE");
    struct resolved found;

    enum err r = resolve_numeric(p->host, p->port, RESOLVE_ANY, &found);
    if (r == ERR_UNSUPPORTED && p->tls)
        r = resolve_name(p->host, p->port, RESOLVE_ANY, &found, why);
    else if (r != ERR_OK)
        return why_fail(why, r, "not a numeric address", 0);
    if (r != ERR_OK)
        return r;
    server->at = found.list[0];
    server->name = p->host;
    if (!p->tls || server->tls)
        return ERR_OK;
    r = file_read(bundle.ptr ? (const char *)bundle.ptr : SYSTEM_CA, &pem, why);
    return r == ERR_OK ? tls_ctx_client(buf_view(&pem), &server->tls, why) : r;
}

/* One question and what came of it. */
static enum err ask(struct awscred_talk *t, struct http_server *server, struct buf *text,
                    struct awscred *out, struct why *why)
{
    AUTO(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
    struct awscred_request rq = { .wait_ms = 0 };
    struct why talk = { 0 };

    enum err r = awscred_talk_request(t, &rq);
    if (r != ERR_OK)
        return why_fail(why, r, "request", 0);
    cred_pause_ms(rq.wait_ms);
    *why = (struct why){ 0 };
    r = cred_server(&t->at, server, why);
    if (r == ERR_OK)
        r = http_call(server, buf_view(&rq.bytes), clock_mono_ns() + rq.timeout_ms * NS_PER_MS,
                      &reply, why);
    buf_clear(&rq.bytes);
    enum err told = awscred_talk_answer(t, r, reply.status, reply.body, text, out, &talk);
    if (r == ERR_OK || !why->what) /* the system's own words say more than ours */
        *why = talk;
    return told;
}

static int converse(struct awscred_talk *t, const char *what, struct cli_credentials *out,
                    struct cli_fault *f)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(AWSCRED_ANSWER_MAX_BYTES);
    struct http_server server = { .tls = NULL };
    struct why why = { 0 };
    struct awscred c;
    enum err r = ERR_MORE;

    if (crypto_process_init() != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("the cryptographic library does not start"));
    while (r == ERR_MORE)
        r = ask(t, &server, &text, &c, &why);
    tls_ctx_free(server.tls);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_SETTINGS, _("%s at %s gives no AWS credentials: %s"), what,
                             t->at.host, why.what ? why.what : err_name(r));
    return cred_take_fetched(&c, what, out, f);
}

/* Sent as it is, but for the line end of a file. */
static int authorization_read(struct buf *out, struct cli_fault *f)
{
    struct span path = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    struct why why = { 0 };

    if (!path.ptr)
        return buf_append(out, variable("AWS_CONTAINER_AUTHORIZATION_TOKEN")) == ERR_OK
                   ? CLI_OK
                   : cli_fault_set(f, CLI_SETTINGS, _("%s is too long"),
                                   "AWS_CONTAINER_AUTHORIZATION_TOKEN");
    if (file_read((const char *)path.ptr, out, &why) != ERR_OK)
        return cli_fault_set(f, CLI_SETTINGS, _("cannot read %s: %s"), (const char *)path.ptr,
                             why.what);
    while (out->len && (out->ptr[out->len - 1] == '\n' || out->ptr[out->len - 1] == '\r'))
        buf_truncate(out, out->len - 1);
    return CLI_OK;
}

int cred_from_container(struct cli_credentials *out, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf url = BUF_INIT(TOKEN_MAX_BYTES), token = BUF_INIT(TOKEN_MAX_BYTES);
    AUTO(awscred_talk_clear) struct awscred_talk t = { .tries = 0 };
    struct span relative = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    struct awscred_place place;
    struct why why = { 0 };

    enum err r = relative.ptr ? buf_append_str(&url, ECS_ORIGIN) : ERR_OK;
    if (r == ERR_OK)
        r = buf_append(&url,
                       relative.ptr ? relative : variable("AWS_CONTAINER_CREDENTIALS_FULL_URI"));
    if (r == ERR_OK && relative.ptr && relative.ptr[0] != '/')
        r = why_fail(&why, ERR_MALFORMED, "does not begin with a slash", 0);
    if (r == ERR_OK)
        r = awscred_url_parse(buf_view(&url), &place, &why);
    if (r == ERR_OK && !awscred_container_allows(&place))
        r = why_fail(&why, ERR_DENIED, "http only to this machine, ECS or EKS: use https", 0);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_SETTINGS, "%s: %s",
                             relative.ptr ? "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
                                          : "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                             why.what ? why.what : err_name(r));
    int status = authorization_read(&token, f);
    if (status != CLI_OK)
        return status;
    if (awscred_talk_container(&t, &place, buf_view(&token), &why) != ERR_OK)
        return cli_fault_set(f, CLI_SETTINGS, "%s", why.what);
    return converse(&t, "the container endpoint", out, f);
}

int cred_from_imds(struct cli_credentials *out, struct cli_fault *f)
{
    AUTO(awscred_talk_clear) struct awscred_talk t = { .tries = 0 };
    struct span url = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    struct span mode = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    struct awscred_place place;
    struct why why = { 0 };

    if (!url.ptr)
        url = span_eq_nocase(mode, SPAN_LIT("IPv6")) ? SPAN_LIT(IMDS_V6) : SPAN_LIT(IMDS_ORIGIN);
    if (awscred_url_parse(url, &place, &why) != ERR_OK)
        return cli_fault_set(f, CLI_SETTINGS, "AWS_EC2_METADATA_SERVICE_ENDPOINT: %s", why.what);
    awscred_talk_imds(&t, &place);
    int status = converse(&t, "IMDSv2", out, f);
    /* The last place in the chain: whoever is on no instance has to hear what comes before it. */
    if (status == CLI_SETTINGS)
        cli_append_clean(&f->text,
                         span_str(_("; give the instance a role, or set AWS_ACCESS_KEY_ID "
                                    "and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; without "
                                    "AWS: eval \"$(nitroseal local up)\"")));
    return status;
}
