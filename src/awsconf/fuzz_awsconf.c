#include "awsconf/awsconf.h"

#include <stdlib.h>

static void inside(struct span s, struct span text)
{
    if (s.len > 0 && (s.ptr < text.ptr || s.ptr + s.len > text.ptr + text.len))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of(data, size);

    for (int kind = AWSCONF_CREDENTIALS; kind <= AWSCONF_CONFIG; kind++) {
        struct awsconf_profile p = { 0 };
        struct why why = { 0 };
        if (awsconf_profile_read(text, (enum awsconf_kind)kind, SPAN_LIT("default"), &p, &why)) {
            if (!why.what || why.at > size || awsconf_line_of(text, why.at) > size + 1)
                abort();
            continue;
        }
        inside(p.access_key_id, text);
        inside(p.secret_access_key, text);
        inside(p.session_token, text);
        inside(p.region, text);
        inside(p.process, text);
        if (!p.found && p.access_key_id.len)
            abort();
    }
    struct span url = SPAN_EMPTY;
    if (awsconf_service_url(text, SPAN_LIT("s"), "kms", &url, NULL) == ERR_OK)
        inside(url, text);
    return 0;
}
