/* kms-client: the original client's grammar and output (seed-system section 5), by the name of the
 * executable. Lines are the original's in a Chinese locale, the same in English in any other;
 * failures go to stdout in the same form, and unlike the original's end with a status. */
#include <stdlib.h>

#include "bin/nitroseal/cli.h"
#include "bin/nitroseal/triple.h"
#include "io/sys.h"

enum { RULE_WIDTH = 60, TIMEOUT_S = 30, ARGS_MAX = 8 };

static const struct option_def options[] = {
    { "vsock", 0, "HOW", "NITROSEAL_VSOCK", "kernel", "kernel, or unix:DIR." },
    { "profile", 0, "NAME", "AWS_PROFILE", NULL, "Profile of the shared credentials files." },
    { "timeout", 0, "SECONDS", NULL, "30", "Give up after this time." },
    { "allow-invalid-signature", 0, NULL, "NITROSEAL_ALLOW_INVALID_SIGNATURE", NULL,
      "Show a text though its signature does not hold." },
    { 0 },
};

static const struct program_def program = {
    .name = "kms-client",
    .synopsis = "[OPTION ...] CID PORT encrypt MESSAGE | CID PORT decrypt ENCRYPTED SIGNATURE "
                "CIPHERTEXT_BLOB",
    .summary = "Encrypt and sign, or decrypt and verify, inside an enclave.",
    .options = options,
    .footer = CLI_EXIT_STATUSES,
    .args_min = 3,
    .args_max = 6,
};

static void rule(void)
{
    for (int i = 0; i < RULE_WIDTH; i++)
        putchar('=');
    putchar('\n');
}

static void line(const char *label, struct span value)
{
    printf("%s", label);
    (void)fwrite(value.ptr ? (const void *)value.ptr : "", 1, value.len, stdout);
    putchar('\n');
}

static void heading(const char *text)
{
    rule();
    puts(text);
    rule();
}

static enum err encrypt_report(const struct proto_answer *a, struct span message)
{
    AUTO(buf_clear) struct buf e = BUF_INIT(CLI_MESSAGE_MAX_BYTES), lines = e;
    AUTO(buf_clear) struct buf s = BUF_INIT(CLI_FAULT_MAX_BYTES), b = s;
    struct triple t = { .encrypted = SPAN_EMPTY };

    enum err r = json_str_view(a->encrypted, &e, &t.encrypted);
    if (r == ERR_OK)
        r = json_str_view(a->signature, &s, &t.signature);
    if (r == ERR_OK)
        r = json_str_view(a->ciphertext_blob, &b, &t.ciphertext_blob);
    if (r == ERR_OK)
        r = triple_write(&lines, &t);
    if (r != ERR_OK)
        return r;
    heading(_("Encryption and signing result:"));
    line(_("Plaintext: "), message);
    line(_("Encrypted (Base64): "), t.encrypted);
    line(_("Signature (Base64): "), t.signature);
    line(_("Encrypted data key (Base64): "), t.ciphertext_blob);
    rule();
    printf("\n%s\n", _("Save the following for decryption:"));
    (void)fwrite(lines.ptr, 1, lines.len, stdout);
    return ERR_OK;
}

static enum err decrypt_report(const struct proto_answer *a, bool show_invalid)
{
    AUTO(buf_clear) struct buf scratch = BUF_INIT(CLI_MESSAGE_MAX_BYTES);
    struct span text = SPAN_EMPTY;
    enum err r = json_str_view(a->decrypted, &scratch, &text);

    if (r != ERR_OK)
        return r;
    heading(_("Decryption and verification result:"));
    if (a->signature_valid || show_invalid)
        line(_("Decrypted: "), text);
    if (!a->signature_valid && !show_invalid)
        line(_("Decrypted: "), span_str(_("(not shown: the signature is invalid)")));
    line(_("Signature check: "), span_str(a->signature_valid ? _("✓ passed") : _("✗ failed")));
    rule();
    return ERR_OK;
}

static int exchange(const struct options *o, const struct cli_enclave *e, bool encrypt,
                    struct cli_exchange *x, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf request = BUF_INIT(CLI_MESSAGE_MAX_BYTES);
    AUTO(cli_credentials_clear) struct cli_credentials cred = { .access_key_id = { .max = 0 } };
    if (encrypt && !span_is_utf8(span_str(o->args[3])))
        return cli_fault_set(f, CLI_FILE,
                             _("the text is not UTF-8: the seed protocol carries text only"));
    int status =
        cli_credentials_find(option_text(o, "profile"), option_count(o, "profile") > 0, &cred, f);

    if (status != CLI_OK)
        return status;
    struct proto_credentials view = cli_credentials_view(&cred);
    enum err r = encrypt ? proto_encrypt_write(&request, &view, span_str(o->args[3]))
                         : proto_decrypt_write(&request, &view, span_str(o->args[3]),
                                               span_str(o->args[4]), span_str(o->args[5]));
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FILE, _("cannot write the request: %s"), err_name(r));
    return cli_ask(e, encrypt ? PROTO_ENCRYPT : PROTO_DECRYPT, buf_view(&request), x, f);
}

