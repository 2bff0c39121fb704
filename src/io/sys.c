#include "io/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_PIECE_BYTES = 65536,
    PIPE_PIECE_BYTES = 4096, /* PIPE_BUF: what a pipe that polls writable takes without blocking */
    ARENAS_MAX = 2,
    /* Blocks from here on are mapped on their own and unmapped when freed. Setting it also stops
     * glibc from raising the bound to the largest block it has seen freed, which would keep the
     * memory of one large request for ever. Texts of a megabyte stay below: mapping anew costs a
     * page fault for every 4 KiB. */
    MMAP_THRESHOLD_BYTES = 4 << 20,
    TRIM_THRESHOLD_BYTES = 2 << 20,
};

uint64_t clock_mono_ns(void)
{
    struct timespec ts = { 0 };
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

int64_t clock_wall_ms(void)
{
    struct timespec ts = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / (int64_t)NS_PER_MS;
}

const char *errno_what(int e)
{
    switch (e) {
    case ECONNREFUSED:
        return "connection refused";
    case ECONNRESET:
        return "connection reset";
    case EPIPE:
        return "connection closed by the peer";
    case ETIMEDOUT:
        return "timed out";
    case EADDRINUSE:
        return "address already in use";
    case EHOSTUNREACH:
        return "no route to host";
    case ENETUNREACH:
        return "network is unreachable";
    case ENOENT:
        return "no such file or folder";
    case EACCES:
        return "permission denied";
    case EMFILE:
    case ENFILE:
        return "too many open files";
    default:
        break;
    }
    const char *text = strerrordesc_np(e);
    return text ? text : "unknown system error";
}

void fd_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

enum err fd_wait(int fd, short events, uint64_t deadline_ns, struct why *why)
{
    struct pollfd p = { .fd = fd, .events = events };

    return fd_wait_any(&p, 1, deadline_ns, why);
}

enum err fd_wait_any(struct pollfd *p, nfds_t count, uint64_t deadline_ns, struct why *why)
{
    for (;;) {
        struct timespec left = { 0 };
        uint64_t now = clock_mono_ns();
        if (deadline_ns != 0 && now < deadline_ns) {
            left.tv_sec = (time_t)((deadline_ns - now) / NS_PER_S);
            left.tv_nsec = (long)((deadline_ns - now) % NS_PER_S);
        }
        int n = ppoll(p, count, deadline_ns ? &left : NULL, NULL);
        if (n > 0)
            return ERR_OK;
        if (n == 0)
            return why_fail(why, ERR_TIMEOUT, "timed out", 0);
        if (errno != EINTR)
            return why_fail(why, ERR_IO, errno_what(errno), 0);
    }
}

enum err fd_read_some(int fd, size_t max, struct buf *out, bool *eof, uint64_t deadline_ns,
                      struct why *why)
{
    uint8_t *room;
    enum err r = buf_reserve(out, max, &room);
    if (r != ERR_OK)
        return why_fail(why, r, "no room to read into", out->len);
    for (;;) {
        r = fd_wait(fd, POLLIN, deadline_ns, why);
        if (r != ERR_OK)
            return r;
        ssize_t n = read(fd, room, max);
        if (n >= 0) {
            buf_commit(out, (size_t)n);
            *eof = n == 0;
            return ERR_OK;
        }
        if (errno != EINTR && errno != EAGAIN)
            return why_fail(why, ERR_IO, errno_what(errno), 0);
    }
}

/* The buf is full: is there one byte more? */
static enum err read_end(int fd, uint64_t deadline_ns, struct why *why)
{
    AUTO(buf_clear) struct buf extra = BUF_INIT(1);
    bool eof = false;
    enum err r = fd_read_some(fd, 1, &extra, &eof, deadline_ns, why);
    if (r != ERR_OK)
        return r;
    return eof ? ERR_OK : why_fail(why, ERR_LIMIT, "longer than the limit", 0);
}

enum err fd_read_all(int fd, struct buf *out, uint64_t deadline_ns, struct why *why)
{
    size_t before = out->len;
    bool eof = false;
    enum err r = ERR_OK;

    while (r == ERR_OK && !eof) {
        size_t room = out->max - out->len;
        if (room == 0) {
            r = read_end(fd, deadline_ns, why);
            break;
        }
        r = fd_read_some(fd, room < READ_PIECE_BYTES ? room : READ_PIECE_BYTES, out, &eof,
                         deadline_ns, why);
    }
    if (r != ERR_OK)
        buf_truncate(out, before);
    return r;
}

/* A write that cannot block after poll said writable, whatever the descriptor is. */
static ssize_t write_piece(int fd, struct span s)
{
    ssize_t n = send(fd, s.ptr, s.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0 || errno != ENOTSOCK)
        return n;
    struct stat st;
    bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    return write(fd, s.ptr, regular || s.len < PIPE_PIECE_BYTES ? s.len : PIPE_PIECE_BYTES);
}

enum err fd_write_all(int fd, struct span s, uint64_t deadline_ns, struct why *why)
{
    while (s.len > 0) {
        enum err r = fd_wait(fd, POLLOUT, deadline_ns, why);
        if (r != ERR_OK)
            return r;
        ssize_t n = write_piece(fd, s);
        if (n >= 0)
            s = span_from(s, (size_t)n);
        else if (errno != EINTR && errno != EAGAIN)
            return why_fail(why, ERR_IO, errno_what(errno), 0);
    }
    return ERR_OK;
}

void process_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        /* What is opened gets the lowest number that is free: this one. */
        if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            (void)open("/", O_PATH | O_DIRECTORY);
    }
}

enum err process_harden(void)
{
    const struct rlimit no_core = { 0, 0 };
    const struct sigaction ignore = { .sa_handler = SIG_IGN };

    process_streams();
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return ERR_IO;
    if (setrlimit(RLIMIT_CORE, &no_core) != 0 || sigaction(SIGPIPE, &ignore, NULL) != 0)
        return ERR_IO;
    (void)umask(077);
    /* Advice only: a C library without these still serves. */
    (void)mallopt(M_ARENA_MAX, ARENAS_MAX);
    (void)mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES);
    return ERR_OK;
}

int memory_open(void)
{
    return open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

/* The second number is resident pages. */
uint64_t memory_resident(int fd)
{
    char text[128];
    uint64_t pages = 0;

    if (fd < 0 || lseek(fd, 0, SEEK_SET) != 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text);
    struct span rest = span_of(text, n > 0 ? (size_t)n : 0);
    (void)span_cut(&rest, ' ');
    return span_to_u64(span_cut(&rest, ' '), UINT64_MAX >> 16, &pages) == ERR_OK
               ? pages * (uint64_t)sysconf(_SC_PAGESIZE)
               : 0;
}
