#include "awscred/sts.h"

#include <stdio.h>

#include "base/percent.h"
#include "base/rfc3339.h"

#define VERSION "2011-06-15"

/* "&name=value", or nothing for an empty value. */
static enum err parameter(struct buf *out, const char *name, struct span value)
{
    enum err r = value.len ? buf_printf(out, "&%s=", name) : ERR_OK;

    return r == ERR_OK ? percent_append(out, value) : r;
}

enum err awscred_sts_form(const struct awscred_role *role, struct buf *out)
{
    const struct {
        const char *name;
        struct span value;
    } parameters[] = {
        { "RoleArn", role->role_arn },
        { "RoleSessionName", role->session_name },
        { "ExternalId", role->external_id },
        { "DurationSeconds", role->duration_s },
        { "WebIdentityToken", role->web_identity_token },
    };
    size_t before = out->len;

    enum err r = buf_printf(out, "Action=AssumeRole%s&Version=" VERSION,
                            role->web_identity_token.len ? "WithWebIdentity" : "");
    for (size_t i = 0; r == ERR_OK && i < sizeof parameters / sizeof parameters[0]; i++)
        r = parameter(out, parameters[i].name, parameters[i].value);
    if (r != ERR_OK)
        buf_truncate(out, before);
    return r;
}

static size_t find(struct span in, const char *text)
{
    const uint8_t *hit = in.len ? memmem(in.ptr, in.len, text, strlen(text)) : NULL;

    return hit ? (size_t)(hit - in.ptr) : in.len;
}

/* What stands between <name> and </name>, the first time. */
static bool element(struct span xml, const char *name, struct span *inside)
{
    char open[32], close[32];

    (void)snprintf(open, sizeof open, "<%s>", name);
    (void)snprintf(close, sizeof close, "</%s>", name);
    size_t at = find(xml, open);
    if (at == xml.len)
        return false;
    struct span rest = span_from(xml, at + strlen(open));
    size_t end = find(rest, close);
    if (end == rest.len)
        return false;
    *inside = span_trim(span_sub(rest, 0, end));
    return true;
}

/* A value without elements and entities, printable: nothing else is in a key or a token. */
static bool value(struct span xml, const char *name, struct buf *text, size_t *at, size_t *len)
{
    struct span v = SPAN_EMPTY;

    if (!element(xml, name, &v) || v.len == 0)
        return false;
    for (size_t i = 0; i < v.len; i++)
        if (v.ptr[i] <= 0x20 || v.ptr[i] >= 0x7f || v.ptr[i] == '<' || v.ptr[i] == '&')
            return false;
    *at = text->len;
    *len = v.len;
    return buf_append(text, v) == ERR_OK;
}

static enum err credentials(struct span xml, struct buf *text, struct awscred *out, struct why *why)
{
    struct awscred c = { .expires_s = 0 };
    size_t at[4], len[4];

    if (!value(xml, "AccessKeyId", text, &at[0], &len[0]) ||
        !value(xml, "SecretAccessKey", text, &at[1], &len[1]) ||
        !value(xml, "SessionToken", text, &at[2], &len[2]) ||
        !value(xml, "Expiration", text, &at[3], &len[3]))
        return why_fail(why, ERR_MALFORMED, "an element of Credentials is missing", 0);
    struct span all = buf_view(text);
    if (rfc3339_parse(span_sub(all, at[3], len[3]), &c.expires_s) != ERR_OK)
        return why_fail(why, ERR_MALFORMED, "Expiration", 0);
    c.access_key_id = span_sub(all, at[0], len[0]);
    c.secret_access_key = span_sub(all, at[1], len[1]);
    c.session_token = span_sub(all, at[2], len[2]);
    *out = c;
    return ERR_OK;
}

enum err awscred_sts_answer(struct span xml, struct buf *text, struct awscred *out,
                            struct awscred_refusal *no, struct why *why)
{
    struct awscred_refusal refusal = { .code = SPAN_EMPTY };
    struct span inside = SPAN_EMPTY;
    size_t before = text->len;

    if (element(xml, "Error", &inside)) {
        (void)element(inside, "Code", &refusal.code);
        (void)element(inside, "Message", &refusal.message);
        *no = refusal;
        return why_fail(why, ERR_DENIED, "STS refused", 0);
    }
    if (!element(xml, "Credentials", &inside))
        return why_fail(why, ERR_MALFORMED, "not an answer of STS", 0);
    enum err r = credentials(inside, text, out, why);
    if (r != ERR_OK)
        buf_truncate(text, before);
    return r;
}
