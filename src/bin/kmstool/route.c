#include "bin/kmstool/route.h"

#include <unistd.h>

#include "io/sys.h"

enum { CONNECT_MS = 3000, CA_MAX_BYTES = 4 << 20 };

void route_clear(struct route *r)
{
    buf_clear(&r->server_name);
    buf_clear(&r->host);
}

bool route_find(const struct args *a, struct route *out, struct buf *err)
{
    struct why why = { 0 };
    enum err r;

    if (a->endpoint) {
        r = kms_endpoint_parse(span_str(a->endpoint), &out->server_name, &out->host);
    } else {
        r = kms_host_of_region(span_str(a->region), &out->host);
        if (r == ERR_OK)
            r = buf_append(&out->server_name, buf_view(&out->host));
    }
    if (r != ERR_OK || !buf_cstr(&out->server_name)) {
        err_line(err, "%s",
                 a->endpoint ? "--endpoint is not https://NAME[:PORT]"
                             : "--region is not a region's name");
        return false;
    }
    r = addr_vsock(a->vsock, a->proxy_cid, a->proxy_port, &out->relay, &why);
    if (r != ERR_OK)
        err_line(err, "--vsock: %s", why.what);
    return r == ERR_OK;
}

/* Where distributions keep theirs (credentials reference section 7). */
static const char *default_ca_file(void)
{
    static const char *const files[] = {
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/ssl/cert.pem",
    };

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (access(files[i], R_OK) == 0)
            return files[i];
    return files[0];
}

static bool load_ca(struct session *s, const struct args *a, struct buf *err)
{
    AUTO(buf_clear) struct buf pem = BUF_INIT(CA_MAX_BYTES);
    const char *file = a->ca_file ? a->ca_file : default_ca_file();
    struct why why = { 0 };

    if (s->tls && span_is(buf_view(&s->tls_file), file))
        return true;
    https_close(&s->conn); /* it is of the context that goes */
    tls_ctx_freep(&s->tls);
    buf_reset(&s->tls_file);
    enum err r = file_read(file, &pem, &why);
    if (r == ERR_OK)
        r = tls_ctx_client(buf_view(&pem), &s->tls, &why);
    if (r == ERR_OK)
        r = buf_append_str(&s->tls_file, file);
    if (r == ERR_OK)
        return true;
    tls_ctx_freep(&s->tls);
    err_line(err, "CA certificates not read: %.512s: %s", file, why.what ? why.what : err_name(r));
    err_line(err, "check: put a CA bundle (PEM) into the image, or name it with --ca-file");
    return false;
}

static void say_unreachable(const struct route *to, const struct args *a, enum err r,
                            const struct why *why, struct buf *err)
{
    char at[ADDR_TEXT_BYTES];
    const char *name = (const char *)to->server_name.ptr;
    const char *what = why->what ? why->what : err_name(r);

    addr_text(&to->relay, at, sizeof at);
    if (r == ERR_VERIFY) {
        err_line(err, "the certificate of %s is not accepted: %s", name, what);
        err_line(err,
                 "check: vsock-proxy on the parent must lead to %s (is it another region's?), "
                 "and the CA bundle must hold its root",
                 name);
        return;
    }
    err_line(err, "no connection to %s by %s: %s", name, at, what);
    err_line(err, "check: on the parent has to run: vsock-proxy %u %s 443", a->proxy_port, name);
}

bool route_open(struct session *s, const struct args *a, struct route *to, uint64_t deadline_ns,
                bool *reused, struct buf *err)
{
    AUTO(buf_clear) struct buf where = BUF_INIT(ROUTE_NAME_MAX_BYTES + ADDR_TEXT_BYTES);
    char at[ADDR_TEXT_BYTES];
    uint64_t connect_ns = clock_mono_ns() + CONNECT_MS * NS_PER_MS;
    struct why why = { 0 };

    if (!load_ca(s, a, err))
        return false;
    addr_text(&to->relay, at, sizeof at);
    enum err r = buf_printf(&where, "%s %s", at, (const char *)to->server_name.ptr);
    *reused = r == ERR_OK && span_eq(buf_view(&where), buf_view(&s->conn_to)) &&
              https_is_usable(&s->conn);
    if (*reused)
        return true;
    https_close(&s->conn);
    buf_reset(&s->conn_to);
    if (r == ERR_OK)
        r = https_open(&to->relay, s->tls, (const char *)to->server_name.ptr,
                       connect_ns < deadline_ns ? connect_ns : deadline_ns, &s->conn, &why);
    if (r == ERR_OK)
        r = buf_append(&s->conn_to, buf_view(&where));
    if (r != ERR_OK)
        say_unreachable(to, a, r, &why, err);
    return r == ERR_OK;
}
