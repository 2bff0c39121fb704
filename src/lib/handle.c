/* handle.c - what a handle is made of, and the turn of a call on it. */
#include "lib/handle.h"

#include <stdlib.h>

#include "io/talk.h"

enum { PLACE_MAX_BYTES = 512 };

static bool take_number(struct span *s, uint8_t end, uint32_t *out)
{
    uint64_t v = 0;
    struct span digits = span_cut(s, end);

    if (span_to_u64(digits, UINT32_MAX - 1, &v) != ERR_OK || v == 0)
        return false;
    *out = (uint32_t)v;
    return true;
}

/* CID:PORT, or CID:PORT@HOW. */
static enum err parse_vsock(struct span s, const char *environment, struct addr *out,
                            struct why *why)
{
    char how[PLACE_MAX_BYTES];
    struct span numbers = span_cut(&s, '@');
    uint32_t cid, port;

    if (!take_number(&numbers, ':', &cid) || !take_number(&numbers, 0, &port) || numbers.ptr)
        return why_fail(why, ERR_MALFORMED, "vsock: takes CID:PORT, two numbers", 0);
    if (!s.ptr)
        return addr_vsock(environment, cid, port, out, why);
    if (s.len == 0 || s.len >= sizeof how)
        return why_fail(why, ERR_MALFORMED, "after @ stands kernel or unix:DIR", 0);
    memcpy(how, s.ptr, s.len);
    how[s.len] = 0;
    return addr_vsock(how, cid, port, out, why);
}

/* Plain text goes over it: it must not leave the machine. */
static bool is_loopback(const struct addr *a)
{
    static const uint8_t v4[] = { 127 }, v6[16] = { [15] = 1 };
    const uint8_t *sa = (const uint8_t *)&a->tcp;

    if (a->tcp.ss_family == AF_INET) /* sin_addr after family and port */
        return memcmp(sa + 4, v4, sizeof v4) == 0;
    return memcmp(sa + 8, v6, sizeof v6) == 0; /* and flowinfo */
}

static enum err parse_tcp(const char *text, struct addr *out, struct why *why)
{
    struct addr a;
    enum err r = addr_tcp(text, &a, why);

    if (r != ERR_OK)
        return r;
    if (!is_loopback(&a))
        return why_fail(why, ERR_UNSUPPORTED,
                        "tcp: takes loopback addresses only, there is no TLS on the way", 0);
    *out = a;
    return ERR_OK;
}

enum err lib_address_parse(const char *text, const char *environment, struct addr *out,
                           struct why *why)
{
    struct span s = span_str(text);

    if (span_starts(s, "vsock:"))
        return parse_vsock(span_from(s, strlen("vsock:")), environment, out, why);
    if (span_starts(s, "unix:"))
        return addr_unix(text + strlen("unix:"), out, why);
    if (span_starts(s, "tcp:"))
        return parse_tcp(text + strlen("tcp:"), out, why);
    if (span_starts(s, "plain-tcp:"))
        return addr_tcp(text + strlen("plain-tcp:"), out, why);
    return why_fail(why, ERR_MALFORMED, "begins with none of vsock:, unix:, tcp:, plain-tcp:", 0);
}

enum nitroseal_status nitroseal_new(const char *address, struct nitroseal **out,
                                    struct nitroseal_error **error)
{
    struct why why = { 0 };
    struct addr at;

    if (!address || !out)
        return lib_invalid(error, "nitroseal_new() needs an address and a place for the handle",
                           NULL);
    if (lib_address_parse(address, getenv("NITROSEAL_VSOCK"), &at, &why) != ERR_OK)
        return lib_invalid(error, "the address is not one that can be connected to", why.what);
    struct nitroseal *ns = calloc(1, sizeof *ns);
    if (!ns || talk_turn_init(&ns->turn) != ERR_OK) {
        free(ns);
        return lib_no_memory(error);
    }
    ns->at = at;
    ns->fd = -1;
    ns->timeout_ms = LIB_TIMEOUT_DEFAULT_MS;
    ns->access_key_id = BUF_INIT(LIB_CREDENTIAL_MAX_BYTES);
    ns->secret_access_key = BUF_INIT(LIB_CREDENTIAL_MAX_BYTES);
    ns->session_token = BUF_INIT(LIB_CREDENTIAL_MAX_BYTES);
    ns->in = BUF_INIT(2 * TALK_PIECE_BYTES);
    client_reader_init(&ns->reader);
    *out = ns;
    if (error)
        *error = NULL;
    return NITROSEAL_OK;
}

