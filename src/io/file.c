#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/sys.h"

enum { PATH_BYTES_MAX = 1024 }; /* of our own state; the system would take 4,096 */

enum err file_read(const char *path, struct buf *out, struct why *why)
{
    AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    return fd_read_all(fd, out, 0, why);
}

/* Make the rename itself durable. */
static enum err sync_folder_of(const char *path, struct why *why)
{
    char folder[PATH_BYTES_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;

    if (len >= sizeof(folder))
        return why_fail(why, ERR_LIMIT, "path too long", 0);
    memcpy(folder, path, len);
    folder[len] = 0;
    const char *name = slash == path ? "/" : slash ? folder : ".";
    AUTO(fd_close) int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    return ERR_OK;
}

static enum err fill_and_rename(int fd, const char *tmp, const char *path, struct span content,
                                unsigned mode, struct why *why)
{
    enum err r = fd_write_all(fd, content, 0, why);
    if (r != ERR_OK)
        return r;
    if (fchmod(fd, mode) != 0 || fsync(fd) != 0 || rename(tmp, path) != 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    return ERR_OK;
}

enum err file_write(const char *path, struct span content, unsigned mode, struct why *why)
{
    char tmp[PATH_BYTES_MAX];
    int n = snprintf(tmp, sizeof(tmp), "%s.tmp.XXXXXX", path);
    if (n < 0 || (size_t)n >= sizeof(tmp))
        return why_fail(why, ERR_LIMIT, "path too long", 0);
    AUTO(fd_close) int fd = mkostemp(tmp, O_CLOEXEC); /* O_EXCL, 0600 */
    if (fd < 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    enum err r = fill_and_rename(fd, tmp, path, content, mode, why);
    if (r != ERR_OK) {
        (void)unlink(tmp);
        return r;
    }
    return sync_folder_of(path, why);
}

enum err dir_make(const char *path, struct why *why)
{
    char part[PATH_BYTES_MAX];
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    if (len == 0 || len >= sizeof(part))
        return why_fail(why, ERR_LIMIT, len ? "path too long" : "empty path", 0);
    memcpy(part, path, len);
    part[len] = 0;

    for (size_t i = 1; i < len; i++) {
        if (part[i] != '/')
            continue;
        part[i] = 0;
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return why_fail(why, ERR_IO, errno_what(errno), 0);
        part[i] = '/';
    }
    if (mkdir(part, 0700) == 0)
        return ERR_OK;
    struct stat st;
    if (errno != EEXIST)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    if (stat(part, &st) != 0 || !S_ISDIR(st.st_mode))
        return why_fail(why, ERR_IO, errno_what(ENOTDIR), 0);
    return ERR_OK;
}
