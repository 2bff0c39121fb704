#include "lib/handle.h"

#include <stdio.h>

#include "testing/t.h"

static const struct row {
    const char *name, *text, *environment, *want, *what;
    enum err err;
} rows[] = {
    { "vsock", "vsock:16:5000", NULL, "vsock 16:5000", NULL, ERR_OK },
    { "the environment's folder", "vsock:16:5000", "unix:/tmp/v", "vsock 16:5000 in /tmp/v", NULL,
      ERR_OK },
    { "a folder of its own", "vsock:16:5000@unix:/tmp/a@b", "unix:/tmp/v",
      "vsock 16:5000 in /tmp/a@b", NULL, ERR_OK },
    { "kernel before the environment", "vsock:16:5000@kernel", "unix:/tmp/v", "vsock 16:5000", NULL,
      ERR_OK },
    { "the largest numbers", "vsock:4294967294:4294967294", NULL, "vsock 4294967294:4294967294",
      NULL, ERR_OK },
    { "one more", "vsock:4294967295:5000", NULL, NULL, "vsock: takes CID:PORT, two numbers",
      ERR_MALFORMED },
    { "port 0", "vsock:16:0", NULL, NULL, "vsock: takes CID:PORT, two numbers", ERR_MALFORMED },
    { "no port", "vsock:16", NULL, NULL, "vsock: takes CID:PORT, two numbers", ERR_MALFORMED },
    { "no numbers", "vsock:", NULL, NULL, "vsock: takes CID:PORT, two numbers", ERR_MALFORMED },
    { "a third number", "vsock:16:5000:1", NULL, NULL, "vsock: takes CID:PORT, two numbers",
      ERR_MALFORMED },
    { "nothing after @", "vsock:16:5000@", NULL, NULL, "after @ stands kernel or unix:DIR",
      ERR_MALFORMED },
    { "another word", "vsock:16:5000@tcp", NULL, NULL, "neither kernel nor unix:DIR",
      ERR_MALFORMED },
    { "the environment's other word", "vsock:16:5000", "tcp", NULL, "neither kernel nor unix:DIR",
      ERR_MALFORMED },
    { "unix", "unix:/run/gateway.sock", NULL, "/run/gateway.sock", NULL, ERR_OK },
    { "unix without a path", "unix:", NULL, NULL, "empty path", ERR_MALFORMED },
    { "tcp", "tcp:127.0.0.1:8080", NULL, "127.0.0.1:8080", NULL, ERR_OK },
    { "all of 127/8", "tcp:127.1.2.3:8080", NULL, "127.1.2.3:8080", NULL, ERR_OK },
    { "localhost", "tcp:localhost:1", NULL, "127.0.0.1:1", NULL, ERR_OK },
    { "IPv6", "tcp:[::1]:8080", NULL, "[::1]:8080", NULL, ERR_OK },
    { "another machine", "tcp:192.0.2.1:80", NULL, NULL,
      "tcp: takes loopback addresses only, there is no TLS on the way", ERR_UNSUPPORTED },
    { "another machine, IPv6", "tcp:[2001:db8::1]:80", NULL, NULL,
      "tcp: takes loopback addresses only, there is no TLS on the way", ERR_UNSUPPORTED },
    { "every address", "tcp:0.0.0.0:80", NULL, NULL,
      "tcp: takes loopback addresses only, there is no TLS on the way", ERR_UNSUPPORTED },
    { "a name", "tcp:example.org:80", NULL, NULL, "neither a numeric address nor localhost",
      ERR_UNSUPPORTED },
    { "no port of tcp", "tcp:127.0.0.1", NULL, NULL, "no port", ERR_MALFORMED },
    { "another scheme", "http://127.0.0.1", NULL, NULL,
      "begins with none of vsock:, unix:, tcp:, plain-tcp:", ERR_MALFORMED },
    { "empty", "", NULL, NULL,
      "begins with none of vsock:, unix:, tcp:, plain-tcp:", ERR_MALFORMED },
};

static void parse_row(void **state)
{
    const struct row *row = *state;
    struct addr a = { .kind = ADDR_UNIX, .path = "untouched" };
    char text[2 * ADDR_TEXT_BYTES];
    struct why why = { 0 };

    assert_int_equal(lib_address_parse(row->text, row->environment, &a, &why), row->err);
    if (row->err != ERR_OK) {
        assert_string_equal(why.what, row->what);
        assert_string_equal(a.path, "untouched");
        return;
    }
    addr_text(&a, text, sizeof text);
    if (a.kind == ADDR_VSOCK_UNIX)
        snprintf(text + strlen(text), sizeof text - strlen(text), " in %s", a.path);
    assert_string_equal(text, row->want);
}

enum { N_ROWS = sizeof rows / sizeof rows[0] };

int main(void)
{
    struct CMUnitTest tests[N_ROWS];

    T_ROWS(tests, rows, parse_row);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
