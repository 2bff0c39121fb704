/* seqpacket.h - a server on a Unix socket of packets: one request, one response, many clients.
 *
 * Requests are answered on the loop, one after the other, in the order in which clients are
 * readable: no client has two before another has its one. A client that does not take its responses
 * is dropped when its socket is full.
 */
#ifndef IO_SEQPACKET_H
#define IO_SEQPACKET_H

#include "io/loop.h"

struct seqpacket;

struct seqpacket_options {
    const char *path;     /* a missing folder is made with 0700; the socket has 0600 */
    unsigned clients_max; /* one more is closed at once */
    size_t request_max;   /* bytes; a longer request is handed over cut to one byte more */
    size_t response_max;
    /* Append the response. None: the client is dropped. Not to free the server. */
    void (*ask)(struct span request, struct buf *response, void *arg);
    void *arg;
};

/* A stale socket file is replaced; one that somebody answers on is ERR_IO, as is any other file.
 * ERR_LIMIT (path), ERR_NOMEM. */
MUST_USE enum err seqpacket_new(struct loop *l, const struct seqpacket_options *o,
                                struct seqpacket **out, struct why *why);
unsigned seqpacket_clients(const struct seqpacket *s);
/* Drops the clients and removes the socket's file if it is still ours. Before loop_free(). NULL is
 * fine. */
void seqpacket_free(struct seqpacket *s);

#endif
