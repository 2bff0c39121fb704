/* keystore_sqlite.h - keys in one SQLite file: write-ahead log, synchronous=FULL, one connection
 * that both reads and writes. A change that was acknowledged survives kill -9 and loss of power.
 *
 * The one part of localkms that does I/O. The file's permissions are the caller's: SQLite gives its
 * log files those of the database, so the program makes the file 0600 first.
 */
#ifndef LOCALKMS_KEYSTORE_SQLITE_H
#define LOCALKMS_KEYSTORE_SQLITE_H

#include "localkms/keystore.h"

struct keystore_sqlite;

/* 1: keys had no kind. 2: no usage, life cycle, aliases, tags and grants. Both are brought up to
 * date when opened; what is newer is refused. */
enum { KEYSTORE_SCHEMA = 3 };

/* Opens or makes the database. ERR_IO (SQLite's reason in *why), ERR_UNSUPPORTED: the file is of a
 * newer schema, ERR_MALFORMED: a file of something else. */
MUST_USE enum err keystore_sqlite_open(const char *path, struct keystore_sqlite **out,
                                       struct why *why);
void keystore_sqlite_close(struct keystore_sqlite *s); /* NULL is fine */
struct keystore keystore_sqlite_interface(struct keystore_sqlite *s);

/* Copy the whole database, as it is at one moment, into the file at `path`, which is there and
 * empty; what goes on with the store waits meanwhile. ERR_IO. */
MUST_USE enum err keystore_sqlite_backup(struct keystore_sqlite *s, const char *path,
                                         struct why *why);

#endif
