#include "testing/t.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "boot/boot.h"

static const struct conf_row {
    const char *name;
    struct span file;
    enum err want;
    bool early, restart;
    const char *what;
    size_t at;
} conf_rows[] = {
    { "conf: absent or empty", SPAN_INIT(""), ERR_OK, false, false, NULL, 0 },
    { "conf: both", SPAN_INIT("heartbeat=early\nrestart=always\n"), ERR_OK, true, true, NULL, 0 },
    { "conf: the defaults by name, no last LF", SPAN_INIT("restart=never\nheartbeat=late"), ERR_OK,
      false, false, NULL, 0 },
    { "conf: unknown name", SPAN_INIT("restart=always\nrestarts=3\n"), ERR_UNSUPPORTED, false,
      false, "a setting that this init does not know (heartbeat, restart)", 15 },
    { "conf: unknown heartbeat", SPAN_INIT("heartbeat=never\n"), ERR_UNSUPPORTED, false, false,
      "heartbeat is late or early", 0 },
    { "conf: unknown restart", SPAN_INIT("restart=\n"), ERR_UNSUPPORTED, false, false,
      "restart is never or always", 0 },
    { "conf: case matters", SPAN_INIT("restart=Always\n"), ERR_UNSUPPORTED, false, false,
      "restart is never or always", 0 },
    { "conf: twice", SPAN_INIT("restart=never\nrestart=never\n"), ERR_MALFORMED, false, false,
      "a setting is there twice", 14 },
    { "conf: no value", SPAN_INIT("restart\n"), ERR_MALFORMED, false, false,
      "a line is not name=value", 0 },
    { "conf: an empty line", SPAN_INIT("restart=never\n\n"), ERR_MALFORMED, false, false,
      "a line is not name=value", 14 },
};

static void conf_row(void **state)
{
    const struct conf_row *row = *state;
    struct boot_conf out = { .heartbeat_early = true, .restart = true };
    struct why why = { 0 };

    assert_int_equal(boot_conf_parse(row->file, &out, &why), row->want);
    if (row->want == ERR_OK) {
        assert_int_equal(out.heartbeat_early, row->early);
        assert_int_equal(out.restart, row->restart);
        return;
    }
    assert_string_equal(why.what, row->what);
    assert_int_equal(why.at, row->at);
    assert_true(out.heartbeat_early && out.restart); /* untouched */
}

static const struct user_row {
    const char *name;
    struct span file;
    enum err want;
    uint32_t uid, gid;
    size_t groups;
} user_rows[] = {
    { "user: two numbers", SPAN_INIT("1000:100\n"), ERR_OK, 1000, 100, 0 },
    { "user: root, no LF", SPAN_INIT("0:0"), ERR_OK, 0, 0, 0 },
    { "user: groups", SPAN_INIT("1:2,3,4\n"), ERR_OK, 1, 2, 2 },
    { "user: the largest", SPAN_INIT("4294967294:4294967294\n"), ERR_OK, 4294967294, 4294967294,
      0 },
    { "user: one past the largest", SPAN_INIT("4294967295:0\n"), ERR_LIMIT, 0, 0, 0 },
    { "user: group one past the largest", SPAN_INIT("0:4294967295\n"), ERR_LIMIT, 0, 0, 0 },
    { "user: a name", SPAN_INIT("app:app\n"), ERR_MALFORMED, 0, 0, 0 },
    { "user: no group", SPAN_INIT("1000\n"), ERR_MALFORMED, 0, 0, 0 },
    { "user: empty group", SPAN_INIT("1000:\n"), ERR_MALFORMED, 0, 0, 0 },
    { "user: empty last group", SPAN_INIT("1000:1,\n"), ERR_MALFORMED, 0, 0, 0 },
    { "user: a sign", SPAN_INIT("-1:0\n"), ERR_MALFORMED, 0, 0, 0 },
    { "user: a blank", SPAN_INIT("1:0 \n"), ERR_MALFORMED, 0, 0, 0 },
    { "user: two lines", SPAN_INIT("1:0\n1:0\n"), ERR_MALFORMED, 0, 0, 0 },
    { "user: empty", SPAN_INIT("\n"), ERR_MALFORMED, 0, 0, 0 },
};

static void user_row(void **state)
{
    const struct user_row *row = *state;
    struct boot_user out = { .uid = 77 };
    struct why why = { 0 };

    assert_int_equal(boot_user_parse(row->file, &out, &why), row->want);
    if (row->want != ERR_OK) {
        assert_int_equal(out.uid, 77);
        assert_non_null(why.what);
        return;
    }
    assert_int_equal(out.uid, row->uid);
    assert_int_equal(out.gid, row->gid);
    assert_int_equal(out.n_groups, row->groups);
    for (size_t i = 0; i < out.n_groups; i++)
        assert_int_equal(out.groups[i], 3 + i);
}

static void user_groups_limit(void **state)
{
    AUTO(buf_clear) struct buf file = BUF_INIT(1024);
    struct boot_user out;
    struct why why = { 0 };

    (void)state;
    assert_int_equal(buf_append_str(&file, "1:2"), ERR_OK);
    for (int i = 0; i < BOOT_GROUPS_MAX; i++)
        assert_int_equal(buf_printf(&file, ",%d", i), ERR_OK);
    assert_int_equal(boot_user_parse(buf_view(&file), &out, &why), ERR_OK);
    assert_int_equal(out.n_groups, BOOT_GROUPS_MAX);
    assert_int_equal(buf_append_str(&file, ",9"), ERR_OK);
    assert_int_equal(boot_user_parse(buf_view(&file), &out, &why), ERR_LIMIT);
    assert_string_equal(why.what, "more than 64 groups");
}

