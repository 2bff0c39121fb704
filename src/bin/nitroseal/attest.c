#include "bin/nitroseal/attest.h"

#include "base/base64.h"
#include "base/hex.h"
#include "bin/nitroseal/link.h"
#include "bin/nitroseal/policy_cmd.h"
#include "bin/nitroseal/times.h"
#include "io/sys.h"

enum {
    NONCE_BYTES = 32, /* */
    NONCE_MAX_BYTES = 512,
    DOCUMENT_TEXT_MAX = 2 * ATTEST_DOC_MAX, /* base64 and line feeds */
    MS_PER_S = 1000,
};

static const struct option_def options[] = {
    CLI_ENCLAVE_OPTIONS,
    { "nonce", 0, "HEX", NULL, NULL,
      "Nonce to send, or to find in a saved document; without it 32 random bytes are sent." },
    { "pcr", 0, "N=HEX", NULL, NULL, "Expected value of a PCR; repeatable." },
    { "image", 'i', "FILE", NULL, NULL,
      "Image that has to run there, in place of --pcr: an EIF, or JSON with its PCRs." },
    { "any-image", 0, NULL, NULL, NULL,
      "Compare PCRs with nothing, in place of --pcr: it may be any image." },
    ATTEST_ROOT_OPTION,
    { "allow-debug", 0, NULL, NULL, NULL, "Accept a debug enclave, whose PCR0, 1, 2 are zero." },
    { "max-age", 0, "SECONDS", NULL, NULL,
      "Oldest document accepted: 300 for one fetched now, any age for a saved one." },
    { "document", 0, "FILE", NULL, NULL,
      "Verify a saved document (binary or base64) instead of asking an enclave." },
    { "at", 0, "TIME", NULL, NULL,
      "Judge a saved document at this time (unix seconds, 2026-01-02T03:04:05Z, or the word "
      "document: its own time) instead of now." },
    { "save", 0, "FILE", NULL, NULL, "Write the document, as it came, to this file." },
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseal attest",
    .synopsis = "--image FILE|--pcr N=HEX ...|--any-image [OPTION ...]",
    .summary = "Fetch the enclave's attestation document over a nonce, verify its chain to AWS's "
               "root, and\ncompare nonce, age and PCRs.",
    .options = options,
    .footer = CLI_EXIT_STATUSES,
};

struct inputs {
    struct buf root_der, nonce, document;
};

static void inputs_clear(struct inputs *in)
{
    buf_clear(&in->root_der);
    buf_clear(&in->nonce);
    buf_clear(&in->document);
}

int attest_root_read(const struct options *o, struct crypto *cx, struct attest_question *q,
                     struct buf *der, struct cli_fault *f)
{
    AUTO(x509_freep) struct x509 *cert = NULL;
    AUTO(buf_clear) struct buf text = BUF_INIT(ATTEST_PEM_MAX_BYTES);
    const char *path = option_text(o, "root");
    struct why why = { 0 };

    q->aws_root = path == NULL;
    if (!path) {
        q->root_der = attest_aws_root_g1_der();
        return CLI_OK;
    }
    if (file_read(path, &text, &why) != ERR_OK)
        return cli_fault_set(f, CLI_FILE, _("cannot read %s: %s"), path, why.what);
    /* DER begins with a SEQUENCE; PEM may begin with any text. */
    bool is_der = text.len > 0 && text.ptr[0] == 0x30;
    enum err r =
        is_der ? buf_append(der, buf_view(&text)) : x509_pem_to_der(buf_view(&text), der, &why);
    if (r == ERR_OK)
        r = x509_parse(cx, buf_view(der), &cert, &why);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_SETTINGS, _("%s holds no certificate: %s"), path,
                             why.what ? why.what : err_name(r));
    q->root_der = buf_view(der);
    complain(o,
             _("warning: a test root is trusted (%s), not AWS's: this proves nothing about "
               "hardware"),
             path);
    return CLI_OK;
}

static int read_pcrs(const struct options *o, struct attest_question *q, struct cli_fault *f)
{
    const char *image = option_text(o, "image");
    struct why why = { 0 };

    if (image && option_count(o, "pcr") > 0)
        return cli_fault_set(f, CLI_USAGE, _("--image and --pcr exclude each other"));
    int status = image ? policy_image_read(image, &q->want, f) : CLI_OK;
    if (status != CLI_OK)
        return status;
    for (unsigned i = 0; i < option_count(o, "pcr"); i++) {
        const char *text = option_at(o, "pcr", i);
        if (attest_pcr_parse(span_str(text), &q->want, &why) != ERR_OK)
            return cli_fault_set(f, CLI_USAGE, _("--pcr %s: %s"), text,
                                 why.what ? why.what : "malformed");
    }
    /* an empty list is an error, not a pass. */
    q->any_image = option_flag(o, "any-image");
    if (q->want.present == 0 && !q->any_image)
        return cli_fault_set(f, CLI_USAGE,
                             _("which image is expected? --image FILE or --pcr N=HEX says it, "
                               "--any-image compares PCRs with nothing"));
    if (q->want.present != 0 && q->any_image)
        return cli_fault_set(f, CLI_USAGE, _("--any-image excludes --image and --pcr"));
    return CLI_OK;
}

/* --at, --max-age and --nonce. */
static int read_limits(const struct options *o, struct crypto *cx, struct attest_question *q,
                       struct buf *nonce, struct cli_fault *f)
{
    const char *at = option_text(o, "at"), *hex = option_text(o, "nonce");
    bool saved = option_text(o, "document") != NULL;
    uint8_t fresh[NONCE_BYTES];

