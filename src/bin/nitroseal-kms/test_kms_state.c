#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bin/nitroseal-kms/state.h"
#include "crypto/tls.h"
#include "crypto/x509.h"
#include "io/sys.h"
#include "testing/t.h"

static struct crypto *cx;

struct folder {
    char dir[64];
};

static const char *in_folder(const struct folder *f, const char *name)
{
    static char path[STATE_PATH_BYTES];

    assert_int_equal(state_path(f->dir, name, path), ERR_OK);
    return path;
}

static int64_t now_s(void)
{
    return clock_wall_ms() / 1000;
}

static int folder_up(void **state)
{
    struct folder *f = calloc(1, sizeof *f);

    if (!f)
        return -1;
    snprintf(f->dir, sizeof f->dir, "/tmp/nitroseal-test-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    *state = f;
    return 0;
}

static int folder_down(void **state)
{
    static const char *const names[] = { "master.key", "ca.key", "ca.pem", "lock", "keys.db" };
    struct folder *f = *state;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)unlink(in_folder(f, names[i]));
    int r = rmdir(f->dir);
    free(f);
    return r;
}

static unsigned mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static void made_once(void **state)
{
    struct folder *f = *state;
    AUTO(state_clear) struct state a = STATE_INIT;
    AUTO(state_clear) struct state b = STATE_INIT;

    assert_int_equal(state_open(cx, f->dir, now_s(), &a, NULL), ERR_OK);
    assert_int_equal(a.master_key.len, 32);
    assert_int_equal(mode_of(in_folder(f, "master.key")), 0600);
    assert_int_equal(mode_of(in_folder(f, "ca.key")), 0600);
    assert_int_equal(mode_of(in_folder(f, "ca.pem")), 0644);
    fd_close(&a.lock_fd);
    assert_int_equal(state_open(cx, f->dir, now_s(), &b, NULL), ERR_OK);
    t_assert_span(secret_view(&b.master_key), secret_view(&a.master_key));
    t_assert_span(buf_view(&b.ca_pem), buf_view(&a.ca_pem));
    t_assert_span(buf_view(&b.ca_key_pem), buf_view(&a.ca_key_pem));
}

static void in_use(void **state)
{
    struct folder *f = *state;
    AUTO(state_clear) struct state a = STATE_INIT;
    AUTO(state_clear) struct state b = STATE_INIT;
    struct why why = { 0 };

    assert_int_equal(state_open(cx, f->dir, now_s(), &a, NULL), ERR_OK);
    assert_int_equal(state_open(cx, f->dir, now_s(), &b, &why), ERR_IO);
    assert_string_equal(why.what, "another nitroseal-kms uses this folder");
}

static void secrets_that_others_read(void **state)
{
    static const char *const names[] = { "master.key", "ca.key" };
    struct folder *f = *state;

    for (size_t i = 0; i < 2; i++) {
        AUTO(state_clear) struct state a = STATE_INIT;
        AUTO(state_clear) struct state b = STATE_INIT;
        struct why why = { 0 };
        assert_int_equal(state_open(cx, f->dir, now_s(), &a, NULL), ERR_OK);
        fd_close(&a.lock_fd);
        assert_int_equal(chmod(in_folder(f, names[i]), 0644), 0);
        assert_int_equal(state_open(cx, f->dir, now_s(), &b, &why), ERR_IO);
        assert_string_equal(why.what, "others may read it: chmod 600");
        assert_int_equal(chmod(in_folder(f, names[i]), 0600), 0);
    }
}

