/* nitro-local build-enclave, describe-eif, pcr, sign-eif: nitro-cli's options and texts around what
 * `nitroseal image` does. */
#include <stdio.h>

#include "bin/common/image_json.h"
#include "bin/common/image_make.h"
#include "bin/common/options.h"
#include "bin/nitro-local/commands.h"
#include "io/sys.h"

static const struct option_def build_options[] = {
    { "docker-uri", 0, "IMAGE", NULL, NULL,
      "What to pack: oci-archive:FILE, oci:DIR (an OCI layout) or dir:DIR (a root file system)." },
    { "docker-dir", 0, "DIR", NULL, NULL, "Refused: nothing here runs a Dockerfile." },
    { "output-file", 0, "FILE", NULL, NULL, "The image to write." },
    { "signing-certificate", 0, "PEM", NULL, NULL, "Sign with this certificate and ..." },
    { "private-key", 0, "PEM", NULL, NULL, "... its key, EC, not encrypted." },
    { "name", 0, "TEXT", NULL, NULL, "Name in the metadata." },
    { "version", 0, "TEXT", NULL, NULL, "Version in the metadata." },
    { "metadata", 0, "FILE", NULL, NULL, "More metadata: a JSON object." },
    { "entrypoint", 0, "WORD", NULL, NULL, "Of dir:DIR: the program, once for each word." },
    { 0 },
};
static const struct program_def build_program = {
    .name = "nitro-local build-enclave",
    .synopsis = "--docker-uri oci-archive:FILE|oci:DIR|dir:DIR --output-file FILE [OPTION ...]",
    .summary = "Pack an OCI image or a root file system into an enclave image; prints its PCRs.",
    .options = build_options,
};

static const struct option_def describe_options[] = {
    { "eif-path", 0, "FILE", NULL, NULL, "The image." },
    { 0 },
};
static const struct program_def describe_program = {
    .name = "nitro-local describe-eif",
    .synopsis = "--eif-path FILE",
    .summary = "Print what an image is and measures, as JSON.",
    .options = describe_options,
};

static const struct option_def pcr_options[] = {
    { "input", 0, "FILE", NULL, NULL, "Measure this file." },
    { "signing-certificate", 0, "PEM", NULL, NULL, "Print PCR8 of images signed with this." },
    { 0 },
};
static const struct program_def pcr_program = {
    .name = "nitro-local pcr",
    .synopsis = "--input FILE | --signing-certificate PEM",
    .summary = "Print a PCR as JSON.",
    .options = pcr_options,
};

static const struct option_def sign_options[] = {
    { "eif-path", 0, "FILE", NULL, NULL, "The image; it is replaced." },
    { "signing-certificate", 0, "PEM", NULL, NULL, "The certificate." },
    { "private-key", 0, "PEM", NULL, NULL, "Its key, EC, not encrypted." },
    { 0 },
};
static const struct program_def sign_program = {
    .name = "nitro-local sign-eif",
    .synopsis = "--eif-path FILE --signing-certificate PEM --private-key PEM",
    .summary = "Sign an image, or sign it anew, and print its measurements as JSON.",
    .options = sign_options,
};

/* `content`: the code for a file that can be read and is not what it should be. */
static int take(const struct image_fault *i, enum code content, struct fault *f)
{
    enum code code = i->kind == IMAGE_FAULT_FILE       ? E19_FILE
                     : i->kind == IMAGE_FAULT_INTERNAL ? E29_IOCTL
                                                       : content;

    return fault_set(f, code, "%s: %s.", i->subject, i->what);
}

static int print(const struct buf *out, struct fault *f)
{
    struct why why = { 0 };

    return fd_write_all(1, buf_view(out), 0, &why) == ERR_OK
               ? STATUS_OK
               : fault_set(f, E17_SERIALIZATION, "The answer cannot be written: %s.", why.what);
}

/* Options, cryptography, the command itself, and the fault's lines. */
static int eif_main(const struct program_def *p, const char *action, int argc, char **argv,
                    int (*run)(const struct options *o, struct fault *f))
{
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    struct options o;

    int status = options_parse(p, argc, argv, &o);
    if (status >= 0)
        return status;
    if (crypto_process_init() != ERR_OK)
        status = fault_set(&f, E29_IOCTL, "The cryptographic library does not start.");
    else
        status = run(&o, &f);
    return f.code == E_NONE ? status : fault_print(&f, action, argc, argv);
}

static int usage(const struct options *o, const char *what)
{
    complain(o, "%s", what);
    return STATUS_USAGE;
}

/* --- build-enclave --- */

