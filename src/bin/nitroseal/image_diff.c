/* nitroseal image diff. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hex.h"
#include "bin/common/image_json.h"
#include "bin/nitroseal/image_cmd.h"
#include "image/cpio.h"

enum { OUTPUT_MAX = 64 << 20, ENTRIES_MAX = 1 << 20, DIFFERENT = 1, SHOWN_MAX = 300 };

static const struct option_def options[] = { { 0 } };

static const struct program_def program = {
    .name = "nitroseal image diff",
    .synopsis = "A B",
    .summary = "Which sections of two images differ, which files in their ramdisks, and which PCRs "
               "that moves.",
    .options = options,
    .footer = "Exit status: 0 the same, 1 different, 2 usage, 6 input or output.\n",
    .args_min = 2,
    .args_max = 2,
};

/* ---- files in a ramdisk ---- */

struct listing {
    struct cpio_entry *at;
    size_t n;
};

static void listing_clear(struct listing *l)
{
    free(l->at);
}

static int by_name(const void *a, const void *b)
{
    const struct cpio_entry *x = a, *y = b;
    size_t n = x->name.len < y->name.len ? x->name.len : y->name.len;
    int c = memcmp(x->name.ptr, y->name.ptr, n);

    return c ? c : (x->name.len > y->name.len) - (x->name.len < y->name.len);
}

/* False: not a plain cpio archive, as a compressed ramdisk is not. */
static bool listing_read(struct span ramdisk, struct listing *l)
{
    struct cpio_in c = cpio_in_init(ramdisk);
    size_t cap = 0;
    bool end = false;

    while (l->n < ENTRIES_MAX) {
        if (l->n == cap) {
            cap = cap ? 2 * cap : 64;
            struct cpio_entry *p = reallocarray(l->at, cap, sizeof *p);
            if (!p)
                return false;
            l->at = p;
        }
        if (cpio_next(&c, &l->at[l->n], &end, NULL) != ERR_OK)
            return false;
        if (end) {
            qsort(l->at, l->n, sizeof l->at[0], by_name);
            return true;
        }
        l->n++;
    }
    return false;
}

static bool same_entry(const struct cpio_entry *a, const struct cpio_entry *b)
{
    return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->nlink == b->nlink &&
           a->mtime == b->mtime && span_eq(a->data, b->data);
}

static const char *what_differs(const struct cpio_entry *a, const struct cpio_entry *b)
{
    return !span_eq(a->data, b->data)             ? _("content")
           : a->mode != b->mode                   ? _("mode")
           : a->uid != b->uid || a->gid != b->gid ? _("owner")
                                                  : _("time or links");
}

static void name_line(struct buf *out, char sign, struct span name, const char *what)
{
    if (buf_printf(out, "    %c ", sign) == ERR_OK) {
        cli_append_clean(out, name);
        (void)!(buf_printf(out, what ? " (%s)\n" : "%s\n", what ? what : "") == ERR_OK);
    }
}

static void files_diff(struct span a, struct span b, struct buf *out)
{
    AUTO(listing_clear) struct listing x = { 0 };
    AUTO(listing_clear) struct listing y = { 0 };
    size_t i = 0, k = 0, lines = 0;

    if (!listing_read(a, &x) || !listing_read(b, &y))
        return;
    while (i < x.n || k < y.n) {
        int c = i == x.n ? 1 : k == y.n ? -1 : by_name(&x.at[i], &y.at[k]);
        bool same = c == 0 && same_entry(&x.at[i], &y.at[k]);
        if (!same && ++lines <= SHOWN_MAX)
            name_line(out,
                      (char)(c < 0   ? '-'
                             : c > 0 ? '+'
                                     : '~'),
                      c <= 0 ? x.at[i].name : y.at[k].name,
                      c == 0 ? what_differs(&x.at[i], &y.at[k]) : NULL);
        i += c <= 0;
        k += c >= 0;
    }
    if (lines > SHOWN_MAX)
        (void)!(buf_printf(out, _("    and %zu more\n"), lines - SHOWN_MAX) == ERR_OK);
}

/* ---- sections ---- */

/* What a section of that kind moves; `n` of ramdisks. */
static const char *moves(enum eif_type type, unsigned n)
{
    switch (type) {
    case EIF_KERNEL:
    case EIF_CMDLINE:
        return "PCR0, PCR1";
    case EIF_RAMDISK:
        return n == 0 ? "PCR0, PCR1" : "PCR0, PCR2";
    case EIF_SIGNATURE:
        return _("PCR8 if the certificate differs");
    case EIF_METADATA:
        return _("no PCR: it is not measured");
    }
    return "";
}

