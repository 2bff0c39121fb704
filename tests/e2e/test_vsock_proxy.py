#!/usr/bin/python3
"""vsock-proxy from outside: the allowlist in force and reloaded, names and their lifetimes, half-close, limits, many
connections at once without leaks, drain, systemd's protocol. Loopback and Unix sockets only."""
import asyncio, os, re, resource, shutil, signal, socket, struct, subprocess, tempfile, threading, time

from lib import BIN, CLEAN, Program, check, listens, plan, run, until

MANY, QUICK, PIECE = 2000, 10000, 40_000
DIR = tempfile.mkdtemp(prefix="nst.")
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20000), hard))


# --- the remote side ---------------------------------------------------------------------------------------------------

class Remote:
    """A TCP server on its own loop and thread. `how`: echo (half-close too), sink (reads, answers the number of bytes
    at the end), mute (accepts and never reads), answer (says "answer" and closes), reset (says 5 bytes and resets)."""

    def __init__(self, how, host="127.0.0.1", port=0):
        self.how, self.seen, self.loop, self.kept = how, 0, asyncio.new_event_loop(), []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((host, port))
        self.sock.listen(4096)
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        asyncio.set_event_loop(self.loop)
        self.server = self.loop.run_until_complete(asyncio.start_server(self.one, sock=self.sock))
        self.loop.run_forever()

    async def one(self, reader, writer):
        self.seen += 1
        total = 0
        try:
            if self.how == "mute":
                writer.transport.pause_reading()
                self.kept.append(writer)
                return
            if self.how == "reset":
                writer.write(b"first")
                await writer.drain()
                await reader.read(1)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return
            if self.how == "answer":
                writer.write(b"answer")
            while self.how != "answer" and (data := await reader.read(1 << 16)):
                total += len(data)
                if self.how == "echo":
                    writer.write(data)
                    await writer.drain()
            if self.how == "sink":
                writer.write(b"%d" % total)
            writer.write_eof()
        except OSError:
            pass
        writer.close()

    def close(self):
        def end():
            self.server.close()
        self.loop.call_soon_threadsafe(end)
        time.sleep(0.05)


class Names:
    """A DNS server on the loopback: one set of IPv4 addresses for every name."""

    def __init__(self):
        self.addresses, self.ttl, self.asked, self.mode = ["127.0.0.1"], 1, 0, "answer"
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.at = "127.0.0.1:%d" % self.sock.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            q, who = self.sock.recvfrom(512)
            end = q.index(b"\0", 12) + 5
            a_record = q[end - 3] == 1
            self.asked += a_record
            if self.mode == "silent":
                continue
            records = [socket.inet_aton(a) for a in self.addresses] if a_record and self.mode == "answer" else []
            code = 3 if self.mode == "nxdomain" else 0
            out = q[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(records), 0, 0) + q[12:end]
            for r in records:
                out += struct.pack(">HHHIH", 0xC00C, 1, 1, self.ttl, 4) + r
            self.sock.sendto(out, who)


# --- the proxy and its clients -------------------------------------------------------------------------------------------

_n = 0


def allow(path, *entries):
    with open(path, "w") as f:
        f.write("allowlist:\n" + "".join(f"- {{address: \"{a}\", port: {p}}}\n" for a, p in entries))
    return path


