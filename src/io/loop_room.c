/* What libuv ends the process for want of: descriptors of its first loop, memory for its table of
 * watched descriptors. Both are had before it asks, and their lack is an error of ours. */
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io/loop_in.h"

enum { OWN_FILES = 6 /* epoll, eventfd, a pipe of the process for signals and one of the loop */ };

/* Handed out to the next that asks for no more than it has. */
static _Thread_local void *kept;
static _Thread_local size_t kept_bytes;

static void *resize(void *p, size_t n)
{
    if (!kept || n > kept_bytes) /* libuv asks for no 0 bytes */
        return realloc(p, n);
    void *given = kept;
    kept = NULL;
    if (p) {
        size_t had = malloc_usable_size(p);
        memcpy(given, p, had < n ? had : n);
        free(p);
    }
    return given;
}

static void take_over(void)
{
    (void)uv_replace_allocator(malloc, resize, calloc, free); /* fails for NULL only */
}

enum err loop_room_keep(unsigned files)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    size_t places = 1;

    (void)pthread_once(&once, take_over);
    while (places < (size_t)files + 2) /* as libuv counts: two more, then a power of two */
        places *= 2;
    kept_bytes = places * sizeof(void *);
    kept = malloc(kept_bytes);
    return kept ? ERR_OK : ERR_NOMEM;
}

void loop_room_drop(void)
{
    free(kept);
    kept = NULL;
}

enum err loop_room_files(void)
{
    int fds[OWN_FILES];
    bool all = true;

    for (size_t i = 0; i < OWN_FILES; i++) {
        fds[i] = eventfd(0, EFD_CLOEXEC);
        all = all && fds[i] >= 0;
    }
    for (size_t i = 0; i < OWN_FILES; i++)
        fd_close(&fds[i]);
    return all ? ERR_OK : ERR_IO;
}

static void never(void *arg)
{
    (void)arg;
}

/* The highest descriptor that there can be, for a moment. */
static int highest(unsigned files)
{
    AUTO(fd_close) int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct rlimit now;

    if (event < 0 || files == 0 || getrlimit(RLIMIT_NOFILE, &now) != 0)
        return -1;
    if (files > now.rlim_cur)
        files = (unsigned)now.rlim_cur;
    return fcntl(event, F_DUPFD_CLOEXEC, (int)files - 1);
}

enum err loop_reserve(struct loop *l, unsigned files)
{
    AUTO(fd_close) int fd = highest(files);
    struct loop_watch *w;

    if (fd < 0)
        return ERR_IO;
    enum err r = loop_room_keep((unsigned)fd + 1);
    if (r == ERR_OK)
        r = loop_watch_new(l, fd, never, NULL, &w);
    if (r == ERR_OK)
        loop_watch_free(w);
    loop_room_drop();
    return r;
}
