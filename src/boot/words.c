/* Lists of words for execve(2), and where a program may be. */
#include <stdlib.h>

#include "boot/boot.h"

void boot_words_clear(struct boot_words *w)
{
    free(w->ptr);
    free(w->text);
    *w = (struct boot_words){ 0 };
}

/* Lines of a file; a last line without its LF counts, an empty rest does not. */
static bool next_line(struct span *rest, struct span *line)
{
    if (rest->len == 0)
        return false;
    *line = span_cut(rest, '\n');
    return true;
}

static enum err check_line(struct span line, bool env, size_t at, struct why *why)
{
    if (line.len > BOOT_WORD_MAX - 1)
        return why_fail(why, ERR_LIMIT, "a line is longer than the kernel takes", at);
    if (span_find(line, '\0') != line.len)
        return why_fail(why, ERR_MALFORMED, "a line has a NUL", at);
    if (env && (span_find(line, '=') == line.len || line.ptr[0] == '='))
        return why_fail(why, ERR_MALFORMED, "a line is not NAME=value", at);
    return ERR_OK;
}

/* Copy the file with NULs for line feeds, and point into it. */
static enum err words_parse(struct span file, bool env, struct boot_words *out, struct why *why)
{
    AUTO(boot_words_clear) struct boot_words w = { 0 };
    struct span rest = file, line;
    size_t n = 0;

    if (file.len > BOOT_FILE_MAX)
        return why_fail(why, ERR_LIMIT, "longer than 1 MiB", 0);
    while (next_line(&rest, &line)) {
        size_t at = (size_t)(line.ptr - file.ptr);
        if (env && line.len == 0)
            continue;
        enum err r = check_line(line, env, at, why);
        if (r != ERR_OK)
            return r;
        if (++n > BOOT_WORDS_MAX)
            return why_fail(why, ERR_LIMIT, "more than 4096 lines", at);
    }
    w.ptr = calloc(n + 1, sizeof(*w.ptr));
    w.text = malloc(file.len + 1);
    if (!w.ptr || !w.text)
        return why_fail(why, ERR_NOMEM, "out of memory", 0);
    char *to = w.text;
    for (rest = file; next_line(&rest, &line);) {
        if (env && line.len == 0)
            continue;
        w.ptr[w.n++] = to;
        memcpy(to, line.ptr, line.len);
        to += line.len;
        *to++ = '\0';
    }
    *out = w;
    w = (struct boot_words){ 0 }; /* handed over */
    return ERR_OK;
}

enum err boot_cmd_parse(struct span file, struct boot_words *out, struct why *why)
{
    /* Where AWS's init runs "sh". */
    if (file.len == 0)
        return why_fail(why, ERR_MALFORMED, "empty: it names the program, one argument a line", 0);
    if (file.ptr[0] == '\n')
        return why_fail(why, ERR_MALFORMED, "the first line, the program, is empty", 0);
    return words_parse(file, false, out, why);
}

enum err boot_env_parse(struct span file, struct boot_words *out, struct why *why)
{
    return words_parse(file, true, out, why);
}

const char *boot_env_get(const struct boot_words *env, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < env->n; i++)
        if (strncmp(env->ptr[i], name, len) == 0 && env->ptr[i][len] == '=')
            return env->ptr[i] + len + 1;
    return NULL;
}

enum err boot_candidate(const char *path, const char *program, unsigned n,
                        char out[static BOOT_PATH_MAX + 1])
{
    struct span rest = span_str(path ? path : BOOT_PATH_DEFAULT), folder = SPAN_EMPTY;
    struct span name = span_str(program);

    if (span_find(name, '/') != name.len) {
        if (n > 0)
            return ERR_MORE;
        if (name.len > BOOT_PATH_MAX)
            return ERR_LIMIT;
        memcpy(out, program, name.len + 1);
        return ERR_OK;
    }
    for (unsigned i = 0; i <= n;) {
        if (rest.len == 0)
            return ERR_MORE;
        folder = span_cut(&rest, ':');
        i += span_starts(folder, "/");
    }
    if (folder.len + 1 + name.len > BOOT_PATH_MAX)
        return ERR_LIMIT;
    memcpy(out, folder.ptr, folder.len);
    out[folder.len] = '/';
    memcpy(out + folder.len + 1, program, name.len + 1);
    return ERR_OK;
}