    q->fresh = !saved;
    q->allow_debug = option_flag(o, "allow-debug");
    q->max_age_s = saved ? 0 : 300;
    if (option_text(o, "max-age") && !option_u64(o, "max-age", 1, INT32_MAX, &q->max_age_s))
        return CLI_USAGE;
    q->at_s = clock_wall_ms() / MS_PER_S;
    if (at && !saved)
        return cli_fault_set(f, CLI_USAGE, _("--at is for a saved document (--document)"));
    if (at && strcmp(at, "document") == 0)
        q->at_s = AT_DOCUMENT;
    if (at && q->at_s != AT_DOCUMENT && times_parse(span_str(at), &q->at_s) != ERR_OK)
        return cli_fault_set(f, CLI_USAGE, _("--at %s is not a time"), at);
    if (hex && (hex_parse(span_str(hex), nonce) != ERR_OK || nonce->len == 0))
        return cli_fault_set(f, CLI_USAGE, _("--nonce takes 1 to %d bytes in hexadecimal"),
                             NONCE_MAX_BYTES);
    if (!hex && !saved) {
        if (rng_bytes(cx, fresh, sizeof fresh) != ERR_OK ||
            buf_append(nonce, SPAN_ARRAY(fresh)) != ERR_OK)
            return cli_fault_set(f, CLI_FAILED, _("no random bytes for the nonce"));
    }
    q->nonce = nonce->len ? buf_view(nonce) : SPAN_EMPTY;
    return CLI_OK;
}

/* Base64 with any white space, as mail and JSON tools leave it. */
static enum err from_base64(struct span text, struct buf *out)
{
    AUTO(buf_clear) struct buf packed = BUF_INIT(DOCUMENT_TEXT_MAX);
    enum err r = ERR_OK;

    for (size_t i = 0; i < text.len && r == ERR_OK; i++)
        if (!strchr(" \t\r\n", text.ptr[i]) || text.ptr[i] == '\0')
            r = buf_append_byte(&packed, text.ptr[i]);
    return r == ERR_OK ? base64_parse(buf_view(&packed), out, NULL) : r;
}

int attest_document_read(const char *path, struct buf *out, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(DOCUMENT_TEXT_MAX);
    struct why why = { 0 };

    if (file_read(path, &text, &why) != ERR_OK)
        return cli_fault_set(f, CLI_FILE, _("cannot read %s: %s"), path, why.what);
    /* A COSE array of four or its tag: bytes that base64 never begins with. */
    bool binary = text.len > 0 && text.ptr[0] >= 0x80;
    enum err r = binary ? buf_append(out, buf_view(&text)) : from_base64(buf_view(&text), out);
    if (r == ERR_OK)
        return CLI_OK;
    return cli_fault_set(f, CLI_FILE, _("%s is neither a binary document nor base64"), path);
}

static int save(const struct options *o, struct span document, struct cli_fault *f)
{
    const char *path = option_text(o, "save");
    struct why why = { 0 };

    if (!path || file_write(path, document, 0644, &why) == ERR_OK)
        return CLI_OK;
    return cli_fault_set(f, CLI_FILE, _("cannot write %s: %s"), path, why.what);
}

/* On its own: a document and what is expected of it are large values. */
__attribute__((noinline)) static int judge_and_print(const struct options *o, struct crypto *cx,
                                                     struct span document,
                                                     const struct attest_question *q,
                                                     struct cli_fault *f)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(ATTEST_PEM_MAX_BYTES);
    struct attest_verified v;
    int status = attest_judge(cx, document, q, &v, f);

    if (status != CLI_OK)
        return status;
    enum err r =
        option_flag(o, "json") ? attest_json_write(&v, q, &out) : attest_lines_write(&v, q, &out);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("cannot write the answer: %s"), err_name(r));
    return cli_print(buf_view(&out), f);
}

static int run(const struct options *o, const struct cli_enclave *e, struct cli_fault *f)
{
    AUTO(cli_link_clear) struct cli_link link = { .ns = NULL };
    AUTO(crypto_freep) struct crypto *cx = NULL;
    AUTO(inputs_clear)
    struct inputs in = {
        .root_der = BUF_INIT(ATTEST_PEM_MAX_BYTES),
        .nonce = BUF_INIT(NONCE_MAX_BYTES),
        .document = BUF_INIT(ATTEST_DOC_MAX),
    };
    struct attest_question q = { .root_der = SPAN_EMPTY };
    const char *saved = option_text(o, "document");

    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("the cryptographic library does not start"));
    int status = read_pcrs(o, &q, f);
    if (status == CLI_OK)
        status = read_limits(o, cx, &q, &in.nonce, f);
    if (status == CLI_OK)
        status = attest_root_read(o, cx, &q, &in.root_der, f);
    if (status == CLI_OK)
        status = saved ? attest_document_read(saved, &in.document, f)
                       : cli_attest(e, &link, buf_view(&in.nonce), &in.document, f);
    if (status == CLI_OK)
        status = save(o, buf_view(&in.document), f);
    if (status != CLI_OK)
        return status;
    return judge_and_print(o, cx, buf_view(&in.document), &q, f);
}

int cmd_attest(int argc, char **argv)
{
    AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;
    struct cli_enclave e;
    struct options o;
    int status = options_parse(&program, argc, argv, &o);

    if (status >= 0)
        return status;
    status = cli_enclave_read(&o, &e);
    if (status != CLI_OK)
        return status;
    status = run(&o, &e, &f);
    if (status == CLI_USAGE && f.text.len == 0)
        return status; /* said already */
    return status == CLI_OK ? CLI_OK : cli_fault_print(&o, &f, e.json);
}
