/* Where credentials come from: environment, shared files, credential_process, container, instance;
 * never argv. The order is that of the credentials reference, section 1. */
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "awsconf/awsconf.h"
#include "bin/nitroseal/cred_source.h"
#include "io/sys.h"

enum {
    CONFIG_MAX_BYTES = 1 << 20,
    KEY_ID_MAX_BYTES = 256,
    CONFIG_PATH_BYTES = 1024,
    MS_PER_S = 1000
};

void cli_credentials_clear(struct cli_credentials *c)
{
    secret_clear(&c->secret_access_key);
    secret_clear(&c->session_token);
    buf_clear(&c->access_key_id);
}

struct proto_credentials cli_credentials_view(const struct cli_credentials *c)
{
    return (struct proto_credentials){
        .access_key_id = buf_view(&c->access_key_id),
        .secret_access_key = secret_view(&c->secret_access_key),
        .session_token = secret_view(&c->session_token),
    };
}

int cred_take(struct span id, struct span key, struct span token, struct cli_credentials *out,
              struct cli_fault *f)
{
    out->access_key_id = BUF_INIT(KEY_ID_MAX_BYTES);
    if (buf_append(&out->access_key_id, id) == ERR_OK &&
        secret_copy(key, &out->secret_access_key) == ERR_OK &&
        (token.len == 0 || secret_copy(token, &out->session_token) == ERR_OK))
        return CLI_OK;
    cli_credentials_clear(out);
    return cli_fault_set(f, CLI_SETTINGS, _("the AWS credentials are too long"));
}

int cred_take_fetched(const struct awscred *c, const char *from, struct cli_credentials *out,
                      struct cli_fault *f)
{
    if (awscred_age_of(c->expires_s, clock_wall_ms() / MS_PER_S, 0) == AWSCRED_EXPIRED)
        return cli_fault_set(f, CLI_SETTINGS,
                             _("the AWS credentials from %s have expired: is this machine's clock "
                               "right?"),
                             from);
    return cred_take(c->access_key_id, c->secret_access_key, c->session_token, out, f);
}

static struct span variable(const char *name)
{
    const char *v = getenv(name);

    return v && v[0] ? span_str(v) : SPAN_EMPTY;
}

static bool in_environment(void)
{
    return variable("AWS_ACCESS_KEY_ID").ptr || variable("AWS_SECRET_ACCESS_KEY").ptr;
}

/* Half of a pair is an error, not "look further" (credentials reference section 1). */
static int from_environment(struct cli_credentials *out, struct cli_fault *f)
{
    struct span id = variable("AWS_ACCESS_KEY_ID");
    struct span key = variable("AWS_SECRET_ACCESS_KEY");

    if (!key.ptr)
        return cli_fault_set(f, CLI_SETTINGS,
                             _("AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not"));
    if (!id.ptr)
        return cli_fault_set(f, CLI_SETTINGS,
                             _("AWS_SECRET_ACCESS_KEY is set but AWS_ACCESS_KEY_ID is not"));
    return cred_take(id, key, variable("AWS_SESSION_TOKEN"), out, f);
}

/* The path in `env`, or HOME/.aws/NAME. */
static void path_of(const char *env, const char *name, char out[static CONFIG_PATH_BYTES])
{
    const char *given = getenv(env), *home = getenv("HOME");

    if (given && given[0]) {
        snprintf(out, CONFIG_PATH_BYTES, "%s", given);
        return;
    }
    if (!home || !home[0]) {
        const struct passwd *me = getpwuid(geteuid());
        home = me ? me->pw_dir : "/";
    }
    snprintf(out, CONFIG_PATH_BYTES, "%s/.aws/%s", home, name);
}

/* A file that is not there is an empty one. */
static int read_profile(const char *path, enum awsconf_kind kind, const char *profile,
                        struct buf *text, struct awsconf_profile *out, struct cli_fault *f)
{
    struct why why = { 0 };

