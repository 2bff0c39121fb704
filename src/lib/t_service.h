/* t_service.h - a service played by a thread on a Unix socket, for unit tests of the library. */
#ifndef LIB_T_SERVICE_H
#define LIB_T_SERVICE_H

#include <nitroseal.h>

#include "testing/t.h"

enum { T_REQUESTS_MAX = 16 };

/* What it does with one request: reads it (or not), answers, and keeps or closes the connection.
 * `unread` waits until the client leaves; with `close` it does not. */
struct t_turn {
    const char *answer;
    bool unread, close, silent;
};

/* Setup and teardown of a test. */
int t_service_make(void **state);
int t_service_end(void **state);
/* Its turns from now on, and what was counted and kept so far is forgotten. It looks at them when a
 * request comes, so a connection that was kept gets the new ones. */
void t_service_turns(unsigned n, const struct t_turn *t);
/* Since then: the turns that it took, and their requests, which stay until the next turns. */
unsigned t_service_done(void);
struct span t_service_request(unsigned i);
/* Since the beginning. */
unsigned t_service_connections(void);
struct nitroseal *t_service_handle(void);

#define HEALTHY "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
#define PROBLEM(status, length, json)                                                              \
    "HTTP/1.1 " status "\r\ncontent-type: application/problem+json\r\ncontent-length: " length     \
    "\r\n\r\n" json

#endif
