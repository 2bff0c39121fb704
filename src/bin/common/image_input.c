#include "bin/common/image_input.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/boot.h"
#include "image/unpack.h"
#include "io/sys.h"

enum { FOLDER_MODE = 0755, PROGRAM_MODE = 0755, FILE_MODE = 0644 };

bool image_fault_set(struct image_fault *f, enum image_fault_kind kind, const char *subject,
                     const char *fmt, ...)
{
    va_list ap;

    f->kind = kind;
    snprintf(f->subject, sizeof f->subject, "%s", subject);
    va_start(ap, fmt);
    vsnprintf(f->what, sizeof f->what, fmt, ap);
    va_end(ap);
    return false;
}

bool image_fault_entry(struct image_fault *f, enum err r, const char *subject,
                       const struct tree_why *why)
{
    enum image_fault_kind kind = r == ERR_NOMEM || r == ERR_CRYPTO || r == ERR_INTERNAL
                                     ? IMAGE_FAULT_INTERNAL
                                 : r == ERR_IO ? IMAGE_FAULT_FILE
                                               : IMAGE_FAULT_CONTENT;

    return why->path[0] ? image_fault_set(f, kind, subject, "%s: %s", why->path, why->what)
                        : image_fault_set(f, kind, subject, "%s", why->what);
}

bool image_file(const char *path, size_t max, struct buf *out, struct image_fault *f)
{
    AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct why why = { 0 };
    struct stat st;
    uint8_t *room;

    if (fd < 0 || fstat(fd, &st) != 0)
        return image_fault_set(f, IMAGE_FAULT_FILE, path, "%s", errno_what(errno));
    if (S_ISDIR(st.st_mode))
        return image_fault_set(f, IMAGE_FAULT_FILE, path, "is a folder");
    *out = BUF_INIT(max);
    /* All at once: growing would copy and wipe it many times. */
    if (st.st_size > 0 && (uint64_t)st.st_size <= max &&
        buf_reserve(out, (size_t)st.st_size, &room) != ERR_OK)
        return image_fault_set(f, IMAGE_FAULT_INTERNAL, path, "no memory");
    if (fd_read_all(fd, out, 0, &why) != ERR_OK)
        return image_fault_set(f, IMAGE_FAULT_FILE, path, "%s", why.what);
    return true;
}

bool image_boots(const struct image_spec *s, struct image_fault *f)
{
    AUTO(boot_words_clear) struct boot_words cmd = { 0 };
    AUTO(boot_words_clear) struct boot_words env = { 0 };
    struct boot_conf conf;
    struct boot_user user;
    struct why why = { 0 };

    if (boot_cmd_parse(s->cmd, &cmd, &why) != ERR_OK)
        return image_fault_set(f, IMAGE_FAULT_SETTING, "command", "%s", why.what);
    if (boot_env_parse(s->env, &env, &why) != ERR_OK)
        return image_fault_set(f, IMAGE_FAULT_SETTING, "environment", "%s", why.what);
    if (boot_conf_parse(s->init_conf, &conf, &why) != ERR_OK)
        return image_fault_set(f, IMAGE_FAULT_SETTING, "--init-setting", "%s", why.what);
    if (s->user.len && boot_user_parse(s->user, &user, &why) != ERR_OK)
        return image_fault_set(f, IMAGE_FAULT_SETTING, "user", "%s", why.what);
    return true;
}

bool image_is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- folders ---- */

struct walk {
    struct tree *tree;
    struct buf path; /* of the entry, inside */
    const char *top;
    struct image_fault *fault;
};

static bool walk_fail(struct walk *w, int e)
{
    return image_fault_set(w->fault, IMAGE_FAULT_FILE, w->top, "%.*s: %s", (int)w->path.len,
                           w->path.ptr ? (const char *)w->path.ptr : "", errno_what(e));
}

static bool walk_add(struct walk *w, enum tree_kind kind, unsigned mode, struct span bytes)
{
    const struct tree_add a = {
        .path = buf_view(&w->path), .kind = kind, .mode = mode, .bytes = bytes
    };
    struct tree_why why = { 0 };

    enum err r = tree_add(w->tree, &a, &why);
    return r == ERR_OK || image_fault_entry(w->fault, r, w->top, &why);
}

static bool walk_file(struct walk *w, int dir, const char *name)
{
    AUTO(fd_close) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    AUTO(buf_clear) struct buf data = BUF_INIT(w->tree->bytes_max - w->tree->bytes);
    struct why why = { 0 };
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        return walk_fail(w, errno);
    if (!S_ISREG(st.st_mode))
        return walk_fail(w, EINVAL);
    if (fd_read_all(fd, &data, 0, &why) != ERR_OK)
        return image_fault_set(w->fault, IMAGE_FAULT_FILE, w->top, "%.*s: %s", (int)w->path.len,
                               (const char *)w->path.ptr, why.what);
    return walk_add(w, TREE_FILE, st.st_mode & S_IXUSR ? PROGRAM_MODE : FILE_MODE, buf_view(&data));
}

