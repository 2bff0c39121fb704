/* nitroseal image describe, pcr. */
#include "bin/common/image_json.h"
#include "bin/nitroseal/image_cmd.h"

static const struct option_def describe_options[] = { { 0 } };

static const struct program_def describe = {
    .name = "nitroseal image describe",
    .synopsis = "FILE",
    .summary = "The JSON of nitro-cli describe-eif, and a member Sections: type, offset, size and "
               "digest of each.\nA checksum or signature that does not hold is shown, not refused: "
               "that is `verify`.",
    .options = describe_options,
    .footer = CLI_EXIT_STATUSES,
    .args_min = 1,
    .args_max = 1,
};

static int run_describe(const struct options *o, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(IMAGE_JSON_MAX);
    struct image_fault fault;

    if (!image_json_described(o->args[0], true, &out, &fault))
        return image_fault_take(&fault, f);
    return cli_print(buf_view(&out), f);
}

int cmd_image_describe(int argc, char **argv)
{
    return image_main(&describe, argc, argv, run_describe);
}

static const struct option_def pcr_options[] = {
    { "input", 0, "FILE", NULL, NULL, "The PCR that measuring this file alone gives." },
    { "signing-certificate", 0, "FILE", NULL, NULL,
      "PCR8 of images signed with this certificate (PEM)." },
    { 0 },
};

static const struct program_def pcr = {
    .name = "nitroseal image pcr",
    .synopsis = "FILE | --input FILE | --signing-certificate FILE",
    .summary = "The PCRs of an image, as nitro-cli build-enclave prints them; or, with an option, "
               "what nitro-cli\npcr prints.",
    .options = pcr_options,
    .footer = CLI_EXIT_STATUSES,
    .args_max = 1,
};

static int run_pcr(const struct options *o, struct cli_fault *f)
{
    const char *input = option_text(o, "input"), *cert = option_text(o, "signing-certificate");
    AUTO(image_opened_freep) struct image_opened *i = NULL;
    AUTO(buf_clear) struct buf out = BUF_INIT(IMAGE_JSON_MAX);
    struct image_fault fault;

    if ((o->n_args > 0) + (input != NULL) + (cert != NULL) != 1)
        return cli_fault_set(f, CLI_USAGE,
                             _("give an image, or --input, or --signing-certificate"));
    bool ok = input  ? image_json_pcr_of_file(input, &out, &fault)
              : cert ? image_json_pcr8(cert, &out, &fault)
                     : image_open(o->args[0], &i, &fault);
    if (ok && !input && !cert) {
        if (i->report.eif.crc != i->report.eif.crc_computed)
            return cli_fault_set(f, CLI_UNVERIFIED, _("%s: the checksum does not hold"),
                                 o->args[0]);
        ok = image_json_measured(&i->report.pcrs, &out, &fault);
    }
    return ok ? cli_print(buf_view(&out), f) : image_fault_take(&fault, f);
}

int cmd_image_pcr(int argc, char **argv)
{
    return image_main(&pcr, argc, argv, run_pcr);
}
