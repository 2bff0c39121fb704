#include "io/confine.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/sys.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#ifdef __x86_64__
#define OUR_ARCH AUDIT_ARCH_X86_64
#else
#define OUR_ARCH AUDIT_ARCH_AARCH64
#endif

enum {
    X32_BIT = 0x40000000,          /* __X32_SYSCALL_BIT */
    NSM_REQUEST = (int)0xc0200a00, /* _IOWR(0x0a, 0, 32 bytes): nsm_dev.c */
    PROGRAM_MAX = 256,
};

/* As they are, whatever their arguments. */
static const unsigned allowed[] = {
    SYS_accept4,
    SYS_brk,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_close,
    SYS_connect,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_eventfd2,
    SYS_exit,
    SYS_exit_group,
    SYS_fcntl,
    SYS_fstat,
    SYS_futex,
    SYS_getpid,
    SYS_getpeername,
    SYS_getrandom,
    SYS_getsockname,
    SYS_getsockopt,
    SYS_gettid,
    SYS_gettimeofday,
    SYS_lseek,
    SYS_madvise,
    SYS_mlock,
    SYS_mlock2,
    SYS_mremap,
    SYS_munlock,
    SYS_munmap,
    SYS_nanosleep,
    SYS_ppoll,
    SYS_read,
    SYS_readv,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_restart_syscall,
    SYS_rseq,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sched_getaffinity,
    SYS_sched_yield,
    SYS_sendmsg,
    SYS_sendto,
    SYS_set_robust_list,
    SYS_setsockopt,
    SYS_shutdown,
    SYS_sigaltstack,
    SYS_tgkill,
    SYS_write,
    SYS_writev,
#ifdef SYS_epoll_wait
    SYS_epoll_wait,
#endif
#ifdef SYS_poll
    SYS_poll,
#endif
};

/* To look at the socket's file and to remove it, at the end. */
static const unsigned removing[] = {
    SYS_newfstatat,
    SYS_unlinkat,
#ifdef SYS_unlink
    SYS_unlink,
#endif
};

struct program {
    struct sock_filter at[PROGRAM_MAX];
    unsigned short n;
};

static void emit(struct program *p, struct sock_filter f)
{
    if (p->n < PROGRAM_MAX)
        p->at[p->n++] = f;
}

static void load(struct program *p, size_t offset)
{
    emit(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offset));
}

static void give(struct program *p, unsigned action)
{
    emit(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

/* The low half of an argument: every one that we look at fits into it, and the kernel takes no more
 * of these either. */
static size_t argument(unsigned i)
{
    return offsetof(struct seccomp_data, args) + 8 * (size_t)i; /* little-endian, both machines */
}

static void allow(struct program *p, unsigned nr)
{
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1));
    give(p, SECCOMP_RET_ALLOW);
}

/* Call `nr` with one of two values of an argument. */
static void allow_values(struct program *p, unsigned nr, unsigned arg, unsigned a, unsigned b)
{
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 5));
    load(p, argument(arg));
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, a, 1, 0));
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, b, 0, 1));
    give(p, SECCOMP_RET_ALLOW);
    give(p, SECCOMP_RET_ERRNO | EPERM);
}

/* Call `nr` only where the argument has (set) or has not (!set) any of these bits. */
static void allow_bits(struct program *p, unsigned nr, unsigned arg, unsigned bits, bool set)
{
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 4));
    load(p, argument(arg));
    emit(p,
         (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, set ? 0 : 1, set ? 1 : 0));
    give(p, SECCOMP_RET_ALLOW);
    give(p, SECCOMP_RET_ERRNO | EPERM);
}

static void write_filter(const struct confine_options *o, struct program *p)
{
    load(p, offsetof(struct seccomp_data, arch));
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0));
    give(p, SECCOMP_RET_KILL_PROCESS);
    load(p, offsetof(struct seccomp_data, nr));
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1));
    give(p, SECCOMP_RET_KILL_PROCESS);
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        allow(p, allowed[i]);
    for (size_t i = 0; o->unix_sockets && i < sizeof removing / sizeof removing[0]; i++)
        allow(p, removing[i]);
    allow_values(p, SYS_socket, 0, AF_UNIX, AF_VSOCK);
    allow_values(p, SYS_ioctl, 1, FIONBIO, (unsigned)NSM_REQUEST);
    allow_bits(p, SYS_mmap, 2, PROT_EXEC, false);
    allow_bits(p, SYS_mprotect, 2, PROT_EXEC, false);
    allow_bits(p, SYS_clone, 0, CLONE_THREAD, true);
    /* Its flags are in memory, where a filter cannot look; the C library then takes clone. */
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1));
    give(p, SECCOMP_RET_ERRNO | ENOSYS);
    give(p, SECCOMP_RET_ERRNO | EPERM);
}

enum err confine_files(unsigned max, struct why *why)
{
    struct rlimit now;

    if (max == 0)
        return ERR_OK;
    if (getrlimit(RLIMIT_NOFILE, &now) != 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    if (now.rlim_max > max)
        now.rlim_max = max;
    now.rlim_cur = now.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &now) == 0 ? ERR_OK
                                               : why_fail(why, ERR_IO, errno_what(errno), 0);
}

enum err confine(const struct confine_options *o, struct why *why)
{
    struct program p = { .n = 0 };

    if (SANITIZED)
        return why_fail(why, ERR_UNSUPPORTED, "a sanitizer needs more system calls", 0);
    write_filter(o, &p);
    if (p.n == PROGRAM_MAX)
        return why_fail(why, ERR_INTERNAL, "filter too long", 0);
    enum err r = confine_files(o->files_max, why);
    if (r != ERR_OK)
        return r;
    const struct sock_fprog filter = { .len = p.n, .filter = p.at };
    /* The threads that are there already get it too, or nobody does. */
    long other = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
    if (other == 0)
        return ERR_OK;
    if (other > 0) /* a thread's id: it has a filter of its own, and errno says nothing */
        return why_fail(why, ERR_IO, "a thread cannot take the filter", 0);
    return errno == ENOSYS || errno == EINVAL
               ? why_fail(why, ERR_UNSUPPORTED, "the kernel has no seccomp filters", 0)
               : why_fail(why, ERR_IO, errno_what(errno), 0);
}
