#!/usr/bin/python3
"""The command line over libnitroseal and over the seed protocol is the same: a service played here gives the same answers by both, and status, output and
words have to agree. Then what only the HTTP API has: connections that are kept, a service that knows only the seed protocol, one that does not even
answer what it does not understand, hostile answers. TAP."""
import base64, json, os, socket, subprocess, threading, time

import lib
from lib import check

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "shh/very+secret", "AWS_SESSION_TOKEN": "to/ken=="}
STATUS = {"kms_refused": 403, "key_mismatch": 403, "text_not_authentic": 422, "busy": 503, "internal": 500, "too_large": 413, "invalid_base64": 400, "kms_timeout": 504}
b64 = lambda b: base64.b64encode(b).decode()
SEALED = {"encrypted": b64(bytes(40)), "signature": b64(bytes(32)), "ciphertext_blob": b64(b"blob")}


class Service(threading.Thread):
    """One connection at a time. `answer` is an answer of the seed protocol, or a function of the request. `http`: "yes"; "no": such requests are cut
    off, as JSON that is none; "never": they are not even answered, as the original does."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(folder, "16.vsock_5000"))
        self.listener.listen(64)
        self.http, self.answer, self.raw, self.requests, self.held = "yes", {}, None, [], []
        self.start()

    def run(self):
        while True:
            c, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        first = c.recv(1, socket.MSG_PEEK)
        is_http = b"A" <= first <= b"Z"
        if is_http and self.http == "never":
            self.held.append(c)
            return
        with c:
            try:
                if is_http and self.http == "yes":
                    while self.one(c):
                        pass
                elif not is_http:
                    data = b""
                    while part := c.recv(1 << 20):
                        data += part
                    c.sendall(json.dumps(self.say("seed", json.loads(data)), ensure_ascii=False).encode())
            except OSError:
                pass

    def say(self, how, rq):
        self.requests.append((how, rq))
        return self.answer(rq) if callable(self.answer) else self.answer

    def one(self, c):
        data = b""
        while b"\r\n\r\n" not in data:
            part = c.recv(1 << 20)
            if not part:
                return False
            data += part
        head, body = data.split(b"\r\n\r\n", 1)
        line, *fields = head.decode().split("\r\n")
        length = next((int(f.split(":")[1]) for f in fields if f.lower().startswith("content-length:")), 0)
        while len(body) < length:
            body += c.recv(1 << 20)
        method, path, version = line.split()
        if path == "/healthz":
            c.sendall(b'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 15\r\n\r\n{"status":"ok"}')
            return False
        a = self.say(path, json.loads(body))
        if self.raw is not None:
            c.sendall(self.raw)
            return False
        if "error" in a or a.get("signature_valid") is False:
            return self.problem(c, a)
        a = {k: v for k, v in a.items() if k != "plaintext"}
        body = json.dumps(a, ensure_ascii=False).encode()
        c.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        return True

    def problem(self, c, a):
        a = a if "error" in a else {"error": "Signature does not match", "error_code": "signature_invalid"}
        status = STATUS.get(a.get("error_code"), 422)
        p = {"type": "urn:nitroseal:error:" + a["error_code"], "title": a["error"], "status": status, "code": a["error_code"]}
        body = json.dumps({**p, **{k: v for k, v in a.items() if k not in ("error", "error_code")}}).encode()
        c.sendall(b"HTTP/1.1 %d x\r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body)
        return True


folder = lib.private_folder()
ENV = {**CREDENTIALS, "NITROSEAL_VSOCK": "unix:" + folder, "HOME": folder}
service = Service(folder)


def both(title, argv, answer, stdin="", want=None):
    """By HTTP and by the seed protocol: the same in every byte. Returns that."""
    got = {}
    for how in ("yes", "no"):
        service.http, service.answer, service.requests[:] = how, answer, []
        got[how] = lib.run("nitroseal", *argv, env=ENV, stdin=stdin)
        asked = {h for h, _ in service.requests}
        got[how + " asked"] = asked
    status, out, err = got["yes"]
    check(got["yes"] == got["no"], f"{title}: the same by both ways", got["yes"], got["no"])
    check(any(h.startswith("/v1/") for h in got["yes asked"]) and got["no asked"] == {"seed"}, f"{title}: which were taken", got["yes asked"], got["no asked"])
    if want is not None:
        check(status == want, f"{title}: {want}", status, out, err)
    return status, out, err


def the_same():
    whole = {"operation": "encrypt", "plaintext": "x", **SEALED, "key_id": 'arn:"quoted"\\', "request_id": "r-1\x1b"}
    both("encrypt", ["encrypt", "x"], {**whole, "key_id": "arn"}, want=0)
    status, out, _ = both("encrypt --json, with what JSON has to escape", ["encrypt", "--json", "x"], whole, want=0)
    check(json.loads(out)["key_id"] == 'arn:"quoted"\\', "and it is JSON", out)
    text = 'Grüße 你好 "q" \\ \n\t\x01 end'
    given = json.dumps(SEALED)
    answer = {"operation": "decrypt", "decrypted": text, "signature_valid": True, "key_id": "arn"}
    both("decrypt", ["decrypt"], answer, given, 0)
    status, out, _ = both("decrypt --json", ["decrypt", "--json"], answer, given, 0)
    check(json.loads(out)["decrypted"] == text, "with the text", out)
    both("decrypt nothing", ["decrypt"], {**answer, "decrypted": ""}, given, 0)
    both("decrypt --lines", ["decrypt", "--lines"], answer, (given + "\n") * 20, 0)
    altered = {**answer, "signature_valid": False}
    for more in ([], ["--json"], ["--allow-invalid-signature"], ["--allow-invalid-signature", "--json"]):
        both(f"a signature that does not hold {' '.join(more)}", ["decrypt", *more], altered, given, 5)
    for more in ([], ["--allow-invalid-signature"]):
        both(f"the same in lines {' '.join(more)}", ["decrypt", "--lines", *more], altered, given + "\n" + given)
    refused = {"error": "Failed to get data key from KMS", "error_code": "kms_refused", "kms_type": "AccessDeniedException", "kms_request_id": "r-1",
               "kms_message": 'User: "x" is not \x1b[31mauthorized', "hint": "look at the policy", "detail": "d", "request_id": "q"}
    rows = [("KMS refuses", refused, 4), ("KMS throttles", {**refused, "error_code": "kms_unavailable"}, 4),
            ("another key", {"error": "Failed to decrypt data key from KMS", "error_code": "key_mismatch", "hint": "h"}, 5),
            ("the tag does not hold", {"error": "Failed to decrypt text", "error_code": "text_not_authentic"}, 5)]
    rows += [(code, {"error": f"What {code} says", "error_code": code, "detail": "more\nlines", "request_id": "1"}, 1)
             for code in ("busy", "internal", "too_large", "invalid_base64", "kms_timeout", "a_later_one", "invalid_credentials")]
    for title, answer, want in rows:
        both(title, ["encrypt", "x"], answer, want=want)
        both(title + ", as JSON", ["encrypt", "--json", "x"], answer, want=want)
        both(title + ", decrypt", ["decrypt"], answer, given, want)
        both(title + ", in lines", ["encrypt", "--lines"], answer, "a\nb\n", want)
    service.http, service.answer, service.requests[:] = "yes", whole, []
    lib.run("nitroseal", "encrypt", "x", env=ENV)
    check(service.requests[0][1]["credentials"] == {"access_key_id": "AKIAX", "secret_access_key": "shh/very+secret", "session_token": "to/ken=="}, "credentials as sent", service.requests)


def kinds_of_service():
    service.answer = {"operation": "encrypt", **SEALED}
    service.http, service.requests[:] = "never", []
    start = time.monotonic()
    status, out, err = lib.run("nitroseal", "encrypt", "x", env=ENV)
    check(status == 0 and 0.9 < time.monotonic() - start < 20 and [h for h, _ in service.requests] == ["seed"], "a service that does not answer HTTP at all: after a second by the seed protocol",
          status, err, time.monotonic() - start)
    start = time.monotonic()
    status, out, err = lib.run("nitroseal", "encrypt", "--lines", "--jobs", "2", env=ENV, stdin="a\n" * 50)
    check(status == 0 and out.count("\n") == 50 and time.monotonic() - start < 20, "which is found out once for a worker, not for a line", status, err, time.monotonic() - start)
    service.http = "yes"
    for title, raw, want, words in (("no HTTP after all", b"oops", 1, "HTTP API"), ("no answer", b"", 3, "without an answer"), ("half an answer", b"HTTP/1.1 200 OK\r\ncontent-le", 3, "without an answer"),
                                    ("another answer", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", 1, "HTTP API"), ("a proxy's words", b"HTTP/1.1 502 x\r\ncontent-length: 4\r\n\r\noops", 1, "HTTP status 502")):
        service.raw = raw
        status, out, err = lib.run("nitroseal", "encrypt", "x", env=ENV)
        check(status == want and out == "" and err.count("\n") == 1 and words in err, f"{title}: {want} and one line", status, out, err)
    service.raw = None
    service.answer = lambda rq: time.sleep(3) or {}
    status, out, err = lib.run("nitroseal", "encrypt", "--timeout", "1", "x", env=ENV)
    check(status == 3 and "did not answer in time" in err, "an answer that is late: 3", status, err)


def closed():
    """Standard streams that are closed: no file and no connection of ours takes their place, to be written to as if it were one."""
    service.http, service.raw = "yes", None
    service.answer = lambda rq: {"operation": "encrypt", **SEALED} if "message" in rq else {"operation": "decrypt", "decrypted": "the text", "signature_valid": True}
    cli = os.path.join(lib.BIN, "nitroseal")

    def without(how, *argv):
        p = subprocess.run(["sh", "-c", 'exec "$@" ' + how, "sh", cli, *argv], env={**lib.CLEAN, **ENV}, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        return p.returncode, p.stdout.decode(), p.stderr.decode()

    given = [SEALED[k] for k in ("encrypted", "signature", "ciphertext_blob")]
    for argv in (["encrypt", "x"], ["encrypt", "--json", "x"], ["decrypt", *given], ["decrypt", "--json", *given]):
        status, out, err = without(">&-", *argv)
        check(status == 6 and err.count("\n") == 1 and "cannot write" in err, f"{' '.join(argv[:2])}, standard output closed: 6", status, err)
    status, out, err = without("<&-", "encrypt")
    check(status == 6 and "cannot read" in err, "standard input closed: 6", status, err)
    status, out, err = without("2>&-", "encrypt", "x")
    check(status == 0 and out.count("\n") == 3, "standard error closed, and nothing to say", status, out)
    status, out, err = without("2>&- >&- <&-", "decrypt", folder + "/none")
    check(status == 6, "all of them closed: the status still tells", status)


def kept_connections():
    """The real service counts them."""
    if lib.missing_programs():
        check(False, "programs of the local stack")
        return
    stack = lib.Stack().start()
    count = lambda: int(next(l.split()[1] for l in stack_metrics(stack).splitlines() if l.startswith("nitroseal_connections_total ")))
    before = count()
    status, out, err = lib.run("nitroseal", "encrypt", "--lines", "--jobs", "4", env=stack.cli_env(), stdin="x\n" * 400)
    after = count()
    check(status == 0 and out.count("encrypted") == 400 and after - before <= 40, "400 lines by 4 workers: a question what speaks there and a connection each (some more where that takes over a second)", status, err, after - before)
    status, document, err = lib.run("nitroseal", "attest", "--any-image", "--json", env=stack.cli_env())
    check(status == 0, "attest by the library", status, err)
    check(set(stack.stop().values()) == {0}, "every part ends")


def stack_metrics(stack):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.path.join(stack.v, f"{lib.CID}.vsock_{lib.PORT}"))
        s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        data = b""
        while part := s.recv(1 << 20):
            data += part
        return data.decode()


the_same()
kinds_of_service()
closed()
kept_connections()
lib.plan()
