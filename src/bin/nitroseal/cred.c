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
    int status = cred_take(c->access_key_id, c->secret_access_key, c->session_token, out, f);
    out->expires_s = c->expires_s;
    return status;
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

enum { DEPTH_MAX = 5, NOT_HERE = -1 }; /* of profiles that name each other as their source */

/* One profile of both files. */
struct looked_up {
    const char *name;
    struct buf text1, text2;
    struct awsconf_profile p1, p2; /* credentials, config: views of the texts */
    char credentials[CONFIG_PATH_BYTES], config[CONFIG_PATH_BYTES];
};

static void looked_up_clear(struct looked_up *l)
{
    buf_clear(&l->text1);
    buf_clear(&l->text2);
}

static int look_up(const char *name, struct looked_up *l, struct cli_fault *f)
{
    l->name = name;
    path_of("AWS_SHARED_CREDENTIALS_FILE", "credentials", l->credentials);
    path_of("AWS_CONFIG_FILE", "config", l->config);
    int status = read_profile(l->credentials, AWSCONF_CREDENTIALS, name, &l->text1, &l->p1, f);
    return status == CLI_OK ? read_profile(l->config, AWSCONF_CONFIG, name, &l->text2, &l->p2, f)
                            : status;
}

/* The credentials file goes before the config file. */
static struct span either(struct span a, struct span b)
{
    return a.len ? a : b;
}

#define SETTING(l, field) either((l)->p1.field, (l)->p2.field)

static struct span region_of(const struct looked_up *l)
{
    struct span region = variable("AWS_REGION");

    if (!region.ptr)
        region = variable("AWS_DEFAULT_REGION");
    if (!region.ptr)
        region = SETTING(l, region);
    return region.len ? region : SPAN_LIT("us-east-1");
}

/* Which STS (credentials reference section 5). */
static int sts_of(const struct looked_up *l, struct cred_sts *out, struct cli_fault *f)
{
    struct span services = SETTING(l, services);
    struct awsconf_endpoint_in in = {
        .env_service = variable("AWS_ENDPOINT_URL_STS"),
        .env_any = variable("AWS_ENDPOINT_URL"),
        .any_url = SETTING(l, endpoint_url),
        .env_ignore = variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"),
        .ignore = SETTING(l, ignore_endpoint_urls),
        .env_fips = variable("AWS_USE_FIPS_ENDPOINT"),
        .fips = SETTING(l, use_fips),
        .env_dualstack = variable("AWS_USE_DUALSTACK_ENDPOINT"),
        .dualstack = SETTING(l, use_dualstack),
    };
    struct why why = { 0 };
    enum err r = ERR_OK;

    out->region = region_of(l);
    if (services.len)
        r = awsconf_service_url(buf_view(&l->text2), services, "sts", &in.service_url, &why);
    if (r == ERR_OK)
        r = awsconf_endpoint_choose(&in, &out->endpoint, &why);
    return r == ERR_OK ? CLI_OK
                       : cli_fault_set(f, CLI_SETTINGS, _("profile '%s' and environment: %s"),
                                       l->name, why.what);
}

static int keys_of(const struct looked_up *l, struct cli_credentials *out, struct cli_fault *f)
{
    if (has_key(&l->p1))
        return from_profile(&l->p1, l->credentials, l->name, out, f);
    if (has_key(&l->p2))
        return from_profile(&l->p2, l->config, l->name, out, f);
    return NOT_HERE;
}

static int from_files(const char *name, bool named, unsigned depth, struct cli_credentials *out,
                      struct cli_fault *f);

/* The keys that ask for the role. */
static int source_of_role(const struct looked_up *l, unsigned depth, struct cli_credentials *out,
                          struct cli_fault *f)
{
    struct span profile = SETTING(l, source_profile), source = SETTING(l, credential_source);
    AUTO(buf_clear) struct buf name = BUF_INIT(256);

    if (profile.len) {
        const char *text = buf_append(&name, profile) == ERR_OK ? buf_cstr(&name) : NULL;
        if (!text || depth == DEPTH_MAX)
            return cli_fault_set(f, CLI_SETTINGS, _("profile '%s': too many source profiles"),
                                 l->name);
        int status = span_is(profile, l->name) ? keys_of(l, out, f)
                                               : from_files(text, true, depth + 1, out, f);
        return status != NOT_HERE
                   ? status
                   : cli_fault_set(f, CLI_SETTINGS, _("profile '%s' has no credentials"), text);
    }
    if (span_is(source, "Environment") && in_environment())
        return from_environment(out, f);
    if (span_is(source, "EcsContainer") && cred_has_container())
        return cred_from_container(out, f);
    if (span_is(source, "Ec2InstanceMetadata") && cred_has_imds())
        return cred_from_imds(out, f);
    return cli_fault_set(f, CLI_SETTINGS,
                         _("profile '%s' has role_arn, but neither source_profile nor a "
                           "credential_source that is there"),
                         l->name);
}

