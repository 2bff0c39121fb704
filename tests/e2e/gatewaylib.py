"""For the gateway's tests: the gateway as a Program, clients of it, and enclaves that are played here."""
import http.client, json, os, random, socket, threading, time

import lib

# Under AddressSanitizer freed memory is kept back for a while: only a little, where tests look at the resident size.
SANITIZED = {"ASAN_OPTIONS": ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "quarantine_size_mb=1", "thread_local_quarantine_size_kb=64"]))}


_given = set()


def free_port():
    """One that nobody has, nor will be given here again, nor by the system to whoever asks for any."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        low, high = map(int, f.read().split())
    below, above = range(10240, low), range(high + 1, 65536)
    while True:
        port = random.SystemRandom().choice(below if len(below) > 1000 else above if len(above) > 1000 else range(low, high))
        try:
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
        except OSError:
            continue
        if port not in _given:
            _given.add(port)
            return port


class Gateway:
    def __init__(self, v, enclaves, options=(), env=None, log=None, unix=None, settle=True):
        self.port, self.unix = free_port(), unix
        listen = ["--listen", f"127.0.0.1:{self.port}"] + (["--listen", "unix:" + unix] if unix else [])
        for e in enclaves:
            listen += ["--enclave", e]
        self.program = lib.Program("nitroseal", ["gateway", *listen, *options],
                                   env={"NITROSEAL_VSOCK": "unix:" + v, "NITROSEAL_LOG": "debug", **SANITIZED, **(env or {})}, log=log)
        if settle:
            lib.until(lambda: not self.program.alive() or self.listens(), what="gateway")
            if not self.program.alive():
                raise RuntimeError("the gateway left: " + self.program.text())

    def listens(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def client(self, timeout=30):
        return Client("127.0.0.1", self.port, timeout=timeout)

    def ask(self, *args, **how):
        c = self.client()
        try:
            return c.ask(*args, **how)
        finally:
            c.close()

    def connect(self, timeout=30):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def raw(self, data, half_close=False, timeout=20):
        """Bytes in, all bytes out until the gateway closes."""
        with self.connect(timeout) as s:
            s.sendall(data)
            if half_close:
                s.shutdown(socket.SHUT_WR)
            return read_all(s)

    def metric(self, name, **labels):
        """The sum of the samples that have these labels."""
        total = 0.0
        for line in self.ask("GET", "/metrics")[2].decode().splitlines():
            if line.startswith("#"):
                continue
            sample, value = line.rsplit(" ", 1)
            if sample.split("{")[0] == name and all(f'{k}="{v}"' in sample for k, v in labels.items()):
                total += float(value)
        return total

    def resident(self):
        with open(f"/proc/{self.program.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self):
        with open(f"/proc/{self.program.pid}/stat") as f:
            words = f.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.program.pid}/fd"))

    def stop(self, seconds=15):
        return self.program.stop(seconds)


class Client(http.client.HTTPConnection):
    ask = lib.ask_http


def read_all(s):
    out = b""
    try:
        while piece := s.recv(65536):
            out += piece
    except socket.timeout:
        out += b"<timeout>"
    except ConnectionResetError:
        out += b"<reset>"
    return out


class Played(threading.Thread):
    """An enclave's service: each connection is handed to `serve(wire)`, health checks and credentials are answered
    here. `serve` is called once for each request's head that is left, and may return False to close."""

    def __init__(self, v, cid, serve=None):
        super().__init__(daemon=True)
        self.path = os.path.join(v, f"{cid}.vsock_{lib.PORT}")
        self.serve = serve or echo
        self.healthy, self.credentials, self.heads, self.connections = True, [], [], 0
        self.refuse_credentials = False
        self.sock = None
        self.open()
        self.start()

    def open(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        s = socket.socket(socket.AF_UNIX)
        s.bind(self.path)
        s.listen(128)
        self.wires, self.sock = [], s

    def die(self):
        """As after kill -9: everything is closed at once."""
        s, self.sock = self.sock, None
        s.shutdown(socket.SHUT_RDWR)
        s.close()
        for w in self.wires:
            w.cut()

    def run(self):
        while True:
            s = self.sock
            if not s:
                time.sleep(0.01)
                continue
            try:
                c, _ = s.accept()
            except OSError:
                continue
            self.connections += 1
            w = Wire(c)
            self.wires.append(w)
            if s is not self.sock:  # it died meanwhile
                w.cut()
                continue
            threading.Thread(target=self.connection, args=(w,), daemon=True).start()

    def connection(self, w):
        try:
            while w.read_head():
                if w.path == "/healthz":
                    w.answer(200 if self.healthy else 503, b'{"status":"ok"}' if self.healthy else b'{"code":"nsm_failed"}')
                elif w.path == "/v1/credentials":
                    body = w.read_body()
                    if self.refuse_credentials:
                        w.answer(400, b"{}")
                    else:
                        self.credentials.append(json.loads(body))
                        w.send(b"HTTP/1.1 204 No Content\r\n\r\n")
                else:
                    self.heads.append(w.head)
                    if self.serve(w) is False:
                        break
                if w.headers.get("connection") == "close":
                    break
        except (OSError, ValueError):
            pass
        w.cut()


class Wire:
    """One connection as a service sees it."""

    def __init__(self, s):
        self.s, self.rest = s, b""

    def more(self):
        piece = self.s.recv(65536)
        self.rest += piece
        return piece

    def read_head(self):
        while b"\r\n\r\n" not in self.rest:
            if not self.more():
                return False
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        self.head = head + b"\r\n\r\n"
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.path, _ = lines[0].split(" ")
        self.fields = [tuple(x.split(": ", 1)) for x in lines[1:]]
        self.headers = {k.lower(): v for k, v in self.fields}
        return True

    def exactly(self, n):
        while len(self.rest) < n:
            if not self.more():
                raise ValueError("cut")
        out, self.rest = self.rest[:n], self.rest[n:]
        return out

    def line(self):
        while b"\r\n" not in self.rest:
            if not self.more():
                raise ValueError("cut")
        out, self.rest = self.rest.split(b"\r\n", 1)
        return out

    def chunks(self):
        while size := int(self.line(), 16):
            yield self.exactly(size)
            assert self.line() == b""
        self.trailers = []
        while line := self.line():
            self.trailers.append(line)

    def read_body(self):
        if self.headers.get("transfer-encoding") == "chunked":
            return b"".join(self.chunks())
        return self.exactly(int(self.headers.get("content-length", 0)))

    def send(self, data):
        self.s.sendall(data)

    def answer(self, status, body, more=""):
        kind = "application/json" if body[:1] == b"{" else "text/plain"
        self.send(f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def cut(self):
        try:
            self.s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.s.close()


def echo(w):
    """What came, as it came."""
    body = w.read_body()
    w.answer(200, json.dumps({"path": w.path, "method": w.method, "fields": w.fields, "length": len(body), "body": body.decode("latin-1")}).encode())
