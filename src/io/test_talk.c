#include "io/talk.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "testing/t.h"

/* Each call that is interrupted this many times before it goes through. */
static int interrupt_recv, interrupt_send, interrupt_ppoll;

ssize_t __real_recv(int fd, void *to, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *to, size_t n, int flags);
ssize_t __real_send(int fd, const void *from, size_t n, int flags);
ssize_t __wrap_send(int fd, const void *from, size_t n, int flags);
int __real_ppoll(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *s);
int __wrap_ppoll(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *s);

static bool interrupted(int *left)
{
    if (*left <= 0)
        return false;
    --*left;
    errno = EINTR;
    return true;
}

ssize_t __wrap_recv(int fd, void *to, size_t n, int flags)
{
    return interrupted(&interrupt_recv) ? -1 : __real_recv(fd, to, n, flags);
}

ssize_t __wrap_send(int fd, const void *from, size_t n, int flags)
{
    return interrupted(&interrupt_send) ? -1 : __real_send(fd, from, n, flags);
}

int __wrap_ppoll(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *s)
{
    return interrupted(&interrupt_ppoll) ? -1 : __real_ppoll(p, n, t, s);
}

struct pair {
    int ours, theirs;
    struct buf in;
    bool is_broken, eof;
    struct why why;
};

static struct pair pair_make(void)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    return (struct pair){ .ours = fds[0], .theirs = fds[1], .in = BUF_INIT(1 << 20) };
}

static void pair_end(struct pair *p)
{
    fd_close(&p->ours);
    fd_close(&p->theirs);
    buf_clear(&p->in);
}

static enum err step(struct pair *p, struct span *out, uint64_t ms)
{
    return talk_step(p->ours, out, &p->in, &p->is_broken, &p->eof, clock_mono_ns() + ms * NS_PER_MS,
                     &p->why);
}

static void quiet(void **state)
{
    (void)state;
    AUTO(pair_end) struct pair p = pair_make();

    interrupt_ppoll = 3;
    assert_true(talk_is_quiet(p.ours));
    assert_int_equal(interrupt_ppoll, 0);
    assert_int_equal(write(p.theirs, "x", 1), 1);
    assert_false(talk_is_quiet(p.ours)); /* nobody asked for that */
    char c;
    assert_int_equal(read(p.ours, &c, 1), 1);
    assert_true(talk_is_quiet(p.ours));
    fd_close(&p.theirs);
    assert_false(talk_is_quiet(p.ours));
}

static void out_and_in(void **state)
{
    (void)state;
    AUTO(pair_end) struct pair p = pair_make();
    struct span out = SPAN_LIT("question");
    char got[16];

    interrupt_recv = interrupt_send = interrupt_ppoll = 2;
    assert_int_equal(step(&p, &out, 5000), ERR_OK);
    assert_int_equal(out.len, 0);
    assert_int_equal(interrupt_recv + interrupt_send + interrupt_ppoll, 0);
    assert_int_equal(read(p.theirs, got, sizeof got), 8);
    assert_int_equal(write(p.theirs, "answer", 6), 6);
    assert_int_equal(step(&p, &out, 5000), ERR_OK);
    t_assert_buf(&p.in, "answer");
    assert_false(p.eof);
    fd_close(&p.theirs);
    assert_int_equal(step(&p, &out, 5000), ERR_OK);
    assert_true(p.eof);
}

/* More than the socket holds: it blocks, and then the time is over, or an answer comes before the
 * rest is gone. */
static void early_answer(void **state)
{
    (void)state;
    AUTO(pair_end) struct pair p = pair_make();
    AUTO(buf_clear) struct buf large = BUF_INIT(8 << 20);
    uint8_t *room;

    assert_int_equal(buf_reserve(&large, large.max, &room), ERR_OK);
    memset(room, 'a', large.max);
    buf_commit(&large, large.max);
    struct span out = buf_view(&large);
    enum err r = ERR_OK;
    while (r == ERR_OK)
        r = step(&p, &out, 50);
    assert_int_equal(r, ERR_TIMEOUT);
    assert_string_equal(p.why.what, "timed out");
    assert_true(out.len > 0);
    assert_int_equal(write(p.theirs, "too large", 9), 9);
    assert_int_equal(step(&p, &out, 5000), ERR_OK);
    t_assert_buf(&p.in, "too large");
    assert_true(out.len > 0);
}