static int role_of(const struct looked_up *l, unsigned depth, struct cli_credentials *out,
                   struct cli_fault *f)
{
    AUTO(cli_credentials_clear) struct cli_credentials source = { .access_key_id = BUF_INIT(0) };
    struct span token_file = SETTING(l, web_identity_token_file);
    struct awscred_role role = {
        .role_arn = SETTING(l, role_arn),
        .session_name = SETTING(l, role_session_name),
        .external_id = SETTING(l, external_id),
        .duration_s = SETTING(l, duration_seconds),
    };

    struct cred_sts sts;

    int status = sts_of(l, &sts, f);
    if (status != CLI_OK)
        return status;
    if (token_file.len)
        return cred_assume_web(token_file, &role, &sts, out, f);
    status = source_of_role(l, depth, &source, f);
    return status == CLI_OK ? cred_assume(&role, &source, &sts, out, f) : status;
}

/* NOT_HERE: the profile has nothing of the kind. */
static int from_files(const char *name, bool named, unsigned depth, struct cli_credentials *out,
                      struct cli_fault *f)
{
    AUTO(looked_up_clear)
    struct looked_up l = { .text1 = BUF_INIT(CONFIG_MAX_BYTES),
                           .text2 = BUF_INIT(CONFIG_MAX_BYTES) };
    int status = look_up(name, &l, f);

    if (status != CLI_OK)
        return status;
    struct span elsewhere = SETTING(&l, elsewhere), process = SETTING(&l, process);
    bool role = SETTING(&l, role_arn).len > 0 || SETTING(&l, web_identity_token_file).len > 0;
    if (role && elsewhere.len == 0) /* mfa_serial would have to ask a human */
        return role_of(&l, depth, out, f);
    status = role ? NOT_HERE : keys_of(&l, out, f);
    if (status != NOT_HERE)
        return status;
    if (elsewhere.len)
        return cli_fault_set(f, CLI_SETTINGS,
                             _("profile '%s' gets its credentials by %.*s, which is not supported "
                               "yet: put them into the environment"),
                             name, (int)elsewhere.len, (const char *)elsewhere.ptr);
    if (process.len)
        return cred_from_process(process, name, out, f);
    if (named && !l.p1.found && !l.p2.found)
        return cli_fault_set(f, CLI_SETTINGS, _("profile '%s' is neither in %s nor in %s"), name,
                             l.credentials, l.config);
    return NOT_HERE;
}

/* A role for the token that the environment names, as EKS sets it; the profile may say how to reach
 * STS. */
static int from_web_identity(struct span token_file, const char *profile,
                             struct cli_credentials *out, struct cli_fault *f)
{
    AUTO(looked_up_clear)
    struct looked_up l = { .text1 = BUF_INIT(CONFIG_MAX_BYTES),
                           .text2 = BUF_INIT(CONFIG_MAX_BYTES) };
    struct awscred_role role = { .role_arn = variable("AWS_ROLE_ARN"),
                                 .session_name = variable("AWS_ROLE_SESSION_NAME") };
    struct cred_sts sts;

    int status = look_up(profile, &l, f);
    if (status == CLI_OK)
        status = sts_of(&l, &sts, f);
    return status == CLI_OK ? cred_assume_web(token_file, &role, &sts, out, f) : status;
}

/* When the files hold nothing: what the machine has. */
static int from_machine(const char *profile, struct cli_credentials *out, struct cli_fault *f)
{
    struct span token_file = variable("AWS_WEB_IDENTITY_TOKEN_FILE");

    if (token_file.ptr)
        return from_web_identity(token_file, profile, out, f);
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
    bool named = profile != NULL;

    if (!chosen && in_environment())
        return from_environment(out, f);
    if (!profile)
        profile = variable("AWS_DEFAULT_PROFILE").ptr ? getenv("AWS_DEFAULT_PROFILE") : "default";
    int status = from_files(profile, named, 0, out, f);
    return status == NOT_HERE ? from_machine(profile, out, f) : status;
}
