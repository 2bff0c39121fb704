#include "bin/nitroseal-nsm/settings.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "bin/common/options.h"
#include "io/sys.h"

enum {
    IMAGE_PARTS_MAX = 34, /* an EIF has at most 32 sections; kernel, cmdline, ramdisks */
    KERNEL = 0,
    CMDLINE = 1,
    RAMDISK = 2,
    MEASURED_PCRS = 0x7,
    GIVEN_PCRS = 0x107, /* PCR3 and PCR4 have options of their own, the others are zero */
};

#define PART_MAX_BYTES ((size_t)2 << 30)

static const struct option_def table[] = {
    { "socket", 's', "PATH", "NITROSEAL_NSM", NULL,
      "Listen on this Unix socket (SOCK_SEQPACKET); unix:PATH is understood." },
    { "state", 0, "DIR", NULL, NULL,
      "Keep the local PKI in DIR, and write the root certificate to DIR/root.pem." },
    { "pcr", 0, "N=HEX", NULL, NULL,
      "Value of PCR 0, 1, 2 or 8; may be given for each, and goes before files." },
    { "kernel", 0, "FILE", NULL, NULL, "Measure this kernel into PCR0 and PCR1." },
    { "cmdline", 0, "FILE|TEXT", NULL, NULL,
      "Measure this kernel command line: a file's content if there is such a file." },
    { "ramdisk", 0, "FILE", NULL, NULL,
      "Measure this ramdisk; may be given more than once. The first counts for PCR0 and PCR1, the "
      "others for PCR0 and PCR2." },
    { "debug-mode", 0, NULL, NULL, NULL, "PCR0, 1, 2 and 8 are zero, as in a debug enclave." },
    { "module-id", 0, "ID", NULL, NULL, "Module id; made from instance id and time if not given." },
    { "instance-id", 0, "ID", NULL, "i-0123456789abcdef0", "Parent instance: makes PCR4." },
    { "role-arn", 0, "ARN", NULL, NULL, "IAM role of the parent: makes PCR3, zero without." },
    { "region", 0, "REGION", "AWS_REGION", "us-east-1", "Region that the certificates name." },
    { "document", 0, "FORM", NULL, "indefinite",
      "Length of the document's map: indefinite, as hardware sends it, or definite, as it did." },
    { "expired-leaf", 0, NULL, NULL, NULL, "Sign with a leaf that has ended: to test verifiers." },
    { "fail-every", 0, "N", NULL, "0",
      "Answer one of N requests with InternalError: to test who asks; 0: none." },
    { "print-pcrs", 0, NULL, NULL, NULL, "Print the PCRs as JSON and leave." },
    { "log-level", 0, "LEVEL", "NITROSEAL_LOG", "info", "error, warn, info or debug." },
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseal-nsm",
    .synopsis = "--socket PATH --state DIR [OPTION ...]",
    .summary =
        "A Nitro Secure Module in software: PCRs of an image, and attestation documents that "
        "verify up to\na local root. For laptops and tests; it protects nothing.",
    .options = table,
    .footer = "Example:\n"
              "  nitroseal-nsm --socket /tmp/nsm/sock --state /tmp/nsm --kernel vmlinux "
              "--cmdline cmdline \\\n"
              "      --ramdisk init.cpio --ramdisk app.cpio\n\n"
              "Exit status: 0 ended by SIGTERM; 1 failure; 2 usage; 6 a file to measure; "
              "7 configuration.\n",
};

static int read_part(const struct options *o, const char *path, struct buf *out)
{
    struct why why = { 0 };

    *out = BUF_INIT(PART_MAX_BYTES);
    if (file_read(path, out, &why) == ERR_OK)
        return -1;
    complain(o, "cannot read %s: %s", path, why.what);
    return EXIT_FILE;
}

static int read_cmdline(const struct options *o, const char *text, struct buf *out)
{
    struct stat st;

    if (stat(text, &st) == 0)
        return read_part(o, text, out);
    *out = BUF_INIT(PART_MAX_BYTES);
    return buf_append_str(out, text) == ERR_OK ? -1 : EXIT_GENERAL;
}

static int read_parts(const struct options *o, struct buf *parts, size_t *n)
{
    const char *kernel = option_text(o, "kernel"), *cmdline = option_text(o, "cmdline");
    unsigned ramdisks = option_count(o, "ramdisk");
    int status = kernel ? read_part(o, kernel, &parts[KERNEL]) : -1;

    if (status < 0 && cmdline)
        status = read_cmdline(o, cmdline, &parts[CMDLINE]);
    if (ramdisks > IMAGE_PARTS_MAX - RAMDISK) {
        complain(o, "--ramdisk: at most %d", IMAGE_PARTS_MAX - RAMDISK);
        return EXIT_USAGE;
    }
    for (unsigned i = 0; i < ramdisks && status < 0; i++)
        status = read_part(o, option_at(o, "ramdisk", i), &parts[RAMDISK + i]);
    *n = RAMDISK + (ramdisks ? ramdisks : 1);
    return status;
}

