#!/usr/bin/python3
"""A database that schema 2's program made (schema2/: its file as it was, and what its keys gave) is brought up to date
when it is opened, with nothing lost: ciphertexts open, public keys and shared secrets are the same. TAP."""
import base64, json, os, shutil, sqlite3

import lib
from lib import check

if lib.missing_programs(["nitroseal-kms"]):
    lib.skip_all("nitroseal-kms is not built")

HERE = os.path.join(lib.HERE, "schema2")
with open(os.path.join(HERE, "expected.json")) as f:
    expected = json.load(f)
stack = lib.Stack()
database = stack.path("kms", "keys.db")
shutil.copy(os.path.join(HERE, "keys.db"), database)
os.chmod(database, 0o600)
with open(os.open(stack.path("kms", "master.key"), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
    f.write(base64.b64decode(expected["master_key"]))


def version():
    db = sqlite3.connect(database)
    n = db.execute("PRAGMA user_version").fetchone()[0]
    db.close()
    return n


def call(operation, **params):
    return stack.kms.call(stack.admin, operation, **params)


check(version() == 2, "the file is of schema 2")
stack.start_nsm()
for again in range(2):
    stack.start_kms()
    old = expected["symmetric"]
    out = call("Decrypt", CiphertextBlob=old["CiphertextBlob"], EncryptionContext={"a": "b"})
    check(base64.b64decode(out["Plaintext"]) == b"from version 2" and out["KeyMaterialId"] == old["CurrentKeyMaterialId"],
          "a ciphertext of before is opened", out)
    check(call("Decrypt", CiphertextBlob=old["DataKeyBlob"])["Plaintext"] == old["DataKey"], "and a data key")
    meta = call("DescribeKey", KeyId=old["KeyId"])["KeyMetadata"]
    check(meta["Description"] == "made by version 2" and meta["KeyUsage"] == "ENCRYPT_DECRYPT" and meta["KeyState"] == "Enabled",
          "its key is as it was", meta)
    for a in expected["agreement"]:
        meta = call("DescribeKey", KeyId=a["KeyId"])["KeyMetadata"]
        secret = call("DeriveSharedSecret", KeyId=a["KeyId"], KeyAgreementAlgorithm="ECDH", PublicKey=a["Peer"])["SharedSecret"]
        check(meta["KeyUsage"] == "KEY_AGREEMENT" and call("GetPublicKey", KeyId=a["KeyId"])["PublicKey"] == a["PublicKey"] and
              secret == a["SharedSecret"], f"the agreement key on {a['KeySpec']} is the same", meta)
    if again == 0:
        call("RotateKeyOnDemand", KeyId=old["KeyId"])
        call("CreateAlias", AliasName="alias/old", TargetKeyId=old["KeyId"])
    else:
        check(call("DescribeKey", KeyId="alias/old")["KeyMetadata"]["KeyId"] == old["KeyId"], "what is new holds too")
    stack.kms_program.stop()
check(version() == 3, "the file is of schema 3 now")
stack.stop()
lib.plan()
