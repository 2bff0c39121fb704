/* nitroseal-kms - a local KMS for laptops and CI: HTTPS on loopback, signed requests, attestation
 * documents verified, key policies evaluated. Keys survive kill -9; nothing else is protected. */
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "attest/chain.h"
#include "bin/common/options.h"
#include "bin/nitroseal-kms/server.h"
#include "bin/nitroseal-kms/state.h"
#include "io/log.h"
#include "localkms/keystore_sqlite.h"
#include "localkms/localkms.h"
#include "localkms/principals.h"
#include "localkms/qemu_nsm.h"
#include "localkms/vault.h"

_Static_assert((int)STATE_MASTER_KEY_BYTES == (int)MASTER_KEY_BYTES, "what the vault takes");

enum {
    EXIT_USAGE = 2,
    EXIT_CONFIGURATION = 7,
    ROOTS_MAX = 8,
    ROOT_PEM_MAX_BYTES = 65536,
    CONNECTIONS_MAX = 1024,
    MS_PER_S = 1000,
};

static const struct option_def table[] = {
    { "state", 's', "DIR", "NITROSEAL_KMS_STATE", NULL, "Folder for keys and certificates." },
    { "listen", 'l', "ADDR:PORT", NULL, "127.0.0.1:0",
      "Loopback address; port 0 takes any, and DIR/port says which." },
    { "region", 0, "REGION", "AWS_REGION", "us-east-1", "Region that keys are in." },
    { "account", 0, "ID", NULL, "111122223333", "Account that keys belong to." },
    { "root", 0, "FILE", NULL, NULL,
      "Trust this attestation root (PEM) instead of AWS's; may be given more than once." },
    { "trust-qemu-nsm", 0, "MODULE_ID", NULL, NULL,
      "Take UNSIGNED documents of QEMU's nitro-enclave machine with this module id, for tests; "
      "repeatable." },
    { "principals", 0, "FILE", NULL, NULL,
      "Who may sign: JSON, readable by its owner only; read again on SIGHUP." },
    { "cms-form", 0, "a|b", NULL, "a", "Form of CiphertextForRecipient." },
    { "explain", 0, NULL, NULL, NULL, "Log which statement decided, and what would have matched." },
    { "init", 0, NULL, NULL, NULL, "Make folder, CA and database, and leave." },
    { "log-level", 0, "LEVEL", "NITROSEAL_LOG", "info", "error, warn, info or debug." },
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseal-kms",
    .synopsis = "--state DIR --principals FILE [OPTION ...]",
    .summary = "A local KMS: releases data keys to attested enclaves by key policy, like AWS KMS. "
               "For\ntests; it protects nothing from whoever can read DIR.",
    .options = table,
    .footer = "Signals: SIGTERM ends it, SIGHUP reads the principals again.\n"
              "Exit status: 0 ended by SIGTERM; 1 failure; 2 usage; 7 configuration.\n",
};

struct kms {
    struct crypto *cx;
    struct loop *loop;
    struct server *server;
    struct localkms *core;
    struct keystore_sqlite *store;
    struct tls_ctx *tls;
    struct state state;
    const char *dir, *region, *principals;
    struct buf roots[ROOTS_MAX]; /* DER */
    size_t n_roots;
    struct span qemu_modules[QEMU_NSM_MODULES_MAX];
    size_t n_qemu_modules;
    struct localkms_note note;
    bool explain;
};

static void kms_clear(struct kms *k)
{
    server_free(k->server);
    localkms_free(k->core);
    keystore_sqlite_close(k->store);
    for (size_t i = 0; i < k->n_roots; i++)
        buf_clear(&k->roots[i]);
    localkms_note_clear(&k->note);
    loop_free(k->loop);
    tls_ctx_free(k->tls);
    state_clear(&k->state);
    crypto_free(k->cx);
}

static int fail(int status, const char *event, const char *which, enum err r, const struct why *why)
{
    log_event(LOG_ERROR, event, LOG_STR("which", which ? which : ""),
              LOG_STR("why", why && why->what ? why->what : err_name(r)));
    return status;
}

