/* nitroseal-kms - a local KMS for laptops and CI: HTTPS, signed requests, attestation documents
 * verified, key policies evaluated, every call in an audit log. Keys survive kill -9; nothing else
 * is protected. */
#include <signal.h>
#include <stdlib.h>

#include "bin/nitroseal-kms/kms.h"
#include "io/log.h"

static const struct option_def table[] = {
    { "state", 's', "DIR", "NITROSEAL_KMS_STATE", NULL, "Folder for keys and certificates." },
    { "listen", 'l', "ADDR:PORT", NULL, "127.0.0.1:0",
      "Loopback address; port 0 takes any, and DIR/port says which." },
    { "any-address", 0, NULL, NULL, NULL, "Let --listen be an address that others can reach." },
    { "plain-http", 0, NULL, NULL, NULL, "No TLS; on a loopback address only." },
    { "tls-cert", 0, "FILE", NULL, NULL,
      "Certificate chain (PEM) instead of one under the folder's own CA." },
    { "tls-key", 0, "FILE", NULL, NULL, "Its private key (PEM, PKCS#8)." },
    { "metrics", 0, "ADDR:PORT", NULL, NULL,
      "Loopback address for /metrics (Prometheus) and /healthz, plain HTTP; DIR/metrics-port." },
    { "region", 0, "REGION", "AWS_REGION", "us-east-1", "Region that keys are in." },
    { "account", 0, "ID", NULL, "111122223333", "Account that keys belong to." },
    { "root", 0, "FILE", NULL, NULL,
      "Trust this attestation root (PEM) instead of AWS's, or 'aws' for that one too; "
      "repeatable." },
    { "trust-qemu-nsm", 0, "MODULE_ID", NULL, NULL,
      "Take UNSIGNED documents of QEMU's nitro-enclave machine with this module id, for tests; "
      "repeatable." },
    { "max-document-age", 0, "SECONDS", NULL, "0",
      "Refuse older attestation documents; 0: as KMS does, while certificates are valid." },
    { "debug-documents", 0, "accept|refuse", NULL, "accept",
      "Documents of debug enclaves: as KMS does, or never." },
    { "principals", 0, "FILE", NULL, NULL,
      "Who may sign: YAML (or a JSON list), readable by its owner only; read again on SIGHUP." },
    { "accept-any-credentials", 0, NULL, NULL, NULL,
      "Development: check no signature; unknown credentials are the account's root user. Loopback "
      "only." },
    { "seed", 0, "FILE", NULL, NULL,
      "Keys, aliases and policies (YAML) to make if they are not there." },
    { "audit", 0, "FILE", NULL, NULL, "Audit log; without it DIR/audit.log, 'none' for none." },
    { "audit-max-mb", 0, "MB", NULL, "64", "Begin a new file of the audit log at this size." },
    { "audit-registers", 0, "base64|hex", NULL, "base64", "PCRs in the audit log." },
    { "quota", 0, "N", NULL, "0",
      "Calls a second; more are answered ThrottlingException. 0: no limit." },
    { "cms-form", 0, "a|b", NULL, "a", "Form of CiphertextForRecipient." },
    { "explain", 0, NULL, NULL, NULL, "Log which statement decided, and what would have matched." },
    { "init", 0, NULL, NULL, NULL, "Make folder, CA and database, and leave." },
    { "log-level", 0, "LEVEL", "NITROSEAL_LOG", "info", "error, warn, info or debug." },
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseal-kms",
    .synopsis = "--state DIR --principals FILE [OPTION ...]\n"
                "       nitroseal-kms backup --state DIR FILE\n"
                "       nitroseal-kms audit verify FILE [FILE ...]",
    .summary = "A local KMS: releases data keys to attested enclaves by key policy, like AWS KMS. "
               "For\ntests; it protects nothing from whoever can read DIR.",
    .options = table,
    .footer = "Signals: SIGTERM ends it, SIGHUP reads the principals again.\n"
              "Exit status: 0 ended by SIGTERM; 1 failure; 2 usage; 7 configuration.\n",
};