static int take_source(const struct options *o, struct image_wish *w, struct fault *f)
{
    const char *uri = option_text(o, "docker-uri"), *colon = strchr(uri, ':');
    struct span scheme = span_of(uri, colon ? (size_t)(colon - uri) : 0);

    if (option_text(o, "docker-dir"))
        return fault_set(f, E49_DOCKER_BUILD,
                         "--docker-dir: nothing here runs a Dockerfile. Build it with buildah or "
                         "docker, write the image with 'buildah push IMAGE oci-archive:FILE' and "
                         "give --docker-uri oci-archive:FILE.");
    w->path = colon ? colon + 1 : "";
    if (span_is(scheme, "oci-archive") || span_is(scheme, "oci"))
        w->source = IMAGE_OCI;
    else if (span_is(scheme, "dir"))
        w->source = IMAGE_ROOTFS;
    else
        return fault_set(f, E50_DOCKER_PULL,
                         "--docker-uri %s: no images are pulled here. Write it to a file ('skopeo "
                         "copy docker://%s oci-archive:FILE') and give oci-archive:FILE.",
                         uri, uri);
    return STATUS_OK;
}

static int build(const struct options *o, struct fault *f)
{
    AUTO(buf_clear) struct buf eif = { 0 }, out = BUF_INIT(IMAGE_JSON_MAX);
    static struct image_wish w; /* it is large */
    struct attest_pcrs pcrs = { .present = 0 };
    struct image_fault fault;
    const char *path = option_text(o, "output-file");

    if (!option_text(o, "docker-uri") || !path)
        return usage(o, "--docker-uri and --output-file are needed");
    w.certificate = option_text(o, "signing-certificate");
    w.private_key = option_text(o, "private-key");
    if (!w.certificate != !w.private_key)
        return usage(o, "--signing-certificate and --private-key go together");
    w.name = option_text(o, "name");
    w.version = option_text(o, "version");
    w.metadata_file = option_text(o, "metadata");
    w.command.n = option_count(o, "entrypoint");
    if (w.command.n > IMAGE_LIST_MAX)
        return usage(o, "--entrypoint comes too often");
    for (unsigned i = 0; i < w.command.n; i++)
        w.command.at[i] = option_at(o, "entrypoint", i);
    int status = take_source(o, &w, f);
    if (status != STATUS_OK)
        return status;
    fprintf(stderr, "Start building the Enclave Image...\n");
    if (!image_make(&w, &eif, &pcrs, &fault) || !image_write(path, buf_view(&eif), &fault) ||
        !image_json_measured(&pcrs, &out, &fault))
        return take(&fault, E48_EIF_BUILDING, f);
    fprintf(stderr, "Enclave Image successfully created.\n");
    return print(&out, f);
}

int cmd_build_enclave(int argc, char **argv)
{
    return eif_main(&build_program, "Build Enclave", argc, argv, build);
}

/* --- describe-eif, pcr, sign-eif --- */

static int describe(const struct options *o, struct fault *f)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(IMAGE_JSON_MAX);
    struct image_fault fault;

    if (!option_text(o, "eif-path"))
        return usage(o, "--eif-path is needed");
    if (!image_json_described(option_text(o, "eif-path"), false, &out, &fault))
        return take(&fault, E35_EIF_PARSING, f);
    return print(&out, f);
}

int cmd_describe_eif(int argc, char **argv)
{
    return eif_main(&describe_program, "Describe EIF", argc, argv, describe);
}

static int pcr(const struct options *o, struct fault *f)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(IMAGE_JSON_MAX);
    const char *input = option_text(o, "input"), *cert = option_text(o, "signing-certificate");
    struct image_fault fault;

    if ((input != NULL) == (cert != NULL))
        return usage(o, "one of --input and --signing-certificate is needed");
    bool good =
        input ? image_json_pcr_of_file(input, &out, &fault) : image_json_pcr8(cert, &out, &fault);
    return good ? print(&out, f) : take(&fault, E59_SIGNATURE, f);
}

int cmd_pcr(int argc, char **argv)
{
    return eif_main(&pcr_program, "PCR", argc, argv, pcr);
}

static int sign(const struct options *o, struct fault *f)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(IMAGE_JSON_MAX);
    const char *path = option_text(o, "eif-path"), *cert = option_text(o, "signing-certificate"),
               *key = option_text(o, "private-key");
    struct attest_pcrs pcrs = { .present = 0 };
    struct image_fault fault;

    if (!path || !cert || !key)
        return usage(o, "--eif-path, --signing-certificate and --private-key are needed");
    if (!image_sign_file(path, path, cert, key, &pcrs, &fault) ||
        !image_json_measured(&pcrs, &out, &fault))
        return take(&fault, E60_SIGNING, f);
    fprintf(stderr, "Enclave Image successfully signed.\n");
    return print(&out, f);
}

int cmd_sign_eif(int argc, char **argv)
{
    return eif_main(&sign_program, "Sign EIF", argc, argv, sign);
}
