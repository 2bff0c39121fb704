/* The wrapped calls. Linked with --wrap into a build of a program for tests, its static OpenSSL,
 * libuv and C library included; no program that ships contains any of it. The counters are shared
 * with the test by memory, because a confined process could not open a file to look what to do
 * next. */
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define WRAP(type, name, ...)                                                                      \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

/* Sanitizers tell more themselves. */
#if defined(__x86_64__) && !defined(INJECT_SANITIZED)
#define CRASHES_TOLD 1
#else
#define CRASHES_TOLD 0
#endif

static struct inject_block none;
static struct inject_block *block = &none;

static uint64_t get(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static uint64_t mix(uint64_t x) /* splitmix64's last steps */
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* True: this call is to fail, and errno says how. */
static bool fails(enum inject_kind kind)
{
    struct inject_order *o = &block->order[kind];
    uint64_t n = __atomic_add_fetch(&o->calls, 1, __ATOMIC_RELAXED);
    uint64_t at = get(&o->at), every = get(&o->every), error = get(&o->error);
    bool in_row = at > 0 && n >= at && n - at < get(&o->count);

    if (!in_row && (every == 0 || mix(n ^ get(&block->seed)) % every != 0))
        return false;
    __atomic_add_fetch(&o->fired, 1, __ATOMIC_RELAXED);
    errno = error ? (int)error : ENOMEM;
    return true;
}

static bool is_stream(int fd)
{
    int kind = 0;
    socklen_t len = sizeof kind;
    struct stat st;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &len) == 0)
        return kind == SOCK_STREAM;
    return fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode));
}

/* Not of a packet, nor of an event counter, which takes and gives eight bytes or none. */
static bool is_short(int fd, size_t n)
{
    return n > 1 && get(&block->order[INJECT_SHORT].every) && is_stream(fd) && fails(INJECT_SHORT);
}

#if CRASHES_TOLD
extern const char __ehdr_start, etext;

static void say(uintptr_t at)
{
    char line[32];

    (void)!write(STDERR_FILENO, line,
                 (size_t)snprintf(line, sizeof line, "at 0x%zx\n", at - (uintptr_t)&__ehdr_start));
}

/* Where it crashed, in its log, as addr2line takes it: there is no core of a hardened process.
 * Whatever on the stack looks like a way back is told, which asks for no memory as an unwinder
 * would. */
static void crashed(int signo, siginfo_t *info, void *context)
{
    const ucontext_t *c = context;
    uintptr_t at = (uintptr_t)c->uc_mcontext.gregs[REG_RIP];
    const uintptr_t *sp = (const uintptr_t *)c->uc_mcontext.gregs[REG_RSP];
    (void)info;

    say(at);
    for (int i = 0, told = 0; i < 200 && told < 40; i++) {
        if (sp[i] > (uintptr_t)&__ehdr_start && sp[i] < (uintptr_t)&etext) {
            say(sp[i]);
            told++;
        }
    }
    (void)signal(signo, SIG_DFL);
    (void)raise(signo);
}

/* A stack of its own: what crashes may have used up the other one. */
static void stand_by(void)
{
    static __thread char room[16384];
    const stack_t aside = { .ss_sp = room, .ss_size = sizeof room };
    const struct sigaction how = { .sa_sigaction = crashed, .sa_flags = SA_SIGINFO | SA_ONSTACK };

    (void)sigaltstack(&aside, NULL);
    (void)sigaction(SIGSEGV, &how, NULL);
    (void)sigaction(SIGABRT, &how, NULL);
}
#else
static void stand_by(void)
{
}
#endif

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("NITROSEAL_INJECT");
    struct stat st;
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

    if (!path)
        return;
    void *p = fd >= 0 && fstat(fd, &st) == 0 && (size_t)st.st_size >= sizeof *block
                  ? mmap(NULL, sizeof *block, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                  : MAP_FAILED;
    if (p == MAP_FAILED || ((struct inject_block *)p)->magic != INJECT_MAGIC ||
        ((struct inject_block *)p)->kinds != INJECT_KINDS) {
        (void)fprintf(stderr, "NITROSEAL_INJECT=%s is no block of this build\n", path);
        _exit(99);
    }
    close(fd);
    stand_by();
    block = p;
}

/* --- memory --- */

