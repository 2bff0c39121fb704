/* What the kernel gives, made ready. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bin/common/entropy.h"
#include "bin/nitroseal-init/init.h"
#include "io/sys.h"
#include "nsm/nsm.h"

#define NSM_MODULE "/nsm.ko"
#define NSM_DEVICE "/dev/nsm"

enum err machine_dev(struct fault *f)
{
    if (mount("dev", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, NULL) != 0 && errno != EBUSY)
        return fault_errno(f, "/dev");
    return ERR_OK;
}

/* A production kernel has no console. Then descriptors 0 to 2 are still something, or the first
 * file that the service opens would become its standard error. */
void machine_console(void)
{
    int fd = open("/dev/console", O_RDWR | O_NOCTTY);

    if (fd < 0)
        fd = open("/dev/null", O_RDWR);
    if (fd < 0)
        return;
    for (int to = STDIN_FILENO; to <= STDERR_FILENO; to++)
        if (to != fd)
            (void)dup2(fd, to);
    if (fd > STDERR_FILENO)
        (void)close(fd);
}

enum err machine_nsm_module(struct fault *f)
{
    AUTO(fd_close) int fd = open(NSM_MODULE, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? ERR_OK : fault_errno(f, NSM_MODULE);
    if (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST)
        return fault_errno(f, NSM_MODULE);
    log_event(LOG_INFO, "module loaded", LOG_STR("file", NSM_MODULE));
    return unlink(NSM_MODULE) == 0 ? ERR_OK : fault_errno(f, NSM_MODULE);
}

/* The kernel gives lo its 127.0.0.1 when it goes up. */
enum err machine_loopback(struct fault *f)
{
    struct ifreq rq = { .ifr_name = "lo" };
    AUTO(fd_close) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 && errno == EAFNOSUPPORT) {
        log_event(LOG_INFO, "no loopback interface", LOG_STR("why", "this kernel has no IPv4"));
        return ERR_OK;
    }
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &rq) != 0)
        return fault_errno(f, "loopback interface");
    rq.ifr_flags = (short)(rq.ifr_flags | IFF_UP);
    return ioctl(fd, SIOCSIFFLAGS, &rq) == 0 ? ERR_OK : fault_errno(f, "loopback interface");
}

enum err machine_entropy(struct fault *f)
{
    struct nsm_dev *nsm = NULL;

    f->name = NSM_DEVICE;
    enum err r = nsm_dev_open(NSM_DEVICE, &nsm, &f->why);
    if (r == ERR_OK)
        r = entropy_seed(nsm, &f->why);
    nsm_dev_close(nsm);
    if (r == ERR_OK)
        log_event(LOG_INFO, "entropy of the NSM mixed in", LOG_INT("bytes", NSM_RANDOM_BYTES));
    return r;
}
