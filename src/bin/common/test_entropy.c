/* The NSM's driver and the kernel's pool stand behind ioctl(2), which is ours here. */
#include "testing/t.h"

#include <errno.h>
#include <linux/random.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>

#include "bin/common/entropy.h"
#include "nsm/nsm.h"

int __wrap_ioctl(int fd, unsigned long request, ...);
ssize_t __wrap_getrandom(void *p, size_t n, unsigned flags);

static const unsigned long nsm_request = 0xC0200A00;

static struct {
    struct span answer; /* of the NSM */
    int credit_errno;   /* 0: the kernel takes the bytes */
    bool ready;         /* the pool */
    unsigned credits;
    int bits;
    uint8_t mixed[NSM_RANDOM_BYTES];
} world;

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    struct {
        uint64_t request_at, request_len, response_at, response_len;
    } * raw;
    const struct rand_pool_info *info;
    va_list ap;

    (void)fd;
    va_start(ap, request);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    if (request == nsm_request) {
        raw = arg;
        memcpy((void *)(uintptr_t)raw->response_at, world.answer.ptr, world.answer.len);
        raw->response_len = world.answer.len;
        return 0;
    }
    assert_int_equal(request, RNDADDENTROPY);
    info = arg;
    world.credits++;
    world.bits = info->entropy_count;
    memcpy(world.mixed, info->buf, (size_t)info->buf_size);
    errno = world.credit_errno;
    return world.credit_errno ? -1 : 0;
}

ssize_t __wrap_getrandom(void *p, size_t n, unsigned flags)
{
    assert_int_equal(flags, GRND_NONBLOCK);
    memset(p, 0, n);
    errno = EAGAIN;
    return world.ready ? (ssize_t)n : -1;
}

/* /dev/null stands for the node: what is opened is never looked at. */
static enum err seed(struct span answer, int credit_errno, bool ready, struct why *why)
{
    struct nsm_dev *nsm = NULL;

    memset(&world, 0, sizeof world);
    world.answer = answer;
    world.credit_errno = credit_errno;
    world.ready = ready;
    assert_int_equal(nsm_dev_open("/dev/null", &nsm, why), ERR_OK);
    enum err r = entropy_seed(nsm, why);
    nsm_dev_close(nsm);
    return r;
}

static void random_answer(struct buf *out, size_t n, uint8_t step)
{
    uint8_t bytes[NSM_RANDOM_BYTES] = { 0 };
    struct nsm_response rs = { .op = NSM_GET_RANDOM, .data = span_of(bytes, n) };

    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(i * step);
    buf_reset(out);
    assert_int_equal(nsm_response_write(&rs, out), ERR_OK);
}

static void bytes_are_mixed_and_credited_in_one_call(void **state)
{
    AUTO(buf_clear) struct buf answer = BUF_INIT(NSM_RESPONSE_MAX);
    struct why why = { 0 };

    (void)state;
    random_answer(&answer, NSM_RANDOM_BYTES, 7);
    assert_int_equal(seed(buf_view(&answer), 0, false, &why), ERR_OK);
    assert_int_equal(world.credits, 1);
    assert_int_equal(world.bits, NSM_RANDOM_BYTES * 8);
    for (size_t i = 0; i < NSM_RANDOM_BYTES; i++)
        assert_int_equal(world.mixed[i], (uint8_t)(i * 7));
}

static void a_dead_nsm_is_refused(void **state)
{
    AUTO(buf_clear) struct buf answer = BUF_INIT(NSM_RESPONSE_MAX);
    static const char refused[] = "\xa1\x65"
                                  "Error\x6d"
                                  "InternalError";
    struct why why = { 0 };

    (void)state;
    random_answer(&answer, NSM_RANDOM_BYTES, 0);
    assert_int_equal(seed(buf_view(&answer), 0, true, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "the NSM's random bytes are too few or all the same");
    random_answer(&answer, NSM_RANDOM_MIN - 1, 7);
    assert_int_equal(seed(buf_view(&answer), 0, true, &why), ERR_MALFORMED);
    assert_int_equal(seed(span_str(refused), 0, true, &why), ERR_DENIED);
    assert_string_equal(why.what, "InternalError");
    random_answer(&answer, NSM_RANDOM_BYTES, 7);
    assert_int_equal(seed(span_sub(buf_view(&answer), 0, answer.len - 1), 0, true, &why),
                     ERR_MALFORMED);
    assert_int_equal(world.credits, 0); /* none of them got as far */
    random_answer(&answer, NSM_RANDOM_MIN, 7);
    assert_int_equal(seed(buf_view(&answer), 0, true, &why), ERR_OK);
    assert_int_equal(world.bits, NSM_RANDOM_MIN * 8);
}

static void a_kernel_that_refuses_ends_it(void **state)
{
    AUTO(buf_clear) struct buf answer = BUF_INIT(NSM_RESPONSE_MAX);
    struct why why = { 0 };

    (void)state;
    random_answer(&answer, NSM_RANDOM_BYTES, 7);
    assert_int_equal(seed(buf_view(&answer), EFAULT, true, &why), ERR_IO);
    assert_string_equal(why.what, "the kernel refuses the NSM's random bytes");
}

static void without_the_right_to_credit_the_pool_must_be_ready(void **state)
{
    AUTO(buf_clear) struct buf answer = BUF_INIT(NSM_RESPONSE_MAX);
    struct why why = { 0 };

    (void)state;
    random_answer(&answer, NSM_RANDOM_BYTES, 7);
    assert_int_equal(seed(buf_view(&answer), EPERM, true, &why), ERR_OK);
    assert_int_equal(seed(buf_view(&answer), EPERM, false, &why), ERR_IO);
    assert_string_equal(why.what, "the kernel's random pool is not ready");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_mixed_and_credited_in_one_call),
        cmocka_unit_test(a_dead_nsm_is_refused),
        cmocka_unit_test(a_kernel_that_refuses_ends_it),
        cmocka_unit_test(without_the_right_to_credit_the_pool_must_be_ready),
    };

    return cmocka_run_group_tests_name("entropy", tests, NULL, NULL);
}
