#include "bin/nitroseal/stack_parts.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "bin/nitroseal/cli.h"
#include "io/nsm_dev.h"
#include "io/sys.h"
#include "nsm/nsm.h"

enum { PROBE_S = 2 };

static void words_add(struct words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void words_add(struct words *w, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(w->text + w->used, sizeof w->text - w->used, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof w->text - w->used || w->n == WORDS_MAX) {
        w->full = true;
        return;
    }
    w->list[w->n++] = w->text + w->used;
    w->list[w->n] = NULL;
    w->used += (size_t)n + 1;
}

static void nsm_words(const struct stack_facts *facts, const char *image, struct words *argv)
{
    const struct stack_options *so = facts->so;

    words_add(argv, "--socket");
    words_add(argv, "%s/nsm.sock", so->dir);
    words_add(argv, "--state");
    words_add(argv, "%s/nsm", so->dir);
    words_add(argv, "--region");
    words_add(argv, "%s", so->region);
    words_add(argv, "--cmdline");
    words_add(argv, "%s", STACK_CMDLINE);
    words_add(argv, "--ramdisk");
    words_add(argv, "/dev/null");
    words_add(argv, "--ramdisk");
    words_add(argv, "%s", image);
    if (so->debug_mode)
        words_add(argv, "--debug-mode");
    for (unsigned i = 0; i < so->n_pcrs; i++) {
        words_add(argv, "--pcr");
        words_add(argv, "%s", so->pcrs[i]);
    }
}

static void kms_words(const struct stack_facts *facts, struct words *argv)
{
    const struct stack_options *so = facts->so;

    words_add(argv, "--state");
    words_add(argv, "%s/kms", so->dir);
    words_add(argv, "--listen");
    words_add(argv, "127.0.0.1:%u", facts->kms_port);
    words_add(argv, "--region");
    words_add(argv, "%s", so->region);
    words_add(argv, "--root");
    words_add(argv, "%s/nsm/root.pem", so->dir);
    words_add(argv, "--principals");
    words_add(argv, "%s/principals.json", so->dir);
    words_add(argv, "--explain");
    for (unsigned i = 0; i < so->n_qemu_modules; i++) {
        words_add(argv, "--trust-qemu-nsm");
        words_add(argv, "%s", so->qemu_modules[i]);
    }
}

static void service_env(const struct stack_facts *facts, struct words *env)
{
    const struct stack_options *so = facts->so;

    words_add(env, "KMS_KEY_ID=%s", facts->arn);
    words_add(env, "AWS_REGION=%s", so->region);
    words_add(env, "VSOCK_PORT=%d", STACK_PORT);
    words_add(env, "KMS_PROXY_PORT=%d", STACK_PROXY_PORT);
    words_add(env, "NITROSEAL_NSM=unix:%s/nsm.sock", so->dir);
    words_add(env, "NITROSEAL_CA_FILE=%s/kms/ca.pem", so->dir);
    words_add(env, "NITROSEAL_ROOT_FILE=%s/nsm/root.pem", so->dir);
    words_add(env, "AWS_ENDPOINT_URL_KMS=https://localhost:%u", facts->kms.port);
}

/* Nothing of the caller's environment but what programs need to run at all: his own AWS_ variables
 * must not reach a part. */
static void common_env(const struct stack_options *so, struct words *env)
{
    static const char *const kept[] = { "PATH",         "HOME",          "TZ",
                                        "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS" };

    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        const char *value = getenv(kept[i]);
        if (value)
            words_add(env, "%s=%s", kept[i], value);
    }
    words_add(env, "NITROSEAL_VSOCK=unix:%s/v", so->dir);
}

int part_words(enum stack_part part, const struct stack_facts *facts, struct words *argv,
               struct words *env, struct cli_fault *f)
{
    char self[STACK_PATH_BYTES], program[STACK_PATH_BYTES], image[STACK_PATH_BYTES];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    if (n <= 0 || !stack_find_program(stack_part_name(part), program) ||
        !stack_find_program("nitroseald", image))
        return cli_fault_set(f, CLI_SETTINGS, _("%s is neither beside nitroseal nor on PATH"),
                             stack_part_name(part));
    words_add(argv, "%.*s", (int)n, self);
    words_add(argv, "local");
    words_add(argv, "exec");
    words_add(argv, "%d", (int)getpid());
    words_add(argv, "%s", program);
    common_env(facts->so, env);
    switch (part) {
    case PART_NSM:
        nsm_words(facts, image, argv);
        break;
    case PART_KMS:
        kms_words(facts, argv);
        break;
    case PART_PROXY:
        words_add(argv, "--config");
        words_add(argv, "%s/allowlist.yaml", facts->so->dir);
        words_add(argv, "%d", STACK_PROXY_PORT);
        words_add(argv, "127.0.0.1");
        words_add(argv, "%u", facts->kms.port);
        break;
    case PART_SERVICE:
        words_add(argv, "--cid");
        words_add(argv, "%u", facts->so->cid);
        service_env(facts, env);
        break;
    case N_PARTS:
        break;
    }
    if (argv->full || env->full)
        return cli_fault_set(f, CLI_SETTINGS, _("the state folder's path or PATH is too long"));
    return CLI_OK;
}

