/* The supervisor: starts the parts in order, watches them, stops them. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "bin/nitroseal/stack_parts.h"
#include "io/log.h"
#include "io/proc.h"

enum {
    POLL_MS = 2,      /* between two looks whether a part answers yet */
    RESTART_MS = 200, /* after a crash */
    STOP_MS = 5000,   /* until SIGTERM becomes SIGKILL */
    CRASHES_MAX = 1,  /* after so many a part is started again, after more it is left down */
    LOG_TAIL_BYTES = 2048,
};

struct stack;

struct slot {
    struct stack *owner;
    enum stack_part part;
    struct proc *proc;
    uint64_t restart_ns; /* 0: none is due */
};

struct stack {
    struct loop *loop;
    struct loop_timer *timer;
    struct stack_facts facts;
    struct stack_state state;
    struct slot slots[N_PARTS];
    struct words argv, env; /* of the part that is being started */
    int starting;           /* the part that is being started; N_PARTS: all answer */
    int stopping;           /* the part that is being stopped; N_PARTS: not stopping */
    uint64_t deadline_ns;
    bool signalled; /* the part that is being stopped has its SIGTERM */
    struct cli_fault *fault;
    void (*ready)(const struct stack_state *s, void *arg);
    void *arg;
};

static void tick_in(struct stack *st, unsigned ms)
{
    loop_timer_arm(st->timer, clock_mono_ns() + ms * NS_PER_MS);
}

/* A state that cannot be written is told once per time, and does not stop the stack. */
static void write_state(const struct stack *st)
{
    struct why why = { 0 };

    if (stack_state_write(st->facts.so->dir, &st->state, &why) != ERR_OK)
        log_event(LOG_WARN, "state_not_written", LOG_STR("why", why.what));
}

static void set_part(struct stack *st, enum stack_part part, enum part_state state)
{
    st->state.parts[part].state = state;
    st->state.parts[part].since_ms = clock_wall_ms();
}

static void begin_stop(void *arg)
{
    struct stack *st = arg;

    if (st->stopping < N_PARTS)
        return;
    log_event(LOG_INFO, "stopping", LOG_INT("pid", getpid()));
    for (int i = 0; i < N_PARTS; i++)
        st->slots[i].restart_ns = 0;
    st->state.phase = STACK_STOPPING;
    st->stopping = N_PARTS - 1;
    st->signalled = false;
    write_state(st);
    tick_in(st, 0);
}

static void log_path(const struct stack *st, enum stack_part part,
                     char out[static STACK_PATH_BYTES])
{
    char name[64];

    snprintf(name, sizeof name, "log/%s.log", stack_part_name(part));
    stack_path(st->facts.so->dir, name, out);
}

/* The last line that a part wrote, or "". */
static void last_line(const char *path, char *out, size_t size)
{
    AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    AUTO(buf_clear) struct buf tail = BUF_INIT(LOG_TAIL_BYTES);
    off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;

    out[0] = '\0';
    if (end < 0 || lseek(fd, end > LOG_TAIL_BYTES ? end - LOG_TAIL_BYTES : 0, SEEK_SET) < 0 ||
        fd_read_all(fd, &tail, 0, NULL) != ERR_OK)
        return;
    while (tail.len > 0 && tail.ptr[tail.len - 1] == '\n')
        buf_truncate(&tail, tail.len - 1);
    size_t at = tail.len;
    while (at > 0 && tail.ptr[at - 1] != '\n')
        at--;
    if (tail.len > at)
        snprintf(out, size, "%.*s", (int)(tail.len - at), (const char *)tail.ptr + at);
}

static void fail_part(struct stack *st, enum stack_part part, const char *what)
{
    char path[STACK_PATH_BYTES], line[LOG_TAIL_BYTES];

    log_path(st, part, path);
    last_line(path, line, sizeof line);
    (void)cli_fault_set(st->fault, CLI_FAILED, _("%s %s; its last line: %s (log: %s)"),
                        stack_part_name(part), what, line[0] ? line : _("none"), path);
    log_event(LOG_ERROR, "failed", LOG_STR("part", stack_part_name(part)), LOG_STR("why", what));
    begin_stop(st);
}

static void crashed(struct stack *st, enum stack_part part, int status, int signo)
{
    struct stack_part_status *p = &st->state.parts[part];
    bool again = p->crashes < CRASHES_MAX;

    p->crashes++;
    p->last_status = status;
    p->last_signal = signo;
    set_part(st, part, PART_CRASHED);
    log_event(LOG_ERROR, "crashed", LOG_STR("part", stack_part_name(part)),
              LOG_INT("status", status), LOG_INT("signal", signo), LOG_INT("crashes", p->crashes),
              LOG_STR("then", again ? "started again" : "left down"));
    if (again) {
        st->slots[part].restart_ns = clock_mono_ns() + RESTART_MS * NS_PER_MS;
        tick_in(st, RESTART_MS);
    }
    write_state(st);
}

