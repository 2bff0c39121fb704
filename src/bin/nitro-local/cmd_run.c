/* nitro-local run-enclave. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bin/nitro-local/commands.h"
#include "bin/nitro-local/qemu.h"
#include "bin/nitro-local/run.h"
#include "bin/nitro-local/state_json.h"
#include "bin/nitro-local/supervise.h"
#include "crypto/crypto.h"
#include "eif/describe.h"
#include "io/log.h"
#include "io/sys.h"

enum { EIF_MAX_BYTES = INT32_MAX, JSON_MAX_BYTES = 1 << 20, MIB = 1 << 20 };

struct start {
    struct run_request q;
    const char *vsock; /* --vsock, or NULL */
    char eif[STATE_PATH_BYTES], qemu[STATE_PATH_BYTES];
    uint64_t eif_bytes, min_memory_mib;
    struct allocator pool;
    struct enclave e;
    int lock;
};

static void start_freep(struct start **s)
{
    if (!*s)
        return;
    enclave_clear(&(*s)->e);
    fd_close(&(*s)->lock);
    free(*s);
}

static uint64_t half_of_memory_mib(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);

    return pages > 0 && bytes > 0 ? (uint64_t)pages * (uint64_t)bytes / MIB / 2 : 1024;
}

static int read_pool(struct allocator *out, struct fault *f)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(ALLOCATOR_FILE_MAX_BYTES);
    const char *set = getenv("NITRO_LOCAL_ALLOCATOR");
    const char *path = set && set[0] ? set : ALLOCATOR_FILE;
    struct why why = { 0 };

    if (!(set && set[0]) && access(path, F_OK) != 0) {
        *out = limit_default_pool(half_of_memory_mib());
        return STATUS_OK;
    }
    if (file_read(path, &text, &why) != ERR_OK)
        return fault_set(f, E19_FILE, "Failed to read %s: %s.", path, why.what);
    if (allocator_parse(buf_view(&text), out, &why) != ERR_OK)
        return fault_set(f, E19_FILE, "Failed to read %s: %s at byte %zu.", path, why.what, why.at);
    return STATUS_OK;
}

static int settings(struct start *s, struct fault *f)
{
    const char *min = getenv("NITRO_LOCAL_MIN_MEMORY_MIB");
    struct stat st;

    s->min_memory_mib = LIMIT_MEMORY_MIN_MIB;
    if (min && min[0] &&
        span_to_u64(span_str(min), ALLOCATOR_MEMORY_MAX_MIB, &s->min_memory_mib) != ERR_OK)
        return fault_set(f, E03_INVALID_ARGUMENT, "NITRO_LOCAL_MIN_MEMORY_MIB is not a number.");
    char *real = realpath(s->q.eif_path, NULL);
    if (!real || stat(real, &st) != 0 || !S_ISREG(st.st_mode)) {
        int e = real ? EINVAL : errno;
        free(real);
        return fault_set(f, E19_FILE, "Failed to open the image %s: %s.", s->q.eif_path,
                         e == EINVAL ? "not a file" : errno_what(e));
    }
    bool fits = snprintf(s->eif, sizeof s->eif, "%s", real) < (int)sizeof s->eif;
    free(real);
    if (!fits)
        return fault_set(f, E19_FILE, "The path of the image is too long.");
    s->eif_bytes = (uint64_t)st.st_size;
    return read_pool(&s->pool, f);
}

static char *dump(struct json_out *w)
{
    enum err r = json_out_end(w);
    if (r == ERR_OK)
        r = buf_append_byte(w->out, 0);

    return r == ERR_OK ? strdup((const char *)w->out->ptr) : NULL;
}

/* PCRs and metadata of the file as describe-enclaves prints them. */
static int keep_measured(const struct eif_report *r, struct enclave *e, struct fault *f)
{
    AUTO(buf_clear) struct buf pcrs = BUF_INIT(JSON_MAX_BYTES), meta = BUF_INIT(JSON_MAX_BYTES);
    struct json_out w = json_out_init(&pcrs), m = json_out_init(&meta);

    eif_measurements_write(&w, &r->pcrs);
    e->measurements = dump(&w);
    json_out_object(&m);
    if (r->has_metadata)
        eif_metadata_members(&m, &r->metadata);
    json_out_object_end(&m);
    e->metadata = dump(&m);
    return e->measurements && e->metadata
               ? STATUS_OK
               : fault_set(f, E17_SERIALIZATION, "The image's metadata cannot be written as JSON.");
}