static enum err nsm_answers(const struct stack_facts *facts)
{
    AUTO(buf_clear) struct buf request = BUF_INIT(NSM_REQUEST_MAX);
    AUTO(buf_clear) struct buf response = BUF_INIT(NSM_RESPONSE_MAX);
    const struct nsm_request rq = { .op = NSM_DESCRIBE_NSM };
    struct nsm_response rs;
    struct nsm_dev *dev = NULL;
    char where[STACK_PATH_BYTES];

    snprintf(where, sizeof where, "unix:%s/nsm.sock", facts->so->dir);
    enum err r = nsm_dev_open(where, &dev, NULL);
    if (r == ERR_OK)
        r = nsm_request_write(&rq, &request);
    if (r == ERR_OK)
        r = nsm_dev_ask(dev, buf_view(&request), &response, clock_mono_ns() + PROBE_S * NS_PER_S,
                        NULL);
    if (r == ERR_OK)
        r = nsm_response_parse(buf_view(&response), NSM_DESCRIBE_NSM, &rs, NULL);
    nsm_dev_close(dev);
    return r;
}

static enum err kms_answers(struct stack_facts *facts, struct cli_fault *f)
{
    struct why why = { 0 };
    enum err r = stack_kms_find(facts->so->dir, facts->so->region, &facts->kms, &why);

    if (r != ERR_OK)
        return r == ERR_DENIED ? ERR_IO : r;
    r = stack_key_ensure(facts->so->dir, &facts->kms, &facts->who, &facts->pcrs, facts->arn, f);
    if (r == ERR_OK)
        facts->kms_port = facts->kms.port;
    return r;
}

static struct cli_enclave enclave_at(const struct stack_facts *facts, uint32_t cid, uint32_t port)
{
    struct cli_enclave e = { .deadline_ns = clock_mono_ns() + PROBE_S * NS_PER_S };
    char vsock[STACK_PATH_BYTES];

    snprintf(vsock, sizeof vsock, "unix:%s/v", facts->so->dir);
    if (addr_vsock(vsock, cid, port, &e.at, NULL) != ERR_OK)
        abort(); /* the folder's length was checked before anything was started */
    return e;
}

static enum err proxy_answers(const struct stack_facts *facts)
{
    const struct cli_enclave e = enclave_at(facts, CID_PARENT, STACK_PROXY_PORT);
    AUTO(fd_close) int fd = -1;

    return addr_connect(&e.at, e.deadline_ns, &fd, NULL);
}

static enum err service_answers(const struct stack_facts *facts, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf request = BUF_INIT(1024);
    AUTO(cli_exchange_clear) struct cli_exchange x = CLI_EXCHANGE_INIT;
    const struct cli_enclave e = enclave_at(facts, facts->so->cid, STACK_PORT);
    enum err r = proto_attest_write(&request, SPAN_LIT("nitroseal local"));

    if (r != ERR_OK)
        return r;
    return cli_ask(&e, PROTO_ATTEST, buf_view(&request), &x, f) == CLI_OK ? ERR_OK : ERR_IO;
}

enum err part_answers(enum stack_part part, struct stack_facts *facts, struct cli_fault *f)
{
    switch (part) {
    case PART_NSM:
        return nsm_answers(facts);
    case PART_KMS:
        return kms_answers(facts, f);
    case PART_PROXY:
        return proxy_answers(facts);
    case PART_SERVICE:
        return service_answers(facts, f);
    case N_PARTS:
        break;
    }
    return ERR_INTERNAL;
}

static void export_add(struct stack_state *s, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void export_add(struct stack_state *s, const char *name, const char *fmt, ...)
{
    struct stack_export *e = &s->exports[s->n_exports++];
    va_list ap;

    e->name = name;
    va_start(ap, fmt);
    vsnprintf(e->value, sizeof e->value, fmt, ap);
    va_end(ap);
}

void stack_exports_fill(const struct stack_facts *facts, struct stack_state *s)
{
    const char *dir = facts->so->dir;
    struct span secret = secret_view(&facts->who.app.secret);

    s->n_exports = 0;
    export_add(s, "NITROSEAL_VSOCK", "unix:%s/v", dir);
    export_add(s, "NITROSEAL_CID", "%u", facts->so->cid);
    export_add(s, "NITROSEAL_ROOT_FILE", "%s/nsm/root.pem", dir);
    export_add(s, "AWS_ENDPOINT_URL_KMS", "https://localhost:%u", facts->kms.port);
    export_add(s, "AWS_CA_BUNDLE", "%s/kms/ca.pem", dir);
    export_add(s, "AWS_ACCESS_KEY_ID", "%s", facts->who.app.id);
    export_add(s, "AWS_SECRET_ACCESS_KEY", "%.*s", (int)secret.len, (const char *)secret.ptr);
    export_add(s, "AWS_REGION", "%s", facts->so->region);
    export_add(s, "AWS_DEFAULT_REGION", "%s", facts->so->region);
    export_add(s, "KMS_KEY_ID", "%s", facts->arn);
}
