#include <stdio.h>
#include <stdlib.h>

#include "base/hex.h"
#include "io/nsm_dev.h"
#include "nsm/nsm.h"
#include "probe.h"

static int one(struct nsm_dev *nsm, uint16_t index)
{
    AUTO(buf_clear) struct buf request = BUF_INIT(NSM_REQUEST_MAX);
    AUTO(buf_clear) struct buf response = BUF_INIT(NSM_RESPONSE_MAX);
    AUTO(buf_clear) struct buf hex = BUF_INIT(2 * NSM_PCR_BYTES + 1);
    const struct nsm_request ask = { .op = NSM_DESCRIBE_PCR, .index = index };
    struct nsm_response rs;
    struct why why = { 0 };

    if (nsm_request_write(&ask, &request) != ERR_OK ||
        nsm_dev_ask(nsm, buf_view(&request), &response, 0, &why) != ERR_OK ||
        nsm_response_parse(buf_view(&response), NSM_DESCRIBE_PCR, &rs, &why) != ERR_OK ||
        rs.error != NSM_SUCCESS || hex_append(&hex, rs.data) != ERR_OK) {
        printf("PCR%u: %s\n", index, why.what ? why.what : "not told");
        return 1;
    }
    printf("PCR%u = %s %s\n", index, buf_cstr(&hex), rs.lock ? "locked" : "unlocked");
    return 0;
}

int probe_pcrs(int n, char **which)
{
    struct nsm_dev *nsm = NULL;
    struct why why = { 0 };
    int status = 0;

    if (nsm_dev_open("/dev/nsm", &nsm, &why) != ERR_OK) {
        printf("/dev/nsm: %s\n", why.what);
        return 1;
    }
    for (int i = 0; i < n; i++)
        status |= one(nsm, (uint16_t)strtoul(which[i], NULL, 10));
    nsm_dev_close(nsm);
    return status;
}
