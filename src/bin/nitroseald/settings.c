#include "bin/nitroseald/settings.h"

#include <stdlib.h>
#include <unistd.h>

#include "bin/common/options.h"
#include "kms/kms.h"

enum { HOST_MAX = 256, LOCAL_CID = 16 };

#define NO_SUCH_CID "any"

static const struct option_def table[] = {
    { "key-id", 'k', "ARN", "KMS_KEY_ID", NULL,
      "KMS key: full ARN, or an id that is completed at first use." },
    { "keys", 0, "ARN,...", "NITROSEAL_KEYS", NULL,
      "Further keys (full ARNs) that messages may be opened and sealed under." },
    { "commitment", 0, "POLICY", "NITROSEAL_COMMITMENT", "require",
      "require: messages without key commitment are refused; allow: they are opened." },
    { "region", 0, "REGION", "AWS_REGION", "us-east-1", "Region of the key." },
    { "port", 'p', "PORT", "VSOCK_PORT", "5000", "Port to listen on." },
    { "cid", 0, "CID", NULL, NO_SUCH_CID,
      "CID to listen on; with a Unix mapping the number that names the socket, 16 if not given." },
    { "vsock", 0, "HOW", "NITROSEAL_VSOCK", "kernel", "kernel, or unix:DIR for Unix sockets." },
    { "kms-proxy-port", 0, "PORT", "KMS_PROXY_PORT", "8000", "Port of the relay to KMS." },
    { "kms-proxy-cid", 0, "CID", "KMS_PROXY_CID", "3", "CID of the relay to KMS: the parent." },
    { "nsm", 0, "PATH", "NITROSEAL_NSM", "/dev/nsm", "The NSM: a device, or unix:PATH." },
    { "ca-file", 0, "FILE", "NITROSEAL_CA_FILE", "/etc/ssl/certs/ca-certificates.crt",
      "CA certificates (PEM) that KMS's certificate must chain to." },
    { "endpoint", 0, "URL", "AWS_ENDPOINT_URL_KMS", NULL,
      "Name KMS goes by, instead of the region's; the way there is always the relay." },
    { "root", 0, "FILE", "NITROSEAL_ROOT_FILE", NULL,
      "Trust this attestation root (PEM or DER) instead of AWS's: for tests." },
    { "nsm-check", 0, "HOW", "NITROSEAL_NSM_CHECK", "root",
      "root: our own NSM's documents must verify; none: for QEMU's NSM, which does not sign." },
    { "workers", 0, "N", NULL, "0", "Threads for RSA and ciphers; 0: one per core." },
    { "max-request", 0, "BYTES", NULL, "16777216", "Largest request." },
    { "max-connections", 0, "N", NULL, "16384", "Connections open at one time." },
    { "max-running", 0, "N", NULL, "512",
      "Requests served at one time; further ones are refused." },
    { "max-streams", 0, "N", NULL, "64", "Messages of /v1/messages served at one time." },
    { "max-buffered", 0, "BYTES", NULL, "268435456",
      "Requests and unread answers held in memory, all together." },
    { "kms-connections", 0, "N", NULL, "64", "Connections kept to KMS." },
    { "read-timeout", 0, "MS", NULL, "10000", "For a whole request to arrive." },
    { "write-timeout", 0, "MS", NULL, "30000", "For a whole answer to leave." },
    { "idle-timeout", 0, "MS", NULL, "300000",
      "An HTTP connection without requests is closed after this." },
    { "kms-deadline", 0, "MS", NULL, "8000", "For KMS to answer, all tries together." },
    { "kms-try", 0, "MS", NULL, "3000", "For KMS to answer one try." },
    { "kms-idle", 0, "MS", NULL, "20000", "An unused connection to KMS is closed after this." },
    { "key-max-age", 0, "S", NULL, "3600", "The RSA recipient key is replaced after this." },
    { "document-max-age", 0, "S", NULL, "60", "An attestation document is used for this long." },
    { "cache-age", 0, "S", "NITROSEAL_CACHE_AGE", "0",
      "Data keys of messages are kept for this long; 0: never." },
    { "cache-messages", 0, "N", NULL, "1000", "Messages that a kept data key seals." },
    { "cache-bytes", 0, "BYTES", NULL, "1073741824", "Bytes that a kept data key seals." },
    { "cache-entries", 0, "N", NULL, "256",
      "Data keys kept at one time; each takes ten kilobytes at most." },
    { "seccomp", 0, "HOW", "NITROSEAL_SECCOMP", "on",
      "on: after the start only the system calls of serving are left; off: for tools that watch." },
    { "log-level", 0, "LEVEL", "NITROSEAL_LOG", "info", "error, warn, info or debug." },
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseald",
    .synopsis = "[OPTION ...]",
    .summary = "Encrypts and signs, decrypts and verifies, inside an AWS Nitro Enclave, with data "
               "keys that KMS\nreleases to this enclave's image only.",
    .options = table,
    .footer = "Exit status: 0 stopped by SIGTERM; 1 failure; 2 usage; 5 the NSM's document does "
              "not verify;\n7 configuration.\n",
};

