/* probe - the service of test images. Each argument is one thing to do:
 *
 *   me              arguments, environment, folder, user, groups, parent
 *   mounts          /proc/mounts
 *   pcrs            PCR0, 1, 2, 3, 8, 16
 *   zombies         leave forty orphans behind and count what nobody reaped
 *   lo              connect to 127.0.0.1
 *   signals         send every signal to the first process; is it still there?
 *   loopback FILE   start /bin/nitroseald, send FILE to CID 1 port 5000, print the answer
 *   crash           die of SIGSEGV
 *   sleep           for a minute
 *   exit:N          with status N
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"

enum { ORPHANS = 40, SERVICE_PORT = 5000, TRIES = 300, TRY_US = 100000, LINE_BYTES = 2048 };

static void me(int argc, char **argv)
{
    char cwd[LINE_BYTES];
    gid_t groups[64];
    int n = getgroups(64, groups);

    for (int i = 0; i < argc; i++)
        printf("arg %d [%s]\n", i, argv[i]);
    for (char **e = environ; *e; e++)
        printf("env [%s]\n", *e);
    printf("folder %s\n", getcwd(cwd, sizeof cwd) ? cwd : strerror(errno));
    printf("ids %u %u %u %u groups", getuid(), geteuid(), getgid(), getegid());
    for (int i = 0; i < n; i++)
        printf(" %u", groups[i]);
    printf("\nparent %d session leader %d\n", getppid(), getsid(0) == getpid());
    printf("cmd gone %d env gone %d\n", access("/cmd", F_OK) != 0, access("/env", F_OK) != 0);
}

static void print_file(const char *path)
{
    char part[LINE_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    for (ssize_t n; fd >= 0 && (n = read(fd, part, sizeof part)) > 0;)
        (void)fwrite(part, 1, (size_t)n, stdout);
    if (fd >= 0)
        (void)close(fd);
}

/* Processes in state Z, whoever their parent is. */
static int count_zombies(void)
{
    DIR *d = opendir("/proc");
    int n = 0;

    for (struct dirent *e; d && (e = readdir(d));) {
        char path[64], line[512], *state = NULL;
        if (e->d_name[0] < '0' || e->d_name[0] > '9' || strlen(e->d_name) > 16)
            continue;
        (void)snprintf(path, sizeof path, "/proc/%.16s/stat", e->d_name);
        FILE *f = fopen(path, "re");
        if (f && fgets(line, sizeof line, f))
            state = strrchr(line, ')');
        n += state && state[1] && state[2] == 'Z';
        if (f)
            (void)fclose(f);
    }
    if (d)
        (void)closedir(d);
    return n;
}

static void zombies(void)
{
    for (int i = 0; i < ORPHANS; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            if (fork() == 0) /* its parent is gone before it ends */
                (void)usleep(20000);
            _exit(0);
        }
        (void)waitpid(pid, NULL, 0);
    }
    for (int i = 0; i < 50 && (i < 5 || count_zombies() > 0); i++)
        (void)usleep(50000);
    printf("zombies %d\n", count_zombies());
}

static void lo(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons(8099),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr *sa = (const struct sockaddr *)&at;
    int failed = bind(listener, sa, sizeof at) != 0 || listen(listener, 1) != 0 ||
                 connect(client, sa, sizeof at) != 0;

    printf("lo %s\n", failed ? strerror(errno) : "connected");
    (void)close(listener);
    (void)close(client);
}

static void signals(void)
{
    for (int s = 1; s < SIGRTMAX; s++)
        (void)kill(1, s);
    (void)usleep(100000);
    printf("signals: parent %d\n", getppid());
}

static int to_service(void)
{
    const struct sockaddr_vm at = { .svm_family = AF_VSOCK,
                                    .svm_cid = VMADDR_CID_LOCAL,
                                    .svm_port = SERVICE_PORT };

    for (int i = 0; i < TRIES; i++) {
        int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof at) == 0)
            return fd;
        if (fd >= 0)
            (void)close(fd);
        (void)usleep(TRY_US);
    }
    return -1;
}

static int loopback(const char *file)
{
    char part[LINE_BYTES];
    ssize_t n;
    pid_t service = fork();

    if (service == 0) {
        (void)execl("/bin/nitroseald", "nitroseald", (char *)NULL);
        _exit(126);
    }
    int fd = to_service(), from = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || from < 0) {
        printf("loopback: %s\n", fd < 0 ? "nobody listens on CID 1" : "no request");
        return 1;
    }
    while ((n = read(from, part, sizeof part)) > 0)
        if (write(fd, part, (size_t)n) != n)
            return 1;
    (void)shutdown(fd, SHUT_WR);
    printf("answer ");
    while ((n = read(fd, part, sizeof part)) > 0)
        (void)fwrite(part, 1, (size_t)n, stdout);
    printf("\nanswer complete\n");
    (void)kill(service, SIGTERM);
    int status = 0;
    (void)waitpid(service, &status, 0);
    printf("service status %d\n", status);
    return 0;
}

int main(int argc, char **argv)
{
    static char *registers[] = { "0", "1", "2", "3", "8", "16" };
    int status = 0;

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc && status == 0; i++) {
        const char *what = argv[i];
        if (strcmp(what, "me") == 0)
            me(argc, argv);
        else if (strcmp(what, "mounts") == 0)
            print_file("/proc/mounts");
        else if (strcmp(what, "pcrs") == 0)
            status = probe_pcrs(sizeof registers / sizeof *registers, registers);
        else if (strcmp(what, "zombies") == 0)
            zombies();
        else if (strcmp(what, "lo") == 0)
            lo();
        else if (strcmp(what, "signals") == 0)
            signals();
        else if (strcmp(what, "loopback") == 0 && i + 1 < argc)
            status = loopback(argv[++i]);
        else if (strcmp(what, "crash") == 0)
            (void)raise(SIGSEGV);
        else if (strcmp(what, "sleep") == 0)
            (void)sleep(60);
        else if (strncmp(what, "exit:", 5) == 0)
            status = (int)strtol(what + 5, NULL, 10);
        else if (what[0] != '-' && what[0] != '\0')
            printf("probe: %s?\n", what);
    }
    (void)fflush(stdout);
    return status;
}
