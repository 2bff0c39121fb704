/* test_keystore.h - for tests: the real store in memory, with a switch that makes it fail. */
#ifndef LOCALKMS_TEST_KEYSTORE_H
#define LOCALKMS_TEST_KEYSTORE_H

#include "localkms/keystore_in.h"
#include "localkms/keystore_sqlite.h"

struct test_keystore {
    struct keystore_sqlite *db;
    struct keystore inner;
    unsigned finds;
};

#define TEST_KEYSTORE_FAILS "interrupted (SQLite result 9)"

/* A new, empty one. Aborts if it cannot. */
void test_keystore_open(struct test_keystore *s);
void test_keystore_close(struct test_keystore *s);
struct keystore test_keystore_interface(struct test_keystore *s);
/* Every statement fails from now on, until it is mended. */
void test_keystore_break(struct test_keystore *s, bool broken);
/* One statement with the id of a key in place of "?". Aborts if it fails. */
void test_keystore_sql(struct test_keystore *s, const char *sql, const char *key_id);
unsigned test_keystore_keys(struct test_keystore *s);

#endif