static void *counted(void *p)
{
    if (p)
        __atomic_add_fetch(&block->live, 1, __ATOMIC_RELAXED);
    return p;
}

WRAP(void *, malloc, size_t n)
{
    return fails(INJECT_ALLOC) ? NULL : counted(__real_malloc(n));
}

WRAP(void *, calloc, size_t n, size_t size)
{
    return fails(INJECT_ALLOC) ? NULL : counted(__real_calloc(n, size));
}

WRAP(void *, realloc, void *p, size_t n)
{
    if (n > 0 && fails(INJECT_ALLOC))
        return NULL;
    if (p && n == 0)
        __atomic_sub_fetch(&block->live, 1, __ATOMIC_RELAXED);
    void *moved = __real_realloc(p, n);
    return p ? moved : counted(moved);
}

WRAP(int, posix_memalign, void **out, size_t align, size_t n)
{
    if (fails(INJECT_ALLOC))
        return ENOMEM;
    int e = __real_posix_memalign(out, align, n);
    if (e == 0)
        (void)counted(*out);
    return e;
}

WRAP(void *, aligned_alloc, size_t align, size_t n)
{
    return fails(INJECT_ALLOC) ? NULL : counted(__real_aligned_alloc(align, n));
}

WRAP(void, free, void *p)
{
    if (p)
        __atomic_sub_fetch(&block->live, 1, __ATOMIC_RELAXED);
    __real_free(p);
}

WRAP(void *, mmap, void *at, size_t n, int prot, int flags, int fd, off_t from)
{
    return block != &none && fails(INJECT_MAP) ? MAP_FAILED
                                               : __real_mmap(at, n, prot, flags, fd, from);
}

WRAP(void *, mmap64, void *at, size_t n, int prot, int flags, int fd, off_t from)
{
    return fails(INJECT_MAP) ? MAP_FAILED : __real_mmap64(at, n, prot, flags, fd, from);
}

struct thread_begin {
    void *(*fn)(void *);
    void *arg;
    sigset_t mask;
};

static void *thread_main(void *arg)
{
    struct thread_begin b = *(struct thread_begin *)arg;

    __real_free(arg);
    (void)sigdelset(&b.mask, SIGSEGV);
    (void)sigdelset(&b.mask, SIGABRT);
    (void)pthread_sigmask(SIG_SETMASK, &b.mask, NULL);
    stand_by();
    return b.fn(b.arg);
}

WRAP(int, pthread_create, pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    struct thread_begin *b = fails(INJECT_THREAD) ? NULL : __real_malloc(sizeof *b);

    if (!b)
        return EAGAIN;
    *b = (struct thread_begin){ .fn = fn, .arg = arg };
    (void)pthread_sigmask(SIG_SETMASK, NULL, &b->mask);
    int e = __real_pthread_create(t, attr, thread_main, b);
    if (e != 0)
        __real_free(b);
    return e;
}

/* --- bytes --- */

WRAP(ssize_t, recv, int fd, void *to, size_t n, int flags)
{
    if (fails(INJECT_RECV))
        return -1;
    return __real_recv(fd, to, is_short(fd, n) ? 1 : n, flags);
}

WRAP(ssize_t, recvfrom, int fd, void *to, size_t n, int flags, struct sockaddr *from,
     socklen_t *len)
{
    return fails(INJECT_RECV) ? -1 : __real_recvfrom(fd, to, n, flags, from, len);
}

WRAP(ssize_t, recvmsg, int fd, struct msghdr *m, int flags)
{
    return fails(INJECT_RECV) ? -1 : __real_recvmsg(fd, m, flags);
}

WRAP(ssize_t, send, int fd, const void *from, size_t n, int flags)
{
    if (fails(INJECT_SEND))
        return -1;
    return __real_send(fd, from, is_short(fd, n) ? 1 : n, flags);
}

WRAP(ssize_t, sendto, int fd, const void *from, size_t n, int flags, const struct sockaddr *to,
     socklen_t len)
{
    return fails(INJECT_SEND) ? -1 : __real_sendto(fd, from, n, flags, to, len);
}