static const char *attested(const struct localkms_note *n)
{
    return !n->attested           ? "no"
           : n->unsigned_document ? "UNSIGNED, QEMU"
           : n->debug_enclave     ? "debug"
                                  : "yes";
}

/* One line for each request: who, what, about which key, and how it ended. Refusals of policy are
 * explained where the operator asked for it. A KMS that takes what nobody signed says so each time.
 */
static void note_log(const struct kms *k)
{
    const struct localkms_note *n = &k->note;
    enum log_level level = n->status >= 500 ? LOG_ERROR : n->status >= 400 ? LOG_WARN : LOG_INFO;
    const char *trust = k->n_qemu_modules ? "UNSIGNED DOCUMENTS OF QEMU" : "";

    log_event(level, "request", LOG_STR("operation", n->operation), LOG_INT("status", n->status),
              LOG_STR("error", n->error), LOG_STR("caller", n->caller), LOG_STR("key", n->key_id),
              LOG_STR("attested", attested(n)), LOG_STR("trusting", trust),
              LOG_STR("module", n->module_id ? n->module_id : ""),
              LOG_STR("request_id", n->request_id), LOG_STR("store", n->store_reason),
              LOG_SPAN("message", n->message.len ? buf_view(&n->message) : SPAN_LIT("")));
    if (k->explain && n->explain.len)
        log_event(LOG_INFO, "explanation", LOG_STR("request_id", n->request_id),
                  LOG_STR("attested", attested(n)), LOG_STR("trusting", trust),
                  LOG_SPAN("text", buf_view(&n->explain)));
}

static enum err handle(void *arg, const struct http1_head *head, struct span body,
                       struct buf *response)
{
    struct kms *k = arg;

    enum err r = localkms_handle(k->core, head, body, clock_wall_ms(), response, &k->note);
    if (r == ERR_OK)
        note_log(k);
    else
        log_event(LOG_ERROR, "no answer", LOG_STR("why", err_name(r)));
    return r;
}

static enum err principals_read(struct kms *k, struct why *why)
{
    AUTO(buf_clear) struct buf json = BUF_INIT(PRINCIPALS_FILE_MAX_BYTES);

    enum err r = state_check_private(k->principals, why);
    if (r == ERR_OK)
        r = file_read(k->principals, &json, why);
    return r == ERR_OK ? localkms_set_principals(k->core, buf_view(&json), why) : r;
}

static void on_hangup(void *arg)
{
    struct kms *k = arg;
    struct why why = { 0 };
    enum err r = principals_read(k, &why);

    if (r == ERR_OK)
        log_event(LOG_INFO, "principals read", LOG_STR("file", k->principals));
    else
        (void)fail(0, "principals not read, those from before stay", k->principals, r, &why);
}

static void on_term(void *arg)
{
    struct kms *k = arg;

    log_event(LOG_INFO, "ending", LOG_STR("signal", "SIGTERM"));
    server_stop(k->server);
}

static int roots_take(const struct options *o, struct kms *k)
{
    unsigned n = option_count(o, "root");
    struct why why = { 0 };

    if (n > ROOTS_MAX) {
        complain(o, "--root: at most %d", ROOTS_MAX);
        return EXIT_USAGE;
    }
    k->n_roots = n ? n : 1;
    for (size_t i = 0; i < k->n_roots; i++)
        k->roots[i] = BUF_INIT(ROOT_PEM_MAX_BYTES);
    if (n == 0 && buf_append(&k->roots[0], attest_aws_root_g1_der()) != ERR_OK)
        return fail(1, "memory", NULL, ERR_NOMEM, NULL);
    for (unsigned i = 0; i < n; i++) {
        AUTO(buf_clear) struct buf pem = BUF_INIT(ROOT_PEM_MAX_BYTES);
        const char *path = option_at(o, "root", i);
        enum err r = file_read(path, &pem, &why);
        if (r == ERR_OK)
            r = x509_pem_to_der(buf_view(&pem), &k->roots[i], &why);
        if (r != ERR_OK)
            return fail(EXIT_CONFIGURATION, "attestation root not read", path, r, &why);
        log_event(LOG_WARN, "TRUSTING AN ATTESTATION ROOT THAT IS NOT AWS'S: for tests only",
                  LOG_STR("root", path));
    }
    return -1;
}

