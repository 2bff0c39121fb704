/* A failure on its way to the user, and results on theirs. */
#include "bin/nitroseal/fault.h"

#include <stdarg.h>

#include "base/json.h"
#include "io/sys.h"

void cli_fault_clear(struct cli_fault *f)
{
    buf_clear(&f->text);
    buf_clear(&f->json);
}

int cli_fault_set(struct cli_fault *f, int status, const char *fmt, ...)
{
    char line[2048];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    f->status = status;
    buf_reset(&f->text);
    buf_reset(&f->json);
    cli_append_clean(&f->text, span_str(line));
    return status;
}

/* Of a fault of our own: the line and the status. */
static void fault_write(const struct cli_fault *f, struct buf *out)
{
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    json_out_key(&w, "error");
    json_out_string(&w, buf_view(&f->text));
    json_out_key(&w, "exit_status");
    json_out_int(&w, f->status);
    json_out_object_end(&w);
    if (json_out_end(&w) != ERR_OK || buf_append_byte(out, '\n') != ERR_OK)
        buf_reset(out);
}

int cli_fault_print(const struct options *o, struct cli_fault *f, bool json)
{
    complain(o, "%.*s", (int)f->text.len, f->text.ptr ? (const char *)f->text.ptr : "");
    if (json) {
        if (f->json.len == 0)
            fault_write(f, &f->json);
        (void)fwrite(f->json.ptr ? (const void *)f->json.ptr : "", 1, f->json.len, stdout);
        (void)fflush(stdout);
    }
    return f->status;
}

static bool wants_json(const struct options *o)
{
    for (const struct option_def *d = o->program->options; d->name; d++)
        if (strcmp(d->name, "json") == 0)
            return option_flag(o, "json");
    return false; /* no such option here */
}

int cli_command(const struct program_def *program, int argc, char **argv, cli_run *run)
{
    AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;
    struct options o;
    int status = options_parse(program, argc, argv, &o);

    if (status >= 0)
        return status;
    status = run(&o, &f);
    return status == CLI_OK || f.text.len == 0 ? status : cli_fault_print(&o, &f, wants_json(&o));
}

int cli_print(struct span s, struct cli_fault *f)
{
    struct why why = { 0 };

    (void)fflush(stdout);
    if (fd_write_all(1, s, 0, &why) == ERR_OK)
        return CLI_OK;
    return cli_fault_set(f, CLI_FILE, _("cannot write the output: %s"), why.what);
}
