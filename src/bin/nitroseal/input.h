/* input.h - what a command reads: a file, or standard input; its first bytes can be looked at. */
#ifndef BIN_NITROSEAL_INPUT_H
#define BIN_NITROSEAL_INPUT_H

#include "bin/nitroseal/armor.h"
#include "bin/nitroseal/fault.h"

struct input {
    int fd;
    bool owned;
    const char *name; /* for messages */
    bool regular;     /* a file whose size is known */
    uint64_t size;    /* of `regular`: bytes from where it is read */
    long long from;   /* where that is; -1: nowhere to go back to */
    struct buf start; /* looked at already, and still to be read */
    bool ended;       /* the descriptor has no more */
};
#define INPUT_CLOSED ((struct input){ .fd = -1, .start = BUF_INIT(INPUT_PEEK_BYTES) })
void input_close(struct input *in);

/* `path` NULL or "-": standard input. A folder is refused. CLI_OK or CLI_FILE. */
MUST_USE int input_open(const char *path, struct input *in, struct cli_fault *f);
/* Nothing but a regular file, no link to one; never waits for somebody. CLI_OK or CLI_FILE. */
MUST_USE int input_open_file(const char *path, struct input *in, struct cli_fault *f);
/* A text that stays. */
MUST_USE int input_text(const char *text, struct input *in, struct cli_fault *f);
/* Read again from the start; false: that cannot be done. */
bool input_rewind(struct input *in);
/* Fill `start`, as far as there is so much. CLI_OK or CLI_FILE. */
MUST_USE int input_peek(struct input *in, struct cli_fault *f);
/* Up to `room` bytes: what is in `start` first; *n 0: the end. Waits where it has to. ERR_IO. */
MUST_USE enum err input_read(struct input *in, uint8_t *into, size_t room, size_t *n,
                             struct why *why);
/* All that is left, appended. CLI_OK or CLI_FILE. */
MUST_USE int input_read_all(struct input *in, struct buf *out, struct cli_fault *f);
int input_failed(const struct input *in, const char *what, struct cli_fault *f);

#endif
