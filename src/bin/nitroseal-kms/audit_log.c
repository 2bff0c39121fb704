#include "bin/nitroseal-kms/audit_log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/sys.h"

enum { NUMBER_DIGITS = 12, RECORD_BYTES = 512 };

struct audit_log {
    char path[AUDIT_PATH_BYTES];
    int fd, head_fd;
    uint64_t size, max_bytes, first; /* number of the file's first record; 0: none in it yet */
    struct audit_tip tip;
    struct buf line;
};

static enum err io_fail(struct why *why)
{
    return why_fail(why, ERR_IO, errno_what(errno), 0);
}

enum err audit_head_path(const char *path, char out[static AUDIT_PATH_BYTES])
{
    int n = snprintf(out, AUDIT_PATH_BYTES, "%s.head", path);

    return n > 0 && n < AUDIT_PATH_BYTES ? ERR_OK : ERR_LIMIT;
}

void audit_log_close(struct audit_log *a)
{
    if (!a)
        return;
    if (a->fd >= 0)
        (void)fsync(a->fd);
    fd_close(&a->fd);
    fd_close(&a->head_fd);
    buf_clear(&a->line);
    free(a);
}

static void audit_log_closep(struct audit_log **a)
{
    audit_log_close(*a);
    *a = NULL;
}

static enum err write_head(struct audit_log *a, struct why *why)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(AUDIT_HEAD_MAX_BYTES);

    enum err r = audit_head_write(&a->tip, &text);
    if (r != ERR_OK)
        return why_fail(why, r, "head", 0);
    /* Numbers only grow, so the new text covers the old. */
    return pwrite(a->head_fd, text.ptr, text.len, 0) == (ssize_t)text.len ? ERR_OK : io_fail(why);
}

static enum err write_line(struct audit_log *a, struct span line, struct why *why)
{
    ssize_t n = pwrite(a->fd, line.ptr, line.len, (off_t)a->size);

    if (n == (ssize_t)line.len) {
        a->size += line.len;
        return ERR_OK;
    }
    if (n >= 0)
        errno = ENOSPC;
    enum err r = io_fail(why);
    if (ftruncate(a->fd, (off_t)a->size) != 0 && why)
        why->what = "a part of a record was written and could not be taken back";
    return r;
}

/* The current file gets its first record's number for a name; the next record begins a new one. */
static enum err rotate(struct audit_log *a, struct why *why)
{
    char old[AUDIT_PATH_BYTES + NUMBER_DIGITS + 2];

    snprintf(old, sizeof old, "%s.%0*llu", a->path, NUMBER_DIGITS, (unsigned long long)a->first);
    if (fsync(a->fd) != 0 || rename(a->path, old) != 0)
        return io_fail(why);
    int fd = open(a->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        enum err r = io_fail(why);
        (void)rename(old, a->path); /* go on with the file that is open */
        return r;
    }
    fd_close(&a->fd);
    a->fd = fd;
    a->size = 0;
    a->first = 0;
    return ERR_OK;
}

enum err audit_log_append(struct audit_log *a, struct span record, struct why *why)
{
    struct audit_tip next = a->tip;

    buf_reset(&a->line);
    enum err r = audit_seal(&next, record, &a->line);
    if (r != ERR_OK)
        return why_fail(why, r, "record", 0);
    if (a->first && a->size + a->line.len > a->max_bytes)
        r = rotate(a, why);
    if (r == ERR_OK)
        r = write_line(a, buf_view(&a->line), why);
    if (r != ERR_OK)
        return r;
    a->tip = next;
    if (a->first == 0)
        a->first = next.sequence;
    return write_head(a, why);
}

/* Bytes of the last whole line without its end, and where the last whole line ends. */
static enum err last_line(int fd, struct buf *line, uint64_t *whole, uint64_t *size,
                          struct why *why)
{
    AUTO(buf_clear) struct buf tail = BUF_INIT(2 * AUDIT_LINE_MAX_BYTES);
    struct stat st;
    uint8_t *room;