class Proxy:
    def __init__(self, *targets, options=(), entries=None, level="debug", env=None):
        global _n
        _n += 1
        self.dir = os.path.join(DIR, str(_n))
        os.mkdir(self.dir)
        self.list = allow(os.path.join(self.dir, "list.yaml"), *(entries if entries is not None else targets))
        words = [str(w) for i, (host, port) in enumerate(targets) for w in (8000 + i, host, port)]
        self.program = Program("vsock-proxy", ["--vsock", "unix:" + self.dir, "--config", self.list, "--log-level", level,
                                               *options, *words], env=env, log=os.path.join(self.dir, "log"))
        until(lambda: not self.program.alive() or listens(self.path(len(targets) - 1)), what="vsock-proxy")

    def path(self, i=0):
        return os.path.join(self.dir, f"3.vsock_{8000 + i}")

    def connect(self, i=0, timeout=20):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        s.connect(self.path(i))
        return s

    def ask(self, data=b"hello", i=0):
        """One connection: data, half-close, everything that comes back; None when it is reset."""
        with self.connect(i) as s:
            try:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                return read_all(s)
            except (ConnectionError, BrokenPipeError):
                return None

    def fds(self):
        return len(os.listdir(f"/proc/{self.program.pid}/fd"))

    def rss_kib(self):
        with open(f"/proc/{self.program.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])

    def log(self, *words):
        return any(all(w in line for w in words) for line in self.program.text().splitlines())

    def metrics(self, i=0):
        before = self.program.text().count(" metrics ")
        self.program.signal(signal.SIGUSR1)
        until(lambda: self.program.text().count(" metrics ") > before + i, what="metrics")
        time.sleep(0.05)
        line = [x for x in self.program.text().splitlines() if f" metrics port={8000 + i} " in x][-1]
        return {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)(?= |$)", line)}


def read_all(s):
    got = bytearray()
    while data := s.recv(1 << 18):
        got += data
    return bytes(got)


def sanitized():
    with open(BIN + "/vsock-proxy", "rb") as f:
        return b"__asan_init" in f.read()


def pattern(n, seed):
    return (b"%08d" % seed * (n // 8 + 1))[:n]


# --- tests ---------------------------------------------------------------------------------------------------------------

def relaying():
    echo, answer, reset, sink = Remote("echo"), Remote("answer"), Remote("reset"), Remote("sink")
    targets = [("127.0.0.1", r.port) for r in (echo, answer, reset, sink)]
    p = Proxy(*targets)
    data = os.urandom(30_000_000)
    with p.connect() as s:
        threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)), daemon=True).start()
        check(read_all(s) == data, "30 MB there and back arrive unchanged, the end after them")
    with p.connect() as s:
        s.sendall(b"q")
        check(s.recv(10) == b"q", "small messages pass at once")
        s.shutdown(socket.SHUT_WR)
        check(s.recv(10) == b"", "half-close passes")
    check(p.ask(b"x" * 3_000_000, 3) == b"3000000", "what is said after the other's end still arrives")
    with p.connect(1) as s:
        check(read_all(s) == b"answer", "a remote that closes first is heard to the end")
        s.sendall(b"more")  # and may still be spoken to
    with p.connect(2) as s:
        got = s.recv(5, socket.MSG_WAITALL)
        s.sendall(b"x")
        check(got == b"first", "what a remote sent before it broke arrives")
        until(lambda: p.log("connection ended", "how=broken"), what="broken")
        check(True, "and the log says that it broke")
    m = p.metrics(3)
    check(m["bytes_from_client"] == 3_000_000 and m["bytes_from_remote"] == 7 and m["done"] == 1, "SIGUSR1 logs a metrics line for each port", m)
    until(lambda: p.metrics()["active"] == 0)
    check(p.program.stop() == 0 and not os.path.exists(p.path()), "SIGTERM: status 0, the sockets are gone")


def resets():
    """A client over TCP would see a reset; a Unix socket cannot carry one, so look at the remote's side."""
    seen = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        c, _ = server.accept()
        c.settimeout(10)
        try:
            seen.append(c.recv(100))
            seen.append(c.recv(100))
        except OSError as e:
            seen.append(type(e).__name__)
    t = threading.Thread(target=serve, daemon=True)
    t.start()
    p = Proxy(("127.0.0.1", server.getsockname()[1]), options=["--idle-limit", "1"])
    with p.connect() as s:
        s.sendall(b"half a mess")
        t.join(10)
    check(seen == [b"half a mess", "ConnectionResetError"], "a stream that is cut off does not look like one that ended", seen)
    check(p.log("how=idle"), "the idle limit ends a connection on which nothing moves")
    p.program.stop()


