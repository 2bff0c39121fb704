#include "image/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <stdio.h>
#include <sys/stat.h>

enum { READ_PIECE = 1 << 20 };

/* An open archive. libarchive converts the names of pax headers, which are UTF-8, to the locale's
 * character set; so while it works the locale is C.UTF-8, whatever the user's is. */
struct reader {
    struct archive *a;
    locale_t utf8, before;
};

static void reader_close(struct reader *r)
{
    (void)archive_read_free(r->a);
    if (r->utf8) {
        (void)uselocale(r->before);
        freelocale(r->utf8);
    }
}

MUST_USE static enum err fail(struct tree_why *why, enum err r, const char *what, struct span path)
{
    if (why) {
        why->what = what;
        snprintf(why->path, sizeof why->path, "%.*s", (int)path.len,
                 path.ptr ? (const char *)path.ptr : "");
    }
    return r;
}

bool unpack_is_mounted_over(struct span path)
{
    return span_starts(path, "dev/") || span_starts(path, "proc/") || span_starts(path, "sys/");
}

static const char not_tar[] = "not a tar archive (plain, gzip or zstd), or damaged";

static enum err reader_open(struct span tar, struct reader *r, struct tree_why *why)
{
    r->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (!r->utf8)
        return fail(why, ERR_UNSUPPORTED, "this system has no locale C.UTF-8", SPAN_EMPTY);
    r->before = uselocale(r->utf8);
    r->a = archive_read_new();
    if (!r->a)
        return fail(why, ERR_NOMEM, "memory", SPAN_EMPTY);
    if (archive_read_support_format_tar(r->a) != ARCHIVE_OK ||
        archive_read_support_format_empty(r->a) != ARCHIVE_OK ||
        archive_read_support_filter_gzip(r->a) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(r->a) != ARCHIVE_OK)
        return fail(why, ERR_UNSUPPORTED, "libarchive lacks gzip or zstd", SPAN_EMPTY);
    /* It looks at the first bytes here and now. */
    if (archive_read_open_memory(r->a, tar.len ? (const void *)tar.ptr : "", tar.len) != ARCHIVE_OK)
        return fail(why, ERR_MALFORMED, not_tar, SPAN_EMPTY);
    return ERR_OK;
}

/* One entry as the tree wants it. */
struct item {
    struct buf path, target;
    struct tree_add add;
    bool skip;
};

static void item_clear(struct item *i)
{
    buf_clear(&i->path);
    buf_clear(&i->target);
}

/* ".wh..wh..opq" in a folder, ".wh.NAME" beside NAME; other ".wh..wh." names are aufs's own. */
static enum err mark_take(struct item *i, struct tree_why *why)
{
    struct span path = buf_view(&i->path), name = path;
    size_t slash = path.len;

    while (slash > 0 && path.ptr[slash - 1] != '/')
        slash--;
    name = span_from(path, slash);
    if (!span_starts(name, ".wh."))
        return ERR_OK;
    if (span_is(name, ".wh..wh..opq")) {
        i->add.kind = TREE_OPAQUE;
        i->add.path = span_sub(path, 0, slash ? slash - 1 : 0);
        return ERR_OK;
    }
    i->skip = span_starts(name, ".wh..wh.");
    struct span gone = span_from(name, 4);
    if (gone.len == 0 || span_is(gone, ".") || span_is(gone, ".."))
        return fail(why, ERR_MALFORMED, "a whiteout of no name", path);
    /* The name without ".wh." moves up behind the folder's. */
    memmove(i->path.ptr + slash, gone.ptr, gone.len);
    buf_truncate(&i->path, slash + gone.len);
    i->add.kind = TREE_WHITEOUT;
    i->add.path = buf_view(&i->path);
    return ERR_OK;
}

static enum err kind_take(struct archive_entry *e, struct item *i, struct tree_why *why)
{
    const char *hard = archive_entry_hardlink(e), *what = NULL;

    if (hard) {
        i->add.kind = TREE_HARDLINK;
        enum err r = tree_path_clean(span_str(hard), &i->target, &what);
        i->add.bytes = buf_view(&i->target);
        return r == ERR_OK ? r : fail(why, r, "a hard link out of the image", i->add.path);
    }
    switch (archive_entry_filetype(e)) {
    case AE_IFDIR:
        i->add.kind = TREE_DIR;
        return ERR_OK;
    case AE_IFREG:
        i->add.kind = TREE_FILE;
        return ERR_OK;
    case AE_IFLNK:
        i->add.kind = TREE_SYMLINK;
        i->add.bytes = span_str(archive_entry_symlink(e));
        return ERR_OK;
    case AE_IFCHR:
    case AE_IFBLK:
        return fail(why, ERR_MALFORMED, "a device", i->add.path);
    case AE_IFIFO:
        return fail(why, ERR_MALFORMED, "a named pipe", i->add.path);
    default:
        return fail(why, ERR_MALFORMED, "neither file, folder nor link", i->add.path);
    }
}

