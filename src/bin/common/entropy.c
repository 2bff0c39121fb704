/* Source: random(4); nsm reference section 6. */
#include "bin/common/entropy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "io/sys.h"
#include "nsm/nsm.h"

enum { ASK_MS = 5000 };

/* Without the right to credit: the bytes count as much, but the kernel takes nobody's word for it.
 */
static enum err mix_only(int fd, struct span bytes, struct why *why)
{
    uint8_t probe;

    /* Not through poll(2): once the pool is ready the device never says that it wants bytes. */
    if (write(fd, bytes.ptr, bytes.len) != (ssize_t)bytes.len)
        return why_fail(why, ERR_IO, "the kernel does not take the NSM's random bytes", 0);
    return getrandom(&probe, sizeof probe, GRND_NONBLOCK) == sizeof probe
               ? ERR_OK
               : why_fail(why, ERR_IO, "the kernel's random pool is not ready", 0);
}

/* RNDADDENTROPY mixes and credits in one call, so the credit cannot be for bytes that were not
 * taken. */
static enum err credit(struct span bytes, struct why *why)
{
    union { /* the header of struct rand_pool_info, and room for what follows it */
        struct rand_pool_info info;
        uint8_t bytes[sizeof(struct rand_pool_info) + NSM_RANDOM_BYTES];
    } pool = { 0 };
    AUTO(fd_close) int fd = open("/dev/random", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return why_fail(why, ERR_IO, "/dev/random cannot be opened", 0);
    pool.info.entropy_count = (int)bytes.len * 8;
    pool.info.buf_size = (int)bytes.len;
    memcpy(pool.bytes + sizeof pool.info, bytes.ptr, bytes.len);
    int failed = ioctl(fd, RNDADDENTROPY, &pool);
    int e = errno;
    wipe(&pool, sizeof pool);
    if (failed && e == EPERM)
        return mix_only(fd, bytes, why);
    return failed ? why_fail(why, ERR_IO, "the kernel refuses the NSM's random bytes", 0) : ERR_OK;
}

enum err entropy_seed(struct nsm_dev *nsm, struct why *why)
{
    AUTO(buf_clear) struct buf request = BUF_INIT(NSM_REQUEST_MAX);
    AUTO(buf_clear) struct buf response = BUF_INIT(NSM_RESPONSE_MAX);
    const struct nsm_request ask = { .op = NSM_GET_RANDOM };
    struct nsm_response rs = { 0 };

    enum err r = nsm_request_write(&ask, &request);
    if (r == ERR_OK)
        r = nsm_dev_ask(nsm, buf_view(&request), &response, clock_mono_ns() + ASK_MS * NS_PER_MS,
                        why);
    if (r == ERR_OK)
        r = nsm_response_parse(buf_view(&response), NSM_GET_RANDOM, &rs, why);
    if (r != ERR_OK)
        return r;
    if (rs.error != NSM_SUCCESS)
        return why_fail(why, ERR_DENIED, nsm_error_name(rs.error), 0);
    if (!nsm_random_plausible(rs.data))
        return why_fail(why, ERR_MALFORMED, "the NSM's random bytes are too few or all the same",
                        0);
    return credit(rs.data, why);
}