/* The image's part of PCR0 to PCR2; those that were given keep their value. */
static int measure(const struct options *o, struct attest_pcrs *pcrs)
{
    struct buf parts[IMAGE_PARTS_MAX] = { 0 };
    struct span views[IMAGE_PARTS_MAX];
    struct attest_pcrs image = { 0 };
    size_t n = 0;

    if (!option_text(o, "kernel") && !option_text(o, "cmdline") && option_count(o, "ramdisk") == 0)
        return -1;
    int status = read_parts(o, parts, &n);
    for (size_t i = 0; i < IMAGE_PARTS_MAX; i++)
        views[i] = buf_view(&parts[i]);
    if (status < 0 && attest_pcrs_of_image(views, n, &image) != ERR_OK) {
        complain(o, "cannot measure the image");
        status = EXIT_GENERAL;
    }
    for (size_t i = 0; i < IMAGE_PARTS_MAX; i++)
        buf_clear(&parts[i]);
    for (unsigned i = 0; i < 3; i++)
        if (image.present & ~pcrs->present & 1U << i)
            memcpy(pcrs->value[i], image.value[i], ATTEST_PCR_BYTES);
    pcrs->present |= image.present;
    return status;
}

static int take_pcrs(const struct options *o, struct settings *s)
{
    struct attest_pcrs *pcrs = &s->nsm.pcrs;
    struct why why = { 0 };

    for (unsigned i = 0; i < option_count(o, "pcr"); i++) {
        const char *text = option_at(o, "pcr", i);
        if (attest_pcr_parse(span_str(text), pcrs, &why) != ERR_OK) {
            complain(o, "--pcr '%s': %s", text, why.what);
            return EXIT_USAGE;
        }
    }
    if (pcrs->present & ~(uint32_t)GIVEN_PCRS) {
        complain(o, "--pcr: only PCR 0, 1, 2 and 8 can be given; --role-arn makes PCR3 and "
                    "--instance-id PCR4");
        return EXIT_USAGE;
    }
    int status = measure(o, pcrs);
    if (status >= 0)
        return status;
    if ((pcrs->present & MEASURED_PCRS) == 0 && !s->nsm.debug_mode) {
        complain(o, "no image: give --kernel, --cmdline and --ramdisk, or --pcr, or --debug-mode");
        return EXIT_USAGE;
    }
    return -1;
}

/* A device is what the variable names for everybody else; here it can only be a mistake. */
static int take_socket(const struct options *o, struct settings *s)
{
    const char *text = option_text(o, "socket");
    bool is_unix = text && span_starts(span_str(text), "unix:");

    if (text && !is_unix && option_count(o, "socket") == 0) {
        complain(o, "NITROSEAL_NSM is '%s', not unix:PATH", text);
        return EXIT_USAGE;
    }
    s->socket = is_unix ? text + strlen("unix:") : text;
    s->state = option_text(o, "state");
    if (s->print_pcrs || (s->socket && s->state))
        return -1;
    complain(o, "%s is missing; see %s --help", s->socket ? "--state DIR" : "--socket PATH",
             program.name);
    return EXIT_USAGE;
}

static int take_words(const struct options *o, struct settings *s)
{
    const char *form = option_text(o, "document");
    uint64_t fail_every;

    s->nsm.debug_mode = option_flag(o, "debug-mode");
    s->nsm.expired_leaf = option_flag(o, "expired-leaf");
    s->nsm.definite = strcmp(form, "definite") == 0;
    s->nsm.module_id = span_str(option_text(o, "module-id"));
    s->nsm.instance_id = span_str(option_text(o, "instance-id"));
    s->nsm.role_arn = span_str(option_text(o, "role-arn"));
    s->nsm.region = span_str(option_text(o, "region"));
    s->print_pcrs = option_flag(o, "print-pcrs");
    if (!option_u64(o, "fail-every", 0, UINT32_MAX, &fail_every))
        return EXIT_USAGE;
    s->nsm.fail_every = (unsigned)fail_every;
    if (!s->nsm.definite && strcmp(form, "indefinite") != 0) {
        complain(o, "--document: '%s' is neither indefinite nor definite", form);
        return EXIT_USAGE;
    }
    if (log_level_parse(option_text(o, "log-level"), &s->level) != ERR_OK) {
        complain(o, "--log-level: not error, warn, info or debug");
        return EXIT_USAGE;
    }
    return -1;
}

int settings_parse(int argc, char **argv, struct settings *out)
{
    static struct options o; /* static: large for a stack, and parsed once */

    *out = (struct settings){ 0 };
    int status = options_parse(&program, argc, argv, &o);
    if (status < 0)
        status = take_words(&o, out);
    if (status < 0)
        status = take_socket(&o, out);
    if (status < 0)
        status = take_pcrs(&o, out);
    return status;
}
