/* The state folder: paths, lock, programs, principals. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/base64.h"
#include "bin/nitroseal/stack.h"
#include "io/sys.h"

enum {
    ID_RANDOM_CHARS = 16,
    SECRET_RANDOM_BYTES = 30, /* 40 characters of base64, as AWS's own */
    PRINCIPALS_MAX_BYTES = 65536,
    END_S = 5,
};

void stack_path(const char *dir, const char *name, char out[static STACK_PATH_BYTES])
{
    snprintf(out, STACK_PATH_BYTES, "%s/%s", dir, name);
}

const char *stack_part_name(enum stack_part part)
{
    static const char *const names[N_PARTS] = {
        [PART_NSM] = "nitroseal-nsm",
        [PART_KMS] = "nitroseal-kms",
        [PART_PROXY] = "vsock-proxy",
        [PART_SERVICE] = "nitroseald",
    };
    return names[part];
}

static bool is_program(const char *path)
{
    return access(path, X_OK) == 0;
}

static bool real_path(const char *path, char out[static STACK_PATH_BYTES])
{
    char *found = realpath(path, NULL);
    bool fits = found && strlen(found) < STACK_PATH_BYTES;

    if (fits)
        memcpy(out, found, strlen(found) + 1);
    free(found);
    return fits;
}

static bool in_path(const char *name, char out[static STACK_PATH_BYTES])
{
    struct span rest = span_str(getenv("PATH"));

    while (rest.ptr) {
        struct span dir = span_cut(&rest, ':');
        int n =
            snprintf(out, STACK_PATH_BYTES, "%.*s/%s", (int)dir.len, (const char *)dir.ptr, name);
        if (dir.len > 0 && n > 0 && n < STACK_PATH_BYTES && is_program(out))
            return true;
    }
    return false;
}

bool stack_find_program(const char *name, char out[static STACK_PATH_BYTES])
{
    char exe[STACK_PATH_BYTES], path[STACK_PATH_BYTES + 64];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);

    exe[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(exe, '/');
    if (slash)
        *slash = '\0';
    for (int i = 0; slash && i < 3; i++) {
        int len = i == 0   ? snprintf(path, sizeof path, "%s/%s", exe, name) /* installed */
                  : i == 1 ? snprintf(path, sizeof path, "%s/../%s/%s", exe, name, name) /* built */
                           : snprintf(path, sizeof path, "%s/../libexec/nitroseal/%s", exe, name);
        if (len > 0 && (size_t)len < sizeof path && is_program(path))
            return real_path(path, out);
    }
    return in_path(name, out);
}

enum err stack_lock(const char *dir, int *fd, struct why *why)
{
    char path[STACK_PATH_BYTES];

