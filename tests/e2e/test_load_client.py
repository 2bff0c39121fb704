#!/usr/bin/python3
"""The load client itself, against a service that errs on purpose: what is lost, answered twice, wrongly, or with another's
data is counted as that, and nothing else is. TAP."""
import base64, hashlib, json, os, socket, threading

import lib, loadlib
from lib import check

if not os.access(loadlib.LOAD, os.X_OK):
    check(False, "program: " + loadlib.LOAD)
    lib.plan()
ENVELOPE = 28


class Fake:
    """Seals by not sealing: the text behind 28 bytes. Every 50th answer is spoiled by `spoil`."""

    def __init__(self, folder, spoil=None):
        self.path, self.spoil, self.lock, self.n, self.texts = os.path.join(folder, f"{lib.CID}.vsock_{lib.PORT}"), spoil, threading.Lock(), 0, []
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def number(self):
        with self.lock:
            self.n += 1
            return self.n

    def answer(self, rq, n, is_http):
        rid = f"12345678-{n:08x}"
        if rq.get("operation", "encrypt" if "message" in rq else "decrypt") == "encrypt":
            data = rq["message"].encode()
            self.texts.append(rq["message"])
            a = {"encrypted": base64.b64encode(bytes(ENVELOPE) + data).decode(), "signature": base64.b64encode(hashlib.sha256(data).digest()).decode(),
                 "ciphertext_blob": base64.b64encode(b"blob").decode(), "request_id": rid}
            return a if is_http else {**a, "plaintext": rq["message"]}
        text = base64.b64decode(rq["encrypted"])[ENVELOPE:].decode()
        return {"decrypted": text, "signature_valid": True, "request_id": rid}

    def serve(self, s):
        try:
            with s:
                first = s.recv(65536)
                self.http(s, first) if first[:1].isupper() else self.seed(s, first)
        except OSError:
            pass

    def seed(self, s, got):
        while piece := s.recv(65536):
            got += piece
        n = self.number()
        out = self.answer(json.loads(got), n, False)
        out = self.spoil(self, n, out, False) if self.spoil and n % 50 == 0 else json.dumps(out).encode()
        s.sendall(out)

    def http(self, s, got):
        while True:
            while b"\r\n\r\n" not in got:
                piece = s.recv(65536)
                if not piece:
                    return
                got += piece
            head, _, got = got.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            while len(got) < length:
                got += s.recv(65536)
            body, got = got[:length], got[length:]
            n = self.number()
            out = self.answer(json.loads(body), n, True)
            out = self.spoil(self, n, out, True) if self.spoil and n % 50 == 0 else framed(out)
            if out is None:
                return
            s.sendall(out)


def framed(a, status="200 OK", kind="application/json", more=""):
    body = json.dumps(a).encode()
    return (f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nNitroseal-Request-Id: {a.get('request_id', '')}\r\n{more}"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def either(change):
    def spoil(fake, n, a, is_http):
        a = change(fake, n, dict(a))
        return framed(a) if is_http else json.dumps(a).encode()
    return spoil


def another_text(fake, n, a):
    """The text of somebody else, everything else in order."""
    text = next(t for t in fake.texts if t != a.get("plaintext", a.get("decrypted")))
    a["plaintext" if "plaintext" in a else "decrypted"] = text
    return a


def problem(code, line, says=None, more="Retry-After: 1\r\n"):
    def spoil(fake, n, a, is_http):
        if not is_http:
            return json.dumps({"error": "x", "error_code": code, "request_id": a["request_id"]}).encode()
        p = {"type": "urn:nitroseal:error:" + code, "title": "x", "status": says or int(line[:3]), "code": code, "request_id": a["request_id"]}
        return framed(p, line, "application/problem+json", more)
    return spoil


nothing = lambda fake, n, a, is_http: None if is_http else b""
doubled = lambda fake, n, a, is_http: framed(a) * 2 if is_http else json.dumps(a).encode() * 2
one_bit = either(lambda f, n, a: {k: (v[:-1] + ("x" if v[-1] != "x" else "y") if k in ("plaintext", "decrypted") else v) for k, v in a.items()})
ROWS = (  # what is done, operation, protocols, what it is counted as
    ("nothing amiss", None, "decrypt", "seed json", {}),
    ("no answer", nothing, "decrypt", "seed json", {"lost"}),
    ("an answer twice", doubled, "decrypt", "json", {"twice", "lost"}),
    ("an answer twice in a stream that has one", doubled, "decrypt", "seed", {"wrong"}),
    ("another's text", either(another_text), "encrypt", "seed", {"wrong"}),
    ("one character changed", one_bit, "decrypt", "seed json", {"wrong"}),
    ("a signature said not to hold", either(lambda f, n, a: {**a, "signature_valid": False}), "decrypt", "seed json", {"wrong"}),
    ("an envelope a byte short", either(lambda f, n, a: {**a, "encrypted": base64.b64encode(base64.b64decode(a["encrypted"])[1:]).decode()}),
     "encrypt", "seed json", {"wrong"}),
    ("a request id again", either(lambda f, n, a: {**a, "request_id": "12345678-00000001"}), "decrypt", "seed json", {"twice"}),
    ("a clear failure", problem("kms_timeout", "504 x"), "decrypt", "seed json", {"failed"}),
    ("a failure without a known code", problem("oops", "504 x"), "decrypt", "seed json", {"wrong"}),
    ("a problem whose status is another", problem("kms_timeout", "504 x", says=500), "decrypt", "json", {"wrong"}),
    ("a code with another's status", problem("kms_timeout", "500 x"), "decrypt", "json", {"wrong"}),
    ("503 without Retry-After", problem("busy", "503 x", more=""), "decrypt", "json", {"wrong"}),
)
stack = loadlib.LoadStack.__new__(loadlib.LoadStack)
stack.v = lib.private_folder()
stack.app = lib.Principal("app", "AKIDAPP", "secret")
for name, spoil, op, protocols, counted in ROWS:
    for protocol in protocols.split():
        fake = Fake(stack.v, spoil)
        status, r, err = loadlib.finish(stack.load("--protocol", protocol, "--op", op, "--requests", 400, "--clients", 4, "--seconds", 60))
        fake.listener.close()
        got = {k for k in ("lost", "twice", "wrong", "failed") if r.get(k)}
        check(got == set(counted) and r.get("is_balanced"), f"{name}, {protocol}: counted as {sorted(counted) or 'good'}", r, err[-1500:])
        check((status == 0) == (not got - {"failed"}), f"{name}, {protocol}: its status says so", status, got)
        if spoil and name == "another's text":
            check("another text came back" in err and "client" in err, "and it says whose text it was", err[-1500:])
lib.plan()
