#include "bin/nitroseal/link.h"

#include <stdio.h>
#include <sys/socket.h>

#include "base/base64.h"
#include "base/rfc3339.h"
#include "io/sys.h"

enum {
    PROBE_MS = 1000,
    PROBE_BYTES = 64,
    ADDRESS_MAX_BYTES = 192,
    CREDENTIAL_MAX_BYTES = 8192,
    DOCUMENT_TEXT_MAX_BYTES = 65536,
};

void cli_link_clear(struct cli_link *l)
{
    nitroseal_free(l->ns);
    *l = (struct cli_link){ .ns = NULL };
}

/* Does HTTP come back? Our side is ended, so that a service of the seed protocol has heard all that
 * it will hear. The original's does not answer what is no JSON, and does not close either. */
static bool speaks_http(int fd, uint64_t deadline_ns)
{
    static const char ask[] = "GET /healthz HTTP/1.0\r\n\r\n", start[] = "HTTP/1.";
    AUTO(buf_clear) struct buf got = BUF_INIT(PROBE_BYTES);
    uint64_t until = clock_mono_ns() + PROBE_MS * NS_PER_MS;
    bool eof = false;

    if (deadline_ns < until)
        until = deadline_ns;
    enum err r = fd_write_all(fd, span_str(ask), until, NULL);
    (void)shutdown(fd, SHUT_WR);
    while (r == ERR_OK && !eof && got.len < sizeof start - 1)
        r = fd_read_some(fd, PROBE_BYTES - got.len, &got, &eof, until, NULL);
    return span_starts(buf_view(&got), start);
}

/* As the library takes it. The user has named the gateway's address, on whatever network. */
static void address_write(const struct addr *at, char out[static ADDRESS_MAX_BYTES])
{
    const char *folder = at->kind == ADDR_VSOCK_UNIX ? at->path : NULL;
    char tcp[ADDR_TEXT_BYTES];

    if (at->kind == ADDR_UNIX) {
        snprintf(out, ADDRESS_MAX_BYTES, "unix:%s", at->path);
    } else if (at->kind == ADDR_TCP) {
        addr_text(at, tcp, sizeof tcp);
        snprintf(out, ADDRESS_MAX_BYTES, "plain-tcp:%s", tcp);
    } else {
        snprintf(out, ADDRESS_MAX_BYTES, "vsock:%u:%u@%s%s", at->cid, at->port,
                 folder ? "unix:" : "kernel", folder ? folder : "");
    }
}

int cli_handle_new(const struct cli_enclave *e, struct nitroseal **out, struct cli_fault *f)
{
    struct nitroseal_error *error = NULL;
    char address[ADDRESS_MAX_BYTES];

    address_write(&e->at, address);
    if (nitroseal_new(address, out, &error) == NITROSEAL_OK)
        return CLI_OK;
    int status = cli_fault_set(f, CLI_FAILED, "%s", error->text);
    nitroseal_error_free(error);
    return status;
}

static int link_open(const struct cli_enclave *e, struct cli_link *l, struct cli_fault *f)
{
    AUTO(fd_close) int fd = -1;
    struct why why = { 0 };

    if (l->ns || l->is_seed)
        return CLI_OK;
    enum err r = addr_connect(&e->at, e->deadline_ns, &fd, &why);
    if (r != ERR_OK)
        return cli_unreachable(e, r, &why, f);
    l->is_seed = !speaks_http(fd, e->deadline_ns);
    return l->is_seed ? CLI_OK : cli_handle_new(e, &l->ns, f);
}

/* --- faults --- */

/* A text of the library as the cursor would have it. */
static struct json_str text_of(const char *s)
{
    return (struct json_str){ .raw = span_str(s) }; /* absent stays absent */
}

static int broken(const struct cli_enclave *e, const struct nitroseal_error *error,
                  struct cli_fault *f)
{
    const struct why why = { .what = error->detail };

    if (error->status == NITROSEAL_TIMEOUT)
        return cli_unreachable(e, ERR_TIMEOUT, NULL, f);
    if (strcmp(error->code, "closed") == 0)
        return cli_fault_set(f, CLI_UNREACHABLE,
                             _("the enclave closed the connection without an answer: look at its "
                               "log"));
    return cli_unreachable(e, ERR_IO, &why, f);
}