static void lost_master_key(void **state)
{
    const struct folder *f = *state;
    AUTO(state_clear) struct state st = STATE_INIT;
    struct why why = { 0 };

    assert_int_equal(file_write(in_folder(f, "keys.db"), SPAN_LIT("x"), 0600, NULL), ERR_OK);
    assert_int_equal(state_open(cx, f->dir, now_s(), &st, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "keys.db is there, but not the master.key it needs");
    assert_int_not_equal(access(in_folder(f, "master.key"), F_OK), 0);
}

static void damaged_master_key(void **state)
{
    struct folder *f = *state;
    AUTO(state_clear) struct state a = STATE_INIT;
    struct why why = { 0 };

    assert_int_equal(file_write(in_folder(f, "master.key"), SPAN_LIT("short"), 0600, NULL), ERR_OK);
    assert_int_equal(state_open(cx, f->dir, now_s(), &a, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "master.key is not 32 bytes long");
}

/* Bytes from one engine to the other until neither has any. */
static enum err pump(struct tls *client, struct tls *server, struct why *why)
{
    enum err r = tls_start(client);

    for (int turn = 0; turn < 16 && r == ERR_OK; turn++) {
        AUTO(buf_clear) struct buf wire = BUF_INIT(65536);
        struct tls *from = turn % 2 ? server : client, *to = turn % 2 ? client : server;
        r = tls_drain(from, &wire);
        if (r == ERR_OK && wire.len)
            r = tls_feed(to, buf_view(&wire), why);
    }
    return r;
}

static enum err shake(const struct state *st, const char *region, const char *name, struct why *why)
{
    AUTO(buf_clear) struct buf chain = BUF_INIT(65536), key = BUF_INIT(65536);
    AUTO(tls_ctx_freep) struct tls_ctx *cs = NULL, *cc = NULL;
    AUTO(tls_freep) struct tls *s = NULL, *c = NULL;

    assert_int_equal(state_server_cert(cx, st, region, now_s(), &chain, &key, NULL), ERR_OK);
    assert_int_equal(tls_ctx_server(buf_view(&chain), buf_view(&key), &cs, NULL), ERR_OK);
    assert_int_equal(tls_ctx_client(buf_view(&st->ca_pem), &cc, NULL), ERR_OK);
    assert_int_equal(tls_new(cs, NULL, &s), ERR_OK);
    assert_int_equal(tls_new(cc, name, &c), ERR_OK);
    enum err r = pump(c, s, why);
    if (r == ERR_OK)
        assert_true(tls_is_open(c) && tls_is_open(s));
    return r;
}

/* A client that trusts ca.pem gets through by each name, and by no other. */
static void names(void **state)
{
    struct folder *f = *state;
    AUTO(state_clear) struct state st = STATE_INIT;
    struct why why = { 0 };

    assert_int_equal(state_open(cx, f->dir, now_s(), &st, NULL), ERR_OK);
    assert_int_equal(shake(&st, "us-east-1", "localhost", NULL), ERR_OK);
    assert_int_equal(shake(&st, "us-east-1", "127.0.0.1", NULL), ERR_OK);
    assert_int_equal(shake(&st, "us-east-1", "kms.us-east-1.amazonaws.com", NULL), ERR_OK);
    assert_int_equal(shake(&st, "cn-north-1", "kms.cn-north-1.amazonaws.com.cn", NULL), ERR_OK);
    assert_int_equal(shake(&st, "us-iso-east-1", "kms.us-iso-east-1.c2s.ic.gov", NULL), ERR_OK);
    assert_int_equal(shake(&st, "us-east-1", "kms.eu-west-1.amazonaws.com", &why), ERR_VERIFY);
    assert_int_equal(shake(&st, "us-east-1", "example.org", &why), ERR_VERIFY);
}

static void partitions(void **state)
{
    (void)state;
    assert_string_equal(state_partition("eu-west-1").name, "aws");
    assert_string_equal(state_partition("us-gov-west-1").name, "aws-us-gov");
    assert_string_equal(state_partition("cn-north-1").name, "aws-cn");
    assert_string_equal(state_partition("us-isob-east-1").name, "aws-iso-b");
    assert_string_equal(state_partition("us-iso-east-1").dns_suffix, "c2s.ic.gov");
}

static int setup(void **state)
{
    (void)state;
    umask(077);
    return crypto_process_init() == ERR_OK && crypto_new(&cx) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    crypto_free(cx);
    return 0;
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, folder_up, folder_down)
    const struct CMUnitTest tests[] = {
        CASE(made_once),
        CASE(in_use),
        CASE(secrets_that_others_read),
        CASE(lost_master_key),
        CASE(damaged_master_key),
        CASE(names),
        cmocka_unit_test(partitions),
    };

    return cmocka_run_group_tests_name("kms_state", tests, setup, teardown);
}
