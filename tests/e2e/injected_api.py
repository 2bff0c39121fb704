"""The HTTP API on connections that stay open, for test_inject.py: every answer is right, a clear error, or cut short so
that it can be told. What was sealed is opened again afterwards, when nothing fails any more."""
import base64, json, os, threading, time

import duplex
import lib
import seed
from messages import DEC, ENC, hold, metrics

JSON, BYTES = "application/json", "application/octet-stream"
TEXT = "over HTTP nothing changes, either: \u00e4\u20ac\U0001f512 " * 3
SMALL, LARGE = b"a small message", os.urandom(300_000)
OPENED_AT_ONCE = 100
PATIENCE_S = 60
ASKED_AGAIN = {"none", "busy", "kms_timeout", "kms_unreachable", "nsm_timeout"}  # the last: no time was left when the document came
BUFFERED_MAX = 65536  # bytes that the one who asks for the metrics may hold itself


class Wrong(Exception):
    pass


class Client:
    """One connection, made anew when it has ended; and what came sealed over it."""

    def __init__(self, world):
        self.w, self.sock = world, None
        self.sealed, self.messages = [], []
        self.small = self.large = None  # messages to decrypt
        self.refusal = None  # the code of the last error

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock = None

    def send(self, method, path, body, headers):
        head = f"{method} {path} HTTP/1.1\r\nHost: enclave\r\nContent-Length: {len(body)}\r\n"
        head += "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
        try:
            self.sock.sendall(head.encode() + body)
        except OSError:
            pass  # the service has given up: its answer says why, if there is one

    def exchange(self, method, path, body, headers):
        """An answer, or None where the connection ended before its head."""
        if not self.sock:
            self.sock = seed.connect(self.w.stack.v, lib.CID, lib.PORT, 10)
        sender = threading.Thread(target=self.send, args=(method, path, body, headers))
        sender.start()
        a = None
        try:
            a = duplex.read_answer(self.sock)
        except (TimeoutError, ValueError, AssertionError) as e:
            raise Wrong(f"{path}: no answer and no end, or nonsense: {e!r}") from e
        finally:
            if not a or not a.whole or a.headers.get("connection") == "close":
                try:
                    self.sock.shutdown(2)
                except OSError:
                    pass
                sender.join()
                self.close()
            sender.join()
        return a if a.status else None

    def ask(self, path, body, headers, good, method="POST"):
        """The answer, or None if it is an error; `good` judges one with status 200."""
        self.refusal = None
        try:
            a = self.exchange(method, path, body, headers)
        except OSError:
            a = None  # nobody listens for the moment
        except Wrong as e:
            self.w.note({"error": str(e)}, False)
            return None
        if a is None:
            self.w.note("connection ended", False)
        elif a.status == 200 and a.reason:
            self.refusal = a.reason
            self.w.note({"error": "chunks broken off", "error_code": a.reason}, False)
        elif not a.whole:
            self.w.note("cut short", False)
        elif a.status == 200:
            right = good(a)
            self.w.note({"path": path, "answer": repr((a.headers, a.body[:300]))}, right)
            return a if right else None
        elif not a.body:
            self.w.note(f"status {a.status} alone", False)  # no memory for words
        else:
            p = json.loads(a.body)
            self.refusal = p["code"]
            told = p["status"] == a.status and a.headers["content-type"] == "application/problem+json"
            self.w.note({"error": p["title"], "error_code": p["code"] if told else None}, False)
        return None

    # --- what is asked ---

    def who(self):
        return self.w.stack.app.seed()

    def hold(self):
        assert hold(self.w.stack) == 204

    def keep(self, text, encrypted, signature, blob):
        self.sealed.append((text, {"operation": "decrypt", "encrypted": encrypted, "signature": signature, "ciphertext_blob": blob}))
        return True

    def encrypt_json(self):
        def good(a):
            b = json.loads(a.body)
            return self.keep(TEXT, b["encrypted"], b["signature"], b["ciphertext_blob"])

        self.ask("/v1/encrypt", json.dumps({"message": TEXT, "credentials": self.who()}).encode(), {"Content-Type": JSON}, good)

    def encrypt_bytes(self):
        def good(a):
            h = a.headers
            return "nitroseal-signature" in h and "nitroseal-ciphertext-blob" in h and self.keep(
                TEXT, base64.b64encode(a.body).decode(), h["nitroseal-signature"], h["nitroseal-ciphertext-blob"])

        self.ask("/v1/encrypt", TEXT.encode(), {"Content-Type": BYTES}, good)

    def batch(self):
        items = [{"operation": "encrypt", "message": f"{n} {TEXT}"} for n in range(3)]

        def good(a):
            results = json.loads(a.body)["results"]
            for n, r in enumerate(results):
                if "code" in r:
                    self.w.note({"error": r["title"], "error_code": r["code"]}, False)
                else:
                    self.keep(f"{n} {TEXT}", r["encrypted"], r["signature"], r["ciphertext_blob"])
            return len(results) == 3

        self.ask("/v1/batch", json.dumps({"items": items, "credentials": self.who()}).encode(), {"Content-Type": JSON}, good)

    def seal(self, text):
        def good(a):
            if a.trailers.get("nitroseal-result") == "ok":
                self.messages.append((text, a.body))
            return a.trailers.get("nitroseal-result") == "ok"

        a = self.ask(ENC, text, {"Content-Type": BYTES, "Nitroseal-Encryption-Context": "k=v"}, good)
        return a and a.body

    def open(self, text, message):
        good = lambda a: a.body == text and a.trailers.get("nitroseal-result") == "ok" and a.pairs == ["k=v"]
        return self.ask(DEC, message, {"Content-Type": BYTES}, good)

    def seal_small(self):
        self.seal(SMALL)

    def seal_large(self):
        self.seal(LARGE)

    def open_small(self):
        self.open(SMALL, self.small)

    def open_large(self):
        self.open(LARGE, self.large)

    SHORT = (encrypt_json, encrypt_bytes, batch, seal_small, open_small)
    ALL = (*SHORT, seal_large, open_large)

    def another(self):
        """What this makes of what another one has prepared."""
        c = Client(self.w)
        c.small, c.large = self.small, self.large
        return c

    def give_to(self, other):
        self.close()
        other.sealed += self.sealed
        other.messages += self.messages

    def prepare(self):
        """When nothing fails: something to open."""
        self.hold()
        self.small, self.large = self.seal(SMALL), self.seal(LARGE)
        assert self.small and self.large, self.w.wrong

    def open_all(self):
        """When nothing fails any more: all that came sealed is what it should be. How many there were."""
        n, end = 0, time.monotonic() + PATIENCE_S
        while self.sealed and time.monotonic() < end:
            some, self.sealed = self.sealed[:OPENED_AT_ONCE], self.sealed[OPENED_AT_ONCE:]
            body = json.dumps({"items": [s for _, s in some], "credentials": self.who()}).encode()
            a = self.ask("/v1/batch", body, {"Content-Type": JSON}, lambda a: True)
            results = json.loads(a.body)["results"] if a else [{"code": "none"}] * len(some)
            for (text, item), r in zip(some, results):
                if r.get("code") in ASKED_AGAIN:
                    self.sealed.append((text, item))  # a request has little time, and the machine may be busy
                elif r.get("decrypted") != text or r["signature_valid"] is not True:
                    self.w.wrong.append(f"what was sealed does not open: {r}")
                else:
                    n += 1
        if self.sealed:
            self.w.wrong.append(f"{len(self.sealed)} that were sealed could not be opened in {PATIENCE_S} s")
            self.sealed.clear()
        while self.messages:
            text, message = self.messages.pop()
            while not (opened := self.open(text, message)) and (self.refusal or "none") in ASKED_AGAIN and time.monotonic() < end:
                pass
            if not opened:
                self.w.wrong.append(f"a message does not open: {self.refusal}")
            n += 1
        self.close()
        return n


def holds_nothing(stack):
    """The service's own numbers, when nobody asks anything but this."""
    m = metrics(stack)
    return (m["nitroseal_requests_running"] == 0 and m["nitroseal_work_queued"] == 0 and m["nitroseal_kms_waiting"] == 0
            and m["nitroseal_buffered_bytes"] <= BUFFERED_MAX and m["nitroseal_connections"] <= 1 and m["nitroseal_data_keys_kept"] == 0)