struct number {
    const char *name;
    uint64_t min, max;
    uint64_t *out;
};

static bool numbers(const struct options *o, struct settings *s)
{
    const struct number all[] = {
        { "workers", 0, 64, &s->workers },
        { "max-request", 1024, 1 << 30, &s->request_max },
        { "max-connections", 1, 65536, &s->connections_max },
        { "max-running", 1, 65536, &s->running_max },
        { "max-streams", 1, 4096, &s->streams_max },
        { "max-buffered", 1 << 20, UINT64_C(1) << 40, &s->buffered_max },
        { "kms-connections", 1, 1024, &s->kms_connections },
        { "read-timeout", 10, 3600000, &s->read_ms },
        { "write-timeout", 10, 3600000, &s->write_ms },
        { "idle-timeout", 10, 86400000, &s->idle_ms },
        { "kms-deadline", 10, 600000, &s->kms_deadline_ms },
        { "kms-try", 10, 600000, &s->kms_try_ms },
        { "kms-idle", 10, 3600000, &s->kms_idle_ms },
        { "cache-age", 0, 86400, &s->cache_age_s },
        { "cache-messages", 1, UINT64_C(1) << 32, &s->cache_messages },
        { "cache-bytes", 0, INT64_MAX, &s->cache_bytes },
        { "cache-entries", 1, KEY_CACHE_ENTRIES_MAX, &s->cache_entries },
        { "key-max-age", 1, 86400, &s->key_max_age_s },
        { "document-max-age", 1, 3600, &s->document_max_age_s },
    };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (!option_u64(o, all[i].name, all[i].min, all[i].max, all[i].out))
            return false;
    if (s->workers == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        s->workers = cores < 1 ? 1 : (uint64_t)cores;
    }
    return true;
}

static int addresses(const struct options *o, struct settings *s)
{
    const char *how = option_text(o, "vsock"), *cid_text = option_text(o, "cid");
    bool is_kernel = strcmp(how, "kernel") == 0;
    uint64_t port, proxy_port, proxy_cid, cid = is_kernel ? CID_ANY : LOCAL_CID;
    struct why why = { 0 };

    if (strcmp(cid_text, NO_SUCH_CID) != 0 && !option_u64(o, "cid", 3, CID_ANY - 1, &cid))
        return 2;
    if (!option_u64(o, "port", 1, UINT32_MAX - 1, &port) ||
        !option_u64(o, "kms-proxy-port", 1, UINT32_MAX - 1, &proxy_port) ||
        !option_u64(o, "kms-proxy-cid", 2, CID_ANY - 1, &proxy_cid))
        return 2;
    if (addr_vsock(how, (uint32_t)cid, (uint32_t)port, &s->listen, &why) == ERR_OK &&
        addr_vsock(how, (uint32_t)proxy_cid, (uint32_t)proxy_port, &s->kms, &why) == ERR_OK)
        return -1;
    complain(o, "--vsock or NITROSEAL_VSOCK '%s': %s", how, why.what);
    return EXIT_CONFIGURATION;
}

