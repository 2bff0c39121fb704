#include "bin/nitro-local/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bin/nitro-local/state_json.h"
#include "io/addr.h"
#include "io/sys.h"

enum { KILL_WAIT_S = 5 };

void enclave_clear(struct enclave *e)
{
    free(e->measurements);
    free(e->metadata);
    *e = (struct enclave){ .cid = 0 };
}

void enclaves_clear(struct enclaves *all)
{
    for (unsigned i = 0; i < all->n; i++)
        enclave_clear(&all->list[i]);
    all->n = 0;
}

static bool is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void find_dir(char out[static STATE_PATH_BYTES])
{
    const char *set = getenv("NITRO_CLI_SOCKETS_PATH"), *run = getenv("XDG_RUNTIME_DIR");
    char user[64];

    (void)snprintf(user, sizeof user, "/run/user/%u", geteuid());
    if (set && set[0])
        (void)snprintf(out, STATE_PATH_BYTES, "%s", set);
    else if (run && run[0])
        (void)snprintf(out, STATE_PATH_BYTES, "%s/nitro-local", run);
    else if (is_dir(user))
        (void)snprintf(out, STATE_PATH_BYTES, "%s/nitro-local", user);
    else
        (void)snprintf(out, STATE_PATH_BYTES, "/tmp/nitro-local-%u", geteuid());
}

