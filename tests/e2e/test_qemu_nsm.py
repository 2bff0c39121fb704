#!/usr/bin/python3
"""nitroseal-kms --trust-qemu-nsm: unsigned documents in the form of QEMU's nitro-enclave machine, made here by hand,
are taken where the operator says so and nowhere else, and never silently. Prints TAP."""
import base64, json, os, time

import lib
from lib import check
from qemu_document import MODULE, document, public_key

folder = lib.private_folder()
everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}
admin = lib.Principal("admin", "AKIDADMINADMINADMIN0", "a" * 40, policies=[everything])
with open(os.open(os.path.join(folder, "principals.json"), os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
    json.dump([admin.entry()], f)
public = public_key(folder)


def start(name, *options):
    state = os.path.join(folder, name)
    os.makedirs(state, mode=0o700)
    p = lib.Program("nitroseal-kms", ["--state", state, "--principals", os.path.join(folder, "principals.json"),
                                      "--explain", *options], log=os.path.join(folder, name + ".log"))
    lib.until(lambda: os.path.exists(os.path.join(state, "port")) or not p.alive(), what=name)
    return p, lib.Kms(state)


PCRS = {0: b"\x11" * 48, 1: b"\x22" * 48, 2: b"\x33" * 48}
policy = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"AWS": admin.arn}, "Action": ["kms:PutKeyPolicy", "kms:GetKeyPolicy"], "Resource": "*"},
    {"Sid": "enclave", "Effect": "Allow", "Principal": {"AWS": admin.arn}, "Action": "kms:GenerateDataKey", "Resource": "*",
     "Condition": {"StringEqualsIgnoreCase": {f"kms:RecipientAttestation:PCR{i}": v.hex() for i, v in PCRS.items()}}}]}


def ask(kms, doc):
    try:
        arn = kms.call(admin, "CreateKey", Policy=json.dumps(policy))["KeyMetadata"]["Arn"]
        return kms.call(admin, "GenerateDataKey", KeyId=arn, KeySpec="AES_256",
                        Recipient={"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
                                   "AttestationDocument": base64.b64encode(doc).decode()})
    except lib.KmsError as e:
        return e


plain, kms = start("plain")
refused = ask(kms, document(public, PCRS))
check(isinstance(refused, lib.KmsError) and refused.type == "ValidationException" and "--trust-qemu-nsm" in refused.message,
      "without the option: refused, and the text names it", refused)
check("UNSIGNED" not in plain.text(), "and nothing in the log speaks of trust", plain.text())
plain.stop()

trusting, kms = start("trusting", "--trust-qemu-nsm", "i-other-enc1", "--trust-qemu-nsm", MODULE)
check(trusting.text().count("TRUSTING UNSIGNED ATTESTATION DOCUMENTS OF QEMU") == 2, "a warning for each at start", trusting.text())
given = ask(kms, document(public, PCRS))
check(isinstance(given, dict) and "CiphertextForRecipient" in given and "Plaintext" not in given, "with it: a data key for the recipient", given)
line = [l for l in trusting.text().splitlines() if "GenerateDataKey" in l][-1]
check("UNSIGNED, QEMU" in line and "UNSIGNED DOCUMENTS OF QEMU" in line and MODULE in line, "its line in the log says what it was", line)
line = [l for l in trusting.text().splitlines() if "CreateKey" in l][-1]
check("UNSIGNED DOCUMENTS OF QEMU" in line, "and so does every other", line)
for name, doc, text in (
        ("another PCR2", document(public, {**PCRS, 2: b"\x44" * 48}), "AccessDeniedException"),
        ("a debug enclave's zeros", document(public, {}), "AccessDeniedException"),
        ("another module", document(public, PCRS, module="i-234-enc5679"), "does not name"),
        ("six minutes old", document(public, PCRS, now=time.time() - 360), "document time"),
        ("no public key", document(None, PCRS), "no public key"),
        ("a signature that is not zero", document(public, PCRS, signature=bytes(63) + b"\x01"), "signature of an unsigned document"),
        ("96 bytes of signature", document(public, PCRS, signature=bytes(96)), "signature of an unsigned document"),
        ("the real algorithm", document(public, PCRS, signature=bytes(96), alg=b"\xa1\x01\x38\x22"), "root"),
        ("under a tag", b"\xd2" + document(public, PCRS), "form of an unsigned document")):
    answer = ask(kms, doc)
    check(isinstance(answer, lib.KmsError) and text in str(answer), name + ": refused", answer)
explanation = [l for l in trusting.text().splitlines() if "explanation" in l and "PCR2" in l]
check(explanation and "UNSIGNED, QEMU" in explanation[0], "the explanation of a denial says it, too", explanation)
check(trusting.stop() == 0, "ends by SIGTERM")
many = [x for i in range(17) for x in ("--trust-qemu-nsm", f"i-{i}")]
status, out, err = lib.run("nitroseal-kms", "--state", os.path.join(folder, "plain"), "--principals",
                           os.path.join(folder, "principals.json"), *many)
check(status == 2 and "--trust-qemu-nsm" in err, "seventeen module ids: usage", status, err)
lib.plan()