static bool walk_link(struct walk *w, int dir, const char *name)
{
    AUTO(buf_clear) struct buf target = BUF_INIT(TREE_TARGET_MAX + 1);
    uint8_t *room;

    if (buf_reserve(&target, target.max, &room) != ERR_OK)
        return walk_fail(w, ENOMEM);
    ssize_t n = readlinkat(dir, name, (char *)room, target.max);
    return n < 0 ? walk_fail(w, errno) : walk_add(w, TREE_SYMLINK, 0, span_of(room, (size_t)n));
}

static bool walk_dir(struct walk *w, int fd);

static bool walk_entry(struct walk *w, int dir, const char *name)
{
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return walk_fail(w, errno);
    if (S_ISREG(st.st_mode))
        return walk_file(w, dir, name);
    if (S_ISLNK(st.st_mode))
        return walk_link(w, dir, name);
    if (S_ISDIR(st.st_mode)) {
        int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
            return walk_fail(w, errno);
        if (walk_add(w, TREE_DIR, FOLDER_MODE, SPAN_EMPTY))
            return walk_dir(w, fd);
        fd_close(&fd);
        return false;
    }
    return image_fault_set(w->fault, IMAGE_FAULT_CONTENT, w->top,
                           "%.*s: a device, a pipe or a socket", (int)w->path.len,
                           (const char *)w->path.ptr);
}

/* One name in the folder whose path stands in w->path. */
static bool walk_name(struct walk *w, int dir, const char *name)
{
    size_t before = w->path.len;
    bool ok = true;

    if ((before && buf_append_byte(&w->path, '/') != ERR_OK) ||
        buf_append_str(&w->path, name) != ERR_OK)
        return walk_fail(w, ENAMETOOLONG);
    if (!unpack_is_mounted_over(buf_view(&w->path)))
        ok = walk_entry(w, dir, name);
    buf_truncate(&w->path, before);
    return ok;
}

/* Closes `fd`. */
static bool walk_dir(struct walk *w, int fd)
{
    DIR *d = fdopendir(fd);
    bool ok = true;

    if (!d) {
        int e = errno;
        fd_close(&fd);
        return walk_fail(w, e);
    }
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (!e)
            break;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        ok = walk_name(w, dirfd(d), e->d_name);
        if (!ok)
            break;
    }
    if (ok && errno)
        ok = walk_fail(w, errno);
    (void)closedir(d);
    return ok;
}

bool image_folder(const char *path, struct tree *t, struct image_fault *f)
{
    struct walk w = { .tree = t, .path = BUF_INIT(TREE_PATH_MAX), .top = path, .fault = f };
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return image_fault_set(f, IMAGE_FAULT_FILE, path, "%s", errno_what(errno));
    bool ok = walk_dir(&w, fd);
    buf_clear(&w.path);
    return ok;
}

bool image_put(const char *host, const char *guest, struct tree *t, struct image_fault *f)
{
    AUTO(buf_clear) struct buf data = { 0 }, path = BUF_INIT(TREE_PATH_MAX);
    struct tree_why why = { 0 };
    const char *what = NULL;
    struct stat st;

    if (guest[0] != '/')
        return image_fault_set(f, IMAGE_FAULT_SETTING, guest, "not an absolute path of the image");
    if (tree_path_clean(span_str(guest + strspn(guest, "/")), &path, &what) != ERR_OK)
        return image_fault_set(f, IMAGE_FAULT_SETTING, guest, "%s", what);
    if (!image_file(host, t->bytes_max, &data, f))
        return false;
    if (stat(host, &st) != 0)
        return image_fault_set(f, IMAGE_FAULT_FILE, host, "%s", errno_what(errno));
    const struct tree_add a = { .path = buf_view(&path),
                                .kind = TREE_FILE,
                                .mode = st.st_mode & S_IXUSR ? PROGRAM_MODE : FILE_MODE,
                                .bytes = buf_view(&data) };
    enum err r = tree_add(t, &a, &why);
    return r == ERR_OK || image_fault_entry(f, r, host, &why);
}

/* ---- archives ---- */