static void part_exited(struct proc *p, void *arg, int status, int signo)
{
    struct slot *slot = arg;
    struct stack *st = slot->owner;
    char what[64];

    proc_free(p);
    slot->proc = NULL;
    st->state.parts[slot->part].process = (struct process){ .pid = 0 };
    if (st->stopping < N_PARTS) {
        set_part(st, slot->part, PART_STOPPED);
        tick_in(st, 0);
        return;
    }
    if (st->starting == N_PARTS) {
        crashed(st, slot->part, status, signo);
        return;
    }
    if (signo)
        snprintf(what, sizeof what, _("was ended by signal %d"), signo);
    if (!signo)
        snprintf(what, sizeof what, _("left with status %d"), status);
    fail_part(st, slot->part, what);
}

/* The proxy connects to what its allowlist names, and to nothing else. */
static enum err write_allowlist(const struct stack_facts *facts, struct why *why)
{
    char path[STACK_PATH_BYTES], text[80];

    stack_path(facts->so->dir, "allowlist.yaml", path);
    (void)snprintf(text, sizeof text, "allowlist:\n- {address: 127.0.0.1, port: %u}\n",
                   facts->kms.port);
    return file_write(path, span_str(text), 0600, why);
}

static bool start_part(struct stack *st, enum stack_part part)
{
    struct slot *slot = &st->slots[part];
    char path[STACK_PATH_BYTES];
    struct why why = { 0 };

    st->argv.n = st->env.n = 0;
    st->argv.used = st->env.used = 0;
    if (part_words(part, &st->facts, &st->argv, &st->env, st->fault) != CLI_OK) {
        begin_stop(st);
        return false;
    }
    log_path(st, part, path);
    AUTO(fd_close) int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const struct proc_options o = {
        .argv = st->argv.list,
        .env = st->env.list,
        .stdout_fd = log,
        .stderr_fd = log,
        .exited = part_exited,
        .arg = slot,
    };
    enum err r = log < 0 ? why_fail(&why, ERR_IO, errno_what(errno), 0) : ERR_OK;
    if (r == ERR_OK && part == PART_PROXY)
        r = write_allowlist(&st->facts, &why);
    if (r == ERR_OK)
        r = proc_start(st->loop, &o, &slot->proc, &why);
    if (r != ERR_OK) {
        fail_part(st, part, why.what ? why.what : err_name(r));
        return false;
    }
    if (process_of(proc_pid(slot->proc), &st->state.parts[part].process) != ERR_OK)
        log_event(LOG_WARN, "gone_at_once", LOG_STR("part", stack_part_name(part)));
    set_part(st, part, PART_RUNNING);
    log_event(LOG_INFO, "started", LOG_STR("part", stack_part_name(part)),
              LOG_INT("pid", proc_pid(slot->proc)));
    write_state(st);
    return true;
}

static void all_answer(struct stack *st)
{
    stack_exports_fill(&st->facts, &st->state);
    st->state.phase = STACK_READY;
    write_state(st);
    log_event(LOG_INFO, "ready", LOG_STR("key_id", st->facts.arn));
    st->ready(&st->state, st->arg);
}

static void start_tick(struct stack *st)
{
    AUTO(cli_fault_clear) struct cli_fault seen = CLI_FAULT_INIT;
    enum stack_part part = (enum stack_part)st->starting;
    char what[512];

    if (!st->slots[part].proc && !start_part(st, part))
        return;
    enum err r = part_answers(part, &st->facts, &seen);
    if (r == ERR_OK) {
        st->starting++;
        if (st->starting == N_PARTS)
            all_answer(st);
        else
            tick_in(st, 0);
        return;
    }
    if (r != ERR_DENIED && clock_mono_ns() < st->deadline_ns) {
        tick_in(st, POLL_MS);
        return;
    }
    snprintf(what, sizeof what, _("does not answer: %.*s"),
             seen.text.len > 400 ? 400 : (int)seen.text.len,
             seen.text.len ? (const char *)seen.text.ptr : "");
    fail_part(st, part, what);
}