static int qemu_take(const struct options *o, struct kms *k)
{
    k->n_qemu_modules = option_count(o, "trust-qemu-nsm");
    if (k->n_qemu_modules > QEMU_NSM_MODULES_MAX) {
        complain(o, "--trust-qemu-nsm: at most %d", QEMU_NSM_MODULES_MAX);
        return EXIT_USAGE;
    }
    for (unsigned i = 0; i < k->n_qemu_modules; i++) {
        k->qemu_modules[i] = span_str(option_at(o, "trust-qemu-nsm", i));
        log_event(LOG_WARN,
                  "TRUSTING UNSIGNED ATTESTATION DOCUMENTS OF QEMU: anybody can make them, for "
                  "tests only",
                  LOG_SPAN("module", k->qemu_modules[i]));
    }
    return -1;
}

static int store_open(struct kms *k)
{
    char path[STATE_PATH_BYTES];
    struct why why = { 0 };

    enum err r = state_path(k->dir, "keys.db", path);
    if (r == ERR_OK) /* 0600 by the umask, and SQLite's log files take after it */
        r = keystore_sqlite_open(path, &k->store, &why);
    return r == ERR_OK ? -1 : fail(1, "database not opened", path, r, &why);
}

static int core_make(const struct options *o, struct kms *k)
{
    struct keystore store = keystore_sqlite_interface(k->store);
    struct span roots[ROOTS_MAX];
    struct why why = { 0 };

    for (size_t i = 0; i < k->n_roots; i++)
        roots[i] = buf_view(&k->roots[i]);
    const struct localkms_settings s = {
        .region = span_str(k->region),
        .account = span_str(option_text(o, "account")),
        .partition = span_str(state_partition(k->region).name),
        .roots = roots,
        .n_roots = k->n_roots,
        .qemu_modules = k->qemu_modules,
        .n_qemu_modules = k->n_qemu_modules,
        .master_key = secret_view(&k->state.master_key),
        .form = strcmp(option_text(o, "cms-form"), "b") == 0 ? CMS_FORM_B : CMS_FORM_A,
        .store = &store,
    };
    enum err r = localkms_new(k->cx, &s, &k->core, &why);
    if (r != ERR_OK)
        return fail(EXIT_CONFIGURATION, "settings refused", why.what, r, &why);
    r = principals_read(k, &why);
    return r == ERR_OK ? -1
                       : fail(EXIT_CONFIGURATION, "principals not read", k->principals, r, &why);
}

static enum err tls_make(struct kms *k, struct why *why)
{
    AUTO(buf_clear) struct buf chain = BUF_INIT(65536);
    AUTO(buf_clear) struct buf key = BUF_INIT(65536);

    enum err r = state_server_cert(k->cx, &k->state, k->region, clock_wall_ms() / MS_PER_S, &chain,
                                   &key, why);
    return r == ERR_OK ? tls_ctx_server(buf_view(&chain), buf_view(&key), &k->tls, why) : r;
}

