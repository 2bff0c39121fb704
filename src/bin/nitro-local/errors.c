#include "bin/nitro-local/errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rfc3339.h"
#include "bin/nitro-local/state.h"
#include "io/sys.h"

enum { LOG_TEXT_MAX_BYTES = 65536 };

void fault_clear(struct fault *f)
{
    buf_clear(&f->text);
    buf_clear(&f->more);
    f->code = E_NONE;
}

int fault_set_at(struct fault *f, enum code code, const char *file, unsigned line, const char *fmt,
                 ...)
{
    char text[FAULT_MAX_BYTES];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_reset(&f->text);
    if (buf_append_str(&f->text, text) != ERR_OK)
        buf_reset(&f->text); /* then the code alone has to do */
    f->code = code;
    f->file = file;
    f->line = line;
    return code;
}

/* The words of the command line: nitro-cli's log has them, and none of them is secret. */
static enum err describe(const struct fault *f, const char *action, int argc, char *const *argv,
                         struct buf *out)
{
    enum err r = buf_printf(out,
                            "Action: %s\nError: [ E%02d ] %.*s\nRoot error file: %s\n"
                            "Root error line: %u\nVersion: %s\nCommand:",
                            action, f->code, (int)f->text.len, (const char *)f->text.ptr, f->file,
                            f->line, NITROSEAL_VERSION);

    for (int i = 0; i < argc && r == ERR_OK; i++)
        r = buf_printf(out, " %s", argv[i]);
    return r == ERR_OK ? buf_append_byte(out, '\n') : r;
}

/* The path of the error's own log, or "". */
static void keep(const struct buf *text, const struct buf *more, char *path, size_t size)
{
    AUTO(buf_clear) struct buf all = BUF_INIT(2 * LOG_TEXT_MAX_BYTES);
    char when[RFC3339_MS_BYTES], dir[STATE_PATH_BYTES];
    struct why why;

    path[0] = '\0';
    rfc3339_write_ms(clock_wall_ms(), when);
    if (!state_log_dir(dir) || dir_make(dir, &why) != ERR_OK)
        return;
    (void)snprintf(path, size, "%s/err%s.log", dir, when);
    enum err r = buf_append(&all, buf_view(text));
    if (r == ERR_OK)
        r = buf_append(&all, buf_view(more));
    if (r != ERR_OK || file_write(path, buf_view(&all), 0600, &why) != ERR_OK)
        path[0] = '\0';
}

int fault_print(const struct fault *f, const char *action, int argc, char *const *argv)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(LOG_TEXT_MAX_BYTES);
    const char *backtrace = getenv("BACKTRACE");
    char path[STATE_PATH_BYTES + 64];

    if (describe(f, action, argc, argv, &text) != ERR_OK)
        buf_reset(&text);
    keep(&text, &f->more, path, sizeof path);
    fprintf(stderr, "[ E%02d ] %.*s\n", f->code, (int)f->text.len, (const char *)f->text.ptr);
    if (backtrace && strcmp(backtrace, "1") == 0)
        fprintf(stderr, "\n%.*s", (int)text.len, (const char *)text.ptr);
    fprintf(stderr,
            "\nFor more details, please visit "
            "https://docs.aws.amazon.com/enclaves/latest/user/cli-errors.html#E%02d\n",
            f->code);
    if (path[0])
        fprintf(stderr,
                "\nIf you open a support ticket, please provide the error log found at \"%s\"\n",
                path);
    return f->code;
}