static int keys(const struct options *o, struct settings *s)
{
    struct span rest = span_str(option_text(o, "keys"));
    const char *commitment = option_text(o, "commitment");

    while (rest.len) {
        struct span arn = span_trim(span_cut(&rest, ','));
        if (s->n_keys == sizeof s->keys / sizeof s->keys[0] || !kms_is_key_arn(arn)) {
            complain(o, "--keys or NITROSEAL_KEYS is not a list of at most %zu full key ARNs",
                     sizeof s->keys / sizeof s->keys[0]);
            return EXIT_CONFIGURATION;
        }
        s->keys[s->n_keys++] = arn;
    }
    s->policy = strcmp(commitment, "allow") == 0 ? ESDK_REQUIRE_ENCRYPT_ALLOW_DECRYPT
                                                 : ESDK_REQUIRE_ENCRYPT_REQUIRE_DECRYPT;
    if (strcmp(commitment, "allow") == 0 || strcmp(commitment, "require") == 0)
        return -1;
    complain(o, "--commitment or NITROSEAL_COMMITMENT '%s' is not require or allow", commitment);
    return EXIT_CONFIGURATION;
}

static int host(const struct options *o, struct settings *s)
{
    const char *url = option_text(o, "endpoint");

    s->host_header = s->server_name = BUF_INIT(HOST_MAX);
    if (url && kms_endpoint_parse(span_str(url), &s->server_name, &s->host_header) != ERR_OK) {
        complain(o, "--endpoint or AWS_ENDPOINT_URL_KMS '%s' is not https://NAME[:PORT]", url);
        return EXIT_CONFIGURATION;
    }
    if (!url && (kms_host_of_region(span_str(s->region), &s->host_header) != ERR_OK ||
                 buf_append(&s->server_name, buf_view(&s->host_header)) != ERR_OK)) {
        complain(o, "--region or AWS_REGION '%s' is not a region's name", s->region);
        return EXIT_CONFIGURATION;
    }
    if (buf_cstr(&s->server_name))
        return -1;
    complain(o, "name of KMS is too long");
    return EXIT_CONFIGURATION;
}

int settings_parse(int argc, char **argv, struct settings *out)
{
    struct options o;
    struct settings s = { 0 };
    int status = options_parse(&program, argc, argv, &o);

    if (status >= 0)
        return status;
    if (log_level_parse(option_text(&o, "log-level"), &s.level) != ERR_OK) {
        complain(&o, "--log-level '%s' is not error, warn, info or debug",
                 option_text(&o, "log-level"));
        return 2;
    }
    if (!numbers(&o, &s))
        return 2;
    s.key_id = option_text(&o, "key-id");
    if (!s.key_id) {
        complain(&o, "no KMS key: set KMS_KEY_ID or --key-id to the key's ARN");
        return EXIT_CONFIGURATION;
    }
    const char *check = option_text(&o, "nsm-check");
    s.nsm_unsigned = strcmp(check, "none") == 0;
    if (!s.nsm_unsigned && strcmp(check, "root") != 0) {
        complain(&o, "--nsm-check or NITROSEAL_NSM_CHECK '%s' is not root or none", check);
        return EXIT_CONFIGURATION;
    }
    const char *seccomp = option_text(&o, "seccomp");
    s.unconfined = strcmp(seccomp, "off") == 0;
    if (!s.unconfined && strcmp(seccomp, "on") != 0) {
        complain(&o, "--seccomp or NITROSEAL_SECCOMP '%s' is not on or off", seccomp);
        return EXIT_CONFIGURATION;
    }
    s.region = option_text(&o, "region");
    s.nsm = option_text(&o, "nsm");
    s.root_file = option_text(&o, "root");
    s.ca_file = option_text(&o, "ca-file");
    status = keys(&o, &s);
    if (status < 0)
        status = addresses(&o, &s);
    if (status < 0)
        status = host(&o, &s);
    if (status >= 0) {
        settings_clear(&s);
        return status;
    }
    *out = s;
    return -1;
}

void settings_clear(struct settings *s)
{
    buf_clear(&s->host_header);
    buf_clear(&s->server_name);
}
