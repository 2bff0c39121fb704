#include "bin/common/options.h"

#include <stdarg.h>
#include <stdlib.h>

static const struct option_def *def_of(const struct options *o, const char *name)
{
    for (const struct option_def *d = o->program->options; d->name; d++)
        if (strcmp(d->name, name) == 0)
            return d;
    abort(); /* asking for an option that the table does not have is our bug */
}

void complain(const struct options *o, const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "%s: ", o->program->name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

static void help_option(const struct option_def *d)
{
    char left[64];
    int n = d->letter ? snprintf(left, sizeof left, "-%c, --%s", d->letter, d->name)
                      : snprintf(left, sizeof left, "    --%s", d->name);

    if (d->arg && n > 0 && (size_t)n < sizeof left)
        snprintf(left + n, sizeof left - (size_t)n, " %s", d->arg);
    printf("  %-27s  %s", left, d->help); /* two blanks end the value, for tools that read this */
    if (d->env)
        printf(" [env %s]", d->env);
    if (d->fallback)
        printf(" [default %s]", d->fallback);
    putchar('\n');
}

/* --NAME, or the one that --NAME=... names; NULL: none. */
static const struct option_def *find_long(const struct program_def *p, struct span name)
{
    for (unsigned i = 0; p->options[i].name; i++)
        if (span_is(name, p->options[i].name))
            return &p->options[i];
    return NULL;
}

static void help(const struct program_def *p)
{
    printf("Usage: %s %s\n\n%s\n\nOptions:\n", p->name, p->synopsis, p->summary);
    for (unsigned i = 0; p->options[i].name; i++)
        if (p->options[i].help[0])
            help_option(&p->options[i]);
    printf("  %-28s %s\n", "-h, --help", "Print this and exit.");
    if (!find_long(p, SPAN_LIT("version")))
        printf("  %-28s %s\n", "    --version", "Print the version and exit.");
    if (p->footer)
        printf("\n%s", p->footer);
}

static const struct option_def *find_letter(const struct program_def *p, char letter)
{
    for (unsigned i = 0; p->options[i].name; i++)
        if (p->options[i].letter == letter)
            return &p->options[i];
    return NULL;
}

static int add_value(struct options *o, const struct option_def *d, const char *value)
{
    if (o->n_given == OPTIONS_GIVEN_MAX) {
        complain(o, "more than %d options", OPTIONS_GIVEN_MAX);
        return 2;
    }
    o->given[o->n_given].def = d;
    o->given[o->n_given++].value = value;
    return -1;
}

/* One option at argv[*i]; leaves *i at the last word it used. */
static int take_option(struct options *o, int argc, char **argv, int *i)
{
    const char *word = argv[*i];
    const struct option_def *d;
    const char *value = NULL;

    if (word[1] == '-') {
        struct span rest = span_str(word + 2);
        struct span name = span_cut(&rest, '=');
        d = find_long(o->program, name);
        if (rest.ptr)
            value = (const char *)rest.ptr; /* the tail of a NUL-terminated word */
    } else {
        d = find_letter(o->program, word[1]);
        if (word[2] != '\0')
            value = word + 2;
    }
    if (!d) {
        complain(o, "unknown option %s; see %s --help", word, o->program->name);
        return 2;
    }
    if (!d->arg) {
        if (!value)
            return add_value(o, d, "1");
        complain(o, "option --%s takes no value", d->name);
        return 2;
    }
    if (!value && *i + 1 < argc)
        value = argv[++*i];
    if (value)
        return add_value(o, d, value);
    complain(o, "option --%s needs a value (%s)", d->name, d->arg);
    return 2;
}

static int take_argument(struct options *o, const char *word)
{
    if (o->n_args < OPTION_ARGS_MAX && o->n_args < o->program->args_max) {
        o->args[o->n_args++] = word;
        return -1;
    }
    complain(o, "unexpected argument '%s'; see %s --help", word, o->program->name);
    return 2;
}

static bool is_word(const char *arg, const char *a, const char *b)
{
    return strcmp(arg, a) == 0 || (b && strcmp(arg, b) == 0);
}

int options_parse(const struct program_def *p, int argc, char **argv, struct options *out)
{
    bool only_args = false;
    int status = -1;

    *out = (struct options){ .program = p };
    for (int i = 1; i < argc && status < 0; i++) {
        const char *word = argv[i];
        if (only_args || word[0] != '-' || word[1] == '\0') {
            status = take_argument(out, word);
        } else if (strcmp(word, "--") == 0) {
            only_args = true;
        } else if (is_word(word, "--help", find_letter(p, 'h') ? NULL : "-h")) {
            help(p);
            return 0;
        } else if (is_word(word, "--version", NULL) && !find_long(p, SPAN_LIT("version"))) {
            printf("%s %s\n", p->name, NITROSEAL_VERSION);
            return 0;
        } else {
            status = take_option(out, argc, argv, &i);
        }
    }
    if (status < 0 && out->n_args < p->args_min) {
        complain(out, "too few arguments; usage: %s %s", p->name, p->synopsis);
        status = 2;
    }
    return status;
}

const char *option_text(const struct options *o, const char *name)
{
    const struct option_def *d = def_of(o, name);

    for (unsigned i = o->n_given; i > 0; i--)
        if (o->given[i - 1].def == d)
            return o->given[i - 1].value;
    const char *env = d->env ? getenv(d->env) : NULL;
    return env && env[0] ? env : d->fallback;
}

bool option_flag(const struct options *o, const char *name)
{
    return option_text(o, name) != NULL;
}

unsigned option_count(const struct options *o, const char *name)
{
    const struct option_def *d = def_of(o, name);
    unsigned n = 0;

    for (unsigned i = 0; i < o->n_given; i++)
        n += o->given[i].def == d;
    return n;
}

const char *option_at(const struct options *o, const char *name, unsigned i)
{
    const struct option_def *d = def_of(o, name);

    for (unsigned k = 0; k < o->n_given; k++)
        if (o->given[k].def == d && i-- == 0)
            return o->given[k].value;
    return NULL;
}

bool option_u64(const struct options *o, const char *name, uint64_t min, uint64_t max,
                uint64_t *out)
{
    const char *text = option_text(o, name);
    const struct option_def *d = def_of(o, name);
    uint64_t v = 0;

    if (text && span_to_u64(span_str(text), max, &v) == ERR_OK && v >= min) {
        *out = v;
        return true;
    }
    complain(o, "--%s%s%s: '%s' is not a whole number from %llu to %llu", d->name,
             d->env ? " or " : "", d->env ? d->env : "", text ? text : "", (unsigned long long)min,
             (unsigned long long)max);
    return false;
}
