#include "bin/nitroseal/input.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bin/nitroseal/interrupt.h"
#include "io/sys.h"

enum { PIECE_BYTES = 65536 };

void input_close(struct input *in)
{
    if (in->owned)
        fd_close(&in->fd);
    in->fd = -1;
    buf_clear(&in->start);
}

int input_failed(const struct input *in, const char *what, struct cli_fault *f)
{
    return cli_fault_set(f, CLI_FILE, _("cannot read %s: %s"), in->name, what);
}

static int take_fd(int fd, const struct input *how, struct input *in, struct cli_fault *f)
{
    struct stat st;

    *in = *how;
    in->fd = fd;
    if (fd < 0 || fstat(fd, &st) != 0)
        return input_failed(in, errno_what(errno), f);
    if (S_ISDIR(st.st_mode))
        return input_failed(in, _("it is a folder"), f);
    in->from = S_ISREG(st.st_mode) ? lseek(fd, 0, SEEK_CUR) : -1;
    in->regular = in->from >= 0 && st.st_size >= in->from;
    in->size = in->regular ? (uint64_t)(st.st_size - in->from) : 0;
    return CLI_OK;
}

int input_open(const char *path, struct input *in, struct cli_fault *f)
{
    bool named = path && strcmp(path, "-") != 0;
    const struct input how = { .owned = named,
                               .name = named ? path : _("standard input"),
                               .start = BUF_INIT(INPUT_PEEK_BYTES) };

    return take_fd(named ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : STDIN_FILENO, &how, in, f);
}

int input_open_file(const char *path, struct input *in, struct cli_fault *f)
{
    const struct input how = { .owned = true, .name = path, .start = BUF_INIT(INPUT_PEEK_BYTES) };
    int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK;

    int fd = open(path, flags);
    if (fd < 0 && errno == ELOOP) {
        *in = how;
        in->fd = -1;
        return input_failed(in, _("it is a link"), f);
    }
    int status = take_fd(fd, &how, in, f);
    if (status == CLI_OK && !in->regular)
        return input_failed(in, _("it is no regular file"), f);
    return status;
}

int input_text(const char *text, struct input *in, struct cli_fault *f)
{
    struct span s = span_str(text);

    *in = (struct input){ .fd = -1,
                          .name = _("the text"),
                          .regular = true,
                          .size = s.len,
                          .from = -1,
                          .start = BUF_INIT(s.len + 1),
                          .ended = true };
    if (buf_append(&in->start, s) != ERR_OK)
        return input_failed(in, err_name(ERR_NOMEM), f);
    return CLI_OK;
}

bool input_rewind(struct input *in)
{
    if (in->from < 0 || lseek(in->fd, in->from, SEEK_SET) != in->from)
        return false;
    buf_reset(&in->start);
    in->ended = false;
    return true;
}

static enum err read_fd(struct input *in, uint8_t *into, size_t room, size_t *n, struct why *why)
{
    ssize_t got = 0;

    while (!in->ended && (got = read(in->fd, into, room)) < 0 && errno == EINTR &&
           !interrupt_came())
        ;

    if (got < 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    in->ended = got == 0;
    *n = (size_t)got;
    return ERR_OK;
}

int input_peek(struct input *in, struct cli_fault *f)
{
    struct why why = { 0 };

    while (in->start.len < in->start.max && !in->ended) {
        enum err r =
            fd_read_some(in->fd, in->start.max - in->start.len, &in->start, &in->ended, 0, &why);
        if (r != ERR_OK)
            return input_failed(in, why.what, f);
    }
    return CLI_OK;
}

enum err input_read(struct input *in, uint8_t *into, size_t room, size_t *n, struct why *why)
{
    struct span first = span_sub(buf_view(&in->start), 0, room);

    if (first.len == 0)
        return read_fd(in, into, room, n, why);
    memcpy(into, first.ptr, first.len);
    *n = first.len;
    buf_consume(&in->start, first.len);
    return ERR_OK;
}

int input_read_all(struct input *in, struct buf *out, struct cli_fault *f)
{
    struct why why = { 0 };
    size_t n = 1;

    while (n > 0) {
        size_t room = out->max - out->len < PIECE_BYTES ? out->max - out->len : PIECE_BYTES;
        uint8_t *into;
        enum err r = buf_reserve(out, room ? room : 1, &into); /* past its end: ERR_LIMIT */
        if (r == ERR_OK)
            r = input_read(in, into, room, &n, &why);
        if (r != ERR_OK)
            return input_failed(in, why.what ? why.what : err_name(r), f);
        buf_commit(out, n);
    }
    return CLI_OK;
}
