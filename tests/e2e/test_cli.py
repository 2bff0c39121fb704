#!/usr/bin/python3
"""The command line alone, against a service played here: grammar, exact output in both languages, exit
statuses, credentials, what is sent. The service is an independent reading of the seed protocol with
python3-cryptography; no KMS, no attestation (test_stack.py has those). Prints TAP."""
import base64, hmac, json, os, shutil, socket, subprocess, sys, tempfile, threading

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.join(os.environ.get("NITROSEAL_BUILD", os.path.join(ROOT, "build")), "bin")
CLI, CLIENT = os.path.join(BIN, "nitroseal"), os.path.join(BIN, "kms-client")
KEY = bytes(range(32))
RULE = "=" * 60
b64 = lambda b: base64.b64encode(b).decode()
count = bad = 0


def check(good, name, *detail):
    global count, bad
    count += 1
    bad += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}", flush=True)
    if not good:
        for d in detail:
            for line in str(d).splitlines() or [""]:
                print("#   " + line)


def seal(text):
    iv = os.urandom(12)
    out = AESGCM(KEY).encrypt(iv, text, None)
    return {"encrypted": b64(iv + out[-16:] + out[:-16]), "signature": b64(hmac.digest(KEY, text, "sha256")),
            "ciphertext_blob": b64(b"blob")}


def unseal(rq):
    raw = base64.b64decode(rq["encrypted"])
    text = AESGCM(KEY).decrypt(raw[:12], raw[28:] + raw[12:28], None)
    return text, hmac.compare_digest(hmac.digest(KEY, text, "sha256"), base64.b64decode(rq["signature"]))


