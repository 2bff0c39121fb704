/* notify.h - what a service under systemd says and gets: sd_notify(3) and sd_listen_fds(3), by
 * hand. Outside systemd nothing happens. */
#ifndef IO_NOTIFY_H
#define IO_NOTIFY_H

/* "READY=1", "STOPPING=1", ... to NOTIFY_SOCKET. Best effort: who does not listen misses it. */
void notify_send(const char *text);
/* "RELOADING=1" with the time that Type=notify-reload asks for. */
void notify_reloading(void);
/* How many sockets systemd opened for this process; they start at NOTIFY_FD_FIRST. Takes LISTEN_PID
 * and LISTEN_FDS out of the environment. */
unsigned notify_sockets(void);

enum { NOTIFY_FD_FIRST = 3, NOTIFY_FDS_MAX = 64 };

#endif
