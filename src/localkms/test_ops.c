#include "localkms/test_ops.h"

struct api api;

int ops_up(void **state)
{
    (void)state;
    if (crypto_process_init() != ERR_OK)
        return -1;
    api_up(&api, SPAN_LIT("no root is asked for here"), CMS_FORM_A);
    return 0;
}

int ops_down(void **state)
{
    (void)state;
    api_down(&api);
    return 0;
}

void does(const char *operation, const char *body, const char *part)
{
    api_does(&api, operation, body, part);
}

void refuses(const char *operation, const char *body, const char *type, const char *message)
{
    api_refuses(&api, operation, body, type, message);
}

unsigned count(const char *text)
{
    unsigned n = 0;

    for (size_t at = 0; at + strlen(text) <= api.body.len; at++)
        n += memcmp(api.body.ptr + at, text, strlen(text)) == 0;
    return n;
}
