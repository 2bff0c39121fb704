#!/usr/bin/python3
"""The audit log of nitroseal-kms: CloudTrail's shape for each call, attested ones with the document's registers, no secret
in it, and that whatever is edited, removed, reordered or cut off is named. TAP."""
import base64, glob, json, os, random, re, shutil, signal, sys, threading, time

import kmslib, lib
from lib import check

if lib.missing_programs(["nitroseal-kms", "nitroseal-nsm"]):
    lib.skip_all("nitroseal-kms and nitroseal-nsm are not built")
sys.path.insert(0, os.path.join(lib.HERE, "seed"))

folder = lib.private_folder()
path = lambda *names: os.path.join(folder, *names)
admin = kmslib.admin_of()
app = lib.Principal("app", "ASIAAPP0000000000000", "the-secret-of-app", "the/session+token==")
app.arn = "arn:aws:sts::111122223333:assumed-role/parent/i-0123"
app.policies = [kmslib.EVERYTHING]
server = kmslib.Server(folder, [admin, app])
server.start()
log = os.path.join(server.state, "audit.log")


def verify(*files, head=None, more=()):
    return lib.run("nitroseal-kms", "audit", "verify", *(["--head", head] if head else []), *more, *(files or [log]))


def records(file=None):
    with open(file or log) as f:
        return [json.loads(line) for line in f]


# --- CloudTrail's shape -----------------------------------------------------------------------------------------------

key = server.call(admin, "CreateKey", Description="for the log")["KeyMetadata"]["Arn"]
secret_text = base64.b64encode(b"a plaintext nobody may log").decode()
made = server.call(app, "Encrypt", KeyId=key, Plaintext=secret_text, EncryptionContext={"a\n\"b": "c"})
server.call(app, "Decrypt", CiphertextBlob=made["CiphertextBlob"], EncryptionContext={"a\n\"b": "c"})
data = server.call(app, "GenerateDataKey", KeyId=key, NumberOfBytes=32)
server.fault(app, "Decrypt", CiphertextBlob=made["CiphertextBlob"])
server.fault(lib.Principal("x", "AKIDNOBODY0000000000", "s"), "ListKeys")
server.fault(admin, "DescribeKey", KeyId="00000000-0000-0000-0000-000000000000")
server.fault(admin, "NoSuchThing")
create, encrypt, decrypt, generate, wrong, nobody, missing, unknown = records()
check(create["eventName"] == "CreateKey" and create["readOnly"] is False and create["requestParameters"] == {"description": "for the log"}
      and create["responseElements"] == {"keyId": key} and create["resources"] == [{"accountId": lib.ACCOUNT, "type": "AWS::KMS::Key", "ARN": key}],
      "CreateKey", create)
check(create["userIdentity"] == {"type": "IAMUser", "principalId": create["userIdentity"]["principalId"], "arn": admin.arn, "accountId": lib.ACCOUNT,
                                 "accessKeyId": admin.id, "userName": "admin"}, "a user", create["userIdentity"])
identity = decrypt["userIdentity"]
check(identity["type"] == "AssumedRole" and identity["principalId"].endswith(":i-0123") and identity["arn"] == app.arn and
      identity["sessionContext"]["sessionIssuer"] == {"type": "Role", "arn": "arn:aws:iam::111122223333:role/parent",
                                                      "accountId": lib.ACCOUNT, "userName": "parent"}, "a session", identity)
check(decrypt["requestParameters"] == {"encryptionContext": {"a\n\"b": "c"}} and decrypt["responseElements"] is None and decrypt["readOnly"] is True
      and "additionalEventData" not in decrypt and decrypt["eventSource"] == "kms.amazonaws.com" and decrypt["sourceIPAddress"] == "127.0.0.1"
      and decrypt["eventType"] == "AwsApiCall" and decrypt["eventCategory"] == "Management" and decrypt["awsRegion"] == lib.REGION, "Decrypt", decrypt)
check(generate["requestParameters"] == {"keyId": key, "numberOfBytes": 32}, "GenerateDataKey", generate)
check(wrong["errorCode"] == "InvalidCiphertextException" and "errorMessage" not in wrong, "a refusal has its code", wrong)
check(nobody["userIdentity"] == {"type": "Unknown"} and nobody["requestParameters"] is None and nobody["errorCode"] == "UnrecognizedClientException",
      "nobody known: nothing of the request is told", nobody)
