/* nitro-local describe-enclaves, terminate-enclave. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "bin/common/options.h"
#include "bin/nitro-local/commands.h"
#include "bin/nitro-local/state_json.h"
#include "io/sys.h"

enum { JSON_MAX_BYTES = 4 << 20, END_S = 20 };

static const struct option_def describe_options[] = {
    { "metadata", 0, NULL, NULL, NULL, "Print the image's name, version and metadata too." },
    { 0 },
};
static const struct program_def describe_program = {
    .name = "nitro-local describe-enclaves",
    .synopsis = "[--metadata]",
    .summary = "Print what runs, as a JSON array.",
    .options = describe_options,
};

static const struct option_def terminate_options[] = {
    { "enclave-id", 0, "ID", NULL, NULL, "This enclave." },
    { "enclave-name", 0, "NAME", NULL, NULL, "The one enclave with this name." },
    { "all", 0, NULL, NULL, NULL, "All of them." },
    { 0 },
};
static const struct program_def terminate_program = {
    .name = "nitro-local terminate-enclave",
    .synopsis = "--enclave-id ID | --enclave-name NAME | --all",
    .summary = "End an enclave and remove what belongs to it.",
    .options = terminate_options,
};

static int describe(bool metadata, struct enclaves *all, struct fault *f)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(JSON_MAX_BYTES);
    struct json_out w = json_out_init(&out);

    int status = state_list(all, f);
    if (status != STATUS_OK)
        return status;
    json_out_array(&w);
    for (unsigned i = 0; i < all->n; i++)
        enclave_describe(&w, &all->list[i], metadata);
    json_out_array_end(&w);
    return json_print(&w, f);
}

static void enclaves_freep(struct enclaves **all)
{
    if (*all)
        enclaves_clear(*all);
    free(*all);
}

int cmd_describe_enclaves(int argc, char **argv)
{
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    AUTO(enclaves_freep) struct enclaves *all = calloc(1, sizeof *all);
    struct options o;

    int status = options_parse(&describe_program, argc, argv, &o);
    if (status >= 0)
        return status;
    status = all ? describe(option_flag(&o, "metadata"), all, &f)
                 : fault_set(&f, E29_IOCTL, "Out of memory.");
    return f.code == E_NONE ? status : fault_print(&f, "Describe Enclaves", argc, argv);
}

static int end(const struct enclave *e, struct fault *f)
{
    uint64_t deadline = clock_mono_ns() + END_S * NS_PER_S;

    (void)process_signal(&e->supervisor, SIGTERM);
    if (!process_wait_gone(&e->supervisor, deadline)) {
        (void)process_signal(&e->supervisor, SIGKILL); /* and QEMU with it */
        if (!process_wait_gone(&e->supervisor, deadline + END_S * NS_PER_S))
            return fault_set(f, E39_NOT_REACHED, "The process %d of enclave %s does not end.",
                             e->supervisor.pid, e->id);
    }
    fprintf(stderr, "Successfully terminated enclave %s.\n", e->id);
    return STATUS_OK;
}

static void terminated(struct json_out *w, const struct enclave *e)
{
    json_out_object(w);
    json_out_key(w, "EnclaveName");
    json_out_string(w, span_str(e->name));
    json_out_key(w, "EnclaveID");
    json_out_string(w, span_str(e->id));
    json_out_key(w, "Terminated");
    json_out_bool(w, true);
    json_out_object_end(w);
}

static int terminate_one(const struct options *o, struct enclaves *all, struct json_out *w,
                         struct fault *f)
{
    const struct enclave *e =
        state_find(all, option_text(o, "enclave-id"), option_text(o, "enclave-name"), f);

    if (!e)
        return f->code;
    int status = end(e, f);
    terminated(w, e);
    return status;
}

static int terminate_all(struct enclaves *all, struct json_out *w, struct fault *f)
{
    int status = STATUS_OK;

    json_out_array(w);
    for (unsigned i = 0; i < all->n && status == STATUS_OK; i++) {
        status = end(&all->list[i], f);
        if (status == STATUS_OK)
            terminated(w, &all->list[i]);
    }
    json_out_array_end(w);
    return status;
}

static int terminate(const struct options *o, struct enclaves *all, struct fault *f)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(JSON_MAX_BYTES);
    struct json_out w = json_out_init(&out);

    int status = state_list(all, f);
    if (status == STATUS_OK)
        status = option_flag(o, "all") ? terminate_all(all, &w, f) : terminate_one(o, all, &w, f);
    if (status != STATUS_OK)
        return status;
    enclaves_clear(all); /* and remove what one that had to be killed has left */
    status = state_list(all, f);
    return status == STATUS_OK ? json_print(&w, f) : status;
}

int cmd_terminate_enclave(int argc, char **argv)
{
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    AUTO(enclaves_freep) struct enclaves *all = calloc(1, sizeof *all);
    struct options o;

    int status = options_parse(&terminate_program, argc, argv, &o);
    if (status >= 0)
        return status;
    if (option_flag(&o, "all") + (option_text(&o, "enclave-id") != NULL) +
            (option_text(&o, "enclave-name") != NULL) !=
        1) {
        complain(&o, "exactly one of --enclave-id, --enclave-name and --all is needed");
        return STATUS_USAGE;
    }
    status = all ? terminate(&o, all, &f) : fault_set(&f, E29_IOCTL, "Out of memory.");
    return f.code == E_NONE ? status : fault_print(&f, "Terminate Enclave", argc, argv);
}
