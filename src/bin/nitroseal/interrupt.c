#include "bin/nitroseal/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static int pipe_ends[2] = { -1, -1 };
static volatile sig_atomic_t came;

static void note(int signo)
{
    int e = errno;

    (void)signo;
    came = 1;
    ssize_t n = write(pipe_ends[1], "", 1);
    (void)n;
    errno = e;
}

bool interrupt_catch(void)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction act = { .sa_handler = note, .sa_flags = (int)SA_RESETHAND };
    struct sigaction old;

    if (pipe_ends[0] >= 0)
        return true;
    if (pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return false;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            (void)sigaction(signals[i], &act, NULL);
    return true;
}

bool interrupt_came(void)
{
    return came != 0;
}

int interrupt_fd(void)
{
    return pipe_ends[0];
}
