/* nitroseal image sign, verify. */
#include "bin/common/image_json.h"
#include "bin/nitroseal/image_cmd.h"
#include "io/sys.h"

enum { PEM_MAX = 1 << 20, SIGNATURE_MAX = 1024, TBS_MAX = 1024 };

static const struct option_def sign_options[] = {
    { "signing-certificate", 0, "FILE", NULL, NULL,
      "The certificate (PEM), P-256, P-384 or P-521." },
    { "private-key", 0, "FILE", NULL, NULL, "Its private key (PEM, unencrypted)." },
    { "to-be-signed", 0, "FILE", NULL, NULL,
      "Write here what a key that is elsewhere has to sign, and stop." },
    { "signature", 0, "FILE", NULL, NULL, "The signature made there: DER, or r and s." },
    { "output", 'o', "FILE", NULL, NULL,
      "Write the signed image here; it is replaced if not given." },
    { 0 },
};

static const struct program_def sign = {
    .name = "nitroseal image sign",
    .synopsis = "--signing-certificate FILE --private-key FILE [-o FILE] IMAGE",
    .summary = "Sign the image's PCR0; prints the PCRs with PCR8. A signature that is there is "
               "replaced. PCR0, 1\nand 2 stay as they are. For a key in a token or in KMS: "
               "--to-be-signed, ECDSA with the curve's\nhash (SHA-256, 384, 512) there, then "
               "--signature.",
    .options = sign_options,
    .footer = CLI_EXIT_STATUSES,
    .args_min = 1,
    .args_max = 1,
};

static int write_tbs(const struct options *o, const struct eif_report *report, struct span pem,
                     struct image_fault *fault, struct cli_fault *f)
{
    AUTO(signer_cert_freep) struct signer_cert *cert = NULL;
    AUTO(buf_clear) struct buf tbs = BUF_INIT(TBS_MAX);
    struct why why = { 0 };

    if (eif_cert_from_pem(pem, &cert, &why) != ERR_OK)
        return cli_fault_set(f, CLI_FILE, "%s: %s", option_text(o, "signing-certificate"),
                             why.what);
    if (eif_signature_tbs(signer_cert_facts(cert)->curve, report->pcrs.value[0], &tbs) != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("cryptography is not available"));
    return image_write(option_text(o, "to-be-signed"), buf_view(&tbs), fault)
               ? CLI_OK
               : image_fault_take(fault, f);
}

/* With a key that is elsewhere. */
static int sign_elsewhere(const struct options *o, struct attest_pcrs *pcrs,
                          struct image_fault *fault, struct cli_fault *f)
{
    AUTO(image_opened_freep) struct image_opened *i = NULL;
    AUTO(buf_clear) struct buf pem = { 0 }, sig = { 0 };
    AUTO(buf_clear) struct buf out = BUF_INIT(IMAGE_BYTES_MAX);
    const char *to = option_text(o, "output");
    struct why why = { 0 };

    if (!image_open(o->args[0], &i, fault) ||
        !image_file(option_text(o, "signing-certificate"), PEM_MAX, &pem, fault))
        return image_fault_take(fault, f);
    if (option_text(o, "to-be-signed"))
        return write_tbs(o, &i->report, buf_view(&pem), fault, f);
    if (!image_file(option_text(o, "signature"), SIGNATURE_MAX, &sig, fault))
        return image_fault_take(fault, f);
    enum err r =
        image_sign(buf_view(&i->file), buf_view(&pem), NULL, buf_view(&sig), &out, pcrs, &why);
    if (r != ERR_OK)
        return cli_fault_set(f, r == ERR_VERIFY ? CLI_UNVERIFIED : CLI_FILE, "%s: %s", o->args[0],
                             why.what);
    return image_write(to ? to : o->args[0], buf_view(&out), fault) ? CLI_OK
                                                                    : image_fault_take(fault, f);
}

static int run_sign(const struct options *o, struct cli_fault *f)
{
    const char *cert = option_text(o, "signing-certificate"), *key = option_text(o, "private-key");
    const char *tbs = option_text(o, "to-be-signed"), *sig = option_text(o, "signature");
    AUTO(buf_clear) struct buf out = BUF_INIT(IMAGE_JSON_MAX);
    struct attest_pcrs pcrs = { 0 };
    struct image_fault fault;
    int status = CLI_OK;

    if (!cert || (key != NULL) + (tbs != NULL) + (sig != NULL) != 1)
        return cli_fault_set(f, CLI_USAGE,
                             _("give --signing-certificate, and one of --private-key, "
                               "--to-be-signed and --signature"));
    if (!key)
        status = sign_elsewhere(o, &pcrs, &fault, f);
    else if (!image_sign_file(o->args[0], option_text(o, "output"), cert, key, &pcrs, &fault))
        status = image_fault_take(&fault, f);
    if (status != CLI_OK || tbs)
        return status;
    return image_json_measured(&pcrs, &out, &fault) ? cli_print(buf_view(&out), f)
                                                    : image_fault_take(&fault, f);
}

