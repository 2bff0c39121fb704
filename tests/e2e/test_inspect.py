#!/usr/bin/python3
"""`nitroseal inspect`: messages of every suite and form out of the fuzz corpus, binary and as text, cut, longer, and seed
messages; neither a key nor a network is there. TAP."""
import base64, json, os

import lib
from lib import check, run

SEEDS = os.path.join(lib.ROOT, "tests", "corpus", "esdk_header")
NOWHERE = {"NITROSEAL_VSOCK": "unix:/nonexistent"}
BEGIN, END = "-----BEGIN AWS ENCRYPTION SDK MESSAGE-----", "-----END AWS ENCRYPTION SDK MESSAGE-----"

GOLDEN = """\
format        AWS Encryption SDK message, version 2
suite         0x0578 AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384
              commits to its key, signed
message id    404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f
context       aws-crypto-public-key = A7eNO0ZuuTCau4cS+80RtxDH2JMCmIowaJzaTCW4lgwGsss4CF3Nm4rS3cBtygGK7A==
data key      aws-kms arn:one, encrypted: 2 bytes
data key      aws-kms arn:two, encrypted: 2 bytes
header        231 bytes
frames        1 of 16 bytes, the last 5
plaintext     5 bytes
signature     103 bytes
message       381 bytes
verified      nothing: that takes the key
"""
GOLDEN_JSON = {
    "format": "message", "armored": False, "version": 2,
    "suite": {"id": "0x0578", "name": "AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384", "commits": True, "signs": True},
    "message_id": "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f",
    "encryption_context": {"aws-crypto-public-key": "A7eNO0ZuuTCau4cS+80RtxDH2JMCmIowaJzaTCW4lgwGsss4CF3Nm4rS3cBtygGK7A=="},
    "encrypted_data_keys": [{"provider": "aws-kms", "info": "arn:one", "ciphertext_bytes": 2},
                            {"provider": "aws-kms", "info": "arn:two", "ciphertext_bytes": 2}],
    "header_bytes": 231, "framed": True, "frame_length": 16, "frames": 1, "last_frame_bytes": 5, "plaintext_bytes": 5,
    "signature_bytes": 103, "bytes": 381, "whole": True, "verified": False}


def inspect(*argv, stdin=""):
    return run("nitroseal", "inspect", *argv, stdin=stdin, env=NOWHERE)


folder = lib.private_folder()


def put(name, data):
    path = os.path.join(folder, name)
    with open(path, "wb") as f:
        f.write(data)
    return path


signed = os.path.join(SEEDS, "0578")
check(inspect(signed) == (0, GOLDEN, ""), "a signed message, as text", inspect(signed))
status, out, err = inspect("--json", "-i", signed)
check((status, json.loads(out), err) == (0, GOLDEN_JSON, ""), "the same in JSON", status, out, err)
check(list(json.loads(out)) == list(GOLDEN_JSON), "its members in this order")

for name in sorted(os.listdir(SEEDS)):
    status, out, err = inspect("--json", os.path.join(SEEDS, name))
    a = json.loads(out)
    check(status == 0 and a["suite"]["id"] == "0x" + name and a["whole"] and a["bytes"] == os.path.getsize(os.path.join(SEEDS, name)),
          f"suite {name}", status, out, err)

data = open(signed, "rb").read()
plain = base64.b64encode(data).decode()
for name, text in (("armor", f"{BEGIN}\n{base64.encodebytes(data).decode()}{END}\n"), ("armor with CRLF", f"{BEGIN}\r\n{plain}\r\n{END}\r\n"),
                   ("bare base64", plain + "\n"), ("base64 in lines", base64.encodebytes(data).decode())):
    status, out, err = inspect("--json", stdin=text)
    check(status == 0 and json.loads(out) == {**GOLDEN_JSON, "armored": True}, name, status, out, err)
check(inspect("-", stdin=plain)[1] == GOLDEN.replace("version 2\n", "version 2, as text (base64)\n"), "armor, as text")
status, out, err = inspect(stdin=f"{BEGIN}\n{plain}\n")
check(status == 6 and "whole" in out and "armor: it is cut off" in err, "armor without its end", status, out, err)

status, out, err = inspect(put("cut", data[:-1]))
check(status == 6 and out.startswith(GOLDEN[:300]) and "message       380 bytes, not whole\n" in out and
      "the message is cut off (at byte 380)" in err, "a cut one: what there is, and the reason", status, out, err)
status, out, err = inspect("--json", put("longer", data + b"x"))
a = json.loads(out)
check(status == 6 and a["whole"] is False and a["fault"] == "bytes follow the message's end" and a["fault_at"] == 381, "a longer one", out, err)
status, out, err = inspect(put("other", b"\x02\x09\x99" + data[3:]))
check(status == 6 and out == "" and "unknown algorithm suite" in err, "an unknown suite", status, out, err)
for name, blob in (("binary", b"\x00\xff" * 50), ("empty", b""), ("some text", b"hello\n")):
    status, out, err = inspect(put(name, blob))
    check(status == 6 and out == "" and "neither a message of the Encryption SDK nor a seed message" in err, name, status, out, err)
status, out, err = inspect("--json", put("binary", b"\x00\xff"))
check(status == 6 and json.loads(out)["exit_status"] == 6, "its fault in JSON", out)
check(inspect(folder)[0] == 6 and inspect(folder + "/none")[0] == 6 and inspect("-i", "a", "b")[0] == 2, "a folder, nothing, two files")

triple = {"encrypted": base64.b64encode(bytes(28 + 5)).decode(), "signature": base64.b64encode(bytes(32)).decode(),
          "ciphertext_blob": base64.b64encode(bytes(180)).decode()}
want = {"format": "seed", "encrypted_bytes": 33, "plaintext_bytes": 5, "signature_bytes": 32, "ciphertext_blob_bytes": 180, "verified": False}
lines = "".join(f"{k.upper()}={v}\n" for k, v in triple.items())
for name, text in (("lines", lines), ("JSON", json.dumps(triple))):
    status, out, err = inspect("--json", stdin=text)
    check(status == 0 and json.loads(out) == want, f"a seed message in {name}", status, out, err)
check("plaintext     5 bytes\n" in inspect(stdin=lines)[1], "and as text")
lib.plan()