static int run(const struct options *o, const struct cli_enclave *e, bool encrypt,
               struct cli_fault *f)
{
    AUTO(cli_exchange_clear) struct cli_exchange x = CLI_EXCHANGE_INIT;

    if (encrypt)
        line(_("Sending encryption request: "), span_str(o->args[3]));
    if (!encrypt)
        puts(_("Sending decryption request..."));
    printf(_("Connecting to enclave CID %u, port %u\n"), e->at.cid, e->at.port);
    putchar('\n');
    (void)fflush(stdout);
    int status = exchange(o, e, encrypt, &x, f);
    if (status != CLI_OK)
        return status;
    enum err r = encrypt ? encrypt_report(&x.answer, span_str(o->args[3]))
                         : decrypt_report(&x.answer, option_flag(o, "allow-invalid-signature"));
    if (encrypt && r == ERR_MALFORMED)
        return cli_fault_set(f, CLI_FAILED, _("the answer is not of the seed protocol: %s"),
                             "base64");
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("cannot write the answer: %s"), err_name(r));
    if (fflush(stdout) != 0)
        return cli_fault_set(f, CLI_FILE, _("cannot write the output: %s"), "stdout");
    return encrypt || x.answer.signature_valid ? CLI_OK : CLI_UNVERIFIED;
}

static bool number(const struct options *o, unsigned i, uint64_t min, uint32_t *out)
{
    uint64_t v = 0;

    if (span_to_u64(span_str(o->args[i]), UINT32_MAX - 1, &v) == ERR_OK && v >= min) {
        *out = (uint32_t)v;
        return true;
    }
    complain(o, _("'%s' is not a %s number"), o->args[i], i == 0 ? "CID" : "port");
    return false;
}

static int address(const struct options *o, struct cli_enclave *e)
{
    uint32_t cid = 0, port = 0;
    uint64_t seconds = TIMEOUT_S;
    struct why why = { 0 };

    if (!number(o, 0, 1, &cid) || !number(o, 1, 1, &port) ||
        !option_u64(o, "timeout", 1, 3600, &seconds))
        return CLI_USAGE;
    if (addr_vsock(option_text(o, "vsock"), cid, port, &e->at, &why) != ERR_OK) {
        complain(o, _("--vsock or NITROSEAL_VSOCK '%s': %s"), option_text(o, "vsock"), why.what);
        return CLI_USAGE;
    }
    e->at.cid = cid;
    e->at.port = port;
    e->json = false;
    e->deadline_ns = clock_mono_ns() + seconds * NS_PER_S;
    return CLI_OK;
}

/* The original knows no options: what begins with its CID is all arguments, so a message may begin
 * with a dash. */
static int parse(int argc, char **argv, struct options *o)
{
    char dashes[] = "--";
    char *plain[ARGS_MAX + 2] = { argv[0], dashes };

    if (argc < 2 || argv[1][0] == '-' || argc > ARGS_MAX)
        return options_parse(&program, argc, argv, o);
    for (int i = 1; i < argc; i++)
        plain[i + 1] = argv[i];
    return options_parse(&program, argc + 1, plain, o);
}

int cmd_kms_client(int argc, char **argv)
{
    AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;
    struct cli_enclave e;
    struct options o;
    int status = parse(argc, argv, &o);

    if (status >= 0)
        return status;
    bool encrypt = strcmp(o.args[2], "encrypt") == 0 && o.n_args == 4;
    bool decrypt = strcmp(o.args[2], "decrypt") == 0 && o.n_args == 6;
    if (!encrypt && !decrypt) {
        complain(&o, _("usage: %s %s"), program.name, program.synopsis);
        return CLI_USAGE;
    }
    status = address(&o, &e);
    if (status != CLI_OK)
        return status;
    status = run(&o, &e, encrypt, &f);
    if (status != CLI_OK && f.status != 0) {
        printf(encrypt ? _("✗ Encryption failed: %.*s\n") : _("✗ Decryption failed: %.*s\n"),
               (int)f.text.len, f.text.ptr ? (const char *)f.text.ptr : "");
        (void)fflush(stdout);
    }
    return status;
}