static bool is_loopback(const struct addr *a)
{
    const struct sockaddr_in *v4 = (const void *)&a->tcp;
    const struct sockaddr_in6 *v6 = (const void *)&a->tcp;

    if (a->tcp.ss_family == AF_INET)
        return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return a->tcp.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static enum err port_write(const struct kms *k, unsigned port, struct why *why)
{
    char path[STATE_PATH_BYTES], text[16];
    int n = snprintf(text, sizeof text, "%u\n", port);

    enum err r = state_path(k->dir, "port", path);
    return r == ERR_OK ? file_write(path, span_of(text, (size_t)n), 0644, why) : r;
}

static int listen_on(const struct options *o, struct kms *k)
{
    const char *at = option_text(o, "listen");
    struct server_options so = { .max = CONNECTIONS_MAX, .handle = handle, .arg = k };
    struct why why = { 0 };

    enum err r = addr_tcp(at, &so.at, &why);
    if (r == ERR_OK && !is_loopback(&so.at))
        r = why_fail(&why, ERR_UNSUPPORTED, "not a loopback address", 0);
    if (r != ERR_OK)
        return fail(EXIT_CONFIGURATION, "--listen refused", at, r, &why);
    r = tls_make(k, &why);
    if (r != ERR_OK)
        return fail(1, "no server certificate", k->dir, r, &why);
    so.tls = k->tls;
    r = server_new(k->loop, &so, &k->server, &why);
    if (r == ERR_OK)
        r = loop_on_signal(k->loop, SIGTERM, on_term, k);
    if (r == ERR_OK)
        r = loop_on_signal(k->loop, SIGINT, on_term, k);
    if (r == ERR_OK)
        r = loop_on_signal(k->loop, SIGHUP, on_hangup, k);
    if (r == ERR_OK)
        r = port_write(k, server_port(k->server), &why);
    return r == ERR_OK ? -1 : fail(1, "not listening", at, r, &why);
}

/* A port of an earlier run would send whoever waits for this one to nobody. */
static void port_forget(const struct kms *k)
{
    char path[STATE_PATH_BYTES];

    if (state_path(k->dir, "port", path) == ERR_OK)
        (void)unlink(path);
}

static int start(const struct options *o, struct kms *k)
{
    struct why why = { 0 };

    enum err r = crypto_process_init();
    if (r == ERR_OK)
        r = crypto_new(&k->cx);
    if (r == ERR_OK)
        r = loop_new(&k->loop);
    if (r != ERR_OK)
        return fail(1, "not started", NULL, r, NULL);
    r = state_open(k->cx, k->dir, clock_wall_ms() / MS_PER_S, &k->state, &why);
    if (r != ERR_OK)
        return fail(1, "state folder refused", k->dir, r, &why);
    port_forget(k);
    int status = store_open(k);
    if (status >= 0 || option_flag(o, "init"))
        return status >= 0 ? status : 0;
    status = roots_take(o, k);
    if (status < 0)
        status = qemu_take(o, k);
    if (status < 0)
        status = core_make(o, k);
    if (status < 0)
        status = listen_on(o, k);
    return status;
}

static int usage(const struct options *o, struct kms *k)
{
    const char *form = option_text(o, "cms-form");
    enum log_level level;

    if (log_level_parse(option_text(o, "log-level"), &level) != ERR_OK) {
        complain(o, "--log-level '%s' is not error, warn, info or debug",
                 option_text(o, "log-level"));
        return EXIT_USAGE;
    }
    log_init("nitroseal-kms", level);
    k->dir = option_text(o, "state");
    k->region = option_text(o, "region");
    k->principals = option_text(o, "principals");
    k->explain = option_flag(o, "explain");
    if (!k->dir || (!k->principals && !option_flag(o, "init"))) {
        complain(o, "%s is missing", k->dir ? "--principals" : "--state");
        return EXIT_USAGE;
    }
    if (strcmp(form, "a") != 0 && strcmp(form, "b") != 0) {
        complain(o, "--cms-form '%s' is not a or b", form);
        return EXIT_USAGE;
    }
    return -1;
}

int main(int argc, char **argv)
{
    static struct kms k = { .state = { .lock_fd = -1 } };
    struct options o;

    int status = options_parse(&program, argc, argv, &o);
    if (status >= 0)
        return status;
    k.state = STATE_INIT;
    k.note = LOCALKMS_NOTE_INIT;
    status = usage(&o, &k);
    if (status >= 0)
        return status;
    if (process_harden() != ERR_OK)
        return fail(1, "not started", "process_harden", ERR_IO, NULL);
    status = start(&o, &k);
    if (status < 0) {
        log_event(LOG_INFO, "listening", LOG_STR("at", option_text(&o, "listen")),
                  LOG_INT("port", server_port(k.server)), LOG_STR("state", k.dir),
                  LOG_STR("ca", "ca.pem"), LOG_STR("region", k.region));
        loop_run(k.loop);
        port_forget(&k);
        status = 0;
    }
    kms_clear(&k);
    return status;
}