static void section_diff(const char *name, enum eif_type type, unsigned n, struct span a,
                         struct span b, struct buf *out)
{
    if (a.ptr && b.ptr && span_eq(a, b))
        return;
    if (!a.ptr && !b.ptr)
        return;
    enum err r = !a.ptr ? buf_printf(out, _("%s: only in the second -> %s\n"), name, moves(type, n))
                 : !b.ptr
                     ? buf_printf(out, _("%s: only in the first -> %s\n"), name, moves(type, n))
                     : buf_printf(out, _("%s: differs, %zu and %zu bytes -> %s\n"), name, a.len,
                                  b.len, moves(type, n));
    if (r != ERR_OK || !a.ptr || !b.ptr)
        return;
    if (type == EIF_CMDLINE || type == EIF_METADATA) {
        name_line(out, '-', a, NULL);
        name_line(out, '+', b, NULL);
    }
    if (type == EIF_RAMDISK)
        files_diff(a, b, out);
}

static void sections_diff(const struct eif *a, const struct eif *b, struct buf *out)
{
    static const enum eif_type single[] = { EIF_KERNEL, EIF_CMDLINE, EIF_METADATA, EIF_SIGNATURE };
    unsigned n = eif_ramdisks(a) > eif_ramdisks(b) ? eif_ramdisks(a) : eif_ramdisks(b);
    char name[32];

    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++)
        section_diff(eif_type_name(single[i]), single[i], 0, eif_find(a, single[i]),
                     eif_find(b, single[i]), out);
    for (unsigned i = 0; i < n; i++) {
        snprintf(name, sizeof name, "ramdisk %u", i);
        section_diff(name, EIF_RAMDISK, i, eif_ramdisk(a, i), eif_ramdisk(b, i), out);
    }
}

/* ---- header, PCRs ---- */

static void header_diff(const struct eif *a, const struct eif *b, struct buf *out)
{
    enum err r = ERR_OK;

    if (a->version != b->version)
        r = buf_printf(out, _("version: %u and %u -> no PCR\n"), a->version, b->version);
    if (r == ERR_OK && a->aarch64 != b->aarch64)
        r = buf_printf(out, _("machine: %s and %s -> no PCR\n"), a->aarch64 ? "aarch64" : "x86_64",
                       b->aarch64 ? "aarch64" : "x86_64");
    /* A full buf ends the list: what is there is still right. */
}

static void pcr_text(const struct attest_pcrs *p, unsigned i,
                     char out[static 2 * ATTEST_PCR_BYTES + 1])
{
    if (p->present & UINT32_C(1) << i)
        hex_write(SPAN_ARRAY(p->value[i]), out);
    else
        snprintf(out, 2, "-");
}

static void pcrs_diff(const struct attest_pcrs *a, const struct attest_pcrs *b, struct buf *out)
{
    static const unsigned shown[] = { 0, 1, 2, 8 };
    char x[2 * ATTEST_PCR_BYTES + 1], y[2 * ATTEST_PCR_BYTES + 1];

    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        pcr_text(a, shown[i], x);
        pcr_text(b, shown[i], y);
        if (x[0] == '-' && y[0] == '-')
            continue;
        enum err r = strcmp(x, y) == 0 ? buf_printf(out, _("PCR%u: the same\n"), shown[i])
                                       : buf_printf(out, _("PCR%u: differs\n    - %s\n    + %s\n"),
                                                    shown[i], x, y);
        if (r != ERR_OK)
            return;
    }
}

static int run(const struct options *o, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(OUTPUT_MAX);
    AUTO(image_opened_freep) struct image_opened *a = NULL;
    AUTO(image_opened_freep) struct image_opened *b = NULL;
    struct image_fault fault;

    if (!image_open(o->args[0], &a, &fault) || !image_open(o->args[1], &b, &fault))
        return image_fault_take(&fault, f);
    header_diff(&a->report.eif, &b->report.eif, &out);
    sections_diff(&a->report.eif, &b->report.eif, &out);
    pcrs_diff(&a->report.pcrs, &b->report.pcrs, &out);
    int status = cli_print(buf_view(&out), f);
    if (status != CLI_OK)
        return status;
    return span_eq(buf_view(&a->file), buf_view(&b->file)) ? CLI_OK : DIFFERENT;
}

int cmd_image_diff(int argc, char **argv)
{
    return image_main(&program, argc, argv, run);
}
