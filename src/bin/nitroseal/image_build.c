#include "bin/common/image_json.h"
#include "bin/nitroseal/image_cmd.h"

static const struct option_def options[] = {
    { "output", 'o', "FILE", NULL, NULL, "The image to write." },
    { "service", 0, NULL, NULL, NULL,
      "Our service with its CA certificates and nothing else: the default." },
    { "rootfs", 0, "PATH", NULL, NULL, "Another root file system: a folder or a tar archive." },
    { "oci", 0, "PATH", NULL, NULL, "An OCI image: an oci-archive or a layout folder." },
    { "ref", 0, "NAME", NULL, NULL, "Which image of several in it." },
    { "kms-key-id", 'k', "ARN", NULL, NULL, "KMS key of the service." },
    { "region", 0, "REGION", NULL, NULL, "Region of the key, if its ARN does not tell." },
    { "port", 'p', "PORT", NULL, NULL, "Port of the service; 5000 if not given." },
    { "ca-file", 0, "FILE", NULL, NULL,
      "CA certificates (PEM) for the service; Amazon's roots if not given." },
    { "service-program", 0, "FILE", NULL, NULL, "The service, instead of our nitroseald." },
    { "entrypoint", 0, "WORD", NULL, NULL,
      "Start this instead of ENTRYPOINT and CMD; once for each word." },
    { "env", 'e', "NAME=VALUE", NULL, NULL, "Set a variable in the enclave; repeatable." },
    { "file", 0, "HOST:GUEST", NULL, NULL, "Add a file; repeatable." },
    { "workdir", 0, "PATH", NULL, NULL, "Working folder, instead of WORKDIR." },
    { "user", 0, "USER[:GROUP]", NULL, NULL, "Run as this user of the image, instead of USER." },
    { "kernel", 0, "FILE", NULL, NULL, "bzImage (x86_64) or Image (aarch64)." },
    { "cmdline", 0, "TEXT", NULL, NULL, "The kernel's command line; AWS's if not given." },
    { "init", 0, "FILE", NULL, NULL, "First program, instead of our nitroseal-init." },
    { "init-setting", 0, "NAME=VALUE", NULL, NULL,
      "For nitroseal-init: heartbeat=early|late, restart=never|always; repeatable." },
    { "nsm-module", 0, "FILE", NULL, NULL,
      "nsm.ko, for a kernel that has its driver as a module." },
    { "arch", 0, "ARCH", NULL,
#ifdef __aarch64__
      "aarch64",
#else
      "x86_64",
#endif
      "Machine of the image: x86_64 or aarch64." },
    { "name", 0, "TEXT", NULL, NULL, "Name in the metadata, which is not measured." },
    { "version", 0, "TEXT", NULL, NULL, "Version in the metadata." },
    { "metadata", 0, "FILE", NULL, NULL, "More metadata: a JSON object." },
    { "signing-certificate", 0, "FILE", NULL, NULL, "Sign with this certificate (PEM) and ..." },
    { "private-key", 0, "FILE", NULL, NULL, "... this private key (PEM)." },
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseal image build",
    .synopsis = "-o FILE --kms-key-id ARN | --rootfs PATH | --oci PATH [OPTION ...]",
    .summary = "Make an enclave image: kernel, command line, a ramdisk with the init, and one with "
               "the root file\nsystem. Prints its PCRs. The same files and options give the same "
               "bytes; the build time in the\nmetadata is SOURCE_DATE_EPOCH, or 1970.",
    .options = options,
    .footer = CLI_EXIT_STATUSES,
};

static int take_list(const struct options *o, const char *name, struct image_list *out,
                     struct cli_fault *f)
{
    out->n = option_count(o, name);
    if (out->n > IMAGE_LIST_MAX)
        return cli_fault_set(f, CLI_USAGE, _("--%s comes too often"), name);
    for (unsigned i = 0; i < out->n; i++)
        out->at[i] = option_at(o, name, i);
    return CLI_OK;
}