static void clear_credentials(struct nitroseal *ns)
{
    ns->has_credentials = false;
    buf_clear(&ns->access_key_id);
    buf_clear(&ns->secret_access_key);
    buf_clear(&ns->session_token);
}

void nitroseal_free(struct nitroseal *ns)
{
    if (!ns)
        return;
    fd_close(&ns->fd);
    clear_credentials(ns);
    client_reader_clear(&ns->reader);
    buf_clear(&ns->in);
    talk_turn_clear(&ns->turn);
    free(ns);
}

enum nitroseal_status lib_call_begin(struct lib_call *c, struct nitroseal *ns, long timeout_ms,
                                     struct nitroseal_error **error)
{
    static const struct lib_fault late = {
        .status = NITROSEAL_TIMEOUT,
        .code = "timeout",
        .text = "time was over before this handle was free",
        .hint = "calls on one handle follow one another: use more handles, or give it longer",
    };

    *c = (struct lib_call){ .error = error, .request = BUF_INIT(CLIENT_REQUEST_MAX_BYTES) };
    if (error)
        *error = NULL;
    if (!ns)
        return lib_invalid(error, "the handle is NULL", NULL);
    if (timeout_ms < 0 || timeout_ms > LIB_TIMEOUT_MAX_MS)
        return lib_invalid(error, "the timeout is not from 0 to 3,600,000 ms", NULL);
    uint64_t ms = timeout_ms ? (uint64_t)timeout_ms : ns->timeout_ms;
    c->deadline_ns = clock_mono_ns() + ms * NS_PER_MS;
    if (talk_turn_take(&ns->turn, c->deadline_ns) != ERR_OK)
        return lib_fail(error, &late);
    c->ns = ns;
    return NITROSEAL_OK;
}

void lib_call_end(struct lib_call *c)
{
    buf_clear(&c->request);
    if (!c->ns)
        return;
    client_reader_clear(&c->ns->reader);
    buf_clear(&c->ns->in);
    talk_turn_leave(&c->ns->turn);
    c->ns = NULL;
}

enum nitroseal_status nitroseal_set_timeout(struct nitroseal *ns, long timeout_ms,
                                            struct nitroseal_error **error)
{
    if (!ns)
        return lib_invalid(error, "the handle is NULL", NULL);
    if (timeout_ms < 1 || timeout_ms > LIB_TIMEOUT_MAX_MS)
        return lib_invalid(error, "the timeout is not from 1 to 3,600,000 ms", NULL);
    ns->timeout_ms = (uint64_t)timeout_ms;
    if (error)
        *error = NULL;
    return NITROSEAL_OK;
}

static enum err replace(struct buf *b, const char *text)
{
    buf_clear(b);
    return buf_append_str(b, text);
}

enum nitroseal_status nitroseal_set_credentials(struct nitroseal *ns, const char *access_key_id,
                                                const char *secret_access_key,
                                                const char *session_token,
                                                struct nitroseal_error **error)
{
    AUTO(lib_call_end) struct lib_call c = { 0 };

    if ((access_key_id == NULL) != (secret_access_key == NULL))
        return lib_invalid(error, "access key id and secret access key belong together", NULL);
    const char *const texts[] = { access_key_id, secret_access_key, session_token };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i] && strnlen(texts[i], LIB_CREDENTIAL_MAX_BYTES + 1) > LIB_CREDENTIAL_MAX_BYTES)
            return lib_invalid(error, "a credential is longer than 8,192 bytes", NULL);
    enum nitroseal_status s = lib_call_begin(&c, ns, 0, error);
    if (s != NITROSEAL_OK)
        return s;
    clear_credentials(ns);
    if (!access_key_id)
        return NITROSEAL_OK;
    enum err r = replace(&ns->access_key_id, access_key_id);
    if (r == ERR_OK)
        r = replace(&ns->secret_access_key, secret_access_key);
    if (r == ERR_OK)
        r = replace(&ns->session_token, session_token);
    ns->has_credentials = r == ERR_OK;
    if (r == ERR_OK)
        return NITROSEAL_OK;
    clear_credentials(ns);
    return lib_no_memory(error);
}

const struct proto_credentials *lib_credentials(const struct nitroseal *ns,
                                                struct proto_credentials *room)
{
    if (!ns->has_credentials)
        return NULL;
    *room =
        (struct proto_credentials){ buf_view(&ns->access_key_id), buf_view(&ns->secret_access_key),
                                    buf_view(&ns->session_token) };
    return room;
}
