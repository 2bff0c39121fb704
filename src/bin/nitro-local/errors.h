/* errors.h - nitro-cli's error codes: what they are called, how they are printed and explained.
 *
 * Source: reference nitro-cli.md section 9 (document_errors.rs). The exit status is the code's
 * number. Our texts are our own; codes that can not come up here are explained all the same.
 */
#ifndef BIN_NITRO_LOCAL_ERRORS_H
#define BIN_NITRO_LOCAL_ERRORS_H

#include "base/buf.h"

enum code {
    E_NONE = -1,
    E00_UNSPECIFIED = 0,
    E01_MISSING_ARGUMENT = 1,
    E02_CONFLICTING_ARGUMENTS = 2,
    E03_INVALID_ARGUMENT = 3,
    E05_SPAWN = 5,
    E07_READ_FROM_DISK = 7,
    E11_SOCKET = 11,
    E17_SERIALIZATION = 17,
    E19_FILE = 19,
    E20_DUPLICATE_CPU = 20,
    E21_CPU_NOT_IN_POOL = 21,
    E22_NOT_ENOUGH_CPUS = 22,
    E26_MEMORY_TOO_SMALL = 26,
    E27_NOT_ENOUGH_MEMORY = 27,
    E29_IOCTL = 29,
    E35_EIF_PARSING = 35,
    E36_BOOT = 36,
    E39_NOT_REACHED = 39,
    E44_CONSOLE = 44,
    E45_CONSOLE_READ = 45,
    E46_CONSOLE_WRITE = 46,
    E47_INTEGER = 47,
    E48_EIF_BUILDING = 48,
    E49_DOCKER_BUILD = 49,
    E50_DOCKER_PULL = 50,
    E58_NAME = 58,
    E59_SIGNATURE = 59,
    E60_SIGNING = 60,
    CODES = 61,
};

enum { STATUS_OK = 0, STATUS_USAGE = 2, FAULT_MAX_BYTES = 2048, FAULT_MORE_BYTES = 65536 };

struct fault {
    enum code code;
    struct buf text; /* one paragraph */
    struct buf more; /* for the error's log only: the console's end */
    const char *file;
    unsigned line;
};
#define FAULT_INIT                                                                                 \
    ((struct fault){                                                                               \
        .code = E_NONE, .text = BUF_INIT(FAULT_MAX_BYTES), .more = BUF_INIT(FAULT_MORE_BYTES) })
void fault_clear(struct fault *f);
/* Sets code and text. Returns the exit status. */
#define fault_set(f, code, ...) fault_set_at((f), (code), __FILE__, __LINE__, __VA_ARGS__)
int fault_set_at(struct fault *f, enum code code, const char *file, unsigned line, const char *fmt,
                 ...) __attribute__((format(printf, 5, 6)));
/* On stderr, in nitro-cli's form, with a log of its own in the log folder; `action` is what was
 * being done ("Run Enclave"). Returns the exit status. */
int fault_print(const struct fault *f, const char *action, int argc, char *const *argv);

/* "E26"; false for what is no code. Leading zeros as nitro-cli prints them. */
bool code_parse(const char *text, enum code *out);
/* The meaning in a few words, and what to do about it here. */
const char *code_meaning(enum code c);
const char *code_advice(enum code c);

#endif
