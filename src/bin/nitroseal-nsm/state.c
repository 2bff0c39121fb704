#include "bin/nitroseal-nsm/state.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/sys.h"

enum {
    PATH_MAX_BYTES = 1024,
    SECRET_MODE = 0600,
    PUBLIC_MODE = 0644,
};

static const char *path_in(const char *dir, const char *name, struct buf *path)
{
    *path = BUF_INIT(PATH_MAX_BYTES);
    return buf_printf(path, "%s/%s", dir, name) == ERR_OK ? buf_cstr(path) : NULL;
}

static enum err lock(const char *dir, int *fd, struct why *why)
{
    AUTO(buf_clear) struct buf path = { 0 };
    const char *name = path_in(dir, "lock", &path);

    if (!name)
        return why_fail(why, ERR_LIMIT, "path too long", 0);
    *fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, SECRET_MODE);
    while (*fd >= 0 && flock(*fd, LOCK_EX) != 0)
        if (errno != EINTR)
            return why_fail(why, ERR_IO, errno_what(errno), 0);
    return *fd >= 0 ? ERR_OK : why_fail(why, ERR_IO, errno_what(errno), 0);
}

/* Keys that others could read are not used on: they may have been read. */
static enum err check_private(const char *path, struct why *why)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    return st.st_mode & 077 ? why_fail(why, ERR_DENIED, "pki.pem can be read by others", 0)
                            : ERR_OK;
}

static enum err read_or_make(struct crypto *cx, const char *dir, int64_t now_s,
                             struct softnsm_pki **out, struct why *why)
{
    AUTO(buf_clear) struct buf path = { 0 };
    AUTO(buf_clear) struct buf pem = BUF_INIT(SOFTNSM_PKI_MAX_BYTES);
    const char *name = path_in(dir, "pki.pem", &path);

    if (!name)
        return why_fail(why, ERR_LIMIT, "path too long", 0);
    if (access(name, F_OK) != 0) {
        enum err made = softnsm_pki_new(cx, now_s, out);
        return made == ERR_OK ? ERR_OK : why_fail(why, made, "cannot make a root", 0);
    }
    enum err r = check_private(name, why);
    if (r == ERR_OK)
        r = file_read(name, &pem, why);
    return r == ERR_OK ? softnsm_pki_parse(cx, buf_view(&pem), out, why) : r;
}

enum err state_save(const char *dir, const struct softnsm_pki *pki, struct why *why)
{
    AUTO(buf_clear) struct buf path = { 0 };
    AUTO(buf_clear) struct buf pem = BUF_INIT(SOFTNSM_PKI_MAX_BYTES);
    const char *name = path_in(dir, "pki.pem", &path);

    if (!name)
        return why_fail(why, ERR_LIMIT, "path too long", 0);
    enum err r = softnsm_pki_write(pki, &pem);
    if (r != ERR_OK)
        return why_fail(why, r, "cannot write the PKI as PEM", 0);
    return file_write(name, buf_view(&pem), SECRET_MODE, why);
}

enum err state_root_path(const char *dir, struct buf *out)
{
    return buf_printf(out, "%s/root.pem", dir);
}

static enum err save_root(const char *dir, const struct softnsm_pki *pki, struct why *why)
{
    AUTO(buf_clear) struct buf path = BUF_INIT(PATH_MAX_BYTES);
    AUTO(buf_clear) struct buf pem = BUF_INIT(SOFTNSM_PKI_MAX_BYTES);
    AUTO(buf_clear) struct buf there = BUF_INIT(SOFTNSM_PKI_MAX_BYTES);

    const char *name = state_root_path(dir, &path) == ERR_OK ? buf_cstr(&path) : NULL;
    if (!name)
        return why_fail(why, ERR_LIMIT, "path too long", 0);
    enum err r = x509_der_to_pem(softnsm_pki_der(pki, SOFTNSM_ROOT), &pem);
    if (r != ERR_OK)
        return why_fail(why, r, "cannot write the root as PEM", 0);
    if (file_read(name, &there, NULL) == ERR_OK && span_eq(buf_view(&there), buf_view(&pem)))
        return ERR_OK;
    return file_write(name, buf_view(&pem), PUBLIC_MODE, why);
}

enum err state_load(struct crypto *cx, const char *dir, int64_t now_s, struct softnsm_pki **out,
                    struct why *why)
{
    AUTO(softnsm_pki_freep) struct softnsm_pki *pki = NULL;
    AUTO(fd_close) int fd = -1;

    enum err r = dir_make(dir, why);
    if (r == ERR_OK)
        r = lock(dir, &fd, why);
    if (r == ERR_OK)
        r = read_or_make(cx, dir, now_s, &pki, why);
    if (r == ERR_OK)
        r = state_save(dir, pki, why);
    if (r == ERR_OK)
        r = save_root(dir, pki, why);
    if (r != ERR_OK)
        return r;
    *out = pki;
    pki = NULL;
    return ERR_OK;
}
