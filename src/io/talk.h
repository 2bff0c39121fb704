/* talk.h - a request out and an answer in over one blocking connection, both at once: whoever
 * refuses a request answers before it has all of it, and does not read on. */
#ifndef IO_TALK_H
#define IO_TALK_H

#include <pthread.h>

#include "io/sys.h"

enum { TALK_PIECE_BYTES = 65536 };

/* Between requests: the peer has neither closed the connection nor sent what nobody asked for. */
MUST_USE bool talk_is_quiet(int fd);

/* Wait until something can move, then send from the front of *out what goes, and append to `in`
 * what is there, at most TALK_PIECE_BYTES. Returns after either. *is_broken: the peer takes no more
 * (*out is empty then; its answer may still come). *eof: nothing more will come. No signal is
 * raised. ERR_TIMEOUT, ERR_IO, ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err talk_step(int fd, struct span *out, struct buf *in, bool *is_broken, bool *eof,
                            uint64_t deadline_ns, struct why *why);

/* For who moves a stream in one direction while the other stands still. */
enum { TALK_PEER = 1, TALK_INPUT = 2, TALK_STOP = 4 };
/* Wait until the peer has something or, if `sends`, takes something, or one of two other
 * descriptors is readable (-1: none); *ready: a sum of the above. ERR_TIMEOUT, ERR_IO. */
MUST_USE enum err talk_wait(int fd, bool sends, int input_fd, int stop_fd, uint64_t deadline_ns,
                            unsigned *ready, struct why *why);
/* Without waiting: ERR_MORE where nothing goes now. As talk_step() for the rest. */
MUST_USE enum err talk_send(int fd, struct span *out, bool *is_broken, struct why *why);
MUST_USE enum err talk_receive(int fd, uint8_t *into, size_t room, size_t *n, struct why *why);

/* Threads that share one connection take turns: who leaves hands it to one that waits. A lock with
 * a time limit of its own (pthread_mutex_clocklock) would do, but ThreadSanitizer of clang 14 does
 * not know it. */
struct talk_turn {
    pthread_mutex_t lock;
    pthread_cond_t left;
    bool is_taken, is_handed; /* handed: to whoever of those that wait is awake first */
    unsigned n_waiting;
};
/* ERR_NOMEM. */
MUST_USE enum err talk_turn_init(struct talk_turn *t);
void talk_turn_clear(struct talk_turn *t);
/* ERR_TIMEOUT. */
MUST_USE enum err talk_turn_take(struct talk_turn *t, uint64_t deadline_ns);
void talk_turn_leave(struct talk_turn *t);

#endif