class Service(threading.Thread):
    """One connection at a time; `answer` maps a request to what is sent back (bytes or a value)."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(path)
        self.sock.listen(8)
        self.requests, self.answer, self.read_all = [], self.usual, True
        self.start()

    def usual(self, rq):
        if rq.get("operation", "encrypt") == "encrypt":
            return {"operation": "encrypt", "plaintext": rq["message"], **seal(rq["message"].encode()), "later": [1]}
        text, valid = unseal(rq)
        return {"operation": "decrypt", "decrypted": text.decode(), "signature_valid": valid}

    def run(self):
        while True:
            c, _ = self.sock.accept()
            try:
                raw = b""
                while self.read_all and (part := c.recv(1 << 20)):
                    raw += part
                rq = json.loads(raw) if raw else {}
                self.requests.append(rq)
                out = self.answer(rq)
                c.sendall(out if isinstance(out, bytes) else json.dumps(out).encode())
            except (OSError, ValueError):
                pass
            c.close()


class World:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="nscli-")
        os.mkdir(self.dir + "/v")
        self.service = Service(self.dir + "/v/16.vsock_5000")

    def run(self, *argv, stdin=b"", env=None, lang="en_US.UTF-8"):
        e = {"PATH": os.environ["PATH"], "HOME": self.dir, "LANG": lang, "NITROSEAL_VSOCK": f"unix:{self.dir}/v",
             "AWS_EC2_METADATA_DISABLED": "true", "AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "shh/very+secret"}
        e.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
        for k, v in (env or {}).items():
            e.pop(k, None) if v is None else e.__setitem__(k, v)
        p = subprocess.run(argv, input=stdin, env=e, capture_output=True, timeout=60)
        return p.returncode, p.stdout, p.stderr.decode()


def texts(w):
    for name, text in (("ASCII", "Hello"), ("Chinese", "你好，世界"), ("emoji", "🔒 ok"), ("empty", ""), ("one byte", "a"),
                       ("escapes", 'a"b\\c\n\t\x01'), ("line feed at the end", "x\n"), ("1 MB", "é" * 500_000)):
        status, out, err = w.run(CLI, "encrypt", stdin=text.encode())
        check(status == 0 and err == "" and out.count(b"\n") == 3, f"encrypt {name} from standard input", status, err)
        check(w.service.requests[-1]["message"] == text, f"encrypt {name}: sent as it is")
        status, out, err = w.run(CLI, "decrypt", stdin=out)
        check((status, out, err) == (0, text.encode(), ""), f"decrypt {name}: the text and nothing else", status, err)


def forms(w):
    status, out, err = w.run(CLI, "encrypt", "--json", "Hello")
    sealed = json.loads(out)
    check(status == 0 and set(sealed) == {"encrypted", "signature", "ciphertext_blob"}, "encrypt --json", out, err)
    path = w.dir + "/sealed.json"
    open(path, "wb").write(out)
    check(w.run(CLI, "decrypt", path) == (0, b"Hello", ""), "decrypt FILE in JSON")
    values = [sealed[k] for k in ("encrypted", "signature", "ciphertext_blob")]
    check(w.run(CLI, "decrypt", *values) == (0, b"Hello", ""), "decrypt with three arguments")
    check(w.run(CLI, "decrypt", "--encrypted", values[0], f"--signature={values[1]}", "--ciphertext-blob", values[2])
          == (0, b"Hello", ""), "decrypt with three options")
    status, out, err = w.run(CLI, "decrypt", "--json", path)
    check(status == 0 and json.loads(out) == {"decrypted": "Hello", "signature_valid": True}, "decrypt --json", out, err)
    rq = w.service.requests[-1]
    check(rq["credentials"] == {"access_key_id": "AKIAX", "secret_access_key": "shh/very+secret", "session_token": ""},
          "credentials as sent", rq)
    check(w.run(CLI, "decrypt", "a", "b")[0] == 2, "decrypt with two arguments: usage")
    check(w.run(CLI, "decrypt", "--signature", "b")[0] == 2, "decrypt with one option: usage")
    status, out, err = w.run(CLI, "decrypt", stdin=b"SIGNATURE=x\n")
    check(status == 6 and "neither a message of the Encryption SDK nor a seed message (no ENCRYPTED value)" in err,
          "decrypt of something else: 6", err)
    check(w.run(CLI, "decrypt", w.dir + "/none")[0] == 6, "decrypt of a missing file: 6")
    check(w.run(CLI, "encrypt", stdin=b"\xff\xfe")[0] == 6, "text that is not UTF-8: 6")


def altered(w):
    status, out, _ = w.run(CLI, "encrypt", "--json", "Hello")
    sealed = json.loads(out)
    sealed["signature"] = b64(bytes(32))
    wrong = json.dumps(sealed).encode()
    status, out, err = w.run(CLI, "decrypt", stdin=wrong)
    check((status, out) == (5, b"") and "signature" in err, "altered signature: 5 and no text", status, out, err)
    status, out, err = w.run(CLI, "decrypt", "--allow-invalid-signature", stdin=wrong)
    check((status, out) == (5, b"Hello") and "do not trust" in err, "asked for: the text, still 5", status, out, err)
    status, out, err = w.run(CLI, "decrypt", "--json", stdin=wrong)
    check(status == 5 and json.loads(out) == {"signature_valid": False}, "altered, --json: no text", out)


def refusals(w):
    kms = {"error": "Failed to get data key from KMS", "error_code": "kms_refused", "kms_type": "AccessDeniedException",
           "kms_message": "User: x is not \x1b[31mauthorized", "kms_request_id": "r-1", "hint": "look at the policy"}
    for name, answer, want, words in (
            ("KMS refused", kms, 4, ("Failed to get data key from KMS: AccessDeniedException: User: x", "r-1", "look at the policy")),
            ("the original's text alone", {"error": "Failed to get data key from KMS"}, 1, ("Failed to get data key from KMS",)),
            ("the tag did not hold", {"error": "Failed to decrypt text"}, 5, ("Failed to decrypt text",)),
            ("not JSON", b"oops", 1, ("seed protocol",)),
            ("no answer", b"", 3, ("without an answer",))):
        w.service.answer = lambda rq: answer
        status, out, err = w.run(CLI, "encrypt", "Hello")
        check(status == want and out == b"" and err.count("\n") == 1 and all(x in err for x in words),
              f"{name}: {want} and one line", status, out, err)
        check("\x1b" not in err, f"{name}: nothing for the terminal to obey")
        status, out, err = w.run(CLI, "encrypt", "--json", "Hello")
        said = json.loads(out)
        check(status == want and said["exit_status"] == want and "error" in said, f"{name}: as JSON", out)
    w.service.answer = lambda rq: kms
    said = json.loads(w.run(CLI, "encrypt", "--json", "Hello")[1])
    check(said["kms_type"] == "AccessDeniedException" and said["kms_request_id"] == "r-1", "what KMS said, as JSON", said)
    # a service that refuses without reading: its answer counts, not our broken pipe
    w.service.read_all, w.service.answer = False, lambda rq: {"error": "too large", "error_code": "too_large"}
    status, out, err = w.run(CLI, "encrypt", stdin=b"a" * 4_000_000)
    check(status == 1 and "too large" in err or status == 3, "refused while sending", status, err)
    w.service.read_all, w.service.answer = True, w.service.usual
    status, out, err = w.run(CLI, "encrypt", "--cid", "17", "Hello")
    check(status == 3 and "could not reach the enclave" in err and "17" in err, "nobody listens: 3", err)
    check(w.run(CLI, "encrypt", "--vsock", "tcp:x", "Hello")[0] == 2, "another transport: usage")
    check(w.run(CLI, "encrypt", "--port", "0", "Hello")[0] == 2, "port 0: usage")
    check(w.run(CLI)[0] == 2 and w.run(CLI, "nope")[0] == 2, "no command, unknown command: usage")
    for argv in ((CLI,), (CLI, "encrypt"), (CLI, "decrypt"), (CLI, "attest"), (CLI, "local"), (CLI, "local", "up"), (CLIENT,)):
        status, out, err = w.run(*argv, "--help")
        check(status == 0 and out.startswith(b"Usage: ") and err == "", " ".join(map(os.path.basename, argv)) + " --help")
    check(w.run(CLI, "--version")[1].startswith(b"nitroseal "), "--version")


def credentials(w):
    none = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    sent = lambda: w.service.requests[-1]["credentials"]
    status, out, err = w.run(CLI, "encrypt", "x", env=none)
    check(status == 7 and "no AWS credentials" in err, "none: 7", err)
    for k in none:
        status, out, err = w.run(CLI, "encrypt", "x", env={k: None})
        check(status == 7 and k in err, f"only the other one of the pair, {k} is missing: 7", err)
    check("shh" not in err, "the secret is not in the message")
    os.makedirs(w.dir + "/.aws", exist_ok=True)
    open(w.dir + "/.aws/credentials", "w").write(
        "[default]\naws_access_key_id = ID1\naws_secret_access_key = S1\n[two]\naws_access_key_id = ID2\n"
        "aws_secret_access_key = S2\naws_session_token = T2\n[half]\naws_access_key_id = ID3\n")
    open(w.dir + "/.aws/config", "w").write("[profile three]\naws_access_key_id = ID4\naws_secret_access_key = S4\n"
                                            "[profile role]\nrole_arn = arn:aws:iam::1:role/x\n")
    w.run(CLI, "encrypt", "x", env=none)
    check(sent() == {"access_key_id": "ID1", "secret_access_key": "S1", "session_token": ""}, "default profile", sent())
    w.run(CLI, "encrypt", "x", env={**none, "AWS_PROFILE": "two"})
    check(sent() == {"access_key_id": "ID2", "secret_access_key": "S2", "session_token": "T2"}, "AWS_PROFILE", sent())
    w.run(CLI, "encrypt", "x", env={"AWS_PROFILE": "two", "AWS_SESSION_TOKEN": "T"})
    check(sent()["access_key_id"] == "AKIAX" and sent()["session_token"] == "T", "the environment's keys before AWS_PROFILE")
    w.run(CLI, "encrypt", "--profile", "two", "x")
    check(sent()["access_key_id"] == "ID2", "--profile before the environment's keys", sent())
    w.run(CLI, "encrypt", "--profile", "three", "x")
    check(sent()["access_key_id"] == "ID4", "a profile of the config file", sent())
    for profile, words in (("half", "only one of"), ("role", "role_arn"), ("nope", "neither in")):
        status, out, err = w.run(CLI, "encrypt", "--profile", profile, "x")
        check(status == 7 and words in err, f"profile {profile}: 7", err)
    other = w.dir + "/other"
    open(other, "w").write("[default]\naws_access_key_id = ID9\naws_secret_access_key = S9\n")
    w.run(CLI, "encrypt", "x", env={**none, "AWS_SHARED_CREDENTIALS_FILE": other})
    check(sent()["access_key_id"] == "ID9", "AWS_SHARED_CREDENTIALS_FILE")
    open(other, "w").write("[default]\naws_access_key_id\n")
    status, out, err = w.run(CLI, "encrypt", "x", env={**none, "AWS_SHARED_CREDENTIALS_FILE": other})
    check(status == 7 and "line 2" in err, "a broken file: 7 and the line", err)
    shutil.rmtree(w.dir + "/.aws")


ZH = {"sending": "发送加密请求: ", "dsending": "发送解密请求...", "connect": "连接到 Enclave CID 16, 端口 5000", "title": "加密和签名结果:",
      "plain": "原文: ", "enc": "加密结果 (Base64): ", "sig": "签名 (Base64): ", "key": "加密的 Data Key (Base64): ",
      "save": "保存以下信息用于解密:", "dtitle": "解密和验证结果:", "text": "解密结果: ", "ok": "签名验证: ✓ 通过", "no": "签名验证: ✗ 失败",
      "efail": "✗ 加密失败: ", "dfail": "✗ 解密失败: "}
EN = {"sending": "Sending encryption request: ", "dsending": "Sending decryption request...",
      "connect": "Connecting to enclave CID 16, port 5000", "title": "Encryption and signing result:", "plain": "Plaintext: ",
      "enc": "Encrypted (Base64): ", "sig": "Signature (Base64): ", "key": "Encrypted data key (Base64): ",
      "save": "Save the following for decryption:", "dtitle": "Decryption and verification result:", "text": "Decrypted: ",
      "ok": "Signature check: ✓ passed", "no": "Signature check: ✗ failed", "efail": "✗ Encryption failed: ",
      "dfail": "✗ Decryption failed: "}


def kms_client(w):
    """seed-system section 5, line by line."""
    for name, t, lang in (("Chinese", ZH, "zh_CN.UTF-8"), ("English", EN, "en_US.UTF-8"), ("C locale", EN, "C")):
        for text in ("Hello", "你好"):
            status, out, err = w.run(CLIENT, "16", "5000", "encrypt", text, lang=lang)
            lines = out.decode().split("\n")
            e, s, b = (l.split("=", 1)[1] for l in lines[-4:-1])
            want = [t["sending"] + text, t["connect"], "", RULE, t["title"], RULE, t["plain"] + text, t["enc"] + e,
                    t["sig"] + s, t["key"] + b, RULE, "", t["save"], "ENCRYPTED=" + e, "SIGNATURE=" + s,
                    "CIPHERTEXT_BLOB=" + b, ""]
            check(status == 0 and err == "" and lines == want, f"kms-client encrypt {text}, {name}: every line", out.decode(), err)
            check(w.run(CLI, "decrypt", stdin=out) == (0, text.encode(), ""), f"nitroseal decrypt reads it, {name}")
            status, out, err = w.run(CLIENT, "16", "5000", "decrypt", e, s, b, lang=lang)
            want = [t["dsending"], t["connect"], "", RULE, t["dtitle"], RULE, t["text"] + text, t["ok"], RULE, ""]
            check(status == 0 and err == "" and out.decode().split("\n") == want, f"kms-client decrypt {text}, {name}: every line",
                  out.decode())
            status, out, err = w.run(CLIENT, "16", "5000", "decrypt", e, b64(bytes(32)), b, lang=lang)
            check(status == 5 and t["no"] in out.decode() and text not in out.decode(),
                  f"kms-client, altered signature, {name}: 5 and no text", out.decode())
        status, out, err = w.run(CLIENT, "16", "5000", "decrypt", e, b64(bytes(32)), b, lang=lang,
                                 env={"NITROSEAL_ALLOW_INVALID_SIGNATURE": "1"})
        check(status == 5 and t["text"] + text in out.decode(), f"kms-client, asked for the text, {name}", out.decode())
        w.service.answer = lambda rq: {"error": "Failed to get data key from KMS"}
        status, out, err = w.run(CLIENT, "16", "5000", "encrypt", "x", lang=lang)
        check(status == 1 and out.decode().split("\n")[3] == t["efail"] + "Failed to get data key from KMS",
              f"kms-client encrypt fails, {name}", out.decode())
        status, out, err = w.run(CLIENT, "16", "5000", "decrypt", "a", "b", "c", lang=lang)
        check(status == 1 and t["dfail"] in out.decode(), f"kms-client decrypt fails, {name}", out.decode())
        w.service.answer = w.service.usual
    for env, zh in (({"LC_ALL": "zh_CN"}, True), ({"LC_MESSAGES": "zh_CN.UTF-8"}, True), ({"LC_ALL": "C.UTF-8"}, False),
                    ({"LANGUAGE": "zh_CN"}, True), ({"LC_ALL": "C", "LANGUAGE": "zh_CN"}, False)):
        out = w.run(CLIENT, "16", "5000", "encrypt", "x", env=env)[1].decode()
        check(out.startswith(ZH["sending"] if zh else EN["sending"]), f"language of {env}", out[:40])
    out = w.run(CLIENT, "16", "5000", "encrypt", "--json -h")[1].decode()
    check("Plaintext: --json -h\n" in out, "kms-client, a message that begins with a dash", out)
    out = w.run(CLIENT, "--timeout", "5", "16", "5000", "encrypt", "x")[1].decode()
    check("Plaintext: x\n" in out, "kms-client, options first", out)
    for argv in (("16",), ("16", "5000", "encrypt"), ("16", "5000", "decrypt", "a"), ("x", "5000", "encrypt", "m"),
                 ("16", "99999999999", "encrypt", "m"), ("16", "5000", "sign", "m")):
        status, out, err = w.run(CLIENT, *argv)
        check(status == 2 and out == b"", f"kms-client {' '.join(argv)}: usage", err)
    check(w.run(CLIENT, "17", "5000", "encrypt", "x")[0] == 3, "kms-client, nobody listens: 3")


def main():
    w = World()
    try:
        for part in (texts, forms, altered, refusals, credentials, kms_client):
            part(w)
    finally:
        shutil.rmtree(w.dir, ignore_errors=True)
    print(f"1..{count}")
    return 1 if bad else 0


sys.exit(main())
