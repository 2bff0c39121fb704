/* The way of a request: service, its attestation, relay, KMS, credentials, the key itself. */
#include "awscred/awscred.h"
#include "bin/nitroseal/cred_source.h"
#include "bin/nitroseal/doctor.h"
#include "bin/nitroseal/link.h"
#include "io/sys.h"
#include "kms/kms.h"

enum {
    NONCE_BYTES = 32, /* */
    CONNECT_S = 5,
    MS_PER_S = 1000,
    MAX_AGE_S = 300,
    URL_MAX_BYTES = 1024,
    ID_SHOWN = 4,
};

#define TEST_TEXT "nitroseal doctor"

static void fail_as(struct doctor *d, const struct cli_fault *f)
{
    doctor_fail(d, f->status, "%.*s", (int)f->text.len,
                f->text.ptr ? (const char *)f->text.ptr : "");
}

void doctor_service(struct doctor *d)
{
    AUTO(fd_close) int fd = -1;
    char at[2 * ADDR_TEXT_BYTES];
    struct why why = { 0 };

    if (d->no_device) {
        doctor_say(d, FINDING_SKIPPED, _("no enclave can run on this machine"));
        return;
    }
    enum err r = addr_connect(&d->enclave.at, clock_mono_ns() + CONNECT_S * NS_PER_S, &fd, &why);
    addr_text(&d->enclave.at, at, sizeof at);
    d->answers = r == ERR_OK;
    if (d->answers) {
        doctor_say(d, FINDING_OK, _("somebody listens at %s"), at);
        return;
    }
    doctor_fail(d, CLI_UNREACHABLE, "%s: %s", at, why.what ? why.what : err_name(r));
    doctor_fix(d, _("is the enclave running, and are --cid, --port and NITROSEAL_VSOCK those it "
                    "listens on? A service that stopped says why on the console"));
}

/* What a fault of the document means for its user. */
static void attestation_fix(struct doctor *d, const struct attest_question *q)
{
    if (q->want.present)
        doctor_fix(d, _("the image that runs is not the one of --image, or it runs in debug mode: "
                        "compare nitroseal image describe, and write the key policy for the image "
                        "that is meant to run"));
    else
        doctor_fix(d, _("nitroseal attest --any-image shows the PCRs; a document of a software NSM "
                        "needs --root; a debug enclave is refused by KMS"));
}

__attribute__((noinline)) static void judge_document(struct doctor *d, struct span document,
                                                     struct span nonce)
{
    AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;
    struct attest_question q = d->question;
    struct attest_verified v;

    q.at_s = clock_wall_ms() / MS_PER_S;
    q.nonce = nonce;
    q.max_age_s = MAX_AGE_S;
    q.fresh = true;
    q.any_image = q.want.present == 0;
    if (attest_judge(d->cx, document, &q, &v, &f) != CLI_OK) {
        fail_as(d, &f);
        attestation_fix(d, &q);
        return;
    }
    int64_t drift_s = clock_wall_ms() / MS_PER_S - (int64_t)(v.doc.timestamp_ms / MS_PER_S);
    if (q.any_image) {
        doctor_say(d, FINDING_WARN,
                   _("the document verifies; its PCRs were compared with nothing"));
        doctor_fix(d, _("name the image that is meant to run: --image FILE"));
        return;
    }
    doctor_say(d, FINDING_OK, _("the document verifies and is of this image (its clock: %+lld s)"),
               (long long)-drift_s);
}

void doctor_attestation(struct doctor *d)
{
    AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;
    AUTO(buf_clear) struct buf document = BUF_INIT(ATTEST_DOC_MAX);
    uint8_t nonce[NONCE_BYTES];

    if (!d->answers) {
        doctor_say(d, FINDING_SKIPPED, _("the service does not answer"));
        return;
    }
    if (rng_bytes(d->cx, nonce, sizeof nonce) != ERR_OK) {
        doctor_fail(d, CLI_FAILED, _("no random bytes for the nonce"));
        return;
    }
    if (cli_attest(&d->enclave, NULL, SPAN_ARRAY(nonce), &document, &f) != CLI_OK) {
        fail_as(d, &f);
        return;
    }
    judge_document(d, buf_view(&document), SPAN_ARRAY(nonce));
}

