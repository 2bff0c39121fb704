#!/usr/bin/python3
"""Interchange with an independent implementation of the seed system (seed/seed.py), both ways, for texts of every
kind: its client and our service, our clients and its service, messages of each opened by the other. TAP."""
import base64, os, time

import lib
import seed
from lib import check

TEXTS = {
    "ASCII": "The quick brown fox",
    "Chinese": "机密数据在飞地中加密并签名",
    "emoji": "\U0001f511\U0001f6e1\ufe0f family \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "empty": "",
    "1 byte": "x",
    "controls and quotes": "\x00\x01\"\\/\b\f\n\r\t\x7f\u2028 end",
    "1 MB": "0123456789abcdef" * 65536,
    "1 MB Chinese": "密" * 349525,
    "10 MB": "plain text, ten megabytes of it; " * 317750,
}
CREDENTIALS = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "secret", "session_token": ""}
OURS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
CHINESE = {"LC_ALL": "zh_CN.UTF-8"}
LINE = "=" * 60


def our_clients(folder):
    """nitroseal and kms-client against the service of seed.py."""
    key = os.urandom(32)
    service = seed.Service(folder, 21, 5000, key)
    env = {**OURS, "NITROSEAL_VSOCK": "unix:" + folder, "NITROSEAL_CID": "21"}
    for name, text in TEXTS.items():
        status, out, err = lib.run("nitroseal", "encrypt", env=env, stdin=text)
        good = check(status == 0, f"nitroseal encrypt, {name}", status, err)
        if not good:
            continue
        triple = dict(line.split("=", 1) for line in out.splitlines())
        check(seed.decrypt_text(key, triple["ENCRYPTED"], triple["SIGNATURE"]) == (text, True),
              f"what it printed opens elsewhere, {name}")
        status, back, err = lib.run("nitroseal", "decrypt", env=env, stdin=out)
        check((status, back) == (0, text), f"nitroseal decrypt, {name}", status, err)
    check(service.requests[0]["credentials"] == CREDENTIALS, "credentials as the original sends them", service.requests[0]["credentials"])
    kms_client(folder, key)
    service.close()


def kms_client(folder, key):
    """The exact lines that scripts parse."""
    for language, env, texts in (("Chinese", CHINESE, ("发送加密请求: ", "发送解密请求...")), ("English", {"LC_ALL": "C.UTF-8"}, None)):
        env = {**OURS, **env, "NITROSEAL_VSOCK": "unix:" + folder}
        text = TEXTS["Chinese"]
        status, out, err = lib.run("kms-client", 21, 5000, "encrypt", text, env=env)
        check(status == 0, f"kms-client encrypt, {language}", status, out, err)
        last = dict(line.split("=", 1) for line in out.splitlines() if line[:3] in ("ENC", "SIG", "CIP"))
        check(sorted(last) == ["CIPHERTEXT_BLOB", "ENCRYPTED", "SIGNATURE"], f"kms-client's three lines, {language}", out)
        if texts:
            want = [texts[0] + text, "连接到 Enclave CID 21, 端口 5000", "", LINE, "加密和签名结果:", LINE, "原文: " + text,
                    "加密结果 (Base64): " + last["ENCRYPTED"], "签名 (Base64): " + last["SIGNATURE"],
                    "加密的 Data Key (Base64): " + last["CIPHERTEXT_BLOB"], LINE, "", "保存以下信息用于解密:",
                    "ENCRYPTED=" + last["ENCRYPTED"], "SIGNATURE=" + last["SIGNATURE"], "CIPHERTEXT_BLOB=" + last["CIPHERTEXT_BLOB"]]
            check(out.splitlines() == want, "kms-client prints what the original printed on encrypt", out)
        triple = (last["ENCRYPTED"], last["SIGNATURE"], last["CIPHERTEXT_BLOB"])
        status, out, err = lib.run("kms-client", 21, 5000, "decrypt", *triple, env=env)
        check(status == 0 and text in out, f"kms-client decrypt, {language}", status, out, err)
        if texts:
            want = [texts[1], "连接到 Enclave CID 21, 端口 5000", "", LINE, "解密和验证结果:", LINE, "解密结果: " + text,
                    "签名验证: ✓ 通过", LINE]
            check(out.splitlines() == want, "kms-client prints what the original printed on decrypt", out)
        other = base64.b64encode(bytes(32)).decode()
        status, out, err = lib.run("kms-client", 21, 5000, "decrypt", triple[0], other, triple[2], env=env)
        check(status != 0 and text not in out, f"kms-client shows no text whose signature is wrong, {language}", status, out)


