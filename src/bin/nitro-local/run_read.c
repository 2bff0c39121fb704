/* The options of run-enclave, and its configuration file. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "bin/common/allocator.h"
#include "bin/common/options.h"
#include "bin/nitro-local/run.h"
#include "io/sys.h"

enum { CONFIG_MAX_BYTES = 65536, CPU_ID_MAX = ALLOCATOR_CPUS_MAX - 1 };

static const struct option_def options[] = {
    { "cpu-count", 0, "N", NULL, NULL, "So many CPUs, chosen from the pool." },
    { "cpu-ids", 0, "ID...", NULL, NULL, "These CPUs." },
    { "memory", 0, "M", NULL, NULL, "Memory in MiB, or with M, G or T after the number." },
    { "eif-path", 0, "FILE", NULL, NULL, "The image." },
    { "enclave-cid", 0, "CID", NULL, NULL,
      "The enclave's context id; 0: the first free one from 16 on." },
    { "debug-mode", 0, NULL, NULL, NULL, "The console can be read." },
    { "attach-console", 0, NULL, NULL, NULL, "Read it, after the start; implies --debug-mode." },
    { "enclave-name", 0, "NAME", NULL, NULL, "The image's file name without .eif unless given." },
    { "config", 0, "FILE", NULL, NULL, "All of these from a JSON file instead." },
    { "vsock", 0, "unix:DIR", "NITROSEAL_VSOCK", NULL,
      "The folder of the vsock sockets (not nitro-cli's); STATE/vsock unless given." },
    { 0 },
};

static const struct program_def program = {
    .name = "nitro-local run-enclave",
    .synopsis = "--cpu-count N --memory M --eif-path FILE [OPTION ...]",
    .summary = "Boot an image in QEMU's nitro-enclave machine and wait for its heartbeat.",
    .options = options,
    .footer = "QEMU is NITROSEAL_QEMU, else qemu-system-x86_64 in PATH. Limits are those "
              "of\n" ALLOCATOR_FILE " (NITRO_LOCAL_ALLOCATOR names another).\n",
};

enum err run_spread_cpu_ids(int argc, char **argv, char *out[static RUN_WORDS_MAX], int *n)
{
    static char option[] = "--cpu-ids";
    bool ids = false, first = false;

    *n = 0;
    for (int i = 0; i < argc; i++) {
        bool dashes = argv[i][0] == '-';
        if (*n + 2 >= RUN_WORDS_MAX)
            return ERR_LIMIT;
        if (ids && !dashes && !first)
            out[(*n)++] = option;
        first = false;
        if (dashes)
            ids = first = strcmp(argv[i], option) == 0;
        out[(*n)++] = argv[i];
    }
    out[*n] = NULL;
    return ERR_OK;
}

static int read_ids(const struct options *o, struct run_request *q, struct fault *f)
{
    unsigned n = option_count(o, "cpu-ids");

    if (n > ENCLAVE_CPUS_MAX)
        return fault_set(f, E22_NOT_ENOUGH_CPUS, "More than %d CPUs.", ENCLAVE_CPUS_MAX);
    for (unsigned i = 0; i < n; i++) {
        const char *text = option_at(o, "cpu-ids", i);
        uint64_t id;
        if (span_to_u64(span_str(text), CPU_ID_MAX, &id) != ERR_OK)
            return fault_set(f, E03_INVALID_ARGUMENT, "--cpu-ids %s is not the number of a CPU.",
                             text);
        q->cpus[q->n_cpus++] = (unsigned)id;
    }
    return STATUS_OK;
}

static bool copy(char *to, size_t size, const char *from)
{
    return snprintf(to, size, "%s", from ? from : "") < (int)size;
}

static int usage(const struct options *o, const char *text)
{
    complain(o, "%s", text);
    return STATUS_USAGE;
}

static int read_words(const struct options *o, struct run_request *q, struct fault *f)
{
    const char *memory = option_text(o, "memory"), *eif = option_text(o, "eif-path"),
               *count = option_text(o, "cpu-count"), *cid = option_text(o, "enclave-cid");
    uint64_t n = 0;

    if (!memory || !eif)
        return usage(o, "--memory and --eif-path are needed, or --config");
    if ((count != NULL) == (option_count(o, "cpu-ids") > 0))
        return usage(o, "one of --cpu-count and --cpu-ids is needed");
    if (count && (span_to_u64(span_str(count), UINT16_MAX, &n) != ERR_OK || n == 0))
        return fault_set(f, E03_INVALID_ARGUMENT, "--cpu-count %s is not a number of CPUs.", count);
    q->cpu_count = (unsigned)n;
    if (!limit_parse_memory(memory, &q->memory_mib))
        return fault_set(f, E03_INVALID_ARGUMENT,
                         "--memory %s is not a number of MiB, or one followed by M, G or T.",
                         memory);
    if (!copy(q->eif_path, sizeof q->eif_path, eif) ||
        !copy(q->name, sizeof q->name, option_text(o, "enclave-name")))
        return fault_set(f, E03_INVALID_ARGUMENT, "--eif-path or --enclave-name is too long.");
    int status = cid ? limit_parse_cid(cid, &q->cid, f) : STATUS_OK;
    q->attach = option_flag(o, "attach-console");
    q->debug = option_flag(o, "debug-mode") || q->attach;
    return status == STATUS_OK ? read_ids(o, q, f) : status;
}

static bool text_member(struct json_in *j, char *to, size_t size)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(size - 1);
    struct json_str s = json_in_string(j);

    if (!json_str_is_set(s) || json_str_decode(s, &text) != ERR_OK)
        return false;
    struct span view = buf_view(&text);
    if (span_find(view, 0) != view.len)
        return false;
    if (view.len > 0)
        memcpy(to, view.ptr, view.len);
    to[view.len] = '\0';
    return true;
}

struct seen {
    bool eif, memory, count, ids;
};

/* False: the member's value is not what it must be. */
static bool member(struct json_in *j, struct json_str name, struct run_request *q,
                   struct seen *seen)
{
    if (json_in_peek(j) == JSON_KIND_NULL) { /* an Option that is not set */
        json_in_null(j);
        return true;
    }
    if (json_str_is(name, "eif_path")) {
        seen->eif = true;
        return text_member(j, q->eif_path, sizeof q->eif_path);
    }
    if (json_str_is(name, "enclave_name"))
        return text_member(j, q->name, sizeof q->name);
    if (json_str_is(name, "memory_mib")) {
        seen->memory = true;
        q->memory_mib = json_in_uint(j, ALLOCATOR_MEMORY_MAX_MIB);
    } else if (json_str_is(name, "cpu_count")) {
        seen->count = true;
        q->cpu_count = (unsigned)json_in_uint(j, UINT16_MAX);
    } else if (json_str_is(name, "cpu_ids")) {
        seen->ids = true;
        for (json_in_array(j); json_in_element(j);) {
            if (q->n_cpus == ENCLAVE_CPUS_MAX)
                return false;
            q->cpus[q->n_cpus++] = (unsigned)json_in_uint(j, CPU_ID_MAX);
        }
    } else if (json_str_is(name, "enclave_cid")) {
        q->cid = (uint32_t)json_in_uint(j, UINT32_MAX);
    } else if (json_str_is(name, "debug_mode")) {
        q->debug = json_in_bool(j) || q->debug;
    } else if (json_str_is(name, "attach_console")) {
        q->attach = json_in_bool(j);
    } else {
        fprintf(stderr, "nitro-local: the configuration's member \"%.*s\" is not known\n",
                (int)name.raw.len, (const char *)name.raw.ptr);
        (void)json_in_skip(j);
    }
    return j->err == ERR_OK;
}

