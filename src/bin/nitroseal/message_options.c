/* What the command line says of messages. */
#include <stdlib.h>
#include <sys/stat.h>

#include "bin/nitroseal/interrupt.h"
#include "bin/nitroseal/message.h"
#include "client/stream.h"
#include "io/sys.h"

enum { FRAME_LENGTH_MAX = 1 << 20, TIMEOUT_MAX_S = 3600, MS_PER_S = 1000, NAMES_MAX_BYTES = 65536 };

/* Tables differ: rewrap has both kinds of context, encrypt and decrypt one each. */
static bool has(const struct options *o, const char *name)
{
    for (const struct option_def *d = o->program->options; d->name; d++)
        if (strcmp(d->name, name) == 0)
            return true;
    return false;
}

/* A copy with a NUL in memory that is there already: it must not move. */
static const char *name_put(struct buf *names, struct span name)
{
    size_t at = names->len;

    if (buf_append(names, name) != ERR_OK || buf_append_byte(names, 0) != ERR_OK)
        return NULL;
    return (const char *)names->ptr + at;
}

static int read_pairs(const struct options *o, const char *name, struct nitroseal_pair *out,
                      size_t *n, struct buf *names, struct cli_fault *f)
{
    unsigned given = has(o, name) ? option_count(o, name) : 0;
    struct why why = { 0 };

    if (given > NITROSEAL_PAIRS_MAX)
        return cli_fault_set(f, CLI_USAGE, _("--%s: more than %d pairs"), name,
                             NITROSEAL_PAIRS_MAX);
    for (unsigned i = 0; i < given; i++) {
        const char *text = option_at(o, name, i);
        struct client_pair p;
        if (client_pair_parse(span_str(text), &p, &why) != ERR_OK)
            return cli_fault_set(f, CLI_USAGE, _("--%s '%s': %s"), name, text, why.what);
        out[i] = (struct nitroseal_pair){ name_put(names, p.name), (const char *)p.value.ptr };
        if (!out[i].name)
            return cli_fault_set(f, CLI_USAGE,
                                 _("context or key id cannot be written in a request"));
        for (unsigned k = 0; k < i; k++)
            if (strcmp(out[k].name, out[i].name) == 0)
                return cli_fault_set(f, CLI_USAGE, _("--%s '%s': the name is there twice"), name,
                                     text);
    }
    *n = given;
    return CLI_OK;
}

static int read_seal(const struct options *o, struct nitroseal_stream *q, struct cli_fault *f)
{
    q->suite = option_text(o, "suite");
    q->key_id = option_text(o, "key-id");
    if (q->suite && strcmp(q->suite, "0x0478") != 0 && strcmp(q->suite, "0x0578") != 0)
        return cli_fault_set(
            f, CLI_USAGE, _("--suite '%s': only 0x0478 and 0x0578 (signed) are written"), q->suite);
    uint64_t frame_length = 0;
    if (option_text(o, "frame-length") &&
        !option_u64(o, "frame-length", 1, FRAME_LENGTH_MAX, &frame_length))
        return CLI_USAGE;
    q->frame_length = (unsigned long)frame_length;
    return CLI_OK;
}

static int read_gateway(const char *where, struct addr *out, struct cli_fault *f)
{
    struct why why = { 0 };
    bool is_unix = span_starts(span_str(where), "unix:");
    enum err r = is_unix ? addr_unix(where + 5, out, &why) : addr_tcp(where, out, &why);

    if (r != ERR_OK)
        return cli_fault_set(f, CLI_USAGE, "--gateway '%s': %s", where, why.what);
    return CLI_OK;
}

static int read_all(struct message_run *run, struct cli_fault *f)
{
    const struct options *o = run->o;
    const char *gateway = option_text(o, "gateway");
    uint64_t seconds = 0;

    if (!option_u64(o, "timeout", 1, TIMEOUT_MAX_S, &seconds))
        return CLI_USAGE;
    run->timeout_ms = (long)seconds * MS_PER_S;
    run->quiet = option_flag(o, "quiet");
    run->armor = has(o, "armor") && option_flag(o, "armor");
    int status = gateway ? read_gateway(gateway, &run->enclave.at, f) : CLI_OK;
    if (status == CLI_OK && has(o, "suite"))
        status = read_seal(o, &run->stream, f);
    if (status == CLI_OK)
        status = read_pairs(o, "encryption-context", run->context, &run->stream.n_context,
                            &run->names, f);
    if (status == CLI_OK)
        status = read_pairs(o, "require-context", run->required, &run->stream.n_required,
                            &run->names, f);
    return status;
}

int message_run_new(const struct options *o, const struct cli_enclave *e, enum message_op op,
                    struct message_run **out, struct cli_fault *f)
{
    struct message_run *run = calloc(1, sizeof *run);

    if (!run)
        return cli_fault_set(f, CLI_FAILED, "%s", err_name(ERR_NOMEM));
    run->o = o;
    run->enclave = *e;
    run->op = op;
    run->stream.size = sizeof run->stream;
    run->stream.context = run->context;
    run->stream.required = run->required;
    run->names = BUF_INIT(NAMES_MAX_BYTES);
    uint8_t *whole; /* at once, so that it stays where it is */
    if (buf_reserve(&run->names, NAMES_MAX_BYTES, &whole) != ERR_OK) {
        message_run_free(&run);
        return cli_fault_set(f, CLI_FAILED, "%s", err_name(ERR_NOMEM));
    }
    pthread_mutex_init(&run->lock, NULL);
    int status = read_all(run, f);
    if (status == CLI_OK)
        *out = run;
    else
        message_run_free(&run);
    return status;
}

void message_run_free(struct message_run **at)
{
    struct message_run *run = *at;

    if (!run)
        return;
    if (run->has_keeper)
        keeper_clear(&run->keeper);
    pthread_mutex_destroy(&run->lock);
    buf_clear(&run->names);
    free(run);
    *at = NULL;
}

int message_run_start(struct message_run *run, struct cli_fault *f)
{
    const struct options *o = run->o;
    int status = CLI_OK;

    /* What stands behind a gateway holds credentials of its own; ours are not for others to see. */
    if (!option_flag(o, "no-credentials") && !option_text(o, "gateway")) {
        status =
            keeper_init(&run->keeper, option_text(o, "profile"), option_count(o, "profile") > 0, f);
        run->has_keeper = true;
    }
    if (status == CLI_OK && !interrupt_catch())
        status = cli_fault_set(f, CLI_FAILED, "%s", err_name(ERR_IO));
    return status;
}

bool message_is_folder(const char *path)
{
    struct stat st;

    return path && strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}
