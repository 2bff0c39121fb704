#include "bin/nitroseald/entropy.h"

#include <fcntl.h>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "io/sys.h"
#include "nsm/nsm.h"

enum { ASK_MS = 5000 };

/* RNDADDENTROPY mixes and credits in one call, so the credit cannot be for bytes that were not
 * taken (random(4)). */
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
    wipe(&pool, sizeof pool);
    return failed ? why_fail(why, ERR_IO, "kernel refuses entropy (CAP_SYS_ADMIN)", 0) : ERR_OK;
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
    if (rs.data.len < 32 || rs.data.len > NSM_RANDOM_BYTES)
        return why_fail(why, ERR_MALFORMED, "NSM gave too few random bytes", 0);
    return credit(rs.data, why);
}
