/* DIR/state.json: what the supervisor writes and the commands read. */
#include <jansson.h>

#include "bin/nitroseal/stack.h"
#include "io/sys.h"

enum { STATE_MAX_BYTES = 65536 };

static const char *const phase_names[] = {
    [STACK_STARTING] = "starting",
    [STACK_READY] = "ready",
    [STACK_STOPPING] = "stopping",
};
static const char *const part_names[] = {
    [PART_WAITING] = "waiting",
    [PART_RUNNING] = "running",
    [PART_CRASHED] = "crashed",
    [PART_STOPPED] = "stopped",
};

const char *stack_phase_name(enum stack_phase p)
{
    return phase_names[p];
}

const char *part_state_name(enum part_state s)
{
    return part_names[s];
}

const char *stack_export_of(const struct stack_state *s, const char *name)
{
    for (unsigned i = 0; i < s->n_exports; i++)
        if (strcmp(s->exports[i].name, name) == 0)
            return s->exports[i].value;
    return NULL;
}

static void json_freep(json_t **j)
{
    json_decref(*j);
}

static json_t *process_json(const struct process *p)
{
    return json_pack("{s:i, s:I}", "pid", p->pid, "started", (json_int_t)p->started);
}

static json_t *part_json(enum stack_part part, const struct stack_part_status *p)
{
    return json_pack("{s:s, s:o, s:s, s:I, s:i, s:i, s:i}", "name", stack_part_name(part),
                     "process", process_json(&p->process), "state", part_names[p->state],
                     "since_ms", (json_int_t)p->since_ms, "crashes", (int)p->crashes, "last_status",
                     p->last_status, "last_signal", p->last_signal);
}

enum err stack_state_write(const char *dir, const struct stack_state *s, struct why *why)
{
    AUTO(json_freep)
    json_t *root = json_pack("{s:o, s:s, s:[], s:{}}", "supervisor", process_json(&s->supervisor),
                             "phase", phase_names[s->phase], "parts", "exports");
    char path[STACK_PATH_BYTES];

    for (int i = 0; root && i < N_PARTS; i++)
        if (json_array_append_new(json_object_get(root, "parts"),
                                  part_json((enum stack_part)i, &s->parts[i])) != 0)
            return why_fail(why, ERR_NOMEM, "memory", 0);
    for (unsigned i = 0; root && i < s->n_exports; i++)
        if (json_object_set_new(json_object_get(root, "exports"), s->exports[i].name,
                                json_string(s->exports[i].value)) != 0)
            return why_fail(why, ERR_NOMEM, "memory", 0);
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    if (!text)
        return why_fail(why, ERR_NOMEM, "memory", 0);
    stack_path(dir, "state.json", path);
    enum err r = file_write(path, span_str(text), 0600, why);
    free(text);
    return r;
}

static unsigned find_name(const char *name, const char *const *names, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return 0;
}

static bool read_process(json_t *j, struct process *out)
{
    int pid = 0;
    json_int_t started = 0;

    if (json_unpack(j, "{s:i, s:I}", "pid", &pid, "started", &started) != 0)
        return false;
    *out = (struct process){ pid, (uint64_t)started };
    return true;
}

static bool read_part(json_t *j, struct stack_part_status *out)
{
    const char *state = "";
    json_int_t since = 0;
    int crashes = 0;

    if (json_unpack(j, "{s:s, s:I, s:i, s:i, s:i}", "state", &state, "since_ms", &since, "crashes",
                    &crashes, "last_status", &out->last_status, "last_signal",
                    &out->last_signal) != 0)
        return false;
    out->state = (enum part_state)find_name(state, part_names, PART_STOPPED + 1);
    out->since_ms = since;
    out->crashes = (unsigned)crashes;
    return read_process(json_object_get(j, "process"), &out->process);
}

static const char *const export_names[] = {
    "NITROSEAL_VSOCK",    "NITROSEAL_CID",     "NITROSEAL_ROOT_FILE",   "AWS_ENDPOINT_URL_KMS",
    "AWS_CA_BUNDLE",      "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION",
    "AWS_DEFAULT_REGION", "KMS_KEY_ID",
};

static void read_exports(json_t *j, struct stack_state *s)
{
    for (size_t i = 0; i < sizeof export_names / sizeof export_names[0]; i++) {
        const char *value = json_string_value(json_object_get(j, export_names[i]));
        if (!value)
            continue;
        struct stack_export *e = &s->exports[s->n_exports++];
        e->name = export_names[i];
        snprintf(e->value, sizeof e->value, "%s", value);
    }
}

enum err stack_state_read(const char *dir, struct stack_state *out, struct why *why)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(STATE_MAX_BYTES);
    struct stack_state s = { .phase = STACK_STARTING };
    char path[STACK_PATH_BYTES];

    stack_path(dir, "state.json", path);
    enum err r = file_read(path, &text, why);
    if (r != ERR_OK)
        return r;
    AUTO(json_freep)
    json_t *root = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    const char *phase = json_string_value(json_object_get(root, "phase"));
    json_t *parts = json_object_get(root, "parts");
    if (!phase || json_array_size(parts) != N_PARTS ||
        !read_process(json_object_get(root, "supervisor"), &s.supervisor))
        return why_fail(why, ERR_MALFORMED, "state.json is not of this program", 0);
    s.phase = (enum stack_phase)find_name(phase, phase_names, STACK_STOPPING + 1);
    for (size_t i = 0; i < N_PARTS; i++)
        if (!read_part(json_array_get(parts, i), &s.parts[i]))
            return why_fail(why, ERR_MALFORMED, "state.json is not of this program", 0);
    read_exports(json_object_get(root, "exports"), &s);
    *out = s;
    return ERR_OK;
}
