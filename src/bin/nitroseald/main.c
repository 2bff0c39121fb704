/* nitroseald - the service inside the enclave: wiring and start. */
#include <stdlib.h>

#include "bin/common/entropy.h"
#include "bin/nitroseald/service.h"
#include "io/confine.h"

enum {
    CA_MAX_BYTES = 4 << 20,
    ROOT_MAX_BYTES = 16384,
    KMS_TRIES = 6,
    KMS_CONNECT_MS = 3000,
    WORK_SPARE = 16,  /* queue places beside one per request: documents, keys */
    FILES_SPARE = 64, /* descriptors beside connections: loop, NSM, log, one that is refused */
};

static int fail(int status, const char *what, const char *name, const struct why *why)
{
    log_event(LOG_ERROR, what, LOG_STR("name", name),
              LOG_STR("why", why && why->what ? why->what : ""));
    return status;
}

/* The trust root for our own NSM's documents: AWS's unless a file was named (section 7). */
static int read_root(const struct settings *set, struct buf *der)
{
    AUTO(buf_clear) struct buf file = BUF_INIT(ROOT_MAX_BYTES);
    struct why why = { 0 };

    if (set->nsm_unsigned)
        log_event(LOG_WARN, "documents of this enclave's NSM are NOT verified here: for QEMU only",
                  LOG_STR("nsm", set->nsm));
    if (!set->root_file)
        return buf_append(der, attest_aws_root_g1_der()) == ERR_OK ? -1 : EXIT_GENERAL;
    enum err r = file_read(set->root_file, &file, &why);
    if (r == ERR_OK)
        r = span_starts(buf_view(&file), "-----BEGIN") ? x509_pem_to_der(buf_view(&file), der, &why)
                                                       : buf_append(der, buf_view(&file));
    if (r != ERR_OK)
        return fail(EXIT_CONFIGURATION, "attestation root not read", set->root_file, &why);
    if (!span_eq(buf_view(der), attest_aws_root_g1_der()))
        log_event(LOG_WARN, "trusting a TEST attestation root, not AWS's: this protects nothing",
                  LOG_STR("file", set->root_file));
    return -1;
}

static int read_ca(const struct settings *set, struct tls_ctx **out)
{
    AUTO(buf_clear) struct buf pem = BUF_INIT(CA_MAX_BYTES);
    struct why why = { 0 };

    enum err r = file_read(set->ca_file, &pem, &why);
    if (r == ERR_OK)
        r = tls_ctx_client(buf_view(&pem), out, &why);
    return r == ERR_OK ? -1 : fail(EXIT_CONFIGURATION, "CA file not read", set->ca_file, &why);
}

static int open_nsm(struct service *s)
{
    struct why why = { 0 };

    if (nsm_dev_open(s->set->nsm, &s->nsm, &why) != ERR_OK) {
        log_event(LOG_ERROR, "NSM not opened", LOG_STR("name", s->set->nsm),
                  LOG_STR("why", why.what ? why.what : ""),
                  LOG_STR("do", "this program runs inside an enclave; elsewhere nitroseal local up "
                                "starts it with a software NSM"));
        return EXIT_GENERAL;
    }
    if (span_starts(span_str(s->set->nsm), "unix:")) {
        /* A software NSM is a process on this machine, whose kernel has entropy of its own. */
        log_event(LOG_INFO, "entropy of the NSM not used", LOG_STR("why", "not a device"));
        return -1;
    }
    if (entropy_seed(s->nsm, &why) != ERR_OK)
        return fail(EXIT_GENERAL, "entropy of the NSM not mixed in", s->set->nsm, &why);
    log_event(LOG_INFO, "entropy of the NSM mixed in", LOG_INT("bytes", NSM_RANDOM_BYTES));
    return -1;
}