int cmd_image_sign(int argc, char **argv)
{
    return image_main(&sign, argc, argv, run_sign);
}

static const struct option_def verify_options[] = {
    { "pcr", 0, "N=HEX", NULL, NULL, "The image must have this PCR; repeatable." },
    { "signing-certificate", 0, "FILE", NULL, NULL,
      "It must be signed with this certificate (PEM)." },
    { "allow-expired", 0, NULL, NULL, NULL, "Take a signing certificate outside its validity." },
    { 0 },
};

static const struct program_def verify = {
    .name = "nitroseal image verify",
    .synopsis = "[OPTION ...] FILE",
    .summary = "Check layout and checksum, the signature over the measured PCR0 and its "
               "certificate's dates, and\nwhat is expected. Without --pcr the image has to be "
               "signed. Without --signing-certificate or\nPCR8 the signature proves only that "
               "somebody signed.",
    .options = verify_options,
    .footer = CLI_EXIT_STATUSES,
    .args_min = 1,
    .args_max = 1,
};

static int unverified(struct cli_fault *f, const struct options *o, const char *what)
{
    return cli_fault_set(f, CLI_UNVERIFIED, "%s: %s", o->args[0], what);
}

static int verify_signature(const struct options *o, const struct eif_report *r,
                            struct cli_fault *f)
{
    const char *path = option_text(o, "signing-certificate");
    AUTO(signer_cert_freep) struct signer_cert *cert = NULL;
    AUTO(buf_clear) struct buf pem = { 0 };
    struct image_fault fault;
    struct why why = { 0 };

    if (!r->is_signed)
        return path || option_count(o, "pcr") == 0 ? unverified(f, o, _("it is not signed"))
                                                   : CLI_OK;
    if (!r->signature_ok)
        return unverified(f, o, r->signature_fault.what);
    if (!option_flag(o, "allow-expired") &&
        eif_signature_check_time(&r->signature, clock_wall_ms() / 1000, &why) != ERR_OK)
        return unverified(f, o, why.what);
    if (!path)
        return CLI_OK;
    if (!image_file(path, PEM_MAX, &pem, &fault))
        return image_fault_take(&fault, f);
    if (eif_cert_from_pem(buf_view(&pem), &cert, &why) != ERR_OK)
        return cli_fault_set(f, CLI_FILE, "%s: %s", path, why.what);
    return span_eq(signer_cert_facts(cert)->der, signer_cert_facts(r->signature.cert)->der)
               ? CLI_OK
               : unverified(f, o, _("it is signed with another certificate"));
}

static int verify_pcrs(const struct options *o, const struct eif_report *r, struct cli_fault *f)
{
    struct attest_pcrs want = { 0 };
    struct why why = { 0 };

    for (unsigned i = 0; i < option_count(o, "pcr"); i++)
        if (attest_pcr_parse(span_str(option_at(o, "pcr", i)), &want, &why) != ERR_OK)
            return cli_fault_set(f, CLI_USAGE, "--pcr %s: %s", option_at(o, "pcr", i), why.what);
    for (unsigned i = 0; i < ATTEST_PCRS; i++) {
        if (!(want.present & UINT32_C(1) << i))
            continue;
        if (!(r->pcrs.present & UINT32_C(1) << i))
            return cli_fault_set(f, CLI_UNVERIFIED, _("%s: an image has no PCR%u of its own"),
                                 o->args[0], i);
        if (!span_eq(SPAN_ARRAY(want.value[i]), SPAN_ARRAY(r->pcrs.value[i])))
            return cli_fault_set(f, CLI_UNVERIFIED, _("%s: PCR%u differs"), o->args[0], i);
    }
    return CLI_OK;
}

static int run_verify(const struct options *o, struct cli_fault *f)
{
    AUTO(image_opened_freep) struct image_opened *i = NULL;
    AUTO(buf_clear) struct buf out = BUF_INIT(IMAGE_JSON_MAX);
    struct image_fault fault;

    if (!image_open(o->args[0], &i, &fault))
        return fault.kind == IMAGE_FAULT_CONTENT
                   ? cli_fault_set(f, CLI_UNVERIFIED, "%s: %s", fault.subject, fault.what)
                   : image_fault_take(&fault, f);
    if (i->report.eif.crc != i->report.eif.crc_computed)
        return unverified(f, o, _("the checksum does not hold"));
    int status = verify_signature(o, &i->report, f);
    if (status == CLI_OK)
        status = verify_pcrs(o, &i->report, f);
    if (status != CLI_OK)
        return status;
    if (!image_json_measured(&i->report.pcrs, &out, &fault))
        return image_fault_take(&fault, f);
    return cli_print(buf_view(&out), f);
}

int cmd_image_verify(int argc, char **argv)
{
    return image_main(&verify, argc, argv, run_verify);
}