static void workdir(void **state)
{
    static char out[BOOT_PATH_MAX + 1] = "untouched", longest[BOOT_PATH_MAX + 1];
    struct why why = { 0 };

    (void)state;
    assert_int_equal(boot_workdir_parse(SPAN_LIT("app\n"), out, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "not an absolute path");
    assert_int_equal(boot_workdir_parse(SPAN_LIT("/a\n/b\n"), out, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "more than one line");
    assert_int_equal(boot_workdir_parse(SPAN_LIT(""), out, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "empty");
    assert_int_equal(boot_workdir_parse(SPAN_LIT("/a\0b\n"), out, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "a NUL");
    memset(longest, '/', sizeof longest);
    assert_int_equal(boot_workdir_parse(SPAN_ARRAY(longest), out, &why), ERR_LIMIT);
    assert_string_equal(out, "untouched");
    assert_int_equal(boot_workdir_parse(span_of(longest, BOOT_PATH_MAX), out, &why), ERR_OK);
    assert_int_equal(strlen(out), BOOT_PATH_MAX);
    assert_int_equal(boot_workdir_parse(SPAN_LIT("/srv/my app\n"), out, &why), ERR_OK);
    assert_string_equal(out, "/srv/my app");
}

/* The first line and the columns are Linux's (kernel/cgroup/cgroup-v1.c). */
static void cgroups(void **state)
{
    AUTO(buf_clear) struct buf many = BUF_INIT(4096);
    struct boot_cgroups out = { .n = 77 };
    struct why why = { 0 };

    (void)state;
    assert_int_equal(boot_cgroups_parse(SPAN_LIT("cpu\t0\t1\n"), &out, &why), ERR_MALFORMED);
    assert_int_equal(boot_cgroups_parse(SPAN_LIT("../x\t0\t1\t1\n"), &out, &why), ERR_MALFORMED);
    assert_int_equal(boot_cgroups_parse(SPAN_LIT("cpu\t0\t1\t2\n"), &out, &why), ERR_MALFORMED);
    assert_int_equal(out.n, 77);
    assert_int_equal(boot_cgroups_parse(SPAN_LIT("#subsys_name\thierarchy\tnum_cgroups\tenabled\n"
                                                 "cpuset\t2\t1\t1\nmemory\t0\t1\t0\n"
                                                 "net_cls\t0\t4\t1\n"),
                                        &out, &why),
                     ERR_OK);
    assert_int_equal(out.n, 2);
    assert_string_equal(out.name[0], "cpuset");
    assert_string_equal(out.name[1], "net_cls");
    for (int i = 0; i < BOOT_CGROUPS_MAX; i++)
        assert_int_equal(buf_append_str(&many, "cpu\t0\t1\t1\n"), ERR_OK);
    assert_int_equal(boot_cgroups_parse(buf_view(&many), &out, &why), ERR_OK);
    assert_int_equal(buf_append_str(&many, "cpu\t0\t1\t1\n"), ERR_OK);
    assert_int_equal(boot_cgroups_parse(buf_view(&many), &out, &why), ERR_LIMIT);
}

static void ends(void **state)
{
    (void)state;
    assert_false(boot_end_of(3 << 8).signalled);
    assert_int_equal(boot_end_of(3 << 8).number, 3);
    assert_true(boot_end_of(SIGSEGV | 0x80).signalled); /* with a core, if there were any */
    assert_int_equal(boot_end_of(SIGSEGV | 0x80).number, SIGSEGV);
}

static void a_crash_ends_the_enclave_unless_restart_is_set(void **state)
{
    struct boot_conf conf = { .restart = false };
    unsigned row = 0;

    (void)state;
    assert_false(boot_next_of(&conf, 0, &row).restart);
    conf.restart = true;
    static const unsigned pauses[] = { 1000,  2000,  4000,  8000,  16000,
                                       32000, 60000, 60000, 60000, 60000 };
    for (unsigned i = 0; i < BOOT_RESTARTS_MAX; i++) {
        struct boot_next next = boot_next_of(&conf, BOOT_STEADY_MS - 1, &row);
        assert_true(next.restart);
        assert_int_equal(next.pause_ms, pauses[i]);
    }
    assert_false(boot_next_of(&conf, BOOT_STEADY_MS - 1, &row).restart);
    /* After a long life the row begins anew. */
    assert_int_equal(boot_next_of(&conf, BOOT_STEADY_MS, &row).pause_ms, 1000);
    assert_int_equal(row, 1);
}

int main(void)
{
    enum { CONFS = sizeof conf_rows / sizeof *conf_rows };
    enum { USERS = sizeof user_rows / sizeof *user_rows };
    enum { OTHERS = 5 };
    struct CMUnitTest tests[OTHERS + CONFS + USERS] = {
        cmocka_unit_test(user_groups_limit),
        cmocka_unit_test(workdir),
        cmocka_unit_test(cgroups),
        cmocka_unit_test(ends),
        cmocka_unit_test(a_crash_ends_the_enclave_unless_restart_is_set),
    };

    T_ROWS(tests + OTHERS, conf_rows, conf_row);
    T_ROWS(tests + OTHERS + CONFS, user_rows, user_row);
    return cmocka_run_group_tests_name("boot: files", tests, NULL, NULL);
}