    stack_path(dir, "lock", path);
    AUTO(fd_close) int opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (opened < 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    if (flock(opened, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? why_fail(why, ERR_DENIED, "a supervisor lives", 0)
                                    : why_fail(why, ERR_IO, errno_what(errno), 0);
    *fd = opened;
    opened = -1;
    return ERR_OK;
}

unsigned stack_end_leftovers(const char *dir)
{
    struct stack_state s;
    unsigned n = 0;

    if (stack_state_read(dir, &s, NULL) != ERR_OK)
        return 0;
    for (int i = 0; i < N_PARTS; i++)
        n += process_signal(&s.parts[i].process, SIGTERM);
    for (int i = 0; i < N_PARTS; i++)
        if (!process_wait_gone(&s.parts[i].process, clock_mono_ns() + END_S * NS_PER_S))
            (void)process_signal(&s.parts[i].process, SIGKILL);
    return n;
}

void stack_principals_clear(struct stack_principals *p)
{
    secret_clear(&p->admin.secret);
    secret_clear(&p->app.secret);
}

static void json_freep(json_t **j)
{
    json_decref(*j);
}

/* AKIA and sixteen characters of base32, forty of base64: the form that AWS's tools expect. */
static enum err new_keys(struct crypto *cx, char id[static 32], char secret[static 64])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    AUTO(buf_clear) struct buf text = BUF_INIT(64);
    uint8_t random[SECRET_RANDOM_BYTES];
    enum err r = rng_bytes(cx, random, ID_RANDOM_CHARS);

    if (r != ERR_OK)
        return r;
    memcpy(id, "AKIA", 4);
    for (size_t i = 0; i < ID_RANDOM_CHARS; i++)
        id[4 + i] = alphabet[random[i] % (sizeof alphabet - 1)];
    id[4 + ID_RANDOM_CHARS] = '\0';
    r = rng_bytes(cx, random, sizeof random);
    if (r == ERR_OK)
        r = base64_append(&text, SPAN_ARRAY(random));
    if (r == ERR_OK)
        snprintf(secret, 64, "%.*s", (int)text.len, (const char *)text.ptr);
    wipe(random, sizeof random);
    return r;
}

/* The administrator may do anything that the key's policy does not keep from it; the application
 * may look around, so that AWS's tools work from its shell. */
static json_t *principal_json(struct crypto *cx, const char *name, json_t *actions)
{
    char id[32], secret[64], arn[128];

    if (new_keys(cx, id, secret) != ERR_OK) {
        json_decref(actions);
        return NULL;
    }
    snprintf(arn, sizeof arn, "arn:aws:iam::111122223333:user/%s", name);
    json_t *j =
        json_pack("{s:s, s:s, s:s, s:[{s:s, s:[{s:s, s:o, s:s}]}]}", "access_key_id", id,
                  "secret_access_key", secret, "arn", arn, "policies", "Version", "2012-10-17",
                  "Statement", "Effect", "Allow", "Action", actions, "Resource", "*");
    wipe(secret, sizeof secret);
    return j;
}

static enum err principals_make(struct crypto *cx, const char *path, struct why *why)
{
    AUTO(json_freep) json_t *root = json_array();

    if (json_array_append_new(root, principal_json(cx, "admin", json_pack("[s]", "kms:*"))) != 0 ||
        json_array_append_new(
            root,
            principal_json(cx, "app", json_pack("[ss]", "kms:ListKeys", "kms:ListAliases"))) != 0)
        return why_fail(why, ERR_NOMEM, "memory", 0);
    char *text = json_dumps(root, JSON_INDENT(1));
    if (!text)
        return why_fail(why, ERR_NOMEM, "memory", 0);
    enum err r = file_write(path, span_str(text), 0600, why);
    wipe(text, strlen(text));
    free(text);
    return r;
}

static enum err principal_take(json_t *j, struct stack_principal *out)
{
    const char *id = NULL, *secret = NULL, *arn = NULL;

    if (json_unpack(j, "{s:s, s:s, s:s}", "access_key_id", &id, "secret_access_key", &secret, "arn",
                    &arn) != 0)
        return ERR_MALFORMED;
    snprintf(out->id, sizeof out->id, "%s", id);
    snprintf(out->arn, sizeof out->arn, "%s", arn);
    return secret_copy(span_str(secret), &out->secret);
}

enum err stack_principals_load(struct crypto *cx, const char *dir, struct stack_principals *out,
                               struct why *why)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(PRINCIPALS_MAX_BYTES);
    AUTO(stack_principals_clear) struct stack_principals p = { .admin = { .id = "" } };
    char path[STACK_PATH_BYTES];
    enum err r = ERR_OK;

    stack_path(dir, "principals.json", path);
    if (access(path, F_OK) != 0)
        r = principals_make(cx, path, why);
    if (r == ERR_OK)
        r = file_read(path, &text, why);
    if (r != ERR_OK)
        return r;
    AUTO(json_freep)
    json_t *root = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    if (principal_take(json_array_get(root, 0), &p.admin) != ERR_OK ||
        principal_take(json_array_get(root, 1), &p.app) != ERR_OK)
        return why_fail(why, ERR_MALFORMED, "principals.json is not of this program", 0);
    *out = p;
    p = (struct stack_principals){ .admin = { .id = "" } }; /* handed over */
    return ERR_OK;
}
