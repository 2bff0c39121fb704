#include "bin/nitroseal/cli.h"

#include "io/sys.h"

enum { TIMEOUT_MAX_S = 3600 };

void cli_append_member(struct buf *out, struct json_str s)
{
    AUTO(buf_clear) struct buf scratch = BUF_INIT(CLI_FAULT_MAX_BYTES);
    struct span text = SPAN_EMPTY;

    if (json_str_is_set(s) && json_str_view(s, &scratch, &text) == ERR_OK)
        cli_append_clean(out, text);
}

void cli_json_member(struct json_out *w, const char *name, struct json_str value)
{
    if (!json_str_is_set(value))
        return;
    json_out_key(w, name);
    if (value.escaped)
        json_out_raw_string(w, value);
    else /* what libnitroseal gave has no escapes, and may need some */
        json_out_string(w, value.raw);
}

int cli_enclave_read(const struct options *o, struct cli_enclave *out)
{
    uint64_t cid, port, seconds;
    struct why why = { 0 };

    if (!option_u64(o, "cid", 3, UINT32_MAX - 1, &cid) ||
        !option_u64(o, "port", 1, UINT32_MAX - 1, &port) ||
        !option_u64(o, "timeout", 1, TIMEOUT_MAX_S, &seconds))
        return CLI_USAGE;
    out->json = option_flag(o, "json");
    if (addr_vsock(option_text(o, "vsock"), (uint32_t)cid, (uint32_t)port, &out->at, &why) !=
        ERR_OK) {
        complain(o, _("--vsock or NITROSEAL_VSOCK '%s': %s"), option_text(o, "vsock"), why.what);
        return CLI_USAGE;
    }
    out->deadline_ns = clock_mono_ns() + seconds * NS_PER_S;
    return CLI_OK;
}