static void stop_tick(struct stack *st)
{
    while (st->stopping >= 0 && !st->slots[st->stopping].proc) {
        st->stopping--;
        st->signalled = false;
    }
    if (st->stopping < 0) {
        loop_stop(st->loop);
        return;
    }
    if (!st->signalled) {
        proc_signal(st->slots[st->stopping].proc, SIGTERM);
        st->signalled = true;
        st->deadline_ns = clock_mono_ns() + STOP_MS * NS_PER_MS;
    }
    if (clock_mono_ns() >= st->deadline_ns) {
        log_event(LOG_WARN, "killed",
                  LOG_STR("part", stack_part_name((enum stack_part)st->stopping)));
        proc_signal(st->slots[st->stopping].proc, SIGKILL);
        st->deadline_ns = clock_mono_ns() + STOP_MS * NS_PER_MS;
    }
    loop_timer_arm(st->timer, st->deadline_ns);
}

static void restart_tick(struct stack *st)
{
    for (int i = 0; i < N_PARTS; i++) {
        struct slot *slot = &st->slots[i];
        if (slot->restart_ns == 0)
            continue;
        if (clock_mono_ns() < slot->restart_ns) {
            loop_timer_arm(st->timer, slot->restart_ns);
            continue;
        }
        slot->restart_ns = 0;
        if (!start_part(st, slot->part))
            return;
    }
}

static void tick(void *arg)
{
    struct stack *st = arg;

    if (st->stopping < N_PARTS)
        stop_tick(st);
    else if (st->starting < N_PARTS)
        start_tick(st);
    else
        restart_tick(st);
}

static enum err prepare(struct stack *st, struct why *why)
{
    static const char *const folders[] = { "log", "v", "nsm", "kms" };
    const char *dir = st->facts.so->dir;
    char path[STACK_PATH_BYTES];
    enum err r = ERR_OK;

    for (size_t i = 0; i < sizeof folders / sizeof folders[0] && r == ERR_OK; i++) {
        stack_path(dir, folders[i], path);
        r = dir_make(path, why);
    }
    stack_path(dir, "kms/port", path);
    (void)unlink(path); /* of an earlier start: nobody listens there now */
    if (r == ERR_OK)
        r = stack_principals_load(st->facts.cx, dir, &st->facts.who, why);
    if (r == ERR_OK)
        r = process_of(getpid(), &st->state.supervisor);
    return r;
}

static enum err run_loop(struct stack *st)
{
    enum err r = loop_new(&st->loop);

    if (r == ERR_OK)
        r = loop_timer_new(st->loop, tick, st, &st->timer);
    if (r == ERR_OK)
        r = loop_on_signal(st->loop, SIGTERM, begin_stop, st);
    if (r == ERR_OK)
        r = loop_on_signal(st->loop, SIGINT, begin_stop, st);
    if (r == ERR_OK) {
        write_state(st);
        st->deadline_ns = clock_mono_ns() + STACK_START_S * NS_PER_S;
        tick_in(st, 0);
        loop_run(st->loop);
    }
    if (st->timer)
        loop_timer_free(st->timer);
    loop_free(st->loop);
    return r;
}

static void stack_freep(struct stack **st)
{
    if (!*st)
        return;
    stack_kms_clear(&(*st)->facts.kms);
    stack_principals_clear(&(*st)->facts.who);
    crypto_free((*st)->facts.cx);
    free(*st);
}

int stack_supervise(const struct stack_options *so,
                    void (*ready)(const struct stack_state *s, void *arg), void *arg,
                    struct cli_fault *f)
{
    AUTO(stack_freep) struct stack *st = calloc(1, sizeof *st);
    struct why why = { 0 };
    char path[STACK_PATH_BYTES];

    log_init("nitroseal-local", LOG_INFO);
    if (!st || process_harden() != ERR_OK || crypto_process_init() != ERR_OK ||
        crypto_new(&st->facts.cx) != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("the supervisor does not start"));
    st->facts.so = so;
    st->facts.kms.ca_pem = BUF_INIT(0); /* stack_kms_find() brings its own */
    st->stopping = N_PARTS;
    st->fault = f;
    st->ready = ready;
    st->arg = arg;
    for (int i = 0; i < N_PARTS; i++)
        st->slots[i] = (struct slot){ .owner = st, .part = (enum stack_part)i };
    int status = stack_image_pcrs(so, &st->facts.pcrs, f);
    if (status != CLI_OK)
        return status;
    enum err r = prepare(st, &why);
    if (r == ERR_OK)
        r = run_loop(st);
    stack_path(so->dir, "state.json", path);
    (void)unlink(path);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FILE, _("the state folder %s: %s"), so->dir,
                             why.what ? why.what : err_name(r));
    return f->status;
}
