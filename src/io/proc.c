#include "io/proc.h"

#include <stdlib.h>

#include "io/loop_in.h"

struct proc {
    uv_process_t uv;
    void (*exited)(struct proc *p, void *arg, int exit_status, int signo);
    void *arg;
    bool gone; /* its pid may be another process's now */
};

static void on_exit_of_child(uv_process_t *h, int64_t exit_status, int signo)
{
    struct proc *p = h->data;

    p->gone = true;
    if (p->exited)
        p->exited(p, p->arg, (int)exit_status, signo);
}

static void free_handle(uv_handle_t *h)
{
    free(h->data);
}

static uv_stdio_container_t inherit(int fd)
{
    uv_stdio_container_t c = { .flags = UV_IGNORE };

    if (fd >= 0) {
        c.flags = UV_INHERIT_FD;
        c.data.fd = fd;
    }
    return c;
}

/* uv_spawn() takes char ** and promises not to write through it. */
static char **unconst(const char *const *list)
{
    union {
        const char *const *in;
        char **out;
    } u = { .in = list };
    return u.out;
}

enum err proc_start(struct loop *l, const struct proc_options *o, struct proc **out,
                    struct why *why)
{
    struct proc *p = calloc(1, sizeof(*p));
    if (!p)
        return why_fail(why, ERR_NOMEM, "out of memory", 0);
    p->exited = o->exited;
    p->arg = o->arg;
    uv_stdio_container_t stdio[] = { inherit(-1), inherit(o->stdout_fd), inherit(o->stderr_fd) };
    const uv_process_options_t options = {
        .exit_cb = on_exit_of_child,
        .file = o->argv[0],
        .args = unconst(o->argv),
        .env = unconst(o->env),
        .stdio = stdio,
        .stdio_count = 3,
    };
    p->uv.data = p;
    int e = uv_spawn(loop_uv(l), &p->uv, &options);
    if (e != 0) {
        uv_close((uv_handle_t *)&p->uv, free_handle); /* made even when spawning fails */
        return why_fail(why, ERR_IO, errno_what(-e), 0);
    }
    *out = p;
    return ERR_OK;
}

int proc_pid(const struct proc *p)
{
    return uv_process_get_pid(&p->uv);
}

void proc_signal(struct proc *p, int signo)
{
    if (!p->gone)
        (void)uv_process_kill(&p->uv, signo);
}

void proc_free(struct proc *p)
{
    if (p)
        uv_close((uv_handle_t *)&p->uv, free_handle);
}
