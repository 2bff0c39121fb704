#include "bin/nitroseal/doctor.h"

#include <stdarg.h>

#include "bin/common/allocator.h"
#include "bin/nitroseal/policy_cmd.h"

static const struct option_def options[] = {
    CLI_ENCLAVE_OPTIONS,
    CLI_PROFILE_OPTION,
    ATTEST_ROOT_OPTION,
    { "image", 'i', "FILE", NULL, NULL,
      "EIF, or JSON with its PCRs: the enclave has to run exactly this image." },
    { "region", 0, "REGION", "AWS_REGION", "us-east-1", "Region of the key." },
    { "endpoint", 0, "URL", "AWS_ENDPOINT_URL_KMS", NULL,
      "Where KMS is, in place of the region's." },
    { "relay-port", 0, "PORT", "KMS_PROXY_PORT", "8000", "Port of the relay on CID 3." },
    { "nitro-cli", 0, "PROGRAM", "NITROSEAL_NITRO_CLI", "nitro-cli",
      "Who is asked for the running enclaves: nitro-cli or nitro-local." },
    { "allocator", 0, "FILE", NULL, ALLOCATOR_FILE, "What this parent reserves for enclaves." },
    { "no-kms", 0, NULL, NULL, NULL, "Leave out the last check, which uses the key once." },
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseal doctor",
    .synopsis = "[OPTION ...]",
    .summary = "Look at every part on the way of a request, from the parent's hardware to the key, "
               "and say what to\ndo about what is wrong. Changes nothing.",
    .options = options,
    .footer =
        "Exit status: 0 nothing is wrong, else that of the first fault: 3 enclave or relay not "
        "reached,\n4 refused by KMS, 5 did not verify, 7 settings or credentials, 1 others; "
        "2 usage, 6 input.\n",
};

static const struct check {
    const char *name;
    void (*run)(struct doctor *d);
} checks[] = {
    { "hardware", doctor_hardware },       { "memory", doctor_memory },
    { "enclave", doctor_enclave },         { "service", doctor_service },
    { "attestation", doctor_attestation }, { "relay", doctor_relay },
    { "endpoint", doctor_endpoint },       { "credentials", doctor_credentials },
    { "key", doctor_round_trip },
};

enum { N_CHECKS = sizeof checks / sizeof checks[0], REPORT_MAX_BYTES = 65536 };

static void set_text(struct buf *out, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
static void set_text(struct buf *out, const char *fmt, va_list ap)
{
    char line[DOCTOR_TEXT_MAX_BYTES / 2];

    vsnprintf(line, sizeof line, fmt, ap);
    buf_reset(out);
    cli_append_clean(out, span_str(line));
}

void doctor_say(struct doctor *d, enum finding finding, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_text(&d->what, fmt, ap);
    va_end(ap);
    d->finding = finding;
}

void doctor_fail(struct doctor *d, int status, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_text(&d->what, fmt, ap);
    va_end(ap);
    d->finding = FINDING_FAILED;
    d->status = status;
}

void doctor_fix(struct doctor *d, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_text(&d->fix, fmt, ap);
    va_end(ap);
}

bool doctor_is_local(const struct doctor *d)
{
    return d->enclave.at.kind == ADDR_VSOCK_UNIX;
}

static const char *finding_name(enum finding f)
{
    switch (f) {
    case FINDING_OK:
        return "ok";
    case FINDING_WARN:
        return "warn";
    case FINDING_FAILED:
        return "FAILED";
    case FINDING_SKIPPED:
        return "skip";
    }
    return "?";
}

static void report_line(const struct doctor *d, const char *name)
{
    printf("%-7s %-12s %.*s\n", finding_name(d->finding), name, (int)d->what.len,
           d->what.ptr ? (const char *)d->what.ptr : "");
    if (d->fix.len > 0)
        printf("        %-12s %.*s\n", "", (int)d->fix.len, (const char *)d->fix.ptr);
    (void)fflush(stdout); /* the next one may take its time */
}

static void report_json(const struct doctor *d, const char *name, struct json_out *w)
{
    json_out_object(w);
    json_out_key(w, "check");
    json_out_string(w, span_str(name));
    json_out_key(w, "finding");
    json_out_string(w, d->finding == FINDING_FAILED ? SPAN_LIT("failed")
                                                    : span_str(finding_name(d->finding)));
    json_out_key(w, "text");
    json_out_string(w, buf_view(&d->what));
    if (d->fix.len > 0) {
        json_out_key(w, "fix");
        json_out_string(w, buf_view(&d->fix));
    }
    json_out_object_end(w);
}

/* All of them, whatever comes of one: what is wrong later may be the reason. */
static int run_all(struct doctor *d, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf report = BUF_INIT(REPORT_MAX_BYTES);
    struct json_out w = json_out_init(&report);
    int status = CLI_OK;

    json_out_array(&w);
    for (size_t i = 0; i < N_CHECKS; i++) {
        buf_reset(&d->what);
        buf_reset(&d->fix);
        checks[i].run(d);
        if (d->finding == FINDING_FAILED && status == CLI_OK)
            status = d->status;
        if (d->enclave.json)
            report_json(d, checks[i].name, &w);
        else
            report_line(d, checks[i].name);
    }
    json_out_array_end(&w);
    if (!d->enclave.json)
        return status;
    if (json_out_end(&w) != ERR_OK || buf_append_byte(&report, '\n') != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("cannot write the answer: %s"), "memory");
    int printed = cli_print(buf_view(&report), f);
    return printed == CLI_OK ? status : printed;
}

static void doctor_clear(struct doctor *d)
{
    cli_credentials_clear(&d->credentials);
    crypto_freep(&d->cx);
    buf_clear(&d->what);
    buf_clear(&d->fix);
}

static int run(const struct options *o, struct doctor *d, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf root = BUF_INIT(ATTEST_PEM_MAX_BYTES);
    const char *image = option_text(o, "image");

    if (crypto_process_init() != ERR_OK || crypto_new(&d->cx) != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("the cryptographic library does not start"));
    int status = attest_root_read(o, d->cx, &d->question, &root, f);
    if (status == CLI_OK && image)
        status = policy_image_read(image, &d->question.want, f);
    return status == CLI_OK ? run_all(d, f) : status;
}

int cmd_doctor(int argc, char **argv)
{
    AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;
    AUTO(doctor_clear)
    struct doctor d = {
        .credentials = { .access_key_id = { .max = 0 } },
        .what = BUF_INIT(DOCTOR_TEXT_MAX_BYTES),
        .fix = BUF_INIT(DOCTOR_TEXT_MAX_BYTES),
    };
    struct options o;
    int status = options_parse(&program, argc, argv, &o);

    if (status >= 0)
        return status;
    d.o = &o;
    status = cli_enclave_read(&o, &d.enclave);
    if (status != CLI_OK)
        return status;
    status = run(&o, &d, &f);
    return f.text.len ? cli_fault_print(&o, &f, d.enclave.json) : status;
}