static int take_source(const struct options *o, struct image_wish *w, struct cli_fault *f)
{
    const char *rootfs = option_text(o, "rootfs"), *oci = option_text(o, "oci");

    if ((rootfs != NULL) + (oci != NULL) + option_flag(o, "service") > 1)
        return cli_fault_set(f, CLI_USAGE, _("--service, --rootfs and --oci: give one of them"));
    w->source = rootfs ? IMAGE_ROOTFS : oci ? IMAGE_OCI : IMAGE_SERVICE;
    w->path = rootfs ? rootfs : oci;
    w->reference = option_text(o, "ref");
    if (w->reference && !oci)
        return cli_fault_set(f, CLI_USAGE, _("--ref goes with --oci"));
    if (w->source != IMAGE_SERVICE &&
        (w->kms_key_id || w->region || w->port || w->ca_file || w->service))
        return cli_fault_set(f, CLI_USAGE,
                             _("--kms-key-id, --region, --port, --ca-file and --service-program "
                               "are for the service; use --env and --file"));
    return CLI_OK;
}

static int take_texts(const struct options *o, struct image_wish *w, struct cli_fault *f)
{
    const char *arch = option_text(o, "arch");
    uint64_t port = 0;

    w->aarch64 = strcmp(arch, "aarch64") == 0;
    if (!w->aarch64 && strcmp(arch, "x86_64") != 0)
        return cli_fault_set(f, CLI_USAGE, _("--arch '%s' is not x86_64 or aarch64"), arch);
    w->port = option_text(o, "port");
    if (w->port && !option_u64(o, "port", 1, UINT32_MAX - 1, &port))
        return CLI_USAGE;
    w->kernel = option_text(o, "kernel");
    w->cmdline = option_text(o, "cmdline");
    w->init = option_text(o, "init");
    w->nsm_module = option_text(o, "nsm-module");
    w->service = option_text(o, "service-program");
    w->ca_file = option_text(o, "ca-file");
    w->kms_key_id = option_text(o, "kms-key-id");
    w->region = option_text(o, "region");
    w->name = option_text(o, "name");
    w->version = option_text(o, "version");
    w->metadata_file = option_text(o, "metadata");
    w->workdir = option_text(o, "workdir");
    w->user = option_text(o, "user");
    w->certificate = option_text(o, "signing-certificate");
    w->private_key = option_text(o, "private-key");
    if (!w->certificate != !w->private_key)
        return cli_fault_set(f, CLI_USAGE,
                             _("--signing-certificate and --private-key go together"));
    return CLI_OK;
}

static int run(const struct options *o, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf eif = { 0 }, out = BUF_INIT(IMAGE_JSON_MAX);
    static struct image_wish w;
    struct attest_pcrs pcrs = { 0 };
    struct image_fault fault;

    if (!option_text(o, "output"))
        return cli_fault_set(f, CLI_USAGE, _("no -o FILE: where shall the image go?"));
    int status = take_texts(o, &w, f);
    if (status == CLI_OK)
        status = take_source(o, &w, f);
    if (status == CLI_OK)
        status = take_list(o, "env", &w.env, f);
    if (status == CLI_OK)
        status = take_list(o, "file", &w.files, f);
    if (status == CLI_OK)
        status = take_list(o, "entrypoint", &w.command, f);
    if (status == CLI_OK)
        status = take_list(o, "init-setting", &w.init_settings, f);
    if (status != CLI_OK)
        return status;
    if (!image_make(&w, &eif, &pcrs, &fault) ||
        !image_write(option_text(o, "output"), buf_view(&eif), &fault) ||
        !image_json_measured(&pcrs, &out, &fault))
        return image_fault_take(&fault, f);
    return cli_print(buf_view(&out), f);
}

int cmd_image_build(int argc, char **argv)
{
    return image_main(&program, argc, argv, run);
}
