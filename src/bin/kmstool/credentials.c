#include "bin/kmstool/credentials.h"

#include <stdlib.h>

#include "io/sys.h"

enum { FD_MAX_BYTES = 65536, FD_WAIT_S = 10 };

void credentials_clear(struct credentials *c)
{
    secret_clear(&c->access_key_id);
    secret_clear(&c->secret_access_key);
    secret_clear(&c->session_token);
}

struct sigv4_credentials credentials_view(const struct credentials *c)
{
    return (struct sigv4_credentials){ secret_view(&c->access_key_id),
                                       secret_view(&c->secret_access_key),
                                       secret_view(&c->session_token) };
}

struct texts { /* where the three stand; NULL: not there */
    char *id, *secret, *token;
};

static void overwrite(char *text)
{
    if (text)
        memset(text, '*', strlen(text));
}

static void overwrite_all(const struct texts *t)
{
    overwrite(t->id);
    overwrite(t->secret);
    overwrite(t->token);
}

/* The variables' own bytes, which /proc/PID/environ shows. */
static struct texts take_environment(void)
{
    return (struct texts){ getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"),
                           getenv("AWS_SESSION_TOKEN") };
}

static enum err copy(const struct texts *t, struct credentials *out)
{
    enum err r = secret_copy(span_str(t->id), &out->access_key_id);

    if (r == ERR_OK)
        r = secret_copy(span_str(t->secret), &out->secret_access_key);
    return r == ERR_OK ? secret_copy(span_str(t->token), &out->session_token) : r;
}

static int from_texts(const struct texts *t, struct credentials *out, struct buf *err)
{
    AUTO(credentials_clear) struct credentials c = { 0 };

    if (!t->id || !t->id[0]) {
        err_line(err, "--aws-access-key-id must be set");
        return KMSTOOL_USAGE;
    }
    if (!t->secret || !t->secret[0]) {
        err_line(err, "--aws-secret-access-key must be set");
        return KMSTOOL_USAGE;
    }
    if (copy(t, &c) != ERR_OK) {
        err_line(err, "out of memory");
        return KMSTOOL_FAILED;
    }
    *out = c;
    c = (struct credentials){ 0 };
    return KMSTOOL_GO;
}

static int from_descriptor(int64_t fd, struct credentials *out, struct buf *err)
{
    AUTO(buf_clear) struct buf json = BUF_INIT(FD_MAX_BYTES);
    struct why why = { 0 };

    enum err r = fd_read_all((int)fd, &json, clock_mono_ns() + FD_WAIT_S * NS_PER_S, &why);
    if (r == ERR_OK)
        r = credentials_parse(buf_view(&json), out, &why);
    if (r == ERR_OK)
        return KMSTOOL_GO;
    err_line(err, "--credentials-fd %d: %s", (int)fd, why.what ? why.what : err_name(r));
    return KMSTOOL_FAILED;
}

static int take(const struct args *a, const struct texts *argv, const struct texts *env,
                struct credentials *out, struct buf *err)
{
    if (argv->id || argv->secret || argv->token)
        return from_texts(argv, out, err);
    if (a->credentials_fd >= 0)
        return from_descriptor(a->credentials_fd, out, err);
    return from_texts(env, out, err);
}

int credentials_take(struct args *a, struct credentials *out, struct buf *err)
{
    const struct texts argv = { a->access_key_id, a->secret_access_key, a->session_token };
    const struct texts env = take_environment();

    if (argv.secret || argv.token)
        err_line(err, "warning: secrets on the command line can be read in the process list; use "
                      "the environment or --credentials-fd");
    int status = take(a, &argv, &env, out, err);
    overwrite_all(&argv);
    overwrite_all(&env);
    return status;
}

struct members {
    struct json_str id, secret, token;
};

static void read_members(struct json_in *j, struct members *m, bool nested)
{
    struct json_str name;

    for (json_in_object(j); json_in_member(j, &name);) {
        if (json_str_is(name, "access_key_id"))
            m->id = json_in_string(j);
        else if (json_str_is(name, "secret_access_key"))
            m->secret = json_in_string(j);
        else if (json_str_is(name, "session_token") && json_in_peek(j) != JSON_KIND_NULL)
            m->token = json_in_string(j);
        else if (!nested && json_str_is(name, "credentials"))
            read_members(j, m, true);
        else
            json_in_skip(j);
    }
}

static enum err decode(struct json_str s, struct secret *out)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(FD_MAX_BYTES);

    enum err r = json_str_decode(s, &text);
    return r == ERR_OK ? secret_copy(buf_view(&text), out) : r;
}

enum err credentials_parse(struct span json, struct credentials *out, struct why *why)
{
    AUTO(credentials_clear) struct credentials c = { 0 };
    struct members m = { .id = JSON_STR_NONE };
    struct json_in j = json_in_init(json);

    read_members(&j, &m, false);
    if (json_in_end(&j) != ERR_OK)
        return why_fail(why, ERR_MALFORMED, "not a JSON object with credentials", j.pos);
    if (m.id.raw.len == 0)
        return why_fail(why, ERR_MALFORMED, "member 'access_key_id' is missing", 0);
    if (m.secret.raw.len == 0)
        return why_fail(why, ERR_MALFORMED, "member 'secret_access_key' is missing", 0);
    enum err r = decode(m.id, &c.access_key_id);
    if (r == ERR_OK)
        r = decode(m.secret, &c.secret_access_key);
    if (r == ERR_OK)
        r = decode(m.token, &c.session_token);
    if (r != ERR_OK)
        return why_fail(why, r, "credentials", 0);
    *out = c;
    c = (struct credentials){ 0 };
    return ERR_OK;
}

void credentials_write(const struct credentials *c, struct json_out *w)
{
    json_out_object(w);
    json_out_key(w, "access_key_id");
    json_out_string(w, secret_view(&c->access_key_id));
    json_out_key(w, "secret_access_key");
    json_out_string(w, secret_view(&c->secret_access_key));
    json_out_key(w, "session_token");
    json_out_string(w, secret_view(&c->session_token));
    json_out_object_end(w);
}
