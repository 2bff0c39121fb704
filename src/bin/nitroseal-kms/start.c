/* start.c - from options to a running server: folder, database, roots, core, audit log, listeners.
 */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "attest/chain.h"
#include "bin/nitroseal-kms/kms.h"
#include "io/log.h"
#include "localkms/principals.h"
#include "localkms/seed.h"
#include "localkms/vault.h"

_Static_assert((int)STATE_MASTER_KEY_BYTES == (int)MASTER_KEY_BYTES, "what the vault takes");

enum {
    ROOT_PEM_MAX_BYTES = 65536,
    TLS_PEM_MAX_BYTES = 65536,
    CONNECTIONS_MAX = 1024,
    OTHER_CONNECTIONS_MAX = 16,
    DOCUMENT_AGE_MAX_S = 7 * 24 * 3600,
    QUOTA_MAX = 1000000,
    AUDIT_MB_MAX = 1 << 20,
    MAKERS = 2, /* threads that make RSA keys */
    WAITING_MAX = 256,
};

enum err kms_read_principals(struct kms *k, struct why *why)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(PRINCIPALS_FILE_MAX_BYTES);

    if (!k->principals)
        return ERR_OK;
    enum err r = state_check_private(k->principals, why);
    if (r == ERR_OK)
        r = file_read(k->principals, &text, why);
    return r == ERR_OK ? localkms_set_principals(k->core, buf_view(&text), why) : r;
}

static void on_hangup(void *arg)
{
    struct kms *k = arg;
    struct why why = { 0 };

    if (!k->principals)
        return;
    enum err r = kms_read_principals(k, &why);
    if (r == ERR_OK)
        log_event(LOG_INFO, "principals read", LOG_STR("file", k->principals));
    else
        (void)kms_fail(0, "principals not read, those from before stay", k->principals, r, &why);
}

static void on_term(void *arg)
{
    struct kms *k = arg;

    log_event(LOG_INFO, "ending", LOG_STR("signal", "SIGTERM"),
              LOG_INT("connections", server_counts(k->server).open));
    server_stop(k->server);
}

static int root_take(const char *path, struct buf *der)
{
    AUTO(buf_clear) struct buf pem = BUF_INIT(ROOT_PEM_MAX_BYTES);
    struct why why = { 0 };

    if (strcmp(path, "aws") == 0)
        return buf_append(der, attest_aws_root_g1_der()) == ERR_OK
                   ? -1
                   : kms_fail(1, "memory", NULL, ERR_NOMEM, NULL);
    enum err r = file_read(path, &pem, &why);
    if (r == ERR_OK)
        r = x509_pem_to_der(buf_view(&pem), der, &why);
    if (r != ERR_OK)
        return kms_fail(EXIT_CONFIGURATION, "attestation root not read", path, r, &why);
    log_event(LOG_WARN, "TRUSTING AN ATTESTATION ROOT THAT IS NOT AWS'S: for tests only",
              LOG_STR("root", path));
    return -1;
}

static int roots_take(const struct options *o, struct kms *k)
{
    unsigned n = option_count(o, "root");

    if (n > KMS_ROOTS_MAX) {
        complain(o, "--root: at most %d", KMS_ROOTS_MAX);
        return EXIT_USAGE;
    }
    k->n_roots = n ? n : 1;
    for (size_t i = 0; i < k->n_roots; i++)
        k->roots[i] = BUF_INIT(ROOT_PEM_MAX_BYTES);
    int status = n == 0 ? root_take("aws", &k->roots[0]) : -1;
    for (unsigned i = 0; i < n && status < 0; i++)
        status = root_take(option_at(o, "root", i), &k->roots[i]);
    return status;
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
    return r == ERR_OK ? -1 : kms_fail(1, "database not opened", path, r, &why);
}

/* The file may hold key material. */
static int seed(const struct options *o, struct kms *k)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(SEED_FILE_MAX_BYTES);
    const char *path = option_text(o, "seed");
    struct seeded made = { .keys = 0 };
    struct why why = { 0 };

    if (!path)
        return -1;
    enum err r = state_check_private(path, &why);
    if (r == ERR_OK)
        r = file_read(path, &text, &why);
    if (r == ERR_OK)
        r = localkms_seed(k->core, buf_view(&text), clock_wall_ms(), &made, &why);
    if (r != ERR_OK)
        return kms_fail(EXIT_CONFIGURATION, "seed not taken", path, r, &why);
    log_event(LOG_INFO, "seeded", LOG_STR("file", path), LOG_INT("keys", made.keys),
              LOG_INT("aliases", made.aliases));
    return -1;
}