static int check_signature(const struct eif_report *r, struct fault *f)
{
    struct why why = r->signature_fault;

    if (!r->is_signed)
        return STATUS_OK;
    if (r->signature_ok &&
        eif_signature_check_time(&r->signature, clock_wall_ms() / 1000, &why) == ERR_OK)
        return STATUS_OK;
    return fault_set(f, E59_SIGNATURE, "The image's signature or certificate is not valid: %s.",
                     why.what ? why.what : "signature");
}

static int measure(struct start *s, struct fault *f)
{
    AUTO(buf_clear) struct buf file = BUF_INIT(EIF_MAX_BYTES);
    AUTO(eif_report_clear) struct eif_report report = EIF_REPORT_NONE;
    struct why why = { 0 };

    if (file_read(s->eif, &file, &why) != ERR_OK)
        return fault_set(f, E19_FILE, "Failed to read the image %s: %s.", s->eif, why.what);
    enum err r = crypto_process_init();
    if (r == ERR_OK)
        r = eif_report_make(buf_view(&file), &report, &why);
    if (r != ERR_OK)
        return fault_set(f, E35_EIF_PARSING, "The image %s cannot be parsed: %s at byte %zu.",
                         s->eif, why.what ? why.what : err_name(r), why.at);
    int status = check_signature(&report, f);
    return status == STATUS_OK ? keep_measured(&report, &s->e, f) : status;
}

/* "i-0123456789abcdef0" where the hypervisor says so, as nitro-cli reads it. */
static void instance(char *out, size_t size)
{
    AUTO(buf_clear) struct buf tag = BUF_INIT(128);
    struct span text = SPAN_EMPTY;

    if (file_read("/sys/devices/virtual/dmi/id/board_asset_tag", &tag, NULL) == ERR_OK) {
        text = buf_view(&tag);
        text = span_sub(text, 0, span_find(text, '\n'));
    }
    bool plain = span_starts(text, "i-") && text.len < 32;
    for (size_t i = 2; plain && i < text.len; i++)
        plain = strchr("0123456789abcdef", text.ptr[i]) != NULL && text.ptr[i] != 0;
    (void)snprintf(out, size, "%.*s", plain ? (int)text.len : 18,
                   plain ? (const char *)text.ptr : "i-0000000000000000");
}

static int name_slot(struct enclave *e, struct fault *f)
{
    uint64_t slot = 0;
    char tag[32];

    if (getrandom(&slot, sizeof slot, 0) != sizeof slot)
        return fault_set(f, E29_IOCTL, "No random number for the enclave's id.");
    instance(tag, sizeof tag);
    (void)snprintf(e->slot, sizeof e->slot, "enc%016llx", (unsigned long long)slot);
    (void)snprintf(e->id, sizeof e->id, "%s-%s", tag, e->slot);
    return STATUS_OK;
}

static int choose_folder(struct start *s, struct fault *f)
{
    char path[STATE_PATH_BYTES];

    state_path("", "vsock", path);
    if (s->vsock && !span_starts(span_str(s->vsock), "unix:"))
        return fault_set(f, E03_INVALID_ARGUMENT,
                         "--vsock %s (or NITROSEAL_VSOCK) is not unix:DIR: an enclave in QEMU has "
                         "no other transport.",
                         s->vsock);
    const char *dir = s->vsock ? s->vsock + strlen("unix:") : path;
    if (dir[0] != '/')
        return fault_set(f, E03_INVALID_ARGUMENT, "The vsock folder %s is not an absolute path.",
                         dir);
    if (snprintf(s->e.vsock, sizeof s->e.vsock, "%s", dir) >= (int)sizeof s->e.vsock)
        return fault_set(f, E03_INVALID_ARGUMENT, "The path of the vsock folder %s is too long.",
                         dir);
    return STATUS_OK;
}

/* Under the lock: nobody else decides meanwhile. */
static int reserve(struct start *s, struct fault *f)
{
    struct enclaves *all = calloc(1, sizeof *all);
    char dir[STATE_PATH_BYTES];
    AUTO(fd_close) int lock = -1;

    int status = all ? state_dir(dir, f) : fault_set(f, E29_IOCTL, "Out of memory.");
    if (status == STATUS_OK)
        status = state_lock(&lock, f);
    if (status == STATUS_OK)
        status = state_load(all, f);
    if (status == STATUS_OK)
        status = limit_reserve(&s->pool, all, &s->q, s->min_memory_mib, &s->e, f);
    if (status == STATUS_OK)
        status = name_slot(&s->e, f);
    if (status == STATUS_OK)
        status = choose_folder(s, f);
    s->e.debug = s->q.debug;
    if (status == STATUS_OK)
        status = state_reserve(&s->e, &s->lock, f);
    if (all)
        enclaves_clear(all);
    free(all);
    return status;
}