    if (fstat(fd, &st) != 0)
        return io_fail(why);
    *size = (uint64_t)st.st_size;
    size_t n = *size < 2 * AUDIT_LINE_MAX_BYTES ? (size_t)*size : 2 * (size_t)AUDIT_LINE_MAX_BYTES;
    *whole = 0;
    if (n == 0)
        return ERR_OK;
    enum err r = buf_reserve(&tail, n, &room);
    if (r != ERR_OK)
        return why_fail(why, r, "memory", 0);
    if (pread(fd, room, n, (off_t)(*size - n)) != (ssize_t)n)
        return io_fail(why);
    size_t end = n;
    while (end > 0 && room[end - 1] != '\n')
        end--;
    *whole = end ? *size - n + end : 0;
    if (end == 0)
        return *size > n ? why_fail(why, ERR_MALFORMED, "no line end near the end", 0) : ERR_OK;
    size_t begin = end - 1;
    while (begin > 0 && room[begin - 1] != '\n')
        begin--;
    return buf_append(line, span_of(room + begin, end - 1 - begin));
}

static enum err tip_of(struct span line, struct audit_tip *tip, struct why *why)
{
    struct audit_line said;

    enum err r = audit_line_parse(line, &said);
    if (r != ERR_OK)
        return why_fail(why, r, "the last line is not a record of ours", 0);
    tip->sequence = said.sequence;
    memcpy(tip->digest, said.digest, sizeof tip->digest);
    return ERR_OK;
}

static enum err first_of(struct audit_log *a, struct why *why)
{
    AUTO(buf_clear) struct buf head = BUF_INIT(AUDIT_LINE_MAX_BYTES);
    struct audit_line said;
    uint8_t *room;

    enum err r = buf_reserve(&head, AUDIT_LINE_MAX_BYTES, &room);
    if (r != ERR_OK)
        return why_fail(why, r, "memory", 0);
    ssize_t n = pread(a->fd, room, AUDIT_LINE_MAX_BYTES, 0);
    if (n < 0)
        return io_fail(why);
    buf_commit(&head, (size_t)n);
    struct span rest = buf_view(&head);
    r = audit_line_parse(span_cut(&rest, '\n'), &said);
    a->first = said.sequence;
    return r == ERR_OK ? r : why_fail(why, r, "the first line is not a record of ours", 0);
}

/* The newest of the older files, "" if there is none. */
static enum err newest_older(const char *path, char out[static AUDIT_PATH_BYTES])
{
    char folder[AUDIT_PATH_BYTES];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t len = strlen(name);
    struct dirent *e;

    out[0] = '\0';
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    DIR *d = opendir(folder[0] ? folder : "/");
    if (!d)
        return ERR_IO;
    while ((e = readdir(d))) {
        char candidate[AUDIT_PATH_BYTES];
        if (strncmp(e->d_name, name, len) != 0 || e->d_name[len] != '.' ||
            strspn(e->d_name + len + 1, "0123456789") != NUMBER_DIGITS ||
            e->d_name[len + 1 + NUMBER_DIGITS])
            continue;
        int n = snprintf(candidate, sizeof candidate, "%s.%.*s", path, NUMBER_DIGITS,
                         e->d_name + len + 1);
        if (n > 0 && n < AUDIT_PATH_BYTES && strcmp(candidate, out) > 0)
            memcpy(out, candidate, (size_t)n + 1);
    }
    closedir(d);
    return ERR_OK;
}

static enum err older_tip(struct audit_log *a, struct why *why)
{
    AUTO(buf_clear) struct buf line = BUF_INIT(AUDIT_LINE_MAX_BYTES);
    char older[AUDIT_PATH_BYTES];
    uint64_t whole, size;

    enum err r = newest_older(a->path, older);
    if (r != ERR_OK)
        return io_fail(why);
    if (older[0] == '\0')
        return ERR_OK;
    AUTO(fd_close) int fd = open(older, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return io_fail(why);
    r = last_line(fd, &line, &whole, &size, why);
    return r == ERR_OK ? tip_of(buf_view(&line), &a->tip, why) : r;
}

static enum err recover_file(struct audit_log *a, uint64_t *dropped, struct why *why)
{
    AUTO(buf_clear) struct buf line = BUF_INIT(AUDIT_LINE_MAX_BYTES);
    uint64_t size;