WRAP(ssize_t, sendmsg, int fd, const struct msghdr *m, int flags)
{
    if (fails(INJECT_SEND))
        return -1;
    if (m->msg_iovlen == 0 || !is_short(fd, m->msg_iov[0].iov_len))
        return __real_sendmsg(fd, m, flags);
    struct iovec one = { .iov_base = m->msg_iov[0].iov_base, .iov_len = 1 };
    struct msghdr less = *m;
    less.msg_iov = &one;
    less.msg_iovlen = 1;
    return __real_sendmsg(fd, &less, flags);
}

WRAP(ssize_t, read, int fd, void *to, size_t n)
{
    return fails(INJECT_FILE) ? -1 : __real_read(fd, to, is_short(fd, n) ? 1 : n);
}

WRAP(ssize_t, write, int fd, const void *from, size_t n)
{
    return fails(INJECT_FILE) ? -1 : __real_write(fd, from, is_short(fd, n) ? 1 : n);
}

WRAP(ssize_t, readv, int fd, const struct iovec *iov, int n)
{
    return fails(INJECT_FILE) ? -1 : __real_readv(fd, iov, n);
}

WRAP(ssize_t, writev, int fd, const struct iovec *iov, int n)
{
    return fails(INJECT_FILE) ? -1 : __real_writev(fd, iov, n);
}

/* --- descriptors --- */

WRAP(int, accept4, int fd, struct sockaddr *at, socklen_t *len, int flags)
{
    return fails(INJECT_ACCEPT) ? -1 : __real_accept4(fd, at, len, flags);
}

WRAP(int, connect, int fd, const struct sockaddr *to, socklen_t len)
{
    return fails(INJECT_CONNECT) ? -1 : __real_connect(fd, to, len);
}

WRAP(int, socket, int family, int kind, int protocol)
{
    return fails(INJECT_SOCKET) ? -1 : __real_socket(family, kind, protocol);
}

static unsigned mode_of(int flags, va_list *ap)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(*ap, unsigned) : 0;
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    va_list ap;

    va_start(ap, flags);
    unsigned mode = mode_of(flags, &ap);
    va_end(ap);
    return fails(INJECT_OPEN) ? -1 : __real_open64(path, flags, mode);
}

/* --- waiting --- */

WRAP(int, poll, struct pollfd *p, nfds_t n, int ms)
{
    return fails(INJECT_WAIT) ? -1 : __real_poll(p, n, ms);
}

WRAP(int, ppoll, struct pollfd *p, nfds_t n, const struct timespec *left, const sigset_t *mask)
{
    return fails(INJECT_WAIT) ? -1 : __real_ppoll(p, n, left, mask);
}

WRAP(int, epoll_wait, int fd, struct epoll_event *to, int n, int ms)
{
    return fails(INJECT_WAIT) ? -1 : __real_epoll_wait(fd, to, n, ms);
}

WRAP(int, epoll_pwait, int fd, struct epoll_event *to, int n, int ms, const sigset_t *mask)
{
    return fails(INJECT_WAIT) ? -1 : __real_epoll_pwait(fd, to, n, ms, mask);
}

/* --- chance and time --- */

WRAP(ssize_t, getrandom, void *to, size_t n, unsigned flags)
{
    return fails(INJECT_RANDOM) ? -1 : __real_getrandom(to, n, flags);
}

WRAP(int, getentropy, void *to, size_t n)
{
    return fails(INJECT_RANDOM) ? -1 : __real_getentropy(to, n);
}

WRAP(int, clock_gettime, clockid_t id, struct timespec *out)
{
    int e = __real_clock_gettime(id, out);

    if (e != 0)
        return e;
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) {
        out->tv_sec += (time_t)(int64_t)get(&block->wall_s);
    } else {
        uint64_t ns = (uint64_t)out->tv_nsec + get(&block->mono_ns);
        out->tv_sec += (time_t)(ns / 1000000000);
        out->tv_nsec = (long)(ns % 1000000000);
    }
    return 0;
}

WRAP(time_t, time, time_t *out)
{
    time_t now = __real_time(NULL) + (time_t)(int64_t)get(&block->wall_s);

    if (out)
        *out = now;
    return now;
}

WRAP(int, gettimeofday, struct timeval *out, void *zone)
{
    int e = __real_gettimeofday(out, zone);

    if (e == 0)
        out->tv_sec += (time_t)(int64_t)get(&block->wall_s);
    return e;
}
