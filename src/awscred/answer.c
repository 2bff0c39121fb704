#include "awscred/awscred.h"
#include "base/json.h"

static enum err number(struct span s, size_t at, size_t n, int64_t max, int64_t *out)
{
    uint64_t v = 0;
    struct span part = span_sub(s, at, n);

    if (part.len != n || span_to_u64(part, (uint64_t)max, &v) != ERR_OK)
        return ERR_MALFORMED;
    *out = (int64_t)v;
    return ERR_OK;
}

/* Days from 1970-01-01 (Gregorian, year 1 and later). */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = y / 400, in_era = y - era * 400;
    int64_t in_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static int64_t days_in(int64_t y, int64_t m)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return m == 2 && leap ? 29 : days[m - 1];
}

/* "Z" or "+hh:mm", as seconds east of Greenwich. */
static enum err offset_parse(struct span s, int64_t *east_s)
{
    int64_t h = 0, m = 0;

    if (span_is(s, "Z") || span_is(s, "z")) {
        *east_s = 0;
        return ERR_OK;
    }
    if (s.len != 6 || (s.ptr[0] != '+' && s.ptr[0] != '-') || s.ptr[3] != ':' ||
        number(s, 1, 2, 23, &h) != ERR_OK || number(s, 4, 2, 59, &m) != ERR_OK)
        return ERR_MALFORMED;
    *east_s = (s.ptr[0] == '-' ? -1 : 1) * (h * 3600 + m * 60);
    return ERR_OK;
}

enum err awscred_time_parse(struct span s, int64_t *unix_s)
{
    int64_t y = 0, mo = 0, d = 0, h = 0, mi = 0, sec = 0, east = 0;
    size_t at = 19; /* after YYYY-MM-DDThh:mm:ss */

    if (s.len < at + 1 || s.ptr[4] != '-' || s.ptr[7] != '-' || (s.ptr[10] | 0x20) != 't' ||
        s.ptr[13] != ':' || s.ptr[16] != ':')
        return ERR_MALFORMED;
    if (number(s, 0, 4, 9999, &y) != ERR_OK || number(s, 5, 2, 12, &mo) != ERR_OK ||
        number(s, 8, 2, 31, &d) != ERR_OK || number(s, 11, 2, 23, &h) != ERR_OK ||
        number(s, 14, 2, 59, &mi) != ERR_OK || number(s, 17, 2, 60, &sec) != ERR_OK)
        return ERR_MALFORMED;
    if (y == 0 || mo == 0 || d == 0 || d > days_in(y, mo))
        return ERR_MALFORMED;
    if (s.ptr[at] == '.') {
        size_t digits = ++at;
        while (at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9')
            at++;
        if (at == digits)
            return ERR_MALFORMED;
    }
    if (offset_parse(span_from(s, at), &east) != ERR_OK)
        return ERR_MALFORMED;
    *unix_s = days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec - east;
    return ERR_OK;
}

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
    if (len[3] && awscred_time_parse(span_sub(all, at[3], len[3]), &c.expires_s) != ERR_OK)
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
