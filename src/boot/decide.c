/* What is done when the service ended. */
#include <sys/wait.h>

#include "boot/boot.h"

struct boot_end boot_end_of(int wait_status)
{
    if (WIFSIGNALED(wait_status))
        return (struct boot_end){ .signalled = true, .number = WTERMSIG(wait_status) };
    return (struct boot_end){ .number = WEXITSTATUS(wait_status) };
}

struct boot_next boot_next_of(const struct boot_conf *conf, uint64_t lived_ms, unsigned *row)
{
    if (!conf->restart)
        return (struct boot_next){ .restart = false };
    if (lived_ms >= BOOT_STEADY_MS)
        *row = 0;
    if (*row >= BOOT_RESTARTS_MAX)
        return (struct boot_next){ .restart = false };
    unsigned pause_ms = (unsigned)BOOT_RESTART_FIRST_MS << *row;
    *row += 1;
    return (struct boot_next){
        .restart = true,
        .pause_ms = pause_ms < BOOT_RESTART_LONGEST_MS ? pause_ms : BOOT_RESTART_LONGEST_MS,
    };
}
