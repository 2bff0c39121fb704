#include "bin/nitroseal/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bin/nitroseal/interrupt.h"
#include "io/sys.h"

enum {
    NAMES_TRIED = 16,
    BESIDE_BYTES = sizeof("..ffffffffffffffff"), /* what another name has besides */
};

static int failed(const struct output *o, const char *what, struct cli_fault *f)
{
    return cli_fault_set(f, CLI_FILE, _("cannot write %s: %s"), o->path, what);
}

/* A name beside the final one that nobody has; a long one is cut, so that this is none too long. */
static void other_name(struct output *o)
{
    (void)snprintf(o->other, sizeof o->other, ".%.*s.%llx",
                   (int)(OUTPUT_NAME_MAX_BYTES - BESIDE_BYTES), o->name,
                   (unsigned long long)(clock_mono_ns() << 16 ^ (unsigned)getpid()));
}

static int open_unnamed(struct output *o)
{
    int fd = openat(o->folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL))
        return fd;
    for (int i = 0; i < NAMES_TRIED; i++) {
        other_name(o);
        fd =
            openat(o->folder, o->other, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EEXIST)
            break;
    }
    if (fd < 0)
        o->other[0] = 0;
    return fd;
}

static int open_folder(const char *path, const char *name)
{
    if (name == path)
        return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char *folder = strndup(path, (size_t)(name - path));
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(folder);
    return fd;
}

int output_open(const char *path, struct output *out, struct cli_fault *f)
{
    struct output o = OUTPUT_CLOSED;
    struct stat st;

    if (!path || strcmp(path, "-") == 0) {
        o.fd = STDOUT_FILENO;
        o.path = _("standard output");
        *out = o;
        return CLI_OK;
    }
    const char *slash = strrchr(path, '/');
    o.path = path;
    o.name = slash ? slash + 1 : path;
    if (o.name[0] == 0 || strlen(o.name) >= OUTPUT_NAME_MAX_BYTES)
        return failed(&o, o.name[0] ? errno_what(ENAMETOOLONG) : _("it is a folder"), f);
    AUTO(fd_close) int folder = open_folder(path, o.name);
    o.folder = folder;
    if (folder < 0)
        return failed(&o, errno_what(errno), f);
    /* The name is going to be replaced: a device, or a link to one, must not be. */
    if (fstatat(folder, o.name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode))
        return failed(
            &o, S_ISDIR(st.st_mode) ? _("it is a folder") : _("it is there and is no regular file"),
            f);
    o.fd = open_unnamed(&o);
    if (o.fd < 0)
        return failed(&o, errno_what(errno), f);
    folder = -1;
    *out = o;
    return CLI_OK;
}

bool output_is_terminal(const struct output *out)
{
    return out->folder < 0 && isatty(out->fd) == 1;
}

/* A terminal obeys what it is told: only text goes there. */
static bool is_text(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((s.ptr[i] < ' ' && s.ptr[i] != '\n' && s.ptr[i] != '\t' && s.ptr[i] != '\r') ||
            s.ptr[i] == 0x7f)
            return false;
    return true;
}

/* Room in a pipe that its reader has filled, or an interruption. */
static void wait_for_room(const struct output *o)
{
    struct pollfd p[] = { { .fd = o->fd, .events = POLLOUT },
                          { .fd = interrupt_fd(), .events = POLLIN } };

    (void)poll(p, 2, -1);
}

int output_write(struct output *out, struct span s, struct cli_fault *f)
{
    if (out->text_only && !is_text(s))
        return cli_fault_set(f, CLI_FILE,
                             _("this is not text, and standard output is a terminal: write it to a "
                               "file (-o FILE), or say that you want it (-o -)"));
    while (s.len) {
        if (interrupt_came())
            return cli_fault_set(f, CLI_INTERRUPTED, _("interrupted"));
        ssize_t n = write(out->fd, s.ptr, s.len);
        if (n < 0 && errno == EAGAIN)
            wait_for_room(out);
        else if (n < 0 && errno != EINTR)
            return failed(out, errno_what(errno), f);
        if (n <= 0)
            continue;
        out->bytes += (uint64_t)n;
        s = span_from(s, (size_t)n);
    }
    return CLI_OK;
}

/* A first name for a file without one. */
static bool give_name(struct output *o)
{
    char self[64];

    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", o->fd);
    for (int i = 0; i < NAMES_TRIED; i++) {
        other_name(o);
        if (linkat(AT_FDCWD, self, o->folder, o->other, AT_SYMLINK_FOLLOW) == 0)
            return true;
        if (errno != EEXIST)
            break;
    }
    o->other[0] = 0;
    return false;
}

int output_commit(struct output *out, struct cli_fault *f)
{
    if (out->folder < 0)
        return CLI_OK;
    if (fsync(out->fd) != 0 || (!out->other[0] && !give_name(out)) ||
        renameat(out->folder, out->other, out->folder, out->name) != 0)
        return failed(out, errno_what(errno), f);
    out->other[0] = 0;
    if (fsync(out->folder) != 0 && errno != EINVAL)
        return failed(out, errno_what(errno), f);
    return CLI_OK;
}

void output_close(struct output *out)
{
    if (out->folder >= 0) {
        if (out->other[0])
            (void)unlinkat(out->folder, out->other, 0);
        fd_close(&out->fd);
        fd_close(&out->folder);
    }
    *out = OUTPUT_CLOSED;
}

int output_put(const char *path, struct span s, struct cli_fault *f)
{
    AUTO(output_close) struct output out = OUTPUT_CLOSED;

    if (!path || strcmp(path, "-") == 0)
        return cli_print(s, f);
    int status = output_open(path, &out, f);
    if (status == CLI_OK)
        status = output_write(&out, s, f);
    return status == CLI_OK ? output_commit(&out, f) : status;
}
