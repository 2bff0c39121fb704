#!/usr/bin/python3
"""Nitroseal from Python, over the HTTP API and nothing but the standard library.

As a module:

    with Nitroseal("/run/nitroseal/gateway.sock") as enclave:
        sealed = enclave.encrypt(b"attack at dawn")
        assert enclave.decrypt(sealed) == b"attack at dawn"

As a program: nitroseal_http.py SOCKET TEXT. The socket is the gateway's; that of an enclave on a local stack
(DIR/CID.vsock_PORT) serves as well. One connection for each object, so one object for each thread.
"""
import base64, http.client, json, socket, sys, urllib.parse
from collections import namedtuple

BYTES = "application/octet-stream"
Sealed = namedtuple("Sealed", "encrypted signature ciphertext_blob key_id")  # keep the first three


class Problem(Exception):
    """A failure as the service told it: its members are those of the problem document."""

    def __init__(self, status, body):
        self.status = status
        self.document = json.loads(body) if body else {}
        self.code = self.document.get("code", "http_status")
        words = [self.document.get("title", f"HTTP status {status}"), self.document.get("detail"),
                 self.document.get("kms_message"), self.document.get("hint")]
        super().__init__(f"{self.code}: " + "; ".join(w for w in words if w))


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("nitroseal", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Nitroseal:
    def __init__(self, socket_path, timeout=30):
        self.connection = UnixConnection(socket_path, timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def ask(self, method, path, body=None, headers={}):
        """(headers, body) of an answer; Problem otherwise. A connection that had been idle for too long is made
        again, once: no request here does harm when it is done twice. One that failed in another way, or was late, is
        not used again: what it still brings would be taken for the next answer."""
        for is_last in (self.connection.sock is None, True):
            try:
                self.connection.request(method, path, body, headers)
                answer = self.connection.getresponse()
                data = answer.read()
                break
            except (OSError, http.client.HTTPException) as error:
                self.connection.close()
                if is_last or not isinstance(error, (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)):
                    raise
        if answer.status >= 300:
            is_problem = answer.headers.get_content_type() == "application/problem+json"
            raise Problem(answer.status, data if is_problem else b"")
        return answer.headers, data

    def encrypt(self, data):
        h, encrypted = self.ask("POST", "/v1/encrypt", data, {"Content-Type": BYTES})
        return Sealed(encrypted, h["Nitroseal-Signature"], h["Nitroseal-Ciphertext-Blob"], h["Nitroseal-Key-Id"])

    def decrypt(self, sealed):
        beside = {"Nitroseal-Signature": sealed.signature, "Nitroseal-Ciphertext-Blob": sealed.ciphertext_blob}
        return self.ask("POST", "/v1/decrypt", sealed.encrypted, {"Content-Type": BYTES, **beside})[1]

    def random(self, count):
        return self.ask("POST", "/v1/random", json.dumps({"bytes": count}), {"Accept": BYTES})[1]

    def attest(self, nonce):
        """The document as it came. It has to be verified before anything in it is believed."""
        query = urllib.parse.urlencode({"nonce": base64.urlsafe_b64encode(nonce).decode()})
        return self.ask("GET", "/v1/attestation?" + query, None, {"Accept": BYTES})[1]

    def put_credentials(self, access_key_id, secret_access_key, session_token=None, expiration=None):
        """Credentials that the service holds for all its clients, in memory. A gateway does this by itself."""
        body = {"access_key_id": access_key_id, "secret_access_key": secret_access_key,
                "session_token": session_token, "expiration": expiration}
        self.ask("PUT", "/v1/credentials", json.dumps(body), {"Content-Type": "application/json"})


def main(argv):
    if len(argv) != 3:
        print("usage: nitroseal_http.py SOCKET TEXT", file=sys.stderr)
        return 2
    try:
        with Nitroseal(argv[1]) as enclave:
            sealed = enclave.encrypt(argv[2].encode())
            print(f"encrypted: {len(sealed.encrypted)} bytes under {sealed.key_id}")
            print("decrypted:", enclave.decrypt(sealed).decode())
            nonce = enclave.random(32)
            print("attestation:", len(enclave.attest(nonce)), "bytes over", nonce.hex())
    except Problem as problem:
        print(problem, file=sys.stderr)
        return {403: 4, 422: 5}.get(problem.status, 1)
    except (OSError, http.client.HTTPException) as error:
        print(f"{argv[1]}: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