static int core_make(const struct options *o, struct kms *k)
{
    struct keystore store = keystore_sqlite_interface(k->store);
    struct span roots[KMS_ROOTS_MAX];
    struct why why = { 0 };
    uint64_t max_age, quota;

    if (!option_u64(o, "max-document-age", 0, DOCUMENT_AGE_MAX_S, &max_age) ||
        !option_u64(o, "quota", 0, QUOTA_MAX, &quota))
        return EXIT_USAGE;
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
        .max_document_age_s = (int64_t)max_age,
        .quota = (uint32_t)quota,
        .refuse_debug = strcmp(option_text(o, "debug-documents"), "refuse") == 0,
        .audit = k->audit != NULL,
        .audit_hex = strcmp(option_text(o, "audit-registers"), "hex") == 0,
        .accept_any = k->accept_any,
    };
    enum err r = localkms_new(k->cx, &s, &k->core, &why);
    if (r != ERR_OK)
        return kms_fail(EXIT_CONFIGURATION, "settings refused", why.what, r, &why);
    r = kms_read_principals(k, &why);
    if (r != ERR_OK)
        return kms_fail(EXIT_CONFIGURATION, "principals not read", k->principals, r, &why);
    if (k->accept_any)
        log_event(LOG_WARN,
                  "ACCEPTING ANY CREDENTIALS: no signature is checked, and unknown callers are the "
                  "account's root user; for development only",
                  LOG_STR("account", option_text(o, "account")));
    return seed(o, k);
}

static int audit_open(const struct options *o, struct kms *k)
{
    char beside[STATE_PATH_BYTES];
    const char *path = option_text(o, "audit");
    struct audit_opened found;
    struct why why = { 0 };
    uint64_t mb;

    if (!option_u64(o, "audit-max-mb", 1, AUDIT_MB_MAX, &mb))
        return EXIT_USAGE;
    if (path && strcmp(path, "none") == 0)
        return -1;
    enum err r = path ? ERR_OK : state_path(k->dir, "audit.log", beside);
    path = path ? path : beside;
    if (r == ERR_OK)
        r = audit_log_open(path, mb << 20, clock_wall_ms(), &k->audit, &found, &why);
    if (r != ERR_OK)
        return kms_fail(EXIT_CONFIGURATION, "audit log not opened", path, r, &why);
    if (found.dropped_bytes)
        log_event(LOG_WARN, "a torn line was dropped from the audit log", LOG_STR("file", path),
                  LOG_INT("bytes", found.dropped_bytes));
    if (found.records_missing)
        log_event(LOG_ERROR, "RECORDS ARE MISSING AT THE END OF THE AUDIT LOG",
                  LOG_STR("file", path), LOG_INT("now_at", found.sequence));
    return -1;
}

static enum err tls_given(const struct options *o, struct kms *k, struct why *why)
{
    AUTO(buf_clear) struct buf chain = BUF_INIT(TLS_PEM_MAX_BYTES);
    AUTO(buf_clear) struct buf key = BUF_INIT(TLS_PEM_MAX_BYTES);
    const char *cert_path = option_text(o, "tls-cert"), *key_path = option_text(o, "tls-key");

    enum err r = state_check_private(key_path, why);
    if (r == ERR_OK)
        r = file_read(key_path, &key, why);
    if (r == ERR_OK)
        r = file_read(cert_path, &chain, why);
    return r == ERR_OK ? tls_ctx_server(buf_view(&chain), buf_view(&key), &k->tls, why) : r;
}

static enum err tls_own(struct kms *k, struct why *why)
{
    AUTO(buf_clear) struct buf chain = BUF_INIT(TLS_PEM_MAX_BYTES);
    AUTO(buf_clear) struct buf key = BUF_INIT(TLS_PEM_MAX_BYTES);

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

static enum err port_write(const struct kms *k, const char *name, unsigned port, struct why *why)
{
    char path[STATE_PATH_BYTES], text[16];
    int n = snprintf(text, sizeof text, "%u\n", port);

