#include "bin/nitroseal/i18n.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bin/nitroseal/mo.h"
#include "io/sys.h"

enum { CATALOGUE_MAX_BYTES = 1 << 20, PATH_BYTES = 1024 };

static struct buf catalogue_bytes = { .max = CATALOGUE_MAX_BYTES };
static struct mo catalogue; /* of no entries until one is loaded */

/* Is the language part of "zh_CN.UTF-8" this one? */
static bool is_language(struct span locale, const char *language)
{
    size_t n = strlen(language);

    return span_starts(locale, language) &&
           (locale.len == n || strchr("_.@-", locale.ptr[n]) != NULL);
}

static struct span first_set(const struct i18n_env *env)
{
    const char *const in_order[] = { env->lc_all, env->lc_messages, env->lang };

    for (size_t i = 0; i < sizeof in_order / sizeof in_order[0]; i++)
        if (in_order[i] && in_order[i][0])
            return span_str(in_order[i]);
    return SPAN_EMPTY;
}

bool i18n_is_chinese(const struct i18n_env *env)
{
    struct span locale = first_set(env);
    struct span wishes = span_str(env->language);

    if (span_is(locale, "C") || span_is(locale, "POSIX"))
        return false;
    while (wishes.ptr) {
        struct span wish = span_cut(&wishes, ':');
        if (is_language(wish, "zh"))
            return true;
        if (is_language(wish, "en") || span_is(wish, "C"))
            return false;
    }
    return is_language(locale, "zh");
}

/* The catalogue's path for a program at `exe`: BUILD/src/bin/nitroseal/nitroseal or
 * PREFIX/bin/NAME.
 */
static bool catalogue_path(const char *exe, char *out, size_t size)
{
    static const char in_build[] = "/src/bin/nitroseal/nitroseal";
    size_t n = strlen(exe), tail = sizeof in_build - 1;
    bool built = n > tail && strcmp(exe + n - tail, in_build) == 0;
    const char *slash = strrchr(exe, '/');
    int len =
        built ? snprintf(out, size, "%.*s/po/zh_CN/LC_MESSAGES/nitroseal.mo", (int)(n - tail), exe)
              : snprintf(out, size, "%.*s/../share/locale/zh_CN/LC_MESSAGES/nitroseal.mo",
                         slash ? (int)(slash - exe) : 0, exe);

    return slash && len > 0 && (size_t)len < size;
}

void i18n_init(void)
{
    const struct i18n_env env = {
        .lc_all = getenv("LC_ALL"),
        .lc_messages = getenv("LC_MESSAGES"),
        .lang = getenv("LANG"),
        .language = getenv("LANGUAGE"),
    };
    char exe[PATH_BYTES], path[PATH_BYTES];

    if (!i18n_is_chinese(&env))
        return;
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0)
        return;
    exe[n] = '\0';
    if (!catalogue_path(exe, path, sizeof path) ||
        file_read(path, &catalogue_bytes, NULL) != ERR_OK)
        return;
    if (mo_parse(buf_view(&catalogue_bytes), &catalogue, NULL) != ERR_OK)
        buf_clear(&catalogue_bytes);
}

const char *i18n_text(const char *text)
{
    const char *found = mo_find(&catalogue, text);

    return found && found[0] ? found : text;
}