def our_service(stack):
    """seed.py's client against nitroseald, and messages of each opened by the other."""
    for name, text in TEXTS.items():
        for ascii_only in (True, False):
            how = "escapes" if ascii_only else "UTF-8"
            start = time.monotonic()
            answer = stack.encrypt(text, ascii_only=ascii_only)
            if not check("error" not in answer and answer["operation"] == "encrypt" and answer["plaintext"] == text,
                         f"nitroseald encrypts, {name}, {how}", {k: str(v)[:200] for k, v in answer.items()}):
                continue
            back = stack.decrypt(answer, ascii_only=ascii_only)
            check((back.get("operation"), back.get("decrypted"), back.get("signature_valid")) == ("decrypt", text, True),
                  f"nitroseald decrypts, {name}, {how}", str(back)[:300])
            print(f"# {time.monotonic() - start:.3f} s")
        key = stack.data_key(answer)
        check(seed.decrypt_text(key, answer["encrypted"], answer["signature"]) == (text, True), f"its message opens elsewhere, {name}")
        key, blob = stack.new_data_key()
        encrypted, signature = seed.encrypt_text(key, text)
        back = stack.decrypt({"encrypted": encrypted, "signature": signature, "ciphertext_blob": blob})
        check((back.get("decrypted"), back.get("signature_valid")) == (text, True), f"opens a message made elsewhere, {name}", str(back)[:300])


def small_print(stack):
    """What the protocol says besides."""
    rq = seed.encrypt_request(stack.app.seed(), "no operation")
    del rq["operation"]
    answer = stack.ask(rq)
    check(answer.get("operation") == "encrypt" and answer.get("plaintext") == "no operation", "a missing operation is encrypt", answer)
    answer = stack.ask({**rq, "unknown": {"deep": [1, 2, None]}, "more": "x"})
    check("error" not in answer, "unknown members are ignored", answer)
    again = stack.ask(rq)
    check(answer["ciphertext_blob"] != again["ciphertext_blob"] and answer["encrypted"] != again["encrypted"],
          "each message has its own data key and IV")
    wrong = {**answer, "signature": base64.b64encode(bytes(32)).decode()}
    back = stack.decrypt(wrong)
    check(back.get("signature_valid") is False and "error" not in back, "a wrong signature: signature_valid is false", back)
    raw = bytearray(base64.b64decode(answer["encrypted"]))
    raw[-1] ^= 1
    back = stack.decrypt({**answer, "encrypted": base64.b64encode(raw).decode()})
    check(back.get("error") == "Failed to decrypt text" and "decrypted" not in back, "an altered text: the original's error", back)
    back = stack.decrypt({**answer, "ciphertext_blob": base64.b64encode(b"not a blob of this KMS").decode()})
    check(back.get("error") == "Failed to decrypt data key from KMS", "an altered blob: the original's error", back)
    back = stack.encrypt("x", who=lib.Principal("nobody", "AKIDNOBODYNOBODYNOBO", "no-secret"))
    check(back.get("error") == "Failed to get data key from KMS", "unknown credentials: the original's error", back)


if lib.missing_programs(["nitroseal", "kms-client"]):
    lib.skip_all("nitroseal is not built")
our_clients(lib.private_folder())
if lib.missing_programs():
    check(False, "programs of the local stack: " + " ".join(lib.missing_programs()))
else:
    the_stack = lib.Stack().start()
    our_service(the_stack)
    small_print(the_stack)
    check(all(status == 0 for status in the_stack.stop().values()), "every part leaves with status 0")
lib.plan()