    if (access(path, F_OK) != 0)
        return CLI_OK;
    if (file_read(path, text, &why) != ERR_OK)
        return cli_fault_set(f, CLI_SETTINGS, _("cannot read %s: %s"), path, why.what);
    if (awsconf_profile_read(buf_view(text), kind, span_str(profile), out, &why) == ERR_OK)
        return CLI_OK;
    return cli_fault_set(f, CLI_SETTINGS, _("%s, line %zu: %s"), path,
                         awsconf_line_of(buf_view(text), why.at), why.what);
}

static int from_profile(const struct awsconf_profile *p, const char *path, const char *profile,
                        struct cli_credentials *out, struct cli_fault *f)
{
    if (p->access_key_id.len == 0 || p->secret_access_key.len == 0)
        return cli_fault_set(
            f, CLI_SETTINGS,
            _("profile '%s' in %s has only one of aws_access_key_id and aws_secret_access_key"),
            profile, path);
    return cred_take(p->access_key_id, p->secret_access_key, p->session_token, out, f);
}

static bool has_key(const struct awsconf_profile *p)
{
    return p->access_key_id.len > 0 || p->secret_access_key.len > 0;
}

/* When the files hold no keys: what they point to, then what the machine has. */
static int find_further(const struct awsconf_profile *p1, const struct awsconf_profile *p2,
                        const char *profile, struct cli_credentials *out, struct cli_fault *f)
{
    struct span elsewhere = p1->elsewhere.len ? p1->elsewhere : p2->elsewhere;
    struct span process = p1->process.len ? p1->process : p2->process;

    if (elsewhere.len)
        return cli_fault_set(f, CLI_SETTINGS,
                             _("profile '%s' gets its credentials by %.*s, which is not supported "
                               "yet: put them into the environment"),
                             profile, (int)elsewhere.len, (const char *)elsewhere.ptr);
    if (process.len)
        return cred_from_process(process, profile, out, f);
    /* Going on would find the machine's role in place of the one that was meant. */
    if (variable("AWS_WEB_IDENTITY_TOKEN_FILE").ptr)
        return cli_fault_set(f, CLI_SETTINGS,
                             _("AWS_WEB_IDENTITY_TOKEN_FILE is set, which is not supported yet: "
                               "put credentials into the environment"));
    if (cred_has_container())
        return cred_from_container(out, f);
    if (cred_has_imds())
        return cred_from_imds(out, f);
    return cli_fault_set(f, CLI_SETTINGS,
                         _("no AWS credentials: none in the environment, none of profile '%s' in "
                           "the shared files, no container endpoint, and IMDS is switched off"),
                         profile);
}

int cli_credentials_find(const char *profile, bool chosen, struct cli_credentials *out,
                         struct cli_fault *f)
{
    AUTO(buf_clear) struct buf text1 = BUF_INIT(CONFIG_MAX_BYTES);
    AUTO(buf_clear) struct buf text2 = BUF_INIT(CONFIG_MAX_BYTES);
    struct awsconf_profile p1 = { 0 }, p2 = { 0 };
    char credentials[CONFIG_PATH_BYTES], config[CONFIG_PATH_BYTES];
    bool named = profile != NULL;

    if (!chosen && in_environment())
        return from_environment(out, f);
    if (!profile)
        profile = variable("AWS_DEFAULT_PROFILE").ptr ? getenv("AWS_DEFAULT_PROFILE") : "default";
    path_of("AWS_SHARED_CREDENTIALS_FILE", "credentials", credentials);
    path_of("AWS_CONFIG_FILE", "config", config);
    int status = read_profile(credentials, AWSCONF_CREDENTIALS, profile, &text1, &p1, f);
    if (status == CLI_OK)
        status = read_profile(config, AWSCONF_CONFIG, profile, &text2, &p2, f);
    if (status != CLI_OK)
        return status;
    if (has_key(&p1))
        return from_profile(&p1, credentials, profile, out, f);
    if (has_key(&p2))
        return from_profile(&p2, config, profile, out, f);
    if (named && !p1.found && !p2.found)
        return cli_fault_set(f, CLI_SETTINGS, _("profile '%s' is neither in %s nor in %s"), profile,
                             credentials, config);
    return find_further(&p1, &p2, profile, out, f);
}