check(missing["errorCode"] == "NotFoundException" and "does not exist" in missing["errorMessage"] and missing["resources"] == [], "a key that is not there", missing)
check(unknown["eventName"] == "Unknown", "an operation that is none", unknown)
text = open(log).read()
for name, secret in (("plaintext", secret_text), ("ciphertext", made["CiphertextBlob"]), ("data key", data["Plaintext"]), ("secret key", app.secret),
                     ("session token", app.token), ("secret key of a user", admin.secret)):
    check(secret not in text, f"no {name} in it")
check(oct(os.stat(log).st_mode)[-3:] == "600", "only its owner reads it")

# Everything that KMS knows by name and that a member may carry: only what is no data is told.
members = {"Plaintext": "UExBSU4=", "CiphertextBlob": "Q0lQSEVS", "Message": "TUVTU0FHRQ==", "Signature": "U0lH", "Mac": "TUFD", "PublicKey": "UFVC",
           "EncryptedKeyMaterial": "TUFU", "ImportToken": "VE9L", "GrantTokens": ["GRANTTOKEN"], "GrantToken": "GRANTTOKEN", "KeyId": key, "Unheard": "UNHEARD"}
server.fault(admin, "Encrypt", **members)
told = records()[-1]["requestParameters"]
check(told == {"keyId": key}, "members with data, material or tokens are left out", told)
server.fault(admin, "CreateKey", Description="x" * 70000)
check(records()[-1]["requestParameters"] == {"omitted": "too long"}, "what is too long is left out")
check(verify()[0] == 0, "as written", verify())

# --- tampering ---------------------------------------------------------------------------------------------------------

for n in range(20):
    server.call(admin, "GenerateRandom", NumberOfBytes=8)
lines = open(log).read().splitlines(keepends=True)
head = log + ".head"
copy = path("copy.log")


def tampered(name, changed, expected, status=5, **how):
    with open(copy, "w") as f:
        f.write("".join(changed))
    code, out, err = verify(copy, head=head, **how)
    check(code == status and re.search(expected, out), name, code, out, err)


def edited(at, old, new):
    assert old in lines[at]
    return lines[:at] + [lines[at].replace(old, new)] + lines[at + 1:]


tampered("untouched", lines, r"as written: %d records, 1 to %d" % (len(lines), len(lines)), status=0)
tampered("edited: who did it", edited(4, app.arn, app.arn.replace("parent", "nobody")), r":5: record 5 was edited\nNOT AS WRITTEN: 1 findings")
tampered("edited: the first", edited(0, "CreateKey", "DeleteKey"), r":1: record 1 was edited")
tampered("edited: the last", edited(len(lines) - 1, "GenerateRandom", "ListKeys"), r":%d: record %d was edited" % (len(lines), len(lines)))
tampered("edited: a letter made no JSON", edited(9, '"eventVersion"', '"eventVersion'), r":10: record 10 was edited")
tampered("removed", lines[:6] + lines[7:], r":7: record 7 was removed before this line")
tampered("several removed", lines[:6] + lines[9:], r":7: records 7 to 9 were removed before this line")
tampered("reordered", lines[:6] + [lines[7], lines[6]] + lines[8:], r":7: record 8 does not belong here")
tampered("one twice", lines[:8] + [lines[3]] + lines[8:], r":9: record 4 does not belong here")
tampered("cut off", lines[:-3], r"cut off after this line: records %d to %d are missing" % (len(lines) - 2, len(lines)))
tampered("all cut off", [], r"records 1 to %d are missing" % len(lines))
tampered("a torn end is no loss of a record", lines + [lines[0][:50]], r"the last line is torn", status=0)
tampered("records that the head does not know", lines + [lines[-1]] * 2, r"does not belong here")
rng = random.Random(5)
missed = []
for _ in range(40):  # any byte of any record
    at = rng.randrange(len(lines))
    where = rng.randrange(len(lines[at]) - 1)
    changed = lines[at][:where] + chr(ord(lines[at][where]) ^ 1) + lines[at][where + 1:]
    with open(copy, "w") as f:
        f.write("".join(lines[:at] + [changed] + lines[at + 1:]))
    code, out, err = verify(copy, head=head)
    if code != 5 or f"record {at + 1} was edited" not in out and "removed" not in out and "belong" not in out:
        missed.append((at, where, code, out))
check(not missed, "forty single bits, each noticed", missed)
code, out, err = verify(copy)
check(code == 6 and "--no-head" in err, "without a head it does not say all is well", code, out, err)
with open(copy, "w") as f:
    f.write("".join(lines[:-3]))