    enum err r = state_path(k->dir, name, path);
    return r == ERR_OK ? file_write(path, span_of(text, (size_t)n), 0644, why) : r;
}

static int metrics_listen(const struct options *o, struct kms *k)
{
    const char *at = option_text(o, "metrics");
    struct server_options so = { .max = OTHER_CONNECTIONS_MAX,
                                 .handle = kms_handle_metrics,
                                 .arg = k };
    struct why why = { 0 };

    if (!at)
        return -1;
    enum err r = addr_tcp(at, &so.at, &why);
    if (r == ERR_OK && !is_loopback(&so.at))
        r = why_fail(&why, ERR_UNSUPPORTED, "not a loopback address", 0);
    if (r != ERR_OK)
        return kms_fail(EXIT_CONFIGURATION, "--metrics refused", at, r, &why);
    r = server_new(k->loop, &so, &k->metrics_server, &why);
    if (r == ERR_OK)
        r = port_write(k, "metrics-port", server_port(k->metrics_server), &why);
    return r == ERR_OK ? -1 : kms_fail(1, "not listening for metrics", at, r, &why);
}

/* Without it only `backup` does not work, so a folder with a name too long for it is no reason to
 * stop. */
static void control_listen(struct kms *k)
{
    char path[STATE_PATH_BYTES];
    struct server_options so = { .max = OTHER_CONNECTIONS_MAX,
                                 .handle = kms_handle_control,
                                 .arg = k };
    struct why why = { 0 };

    enum err r = state_path(k->dir, "control", path);
    if (r == ERR_OK)
        r = addr_unix(path, &so.at, &why);
    if (r == ERR_OK)
        r = server_new(k->loop, &so, &k->control_server, &why);
    if (r != ERR_OK)
        (void)kms_fail(0, "no control socket: backup while running does not work", path, r, &why);
}

/* Where one may listen: anywhere with TLS and --any-address, else on loopback. */
static int address_take(const struct options *o, const struct kms *k, struct addr *out)
{
    const char *at = option_text(o, "listen");
    struct why why = { 0 };

    enum err r = addr_tcp(at, out, &why);
    if (r == ERR_OK && !is_loopback(out)) {
        if (k->accept_any)
            r = why_fail(&why, ERR_UNSUPPORTED,
                         "not a loopback address, and --accept-any-credentials is for that only",
                         0);
        else if (option_flag(o, "plain-http"))
            r = why_fail(&why, ERR_UNSUPPORTED,
                         "not a loopback address, and --plain-http is for that only", 0);
        else if (!option_flag(o, "any-address"))
            r = why_fail(&why, ERR_UNSUPPORTED, "not a loopback address (see --any-address)", 0);
        else
            log_event(LOG_WARN, "LISTENING WHERE OTHERS CAN REACH IT: this KMS is for tests",
                      LOG_STR("at", at));
    }
    return r == ERR_OK ? -1 : kms_fail(EXIT_CONFIGURATION, "--listen refused", at, r, &why);
}

static int tls_make(const struct options *o, struct kms *k)
{
    struct why why = { 0 };

    if (option_flag(o, "plain-http")) {
        log_event(LOG_WARN, "PLAIN HTTP: what is decrypted travels in the clear",
                  LOG_STR("at", option_text(o, "listen")));
        return -1;
    }
    bool given = option_text(o, "tls-cert") != NULL;
    enum err r = given ? tls_given(o, k, &why) : tls_own(k, &why);
    return r == ERR_OK ? -1
                       : kms_fail(given ? EXIT_CONFIGURATION : 1, "no server certificate",
                                  given ? option_text(o, "tls-cert") : k->dir, r, &why);
}

static int listen_on(const struct options *o, struct kms *k)
{
    struct server_options so = { .max = CONNECTIONS_MAX, .handle = kms_handle, .arg = k };
    struct why why = { 0 };

    int status = address_take(o, k, &so.at);
    if (status < 0)
        status = tls_make(o, k);
    if (status >= 0)
        return status;
    so.tls = k->tls;
    enum err r = server_new(k->loop, &so, &k->server, &why);
    if (r == ERR_OK)
        r = loop_on_signal(k->loop, SIGTERM, on_term, k);
    if (r == ERR_OK)
        r = loop_on_signal(k->loop, SIGINT, on_term, k);
    if (r == ERR_OK)
        r = loop_on_signal(k->loop, SIGHUP, on_hangup, k);
    if (r != ERR_OK)
        return kms_fail(1, "not listening", option_text(o, "listen"), r, &why);
    status = metrics_listen(o, k);
    if (status >= 0)
        return status;
    control_listen(k);
    r = port_write(k, "port", server_port(k->server), &why); /* last: whoever waits may come now */
    return r == ERR_OK ? -1 : kms_fail(1, "port not written", k->dir, r, &why);
}

/* A port of an earlier run would send whoever waits for this one to nobody. */
void kms_forget_port(const struct kms *k)
{
    static const char *const names[] = { "port", "metrics-port" };
    char path[STATE_PATH_BYTES];

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (state_path(k->dir, names[i], path) == ERR_OK)
            (void)unlink(path);
}

int kms_start(const struct options *o, struct kms *k)
{
    struct why why = { 0 };

    enum err r = crypto_process_init();
    if (r == ERR_OK)
        r = crypto_new(&k->cx);
    if (r == ERR_OK)
        r = loop_new(&k->loop);
    if (r == ERR_OK)
        r = work_pool_new(k->loop, MAKERS, WAITING_MAX, &k->pool);
    if (r != ERR_OK)
        return kms_fail(1, "not started", NULL, r, NULL);
    r = state_open(k->cx, k->dir, clock_wall_ms() / MS_PER_S, &k->state, &why);
    if (r != ERR_OK)
        return kms_fail(1, "state folder refused", k->dir, r, &why);
    k->metrics.started_s = clock_wall_ms() / MS_PER_S;
    kms_forget_port(k);
    int status = store_open(k);
    if (status >= 0 || option_flag(o, "init"))
        return status >= 0 ? status : 0;
    status = roots_take(o, k);
    if (status < 0)
        status = qemu_take(o, k);
    if (status < 0)
        status = audit_open(o, k);
    if (status < 0)
        status = core_make(o, k);
    if (status < 0)
        status = listen_on(o, k);
    return status;
}
