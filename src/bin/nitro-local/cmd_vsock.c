/* nitro-local vsock: the device alone, for who starts QEMU by himself. */
#include <signal.h>
#include <stdio.h>

#include "bin/common/options.h"
#include "bin/nitro-local/commands.h"
#include "bin/nitro-local/vdev.h"
#include "io/log.h"

enum { STATUS_FAILED = 1 };

static const struct option_def options[] = {
    { "socket", 0, "PATH", NULL, NULL, "Make the vhost-user socket here, for QEMU's chardev." },
    { "enclave-cid", 0, "CID", NULL, "16", "The guest's context id." },
    { "vsock", 0, "unix:DIR", "NITROSEAL_VSOCK", NULL,
      "The folder of the sockets: the guest's connections to the parent's PORT go to 3.vsock_PORT, "
      "CID.vsock leads to the guest." },
    { 0 },
};

static const struct program_def program = {
    .name = "nitro-local vsock",
    .synopsis = "--socket PATH --vsock unix:DIR [--enclave-cid CID]",
    .summary = "Serve the vsock device of a virtual machine until SIGTERM or SIGINT. Prints one "
               "line when it\nlistens; start QEMU after that.",
    .options = options,
    .footer = "Exit status: 0 ended by a signal, 1 it cannot listen, 2 usage.\n",
};

static void on_signal(void *arg)
{
    loop_stop(arg);
}

static enum err serve(struct loop *l, const struct vdev_options *o, struct why *why)
{
    struct vdev *v = NULL;

    enum err r = loop_on_signal(l, SIGTERM, on_signal, l);
    if (r == ERR_OK)
        r = loop_on_signal(l, SIGINT, on_signal, l);
    if (r == ERR_OK)
        r = vdev_new(l, o, &v, why);
    if (r != ERR_OK)
        return r;
    printf("listening %s\n", o->socket);
    (void)fflush(stdout);
    loop_run(l);
    vdev_free(v);
    return ERR_OK;
}

int cmd_vsock(int argc, char **argv)
{
    struct options o;
    struct loop *l = NULL;
    struct why why = { .what = "out of memory" };
    uint64_t cid;

    int status = options_parse(&program, argc, argv, &o);
    if (status >= 0)
        return status;
    const char *socket = option_text(&o, "socket"), *vsock = option_text(&o, "vsock");
    if (!socket || !vsock || !span_starts(span_str(vsock), "unix:")) {
        complain(&o, "--socket PATH and --vsock unix:DIR are needed");
        return STATUS_USAGE;
    }
    if (!option_u64(&o, "enclave-cid", 4, UINT32_MAX - 1, &cid))
        return STATUS_USAGE;
    const struct vdev_options v = { .socket = socket, .folder = vsock + 5, .cid = (uint32_t)cid };
    log_init("nitro-local", LOG_INFO);
    enum err r = process_harden();
    vdev_raise_limits();
    if (r == ERR_OK)
        r = loop_new(&l);
    if (r == ERR_OK)
        r = serve(l, &v, &why);
    loop_free(l);
    if (r == ERR_OK)
        return 0;
    complain(&o, "%s: %s", socket, why.what);
    return STATUS_FAILED;
}