    enum err r = last_line(a->fd, &line, &a->size, &size, why);
    if (r != ERR_OK)
        return r;
    *dropped = size - a->size;
    if (*dropped && ftruncate(a->fd, (off_t)a->size) != 0)
        return io_fail(why);
    if (a->size == 0)
        return older_tip(a, why);
    r = tip_of(buf_view(&line), &a->tip, why);
    return r == ERR_OK ? first_of(a, why) : r;
}

/* Absent and empty count as none: the file is made before anything is in it. */
static enum err head_read(struct audit_log *a, struct audit_tip *head, bool *there, struct why *why)
{
    char text[AUDIT_HEAD_MAX_BYTES];

    ssize_t n = pread(a->head_fd, text, sizeof text, 0);
    if (n < 0)
        return io_fail(why);
    *there = n > 0;
    if (n == 0)
        return ERR_OK;
    return audit_head_parse(span_of(text, (size_t)n), head) == ERR_OK
               ? ERR_OK
               : why_fail(why, ERR_MALFORMED, "the head is not ours", 0);
}

/* One record ahead of the head: ended between the two writes. */
static bool head_fits(const struct audit_tip *head, bool there, const struct audit_tip *tip)
{
    if (!there)
        return tip->sequence <= 1;
    return head->sequence + 1 == tip->sequence ||
           (head->sequence == tip->sequence &&
            memcmp(head->digest, tip->digest, sizeof head->digest) == 0);
}

static enum err tell(struct audit_log *a, const char *event, int64_t now_ms, const char *what,
                     uint64_t value, struct why *why)
{
    char record[RECORD_BYTES];

    int n = snprintf(record, sizeof record,
                     "{\"eventType\":\"NitrosealAudit\",\"eventName\":\"%s\",\"unixTimeMs\":%lld,"
                     "\"%s\":%llu}",
                     event, (long long)now_ms, what, (unsigned long long)value);
    return n > 0 && n < RECORD_BYTES ? audit_log_append(a, span_of(record, (size_t)n), why)
                                     : ERR_INTERNAL;
}

static enum err recover(struct audit_log *a, int64_t now_ms, struct audit_opened *found,
                        struct why *why)
{
    struct audit_tip head = { .sequence = 0 };
    bool there = false;

    enum err r = recover_file(a, &found->dropped_bytes, why);
    if (r == ERR_OK)
        r = head_read(a, &head, &there, why);
    if (r != ERR_OK)
        return r;
    found->records_missing = !head_fits(&head, there, &a->tip);
    if (found->records_missing && ftruncate(a->head_fd, 0) != 0) /* it may get shorter */
        return io_fail(why);
    if (found->dropped_bytes)
        r = tell(a, "AuditRepaired", now_ms, "droppedBytes", found->dropped_bytes, why);
    if (r == ERR_OK && found->records_missing)
        r = tell(a, "AuditRecordsMissing", now_ms, "lastRecordOfHead", head.sequence, why);
    if (r == ERR_OK && a->tip.sequence)
        r = write_head(a, why);
    found->sequence = a->tip.sequence;
    return r;
}

enum err audit_log_open(const char *path, uint64_t max_bytes, int64_t now_ms,
                        struct audit_log **out, struct audit_opened *found, struct why *why)
{
    char head[AUDIT_PATH_BYTES];
    AUTO(audit_log_closep) struct audit_log *a = calloc(1, sizeof *a);

    if (!a)
        return why_fail(why, ERR_NOMEM, "memory", 0);
    *a = (struct audit_log){
        .fd = -1, .head_fd = -1, .max_bytes = max_bytes, .line = BUF_INIT(AUDIT_LINE_MAX_BYTES)
    };
    *found = (struct audit_opened){ .sequence = 0 };
    if (strlen(path) >= sizeof a->path - NUMBER_DIGITS - 2 || audit_head_path(path, head) != ERR_OK)
        return why_fail(why, ERR_LIMIT, "path too long", 0);
    memcpy(a->path, path, strlen(path) + 1);
    a->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    a->head_fd = a->fd < 0 ? -1 : open(head, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (a->head_fd < 0)
        return io_fail(why);
    enum err r = recover(a, now_ms, found, why);
    if (r != ERR_OK)
        return r;
    *out = a;
    a = NULL; /* handed over */
    return ERR_OK;
}
