/* What the policy commands read: images and their PCRs, policies. */
#include <jansson.h>

#include "base/hex.h"
#include "bin/nitroseal/policy_cmd.h"
#include "eif/describe.h"
#include "io/sys.h"

int policy_file_read(const char *path, struct buf *out, struct cli_fault *f)
{
    struct why why = { 0 };
    bool standard = strcmp(path, "-") == 0;
    enum err r = standard ? fd_read_all(0, out, 0, &why) : file_read(path, out, &why);

    return r == ERR_OK ? CLI_OK
                       : cli_fault_set(f, CLI_FILE, _("cannot read %s: %s"),
                                       standard ? _("standard input") : path,
                                       why.what ? why.what : err_name(r));
}

int policy_pcrs_read(const struct options *o, struct attest_pcrs *out, struct cli_fault *f)
{
    struct why why = { 0 };

    for (unsigned i = 0; i < option_count(o, "pcr"); i++) {
        const char *text = option_at(o, "pcr", i);
        if (attest_pcr_parse(span_str(text), out, &why) != ERR_OK)
            return cli_fault_set(f, CLI_USAGE, _("--pcr %s: %s"), text,
                                 why.what ? why.what : "malformed");
    }
    return CLI_OK;
}

/* "PCRn": hex. Other members (HashAlgorithm) are passed over. */
static bool take_pcr(const char *name, const json_t *value, struct attest_pcrs *out)
{
    AUTO(buf_clear) struct buf bytes = BUF_INIT(ATTEST_PCR_BYTES);
    uint64_t n = 0;

    if (strncmp(name, "PCR", 3) != 0)
        return true;
    if (span_to_u64(span_str(name + 3), ATTEST_PCRS - 1, &n) != ERR_OK || !json_is_string(value) ||
        json_string_length(value) != (size_t)2 * ATTEST_PCR_BYTES ||
        hex_parse(span_str(json_string_value(value)), &bytes) != ERR_OK)
        return false;
    memcpy(out->value[n], bytes.ptr, ATTEST_PCR_BYTES);
    out->present |= UINT32_C(1) << n;
    return true;
}

static int from_json(const char *path, struct span text, struct attest_pcrs *out,
                     struct cli_fault *f)
{
    json_t *j = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    json_t *measured = json_object_get(j, "Measurements"), *value;
    const char *name;
    bool good = j != NULL;

    json_object_foreach(measured ? measured : j, name, value) good =
        good && take_pcr(name, value, out);
    json_decref(j);
    if (good && out->present)
        return CLI_OK;
    return cli_fault_set(f, CLI_FILE,
                         _("%s is neither an EIF nor JSON with PCR0 and so on (96 hexadecimal "
                           "digits each)"),
                         path);
}

/* A policy for an image that could not boot would be a riddle later. */
__attribute__((noinline)) static int from_eif(const char *path, struct span file,
                                              struct attest_pcrs *out, struct cli_fault *f)
{
    AUTO(eif_report_clear) struct eif_report r = EIF_REPORT_NONE;
    struct why why = { 0 };

    enum err e = eif_report_make(file, &r, &why);
    if (e != ERR_OK)
        return cli_fault_set(f, CLI_FILE, _("%s is not an EIF: %s (byte %zu)"), path,
                             why.what ? why.what : err_name(e), why.at);
    if (r.eif.crc != r.eif.crc_computed)
        return cli_fault_set(f, CLI_FILE, _("%s is damaged: its checksum does not hold"), path);
    if (r.is_signed && !r.signature_ok)
        return cli_fault_set(f, CLI_FILE, _("%s: the signature of the image does not hold: %s"),
                             path, r.signature_fault.what ? r.signature_fault.what : "?");
    *out = r.pcrs;
    return CLI_OK;
}

int policy_image_read(const char *path, struct attest_pcrs *out, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf bytes = BUF_INIT(POLICY_IMAGE_FILE_MAX_BYTES);
    struct attest_pcrs made = { 0 };
    int status = policy_file_read(path, &bytes, f);

    if (status == CLI_OK && span_starts(buf_view(&bytes), ".eif"))
        status = from_eif(path, buf_view(&bytes), &made, f);
    else if (status == CLI_OK)
        status = from_json(path, buf_view(&bytes), &made, f);
    if (status == CLI_OK)
        *out = made;
    return status;
}

int policy_load(const char *path, enum policy_use use, struct policy **out, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(POLICY_FILE_MAX_BYTES);
    struct policy_fault why = { .what = NULL };
    int status = policy_file_read(path, &text, f);

    if (status != CLI_OK)
        return status;
    enum err r = policy_parse_at(buf_view(&text), use, out, &why);
    if (r == ERR_OK)
        return CLI_OK;
    if (r == ERR_LIMIT)
        return cli_fault_set(f, CLI_FILE, _("%s is longer than the %d bytes of a key policy"), path,
                             POLICY_MAX_BYTES);
    if (r != ERR_MALFORMED)
        return cli_fault_set(f, CLI_FAILED, "%s: %s", path, err_name(r));
    struct policy_position pos = policy_position_of(buf_view(&text), why.at);
    if (why.statement)
        return cli_fault_set(f, CLI_FILE, _("%s: line %u, column %u (statement %u): %s"), path,
                             pos.line, pos.column, why.statement, why.what);
    return cli_fault_set(f, CLI_FILE, _("%s: line %u, column %u: %s"), path, pos.line, pos.column,
                         why.what);
}

enum err policy_put_clean(struct buf *out, struct span text)
{
    size_t before = out->len;

    cli_append_clean(out, text);
    return out->len >= before + text.len || text.len == 0 ? ERR_OK : ERR_LIMIT;
}