int cli_library_failed(const struct cli_enclave *e, const struct nitroseal_error *error,
                       struct proto_answer *a, struct cli_fault *f)
{
    if (error->http_status == 0 &&
        (error->status == NITROSEAL_UNREACHABLE || error->status == NITROSEAL_TIMEOUT))
        return broken(e, error, f);
    if (error->status == NITROSEAL_INVALID)
        return cli_fault_set(f, CLI_FILE, _("cannot write the request: %s"), error->text);
    if (error->http_status == 0 || strcmp(error->code, "http_status") == 0)
        return cli_fault_set(f, nitroseal_exit_status(error->status),
                             _("the answer is not of the HTTP API: %s"),
                             error->detail ? error->detail : error->text);
    *a = (struct proto_answer){
        .error = text_of(error->text),
        .error_code = text_of(error->code),
        .detail = text_of(error->detail),
        .hint = text_of(error->hint),
        .kms_type = text_of(error->kms_type),
        .kms_message = text_of(error->kms_message),
        .kms_request_id = text_of(error->kms_request_id),
        .request_id = text_of(error->request_id),
    };
    return cli_refused(a, f);
}

/* What the service said stays in the exchange. */
static int failed(const struct cli_enclave *e, struct nitroseal_error *error,
                  struct cli_exchange *x, struct cli_fault *f)
{
    x->error = error;
    return cli_library_failed(e, error, &x->answer, f);
}

/* --- requests --- */

static long left_ms(const struct cli_enclave *e)
{
    uint64_t now = clock_mono_ns();

    return now < e->deadline_ns ? (long)((e->deadline_ns - now) / NS_PER_MS) + 1 : 1;
}

/* Id, secret and token, each with a NUL; what does not fit is NULL. */
struct texts {
    struct buf room[3];
    const char *text[3];
};

static void texts_clear(struct texts *t)
{
    for (size_t i = 0; i < 3; i++)
        buf_clear(&t->room[i]);
}

static void texts_make(struct texts *t, const struct proto_credentials *c)
{
    const struct span in[3] = { c->access_key_id, c->secret_access_key, c->session_token };

    for (size_t i = 0; i < 3; i++) {
        t->room[i] = BUF_INIT(CREDENTIAL_MAX_BYTES + 1);
        t->text[i] = buf_append(&t->room[i], in[i]) == ERR_OK ? buf_cstr(&t->room[i]) : NULL;
    }
}

static enum nitroseal_status set_credentials(struct cli_link *l, const struct proto_credentials *c,
                                             struct nitroseal_error **error)
{
    AUTO(texts_clear) struct texts t = { .text = { NULL } };

    texts_make(&t, c);
    /* What does not fit is said by the library, in its words. */
    return nitroseal_set_credentials(l->ns, t.text[0] ? t.text[0] : "", t.text[1], t.text[2],
                                     error);
}

enum nitroseal_status cli_put_credentials(struct nitroseal *ns, const struct cli_credentials *cred,
                                          long timeout_ms, struct nitroseal_error **error)
{
    AUTO(texts_clear) struct texts t = { .text = { NULL } };
    const struct proto_credentials view = cli_credentials_view(cred);
    char expiration[RFC3339_BYTES] = ""; /* never */

    texts_make(&t, &view);
    if (cred->expires_s != 0)
        rfc3339_write(cred->expires_s, expiration);
    return nitroseal_put_credentials(ns, t.text[0], t.text[1], t.text[2], expiration, timeout_ms,
                                     error);
}

static int encrypt_by_seed(const struct cli_enclave *e, struct span text,
                           const struct proto_credentials *cred, struct cli_exchange *x,
                           struct cli_fault *f)
{
    AUTO(buf_clear) struct buf request = BUF_INIT(CLI_MESSAGE_MAX_BYTES);
    enum err r = proto_encrypt_write(&request, cred, text);

    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FILE, _("cannot write the request: %s"), err_name(r));
    return cli_ask(e, PROTO_ENCRYPT, buf_view(&request), x, f);
}

int cli_encrypt(const struct cli_enclave *e, struct cli_link *l, struct span text,
                const struct proto_credentials *cred, struct cli_exchange *x, struct cli_fault *f)
{
    struct nitroseal_error *error = NULL;
    int status = link_open(e, l, f);

    if (status != CLI_OK)
        return status;
    if (l->is_seed)
        return encrypt_by_seed(e, text, cred, x, f);
    enum nitroseal_status s = set_credentials(l, cred, &error);
    if (s == NITROSEAL_OK)
        s = nitroseal_encrypt_text(l->ns, (const char *)text.ptr, text.len, &x->message, left_ms(e),
                                   &error);
    if (s != NITROSEAL_OK)
        return failed(e, error, x, f);
    x->answer = (struct proto_answer){
        .encrypted = text_of(x->message.encrypted),
        .signature = text_of(x->message.signature),
        .ciphertext_blob = text_of(x->message.ciphertext_blob),
        .key_id = text_of(x->message.key_id),
        .request_id = text_of(x->message.request_id),
    };
    return CLI_OK;
}

static int decrypt_by_seed(const struct cli_enclave *e, const struct triple *t,
                           const struct proto_credentials *cred, struct cli_exchange *x,
                           struct cli_fault *f)
{
    AUTO(buf_clear) struct buf request = BUF_INIT(CLI_MESSAGE_MAX_BYTES);
    enum err r =
        proto_decrypt_write(&request, cred, t->encrypted, t->signature, t->ciphertext_blob);

    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FILE, _("cannot write the request: %s"), err_name(r));
    return cli_ask(e, PROTO_DECRYPT, buf_view(&request), x, f);
}

