/* inject.h - faults of the system, on order: what the wrapped calls of a test build look at.
 *
 * The block is a file that the test has made and maps too: NITROSEAL_INJECT names it. All numbers
 * are 64 bits, of this machine's order; tests/e2e/injected.py knows the same layout. Without the
 * file nothing fails.
 */
#ifndef TESTS_INJECT_INJECT_H
#define TESTS_INJECT_INJECT_H

#include <stdint.h>

#define INJECT_MAGIC UINT64_C(0x31746365636a6e69)

enum inject_kind {               /* in the order of the block */
                   INJECT_ALLOC, /* malloc, calloc, realloc, posix_memalign, aligned_alloc */
                   INJECT_MAP,   /* mmap */
                   INJECT_RECV,  /* recv, recvmsg, recvfrom */
                   INJECT_SEND,  /* send, sendto, sendmsg */
                   INJECT_FILE,  /* read, write, readv, writev */
                   INJECT_SHORT, /* no error: one byte only, of any of these that is a stream */
                   INJECT_WAIT,  /* poll, ppoll, epoll_wait, epoll_pwait */
                   INJECT_ACCEPT,
                   INJECT_CONNECT,
                   INJECT_SOCKET,
                   INJECT_RANDOM, /* getrandom, getentropy */
                   INJECT_THREAD, /* pthread_create */
                   INJECT_OPEN,
                   INJECT_KINDS,
};

struct inject_order {
    uint64_t calls;     /* counted from the start */
    uint64_t at, count; /* at > 0: calls number at, at + 1, ... at + count - 1 fail */
    uint64_t every;     /* > 0: one in so many fails, by chance */
    uint64_t error;     /* errno; 0: ENOMEM */
    uint64_t fired;
};

struct inject_block {
    uint64_t magic, seed;
    uint64_t wall_s;  /* added to wall time, as int64_t */
    uint64_t mono_ns; /* added to monotonic time: may only grow */
    uint64_t live;    /* blocks that were allocated and not freed */
    uint64_t kinds;
    struct inject_order order[INJECT_KINDS];
};

#endif
