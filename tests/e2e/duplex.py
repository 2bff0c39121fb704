"""A client of the streaming endpoints: sends a body and reads the answer at the same time, and tells a whole answer
from one that was broken off. By hand, since no client of the standard library does both at once."""
import os, socket, threading

import lib


class Answer:
    def __init__(self):
        self.status, self.headers, self.pairs, self.body, self.trailers = 0, {}, [], b"", {}
        self.whole = False  # the last chunk came
        self.reason = None  # why it did not, as the service says

    @property
    def good(self):
        return self.status == 200 and self.whole and self.trailers.get("nitroseal-result") == "ok"


class Reader:
    def __init__(self, sock):
        self.sock, self.left = sock, b""

    def line(self):
        while b"\r\n" not in self.left:
            piece = self.sock.recv(65536)
            if not piece:
                raise EOFError
            self.left += piece
        line, self.left = self.left.split(b"\r\n", 1)
        return line.decode()

    def take(self, n, sink):
        while n:
            if not self.left:
                self.left = self.sock.recv(262144)
                if not self.left:
                    raise EOFError
            part, self.left = self.left[:n], self.left[n:]
            n -= len(part)
            sink(part)

    def fields(self):
        while line := self.line():
            name, value = line.split(":", 1)
            yield name.lower(), value.strip()


def read_answer(sock, sink=None):
    a, r, parts = Answer(), Reader(sock), []
    sink = sink or parts.append
    try:
        a.status = int(r.line().split()[1])
        while a.status == 100:
            list(r.fields())
            a.status = int(r.line().split()[1])
        for name, value in r.fields():
            a.headers[name] = value
            if name == "nitroseal-encryption-context":
                a.pairs.append(value)
        if "content-length" in a.headers:
            r.take(int(a.headers["content-length"]), sink)
        else:
            while True:
                size, _, extension = r.line().partition(";")
                if extension:
                    a.reason = extension.split("=")[1].strip('"')
                n = int(size, 16)
                if n == 0:
                    break
                r.take(n, sink)
                assert r.line() == ""
            a.trailers = dict(r.fields())
        a.whole = True
    except (EOFError, ConnectionError):
        pass
    a.body = b"".join(parts)
    return a


def ask(stack, path, body=b"", headers=(), cid=lib.CID, chunked=False, sink=None, timeout=60, length=None):
    """`body` is bytes or an iterable of them; `headers` pairs. An iterable goes in chunks unless `length` is told."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(timeout)
        s.connect(os.path.join(stack.v, f"{cid}.vsock_{lib.PORT}"))
        if isinstance(body, bytes) and not chunked:
            body, length = [body], len(body)
        elif isinstance(body, bytes):
            body = [body[i:i + 50000] for i in range(0, len(body), 50000)]
        framing = f"Content-Length: {length}" if length is not None else "Transfer-Encoding: chunked"
        head = f"POST {path} HTTP/1.1\r\nHost: enclave\r\nConnection: close\r\n{framing}\r\n"
        head += "".join(f"{k}: {v}\r\n" for k, v in headers) + "\r\n"

        def send():
            try:
                s.sendall(head.encode())
                for piece in body:
                    if length is None and piece:
                        s.sendall(b"%x\r\n" % len(piece) + piece + b"\r\n")
                    elif piece:
                        s.sendall(piece)
                if length is None:
                    s.sendall(b"0\r\n\r\n")
            except OSError:
                pass  # the service has given up: its answer says why

        t = threading.Thread(target=send)
        t.start()
        a = read_answer(s, sink)
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        t.join()
        return a