/* With a NUL behind it; false: there is one in it, or no memory. */
static bool as_text(struct buf *b, struct span s)
{
    *b = BUF_INIT(s.len + 1);
    return span_find(s, 0) == s.len && buf_append(b, s) == ERR_OK && buf_cstr(b) != NULL;
}

static int decrypt_by_library(const struct cli_enclave *e, struct cli_link *l,
                              const struct buf texts[static 3],
                              const struct proto_credentials *cred, struct cli_exchange *x,
                              struct cli_fault *f)
{
    struct nitroseal_error *error = NULL;
    enum nitroseal_status s = set_credentials(l, cred, &error);

    if (s == NITROSEAL_OK)
        s = nitroseal_decrypt_text(l->ns, (const char *)texts[0].ptr, (const char *)texts[1].ptr,
                                   (const char *)texts[2].ptr, &x->text, left_ms(e), &error);
    if (s != NITROSEAL_OK && strcmp(error->code, "signature_invalid") == 0) {
        x->error = error;
        x->answer = (struct proto_answer){ .signature_valid = false };
        return CLI_OK;
    }
    if (s != NITROSEAL_OK)
        return failed(e, error, x, f);
    x->answer = (struct proto_answer){
        .decrypted = { .raw = span_of(x->text.data, x->text.len) },
        .signature_valid = true,
        .key_id = text_of(x->text.key_id),
        .request_id = text_of(x->text.request_id),
    };
    return CLI_OK;
}

int cli_decrypt(const struct cli_enclave *e, struct cli_link *l, const struct triple *t,
                const struct proto_credentials *cred, bool whole, struct cli_exchange *x,
                struct cli_fault *f)
{
    AUTO(buf_clear) struct buf encrypted = BUF_INIT(0), signature = BUF_INIT(0), blob = BUF_INIT(0);
    int status = link_open(e, l, f);

    if (status != CLI_OK)
        return status;
    /* What is no C string is no base64 either: the service says so in its own words. */
    bool is_plain = as_text(&encrypted, t->encrypted) && as_text(&signature, t->signature) &&
                    as_text(&blob, t->ciphertext_blob);
    if (l->is_seed || !is_plain)
        return decrypt_by_seed(e, t, cred, x, f);
    const struct buf texts[3] = { encrypted, signature, blob };
    status = decrypt_by_library(e, l, texts, cred, x, f);
    if (status != CLI_OK || x->answer.signature_valid || !whole)
        return status;
    cli_exchange_clear(x);
    *x = CLI_EXCHANGE_INIT;
    return decrypt_by_seed(e, t, cred, x, f);
}

static int attest_by_seed(const struct cli_enclave *e, struct span nonce, struct buf *out,
                          struct cli_fault *f)
{
    AUTO(buf_clear) struct buf request = BUF_INIT(DOCUMENT_TEXT_MAX_BYTES);
    AUTO(buf_clear) struct buf text = BUF_INIT(DOCUMENT_TEXT_MAX_BYTES);
    AUTO(cli_exchange_clear) struct cli_exchange x = CLI_EXCHANGE_INIT;
    struct span base64 = SPAN_EMPTY;
    enum err r = proto_attest_write(&request, nonce);

    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("cannot write the request: %s"), err_name(r));
    int status = cli_ask(e, PROTO_ATTEST, buf_view(&request), &x, f);
    if (status != CLI_OK)
        return status;
    r = json_str_view(x.answer.document, &text, &base64);
    if (r == ERR_OK)
        r = base64_parse(base64, out, NULL);
    return r == ERR_OK ? CLI_OK
                       : cli_fault_set(f, CLI_FAILED, _("the answer's document is not base64"));
}

int cli_attest(const struct cli_enclave *e, struct cli_link *l, struct span nonce, struct buf *out,
               struct cli_fault *f)
{
    AUTO(cli_exchange_clear) struct cli_exchange x = CLI_EXCHANGE_INIT;
    struct nitroseal_error *error = NULL;
    int status = l ? link_open(e, l, f) : CLI_OK;

    if (status != CLI_OK)
        return status;
    if (!l || l->is_seed)
        return attest_by_seed(e, nonce, out, f);
    if (nitroseal_attest(l->ns, nonce.ptr, nonce.len, &x.text, left_ms(e), &error) != NITROSEAL_OK)
        return failed(e, error, &x, f);
    enum err r = buf_append(out, span_of(x.text.data, x.text.len));
    return r == ERR_OK
               ? CLI_OK
               : cli_fault_set(f, CLI_FAILED, _("cannot write the answer: %s"), err_name(r));
}