static void kms_clear(struct kms *k)
{
    work_pool_free(k->pool); /* before the server, which it calls */
    server_free(k->control_server);
    server_free(k->metrics_server);
    server_free(k->server);
    localkms_free(k->core);
    keystore_sqlite_close(k->store);
    audit_log_close(k->audit);
    for (size_t i = 0; i < k->n_roots; i++)
        buf_clear(&k->roots[i]);
    localkms_note_clear(&k->note);
    loop_free(k->loop);
    tls_ctx_free(k->tls);
    state_clear(&k->state);
    crypto_free(k->cx);
}

int kms_fail(int status, const char *event, const char *which, enum err r, const struct why *why)
{
    log_event(LOG_ERROR, event, LOG_STR("which", which ? which : ""),
              LOG_STR("why", why && why->what ? why->what : err_name(r)),
              LOG_INT("at", why ? why->at : 0));
    return status;
}

/* One of two words. */
static bool either(const struct options *o, const char *name, const char *a, const char *b)
{
    const char *value = option_text(o, name);

    if (strcmp(value, a) == 0 || strcmp(value, b) == 0)
        return true;
    complain(o, "--%s '%s' is not %s or %s", name, value, a, b);
    return false;
}

/* Options that need each other, or exclude each other. */
static int usage_together(const struct options *o, const struct kms *k)
{
    const char *alone = option_text(o, "tls-cert") ? "tls-key" : "tls-cert";

    if (!k->dir || (!k->principals && !k->accept_any && !option_flag(o, "init"))) {
        complain(o, "%s is missing", k->dir ? "--principals" : "--state");
        return EXIT_USAGE;
    }
    if (!option_text(o, "tls-cert") != !option_text(o, "tls-key")) {
        complain(o, "--%s is missing", alone);
        return EXIT_USAGE;
    }
    if (option_flag(o, "plain-http") && option_text(o, "tls-cert")) {
        complain(o, "--plain-http and --tls-cert exclude each other");
        return EXIT_USAGE;
    }
    return -1;
}

static int usage(const struct options *o, struct kms *k)
{
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
    k->accept_any = option_flag(o, "accept-any-credentials");
    if (!either(o, "cms-form", "a", "b") || !either(o, "debug-documents", "accept", "refuse") ||
        !either(o, "audit-registers", "base64", "hex"))
        return EXIT_USAGE;
    return usage_together(o, k);
}

static int subcommand(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "backup") == 0)
        return cmd_backup(argc - 1, argv + 1);
    if (argc > 2 && strcmp(argv[1], "audit") == 0 && strcmp(argv[2], "verify") == 0)
        return cmd_audit_verify(argc - 2, argv + 2);
    return -1;
}

int main(int argc, char **argv)
{
    static struct kms k = { .state = { .lock_fd = -1 } };
    struct options o;

    int status = subcommand(argc, argv);
    if (status < 0)
        status = options_parse(&program, argc, argv, &o);
    if (status >= 0)
        return status;
    k.state = STATE_INIT;
    k.note = LOCALKMS_NOTE_INIT;
    status = usage(&o, &k);
    if (status >= 0)
        return status;
    if (process_harden() != ERR_OK)
        return kms_fail(1, "not started", "process_harden", ERR_IO, NULL);
    status = kms_start(&o, &k);
    if (status < 0) {
        log_event(LOG_INFO, "listening", LOG_STR("at", option_text(&o, "listen")),
                  LOG_INT("port", server_port(k.server)), LOG_STR("tls", k.tls ? "yes" : "no"),
                  LOG_STR("state", k.dir), LOG_STR("region", k.region));
        loop_run(k.loop);
        kms_forget_port(&k);
        status = 0;
    }
    kms_clear(&k);
    return status;
}