int run_config_parse(struct span text, struct run_request *q, struct fault *f)
{
    struct json_in j = json_in_init(text);
    struct json_str name;
    struct seen seen = { .eif = false };
    bool good = true;

    for (json_in_object(&j); good && json_in_member(&j, &name);) {
        good = member(&j, name, q, &seen);
        if (!good)
            return fault_set(f, E03_INVALID_ARGUMENT, "The configuration's %.*s is not valid.",
                             (int)name.raw.len, (const char *)name.raw.ptr);
    }
    if (json_in_end(&j) != ERR_OK)
        return fault_set(f, E03_INVALID_ARGUMENT,
                         "The configuration is not valid JSON: %s at byte %zu.", j.what, j.pos);
    if (seen.count && seen.ids)
        return fault_set(f, E02_CONFLICTING_ARGUMENTS,
                         "The configuration has both cpu_count and cpu_ids.");
    if (!seen.count && !seen.ids)
        return fault_set(f, E01_MISSING_ARGUMENT,
                         "The configuration has neither cpu_count nor cpu_ids.");
    if (!seen.eif || !seen.memory)
        return fault_set(f, E01_MISSING_ARGUMENT, "The configuration has no %s.",
                         seen.eif ? "memory_mib" : "eif_path");
    if (q->cpu_count + q->n_cpus == 0)
        return fault_set(f, E03_INVALID_ARGUMENT, "The configuration asks for no CPU.");
    return STATUS_OK;
}

static int read_config(const char *path, struct run_request *q, struct fault *f)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(CONFIG_MAX_BYTES);
    struct why why = { 0 };

    if (file_read(path, &text, &why) != ERR_OK)
        return fault_set(f, E19_FILE, "Failed to read the configuration %s: %s.", path, why.what);
    return run_config_parse(buf_view(&text), q, f);
}

int run_read(int argc, char **argv, struct run_request *q, const char **vsock, struct fault *f)
{
    static const char *const alone[] = { "cpu-count",   "memory",     "eif-path",
                                         "enclave-cid", "debug-mode", "enclave-name" };
    char *words[RUN_WORDS_MAX];
    struct options o;
    int n = 0;

    if (run_spread_cpu_ids(argc, argv, words, &n) != ERR_OK)
        return fault_set(f, E03_INVALID_ARGUMENT, "Too many arguments.");
    int status = options_parse(&program, n, words, &o);
    if (status >= 0)
        return status;
    *vsock = option_text(&o, "vsock");
    const char *config = option_text(&o, "config");
    if (!config) {
        status = read_words(&o, q, f);
        return status == STATUS_OK ? -1 : status;
    }
    bool others = option_count(&o, "cpu-ids") > 0;
    for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++)
        others = others || option_count(&o, alone[i]) > 0;
    if (others)
        return usage(&o, "--config goes with --attach-console only");
    status = read_config(config, q, f);
    q->attach = q->attach || option_flag(&o, "attach-console");
    q->debug = q->debug || q->attach;
    return status == STATUS_OK ? -1 : status;
}
