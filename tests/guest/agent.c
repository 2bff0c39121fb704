/* agent.c - PID 1 of test images: answers on vsock what a test asks, so that both ends of a
 * connection are seen.
 *
 * Words on the kernel's command line: noheartbeat, say=TEXT (on the console, again and again).
 *   port 5000  echoes        port 5001  accepts and never reads
 *   port 7000  one line, one answer:
 *     echo CID PORT BYTES    send that much, check what comes back, half-close, expect the end
 *     ping CID PORT N SIZE   round trips: median, minimum and sum in ns (the guest's clock may be
 * coarse) push CID PORT BYTES    send and half-close, expect the end; no echo fill CID PORT write
 * until nothing moves for a second; keeps the connection dial CID PORT          connect only:
 * "errno E MS" memory                 free KiB pcr N                  from /dev/nsm, hex halt
 * reboot */
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ECHO = 5000, DEAF = 5001, CONTROL = 7000, CHUNK = 65536, PINGS_MAX = 20000 };

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int dial(unsigned cid, unsigned port)
{
    struct sockaddr_vm vm = { .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port };
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&vm, sizeof vm) != 0) {
        int e = errno;
        if (fd >= 0)
            close(fd);
        errno = e;
        return -1;
    }
    return fd;
}

static int serve(unsigned port)
{
    struct sockaddr_vm vm = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port };
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&vm, sizeof vm) != 0 || listen(fd, 1024) != 0) {
        printf("agent: port %u: %s\n", port, strerror(errno));
        exit(1);
    }
    return fd;
}

/* A stream whose every byte depends on its place. */
static uint8_t byte_at(uint64_t i)
{
    uint64_t x = (i >> 3) * UINT64_C(0x9e3779b97f4a7c15) + 12345;
    return (uint8_t)(x >> (8 * (i & 7)));
}

static void fill_pattern(uint8_t *to, uint64_t at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = byte_at(at + i);
}

static void echo_all(int fd)
{
    static uint8_t b[CHUNK];
    ssize_t n;

    while ((n = read(fd, b, sizeof b)) > 0)
        for (ssize_t at = 0, put; at < n; at += put)
            if ((put = write(fd, b + at, (size_t)(n - at))) <= 0)
                return;
    shutdown(fd, SHUT_WR);
}

static void check_echo(int fd, uint64_t bytes, char *answer, size_t size)
{
    static uint8_t out[CHUNK], in[CHUNK], want[CHUNK];
    uint64_t sent = 0, got = 0, start = now_ns();

    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (;;) {
        struct pollfd p = { fd, POLLIN | (sent < bytes ? POLLOUT : 0), 0 };
        if (poll(&p, 1, 60000) <= 0) {
            snprintf(answer, size, "stuck after %llu sent, %llu back", (unsigned long long)sent,
                     (unsigned long long)got);
            return;
        }
        if (p.revents & POLLOUT && sent < bytes) {
            size_t n = bytes - sent < CHUNK ? (size_t)(bytes - sent) : CHUNK;
            fill_pattern(out, sent, n);
            ssize_t put = write(fd, out, n);
            if (put > 0)
                sent += (uint64_t)put;
            if (sent == bytes)
                shutdown(fd, SHUT_WR);
        }
        if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
            ssize_t n = read(fd, in, CHUNK);
            if (n < 0 && errno == EAGAIN)
                continue;
            if (n <= 0) {
                snprintf(answer, size, "%s %llu ms %llu",
                         n == 0 && got == bytes ? "ok"
                         : n                    ? strerror(errno)
                                                : "short",
                         (unsigned long long)got,
                         (unsigned long long)((now_ns() - start) / 1000000));
                return;
            }
            fill_pattern(want, got, (size_t)n);
            if (memcmp(in, want, (size_t)n) != 0) {
                snprintf(answer, size, "wrong bytes after %llu", (unsigned long long)got);
                return;
            }
            got += (uint64_t)n;
        }
    }
}