check(verify(copy, more=["--no-head"])[0] == 0, "--no-head is told and taken")
check(verify("/nowhere", more=["--no-head"])[0] == 6 and lib.run("nitroseal-kms", "audit", "verify")[0] == 2, "files that are not there, and none")

# --- kill -9, torn lines, rotation -------------------------------------------------------------------------------------

server.program.kill()
with open(log, "a") as f:
    f.write('{"eventVersion":"1.08","userIden')
server.options = ["--audit-max-mb", "1"]
server.start()
check("a torn line was dropped" in server.text(), "a torn line is dropped at the start, and the log says so")
code, out, err = verify()
check(code == 0 and "1 times a torn line was dropped" in out, "and so does the audit log itself", code, out, err)
stop = threading.Event()
done = [0] * 4


def work(n):
    while not stop.is_set():
        try:
            server.call(admin, "GenerateRandom", NumberOfBytes=8)
            done[n] += 1
        except (OSError, lib.KmsError, ValueError, lib.http.client.HTTPException):
            time.sleep(0.02)


workers = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(4)]
for w in workers:
    w.start()
for _ in range(5):
    time.sleep(0.4)
    server.program.kill()
    server.start()
lib.until(lambda: glob.glob(log + ".0*"), seconds=300, what="rotation")
lib.until(lambda: os.path.exists(log) and os.path.getsize(log) > 5000)  # it is not there between two names
stop.set()
for w in workers:
    w.join(30)
server.program.stop()
files = sorted(glob.glob(log + ".0*")) + [log]
code, out, err = verify(*files)
total = sum(len(open(f).readlines()) for f in files)
check(code == 0 and f"as written: {total} records, 1 to {total}" in out, f"five kills and {len(files)} files: as written", code, out, err)
check(total >= sum(done), "every call that was answered is there", total, sum(done))
check(max(os.path.getsize(f) for f in files) <= 1 << 20, "no file is larger than asked")
check(verify(*files[1:])[0] == 0 and "in files that were not given" in verify(*files[1:])[1], "older files may be put away")
shutil.move(files[0], files[0] + ".gone")
check(verify(*files[1:])[0] == 0, "and the rest still verifies")
shutil.move(files[0] + ".gone", files[0])

# Cut off while nobody looked: the program notices, and the log keeps saying so.
with open(log, "r+") as f:
    all_lines = f.readlines()
    f.seek(0)
    f.truncate()
    f.writelines(all_lines[:-4])
server.start()
check("RECORDS ARE MISSING AT THE END OF THE AUDIT LOG" in server.text(), "a start after a cut says so loudly")
server.call(admin, "ListKeys")
server.program.stop()
code, out, err = verify(*files)
check(code == 5 and "says that records were missing" in out, "and the log is not as written from then on", code, out)

code, out, err = lib.run("nitroseal-kms", *server.argv("--state", path("fresh"), "--audit", path("nowhere", "audit.log")))
check(code == 7 and "audit log not opened" in err, "a log in no folder is refused at the start", code, err)
server.options = ["--audit", "none"]
before = os.path.getsize(log)
server.start()
server.call(admin, "ListKeys")
check(os.path.getsize(log) == before, "--audit none")
server.program.stop()

# --- attested ----------------------------------------------------------------------------------------------------------

stack = lib.Stack(service_options=[]).start()
answer = stack.encrypt("a text")
stack.decrypt(answer)
attested = [r for r in records(stack.path("kms", "audit.log")) if r["eventName"] == "GenerateDataKey"][-1]
recipient = attested["additionalEventData"]["recipient"]
pcrs = stack.measured()
check(recipient["attestationDocumentEnclaveImageDigest"] == base64.b64encode(bytes.fromhex(pcrs["PCR0"])).decode() and
      recipient["attestationDocumentEnclavePCR1"] == base64.b64encode(bytes.fromhex(pcrs["PCR1"])).decode() and
      "-enc" in recipient["attestationDocumentModuleId"], "an attested call: the document's registers", recipient)
check(set(recipient) <= {"attestationDocumentModuleId", "attestationDocumentEnclaveImageDigest", "attestationDocumentEnclavePCR1",
                         "attestationDocumentEnclavePCR2", "attestationDocumentEnclavePCR3", "attestationDocumentEnclavePCR4",
                         "attestationDocumentEnclavePCR8"}, "and only those that CloudTrail names", recipient)
check(all("recipient" not in (r["requestParameters"] or {}) for r in records(stack.path("kms", "audit.log"))),
      "the document itself is not told")
stack.stop()
check(verify(stack.path("kms", "audit.log"))[0] == 0, "as written")

lib.plan()
