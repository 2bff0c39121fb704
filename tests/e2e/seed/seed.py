#!/usr/bin/python3
"""The seed system once more, for tests: its message, its client, its service. Written from the description of the
protocol alone, with python3-cryptography; shares nothing with the C implementation.

As a program: seed.py serve DIR CID PORT KEYHEX
"""
import base64, hashlib, hmac, json, os, socket, sys, threading

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

IV_BYTES, TAG_BYTES, KEY_BYTES = 12, 16, 32


def encrypt_text(key, text):
    """(encrypted, signature), both in base64, under a 32-byte data key."""
    data = text.encode("utf-8")
    iv = os.urandom(IV_BYTES)
    sealed = AESGCM(key).encrypt(iv, data, None)  # ciphertext, then tag
    body, tag = sealed[:-TAG_BYTES], sealed[-TAG_BYTES:]
    mac = hmac.new(key, data, hashlib.sha256).digest()
    return base64.b64encode(iv + tag + body).decode(), base64.b64encode(mac).decode()


def decrypt_text(key, encrypted, signature):
    """(text, signature holds). Raises where the message was altered."""
    raw = base64.b64decode(encrypted, validate=True)
    iv, tag, body = raw[:IV_BYTES], raw[IV_BYTES:IV_BYTES + TAG_BYTES], raw[IV_BYTES + TAG_BYTES:]
    data = AESGCM(key).decrypt(iv, body + tag, None)
    mac = hmac.new(key, data, hashlib.sha256).digest()
    return data.decode("utf-8"), hmac.compare_digest(mac, base64.b64decode(signature, validate=True))


def connect(folder, cid, port, timeout=30):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(timeout)
    s.connect(os.path.join(folder, f"{cid}.vsock_{port}"))
    return s


def exchange(sock, payload):
    """Bytes out, shut down, bytes in until the end."""
    with sock:
        send(sock, payload)
        return receive(sock)


def send(sock, payload):
    sock.sendall(payload)
    sock.shutdown(socket.SHUT_WR)


def receive(sock):
    parts = []
    while part := sock.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def ask(folder, cid, port, request, ascii_only=True, timeout=30):
    """One request, one answer. `ascii_only` is how the original's client writes JSON."""
    payload = json.dumps(request, ensure_ascii=ascii_only).encode("utf-8")
    return json.loads(exchange(connect(folder, cid, port, timeout), payload).decode("utf-8"))


def encrypt_request(credentials, text):
    return {"operation": "encrypt", "credentials": credentials, "message": text}


def decrypt_request(credentials, answer):
    return {"operation": "decrypt", "credentials": credentials, "encrypted": answer["encrypted"],
            "signature": answer["signature"], "ciphertext_blob": answer["ciphertext_blob"]}


class Service:
    """The original's service with a data key that never changes, so that no KMS is needed."""

    BLOB = b"a ciphertext blob that only this service understands"

    def __init__(self, folder, cid, port, key):
        self.key = key
        self.requests = []  # as they came
        self.path = os.path.join(folder, f"{cid}.vsock_{port}")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(16)
        threading.Thread(target=self.serve, daemon=True).start()

    def close(self):
        self.listener.close()
        os.unlink(self.path)

    def serve(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with sock:
                parts = []
                while part := sock.recv(1 << 16):
                    parts.append(part)
                try:
                    answer = self.answer(json.loads(b"".join(parts).decode("utf-8")))
                except Exception as e:
                    answer = {"error": str(e)}
                sock.sendall(json.dumps(answer).encode())

    def answer(self, rq):
        self.requests.append(rq)
        if sorted(rq["credentials"]) != ["access_key_id", "secret_access_key", "session_token"]:
            return {"error": "Failed to get data key from KMS"}
        if rq.get("operation", "encrypt") == "encrypt":
            encrypted, signature = encrypt_text(self.key, rq["message"])
            return {"operation": "encrypt", "plaintext": rq["message"], "encrypted": encrypted,
                    "signature": signature, "ciphertext_blob": base64.b64encode(self.BLOB).decode()}
        if base64.b64decode(rq["ciphertext_blob"], validate=True) != self.BLOB:
            return {"error": "Failed to decrypt data key from KMS"}
        try:
            text, valid = decrypt_text(self.key, rq["encrypted"], rq["signature"])
        except Exception:
            return {"error": "Failed to decrypt text"}
        return {"operation": "decrypt", "decrypted": text, "signature_valid": valid}


if __name__ == "__main__":
    if len(sys.argv) != 6 or sys.argv[1] != "serve":
        sys.exit(__doc__)
    Service(sys.argv[2], sys.argv[3], sys.argv[4], bytes.fromhex(sys.argv[5]))
    threading.Event().wait()
