/* The image's root becomes ours, with the mounts and links that AWS's init makes (enclave-init
 * reference, section 2). */
#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bin/nitroseal-init/init.h"
#include "io/sys.h"

#define QUIET (MS_NODEV | MS_NOSUID | MS_NOEXEC)

/* pivot_root(2) does not work on the initial root file system: hence bind, move, chroot. */
enum err root_enter(struct fault *f)
{
    if (mount("/rootfs", "/rootfs", NULL, MS_BIND, NULL) != 0 || chdir("/rootfs") != 0 ||
        mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 || chdir("/") != 0)
        return fault_errno(f, "/rootfs");
    return ERR_OK;
}

static enum err make_folder(const char *path, struct fault *f)
{
    return mkdir(path, 0755) == 0 || errno == EEXIST ? ERR_OK : fault_errno(f, path);
}

static enum err mount_one(const char *what, const char *path, const char *type, unsigned long flags,
                          const char *data, struct fault *f)
{
    enum err r = make_folder(path, f);

    if (r == ERR_OK && mount(what, path, type, flags, data) != 0 && errno != EBUSY)
        r = fault_errno(f, path);
    return r;
}

static enum err make_links(struct fault *f)
{
    static const struct link {
        const char *to, *at;
    } links[] = {
        { "/proc/self/fd", "/dev/fd" },
        { "/proc/self/fd/0", "/dev/stdin" },
        { "/proc/self/fd/1", "/dev/stdout" },
        { "/proc/self/fd/2", "/dev/stderr" },
    };

    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (symlink(links[i].to, links[i].at) != 0 && errno != EEXIST)
            return fault_errno(f, links[i].at);
    return ERR_OK;
}

/* Control groups of version 1, for every controller that the kernel has; ours has none. */
static enum err mount_cgroups(struct fault *f)
{
    static struct boot_cgroups groups; /* static: a fault may name a path of it */
    static char path[sizeof "/sys/fs/cgroup/" + BOOT_CGROUP_NAME_MAX];
    AUTO(buf_clear) struct buf list = BUF_INIT(BOOT_FILE_MAX);

    if (access("/proc/cgroups", F_OK) != 0)
        return ERR_OK;
    f->name = "/proc/cgroups";
    enum err r = file_read("/proc/cgroups", &list, &f->why);
    if (r == ERR_OK)
        r = boot_cgroups_parse(buf_view(&list), &groups, &f->why);
    if (r == ERR_OK && groups.n > 0)
        r = mount_one("cgroup_root", "/sys/fs/cgroup", "tmpfs", QUIET, "mode=0755", f);
    for (unsigned i = 0; r == ERR_OK && i < groups.n; i++) {
        (void)snprintf(path, sizeof path, "/sys/fs/cgroup/%s", groups.name[i]);
        r = mount_one(groups.name[i], path, "cgroup", QUIET, groups.name[i], f);
    }
    return r;
}

enum err root_mounts(struct fault *f)
{
    static const struct entry {
        const char *what, *path, *type;
        unsigned long flags;
        const char *data;
    } entries[] = {
        { "dev", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, NULL },
        { "proc", "/proc", "proc", QUIET, NULL },
        { "tmpfs", "/run", "tmpfs", QUIET, "mode=0755" },
        { "tmpfs", "/tmp", "tmpfs", QUIET, NULL },
        { "shm", "/dev/shm", "tmpfs", QUIET, NULL },
        { "devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, NULL },
        { "sysfs", "/sys", "sysfs", QUIET, NULL },
    };
    enum err r = ERR_OK;

    for (size_t i = 0; r == ERR_OK && i < sizeof entries / sizeof *entries; i++)
        r = mount_one(entries[i].what, entries[i].path, entries[i].type, entries[i].flags,
                      entries[i].data, f);
    if (r == ERR_OK)
        r = make_links(f);
    return r == ERR_OK ? mount_cgroups(f) : r;
}