async def one_of_many(p, i, gate):
    reader, writer = await asyncio.open_unix_connection(p.path())
    data = pattern(PIECE, i)
    writer.write(data[:PIECE // 2])
    await writer.drain()
    if (await reader.readexactly(8)) != data[:8]:
        return False
    gate["there"] += 1
    if gate["there"] == MANY:
        gate["all"].set()
    await gate["all"].wait()  # all of them stand at this moment
    writer.write(data[PIECE // 2:])
    writer.write_eof()
    rest = await reader.read(-1)
    writer.close()
    return rest == data[8:]


async def many(p):
    gate = {"there": 0, "all": asyncio.Event()}
    return await asyncio.wait_for(asyncio.gather(*(one_of_many(p, i, gate) for i in range(MANY)), return_exceptions=True), 120)


async def quick(p, n, at_once=50):
    good = 0
    left = iter(range(n))

    async def worker():
        nonlocal good
        for i in left:
            reader, writer = await asyncio.open_unix_connection(p.path())
            if i % 10 == 9:  # some just go away
                writer.transport.abort()
                good += 1
                continue
            writer.write(b"%d" % i)
            writer.write_eof()
            answer = await reader.read(-1)
            good += answer == b"%d" % i
            writer.close()
    await asyncio.wait_for(asyncio.gather(*(worker() for _ in range(at_once))), 240)
    return good


def crowds():
    echo = Remote("echo")
    p = Proxy(("127.0.0.1", echo.port), level="warn")
    asyncio.run(quick(p, 200))  # what is kept for reuse is there from now on
    time.sleep(0.3)
    fds = p.fds()
    results = asyncio.run(many(p))
    good = sum(r is True for r in results)
    check(good == MANY, f"{MANY} connections at once, data both ways with a half-close, arrive complete",
          good, next((repr(r) for r in results if r is not True), ""))
    until(lambda: p.fds() <= fds + 64, what="descriptors after the crowd")  # spare pipes: TUBE_SPARE_MAX
    asyncio.run(quick(p, 1000))
    time.sleep(0.3)
    fds, rss = p.fds(), p.rss_kib()
    good = asyncio.run(quick(p, QUICK))
    check(good == QUICK, f"{QUICK} quick connections", good)
    until(lambda: p.fds() <= fds, seconds=10)
    check(p.fds() <= fds, "no descriptor is left over", fds, p.fds())
    if sanitized():  # it keeps what was freed for a while, and finds leaks itself
        check(True, "and no memory # SKIP sanitizers")
    else:
        check(p.rss_kib() <= rss + 1024, "and no memory", rss, p.rss_kib())
    check(p.program.stop() == 0, "and it leaves in order")


def bad_company():
    """Remotes that refuse or do not answer, clients that never read: others do not notice."""
    echo, mute = Remote("echo"), Remote("mute")
    gone = socket.create_server(("127.0.0.1", 0))
    refused = gone.getsockname()[1]
    gone.close()
    hole = socket.socket()
    hole.bind(("127.0.0.1", 0))
    hole.listen(0)
    filler = socket.create_connection(hole.getsockname())
    silent = hole.getsockname()[1]
    p = Proxy(*[("127.0.0.1", port) for port in (echo.port, refused, silent, mute.port)], options=["--connect-limit", "1"])
    began = time.monotonic()
    check(not p.ask(i=1) and time.monotonic() - began < 10, "a remote that refuses: the client is told")
    check(p.log("remote refused", "connection refused"), "and the log says why: it was not waited for")
    stuck = [p.connect() for _ in range(20)] + [p.connect(3) for _ in range(20)]
    for s in stuck:
        s.setblocking(False)
        try:
            for _ in range(200):
                s.send(b"z" * 65536)  # nobody reads at one end or the other
        except BlockingIOError:
            pass
    waiting = [p.connect(2) for _ in range(20)]
    began = time.monotonic()
    check(p.ask(b"hello") == b"hello" and time.monotonic() - began < 10, "others are served meanwhile")
    until(lambda: p.log("remote refused", "timed out"), what="connect limit")
    check(all(not s.recv(1) for s in waiting), "a remote that does not answer: given up after the limit")
    for s in stuck + waiting:
        s.close()
    until(lambda: p.metrics()["active"] == 0, what="stuck ones end")
    check(p.metrics()["active"] == 0, "clients that never read and leave are forgotten")
    began = time.monotonic()
    check(p.program.stop() == 0 and time.monotonic() - began < 9, "and do not keep SIGTERM waiting")  # for 10 s, as what moves may
    filler.close()
    hole.close()


def names():
    dns = Names()
    echo = Remote("echo")
    p = Proxy(("kms.test", echo.port), options=["--dns", dns.at])
    check(p.ask() == b"hello", "a name is resolved by the server that --dns names")
    asked = dns.asked
    dns.ttl = 60
    time.sleep(1.1)
    check(p.ask() == b"hello" and dns.asked == asked + 1, "asked again when the record's lifetime is over", dns.asked, asked)
    time.sleep(1.1)
    for _ in range(5):
        p.ask()
    check(dns.asked == asked + 1, "and not before")
    p.program.stop()

    dns.ttl, dns.addresses = 1, ["127.0.0.9", "127.0.0.1"]
    p = Proxy(("kms.test", echo.port), options=["--dns", dns.at])
    check(p.ask() == b"hello", "all addresses are tried")
    dns.mode = "nxdomain"
    time.sleep(1.1)
    check(p.ask() == b"hello", "the last known addresses serve while the resolver fails")
    check(p.log("cannot resolve", "no such name", "the last known addresses"), "and the log says so")
    check(p.metrics()["dns_failures"] >= 1 and p.program.alive(), "a failed refresh does not end the proxy")
    p.program.stop()

    p = Proxy(("kms.test", echo.port), options=["--dns", dns.at])
    check(not p.ask(), "a name that cannot be resolved: refused")
    dns.mode = "answer"
    time.sleep(0.6)
    check(p.ask() == b"hello", "and served as soon as it can")
    p.program.stop()

    six = Remote("echo", "::1")
    p = Proxy(("localhost", six.port))
    check(p.ask() == b"hello", "localhost: IPv6 after IPv4")
    p.program.stop()
    p = Proxy(("localhost", six.port), options=["-4"])
    check(not p.ask(), "-4 keeps to IPv4")
    p.program.stop()


def allowlist():
    dns = Names()
    a, b = Remote("echo"), Remote("echo")
    refusal = 'Error: "Error at checking the allowlist: The given address and port are not allowed"\n'
    status, out, err = run("vsock-proxy", "--vsock", "unix:" + DIR, "--config", allow(DIR + "/x.yaml", ("other.test", a.port)),
                           "--dns", dns.at, "8000", "10.1.2.3", str(a.port))
    check((status, out, err.splitlines(True)[-1]) == (1, "", refusal), "an address that no entry has is refused", err)
    p = Proxy(("127.0.0.1", a.port), entries=[("other.test", a.port)], options=["--dns", dns.at])
    check(p.program.alive() and p.ask() == b"hello", "an address is allowed by the name that has it")
    p.program.stop()
    p = Proxy(("kms.test", a.port), entries=[("127.0.0.1", a.port)], options=["--dns", dns.at])
    check(p.ask() == b"hello", "a name is allowed by the address it has")
    dns.addresses = ["127.0.0.2"]
    time.sleep(1.1)
    check(not p.ask() and p.log("no address of it is in the allowlist"), "and only while it has that address")
    p.program.stop()

    p = Proxy(("127.0.0.1", a.port), ("127.0.0.1", b.port))
    kept = p.connect(1)
    kept.sendall(b"x")
    kept.recv(1)
    with open(p.list, "w") as f:
        f.write("allowlist: [")
    p.program.signal(signal.SIGHUP)
    until(lambda: p.log("not reloaded", "Bad yaml format"), what="SIGHUP")
    check(p.ask() == b"hello" and p.ask(i=1) == b"hello", "SIGHUP with a bad file: the old list stays in force")
    allow(p.list, ("127.0.0.1", a.port))
    p.program.signal(signal.SIGHUP)
    until(lambda: p.log("allowlist reloaded"), what="SIGHUP")
    check(p.ask() == b"hello" and not p.ask(i=1), "SIGHUP: what is no longer allowed is refused from then on")
    kept.sendall(b"y")
    check(kept.recv(1) == b"y", "connections that stand go on")
    allow(p.list, ("127.0.0.1", a.port), ("127.0.0.1", b.port))
    p.program.signal(signal.SIGHUP)
    until(lambda: p.ask(i=1) == b"hello", what="allowed again")
    check(p.metrics(1)["denied"] >= 1, "refusals are counted")
    kept.close()
    p.program.stop()


def limits():
    echo = Remote("echo")
    p = Proxy(("127.0.0.1", echo.port), options=["-w", "2"])
    held = [p.connect() for _ in range(2)]
    for s in held:
        s.sendall(b"x")
        s.recv(1)
    began = time.monotonic()
    check(not p.ask() and time.monotonic() - began < 10, "-w is a cap: one more is refused, not queued")
    check(echo.seen == 2 and p.log("too many connections"), "the remote never saw it, the log says why")
    held[0].close()
    until(lambda: p.ask() == b"hello", what="room again")
    check(p.metrics()["over_limit"] >= 1, "refusals are counted")
    held[1].close()
    p.program.stop()


def draining():
    echo = Remote("echo")
    p = Proxy(("127.0.0.1", echo.port))
    moving, idle = p.connect(), p.connect()
    for s in (moving, idle):
        s.sendall(b"x")
        s.recv(1)
    p.program.signal(signal.SIGTERM)
    until(lambda: not os.path.exists(p.path()), what="listening ends")
    good = True
    for _ in range(100):
        time.sleep(0.02)
        moving.sendall(b"more")
        good = good and moving.recv(4, socket.MSG_WAITALL) == b"more"
    check(good and p.program.alive(), "SIGTERM: what moves goes on")
    check(idle.recv(1) == b"", "what is idle ends")
    moving.close()
    check(p.program.p.wait(30) == 0, "and the program leaves with the last one")
    p = Proxy(("127.0.0.1", echo.port), options=["--drain-limit", "600"])
    s = p.connect()

    def keep_moving():
        try:
            while True:
                s.sendall(b"x")
                s.recv(1)
                time.sleep(0.02)
        except OSError:
            pass

    threading.Thread(target=keep_moving, daemon=True).start()
    p.program.signal(signal.SIGTERM)
    until(lambda: not os.path.exists(p.path()), what="listening ends")
    check(p.program.alive(), "it waits for what moves")
    p.program.signal(signal.SIGTERM)
    check(p.program.p.wait(30) == 0, "a second SIGTERM leaves at once")
    s.close()


def systemd():
    echo = Remote("echo")
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(DIR + "/notify")
    notify.settimeout(10)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(DIR + "/given")
        listening.listen(10)
        path = allow(DIR + "/systemd.yaml", ("127.0.0.1", echo.port))
        # bash puts the socket at 3 and its own pid, which the program keeps, into LISTEN_PID.
        script = f'exec 3<&{listening.fileno()}; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'
        p = subprocess.Popen(["bash", "-c", script, "bash", BIN + "/vsock-proxy", "--config", path, "8000", "127.0.0.1", str(echo.port)],
                             env={**CLEAN, "NOTIFY_SOCKET": DIR + "/notify"}, pass_fds=[listening.fileno()],
                             stderr=subprocess.DEVNULL)
    try:
        check(notify.recv(99) == b"READY=1", "readiness is told when it listens")
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(DIR + "/given")
            s.sendall(b"hi")
            check(s.recv(2) == b"hi", "a socket that systemd opened is served")
        p.send_signal(signal.SIGHUP)
        check(notify.recv(99).startswith(b"RELOADING=1\nMONOTONIC_USEC=") and notify.recv(99) == b"READY=1", "a reload is told")
        p.send_signal(signal.SIGTERM)
        check(notify.recv(99) == b"STOPPING=1" and p.wait(10) == 0, "and stopping")
        check(os.path.exists(DIR + "/given"), "systemd's socket stays")
    finally:
        p.kill()
        p.wait()


try:
    for part in (relaying, resets, bad_company, names, allowlist, limits, draining, systemd, crowds):
        try:
            part()
        except Exception as e:  # the other parts still run
            check(False, f"{part.__name__} runs to its end", repr(e))
finally:
    shutil.rmtree(DIR, ignore_errors=True)
plan()
