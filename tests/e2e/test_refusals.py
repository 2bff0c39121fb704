#!/usr/bin/python3
"""Refusals that matter, each with the reason that the refusing part gives: another image, a debug enclave, no
attestation, wrong credentials, another key, an altered signature, an untrusted root, an untrusted KMS. TAP."""
import base64, os, shutil, subprocess

import lib
import seed
from lib import check

GET, OPEN = "Failed to get data key from KMS", "Failed to decrypt data key from KMS"


def kms_log(stack):
    with open(stack.log_of("kms"), encoding="utf-8") as f:
        return f.read()


def refused(answer, error, kms_type):
    return answer.get("error") == error and answer.get("kms_type") == kms_type and answer.get("kms_message") and answer.get("kms_request_id")


def another_image(stack, good):
    """The same program with one byte more measures differently; nothing else about it is wrong."""
    image = stack.path("other-image")
    shutil.copyfile(os.path.realpath(os.path.join(lib.BIN, "nitroseald")), image)
    with open(image, "ab") as f:
        f.write(b"\0")
    check(stack.measured(image)["PCR0"] != stack.measured()["PCR0"], "one byte more: another PCR0")
    stack.start_nsm("nsm-other", image=image)
    stack.start_service(cid=17, nsm="nsm-other", name="service-other")
    answer = stack.encrypt("x", cid=17)
    check(refused(answer, GET, "AccessDeniedException"), "another image gets no data key", answer)
    check(answer.get("hint"), "and is told what to look at", answer)
    back = stack.ask(seed.decrypt_request(stack.app.seed(), good), cid=17)
    check(refused(back, OPEN, "AccessDeniedException") and "decrypted" not in back, "another image opens no message", back)
    check("PCR0" in kms_log(stack), "KMS's log says that PCR0 differs", kms_log(stack)[-2000:])


def debug_enclave(stack, good):
    stack.start_nsm("nsm-debug", options=["--debug-mode"])
    stack.start_service(cid=18, nsm="nsm-debug", name="service-debug")
    answer = stack.encrypt("x", cid=18)
    check(refused(answer, GET, "AccessDeniedException"), "a debug enclave gets no data key", answer)
    back = stack.ask(seed.decrypt_request(stack.app.seed(), good), cid=18)
    check(refused(back, OPEN, "AccessDeniedException"), "a debug enclave opens no message", back)
    env = {**stack.cli_env(), "NITROSEAL_CID": "18"}
    status, out, err = lib.run("nitroseal", "attest", "--any-image", env=env)
    check(status == 5 and out == "" and "debug" in err, "nitroseal attest refuses a debug enclave", status, out, err)
    status, out, err = lib.run("nitroseal", "attest", "--any-image", "--allow-debug", env=env)
    check(status == 0, "unless it is allowed", status, err)


def without_attestation(stack, good):
    for operation, params in (("GenerateDataKey", {"KeyId": stack.arn, "KeySpec": "AES_256"}),
                              ("Decrypt", {"CiphertextBlob": good["ciphertext_blob"]})):
        try:
            stack.kms.call(stack.app, operation, **params)
            check(False, f"{operation} without attestation is refused", "it was answered")
        except lib.KmsError as e:
            check(e.status == 400 and e.type == "AccessDeniedException" and operation in e.message, f"{operation} without attestation is refused", e)


def credentials(stack):
    wrong = lib.Principal("app", stack.app.id, "not-the-secret-of-this-key")
    answer = stack.encrypt("x", who=wrong)
    check(refused(answer, GET, "InvalidSignatureException"), "a wrong secret: KMS's reason", answer)
    nobody = lib.Principal("nobody", "AKIDNOBODYNOBODYNOBO", "no-secret")
    answer = stack.encrypt("x", who=nobody)
    check(refused(answer, GET, "UnrecognizedClientException"), "an unknown access key: KMS's reason", answer)
    status, out, err = lib.run("nitroseal", "encrypt", "x", env=stack.cli_env(nobody))
    check(status == 4 and out == "" and "UnrecognizedClientException" in err, "nitroseal passes it on with status 4", status, out, err)
    token = lib.Principal("app", stack.app.id, stack.app.secret, token="a-token-of-nobody")
    answer = stack.encrypt("x", who=token)
    check(answer.get("error") == GET and answer.get("kms_type"), "a token that nobody gave out: KMS's reason", answer)