void doctor_relay(struct doctor *d)
{
    AUTO(fd_close) int fd = -1;
    struct addr at;
    struct why why = { 0 };
    uint64_t port = 0;

    if (!option_u64(d->o, "relay-port", 1, UINT32_MAX - 1, &port)) {
        doctor_fail(d, CLI_USAGE, _("--relay-port is not a port"));
        return;
    }
    if (!doctor_is_local(d)) { /* the vsock device does not connect a parent to itself */
        doctor_say(d, FINDING_SKIPPED,
                   _("a parent cannot connect to itself: the last check goes through the relay"));
        return;
    }
    enum err r = addr_vsock(option_text(d->o, "vsock"), CID_PARENT, (uint32_t)port, &at, &why);
    if (r == ERR_OK)
        r = addr_connect(&at, clock_mono_ns() + CONNECT_S * NS_PER_S, &fd, &why);
    if (r == ERR_OK) {
        doctor_say(d, FINDING_OK, _("somebody listens on CID 3, port %llu"),
                   (unsigned long long)port);
        return;
    }
    doctor_fail(d, CLI_UNREACHABLE, _("CID 3, port %llu: %s"), (unsigned long long)port,
                why.what ? why.what : err_name(r));
    doctor_fix(d,
               _("start it: vsock-proxy %llu kms.%s.amazonaws.com 443, or systemctl start "
                 "nitroseal-vsock-proxy"),
               (unsigned long long)port, option_text(d->o, "region"));
}

static enum err endpoint_url(const struct doctor *d, struct buf *url)
{
    const char *given = option_text(d->o, "endpoint");
    enum err r = buf_append_str(url, given ? given : "https://");

    return r == ERR_OK && !given ? kms_host_of_region(span_str(option_text(d->o, "region")), url)
                                 : r;
}

static void http_server_clear(struct http_server *s)
{
    tls_ctx_freep(&s->tls);
}

void doctor_endpoint(struct doctor *d)
{
    AUTO(buf_clear) struct buf url = BUF_INIT(URL_MAX_BYTES);
    AUTO(http_server_clear) struct http_server server = { .tls = NULL };
    AUTO(fd_close) int fd = -1;
    struct awscred_place place;
    struct why why = { 0 };

    if (endpoint_url(d, &url) != ERR_OK ||
        awscred_url_parse(buf_view(&url), &place, &why) != ERR_OK) {
        doctor_fail(d, CLI_SETTINGS, _("region %s or endpoint %s: %s"), option_text(d->o, "region"),
                    option_text(d->o, "endpoint") ? option_text(d->o, "endpoint") : "-",
                    why.what ? why.what : _("not of that form"));
        return;
    }
    enum err r = cred_server(&place, &server, &why);
    if (r == ERR_OK)
        r = addr_connect(&server.at, clock_mono_ns() + CONNECT_S * NS_PER_S, &fd, &why);
    if (r == ERR_OK) {
        doctor_say(d, FINDING_OK, _("%.*s accepts connections from here"), (int)url.len,
                   (const char *)url.ptr);
        return;
    }
    doctor_fail(d, CLI_UNREACHABLE, "%.*s: %s", (int)url.len, (const char *)url.ptr,
                why.what ? why.what : err_name(r));
    doctor_fix(d, _("the relay goes the same way: look at names (DNS), routes, security groups, a "
                    "VPC endpoint, and the relay's allowlist"));
}

void doctor_credentials(struct doctor *d)
{
    AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;

    if (cli_credentials_find(option_text(d->o, "profile"), option_count(d->o, "profile") > 0,
                             &d->credentials, &f) != CLI_OK) {
        fail_as(d, &f);
        doctor_fix(d, _("give the instance a role, or set AWS_ACCESS_KEY_ID and "
                        "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"));
        return;
    }
    struct span id = buf_view(&d->credentials.access_key_id);
    d->have_credentials = true;
    doctor_say(d, FINDING_OK, _("access key %.*s...%.*s"),
               id.len < ID_SHOWN ? (int)id.len : ID_SHOWN, (const char *)id.ptr, ID_SHOWN,
               id.len >= (size_t)2 * ID_SHOWN ? (const char *)id.ptr + id.len - ID_SHOWN : "");
}

/* One small text there and back: everything at once, and KMS's own reason when it refuses. */
void doctor_round_trip(struct doctor *d)
{
    AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;
    AUTO(buf_clear) struct buf request = BUF_INIT(CLI_FAULT_MAX_BYTES);
    AUTO(cli_exchange_clear) struct cli_exchange x = CLI_EXCHANGE_INIT;

    if (option_flag(d->o, "no-kms") || !d->answers || !d->have_credentials) {
        doctor_say(d, FINDING_SKIPPED, "%s",
                   option_flag(d->o, "no-kms")
                       ? _("left out (--no-kms)")
                       : _("needs a service that answers, and credentials"));
        return;
    }
    struct proto_credentials who = cli_credentials_view(&d->credentials);
    enum err r = proto_encrypt_write(&request, &who, SPAN_LIT(TEST_TEXT));
    if (r != ERR_OK) {
        doctor_fail(d, CLI_FAILED, _("cannot write the request: %s"), err_name(r));
        return;
    }
    if (cli_ask(&d->enclave, PROTO_ENCRYPT, buf_view(&request), &x, &f) == CLI_OK) {
        doctor_say(d, FINDING_OK, _("a text was encrypted with an attested data key"));
        return;
    }
    fail_as(d, &f);
    if (f.status == CLI_REFUSED)
        doctor_fix(d, _("nitroseal policy explain says which statement and which PCR decide; "
                        "nitroseal policy generate writes a policy for this image"));
}
