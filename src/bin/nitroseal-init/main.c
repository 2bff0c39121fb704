/* nitroseal-init - PID 1 of an enclave: prepares the machine, enters the image's root, starts the
 * service and watches it; when that ends, or anything fails, the enclave ends with a reason on the
 * console. Source: enclave-init reference, sections 1, 2, 4, 8 and 10. */
#include <errno.h>
#include <linux/reboot.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bin/common/options.h"
#include "bin/nitroseal-init/init.h"
#include "io/sys.h"

enum { EXIT_USAGE = 2 };
enum { LAST_WORDS_S = 1 }; /* an emulated serial port is slow, and a reboot does not wait for it */

enum err fault_at(struct fault *f, const char *name, enum err r, const char *what)
{
    f->name = name;
    return why_fail(&f->why, r, what, 0);
}

enum err fault_errno(struct fault *f, const char *name)
{
    return fault_at(f, name, ERR_IO, errno_what(errno));
}

/* A panic would be the end as well, but half a minute later and without a word. */
static _Noreturn void end(void)
{
    sync();
    (void)sleep(LAST_WORDS_S);
    (void)reboot(RB_AUTOBOOT);
    for (;;)
        (void)pause();
}

static enum err prepare(struct image *im, struct fault *f)
{
    enum err r = machine_dev(f);

    machine_console(); /* before a failure of the former is told */
    if (r == ERR_OK)
        r = machine_nsm_module(f);
    if (r == ERR_OK)
        r = machine_loopback(f);
    if (r == ERR_OK)
        r = machine_entropy(f);
    if (r == ERR_OK)
        r = image_read(im, f);
    if (r == ERR_OK && im->conf.heartbeat_early)
        r = heartbeat_send(f);
    if (r == ERR_OK)
        r = root_enter(f);
    if (r == ERR_OK)
        r = root_mounts(f);
    return r;
}

static enum err start(struct image *im, struct fault *f)
{
    if (chdir(im->workdir) != 0)
        return fault_errno(f, im->workdir);
    enum err r = image_program(im, f);
    if (r == ERR_OK && !im->conf.heartbeat_early)
        r = heartbeat_send(f);
    return r == ERR_OK ? service_watch(im, f) : r;
}

/* Anywhere but in an enclave this only explains itself. */
static int explain(int argc, char **argv)
{
    static const struct option_def none[] = { { 0 } };
    static const struct program_def program = {
        .name = "nitroseal-init",
        .synopsis = "",
        .summary =
            "The first process (PID 1) of an enclave image: seeds the kernel from the NSM, enters "
            "/rootfs, tells the parent, starts /cmd and watches it. Not a command.",
        .options = none,
        .footer = "Its settings are files of the image: see nitroseal-init(8).",
    };
    struct options o;
    int status = options_parse(&program, argc, argv, &o);

    if (status >= 0)
        return status;
    complain(&o, "this is the first process of an enclave, not a command");
    return EXIT_USAGE;
}

/* Arguments are words of the kernel's command line that it did not know ("nomodules" in AWS's). */
int main(int argc, char **argv)
{
    static struct image im;
    struct fault f = { 0 };
    sigset_t all;

    if (getpid() != 1)
        return explain(argc, argv);
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL); /* waited for, never delivered */
    (void)clearenv();
    (void)umask(022);
    log_init("nitroseal-init", LOG_INFO);

    enum err r = prepare(&im, &f);
    if (r == ERR_OK)
        r = start(&im, &f);
    if (r != ERR_OK)
        log_event(LOG_ERROR, "the enclave ends", LOG_STR("at", f.name ? f.name : "init"),
                  LOG_STR("why", f.why.what ? f.why.what : err_name(r)), LOG_INT("byte", f.why.at));
    end();
}
