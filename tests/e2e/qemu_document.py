"""Attestation documents in the form of QEMU's nitro-enclave machine, made by hand: unsigned, so with any PCRs at all. For
nitroseal-kms --trust-qemu-nsm."""
import os, subprocess, time

MODULE = "i-234-enc5678"


def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    size = 1 if n < 256 else 2 if n < 65536 else 4 if n < 1 << 32 else 8
    return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[size]]) + n.to_bytes(size, "big")


def cbor(v):
    if v is None:
        return b"\xf6"
    if isinstance(v, int):
        return head(0, v)
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    if isinstance(v, list):
        return head(4, len(v)) + b"".join(map(cbor, v))
    return head(5, len(v)) + b"".join(cbor(k) + cbor(x) for k, x in v.items())


def document(public_key, pcrs, module=MODULE, now=None, signature=bytes(64), alg=b"\xa1\x01\x20"):
    payload = {"module_id": module, "digest": "SHA384", "timestamp": int(now or time.time()) * 1000,
               "pcrs": {i: pcrs.get(i, bytes(48)) for i in range(16)}, "certificate": bytes(64),
               "cabundle": [bytes(64)], "public_key": public_key, "user_data": None, "nonce": None}
    return cbor([alg, {}, cbor(payload), signature])


def public_key(folder):
    """DER of a new RSA key, whose private half is in FOLDER/key.pem."""
    pem = os.path.join(folder, "key.pem")
    with open(pem, "w") as f:
        subprocess.run(["openssl", "genrsa", "2048"], stdout=f, stderr=subprocess.DEVNULL, check=True)
    return subprocess.run(["openssl", "rsa", "-in", pem, "-pubout", "-outform", "DER"], capture_output=True, check=True).stdout
