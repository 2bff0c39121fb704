/* What the image says about its service. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bin/nitroseal-init/init.h"
#include "io/sys.h"

/* *there: false, and an empty `out`, without the file. It is removed once it was read. */
static enum err take(const char *path, struct buf *out, bool *there, struct fault *f)
{
    buf_reset(out);
    f->name = path;
    *there = access(path, F_OK) == 0;
    if (!*there)
        return errno == ENOENT ? ERR_OK : fault_errno(f, path);
    enum err r = file_read(path, out, &f->why);
    if (r == ERR_OK && unlink(path) != 0)
        r = fault_errno(f, path);
    return r;
}

static enum err read_settings(struct image *im, struct buf *file, struct fault *f)
{
    bool there;

    enum err r = take("/init.conf", file, &there, f);
    if (r == ERR_OK)
        r = boot_conf_parse(buf_view(file), &im->conf, &f->why);
    if (r == ERR_OK)
        r = take("/workdir", file, &there, f);
    im->workdir[0] = '/';
    if (r == ERR_OK && there)
        r = boot_workdir_parse(buf_view(file), im->workdir, &f->why);
    if (r == ERR_OK)
        r = take("/user", file, &im->has_user, f);
    if (r == ERR_OK && im->has_user)
        r = boot_user_parse(buf_view(file), &im->user, &f->why);
    return r;
}

enum err image_read(struct image *im, struct fault *f)
{
    AUTO(buf_clear) struct buf file = BUF_INIT(BOOT_FILE_MAX);
    bool there;

    enum err r = read_settings(im, &file, f);
    if (r == ERR_OK)
        r = take("/env", &file, &there, f);
    if (r == ERR_OK)
        r = boot_env_parse(buf_view(&file), &im->env, &f->why);
    if (r == ERR_OK)
        r = take("/cmd", &file, &there, f);
    if (r == ERR_OK && !there)
        r = fault_at(f, "/cmd", ERR_IO, "the image has none: it names the program to start");
    if (r == ERR_OK)
        r = boot_cmd_parse(buf_view(&file), &im->cmd, &f->why);
    return r;
}

static bool is_program(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111) != 0;
}

enum err image_program(struct image *im, struct fault *f)
{
    const char *path = boot_env_get(&im->env, "PATH"), *name = im->cmd.ptr[0];
    enum err r = ERR_OK;

    for (unsigned n = 0; r != ERR_MORE; n++) {
        r = boot_candidate(path, name, n, im->program);
        if (r == ERR_OK && is_program(im->program))
            return ERR_OK;
    }
    return fault_at(f, name, ERR_IO,
                    strchr(name, '/') ? "no such program, or not executable"
                                      : "no such program in PATH, or not executable");
}