/* The peer is gone: no signal, no error yet, and what it said before still comes. */
static void broken(void **state)
{
    (void)state;
    AUTO(pair_end) struct pair p = pair_make();
    struct span out = SPAN_LIT("question");

    assert_int_equal(shutdown(p.theirs, SHUT_RD), 0);
    assert_int_equal(step(&p, &out, 5000), ERR_OK);
    assert_true(p.is_broken);
    assert_int_equal(out.len, 0);
    assert_int_equal(write(p.theirs, "no", 2), 2);
    assert_int_equal(step(&p, &out, 5000), ERR_OK);
    t_assert_buf(&p.in, "no");
}

static void limits(void **state)
{
    (void)state;
    AUTO(pair_end) struct pair p = pair_make();
    struct span out = SPAN_EMPTY;

    p.in = BUF_INIT(TALK_PIECE_BYTES); /* just enough for one piece */
    assert_int_equal(write(p.theirs, "x", 1), 1);
    assert_int_equal(step(&p, &out, 5000), ERR_OK);
    assert_int_equal(write(p.theirs, "x", 1), 1);
    assert_int_equal(step(&p, &out, 5000), ERR_LIMIT);
    assert_string_equal(p.why.what, "no room to read into");
    assert_int_equal(p.in.len, 1);
    assert_int_equal(talk_step(-1, &out, &p.in, &p.is_broken, &p.eof, clock_mono_ns(), &p.why),
                     ERR_TIMEOUT); /* poll passes over it */
}

static sem_t taken, enough;

static void *hold(void *arg)
{
    struct talk_turn *turn = arg;

    assert_int_equal(talk_turn_take(turn, clock_mono_ns() + 20 * NS_PER_S), ERR_OK);
    sem_post(&taken);
    sem_wait(&enough);
    usleep(150000); /* meanwhile the other one waits */
    talk_turn_leave(turn);
    return NULL;
}

static void *hold_a_little(void *arg)
{
    struct talk_turn *turn = arg;

    assert_int_equal(talk_turn_take(turn, clock_mono_ns() + 20 * NS_PER_S), ERR_OK);
    usleep(1000);
    talk_turn_leave(turn);
    return NULL;
}

static void turns(void **state)
{
    (void)state;
    struct talk_turn turn;
    pthread_t other;

    assert_int_equal(talk_turn_init(&turn), ERR_OK);
    assert_int_equal(talk_turn_take(&turn, clock_mono_ns()),
                     ERR_OK); /* free: time is not looked at */
    assert_int_equal(talk_turn_take(&turn, clock_mono_ns() + 20 * NS_PER_MS), ERR_TIMEOUT);
    assert_int_equal(talk_turn_take(&turn, 0),
                     ERR_TIMEOUT); /* nor is it taken by having been tried */
    talk_turn_leave(&turn);
    assert_true(sem_init(&taken, 0, 0) == 0 && sem_init(&enough, 0, 0) == 0);
    assert_int_equal(pthread_create(&other, NULL, hold, &turn), 0);
    assert_int_equal(sem_wait(&taken), 0);
    assert_int_equal(talk_turn_take(&turn, clock_mono_ns() + 20 * NS_PER_MS), ERR_TIMEOUT);
    sem_post(&enough);
    assert_int_equal(talk_turn_take(&turn, clock_mono_ns() + 20 * NS_PER_S), ERR_OK);
    talk_turn_leave(&turn);
    pthread_join(other, NULL);
    talk_turn_clear(&turn);
    sem_destroy(&taken);
    sem_destroy(&enough);
}

static unsigned n_taken;
static bool is_enough;

/* Takes it again as soon as it has left it, as a thread does that makes one call after another. */
static void *take_again(void *arg)
{
    struct talk_turn *turn = arg;

    while (!__atomic_load_n(&is_enough, __ATOMIC_SEQ_CST)) {
        assert_int_equal(talk_turn_take(turn, clock_mono_ns() + 20 * NS_PER_S), ERR_OK);
        __atomic_add_fetch(&n_taken, 1, __ATOMIC_SEQ_CST);
        for (volatile unsigned i = 0; i < 20000; i++) {
        }
        talk_turn_leave(turn);
    }
    return NULL;
}

