/* The parent itself: hardware, what is reserved for enclaves, and which of them run. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/wait.h>

#include "bin/common/allocator.h"
#include "bin/common/capture.h"
#include "bin/nitroseal/doctor.h"
#include "io/sys.h"

#define HUGE_PAGES "/sys/kernel/mm/hugepages"

enum {
    DESCRIBE_S = 15,
    DESCRIBE_MAX_BYTES = 1 << 20,
    SMALL_FILE_MAX_BYTES = 4096,
    KIB_PER_MIB = 1024,
};

void doctor_hardware(struct doctor *d)
{
    AUTO(fd_close) int fd = -1;

    if (doctor_is_local(d)) {
        doctor_say(d, FINDING_SKIPPED, _("vsock goes over Unix sockets in %s: no hardware is used"),
                   d->enclave.at.path);
        return;
    }
    fd = open("/dev/nitro_enclaves", O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        doctor_say(d, FINDING_OK, _("/dev/nitro_enclaves can be opened"));
        return;
    }
    d->no_device = errno == ENOENT;
    doctor_fail(d, CLI_SETTINGS, "/dev/nitro_enclaves: %s", errno_what(errno));
    doctor_fix(d, "%s",
               d->no_device
                   ? _("start the instance with enclaves enabled (EnclaveOptions), with a kernel "
                       "that has the nitro_enclaves driver; without hardware: nitroseal local up")
                   : _("run as root or as a member of the group ne"));
}

/* A number in a file of its own; 0 where there is none. */
static uint64_t number_in(const char *path)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(SMALL_FILE_MAX_BYTES);
    uint64_t n = 0;

    if (file_read(path, &text, NULL) != ERR_OK)
        return 0;
    while (text.len > 0 && text.ptr[text.len - 1] == '\n')
        buf_truncate(&text, text.len - 1);
    return span_to_u64(buf_view(&text), UINT32_MAX, &n) == ERR_OK ? n : 0;
}

static void close_folder(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir);
}

/* All huge pages, of every size: folders are named hugepages-2048kB. */
static uint64_t huge_mib(void)
{
    AUTO(close_folder) DIR *dir = opendir(HUGE_PAGES);
    uint64_t mib = 0;

    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        char path[sizeof HUGE_PAGES + sizeof e->d_name + 16];
        struct span name = span_str(e->d_name);
        uint64_t kib = 0;
        if (!span_starts(name, "hugepages-") ||
            span_to_u64(span_sub(name, 10, span_find(span_from(name, 10), 'k')), UINT32_MAX,
                        &kib) != ERR_OK)
            continue;
        snprintf(path, sizeof path, HUGE_PAGES "/%s/nr_hugepages", e->d_name);
        mib += number_in(path) * kib / KIB_PER_MIB;
    }
    return mib;
}

void doctor_memory(struct doctor *d)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(ALLOCATOR_FILE_MAX_BYTES);
    const char *path = option_text(d->o, "allocator");
    struct allocator a;
    struct why why = { 0 };

    if (doctor_is_local(d)) {
        doctor_say(d, FINDING_SKIPPED, _("nothing is reserved for an enclave over Unix sockets"));
        return;
    }
    if (file_read(path, &text, &why) != ERR_OK) {
        doctor_fail(d, CLI_SETTINGS, "%s: %s", path, why.what);
        doctor_fix(d, _("install AWS's aws-nitro-enclaves-cli, which brings it"));
        return;
    }
    if (allocator_parse(buf_view(&text), &a, &why) != ERR_OK) {
        doctor_fail(d, CLI_SETTINGS, _("%s: %s (byte %zu)"), path, why.what, why.at);
        doctor_fix(d, _("write it as: a line ---, then memory_mib: 128 and cpu_count: 2, no empty "
                        "lines"));
        return;
    }
    uint64_t have = huge_mib();
    if (have < a.memory_mib) {
        doctor_fail(d, CLI_SETTINGS,
                    _("%s asks for %llu MiB, and %llu MiB of huge pages are there"), path,
                    (unsigned long long)a.memory_mib, (unsigned long long)have);
        doctor_fix(d,
                   _("systemctl restart nitro-enclaves-allocator, best right after boot; its log "
                     "says what was missing (E26, E27 of nitro-cli come from here)"));
        return;
    }
    doctor_say(d, FINDING_OK, _("%llu MiB and %llu CPUs are reserved for enclaves"),
               (unsigned long long)have, (unsigned long long)a.cpu_count);
}

static json_t *enclave_of_cid(json_t *all, uint32_t cid)
{
    json_t *one;
    size_t i;

    json_array_foreach(all, i, one) if (json_integer_value(json_object_get(one, "EnclaveCID")) ==
                                        (json_int_t)cid) return one;
    return NULL;
}

static void judge_enclave(struct doctor *d, json_t *one, const char *cli)
{
    const char *name = json_string_value(json_object_get(one, "EnclaveName"));
    const char *state = json_string_value(json_object_get(one, "State"));
    const char *flags = json_string_value(json_object_get(one, "Flags"));

    if (!state || strcmp(state, "RUNNING") != 0) {
        doctor_fail(d, CLI_UNREACHABLE, _("the enclave with CID %u is in state %s"),
                    d->enclave.at.cid, state ? state : "?");
        doctor_fix(d, _("%s terminate-enclave, then run-enclave again"), cli);
        return;
    }
    if (flags && strcmp(flags, "DEBUG_MODE") == 0) {
        doctor_say(d, FINDING_WARN,
                   _("%s runs with CID %u in debug mode: its PCRs are zero, and a "
                     "key policy on them refuses it"),
                   name ? name : "?", d->enclave.at.cid);
        doctor_fix(d, _("run-enclave without --debug-mode and --attach-console"));
        return;
    }
    doctor_say(d, FINDING_OK, _("%s runs with CID %u"), name ? name : "?", d->enclave.at.cid);
}

void doctor_enclave(struct doctor *d)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(DESCRIBE_MAX_BYTES);
    const char *cli = option_text(d->o, "nitro-cli");
    const char *argv[] = { cli, "describe-enclaves", NULL };
    struct why why = { 0 };
    int status = 0;

    if (doctor_is_local(d) && strcmp(cli, "nitro-cli") == 0) {
        doctor_say(
            d, FINDING_SKIPPED,
            _("nitro-cli knows no enclaves over Unix sockets (--nitro-cli nitro-local does)"));
        return;
    }
    enum err r = capture(argv, DESCRIBE_S, &out, &status, &why);
    if (r != ERR_OK || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        doctor_say(d, FINDING_WARN, _("%s describe-enclaves: %s"), cli,
                   r != ERR_OK ? why.what : _("it failed"));
        doctor_fix(d, _("install aws-nitro-enclaves-cli, or name the program with --nitro-cli"));
        return;
    }
    json_t *all = json_loadb(out.len ? (const char *)out.ptr : "", out.len, 0, NULL);
    json_t *one = enclave_of_cid(all, d->enclave.at.cid);
    if (one) {
        judge_enclave(d, one, cli);
    } else {
        doctor_fail(d, CLI_UNREACHABLE, _("%zu enclaves run, none with CID %u"),
                    json_array_size(all), d->enclave.at.cid);
        doctor_fix(d,
                   _("%s run-enclave --enclave-cid %u ...; one that leaves at once tells why on "
                     "its console: run it once with --debug-mode and %s console"),
                   cli, d->enclave.at.cid, cli);
    }
    json_decref(all);
}
