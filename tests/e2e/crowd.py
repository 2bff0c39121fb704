"""Connections that a service has to bear: idle ones by the thousand, and hostile ones, each of its kind, that come again
whenever they are thrown out. One thread moves them all, slowly: what is measured is what they hold, not what they send."""
import random, resource, socket, threading, time

PIECE = 16384
TICK_S = 0.1


def allow_files(n):
    """This process may open so many; its children may, too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < n:
        return False
    if soft < n:
        resource.setrlimit(resource.RLIMIT_NOFILE, (n, hard))
    return True


def connect(path, timeout=30):
    """A full backlog of a Unix socket says so at once: try again."""
    end = time.monotonic() + timeout
    while True:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(timeout)
        try:
            s.connect(path)
            return s
        except BlockingIOError:
            s.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.002)


def idle(path, n):
    """`n` keep-alive connections, each of which asked once and was answered."""
    kept = []
    for _ in range(n):
        s = connect(path)
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: enclave\r\n\r\n")
        kept.append(s)
        if b"HTTP/1.1 200" not in s.recv(4096):
            raise RuntimeError("an idle connection was not welcome")
    return kept


def still_open(sockets):
    """How many of them still answer."""
    good = 0
    for s in sockets:
        try:
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: enclave\r\n\r\n")
            good += b"HTTP/1.1 200" in s.recv(4096)
        except OSError:
            pass
    return good


HEAD = b"POST /v1/encrypt HTTP/1.1\r\nHost: enclave\r\nContent-Type: application/octet-stream\r\n"


def silent(rng):
    while True:
        yield b""


def slow_head(rng):
    for byte in HEAD * 1000:
        yield bytes([byte])
        yield b""


def slow_body(rng):
    yield HEAD + b"Content-Length: 1000000\r\n\r\n"
    while True:
        yield b"x"


def endless_header(rng):
    yield HEAD
    n = 0
    while True:
        n += 1
        yield b"X-%d: %s\r\n" % (n, b"y" * 500)


def endless_body(rng):
    yield HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"%x\r\n%s\r\n" % (PIECE, b"z" * PIECE)


def garbage(rng):
    while True:
        yield rng.randbytes(rng.randrange(1, 2000))


def deaf(rng):
    """Asks again and again, and never reads."""
    body = b'{"bytes":65536}'
    ask = b"POST /v1/random HTTP/1.1\r\nHost: enclave\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    while True:
        yield ask


def slow_json(rng):
    for byte in b'{"operation":"encrypt","message":"' + b"a" * 100000:
        yield bytes([byte])


KINDS = (silent, slow_head, slow_body, endless_header, endless_body, garbage, deaf, slow_json)


class Hostile:
    """`n` hostile clients of all kinds, until stop()."""

    def __init__(self, path, n, seed=1):
        self.path, self.n, self.rng = path, n, random.Random(seed)
        self.came, self.thrown_out, self.stop_now = 0, 0, threading.Event()
        self.clients = [None] * n
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stop_now.is_set():
            began = time.monotonic()
            for i in range(self.n):
                if self.stop_now.is_set():
                    break
                try:
                    self.move(i)
                except OSError:
                    if self.clients[i]:
                        self.clients[i][0].close()
                    self.clients[i] = None
                    self.thrown_out += 1
            self.stop_now.wait(max(0.0, TICK_S - (time.monotonic() - began)))

    def move(self, i):
        kind = KINDS[i % len(KINDS)]
        if not self.clients[i]:
            s = connect(self.path, timeout=5)
            s.setblocking(False)
            self.clients[i] = (s, kind(self.rng), [b""])
            self.came += 1
        s, script, left = self.clients[i]
        left[0] = left[0] or next(script, b"")
        if left[0]:
            try:
                left[0] = left[0][s.send(left[0]):]
            except BlockingIOError:
                pass
        if kind is deaf:
            return
        try:
            while (piece := s.recv(65536)):
                pass
            raise OSError("ended")
        except BlockingIOError:
            pass

    def stop(self):
        self.stop_now.set()
        self.thread.join(30)
        for c in self.clients:
            if c:
                c[0].close()