/* A session of its own, output to the log: it outlives this command. */
static void detach(void)
{
    char dir[STATE_PATH_BYTES], path[STATE_PATH_BYTES + 32];
    AUTO(fd_close) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    AUTO(fd_close) int log = -1;

    (void)setsid();
    if (state_log_dir(dir) && dir_make(dir, NULL) == ERR_OK) {
        (void)snprintf(path, sizeof path, "%s/nitro_enclaves.log", dir);
        log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    for (int fd = 0; fd <= 2 && null >= 0; fd++)
        (void)dup2(fd == STDERR_FILENO && log >= 0 ? log : null, fd);
    log_init("nitro-local", LOG_INFO);
}

static int read_report(int fd, struct fault *f)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(REPORT_MAX_BYTES);
    uint64_t code = 0;

    if (fd_read_all(fd, &text, 0, NULL) != ERR_OK || text.len == 0)
        return fault_set(f, E39_NOT_REACHED, "The enclave's process left without a word.");
    if (span_is(buf_view(&text), REPORT_READY))
        return STATUS_OK;
    struct span rest = buf_view(&text), line = span_cut(&rest, '\n');
    if (span_to_u64(span_cut(&line, ' '), CODES - 1, &code) != ERR_OK)
        code = E36_BOOT;
    if (buf_append(&f->more, rest) != ERR_OK)
        buf_reset(&f->more);
    return fault_set(f, (enum code)code, "%.*s", (int)line.len, (const char *)line.ptr);
}

static int boot(struct start *s, struct fault *f)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        state_remove(&s->e);
        return fault_set(f, E05_SPAWN, "No socket for the enclave's process: %s.",
                         errno_what(errno));
    }
    AUTO(fd_close) int from = ends[0];
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        fd_close(&from);
        detach();
        struct supervise sv = {
            .e = &s->e,
            .qemu = s->qemu,
            .eif = s->eif,
            .boot_ns =
                limit_boot_ns(s->eif_bytes, s->e.memory_mib, getenv("NITRO_LOCAL_BOOT_SECONDS")),
            .report = ends[1],
        };
        supervise(&sv);
        _exit(0);
    }
    fd_close(&ends[1]);
    fd_close(&s->lock); /* the supervisor has it now */
    if (child < 0) {
        state_remove(&s->e);
        return fault_set(f, E05_SPAWN, "The enclave's process cannot be started: %s.",
                         errno_what(errno));
    }
    int status = read_report(from, f);
    while (status != STATUS_OK && waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    } /* until it has cleared up */
    s->e.supervisor.pid = child;
    return status;
}

static int print_started(const struct start *s, struct fault *f)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(JSON_MAX_BYTES);
    struct json_out w = json_out_init(&out);

    fprintf(stderr, "Started enclave with enclave-cid: %u, memory: %llu MiB, cpu-ids: [", s->e.cid,
            (unsigned long long)s->e.memory_mib);
    for (unsigned i = 0; i < s->e.n_cpus; i++)
        fprintf(stderr, "%s%u", i ? ", " : "", s->e.cpus[i]);
    fprintf(stderr, "]\nnitro-local: vsock sockets are in %s\n", s->e.vsock);
    if (s->e.debug)
        fprintf(stderr, "nitro-local: QEMU's NSM has no debug mode: this enclave attests its real "
                        "PCRs, where one on Nitro would attest zeros\n");
    json_out_object(&w);
    enclave_members(&w, &s->e);
    json_out_object_end(&w);
    return json_print(&w, f);
}

static int start(struct start *s, struct fault *f)
{
    fprintf(stderr, "Start allocating memory...\n");
    int status = settings(s, f);
    if (status == STATUS_OK)
        status = limit_cpus(&s->pool, &s->q, f);
    if (status == STATUS_OK)
        status = limit_memory(&s->q, s->eif_bytes, f);
    if (status == STATUS_OK)
        status = measure(s, f);
    if (status == STATUS_OK)
        status = qemu_find(s->qemu, f);
    if (status == STATUS_OK)
        status = reserve(s, f);
    if (status == STATUS_OK)
        status = boot(s, f);
    if (status == STATUS_OK)
        status = print_started(s, f);
    if (status == STATUS_OK && s->q.attach)
        status = console_follow(&s->e, 0, f);
    return status;
}

int cmd_run_enclave(int argc, char **argv)
{
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    AUTO(start_freep) struct start *s = calloc(1, sizeof *s);

    if (!s)
        return E29_IOCTL;
    s->lock = -1;
    int status = run_read(argc, argv, &s->q, &s->vsock, &f);
    if (status < 0)
        status = start(s, &f);
    return f.code == E_NONE ? status : fault_print(&f, "Run Enclave", argc, argv);
}
