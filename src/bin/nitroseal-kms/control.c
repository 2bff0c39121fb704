/* control.c - orders to the running program over DIR/control, a Unix socket that only its user can
 * open, and `nitroseal-kms backup`, which gives one. The database is open exclusively, so only the
 * program that has it can copy it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bin/nitroseal-kms/kms.h"
#include "io/log.h"

enum { ANSWER_S = 120, PARTIAL_BYTES = STATE_PATH_BYTES + 16 };

static enum err make_and_rename(struct keystore_sqlite *store, const char *partial, const char *to,
                                struct why *why)
{
    enum err r = keystore_sqlite_backup(store, partial, why);

    if (r != ERR_OK)
        return r;
    AUTO(fd_close) int fd = open(partial, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0 || link(partial, to) != 0) /* not over a file that is there */
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    return ERR_OK;
}

enum err kms_backup(struct keystore_sqlite *store, const char *to, struct why *why)
{
    char partial[PARTIAL_BYTES];

    int n = snprintf(partial, sizeof partial, "%s.partial", to);
    if (n < 0 || n >= PARTIAL_BYTES)
        return why_fail(why, ERR_LIMIT, "path too long", 0);
    AUTO(fd_close) int fd = open(partial, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    enum err r = make_and_rename(store, partial, to, why);
    (void)unlink(partial);
    return r;
}

static enum err reply(struct buf *response, unsigned status, struct span body)
{
    const struct http1_header h = { SPAN_LIT("Content-Type"), SPAN_LIT("text/plain") };

    return http1_response_write(response, status, &h, 1, body);
}

enum err kms_handle_control(void *arg, const struct server_request *rq, struct buf *response)
{
    struct kms *k = arg;
    char path[STATE_PATH_BYTES];
    struct why why = { 0 };

    if (!span_is(rq->head->method, "POST") || !span_is(rq->head->target, "/backup"))
        return reply(response, 404, SPAN_LIT("unknown order"));
    if (rq->body.len < 2 || rq->body.len >= sizeof path || rq->body.ptr[0] != '/' ||
        span_find(rq->body, '\0') < rq->body.len)
        return reply(response, 400, SPAN_LIT("not an absolute path"));
    memcpy(path, rq->body.ptr, rq->body.len);
    path[rq->body.len] = '\0';
    enum err r = kms_backup(k->store, path, &why);
    log_event(r == ERR_OK ? LOG_INFO : LOG_ERROR, "backup", LOG_STR("file", path),
              LOG_STR("why", r == ERR_OK ? ""
                             : why.what  ? why.what
                                         : err_name(r)));
    return r == ERR_OK ? reply(response, 200, SPAN_LIT("done"))
                       : reply(response, 409, span_str(why.what ? why.what : err_name(r)));
}

/* --- the other end --- */

static const struct option_def table[] = {
    { "state", 's', "DIR", "NITROSEAL_KMS_STATE", NULL, "The state folder." },
    { 0 },
};

static const struct program_def backup_program = {
    .name = "nitroseal-kms backup",
    .synopsis = "--state DIR FILE",
    .summary = "Copy the database, as it is at one moment, into a new FILE, also while the program "
               "runs. To\nrestore, put it into a state folder as keys.db beside the same "
               "master.key, which is not in it.",
    .options = table,
    .footer = "Exit status: 0 done; 1 failure; 2 usage.\n",
    .args_min = 1,
    .args_max = 1,
};

static enum err absolute(const char *path, struct buf *out)
{
    char here[STATE_PATH_BYTES];

    if (path[0] == '/')
        return buf_append_str(out, path);
    return getcwd(here, sizeof here) ? buf_printf(out, "%s/%s", here, path) : ERR_IO;
}

/* Whole answer of the running program into *in. */
static enum err exchange(const char *socket, struct span path, struct buf *in, struct why *why)
{
    AUTO(buf_clear) struct buf request = BUF_INIT(8192);
    AUTO(fd_close) int fd = -1;
    const struct http1_header headers[] = { { SPAN_LIT("Host"), SPAN_LIT("control") },
                                            { SPAN_LIT("Connection"), SPAN_LIT("close") } };
    uint64_t deadline = clock_mono_ns() + ANSWER_S * NS_PER_S;
    struct addr at;

    enum err r = addr_unix(socket, &at, why);
    if (r == ERR_OK)
        r = addr_connect(&at, deadline, &fd, why);
    if (r == ERR_OK)
        r = http1_request_write(&request, SPAN_LIT("POST"), SPAN_LIT("/backup"), headers, 2, path);
    if (r == ERR_OK)
        r = fd_write_all(fd, buf_view(&request), deadline, why);
    return r == ERR_OK ? fd_read_all(fd, in, deadline, why) : r;
}

static int ask_running(const struct options *o, const char *socket, struct span path)
{
    AUTO(buf_clear) struct buf in = BUF_INIT(65536);
    static struct http1_head head;
    struct why why = { 0 };
    size_t used = 0;

    enum err r = exchange(socket, path, &in, &why);
    if (r == ERR_OK)
        r = http1_response_parse(buf_view(&in), false, &head, &used, &why);
    if (r != ERR_OK) {
        complain(o, "%s: %s; a nitroseal-kms has this folder and does not answer there", socket,
                 why.what ? why.what : err_name(r));
        return 1;
    }
    if (head.status == 200)
        return 0;
    complain(o, "%.*s: %.*s", (int)path.len, (const char *)path.ptr, (int)(in.len - used),
             (const char *)in.ptr + used);
    return 1;
}

/* Nobody has the database: open it here. */
static int copy_here(const struct options *o, const char *dir, const char *to)
{
    char db[STATE_PATH_BYTES];
    struct keystore_sqlite *store = NULL;
    struct why why = { 0 };

    enum err r = state_path(dir, "keys.db", db);
    if (r == ERR_OK && access(db, F_OK) != 0)
        r = why_fail(&why, ERR_IO, "no keys.db is there", 0);
    if (r == ERR_OK)
        r = keystore_sqlite_open(db, &store, &why);
    if (r == ERR_OK)
        r = kms_backup(store, to, &why);
    keystore_sqlite_close(store);
    if (r == ERR_OK)
        return 0;
    complain(o, "%s to %s: %s", dir, to, why.what ? why.what : err_name(r));
    return 1;
}

int cmd_backup(int argc, char **argv)
{
    AUTO(buf_clear) struct buf to = BUF_INIT(2 * STATE_PATH_BYTES);
    char socket[STATE_PATH_BYTES];
    struct options o;
    int lock = -1;

    int status = options_parse(&backup_program, argc, argv, &o);
    if (status >= 0)
        return status;
    const char *dir = option_text(&o, "state");
    if (!dir) {
        complain(&o, "--state is missing");
        return EXIT_USAGE;
    }
    umask(077);
    if (absolute(o.args[0], &to) != ERR_OK || state_path(dir, "control", socket) != ERR_OK) {
        complain(&o, "%s: path too long", o.args[0]);
        return 1;
    }
    const char *path = buf_cstr(&to);
    if (!path)
        return 1;
    struct why why = { 0 };
    enum err r = state_lock(dir, &lock, &why);
    status = r == ERR_OK ? copy_here(&o, dir, path) : ask_running(&o, socket, buf_view(&to));
    fd_close(&lock);
    if (status == 0)
        fprintf(stderr, "nitroseal-kms backup: %s is of use only with %s/master.key: keep both\n",
                path, dir);
    return status;
}
