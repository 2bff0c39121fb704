#include "awsconf/awsconf.h"

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static bool is_comment_sign(uint8_t c)
{
    return c == '#' || c == ';';
}

size_t awsconf_line_of(struct span text, size_t at)
{
    size_t line = 1;

    for (size_t i = 0; i < at && i < text.len; i++)
        line += text.ptr[i] == '\n';
    return line;
}

static size_t indent_of(struct span line)
{
    size_t n = 0;

    while (n < line.len && is_blank(line.ptr[n]))
        n++;
    return n;
}

/* Up to a comment that follows a blank, trimmed. */
static struct span without_comment(struct span s)
{
    for (size_t i = 1; i < s.len; i++)
        if (is_comment_sign(s.ptr[i]) && is_blank(s.ptr[i - 1]))
            return span_trim(span_sub(s, 0, i));
    return span_trim(s);
}

/* `name`, "name" or 'name'. */
static struct span without_quotes(struct span s)
{
    if (s.len >= 2 && (s.ptr[0] == '"' || s.ptr[0] == '\'') && s.ptr[s.len - 1] == s.ptr[0])
        return span_sub(s, 1, s.len - 2);
    return s;
}

/* `[KIND name]`, the name perhaps in quotes. */
static bool is_of_kind(struct span title, const char *kind, struct span name)
{
    size_t n = strlen(kind);

    if (!span_starts(title, kind) || title.len == n || !is_blank(title.ptr[n]))
        return false;
    return span_eq(without_quotes(span_trim(span_from(title, n))), name);
}

/* Does a section of this title hold `profile`? */
static bool is_wanted(struct span title, enum awsconf_kind kind, struct span profile)
{
    if (kind == AWSCONF_CREDENTIALS)
        return span_eq(without_quotes(title), profile);
    if (span_is(title, "default"))
        return span_is(profile, "default");
    return is_of_kind(title, "profile", profile); /* not [services x], [sso-session x] */
}

/* "[title]" with nothing but a comment after it. */
static enum err title_parse(struct span line, struct span *title, struct why *why, size_t at)
{
    struct span rest = span_from(line, 1);
    struct span inside = span_cut(&rest, ']');

    if (!rest.ptr)
        return why_fail(why, ERR_MALFORMED, "section without a closing bracket", at);
    rest = span_trim(rest);
    if (rest.len > 0 && !is_comment_sign(rest.ptr[0]))
        return why_fail(why, ERR_MALFORMED, "text after a section's name", at);
    inside = span_trim(inside);
    if (inside.len == 0)
        return why_fail(why, ERR_MALFORMED, "section without a name", at);
    *title = inside;
    return ERR_OK;
}

static void setting_take(struct awsconf_profile *p, struct span name, struct span value)
{
    static const char *const elsewhere[] = { "sso_start_url", "sso_session", "login_session",
                                             "mfa_serial" };
    const struct {
        const char *name;
        struct span *to;
    } table[] = {
        { "aws_access_key_id", &p->access_key_id },
        { "aws_secret_access_key", &p->secret_access_key },
        { "aws_session_token", &p->session_token },
        { "region", &p->region },
        { "credential_process", &p->process },
        { "role_arn", &p->role_arn },
        { "source_profile", &p->source_profile },
        { "credential_source", &p->credential_source },
        { "external_id", &p->external_id },
        { "role_session_name", &p->role_session_name },
        { "duration_seconds", &p->duration_seconds },
        { "web_identity_token_file", &p->web_identity_token_file },
        { "services", &p->services },
        { "endpoint_url", &p->endpoint_url },
        { "ignore_configured_endpoint_urls", &p->ignore_endpoint_urls },
        { "use_fips_endpoint", &p->use_fips },
        { "use_dualstack_endpoint", &p->use_dualstack },
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (span_eq_nocase(name, span_str(table[i].name)))
            *table[i].to = value;
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++)
        if (span_eq_nocase(name, span_str(elsewhere[i])))
            p->elsewhere = span_str(elsewhere[i]);
}

struct reader {
    struct awsconf_profile profile;
    const char *service; /* looked for is [services], and in it this; NULL: a profile */
    bool in_service;
    struct span service_url;
    bool in_section, wanted, has_setting;
    size_t setting_indent; /* of the setting that a deeper line would belong to */
};

/* A line below a setting: what it means depends on that setting, so only ours is read. */
static void nested_take(struct reader *r, struct span rest)
{
    struct span name = span_trim(span_cut(&rest, '='));

    if (r->in_service && rest.ptr && span_eq_nocase(name, SPAN_LIT("endpoint_url")))
        r->service_url = without_comment(rest);
}

static enum err line_take(struct reader *r, struct span line, enum awsconf_kind kind,
                          struct span profile, struct why *why, size_t at)
{
    size_t indent = indent_of(line);
    struct span rest = span_trim(line);

    if (rest.len == 0 || is_comment_sign(rest.ptr[0]))
        return ERR_OK;
    if (r->has_setting && indent > r->setting_indent) {
        nested_take(r, rest);
        return ERR_OK;
    }
    if (rest.ptr[0] == '[') {
        struct span title = SPAN_EMPTY;
        enum err e = title_parse(rest, &title, why, at);
        if (e != ERR_OK)
            return e;
        r->wanted =
            r->service ? is_of_kind(title, "services", profile) : is_wanted(title, kind, profile);
        r->in_service = false;
        r->in_section = true;
        r->has_setting = false;
        r->profile.found |= r->wanted;
        return ERR_OK;
    }
    struct span name = span_trim(span_cut(&rest, '='));
    if (!rest.ptr || name.len == 0)
        return why_fail(why, ERR_MALFORMED, "neither a section nor a setting", at);
    if (!r->in_section)
        return why_fail(why, ERR_MALFORMED, "setting outside of a section", at);
    r->has_setting = true;
    r->setting_indent = indent;
    r->in_service = r->wanted && r->service && span_eq_nocase(name, span_str(r->service));
    if (r->wanted && !r->service)
        setting_take(&r->profile, name, without_comment(rest));
    return ERR_OK;
}

static enum err read_text(struct span text, enum awsconf_kind kind, struct span section,
                          struct reader *r, struct why *why)
{
    struct span rest = text;

    if (span_starts(rest, "\xef\xbb\xbf")) /* byte order mark of a Windows editor */
        rest = span_from(rest, 3);
    for (size_t at = text.len - rest.len; rest.ptr && rest.len > 0; at = text.len - rest.len) {
        struct span line = span_cut(&rest, '\n');
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (span_find(line, '\0') != line.len)
            return why_fail(why, ERR_MALFORMED, "NUL byte", at);
        enum err e = line_take(r, line, kind, section, why, at);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

enum err awsconf_profile_read(struct span text, enum awsconf_kind kind, struct span profile,
                              struct awsconf_profile *out, struct why *why)
{
    struct reader r = { 0 };
    enum err e = read_text(text, kind, profile, &r, why);

    if (e == ERR_OK)
        *out = r.profile;
    return e;
}

enum err awsconf_service_url(struct span text, struct span name, const char *service,
                             struct span *out, struct why *why)
{
    struct reader r = { .service = service };
    enum err e = read_text(text, AWSCONF_CONFIG, name, &r, why);

    if (e == ERR_OK)
        *out = r.service_url;
    return e;
}
