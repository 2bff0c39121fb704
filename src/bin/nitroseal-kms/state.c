#include "bin/nitroseal-kms/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/x509.h"
#include "io/sys.h"

enum {
    CA_YEARS = 20,
    SERVER_DAYS = 397, /* what browsers accept; a restart makes a new one */
    DAY_S = 24 * 3600,
    BACKDATE_S = 3600, /* for clients whose clock is a little slow */
    CERT_MAX_BYTES = 4096,
    NAME_MAX_BYTES = 128,
};

void state_clear(struct state *st)
{
    fd_close(&st->lock_fd);
    secret_clear(&st->master_key);
    buf_clear(&st->ca_key_pem);
    buf_clear(&st->ca_pem);
}

enum err state_path(const char *dir, const char *name, char out[static STATE_PATH_BYTES])
{
    int n = snprintf(out, STATE_PATH_BYTES, "%s/%s", dir, name);

    return n > 0 && n < STATE_PATH_BYTES ? ERR_OK : ERR_LIMIT;
}

enum err state_check_private(const char *path, struct why *why)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    if (!S_ISREG(st.st_mode))
        return why_fail(why, ERR_IO, "not a regular file", 0);
    if (st.st_mode & (S_IWGRP | S_IXGRP | S_IRWXO))
        return why_fail(why, ERR_IO, "others may read it: chmod 600", 0);
    return ERR_OK;
}

/* One program per folder: two would each have their own idea of the keys. */
enum err state_lock(const char *dir, int *out, struct why *why)
{
    char path[STATE_PATH_BYTES];

    if (state_path(dir, "lock", path) != ERR_OK)
        return why_fail(why, ERR_LIMIT, "path too long", 0);
    AUTO(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return why_fail(why, ERR_IO, "another nitroseal-kms uses this folder", 0);
    *out = fd;
    fd = -1; /* handed over */
    return ERR_OK;
}

/* The file's content, or *absent. */
static enum err read_if_there(const char *path, struct buf *out, bool *absent, struct why *why)
{
    *absent = access(path, F_OK) != 0 && errno == ENOENT;
    return *absent ? ERR_OK : file_read(path, out, why);
}

/* A new master key beside an old database would make every key in it unreadable for good. */
static enum err check_no_database(const char *dir, struct why *why)
{
    char path[STATE_PATH_BYTES];

    enum err r = state_path(dir, "keys.db", path);
    if (r == ERR_OK && access(path, F_OK) == 0)
        r = why_fail(why, ERR_MALFORMED, "keys.db is there, but not the master.key it needs", 0);
    return r;
}

static enum err master_key_take(struct crypto *cx, const char *dir, struct state *st,
                                struct why *why)
{
    AUTO(secret_clear) struct secret key = { 0 };
    AUTO(buf_clear) struct buf file = BUF_INIT(STATE_MASTER_KEY_BYTES + 1);
    char path[STATE_PATH_BYTES];
    bool absent;

    enum err r = state_path(dir, "master.key", path);
    if (r == ERR_OK)
        r = read_if_there(path, &file, &absent, why);
    if (r == ERR_OK)
        r = secret_new(STATE_MASTER_KEY_BYTES, &key);
    if (r != ERR_OK)
        return r;
    if (absent) {
        r = check_no_database(dir, why);
        if (r == ERR_OK)
            r = rng_bytes(cx, key.ptr, key.len);
        if (r == ERR_OK)
            r = file_write(path, secret_view(&key), 0600, why);
    } else {
        r = state_check_private(path, why);
        if (r == ERR_OK && file.len != STATE_MASTER_KEY_BYTES)
            r = why_fail(why, ERR_MALFORMED, "master.key is not 32 bytes long", 0);
        if (r == ERR_OK)
            memcpy(key.ptr, file.ptr, STATE_MASTER_KEY_BYTES);
    }
    if (r == ERR_OK)
        st->master_key = secret_take(&key);
    return r;
}

static enum err cert_pem(struct crypto *cx, const struct x509_request *rq, struct buf *pem)
{
    AUTO(buf_clear) struct buf der = BUF_INIT(CERT_MAX_BYTES);

    enum err r = x509_write(cx, rq, &der);
    return r == ERR_OK ? x509_der_to_pem(buf_view(&der), pem) : r;
}

static enum err ca_make(struct crypto *cx, int64_t now_s, struct buf *key_pem, struct buf *pem)
{
    AUTO(ec_key_freep) struct ec_key *key = NULL;
    AUTO(ec_pub_freep) struct ec_pub *pub = NULL;