def another_key(stack, good):
    """A blob of another key is refused even where its policy would allow it."""
    first = stack.arn
    second = stack.make_key()
    stack.arn = second
    stack.start_service(cid=19, name="service-second")
    answer = stack.encrypt("second", cid=19)
    check(answer.get("plaintext") == "second", "a second key works", answer)
    stack.arn = first
    back = stack.decrypt(answer)
    check(refused(back, OPEN, "IncorrectKeyException"), "a message of another key is refused", back)
    check(stack.decrypt(good).get("decrypted") == "good", "its own is not")


def altered(stack):
    env = stack.cli_env()
    status, out, err = lib.run("nitroseal", "encrypt", "signed text", env=env)
    triple = dict(line.split("=", 1) for line in out.splitlines())
    mac = bytearray(base64.b64decode(triple["SIGNATURE"]))
    mac[0] ^= 1
    lines = out.replace(triple["SIGNATURE"], base64.b64encode(mac).decode())
    status, out, err = lib.run("nitroseal", "decrypt", env=env, stdin=lines)
    check(status == 5 and out == "" and "signature" in err.lower(), "an altered signature: status 5 and no text", status, out, err)
    status, out, err = lib.run("nitroseal", "decrypt", "--allow-invalid-signature", env=env, stdin=lines)
    check("signed text" in out, "the text only where it is asked for", status, out, err)


def roots(stack):
    env = {k: v for k, v in stack.settings().items() if k != "NITROSEAL_ROOT_FILE"}
    p = subprocess.run([os.path.join(lib.BIN, "nitroseald"), "--cid", "20"], env={**lib.CLEAN, **env}, capture_output=True, timeout=60)
    check(p.returncode == 5 and b"root" in p.stderr, "nitroseald refuses a local root unless told to trust it", p.returncode, p.stderr.decode())
    env = {k: v for k, v in stack.cli_env().items() if k != "NITROSEAL_ROOT_FILE"}
    status, out, err = lib.run("nitroseal", "attest", "--any-image", env=env)
    check(status == 5 and out == "" and err, "nitroseal attest refuses it, too", status, out, err)
    status, out, err = lib.run("nitroseal", "attest", "--nonce", "00112233", "--pcr", "0=" + stack.measured()["PCR0"], env=stack.cli_env())
    check(status == 0 and stack.measured()["PCR0"] in out, "told to, it compares nonce and PCR0", status, out, err)
    other = stack.measured(stack.path("other-image"))["PCR0"]
    status, out, err = lib.run("nitroseal", "attest", "--pcr", "0=" + other, env=stack.cli_env())
    check(status == 5 and out == "" and "PCR0" in err, "another PCR0: status 5", status, out, err)


def untrusted_kms(stack):
    """TLS ends in the enclave: a relay that leads elsewhere gets nothing."""
    p = stack.start_service(cid=21, name="service-tls", options=["--ca-file", "/etc/ssl/certs/ca-certificates.crt"])
    answer = stack.encrypt("x", cid=21)
    check(answer.get("error") == GET and answer.get("error_code") == "kms_tls_refused", "a KMS of an unknown CA is not spoken to", answer)
    p.stop()
    stack.service_env["AWS_ENDPOINT_URL_KMS"] = f"https://kms.elsewhere.example:{stack.kms_port}"
    p = stack.start_service(cid=22, name="service-name")
    answer = stack.encrypt("x", cid=22)
    check(answer.get("error") == GET and answer.get("error_code") == "kms_tls_refused", "a KMS of another name is not spoken to", answer)


if lib.missing_programs():
    check(False, "programs of the local stack: " + " ".join(lib.missing_programs()))
    lib.plan()
the_stack = lib.Stack().start()
the_good = the_stack.encrypt("good")
check(the_stack.decrypt(the_good).get("decrypted") == "good", "the right image with the right credentials", the_good)
another_image(the_stack, the_good)
debug_enclave(the_stack, the_good)
without_attestation(the_stack, the_good)
credentials(the_stack)
another_key(the_stack, the_good)
altered(the_stack)
roots(the_stack)
untrusted_kms(the_stack)
lib.plan()
