#include "bin/nitro-local/state_json.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/sys.h"

enum { JSON_MAX_BYTES = 1 << 20 };

static const char *const state_names[] = {
    [ENCLAVE_EMPTY] = "EMPTY",
    [ENCLAVE_RUNNING] = "RUNNING",
    [ENCLAVE_TERMINATING] = "TERMINATING",
};

static void write_process(struct json_out *w, const char *name, const struct process *p)
{
    json_out_key(w, name);
    json_out_object(w);
    json_out_key(w, "pid");
    json_out_int(w, p->pid);
    json_out_key(w, "started");
    json_out_uint(w, p->started);
    json_out_object_end(w);
}

static void write_string(struct json_out *w, const char *name, const char *text)
{
    json_out_key(w, name);
    json_out_string(w, span_str(text ? text : ""));
}

void enclave_members(struct json_out *w, const struct enclave *e)
{
    write_string(w, "EnclaveName", e->name);
    write_string(w, "EnclaveID", e->id);
    json_out_key(w, "ProcessID");
    json_out_int(w, e->supervisor.pid);
    json_out_key(w, "EnclaveCID");
    json_out_uint(w, e->cid);
    json_out_key(w, "NumberOfCPUs");
    json_out_uint(w, e->n_cpus);
    json_out_key(w, "CPUIDs");
    json_out_array(w);
    for (unsigned i = 0; i < e->n_cpus; i++)
        json_out_uint(w, e->cpus[i]);
    json_out_array_end(w);
    json_out_key(w, "MemoryMiB");
    json_out_uint(w, e->memory_mib);
}

/* The members of an object that stands as text. */
static void members_of(struct json_out *w, const char *text)
{
    struct json_in *j = malloc(sizeof *j); /* it is large */
    struct json_str name;

    if (!j) {
        w->err = ERR_NOMEM;
        return;
    }
    *j = json_in_init(span_str(text));
    for (json_in_object(j); json_in_member(j, &name);) {
        json_out_key_text(w, name.raw); /* ours: no escapes */
        json_out_raw(w, json_in_skip(j));
    }
    free(j);
}

void enclave_describe(struct json_out *w, const struct enclave *e, bool metadata)
{
    json_out_object(w);
    enclave_members(w, e);
    write_string(w, "State", state_names[e->state]);
    write_string(w, "Flags", e->debug ? "DEBUG_MODE" : "NONE");
    json_out_key(w, "Measurements");
    json_out_raw(w, span_str(e->measurements));
    if (metadata && e->metadata)
        members_of(w, e->metadata);
    json_out_object_end(w);
}

enum err state_write(const struct enclave *e, struct why *why)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(JSON_MAX_BYTES);
    struct json_out w = json_out_init(&out);
    char path[STATE_PATH_BYTES];

    json_out_object(&w);
    enclave_members(&w, e);
    write_process(&w, "supervisor", &e->supervisor);
    write_process(&w, "qemu", &e->qemu);
    json_out_key(&w, "debug");
    json_out_bool(&w, e->debug);
    json_out_key(&w, "state");
    json_out_uint(&w, e->state);
    write_string(&w, "vsock", e->vsock);
    write_string(&w, "measurements", e->measurements);
    write_string(&w, "metadata", e->metadata);
    json_out_object_end(&w);
    enum err r = json_out_end(&w);
    if (r != ERR_OK)
        return why_fail(why, r, "state.json cannot be written", 0);
    state_path(e->slot, "state.json", path);
    return file_write(path, buf_view(&out), 0600, why);
}

static bool copy(json_t *j, const char *name, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(j, name));

    return text && snprintf(out, size, "%s", text) < (int)size;
}

static bool number(json_t *j, const char *name, json_int_t max, uint64_t *out)
{
    json_t *n = json_object_get(j, name);

    if (!json_is_integer(n) || json_integer_value(n) < 0 || json_integer_value(n) > max)
        return false;
    *out = (uint64_t)json_integer_value(n);
    return true;
}

static bool process(json_t *root, const char *name, struct process *out)
{
    json_t *j = json_object_get(root, name);
    uint64_t pid, started;

    if (!number(j, "pid", INT32_MAX, &pid) || !number(j, "started", INT64_MAX, &started))
        return false;
    *out = (struct process){ (int)pid, started };
    return true;
}

static bool cpus(json_t *root, struct enclave *e)
{
    json_t *list = json_object_get(root, "CPUIDs"), *one;
    size_t i;

    if (!json_is_array(list) || json_array_size(list) > ENCLAVE_CPUS_MAX)
        return false;
    json_array_foreach(list, i, one)
    {
        if (!json_is_integer(one) || json_integer_value(one) < 0 ||
            json_integer_value(one) > UINT16_MAX)
            return false;
        e->cpus[e->n_cpus++] = (unsigned)json_integer_value(one);
    }
    return true;
}

static char *text_of(json_t *root, const char *name)
{
    const char *text = json_string_value(json_object_get(root, name));

    return text && text[0] ? strdup(text) : NULL;
}

static bool fill(json_t *root, struct enclave *e)
{
    uint64_t cid, state;

    if (!copy(root, "EnclaveID", e->id, sizeof e->id) ||
        !copy(root, "EnclaveName", e->name, sizeof e->name) ||
        !copy(root, "vsock", e->vsock, sizeof e->vsock) ||
        !number(root, "EnclaveCID", UINT32_MAX, &cid) ||
        !number(root, "MemoryMiB", INT64_MAX, &e->memory_mib) ||
        !number(root, "state", ENCLAVE_TERMINATING, &state) || !cpus(root, e) ||
        !process(root, "supervisor", &e->supervisor) || !process(root, "qemu", &e->qemu))
        return false;
    e->cid = (uint32_t)cid;
    e->state = (enum enclave_state)state;
    e->debug = json_is_true(json_object_get(root, "debug"));
    e->measurements = text_of(root, "measurements");
    e->metadata = text_of(root, "metadata");
    return e->measurements != NULL;
}

enum err state_read(const char *slot, struct enclave *out)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(JSON_MAX_BYTES);
    char path[STATE_PATH_BYTES];
    struct enclave e = { .cid = 0 };

    state_path(slot, "state.json", path);
    enum err r = file_read(path, &text, NULL);
    if (r != ERR_OK)
        return r;
    json_t *root = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    bool good = root && fill(root, &e);
    json_decref(root);
    if (!good) {
        enclave_clear(&e);
        return ERR_MALFORMED;
    }
    *out = e;
    return ERR_OK;
}

int json_print(struct json_out *w, struct fault *f)
{
    AUTO(buf_clear) struct buf pretty = BUF_INIT(JSON_MAX_BYTES);

    enum err r = json_out_end(w);
    if (r == ERR_OK)
        r = json_pretty(buf_view(w->out), &pretty);
    if (r == ERR_OK)
        r = buf_append_byte(&pretty, '\n');
    if (r != ERR_OK)
        return fault_set(f, E17_SERIALIZATION, "The answer cannot be written as JSON: %s.",
                         err_name(r));
    if (fwrite(pretty.ptr, 1, pretty.len, stdout) != pretty.len || fflush(stdout) != 0)
        return fault_set(f, E19_FILE, "Failed to write to standard output.");
    return STATUS_OK;
}
