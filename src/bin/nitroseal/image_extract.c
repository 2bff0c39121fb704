/* nitroseal image extract. */
#include <stdio.h>

#include "bin/common/image_json.h"
#include "bin/nitroseal/image_cmd.h"
#include "image/cpio.h"
#include "io/sys.h"

enum { LIST_MAX = 64 << 20 };

static const struct option_def options[] = {
    { "output", 'o', "DIR", NULL, NULL, "Folder for the sections; made if it is not there." },
    { "list", 'l', NULL, NULL, NULL, "Print the files of the ramdisks instead." },
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseal image extract",
    .synopsis = "-o DIR | --list FILE",
    .summary = "Write each section as a file: kernel, cmdline, metadata.json, ramdisk0.cpio and so "
               "on,\nsignature.cbor and the signing certificate in it.",
    .options = options,
    .footer = CLI_EXIT_STATUSES,
    .args_min = 1,
    .args_max = 1,
};

static bool put(const char *dir, const char *name, struct span bytes, struct image_fault *f)
{
    char path[IMAGE_PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);

    if (n < 0 || (size_t)n >= sizeof path)
        return image_fault_set(f, IMAGE_FAULT_FILE, dir, "path too long");
    return image_write(path, bytes, f);
}

static bool put_all(const char *dir, const struct eif_report *r, struct image_fault *f)
{
    unsigned ramdisks = 0;
    bool ok = true;

    for (unsigned i = 0; i < r->eif.n_sections && ok; i++) {
        const struct eif_section *s = &r->eif.sections[i];
        char name[32];
        switch (s->type) {
        case EIF_RAMDISK:
            snprintf(name, sizeof name, "ramdisk%u.cpio", ramdisks++);
            break;
        case EIF_METADATA:
            snprintf(name, sizeof name, "metadata.json");
            break;
        case EIF_SIGNATURE:
            snprintf(name, sizeof name, "signature.cbor");
            ok = put(dir, "signing-certificate.pem", buf_view(&r->signature.pem), f);
            break;
        case EIF_KERNEL:
        case EIF_CMDLINE:
            snprintf(name, sizeof name, "%s", eif_type_name(s->type));
            break;
        }
        ok = ok && put(dir, name, s->data, f);
    }
    return ok;
}

/* "ramdisk mode owner size name" */
static enum err list_one(unsigned ramdisk, struct span bytes, struct buf *out, struct why *why)
{
    struct cpio_in c = cpio_in_init(bytes);
    struct cpio_entry e;
    bool end = false;

    for (;;) {
        enum err r = cpio_next(&c, &e, &end, why);
        if (r != ERR_OK || end)
            return r;
        r = buf_printf(out, "%u %06o %u:%u %zu ", ramdisk, e.mode, e.uid, e.gid, e.data.len);
        cli_append_clean(out, e.name);
        if (r == ERR_OK)
            r = buf_append_byte(out, '\n');
        if (r != ERR_OK)
            return why_fail(why, r, "the list is too long", 0);
    }
}

static int list(const struct options *o, const struct eif *e, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(LIST_MAX);
    struct why why = { 0 };

    for (unsigned i = 0; i < eif_ramdisks(e); i++)
        if (list_one(i, eif_ramdisk(e, i), &out, &why) != ERR_OK)
            return cli_fault_set(f, CLI_FILE, _("%s: ramdisk %u: %s"), o->args[0], i, why.what);
    return cli_print(buf_view(&out), f);
}

static int run(const struct options *o, struct cli_fault *f)
{
    AUTO(image_opened_freep) struct image_opened *i = NULL;
    const char *dir = option_text(o, "output");
    struct image_fault fault;
    struct why why = { 0 };

    if (!dir == !option_flag(o, "list"))
        return cli_fault_set(f, CLI_USAGE, _("give -o DIR or --list"));
    if (!image_open(o->args[0], &i, &fault))
        return image_fault_take(&fault, f);
    if (!dir)
        return list(o, &i->report.eif, f);
    if (dir_make(dir, &why) != ERR_OK)
        return cli_fault_set(f, CLI_FILE, _("cannot make %s: %s"), dir, why.what);
    return put_all(dir, &i->report, &fault) ? CLI_OK : image_fault_take(&fault, f);
}

int cmd_image_extract(int argc, char **argv)
{
    return image_main(&program, argc, argv, run);
}
