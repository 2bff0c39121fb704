#include <stdlib.h>

#include "base/buf.h"
#include "io/sock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(4096);
    struct addr a = { .kind = ADDR_UNIX }, again;
    char shown[ADDR_TEXT_BYTES];

    enum err r = greeting_check(span_of(data, size));
    if ((r == ERR_MORE && size >= GREETING_MAX_BYTES) || (r == ERR_OK && data[size - 1] != '\n'))
        abort();
    if (size > 1024 || buf_append(&text, span_of(data, size)) != ERR_OK)
        return 0;
    const char *s = buf_cstr(&text);
    if (!s)
        return 0;
    if (addr_vsock(s, 1, 2, &a, NULL) == ERR_OK && a.kind == ADDR_VSOCK_UNIX && !a.path[0])
        abort();
    if (addr_tcp(s, &a, NULL) != ERR_OK)
        return 0;
    addr_text(&a, shown, sizeof(shown));
    if (addr_tcp(shown, &again, NULL) != ERR_OK || memcmp(&a, &again, sizeof(a)) != 0)
        abort();
    return 0;
}
