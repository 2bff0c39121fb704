/* cmd_audit.c - nitroseal-kms audit verify: is the log as it was written? */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bin/nitroseal-kms/kms.h"

enum { READ_BYTES = 1 << 20, EXIT_NOT_VERIFIED = 5, EXIT_FILE = 6 };

static const struct option_def table[] = {
    { "head", 0, "FILE", NULL, NULL, "The head; without it, that beside the last file." },
    { "no-head", 0, NULL, NULL, NULL,
      "Without a head: records cut off at the end are not noticed." },
    { 0 },
};

static const struct program_def verify_program = {
    .name = "nitroseal-kms audit verify",
    .synopsis = "[--head FILE | --no-head] FILE [FILE ...]",
    .summary = "Say whether the records of an audit log are as they were written: none edited, "
               "removed, in\nanother order, or cut off. Rotated files first, the current one last.",
    .options = table,
    .footer =
        "Exit status: 0 all as written; 2 usage; 5 not as written; 6 a file cannot be read.\n",
    .args_min = 1,
    .args_max = OPTION_ARGS_MAX,
};

struct verify {
    const struct options *o;
    struct audit_check *check;
    bool torn;
};

static void found(void *arg, const struct audit_finding *f)
{
    const struct verify *v = arg;
    const char *file = v->o->args[f->file];
    unsigned long long a = f->sequence, b = f->last;

    switch (f->fault) {
    case AUDIT_EDITED:
        printf("%s:%u: record %llu was edited\n", file, f->line, a);
        break;
    case AUDIT_REMOVED:
        if (a == b)
            printf("%s:%u: record %llu was removed before this line\n", file, f->line, a);
        else
            printf("%s:%u: records %llu to %llu were removed before this line\n", file, f->line, a,
                   b);
        break;
    case AUDIT_REORDERED:
        printf("%s:%u: record %llu does not belong here\n", file, f->line, a);
        break;
    case AUDIT_CUT:
        printf("%s:%u: cut off after this line: records %llu to %llu are missing\n", file, f->line,
               a, b);
        break;
    case AUDIT_CUT_BEFORE:
        printf("%s:%u: record %llu says that records were missing when the program started\n", file,
               f->line, a);
        break;
    case AUDIT_AHEAD:
        printf("%s:%u: records %llu to %llu are not known to the head\n", file, f->line, a, b);
        break;
    }
}

/* Lines of one file; a last line without an end is torn, not a record. */
static enum err read_lines(struct verify *v, unsigned file, int fd, struct why *why)
{
    AUTO(buf_clear) struct buf have = BUF_INIT(READ_BYTES + AUDIT_LINE_MAX_BYTES);
    unsigned line = 0;
    bool eof = false;

    while (!eof) {
        enum err r = fd_read_some(fd, READ_BYTES, &have, &eof, 0, why);
        size_t used = 0;
        while (r == ERR_OK) {
            struct span rest = span_from(buf_view(&have), used);
            struct span one = span_cut(&rest, '\n');
            if (!rest.ptr)
                break;
            r = audit_check_line(v->check, one, file, ++line);
            used += one.len + 1;
        }
        buf_consume(&have, used);
        if (r == ERR_OK && have.len > AUDIT_LINE_MAX_BYTES)
            r = why_fail(why, ERR_LIMIT, "a line that is too long for a record", 0);
        if (r != ERR_OK)
            return r;
    }
    v->torn = have.len > 0;
    return ERR_OK;
}

static int read_file(struct verify *v, unsigned file)
{
    const char *path = v->o->args[file];
    struct why why = { 0 };
    AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (v->torn) {
        printf("%s: its last line is torn, and it is not the last file\n", v->o->args[file - 1]);
        return EXIT_NOT_VERIFIED;
    }
    if (fd < 0) {
        complain(v->o, "%s: %s", path, errno_what(errno));
        return EXIT_FILE;
    }
    enum err r = read_lines(v, file, fd, &why);
    if (r != ERR_OK)
        complain(v->o, "%s: %s", path, why.what ? why.what : err_name(r));
    return r == ERR_OK ? -1 : EXIT_FILE;
}

static int read_head(const struct options *o, struct audit_tip *head)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(AUDIT_HEAD_MAX_BYTES);
    char beside[AUDIT_PATH_BYTES];
    const char *path = option_text(o, "head");
    struct why why = { 0 };

    if (!path && audit_head_path(o->args[o->n_args - 1], beside) != ERR_OK) {
        complain(o, "%s: path too long", o->args[o->n_args - 1]);
        return EXIT_FILE;
    }
    path = path ? path : beside;
    enum err r = file_read(path, &text, &why);
    if (r == ERR_OK && audit_head_parse(buf_view(&text), head) != ERR_OK)
        r = why_fail(&why, ERR_MALFORMED, "not a head of an audit log", 0);
    if (r != ERR_OK)
        complain(o, "%s: %s. Without a head, records cut off at the end are not noticed: --no-head",
                 path, why.what ? why.what : err_name(r));
    return r == ERR_OK ? -1 : EXIT_FILE;
}

static int judge(struct verify *v, const struct audit_tip *head)
{
    unsigned findings = audit_check_end(v->check, head, found, v);
    struct audit_summary s = audit_check_summary(v->check);

    if (v->torn)
        printf("%s: the last line is torn; the program drops it when it starts\n",
               v->o->args[v->o->n_args - 1]);
    if (s.repairs)
        printf("%llu times a torn line was dropped, and the log says so\n",
               (unsigned long long)s.repairs);
    if (findings) {
        printf("NOT AS WRITTEN: %u findings in %llu records\n", findings,
               (unsigned long long)s.records);
        return EXIT_NOT_VERIFIED;
    }
    printf("as written: %llu records, %llu to %llu\n", (unsigned long long)s.records,
           (unsigned long long)s.first, (unsigned long long)s.last);
    if (s.first > 1)
        printf("records 1 to %llu are in files that were not given\n",
               (unsigned long long)s.first - 1);
    return 0;
}

int cmd_audit_verify(int argc, char **argv)
{
    struct options o;
    struct verify v = { .o = &o };
    struct audit_tip head;

    int status = options_parse(&verify_program, argc, argv, &o);
    if (status >= 0)
        return status;
    bool with_head = !option_flag(&o, "no-head");
    if (!with_head && option_text(&o, "head")) {
        complain(&o, "--head and --no-head exclude each other");
        return EXIT_USAGE;
    }
    if (audit_check_new(&v.check) != ERR_OK)
        status = 1;
    if (status < 0 && with_head)
        status = read_head(&o, &head);
    for (unsigned i = 0; i < o.n_args && status < 0; i++)
        status = read_file(&v, i);
    if (status < 0)
        status = judge(&v, with_head ? &head : NULL);
    audit_check_free(v.check);
    return status;
}
