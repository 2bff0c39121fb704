#include "awscred/awscred.h"
#include "base/json.h"
#include "base/rfc3339.h"

struct members {
    struct json_str id, secret, token, expiration, code;
    uint64_t version;
};

static void take(struct json_in *j, struct json_str name, const char *token_name, struct members *m)
{
    const struct {
        const char *name;
        struct json_str *to;
    } table[] = {
        { "AccessKeyId", &m->id }, { "SecretAccessKey", &m->secret },
        { token_name, &m->token }, { "Expiration", &m->expiration },
        { "Code", &m->code },
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (!json_str_is(name, table[i].name))
            continue;
        if (json_in_peek(j) == JSON_KIND_NULL)
            json_in_null(j);
        else
            *table[i].to = json_in_string(j);
        return;
    }
    if (json_str_is(name, "Version"))
        m->version = json_in_uint(j, 1000);
    else
        json_in_skip(j);
}

/* Decoded into `text`; printable ASCII only, since it goes into a header. */
static bool decode(struct json_str s, struct buf *text, size_t *at, size_t *len)
{
    *at = text->len;
    *len = 0;
    if (!json_str_is_set(s))
        return true;
    if (json_str_decode(s, text) != ERR_OK)
        return false;
    *len = text->len - *at;
    for (size_t i = 0; i < *len; i++)
        if (text->ptr[*at + i] <= 0x20 || text->ptr[*at + i] >= 0x7f)
            return false;
    return true;
}

static enum err weigh(const struct members *m, enum awscred_form form, struct buf *text,
                      struct awscred *out, struct why *why)
{
    struct awscred c = { .expires_s = 0 };
    size_t at[4], len[4];

    if (form == AWSCRED_IMDS && json_str_is_set(m->code) && !json_str_is(m->code, "Success"))
        return why_fail(why, ERR_DENIED, "Code is not Success", 0);
    if (form == AWSCRED_PROCESS && m->version != 1)
        return why_fail(why, ERR_MALFORMED, "Version is not 1", 0);
    if (!decode(m->id, text, &at[0], &len[0]) || !decode(m->secret, text, &at[1], &len[1]) ||
        !decode(m->token, text, &at[2], &len[2]) || !decode(m->expiration, text, &at[3], &len[3]))
        return why_fail(why, ERR_MALFORMED, "a member that is too long or not printable", 0);
    if (len[0] == 0 || len[1] == 0)
        return why_fail(why, ERR_MALFORMED, "AccessKeyId or SecretAccessKey is missing", 0);
    if (form == AWSCRED_IMDS && (len[2] == 0 || len[3] == 0))
        return why_fail(why, ERR_MALFORMED, "Token or Expiration is missing", 0);
    struct span all = buf_view(text);
    if (len[3] && rfc3339_parse(span_sub(all, at[3], len[3]), &c.expires_s) != ERR_OK)
        return why_fail(why, ERR_MALFORMED, "Expiration", 0);
    c.access_key_id = span_sub(all, at[0], len[0]);
    c.secret_access_key = span_sub(all, at[1], len[1]);
    c.session_token = span_sub(all, at[2], len[2]);
    *out = c;
    return ERR_OK;
}

enum err awscred_answer_parse(struct span json, enum awscred_form form, struct buf *text,
                              struct awscred *out, struct why *why)
{
    struct json_in j = json_in_init(json);
    struct members m = { .version = 0 };
    struct json_str name;
    size_t before = text->len;

    for (json_in_object(&j); json_in_member(&j, &name);)
        take(&j, name, form == AWSCRED_PROCESS ? "SessionToken" : "Token", &m);
    if (json_in_end(&j) != ERR_OK)
        return why_fail(why, ERR_MALFORMED, "not the JSON of credentials", j.pos);
    enum err r = weigh(&m, form, text, out, why);
    if (r != ERR_OK)
        buf_truncate(text, before);
    return r;
}

enum awscred_age awscred_age_of(int64_t expires_s, int64_t now_s, uint32_t jitter)
{
    if (expires_s == 0)
        return AWSCRED_FRESH;
    if (now_s >= expires_s)
        return AWSCRED_EXPIRED;
    int64_t early = AWSCRED_AGING_S + (int64_t)(jitter % (AWSCRED_JITTER_S + 1));
    return expires_s - now_s <= early ? AWSCRED_AGING : AWSCRED_FRESH;
}
