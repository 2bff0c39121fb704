#include "base/err.h"

const char *err_name(enum err r)
{
    switch (r) {
    case ERR_OK:
        return "ok";
    case ERR_MORE:
        return "incomplete";
    case ERR_MALFORMED:
        return "malformed";
    case ERR_LIMIT:
        return "limit";
    case ERR_UNSUPPORTED:
        return "unsupported";
    case ERR_VERIFY:
        return "verify";
    case ERR_DENIED:
        return "denied";
    case ERR_CRYPTO:
        return "crypto";
    case ERR_NOMEM:
        return "nomem";
    case ERR_IO:
        return "io";
    case ERR_TIMEOUT:
        return "timeout";
    case ERR_INTERNAL:
        return "internal";
    }
    return "unknown";
}
