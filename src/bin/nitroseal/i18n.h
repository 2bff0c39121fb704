/* i18n.h - messages in the user's language: English in the source, others from po/ (gettext).
 *
 * `_("...")` marks a text for xgettext and translates it. Only texts for people are translated:
 * never JSON, never ENCRYPTED= and the like.
 */
#ifndef BIN_NITROSEAL_I18N_H
#define BIN_NITROSEAL_I18N_H

#include <stdbool.h>

#define _(text) i18n_text(text)

/* The variables that decide, NULL: unset. */
struct i18n_env {
    const char *lc_all, *lc_messages, *lang, *language;
};

/* The locale is the first of LC_ALL, LC_MESSAGES, LANG that is not empty. "C" and "POSIX" are
 * English whatever LANGUAGE says; else the first language of LANGUAGE that we have (or that is
 * English) wins, else the locale's. No locale installed on the system is needed. */
bool i18n_is_chinese(const struct i18n_env *env);

/* Load the catalogue that the environment asks for, from beside the program: the build folder's po/
 * or PREFIX/share/locale. Without one the messages stay English. */
void i18n_init(void);

const char *i18n_text(const char *text) __attribute__((format_arg(1)));

#endif
