#include "base/json.h"
#include "base/rfc3339.h"
#include "bin/nitroseal/local.h"
#include "io/sys.h"

enum { MS_PER_S = 1000 };

static const struct option_def options[] = { LOCAL_STATE_OPTION, LOCAL_JSON_OPTION, { 0 } };

static const struct program_def program = {
    .name = "nitroseal local status",
    .synopsis = "[OPTION ...]",
    .summary = "Say what of the local stack runs, since when, and what crashed.",
    .options = options,
    .footer = "Exit status: 0 all parts run and none has crashed, 1 otherwise, 2 usage, 6 state "
              "folder.\n",
};

static bool runs(const struct stack_state *s, int i)
{
    return process_is_alive(&s->parts[i].process);
}

static const char *state_of(const struct stack_state *s, int i)
{
    /* The supervisor writes a change a moment after it happened. */
    if (s->parts[i].state == PART_RUNNING && !runs(s, i))
        return part_state_name(PART_CRASHED);
    return part_state_name(s->parts[i].state);
}

static void lines(const char *dir, const struct stack_state *s)
{
    char since[RFC3339_BYTES];

    printf("%-14s %8s  %-8s %-20s %7s  %s\n", "PART", "PID", "STATE", "SINCE", "CRASHES", "LOG");
    for (int i = 0; i < N_PARTS; i++) {
        const struct stack_part_status *p = &s->parts[i];
        const char *name = stack_part_name((enum stack_part)i);
        rfc3339_write(p->since_ms / MS_PER_S, since);
        printf("%-14s %8d  %-8s %-20s %7u  %s/log/%s.log\n", name, runs(s, i) ? p->process.pid : 0,
               state_of(s, i), since, p->crashes, dir, name);
    }
}

static int json(const char *dir, const struct stack_state *s, bool alive, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(16384);
    struct json_out w = json_out_init(&out);

    json_out_object(&w);
    json_out_key(&w, "state");
    json_out_string(&w, span_str(alive ? stack_phase_name(s->phase) : "stopped"));
    json_out_key(&w, "dir");
    json_out_string(&w, span_str(dir));
    json_out_key(&w, "supervisor_pid");
    json_out_int(&w, alive ? s->supervisor.pid : 0);
    json_out_key(&w, "parts");
    json_out_array(&w);
    for (int i = 0; alive && i < N_PARTS; i++) {
        const struct stack_part_status *p = &s->parts[i];
        json_out_object(&w);
        json_out_key(&w, "name");
        json_out_string(&w, span_str(stack_part_name((enum stack_part)i)));
        json_out_key(&w, "pid");
        json_out_int(&w, runs(s, i) ? p->process.pid : 0);
        json_out_key(&w, "state");
        json_out_string(&w, span_str(state_of(s, i)));
        json_out_key(&w, "since_ms");
        json_out_int(&w, p->since_ms);
        json_out_key(&w, "crashes");
        json_out_uint(&w, p->crashes);
        json_out_key(&w, "last_exit_status");
        json_out_int(&w, p->last_status);
        json_out_key(&w, "last_signal");
        json_out_int(&w, p->last_signal);
        json_out_object_end(&w);
    }
    json_out_array_end(&w);
    json_out_object_end(&w);
    if (json_out_end(&w) != ERR_OK || buf_append_byte(&out, '\n') != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("cannot write the answer: %s"), "memory");
    return cli_print(buf_view(&out), f);
}

static int unwell(const struct options *o, const char *dir, const struct stack_state *s, int i)
{
    const struct stack_part_status *p = &s->parts[i];
    const char *name = stack_part_name((enum stack_part)i);

    complain(o,
             p->last_signal ? _("%s crashed %u times, last by signal %d; it %s; see %s/log/%s.log")
                            : _("%s crashed %u times, last with status %d; it %s; see "
                                "%s/log/%s.log"),
             name, p->crashes, p->last_signal ? p->last_signal : p->last_status,
             runs(s, i) ? _("runs again") : _("is down"), dir, name);
    return CLI_FAILED;
}

/* One line, about a part that is down if there is one, else about one that has crashed. */
static int verdict(const struct options *o, const char *dir, const struct stack_state *s)
{
    if (s->phase != STACK_READY) {
        complain(o, _("not ready: %s"), stack_phase_name(s->phase));
        return CLI_FAILED;
    }
    for (int i = 0; i < N_PARTS; i++)
        if (!runs(s, i))
            return unwell(o, dir, s, i);
    for (int i = 0; i < N_PARTS; i++)
        if (s->parts[i].crashes > 0)
            return unwell(o, dir, s, i);
    return CLI_OK;
}

static int run(const struct options *o, struct cli_fault *f)
{
    struct stack_state s = { .phase = STACK_STARTING };
    char dir[STACK_DIR_MAX + 1];
    int status = local_dir(o, false, dir, f);

    if (status != CLI_OK)
        return status;
    bool alive = stack_state_read(dir, &s, NULL) == ERR_OK && process_is_alive(&s.supervisor);
    if (option_flag(o, "json"))
        status = json(dir, &s, alive, f);
    if (status != CLI_OK)
        return status;
    if (!alive) {
        complain(o, _("nothing runs in %s"), dir);
        return CLI_FAILED;
    }
    if (!option_flag(o, "json"))
        lines(dir, &s);
    (void)fflush(stdout);
    return verdict(o, dir, &s);
}

int cmd_local_status(int argc, char **argv)
{
    return cli_command(&program, argc, argv, run);
}
