#!/usr/bin/python3
"""nitroseal-kms --seed: keys that are there from the first start on, the same in every folder. TAP."""
import base64, json, os

import lib
from lib import check

if lib.missing_programs(["nitroseal-kms"]):
    lib.skip_all("nitroseal-kms is not built")

KEY = "12345678-1234-1234-1234-123456789abc"
folder = lib.private_folder()
admin = lib.Principal("admin", "AKIDADMINADMINADMIN0", "not a secret", policies=[
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}])
principals, seed = os.path.join(folder, "principals.json"), os.path.join(folder, "seed.yaml")


def write(path, text, mode=0o600):
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def start(state):
    port = os.path.join(state, "port")
    p = lib.Program("nitroseal-kms", ["--state", state, "--principals", principals, "--seed", seed], log=os.path.join(folder, "log"))
    lib.until(lambda: not p.alive() or os.path.exists(port), what="nitroseal-kms")
    return p


def refused(name, text, mode=0o600):
    write(seed, yaml, mode) if text is None else write(seed, text, mode)
    code, out, err = lib.run("nitroseal-kms", "--state", os.path.join(folder, "no"), "--principals", principals, "--seed", seed)
    return check(code == 7 and "seed not taken" in err and not out, name, code, out, err), err


write(principals, json.dumps([admin.entry()]))
material = base64.b64encode(bytes(range(32))).decode()
yaml = f"""keys:
  - id: {KEY}
    description: always the same
    aliases: [alias/tests]
    tags: [{{key: team, value: blue}}]
    material: {material}
"""
refused("a file that others may read is refused", None, 0o644)
_, err = refused("a file with a fault is refused, with its line", "keys:\n  - id: x\n")
check("at=2" in err, "the line is told", err)
write(seed, yaml)

blob = None
for state in ("one", "one", "two"):
    p = start(os.path.join(folder, state))
    kms = lib.Kms(os.path.join(folder, state))
    meta = kms.call(admin, "DescribeKey", KeyId="alias/tests")["KeyMetadata"]
    check(meta["KeyId"] == KEY and meta["Description"] == "always the same", f"folder {state}: the key is there", meta)
    blob = blob or kms.call(admin, "Encrypt", KeyId=KEY, Plaintext="aGVsbG8=")["CiphertextBlob"]
    check(kms.call(admin, "Decrypt", CiphertextBlob=blob)["Plaintext"] == "aGVsbG8=", f"folder {state}: it opens what it encrypted")
    check(p.stop() == 0, f"folder {state}: the program ends")
lib.plan()