bool image_rootfs(const char *path, struct tree *t, struct image_fault *f)
{
    AUTO(buf_clear) struct buf tar = { 0 };
    struct tree_why why = { 0 };
    enum err r = ERR_OK;

    if (image_is_folder(path)) {
        if (!image_folder(path, t, f))
            return false;
    } else {
        if (!image_file(path, IMAGE_BYTES_MAX, &tar, f))
            return false;
        r = unpack_tree(buf_view(&tar), false, t, &why);
    }
    buf_clear(&tar);
    if (r == ERR_OK)
        r = tree_finish(t, &why);
    return r == ERR_OK || image_fault_entry(f, r, path, &why);
}

struct layout {
    const char *folder; /* or else: */
    struct span archive;
};

static enum err layout_fetch(void *arg, const char *name, struct buf *out, struct tree_why *why)
{
    const struct layout *l = arg;
    char path[IMAGE_PATH_MAX + 128];
    struct why fault = { 0 };

    if (!l->folder)
        return unpack_member(l->archive, name, out, why);
    snprintf(path, sizeof path, "%s/%s", l->folder, name);
    enum err r = file_read(path, out, &fault);
    if (r != ERR_OK) {
        why->what = fault.what ? fault.what : "no memory";
        snprintf(why->path, sizeof why->path, "%s", name);
    }
    return r;
}

bool image_oci(const char *path, const char *reference, bool aarch64, struct oci_image *out,
               struct image_fault *f)
{
    AUTO(buf_clear) struct buf archive = { 0 };
    struct layout l = { .folder = image_is_folder(path) ? path : NULL };
    const struct oci_options o = { .fetch = layout_fetch,
                                   .arg = &l,
                                   .arch = aarch64 ? "arm64" : "amd64",
                                   .reference = reference,
                                   .layer_max = IMAGE_BYTES_MAX };
    struct tree_why why = { 0 };

    if (!l.folder && !image_file(path, IMAGE_BYTES_MAX, &archive, f))
        return false;
    l.archive = buf_view(&archive);
    enum err r = oci_read(&o, out, &why);
    if (r == ERR_IO && strcmp(why.path, "index.json") == 0)
        return image_fault_set(f, IMAGE_FAULT_CONTENT, path,
                               "no index.json in it: not an OCI image layout or oci-archive "
                               "(podman save --format oci-archive, buildah push oci-archive:FILE, "
                               "docker buildx build -o type=oci)");
    return r == ERR_OK || image_fault_entry(f, r, path, &why);
}

/* ---- ours ---- */

/* The folder of this executable, without a slash at the end. */
static bool own_folder(char out[static IMAGE_PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", out, IMAGE_PATH_MAX - 1);
    char *slash = n > 0 ? memrchr(out, '/', (size_t)n) : NULL;

    if (slash)
        *slash = 0;
    return slash != NULL;
}

static bool is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* DIR/MIDDLE/NAME, if that is a file. */
static bool in_folder(const char *dir, const char *middle, const char *name,
                      char out[static IMAGE_PATH_MAX])
{
    int n = snprintf(out, IMAGE_PATH_MAX, "%s/%s%s", dir, middle, name);

    return n > 0 && n < IMAGE_PATH_MAX && is_file(out);
}

bool image_ours(const char *name, char out[static IMAGE_PATH_MAX])
{
    char dir[IMAGE_PATH_MAX];

    return own_folder(dir) && (in_folder(dir, "../libexec/nitroseal/", name, out) ||
                               in_folder(dir, "../share/nitroseal/", name, out) ||
                               in_folder(dir, "../enclave/", name, out));
}

bool image_kernel(bool aarch64, char out[static IMAGE_PATH_MAX], bool *blobs,
                  char folder[static IMAGE_PATH_MAX], struct image_fault *f)
{
    const char *given = getenv("NITROSEAL_KERNEL"), *aws = getenv("NITRO_CLI_BLOBS");
    const char *name = aarch64 ? "Image" : "bzImage";
    char dir[IMAGE_PATH_MAX];

    *blobs = false;
    if (given && given[0]) {
        snprintf(out, IMAGE_PATH_MAX, "%s", given);
        return true;
    }
    snprintf(folder, IMAGE_PATH_MAX, "%s", aws && aws[0] ? aws : "/usr/share/nitro_enclaves/blobs");
    *blobs = in_folder(folder, "", name, out);
    if (*blobs || (own_folder(dir) && (in_folder(dir, "../share/nitroseal/", name, out) ||
                                       in_folder(dir, "../../../kernel/", name, out))))
        return true;
    return image_fault_set(f, IMAGE_FAULT_SETTING, "no kernel",
                           "give --kernel FILE or set NITROSEAL_KERNEL; AWS's comes with "
                           "aws-nitro-enclaves-cli-devel, and image/kernel/build in our source "
                           "makes one");
}
