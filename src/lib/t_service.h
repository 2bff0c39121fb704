/* t_service.h - a service played by a thread on a Unix socket, for unit tests of the library. */
#ifndef LIB_T_SERVICE_H
#define LIB_T_SERVICE_H

#include <nitroseal.h>
#include <pthread.h>

#include "testing/t.h"

enum { T_REQUESTS_MAX = 16 };

/* What it does with one request: reads it (or not), answers, and keeps or closes the
 * connection. */
struct t_turn {
    const char *answer;
    bool unread, close, silent;
};

extern struct t_service {
    int listener;
    char path[64], address[80];
    pthread_t thread;
    struct t_turn turns[T_REQUESTS_MAX];
    unsigned n_turns, n_done, n_connections;
    struct buf requests[T_REQUESTS_MAX];
    int stop[2];
} t_service;

/* Setup and teardown of a test. */
int t_service_make(void **state);
int t_service_end(void **state);
void t_service_turns(unsigned n, const struct t_turn *t);
struct nitroseal *t_service_handle(void);

#define HEALTHY "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
#define PROBLEM(status, length, json)                                                              \
    "HTTP/1.1 " status "\r\ncontent-type: application/problem+json\r\ncontent-length: " length     \
    "\r\n\r\n" json

#endif
