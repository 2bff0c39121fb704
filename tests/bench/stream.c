/* stream.c - a client of /v1/messages that costs little: bytes that are sent and received at the
 * same time over N Unix connections on one thread, nothing kept. The same client against a relay
 * that only copies ("echo") gives what the sockets alone would let through.
 *
 *     bench_stream echo|PATH encrypt|decrypt CLIENTS BYTES SECONDS MESSAGES [HEADER|-] [FROM|-]
 * [SAVE]
 *
 * Every client sends one message after the other until SECONDS are over or MESSAGES are sent in all
 * (0: no limit). FROM is a file of BYTES to send instead of a pattern; SAVE takes the content of
 * the one answer. Prints JSON; a failed message ends it with status 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    CLIENTS_MAX = 256,
    PATTERN_BYTES = 1 << 20, /* of its own length again: any place in it is a place of the text */
    PIECE_BYTES = 256 << 10, /* of one call */
    LINE_MAX_BYTES = 16384,
    CHECK_BYTES = 64, /* of every piece of an answer */
    STALL_MS = 60000,
};

/* What of an answer is being read. */
enum place { HEAD, SIZE, DATA, DATA_END, TRAILER, BETWEEN };

struct client {
    int fd;
    uint64_t sent; /* of head and body */
    uint64_t got;  /* of the content */
    enum place place;
    uint64_t left; /* of the chunk */
    char line[LINE_MAX_BYTES];
    size_t line_len;
    bool is_good;
};

static struct {
    bool echo, compares;
    char head[2048];
    size_t head_len;
    uint64_t bytes, messages, started, done;
    const uint8_t *from; /* NULL: the pattern */
    uint8_t *pattern, *in;
    int save;
    double end_s;
} b = { .save = -1 };

static void fail(const char *what, const char *more)
{
    fprintf(stderr, "bench_stream: %s: %s\n", what, more);
    exit(1);
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- the relay that only copies --- */

static void relay(int fd)
{
    uint8_t *room = malloc(PIECE_BYTES);

    for (;;) {
        ssize_t n = read(fd, room, PIECE_BYTES);
        if (n <= 0)
            _exit(0);
        for (ssize_t at = 0; at < n;) {
            ssize_t m = write(fd, room + at, (size_t)(n - at));
            if (m <= 0)
                _exit(0);
            at += m;
        }
    }
}

static int open_relay(void)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        fail("socketpair", strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        fail("fork", strerror(errno));
    if (pid == 0) {
        close(pair[0]);
        relay(pair[1]);
    }
    close(pair[1]);
    return pair[0];
}

static int open_service(const char *path)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof to.sun_path)
        fail(path, "too long");
    strcpy(to.sun_path, path);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to) != 0)
        fail(path, strerror(errno));
    return fd;
}

/* --- out --- */

/* True: there may be more to send at once. */
static bool send_some(struct client *c)
{
    uint64_t total = b.head_len + b.bytes;
    struct iovec iov[2];
    size_t n = 0;

    if (c->sent == total)
        return false;
    if (c->sent < b.head_len)
        iov[n++] = (struct iovec){ b.head + c->sent, b.head_len - (size_t)c->sent };
    uint64_t at = c->sent < b.head_len ? 0 : c->sent - b.head_len;
    size_t len = b.bytes - at < PIECE_BYTES ? (size_t)(b.bytes - at) : PIECE_BYTES;
    const uint8_t *text = b.from ? b.from + at : b.pattern + at % PATTERN_BYTES;
    if (len)
        iov[n++] = (struct iovec){ (void *)(uintptr_t)text, len };
    struct msghdr m = { .msg_iov = iov, .msg_iovlen = n };
    ssize_t sent = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EPIPE)
        fail("send", strerror(errno));
    c->sent += sent > 0 ? (uint64_t)sent : 0;
    return sent > 0;
}

/* --- in --- */

static bool content(struct client *c, const uint8_t *p, size_t n)
{
    size_t check = n < CHECK_BYTES ? n : CHECK_BYTES;

    if (b.compares && memcmp(p, b.pattern + c->got % PATTERN_BYTES, check) != 0)
        fail("answer", "another text than was sealed");
    if (b.save >= 0 && write(b.save, p, n) != (ssize_t)n)
        fail("SAVE", strerror(errno));
    c->got += n;
    return true;
}

/* A line without its end, of head, size or trailer. */
static void take_line(struct client *c)
{
    bool is_empty = c->line_len == 0;
    char *line = c->line;

    line[c->line_len] = '\0';
    c->line_len = 0;
    switch (c->place) {
    case HEAD:
        if (strncmp(line, "HTTP/", 5) == 0 && strncmp(line, "HTTP/1.1 200", 12) != 0)
            fail("answer", line);
        c->place = is_empty ? SIZE : HEAD;
        break;
    case SIZE:
        if (strchr(line, ';'))
            fail("answer", line);
        c->left = strtoull(line, NULL, 16);
        c->place = c->left ? DATA : TRAILER;
        break;
    case DATA_END:
        c->place = SIZE;
        break;
    case TRAILER:
        c->is_good = c->is_good || strcmp(line, "nitroseal-result: ok") == 0;
        c->place = is_empty ? BETWEEN : TRAILER;
        break;
    case DATA:
    case BETWEEN:
        fail("answer", "more than was asked for");
    }
}