static enum err head_take(struct archive_entry *e, bool layer, struct item *i, struct tree_why *why)
{
    const char *raw = archive_entry_pathname(e), *what = NULL;
    int64_t uid = archive_entry_uid(e), gid = archive_entry_gid(e);

    if (!raw)
        return fail(why, ERR_MALFORMED, "a name that cannot be read", SPAN_EMPTY);
    enum err r = tree_path_clean(span_str(raw), &i->path, &what);
    if (r != ERR_OK)
        return fail(why, r, what, span_str(raw));
    i->add.path = buf_view(&i->path);
    i->skip = i->path.len == 0 || unpack_is_mounted_over(i->add.path);
    if (i->skip)
        return ERR_OK;
    if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
        return fail(why, ERR_MALFORMED, "an owner that is not a number of 32 bits", i->add.path);
    i->add.uid = (uint32_t)uid;
    i->add.gid = (uint32_t)gid;
    i->add.mode = (unsigned)archive_entry_perm(e);
    r = kind_take(e, i, why);
    return r == ERR_OK && layer ? mark_take(i, why) : r;
}

/* The data of the current entry, appended; ERR_LIMIT past the buf's maximum. */
static enum err data_read(struct archive *a, struct buf *out)
{
    for (;;) {
        size_t room = out->max - out->len;
        uint8_t *p = NULL, past;
        if (room > READ_PIECE)
            room = READ_PIECE;
        if (room && buf_reserve(out, room, &p) != ERR_OK)
            return ERR_NOMEM;
        la_ssize_t n = archive_read_data(a, room ? p : &past, room ? room : 1);
        if (n < 0)
            return ERR_MALFORMED;
        if (n == 0)
            return ERR_OK;
        if (!room)
            return ERR_LIMIT;
        buf_commit(out, (size_t)n);
    }
}

static enum err entry_take(struct archive *a, struct archive_entry *e, bool layer, struct tree *t,
                           struct tree_why *why)
{
    AUTO(item_clear)
    struct item i = { .path = BUF_INIT(TREE_PATH_MAX), .target = BUF_INIT(TREE_PATH_MAX) };
    AUTO(buf_clear) struct buf data = { 0 };
    int64_t size = archive_entry_size(e);

    enum err r = head_take(e, layer, &i, why);
    if (r != ERR_OK || i.skip)
        return r;
    if (i.add.kind == TREE_FILE) {
        if (size < 0 || (uint64_t)size > t->bytes_max - t->bytes)
            return fail(why, ERR_LIMIT, "too many bytes in all", i.add.path);
        data = BUF_INIT((size_t)size);
        r = data_read(a, &data);
        if (r != ERR_OK || data.len != (size_t)size)
            return fail(why, r == ERR_NOMEM ? r : ERR_MALFORMED, "the archive is cut short",
                        i.add.path);
        i.add.bytes = buf_view(&data);
    }
    return tree_add(t, &i.add, why);
}

/* ARCHIVE_WARN is a name or number that had to be changed: no such entry goes into an image. */
static enum err next_entry(struct archive *a, struct archive_entry **e, bool *end,
                           struct tree_why *why)
{
    int got = archive_read_next_header(a, e);

    *end = got == ARCHIVE_EOF;
    if (got == ARCHIVE_OK || *end)
        return ERR_OK;
    return fail(why, ERR_MALFORMED, not_tar, SPAN_EMPTY);
}

enum err unpack_tree(struct span tar, bool layer, struct tree *t, struct tree_why *why)
{
    AUTO(reader_close) struct reader in = { 0 };
    struct archive_entry *e = NULL;
    bool end = false;

    enum err r = reader_open(tar, &in, why);
    while (r == ERR_OK) {
        r = next_entry(in.a, &e, &end, why);
        if (r == ERR_OK && end)
            return r;
        if (r == ERR_OK)
            r = entry_take(in.a, e, layer, t, why);
    }
    return r;
}

static bool is_member(struct archive_entry *e, const char *name)
{
    const char *raw = archive_entry_pathname(e);

    if (!raw || archive_entry_filetype(e) != AE_IFREG)
        return false;
    return strcmp(strncmp(raw, "./", 2) == 0 ? raw + 2 : raw, name) == 0;
}

enum err unpack_member(struct span tar, const char *name, struct buf *out, struct tree_why *why)
{
    AUTO(reader_close) struct reader in = { 0 };
    struct archive_entry *e = NULL;
    size_t before = out->len;
    bool end = false;

    enum err r = reader_open(tar, &in, why);
    while (r == ERR_OK) {
        r = next_entry(in.a, &e, &end, why);
        if (r != ERR_OK)
            return r;
        if (end)
            return fail(why, ERR_IO, "not in the archive", span_str(name));
        if (!is_member(e, name))
            continue;
        r = data_read(in.a, out);
        if (r == ERR_OK)
            return r;
        buf_truncate(out, before);
        return fail(why, r, r == ERR_LIMIT ? "too large" : "the archive is cut short",
                    span_str(name));
    }
    return r;
}