    enum err r = ec_key_new(cx, &key);
    if (r == ERR_OK)
        r = ec_key_pub(cx, key, &pub);
    if (r != ERR_OK)
        return r;
    const struct x509_request rq = {
        .subject = { .o = "Nitroseal", .ou = "for tests only", .cn = "nitroseal-kms local CA" },
        .issuer_key = key,
        .key = pub,
        .not_before = now_s - BACKDATE_S,
        .not_after = now_s + (int64_t)CA_YEARS * 365 * DAY_S,
        .is_ca = true,
        .path_len = 0,
        .key_usage = X509_KU_KEY_CERT_SIGN | X509_KU_CRL_SIGN,
        .key_usage_critical = true,
        .key_ids = true,
    };
    r = cert_pem(cx, &rq, pem);
    return r == ERR_OK ? ec_key_write_pem(key, key_pem) : r;
}

static enum err ca_take(struct crypto *cx, const char *dir, int64_t now_s, struct state *st,
                        struct why *why)
{
    char key_path[STATE_PATH_BYTES], path[STATE_PATH_BYTES];
    bool no_key, no_cert;

    enum err r = state_path(dir, "ca.key", key_path);
    if (r == ERR_OK)
        r = state_path(dir, "ca.pem", path);
    if (r == ERR_OK)
        r = read_if_there(key_path, &st->ca_key_pem, &no_key, why);
    if (r == ERR_OK)
        r = read_if_there(path, &st->ca_pem, &no_cert, why);
    if (r != ERR_OK)
        return r;
    if (!no_key && !no_cert)
        return state_check_private(key_path, why);
    /* One without the other is of no use; the certificate is written last. */
    buf_reset(&st->ca_key_pem);
    buf_reset(&st->ca_pem);
    r = ca_make(cx, now_s, &st->ca_key_pem, &st->ca_pem);
    if (r == ERR_OK)
        r = file_write(key_path, buf_view(&st->ca_key_pem), 0600, why);
    return r == ERR_OK ? file_write(path, buf_view(&st->ca_pem), 0644, why) : r;
}

enum err state_open(struct crypto *cx, const char *dir, int64_t now_s, struct state *out,
                    struct why *why)
{
    enum err r = dir_make(dir, why);

    if (r == ERR_OK)
        r = state_lock(dir, &out->lock_fd, why);
    if (r == ERR_OK)
        r = master_key_take(cx, dir, out, why);
    return r == ERR_OK ? ca_take(cx, dir, now_s, out, why) : r;
}

struct region_partition state_partition(const char *region)
{
    static const struct {
        const char *prefix;
        struct region_partition p;
    } table[] = {
        { "cn-", { "aws-cn", "amazonaws.com.cn" } },
        { "us-gov-", { "aws-us-gov", "amazonaws.com" } },
        { "eusc-", { "aws-eusc", "amazonaws.eu" } },
        { "us-iso-", { "aws-iso", "c2s.ic.gov" } },
        { "us-isob-", { "aws-iso-b", "sc2s.sgov.gov" } },
        { "eu-isoe-", { "aws-iso-e", "cloud.adc-e.uk" } },
        { "us-isof-", { "aws-iso-f", "csp.hci.ic.gov" } },
        { "", { "aws", "amazonaws.com" } },
    };
    size_t i = 0;

    while (!span_starts(span_str(region), table[i].prefix))
        i++;
    return table[i].p;
}

enum err state_server_cert(struct crypto *cx, const struct state *st, const char *region,
                           int64_t now_s, struct buf *chain_pem, struct buf *key_pem,
                           struct why *why)
{
    AUTO(ec_key_freep) struct ec_key *ca_key = NULL;
    AUTO(ec_key_freep) struct ec_key *key = NULL;
    AUTO(ec_pub_freep) struct ec_pub *pub = NULL;
    AUTO(x509_freep) struct x509 *ca = NULL;
    AUTO(buf_clear) struct buf der = BUF_INIT(CERT_MAX_BYTES);
    char name[NAME_MAX_BYTES];

    snprintf(name, sizeof name, "kms.%s.%s", region, state_partition(region).dns_suffix);
    const char *const dns[] = { "localhost", name, NULL };
    const char *const ip[] = { "127.0.0.1", "::1", NULL };
    enum err r = ec_key_parse_pem(cx, buf_view(&st->ca_key_pem), &ca_key, why);
    if (r == ERR_OK)
        r = x509_pem_to_der(buf_view(&st->ca_pem), &der, why);
    if (r == ERR_OK)
        r = x509_parse(cx, buf_view(&der), &ca, why);
    if (r == ERR_OK)
        r = ec_key_new(cx, &key);
    if (r == ERR_OK)
        r = ec_key_pub(cx, key, &pub);
    if (r != ERR_OK)
        return r;
    const struct x509_request rq = {
        .subject = { .o = "Nitroseal", .ou = "for tests only", .cn = name },
        .issuer = ca,
        .issuer_key = ca_key,
        .key = pub,
        .not_before = now_s - BACKDATE_S,
        .not_after = now_s + (int64_t)SERVER_DAYS * DAY_S,
        .path_len = -1,
        .key_usage = X509_KU_DIGITAL_SIGNATURE,
        .key_usage_critical = true,
        .dns_names = dns,
        .ip_names = ip,
        .server_auth = true,
        .key_ids = true,
    };
    r = cert_pem(cx, &rq, chain_pem);
    return r == ERR_OK ? ec_key_write_pem(key, key_pem) : r;
}