static int make_enclave(struct service *s, struct span root_der)
{
    const struct settings *set = s->set;
    struct why why = { 0 };
    const struct enclave_settings es = {
        .key_id = span_str(set->key_id),
        .region = span_str(set->region),
        .host = buf_view(&set->host_header),
        .root_der = root_der,
        .nsm_unsigned = set->nsm_unsigned,
        .request_max = (size_t)set->request_max,
        .document_max_age_ms = (uint32_t)set->document_max_age_s * 1000,
        .kms_deadline_ms = (uint32_t)set->kms_deadline_ms,
        .kms_try_ms = (uint32_t)set->kms_try_ms,
        .kms_tries = KMS_TRIES,
        .cache = { .age_ns = set->cache_age_s * NS_PER_S,
                   .messages = set->cache_messages,
                   .bytes = set->cache_bytes,
                   .entries = (unsigned)set->cache_entries },
    };

    if (enclave_new(s->cx, &es, &s->enclave, &why) != ERR_OK)
        return fail(EXIT_CONFIGURATION, "settings refused", set->key_id, &why);
    return -1;
}

/* The first key and the first document, before anybody is listened to: a chain that our root does
 * not head ends the start here. */
static int make_identity(struct service *s, uint64_t *keygen_ns)
{
    struct rsa_key *key = NULL;
    struct enclave_document_job *job = NULL;
    uint64_t start_ns = clock_mono_ns();

    if (rsa_key_new(s->cx, RSA_BITS_DEFAULT, &key) != ERR_OK)
        return fail(EXIT_GENERAL, "no recipient key", "RSA", NULL);
    uint64_t end_ns = clock_mono_ns();
    *keygen_ns = end_ns - start_ns;
    enclave_key_set(s->enclave, key);
    if (enclave_document_begin(s->enclave, service_now(s), &job) != ERR_OK || !job)
        return fail(EXIT_GENERAL, "no attestation document", s->set->nsm, NULL);
    keeper_run_job(s->cx, s->nsm, job);
    enum err r = job->result;
    struct why why = job->why;
    enclave_document_end(s->enclave, job, service_now(s));
    if (r == ERR_UNSUPPORTED) /* an algorithm that no NSM of AWS's names */
        return fail(EXIT_VERIFY,
                    "the NSM's attestation document is not signed as AWS's are; QEMU's NSM, for "
                    "tests, needs --nsm-check none",
                    s->set->nsm, &why);
    if (r == ERR_VERIFY)
        return fail(EXIT_VERIFY,
                    s->set->root_file
                        ? "the NSM's attestation document does not verify against the given root"
                        : "the NSM's attestation document does not verify against AWS's root; a "
                          "local NSM needs --root FILE or NITROSEAL_ROOT_FILE",
                    s->set->nsm, &why);
    return r == ERR_OK ? -1 : fail(EXIT_GENERAL, "no attestation document", s->set->nsm, &why);
}

static unsigned files_max(const struct settings *set)
{
    return (unsigned)(set->connections_max + set->kms_connections) + FILES_SPARE;
}

/* Before there are other threads: the kernel makes them wait for a larger table of descriptors. */
static int make_room(const struct service *s)
{
    struct why why = { .what = "out of memory" };

    if (s->set->unconfined || (confine_files(files_max(s->set), &why) == ERR_OK &&
                               loop_reserve(s->loop, files_max(s->set)) == ERR_OK))
        return -1;
    return fail(EXIT_GENERAL, "no room for connections", "descriptors", &why);
}

static int make_shell(struct service *s, struct tls_ctx *tls)
{
    const struct settings *set = s->set;
    const struct kms_pool_options po = {
        .to = set->kms,
        .tls = tls,
        .server_name = (const char *)set->server_name.ptr,
        .conns_max = (unsigned)set->kms_connections,
        .waiting_max = (unsigned)set->running_max,
        .connect_ms = KMS_CONNECT_MS,
        .idle_ms = (uint32_t)set->kms_idle_ms,
    };
    unsigned queue_max = (unsigned)set->running_max + WORK_SPARE;

    if (kms_pool_new(s->loop, &po, &s->kms) != ERR_OK ||
        work_pool_new(s->loop, (unsigned)set->workers, queue_max, &s->work) != ERR_OK)
        return fail(EXIT_GENERAL, "no workers", "", NULL);
    return -1;
}