static void push(int fd, uint64_t bytes, char *answer, size_t size)
{
    static uint8_t out[CHUNK];
    uint64_t sent = 0, start = now_ns();

    while (sent < bytes) {
        size_t n = bytes - sent < CHUNK ? (size_t)(bytes - sent) : CHUNK;
        fill_pattern(out, sent, n);
        ssize_t put = write(fd, out, n);
        if (put <= 0)
            break;
        sent += (uint64_t)put;
    }
    shutdown(fd, SHUT_WR);
    ssize_t end = read(fd, out, 1);
    snprintf(answer, size, "%s %llu ms %llu", sent == bytes && end == 0 ? "ok" : strerror(errno),
             (unsigned long long)sent, (unsigned long long)((now_ns() - start) / 1000000));
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void ping(int fd, unsigned n, size_t len, char *answer, size_t size)
{
    static uint64_t took[PINGS_MAX];
    static uint8_t b[CHUNK];
    uint64_t first = now_ns();

    if (n == 0 || n > PINGS_MAX || len == 0 || len > CHUNK)
        n = 1, len = 1;
    for (unsigned i = 0; i < n; i++) {
        uint64_t start = now_ns();
        if (write(fd, b, len) != (ssize_t)len)
            break;
        for (size_t got = 0; got < len;) {
            ssize_t m = read(fd, b + got, len - got);
            if (m <= 0) {
                snprintf(answer, size, "broken at %u", i);
                return;
            }
            got += (size_t)m;
        }
        took[i] = now_ns() - start;
    }
    uint64_t sum = now_ns() - first;
    qsort(took, n, sizeof took[0], compare);
    snprintf(answer, size, "ok %llu %llu %llu", (unsigned long long)took[n / 2],
             (unsigned long long)took[0], (unsigned long long)sum);
}

static void fill(int fd, char *answer, size_t size)
{
    static uint8_t out[CHUNK];
    uint64_t sent = 0;

    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (;;) {
        struct pollfd p = { fd, POLLOUT, 0 };
        if (poll(&p, 1, 1000) <= 0)
            break;
        ssize_t put = write(fd, out, sizeof out);
        if (put < 0 && errno != EAGAIN)
            break;
        if (put > 0)
            sent += (uint64_t)put;
    }
    snprintf(answer, size, "ok %llu", (unsigned long long)sent);
}

struct nsm_raw {
    struct iovec request, response;
};

static void pcr(unsigned n, char *answer, size_t size)
{
    uint8_t ask[64] = { 0xa1, 0x6b, 'D', 'e',  's',  'c', 'r', 'i', 'b', 'e',
                        'P',  'C',  'R', 0xa1, 0x65, 'i', 'n', 'd', 'e', 'x' };
    static uint8_t got[0x3000];
    size_t len = 20;
    int fd = open("/dev/nsm", O_RDWR | O_CLOEXEC);

    if (n > 23)
        ask[len++] = 0x18;
    ask[len++] = (uint8_t)n;
    struct nsm_raw raw = { { ask, len }, { got, sizeof got } };
    if (fd < 0 || ioctl(fd, _IOWR(0x0a, 0x0, struct nsm_raw), &raw) != 0) {
        snprintf(answer, size, "nsm: %s", strerror(errno));
        return;
    }
    const uint8_t *data = memmem(got, raw.response.iov_len, "data\x58\x30", 6);
    if (!data || raw.response.iov_len - (size_t)(data - got) < 54) {
        snprintf(answer, size, "no such answer");
        return;
    }
    for (unsigned i = 0; i < 48; i++)
        snprintf(answer + 2 * i, size - 2 * i, "%02x", data[6 + i]);
    close(fd);
}

/* True: the connection stays as long as the guest does. */
static int obey(char *line, char *answer, size_t size)
{
    unsigned cid, port, n = 0;
    unsigned long long bytes = 0;
    char verb[16] = "";
    int words = sscanf(line, "%15s %u %u %llu %u", verb, &cid, &port, &bytes, &n);

    if (strcmp(verb, "memory") == 0) {
        struct sysinfo si;
        sysinfo(&si);
        snprintf(answer, size, "%llu", (unsigned long long)si.freeram * si.mem_unit / 1024);
    } else if (strcmp(verb, "halt") == 0) {
        reboot(RB_AUTOBOOT);
    } else if (strcmp(verb, "pcr") == 0 && words >= 2) {
        pcr(cid, answer, size);
    } else if (words >= 3) {
        uint64_t start = now_ns();
        int fd = dial(cid, port), keep = strcmp(verb, "fill") == 0;
        if (fd < 0 || strcmp(verb, "dial") == 0)
            snprintf(answer, size, "errno %d %llu", fd < 0 ? errno : 0,
                     (unsigned long long)((now_ns() - start) / 1000000));
        else if (strcmp(verb, "echo") == 0)
            check_echo(fd, bytes, answer, size);
        else if (strcmp(verb, "push") == 0)
            push(fd, bytes, answer, size);
        else if (strcmp(verb, "ping") == 0)
            ping(fd, (unsigned)bytes, n, answer, size);
        else if (keep)
            fill(fd, answer, size);
        if (fd >= 0 && !keep)
            close(fd);
        return fd >= 0 && keep;
    }
    return 0;
}

static void control(int fd)
{
    char line[256], answer[256] = "what?";
    size_t n = 0;

    while (n < sizeof line - 1 && read(fd, line + n, 1) == 1 && line[n] != '\n')
        n++;
    line[n] = '\0';
    int keep = obey(line, answer, sizeof answer - 1);
    dprintf(fd, "%s\n", answer);
    if (keep)
        for (char c; read(fd, &c, 1) > 0;) {
        }
}

static void heartbeat(void)
{
    const uint8_t beat = 0xb7;
    uint8_t back = 0;
    int fd = dial(3, 9000);

    if (fd < 0 || write(fd, &beat, 1) != 1 || read(fd, &back, 1) != 1 || back != beat)
        printf("agent: heartbeat: %s\n", fd < 0 ? strerror(errno) : "no echo");
    if (fd >= 0)
        close(fd);
}

static void speak(const char *text)
{
    if (fork() != 0)
        return;
    for (unsigned i = 0;; i++) {
        printf("%s %u\n", text, i);
        usleep(200000);
    }
}

int main(int argc, char **argv)
{
    unsigned port[3] = { ECHO, DEAF, CONTROL };
    struct pollfd p[3];
    int beat = 1;

    mkdir("/dev", 0755);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    int tty = open("/dev/console", O_RDWR);
    for (int i = 0; i < 3 && tty >= 0; i++)
        dup2(tty, i);
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGCHLD, SIG_IGN); /* no zombies */
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 3; i++)
        p[i] = (struct pollfd){ serve(port[i]), POLLIN, 0 };
    for (int i = 1; i < argc;
         i++) /* the kernel hands on what it does not know, NAME=VALUE in the environment */
        if (strcmp(argv[i], "noheartbeat") == 0)
            beat = 0;
    if (getenv("say"))
        speak(getenv("say"));
    if (beat)
        heartbeat();
    printf("agent: ready\n");
    for (;;) {
        if (poll(p, 3, -1) < 0)
            continue;
        for (int i = 0; i < 3; i++) {
            int fd = p[i].revents ? accept(p[i].fd, NULL, NULL) : -1;
            if (fd < 0)
                continue;
            if (fork() == 0) {
                if (port[i] == ECHO)
                    echo_all(fd);
                else if (port[i] == CONTROL)
                    control(fd);
                else
                    pause();
                _exit(0);
            }
            close(fd);
        }
    }
}