static void parse(struct client *c, const uint8_t *p, size_t n)
{
    while (n) {
        size_t used;
        if (b.echo || c->place == DATA) {
            used = b.echo || n < c->left ? n : (size_t)c->left;
            content(c, p, used);
            c->left -= b.echo ? 0 : used;
            if (!b.echo && c->left == 0)
                c->place = DATA_END;
        } else {
            const uint8_t *end = memchr(p, '\n', n);
            used = end ? (size_t)(end - p) + 1 : n;
            if (c->line_len + used >= LINE_MAX_BYTES)
                fail("answer", "a line without end");
            memcpy(c->line + c->line_len, p, used);
            c->line_len += used;
            if (end) {
                c->line_len -= 1;
                if (c->line_len && c->line[c->line_len - 1] == '\r')
                    c->line_len -= 1;
                take_line(c);
            }
        }
        p += used;
        n -= used;
    }
}

/* True: there may be more at once. */
static bool receive_some(struct client *c)
{
    ssize_t n = recv(c->fd, b.in, PIECE_BYTES, MSG_DONTWAIT);

    if (n == 0)
        fail("answer", "cut off");
    if (n < 0 && errno != EAGAIN)
        fail("receive", strerror(errno));
    if (n > 0)
        parse(c, b.in, (size_t)n);
    return n > 0;
}

/* --- messages --- */

static bool is_over(const struct client *c)
{
    return b.echo ? c->got == b.bytes : c->place == BETWEEN;
}

/* False: there is nothing more to send. */
static bool begin(struct client *c)
{
    if ((b.messages && b.started == b.messages) || now_s() >= b.end_s)
        return false;
    b.started++;
    c->sent = c->got = 0;
    c->place = HEAD;
    c->is_good = false;
    return true;
}

static void end(struct client *c)
{
    if (!b.echo && !c->is_good)
        fail("answer", "ended without its result");
    if (b.compares && c->got != b.bytes && !b.from)
        fail("answer", "shorter or longer than what was sealed");
    b.done++;
}

static void serve(struct client *clients, unsigned n)
{
    struct pollfd fds[CLIENTS_MAX];
    unsigned live = 0;

    for (unsigned i = 0; i < n; i++) {
        fds[i] = (struct pollfd){ .fd = begin(&clients[i]) ? clients[i].fd : -1 };
        live += fds[i].fd >= 0;
    }
    while (live) {
        for (unsigned i = 0; i < n; i++) {
            struct client *c = &clients[i];
            if (fds[i].fd < 0)
                continue;
            while (send_some(c) | (is_over(c) ? false : receive_some(c)))
                ;
            if (is_over(c)) {
                end(c);
                if (!begin(c)) {
                    fds[i].fd = -1;
                    live--;
                } else {
                    send_some(c);
                }
            }
            fds[i].events = POLLIN;
            if (c->sent < b.head_len + b.bytes)
                fds[i].events |= POLLOUT;
        }
        if (live && poll(fds, n, STALL_MS) <= 0)
            fail("answer", "nothing comes any more");
    }
}

static void set_up(char **argv, unsigned clients, unsigned argc)
{
    const char *header = argc > 7 && strcmp(argv[7], "-") != 0 ? argv[7] : NULL;

    b.pattern = malloc(PATTERN_BYTES + PIECE_BYTES);
    b.in = malloc(PIECE_BYTES);
    if (!b.pattern || !b.in || clients == 0 || clients > CLIENTS_MAX)
        fail("CLIENTS", "too many");
    uint32_t x = 1;
    for (size_t i = 0; i < PATTERN_BYTES + PIECE_BYTES; i++) {
        x = x * 1664525 + 1013904223;
        b.pattern[i] = i < PATTERN_BYTES ? (uint8_t)(x >> 24) : b.pattern[i - PATTERN_BYTES];
    }
    b.echo = strcmp(argv[1], "echo") == 0;
    b.compares = b.echo || strcmp(argv[2], "decrypt") == 0;
    if (!b.echo)
        b.head_len = (size_t)snprintf(
            b.head, sizeof b.head,
            "POST /v1/messages/%s HTTP/1.1\r\nHost: enclave\r\nContent-Length: %llu\r\n%s%s\r\n",
            argv[2], (unsigned long long)b.bytes, header ? header : "", header ? "\r\n" : "");
    if (argc > 8 && strcmp(argv[8], "-") != 0) {
        int fd = open(argv[8], O_RDONLY | O_CLOEXEC);
        b.from = mmap(NULL, b.bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
        if (fd < 0 || b.from == MAP_FAILED)
            fail(argv[8], strerror(errno));
    }
    if (argc > 9) {
        b.save = open(argv[9], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (b.save < 0)
            fail(argv[9], strerror(errno));
    }
}

static double cpu_s(int who)
{
    struct rusage u;

    getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    static struct client clients[CLIENTS_MAX];

    if (argc < 7 || argc > 10) {
        fprintf(stderr, "usage: bench_stream echo|PATH encrypt|decrypt CLIENTS BYTES SECONDS "
                        "MESSAGES [HEADER|-] [FROM|-] [SAVE]\n");
        return 2;
    }
    unsigned n = (unsigned)strtoul(argv[3], NULL, 10);
    b.bytes = strtoull(argv[4], NULL, 10);
    b.messages = strtoull(argv[6], NULL, 10);
    set_up(argv, n, (unsigned)argc);
    for (unsigned i = 0; i < n; i++)
        clients[i].fd = b.echo ? open_relay() : open_service(argv[1]);
    double start = now_s(), cpu = cpu_s(RUSAGE_SELF);
    b.end_s = start + strtod(argv[5], NULL);
    serve(clients, n);
    double seconds = now_s() - start;
    for (unsigned i = 0; i < n; i++)
        close(clients[i].fd);
    cpu = cpu_s(RUSAGE_SELF) - cpu;
    while (wait(NULL) > 0)
        ;
    printf(
        "{\"messages\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"cpu_s\":%.6f,\"relay_cpu_s\":%.6f}\n",
        (unsigned long long)b.done, (unsigned long long)(b.done * b.bytes), seconds, cpu,
        cpu_s(RUSAGE_CHILDREN));
    return 0;
}