/* Before the first byte of a peer: from here on the process can serve and nothing else. */
static int confine_now(const struct settings *set)
{
    const struct confine_options o = {
        .files_max = files_max(set),
        .unix_sockets = set->listen.kind != ADDR_VSOCK,
    };
    struct why why = { 0 };
    enum err r =
        set->unconfined ? why_fail(&why, ERR_UNSUPPORTED, "switched off", 0) : confine(&o, &why);

    if (r == ERR_UNSUPPORTED)
        log_event(LOG_WARN, "no seccomp filter", LOG_STR("why", why.what));
    return r == ERR_OK || r == ERR_UNSUPPORTED ? -1 : fail(EXIT_GENERAL, "not confined", "", &why);
}

static int listen_now(struct service *s, uint64_t start_ns, uint64_t keygen_ns)
{
    struct why why = { 0 };
    char at[128];

    addr_text(&s->set->listen, at, sizeof at);
    if (service_start(s, &why) != ERR_OK)
        return fail(EXIT_GENERAL, "cannot listen", at, &why);
    int status = confine_now(s->set);
    if (status >= 0)
        return status;
    uint64_t ready_ns = clock_mono_ns() - start_ns - keygen_ns;
    log_event(LOG_INFO, "ready", LOG_STR("version", NITROSEAL_VERSION), LOG_STR("at", at),
              LOG_STR("key_id", s->set->key_id), LOG_STR("region", s->set->region),
              LOG_STR("root", s->set->nsm_unsigned ? "NONE"
                              : s->set->root_file  ? "file"
                                                   : "AWS G1"),
              LOG_INT("workers", s->set->workers), LOG_INT("ready_us", ready_ns / 1000),
              LOG_INT("rsa_keygen_us", keygen_ns / 1000));
    return -1;
}

static int run(struct service *s, uint64_t start_ns)
{
    AUTO(buf_clear) struct buf root_der = BUF_INIT(ROOT_MAX_BYTES);
    AUTO(tls_ctx_freep) struct tls_ctx *tls = NULL;
    uint64_t keygen_ns = 0;
    int status = make_room(s);

    if (status < 0)
        status = open_nsm(s); /* entropy before any key */
    if (status < 0)
        status = read_root(s->set, &root_der);
    if (status < 0)
        status = read_ca(s->set, &tls);
    if (status < 0)
        status = make_enclave(s, buf_view(&root_der));
    if (status < 0)
        status = make_identity(s, &keygen_ns);
    if (status < 0)
        status = make_shell(s, tls);
    if (status < 0)
        status = listen_now(s, start_ns, keygen_ns);
    if (status < 0) {
        log_hold();
        loop_run(s->loop);
        log_release();
        status = 0;
    }
    service_clear(s);
    return status;
}

int main(int argc, char **argv)
{
    uint64_t start_ns = clock_mono_ns();
    static struct settings set;
    static struct service s; /* its counters are too large for a stack */

    s.set = &set;
    s.memory_fd = -1;

    int status = settings_parse(argc, argv, &set);
    if (status >= 0)
        return status;
    log_init("nitroseald", set.level);
    if (process_harden() != ERR_OK || crypto_process_init() != ERR_OK ||
        crypto_new(&s.cx) != ERR_OK) {
        settings_clear(&set);
        return fail(EXIT_GENERAL, "cannot start", "process", NULL);
    }
    enum err r = loop_new(&s.loop);
    if (r != ERR_OK) {
        const struct why why = { .what = r == ERR_IO ? "too few descriptors: see ulimit -n"
                                                     : "out of memory" };
        settings_clear(&set);
        crypto_free(s.cx);
        return fail(EXIT_GENERAL, "cannot start", "event loop", &why);
    }
    service_tune_memory();
    s.memory_fd = memory_open();
    status = run(&s, start_ns);
    if (status == 0)
        log_event(LOG_INFO, "stopped", LOG_INT("status", status));
    loop_free(s.loop);
    crypto_free(s.cx);
    settings_clear(&set);
    return status;
}