int state_dir(char out[static STATE_PATH_BYTES], struct fault *f)
{
    struct stat st;
    struct why why = { 0 };

    find_dir(out);
    if (dir_make(out, &why) != ERR_OK)
        return fault_set(f, E07_READ_FROM_DISK, "Failed to make the folder %s: %s.", out, why.what);
    /* In /tmp somebody else may have been first. */
    if (lstat(out, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
        (st.st_mode & 077) != 0)
        return fault_set(
            f, E07_READ_FROM_DISK,
            "The state folder %s must be a folder of yours with mode 0700 (chmod 700), "
            "or name another with NITRO_CLI_SOCKETS_PATH.",
            out);
    return STATUS_OK;
}

bool state_log_dir(char out[static STATE_PATH_BYTES])
{
    const char *set = getenv("NITRO_CLI_LOGS_PATH");
    char dir[STATE_PATH_BYTES];

    if (set && set[0])
        return snprintf(out, STATE_PATH_BYTES, "%s", set) < STATE_PATH_BYTES;
    find_dir(dir);
    /* Made first, and so 0700: dir_make() takes care of the last folder only. */
    return dir_make(dir, NULL) == ERR_OK &&
           snprintf(out, STATE_PATH_BYTES, "%s/log", dir) < STATE_PATH_BYTES;
}

void state_path(const char *slot, const char *name, char out[static STATE_PATH_BYTES])
{
    char dir[STATE_PATH_BYTES];

    find_dir(dir);
    if (snprintf(out, STATE_PATH_BYTES, "%s%s%s%s%s", dir, slot[0] ? "/" : "", slot,
                 name[0] ? "/" : "", name) >= STATE_PATH_BYTES)
        out[0] = '\0'; /* a folder whose name is so long could not be made either */
}

/* -1 and *e: EWOULDBLOCK means that somebody has it. */
static int take_lock(const char *path, int how, int *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    *e = errno;
    while (fd >= 0 && flock(fd, how) != 0) {
        *e = errno;
        if (*e != EINTR)
            fd_close(&fd);
    }
    return fd;
}

int state_lock(int *fd, struct fault *f)
{
    char path[STATE_PATH_BYTES];
    int e;

    state_path("", "lock", path);
    *fd = take_lock(path, LOCK_EX, &e);
    return *fd >= 0 ? STATUS_OK
                    : fault_set(f, E19_FILE, "Failed to lock %s: %s.", path, errno_what(e));
}

/* A socket file on which nobody listens. */
static void remove_stale_socket(const char *path)
{
    struct addr at;
    AUTO(fd_close) int fd = -1;

    if (addr_unix(path, &at, NULL) == ERR_OK &&
        addr_connect(&at, clock_mono_ns() + NS_PER_S, &fd, NULL) != ERR_OK)
        (void)unlink(path);
}

void state_remove(const struct enclave *e)
{
    char path[STATE_PATH_BYTES], socket[sizeof e->vsock + 32];
    struct dirent *d;

    if (e->vsock[0]) {
        (void)snprintf(socket, sizeof socket, "%s/%u.vsock", e->vsock, e->cid);
        remove_stale_socket(socket);
    }
    state_path(e->slot, "", path);
    DIR *dir = opendir(path);
    while (dir && (d = readdir(dir)))
        if (d->d_name[0] != '.')
            (void)unlinkat(dirfd(dir), d->d_name, 0);
    if (dir)
        (void)closedir(dir);
    (void)rmdir(path);
}

/* Its supervisor died: what it owned goes with it. */
static void clear_up(struct enclave *e)
{
    uint64_t deadline = clock_mono_ns() + KILL_WAIT_S * NS_PER_S;

    /* The kernel ends it with its parent; this is for a kernel that was late. */
    if (e->qemu.pid > 0 && process_signal(&e->qemu, SIGKILL))
        (void)process_wait_gone(&e->qemu, deadline);
    state_remove(e);
}

/* True: it lives, and *e is what it is. */
static bool look(const char *slot, struct enclave *e)
{
    char path[STATE_PATH_BYTES];
    int fault;

    state_path(slot, "lock", path);
    AUTO(fd_close) int lock = take_lock(path, LOCK_EX | LOCK_NB, &fault);
    bool known = state_read(slot, e) == ERR_OK;
    (void)snprintf(e->slot, sizeof e->slot, "%s", slot);
    if (lock < 0 && fault == EWOULDBLOCK)
        return known; /* without state it is about to go */
    if (lock >= 0)
        clear_up(e);
    return false;
}

int state_load(struct enclaves *out, struct fault *f)
{
    char dir[STATE_PATH_BYTES];
    struct dirent *d;

    out->n = 0;
    state_path("", "", dir);
    DIR *all = opendir(dir);
    if (!all)
        return fault_set(f, E07_READ_FROM_DISK, "Failed to read the folder %s: %s.", dir,
                         errno_what(errno));
    while ((d = readdir(all)) && out->n < ENCLAVES_SEEN_MAX) {
        struct enclave *e = &out->list[out->n];
        if (strncmp(d->d_name, "enc", 3) != 0 || strlen(d->d_name) >= sizeof e->slot)
            continue;
        *e = (struct enclave){ .cid = 0 };
        if (look(d->d_name, e))
            out->n++;
        else
            enclave_clear(e);
    }
    (void)closedir(all);
    return STATUS_OK;
}

int state_reserve(const struct enclave *e, int *lock, struct fault *f)
{
    char path[STATE_PATH_BYTES];
    struct why why = { 0 };
    int fault;

    state_path(e->slot, "", path);
    enum err r = dir_make(path, &why);
    if (r == ERR_OK) {
        state_path(e->slot, "lock", path);
        *lock = take_lock(path, LOCK_EX | LOCK_NB, &fault);
        if (*lock < 0)
            r = why_fail(&why, ERR_IO, errno_what(fault), 0);
    }
    if (r == ERR_OK)
        r = state_write(e, &why);
    return r == ERR_OK ? STATUS_OK
                       : fault_set(f, E19_FILE, "Failed to make %s: %s.", path, why.what);
}

int state_list(struct enclaves *out, struct fault *f)
{
    char dir[STATE_PATH_BYTES];
    AUTO(fd_close) int lock = -1;

    int status = state_dir(dir, f);
    if (status == STATUS_OK)
        status = state_lock(&lock, f);
    return status == STATUS_OK ? state_load(out, f) : status;
}

const struct enclave *state_find(const struct enclaves *all, const char *id, const char *name,
                                 struct fault *f)
{
    const struct enclave *found = NULL;
    unsigned n = 0;

    for (unsigned i = 0; i < all->n; i++) {
        const struct enclave *e = &all->list[i];
        if (strcmp(id ? e->id : e->name, id ? id : name) != 0)
            continue;
        found = e;
        n++;
    }
    if (n == 1)
        return found;
    if (id)
        (void)fault_set(f, E11_SOCKET, "There is no enclave with the id %s.", id);
    else
        (void)fault_set(f, E58_NAME, "%u enclaves have the name %s; name one by its id.", n, name);
    return NULL;
}