static void who_waits_is_next(void **state)
{
    (void)state;
    struct talk_turn turn;
    pthread_t other;

    assert_int_equal(talk_turn_init(&turn), ERR_OK);
    n_taken = 0;
    is_enough = false;
    assert_int_equal(pthread_create(&other, NULL, take_again, &turn), 0);
    while (__atomic_load_n(&n_taken, __ATOMIC_SEQ_CST) == 0)
        usleep(100);
    for (unsigned i = 0; i < 1000; i++) {
        unsigned before = __atomic_load_n(&n_taken, __ATOMIC_SEQ_CST);
        assert_int_equal(talk_turn_take(&turn, clock_mono_ns() + 20 * NS_PER_S), ERR_OK);
        unsigned meanwhile = __atomic_load_n(&n_taken, __ATOMIC_SEQ_CST) - before;
        talk_turn_leave(&turn);
        usleep(100);                      /* the other one has it by now */
        assert_in_range(meanwhile, 0, 2); /* one may have begun before we came */
    }
    __atomic_store_n(&is_enough, true, __ATOMIC_SEQ_CST);
    pthread_join(other, NULL);
    talk_turn_clear(&turn);
}

/* One that gives up waiting takes nothing with it. */
static void who_gave_up(void **state)
{
    (void)state;
    struct talk_turn turn;
    pthread_t other;

    assert_int_equal(talk_turn_init(&turn), ERR_OK);
    for (unsigned i = 0; i < 200; i++) { /* it may come free at the very moment */
        assert_int_equal(pthread_create(&other, NULL, hold_a_little, &turn), 0);
        usleep(500);
        if (talk_turn_take(&turn, clock_mono_ns() + 1000 * (uint64_t)(400 + i)) == ERR_OK)
            talk_turn_leave(&turn);
        pthread_join(other, NULL);
        assert_int_equal(talk_turn_take(&turn, clock_mono_ns()), ERR_OK);
        talk_turn_leave(&turn);
    }
    talk_turn_clear(&turn);
}

/* Each of three descriptors by itself, after interruptions; and none in time. */
static void several(void **state)
{
    (void)state;
    struct pair p = pair_make();
    int input[2], stop[2];
    unsigned ready = 77;
    uint64_t soon = clock_mono_ns() + 30 * NS_PER_MS;

    assert_true(pipe(input) == 0 && pipe(stop) == 0);
    assert_int_equal(talk_wait(p.ours, false, input[0], stop[0], soon, &ready, &p.why),
                     ERR_TIMEOUT);
    assert_int_equal(ready, 77);
    assert_true(clock_mono_ns() >= soon);
    assert_int_equal(talk_wait(p.ours, true, input[0], stop[0], 0, &ready, &p.why), ERR_OK);
    assert_int_equal(ready, TALK_PEER); /* it takes something */
    interrupt_ppoll = 3;
    assert_int_equal(write(input[1], ".", 1), 1);
    assert_int_equal(talk_wait(p.ours, false, input[0], -1, 0, &ready, &p.why), ERR_OK);
    assert_int_equal(ready, TALK_INPUT);
    assert_int_equal(interrupt_ppoll, 0);
    assert_int_equal(write(stop[1], ".", 1), 1);
    assert_int_equal(write(p.theirs, ".", 1), 1);
    assert_int_equal(talk_wait(p.ours, false, input[0], stop[0], 0, &ready, &p.why), ERR_OK);
    assert_int_equal(ready, TALK_PEER | TALK_INPUT | TALK_STOP);
    for (size_t i = 0; i < 2; i++) {
        close(input[i]);
        close(stop[i]);
    }
    pair_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quiet),        cmocka_unit_test(out_and_in),
        cmocka_unit_test(early_answer), cmocka_unit_test(broken),
        cmocka_unit_test(limits),       cmocka_unit_test(turns),
        cmocka_unit_test(several),      cmocka_unit_test(who_waits_is_next),
        cmocka_unit_test(who_gave_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
