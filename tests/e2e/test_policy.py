#!/usr/bin/python3
"""`nitroseal policy`: what `generate` writes is taken by the local KMS and does what it says, both ways; for one image
and for two, by PCRs, by signer, by parent. Documents are made by hand (qemu_document.py). Prints TAP."""
import base64, json, os, hashlib

import lib
from lib import check
from qemu_document import MODULE, document, public_key

if lib.missing_programs(["nitroseal", "nitroseal-kms"]):
    lib.skip_all("nitroseal or nitroseal-kms is not built")

ACCOUNT = lib.ACCOUNT
folder = lib.private_folder()
everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}


def principal(name, policies=None):
    p = lib.Principal(name, ("AKID" + name.upper() * 8)[:20], name * 10, policies=policies)
    return p


app, other, admin, power = principal("app"), principal("other"), principal("admin"), principal("power", [everything])
role = principal("parent")
role.arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/parent/i-0123456789abcdef0"
creator = principal("creator", [everything])
sealer, sealing = principal("sealer"), principal("sealing")
sealing.arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/sealing/session"
with open(os.open(os.path.join(folder, "principals.json"), os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
    json.dump([p.entry() for p in (app, other, admin, power, role, creator, sealer, sealing)], f)
public = public_key(folder)


def pcr(seed):
    return hashlib.sha384(seed.encode()).digest()


def image(name, signed=False):
    pcrs = {i: pcr(f"{name} {i}") for i in (0, 1, 2)}
    return {**pcrs, 8: pcr("the signer")} if signed else pcrs


def extended(text):
    return hashlib.sha384(bytes(48) + text.encode()).digest()


def image_file(name, pcrs, nested=True):
    values = {"HashAlgorithm": "Sha384 { ... }", **{f"PCR{i}": v.hex() for i, v in pcrs.items()}}
    path = os.path.join(folder, name + ".json")
    with open(path, "w") as f:
        json.dump({"Measurements": values} if nested else {k: v for k, v in values.items() if k.startswith("PCR")}, f)
    return path


def generate(*argv, who=("--user", "user/app", "--admin", "user/admin")):
    return lib.run("nitroseal", "policy", "generate", "--account", ACCOUNT, *who, *argv)


state = os.path.join(folder, "kms")
os.makedirs(state, mode=0o700)
server = lib.Program("nitroseal-kms", ["--state", state, "--principals", os.path.join(folder, "principals.json"), "--explain",
                                       "--trust-qemu-nsm", MODULE], log=os.path.join(folder, "kms.log"))
lib.until(lambda: os.path.exists(os.path.join(state, "port")) or not server.alive(), what="nitroseal-kms")
kms = lib.Kms(state)


def outcome(who, operation, pcrs=None, **params):
    """"key": released to the recipient; "plain": in the clear; else the error."""
    if pcrs is not None:
        params["Recipient"] = {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
                               "AttestationDocument": base64.b64encode(document(public, pcrs)).decode()}
    try:
        answer = kms.call(who, operation, **params)
    except lib.KmsError as e:
        return e.type
    return "key" if answer.get("CiphertextForRecipient") else "plain" if answer.get("Plaintext") else "done"


def expect(name, want, who, operation, pcrs=None, **params):
    got = outcome(who, operation, pcrs, **params)
    check(got == want, name, f"got {got}, want {want}", server.text()[-1500:])


NO, KEY = "AccessDeniedException", "key"


def created(text):
    """The key of a generated policy, made by its administrator with IAM's leave to call CreateKey."""
    return kms.call(creator, "CreateKey", Policy=text, BypassPolicyLockoutSafetyCheck=True)["KeyMetadata"]["Arn"]


def one_image():
    good, bad = image("one"), image("two")
    status, text, err = generate("--image", image_file("one", good))
    check(status == 0 and not err, "generate for one image", status, err)
    arn = created(text)
    k = {"KeyId": arn, "KeySpec": "AES_256"}
    expect("the image gets a data key", KEY, app, "GenerateDataKey", good, **k)
    blob = kms.call(app, "GenerateDataKey", Recipient={"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
                    "AttestationDocument": base64.b64encode(document(public, good)).decode()}, **k)["CiphertextBlob"]
    expect("and opens it", KEY, app, "Decrypt", good, CiphertextBlob=blob, KeyId=arn)
    expect("another image does not", NO, app, "Decrypt", bad, CiphertextBlob=blob, KeyId=arn)
    for i in (0, 1, 2):
        expect(f"nor one with another PCR{i}", NO, app, "Decrypt", {**good, i: pcr("x")}, CiphertextBlob=blob)
    expect("nor a debug enclave", NO, app, "Decrypt", {}, CiphertextBlob=blob)
    expect("nor the parent without attestation", NO, app, "Decrypt", CiphertextBlob=blob)
    expect("nor another principal with the image", NO, other, "Decrypt", good, CiphertextBlob=blob)
    expect("nor one whom IAM allows everything", NO, power, "Decrypt", good, CiphertextBlob=blob)
    expect("nor the administrator", NO, admin, "Decrypt", CiphertextBlob=blob)
    expect("nor he with the image", NO, admin, "Decrypt", good, CiphertextBlob=blob)
    expect("the user does not encrypt past the enclave", NO, app, "Encrypt", KeyId=arn, Plaintext="aGk=")
    expect("an operation that was not asked for stays shut", NO, app, "GenerateDataKeyPair", good, KeyId=arn, KeyPairSpec="ECC_NIST_P256")
    expect("the administrator describes the key", "done", admin, "DescribeKey", KeyId=arn)
    expect("and may put a policy again, past the lockout check", "done", admin, "PutKeyPolicy", KeyId=arn, PolicyName="default", Policy=text)
    expect("the user may not", NO, app, "PutKeyPolicy", KeyId=arn, PolicyName="default", Policy=text)


def belt():
    good = image("one")
    path = image_file("one", good)
    open_too = json.loads(generate("--image", path)[1])
    hole = {"Sid": "a hole", "Effect": "Allow", "Principal": {"AWS": app.arn}, "Action": "kms:Decrypt", "Resource": "*"}
    loose = json.loads(generate("--image", path, "--no-belt")[1])
    results = []
    for doc in (open_too, loose):
        doc["Statement"].append(hole)
        arn = created(json.dumps(doc))
        recipient = {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": base64.b64encode(document(public, good)).decode()}
        blob = kms.call(app, "GenerateDataKey", KeyId=arn, KeySpec="AES_256", Recipient=recipient)["CiphertextBlob"]
        results.append((outcome(app, "Decrypt", CiphertextBlob=blob), outcome(app, "Decrypt", good, CiphertextBlob=blob)))
    check(results == [(NO, KEY), ("plain", KEY)], "the belt holds against a statement that allows too much; without it none does", results)


def sealers():
    """Data keys without attestation for those who seal; opening stays the image's."""
    good = image("one")
    status, text, err = generate("--image", image_file("one", good), "--sealer", "user/sealer", "--sealer", "apps/sealing")
    check(status == 0 and not err, "generate with sealers", status, err)
    arn = created(text)
    k = {"KeyId": arn, "KeySpec": "AES_256"}
    expect("a sealer gets a data key in the clear", "plain", sealer, "GenerateDataKey", **k)
    expect("so does a session of a role with a path", "plain", sealing, "GenerateDataKey", **k)
    blob = kms.call(sealer, "GenerateDataKey", **k)["CiphertextBlob"]
    for who, name in ((sealer, "the sealer"), (app, "the enclave's user"), (admin, "the administrator"), (power, "one whom IAM allows everything")):
        expect(f"{name} does not open it", NO, who, "Decrypt", CiphertextBlob=blob, KeyId=arn)
    expect("nor the sealer in the image", NO, sealer, "Decrypt", good, CiphertextBlob=blob, KeyId=arn)
    expect("the image does", KEY, app, "Decrypt", good, CiphertextBlob=blob, KeyId=arn)
    expect("and has data keys of its own", KEY, app, "GenerateDataKey", good, **k)
    for who, name in ((app, "the enclave's user"), (admin, "the administrator"), (power, "one whom IAM allows everything")):
        expect(f"{name} gets no data key outside", NO, who, "GenerateDataKey", **k)
    for operation, more in (("GenerateDataKeyPair", {"KeyPairSpec": "ECC_NIST_P256"}), ("GenerateDataKeyWithoutPlaintext", {"KeySpec": "AES_256"}),
                            ("Encrypt", {"Plaintext": "aGk="})):
        expect(f"the sealer has no {operation}", NO, sealer, operation, KeyId=arn, **more)
    status, out, err = policy("lint", "--strict", write("sealers.json", text))
    check(status == 0 and "note sealer, statement 3" in out, "lint: a note about the sealers", status, out)
    status, text, err = generate("--kind", "sealer", "--key", arn)
    check(status == 0 and [s["Action"] for s in json.loads(text)["Statement"]] == ["kms:GenerateDataKey"] and policy("lint", "--identity", write("s.json", text))[0] == 0,
          "the sealers' identity policy", text, err)
    for who in (f"arn:aws:iam::{ACCOUNT}:root", f"arn:aws:sts::{ACCOUNT}:assumed-role/a/b"):
        status, text, err = generate("--image", image_file("one", good), "--sealer", who)
        check(status == 2 and "not a role or a user" in err and not text, "refused: sealer " + who, status, err)


def roll_out():
    old, new = image("old"), image("new")
    status, text, err = generate("--image", image_file("old", old), "--image", image_file("new", new, nested=False), "--compact")
    check(status == 0 and text.count("\n") == 1, "two images, on one line", status, err)
    k = {"KeyId": created(text), "KeySpec": "AES_256"}
    expect("the old image", KEY, app, "GenerateDataKey", old, **k)
    expect("the new image", KEY, app, "GenerateDataKey", new, **k)
    expect("PCR0 of one with PCR1 and PCR2 of the other", NO, app, "GenerateDataKey", {**new, 0: old[0]}, **k)
    expect("a third", NO, app, "GenerateDataKey", image("third"), **k)
    status, text, err = generate("--image", image_file("old", old), *(x for i in (0, 1, 2) for x in ("--pcr", f"{i}={new[i].hex()}")))
    k = {"KeyId": created(text), "KeySpec": "AES_256"}
    expect("one by file and one by PCRs: the first", KEY, app, "GenerateDataKey", old, **k)
    expect("the second", KEY, app, "GenerateDataKey", new, **k)


def parent_and_signer():
    arn, instance = f"arn:aws:iam::{ACCOUNT}:role/parent", "i-0123456789abcdef0"
    good = {**image("one", signed=True), 3: extended(arn), 4: extended(instance)}
    path = image_file("signed", image("one", signed=True))
    who = ("--user", "parent", "--admin", "user/admin")
    status, text, err = generate("--image", path, "--parent-role", arn, "--parent-instance", instance, who=who)
    k = {"KeyId": created(text), "KeySpec": "AES_256"}
    expect("role and instance of the parent, by a session of the role", KEY, role, "GenerateDataKey", good, **k)
    expect("another role", NO, role, "GenerateDataKey", {**good, 3: extended(arn + "x")}, **k)
    expect("another instance", NO, role, "GenerateDataKey", {**good, 4: extended("i-1")}, **k)
    status, text, err = generate("--image", path, "--registers", "8")
    k = {"KeyId": created(text), "KeySpec": "AES_256"}
    expect("by signer alone: any image of his", KEY, app, "GenerateDataKey", image("two", signed=True), **k)
    expect("an unsigned image", NO, app, "GenerateDataKey", image("one"), **k)
    status, text, err = generate("--image", path, "--operation", "GenerateDataKeyPair", "--operation", "GenerateDataKey")
    k = {"KeyId": created(text)}
    expect("operations that were asked for", KEY, app, "GenerateDataKey", good, KeySpec="AES_256", **k)
    check(json.loads(text)["Statement"][1]["Action"] == ["kms:GenerateDataKey", "kms:GenerateDataKeyPair"], "and no others", text)


def from_an_eif():
    vectors = os.environ.get("NITROSEAL_VECTORS", os.path.join(lib.ROOT, "..", "shared", "vectors"))
    eif = os.path.join(vectors, "eif", "ok-signed-p256.eif")
    if not os.path.exists(eif):
        print("# no shared vectors: no EIF to read")
        return
    with open(os.path.join(vectors, "manifest.json")) as f:
        entries = json.load(f)
    entry = [e for e in entries["entries"] if e["path"] == "eif/ok-signed-p256.eif"][0]
    good = {int(k[3:]): bytes.fromhex(v) for k, v in entry["values"]["pcrs"].items()}
    status, text, err = generate("--image", eif, "--registers", "0,1,2,8")
    check(status == 0, "from an EIF", err)
    k = {"KeyId": created(text), "KeySpec": "AES_256"}
    expect("its PCRs, that of the signer included", KEY, app, "GenerateDataKey", good, **k)
    expect("the same image by another signer", NO, app, "GenerateDataKey", {**good, 8: pcr("x")}, **k)
    for name, part in (("bad-crc", "checksum"), ("bad-sig-other-pcr0", "signature"), ("bad-truncated-section", "not an EIF")):
        status, text, err = generate("--image", os.path.join(vectors, "eif", name + ".eif"))
        check(status == 6 and part in err and not text, f"{name}: refused", status, err)


def identity():
    good = image("one")
    status, text, err = generate("--image", image_file("one", good), "--kind", "user", "--operation", "GenerateRandom", "--operation", "Decrypt")
    statements = json.loads(text)["Statement"]
    check(status == 0 and [s["Action"] for s in statements] == [["kms:Decrypt"], ["kms:GenerateRandom"]]
          and statements[0]["Resource"] == f"arn:aws:kms:*:{ACCOUNT}:key/*" and "Principal" not in text, "the users' identity policy", text)
    other.policies = [json.loads(text)]
    with open(os.path.join(folder, "principals.json"), "w") as f:
        json.dump([p.entry() for p in (app, other, admin, power, role, creator, sealer, sealing)], f)
    server.signal(1)
    lib.until(lambda: "principals read" in server.text(), what="reload")
    expect("random bytes for the image", KEY, other, "GenerateRandom", good, NumberOfBytes=16)
    expect("and for nobody else", NO, other, "GenerateRandom", NumberOfBytes=16)
    status, text, err = generate("--kind", "admin", "--key", "arn:aws:kms:us-east-1:111122223333:key/x")
    check(status == 0 and json.loads(text)["Statement"][0]["Resource"].endswith("key/x"), "the administrators' identity policy", err)


def refusals():
    good = image("one")
    path, zero = image_file("one", good), image_file("zero", {i: bytes(48) for i in range(3)})
    bad = os.path.join(folder, "bad.json")
    with open(bad, "w") as f:
        f.write('{"PCR0":"00"}')
    user, adm = ("--user", "a"), ("--admin", "b")
    for name, status, part, argv in (
            ("no account", 2, "--account", (*user, *adm, "--image", path)),
            ("a short account", 2, "--account", ("--account", "1", *user, *adm, "--image", path)),
            ("no administrator", 2, "administrator", ("--account", ACCOUNT, *user, "--image", path)),
            ("no user", 2, "user", ("--account", ACCOUNT, *adm, "--image", path)),
            ("no image", 2, "no image", ("--account", ACCOUNT, *user, *adm)),
            ("zero PCRs", 2, "PCR0 is zero", ("--account", ACCOUNT, *user, *adm, "--image", zero)),
            ("PCR3 alone", 2, "without PCR0 and PCR8", ("--account", ACCOUNT, *user, *adm, "--pcr", "3=" + "11" * 48)),
            ("PCR8 of an unsigned image", 6, "no PCR8", ("--account", ACCOUNT, *user, *adm, "--image", path, "--registers", "8")),
            ("neither EIF nor JSON", 6, "neither an EIF", ("--account", ACCOUNT, *user, *adm, "--image", bad)),
            ("no such file", 6, "cannot read", ("--account", ACCOUNT, *user, *adm, "--image", bad + "x")),
            ("a group as user", 2, "--user", ("--account", ACCOUNT, "--user", "arn:aws:iam::111122223333:group/g", *adm, "--image", path)),
            ("Sign", 2, "--operation Sign", ("--account", ACCOUNT, *user, *adm, "--image", path, "--operation", "Sign")),
            ("GenerateRandom in a key policy", 2, "identity policies", ("--account", ACCOUNT, *user, *adm, "--image", path, "--operation", "GenerateRandom")),
            ("an odd kind", 2, "--kind", ("--account", ACCOUNT, *user, *adm, "--image", path, "--kind", "x")),
            ("five images", 2, "more than 4", ("--account", ACCOUNT, *user, *adm, *["--image", path] * 5)),
            ("PCR3 twice", 2, "PCR3", ("--account", ACCOUNT, *user, *adm, "--pcr", "0=" + "11" * 48, "--pcr", "3=" + "11" * 48, "--parent-role", "x"))):
        got, out, err = lib.run("nitroseal", "policy", "generate", *argv)
        check(got == status and part in err and not out and err.count("\n") == 1, "refused: " + name, got, err)
    got, out, err = generate("--image", zero, "--allow-debug")
    check(got == 0 and "0" * 96 in out, "zero PCRs where they are wanted", err)


def write(name, doc):
    path = os.path.join(folder, name)
    with open(path, "w") as f:
        f.write(doc if isinstance(doc, str) else json.dumps(doc, indent=1))
    return path


def policy(*argv, **kw):
    return lib.run("nitroseal", "policy", *argv, **kw)


def lint():
    good = write("good.json", generate("--image", image_file("one", image("one")))[1])
    status, out, err = policy("lint", good)
    check(status == 0 and out.startswith("note administrator, statement 1") and not err, "lint: what generate writes has a note only", status, out, err)
    bad = write("bad.json", {"Version": "2012-10-17", "Statement": [
        {"Sid": "open", "Effect": "Allow", "Principal": {"AWS": app.arn}, "Action": "kms:*", "Resource": "*"}]})
    status, out, err = policy("lint", bad)
    check(status == 5 and out.startswith('error unattested-use, statement 1 "open": ') and "    do: " in out, "lint: an open key is an error, with reason and remedy", status, out)
    status, out, err = policy("lint", "--json", bad)
    found = json.loads(out)["findings"]
    check(status == 5 and found[0]["severity"] == "error" and found[0]["id"] == "unattested-use" and found[0]["statement"] == 1
          and found[0]["sid"] == "open" and found[0]["detail"] == "kms:Decrypt" and found[0]["fix"], "lint --json", found)
    warned = write("warned.json", generate("--image", image_file("one", image("one")), "--no-belt")[1])
    check([policy("lint", warned)[0], policy("lint", "--strict", warned)[0]] == [0, 5], "lint: warnings count with --strict only")
    with open(good) as f:
        status, out, err = policy("lint", "-", stdin=f.read())
    check(status == 0, "lint: from standard input", err)
    status, out, err = policy("lint", write("broken.json", '{"Version":"2012-10-17",\n "Statement":[{"Effect":"Alow"}]}'))
    check(status == 6 and "line 2, column 25 (statement 1): Effect is neither Allow nor Deny" in err and not out, "lint: where a document is broken", status, err)
    status, out, err = policy("lint", write("long.json", " " * 32769))
    check(status == 6 and "32768" in err, "lint: longer than a key policy may be", status, err)
    user = write("user.json", generate("--image", image_file("one", image("one")), "--kind", "user")[1])
    check(policy("lint", "--identity", user)[0] == 0 and policy("lint", user)[0] == 6, "lint: an identity policy by --identity only")
    status, out, err = policy("lint", "--rules", "--json")
    rules = json.loads(out)
    check(status == 0 and len(rules) > 40 and len({r["id"] for r in rules}) == len(rules), "lint --rules", len(rules))
    check(policy("lint")[0] == 2 and policy("lint", good + "x")[0] == 6, "lint: no file, no such file")


def explain():
    one, two = image("one"), image("two")
    path, other_path = image_file("one", one), image_file("two", two)
    key = write("key.json", generate("--image", path)[1])
    who = ("--principal", app.arn)
    arn = "arn:aws:kms:us-east-1:111122223333:key/0d1c3d52-0ec1-4d8c-8b4f-1b2d3e4f5a6b"
    status, out, err = policy("explain", *who, "--image", path, key)
    check(status == 0 and out.startswith('allowed: key policy: allowed by statement 2 "Use by attested image 1"') and "PCR1 is as in the policy" in out,
          "explain: the image is allowed, by its statement", status, out, err)
    status, out, err = policy("explain", *who, "--pcr", "0=" + one[0].hex(), "--pcr", "1=" + two[1].hex(), "--pcr", "2=" + one[2].hex(), key)
    check(status == 4 and "fails on StringEqualsIgnoreCase kms:RecipientAttestation:PCR1" in out and "KMS would say: User: " in out
          and f"PCR1 differs: the call has {two[1].hex()}, the policy {one[1].hex()}" in out and "PCR0 is as" in out,
          "explain: which PCR differs, and both values", status, out)
    status, out, err = policy("explain", "--json", *who, "--key", arn, key)
    said = json.loads(out)
    check(status == 4 and said["decision"] == "denied" and said["explicit"] and said["statement"] == 3 and said["by"] == "key policy"
          and not said["attested"] and said["registers"][0]["request"] is None, "explain --json: unattested, denied by the belt", said)
    check(said["message"] == f"User: {app.arn} is not authorized to perform: kms:Decrypt on resource: {arn} with an explicit deny in a resource-based policy",
          "explain: KMS's own words", said["message"])
    made = created(open(key).read())
    try:
        kms.call(app, "GenerateDataKey", KeyId=made, KeySpec="AES_256")
        wire = ""
    except lib.KmsError as e:
        wire = e.message
    said = json.loads(policy("explain", "--json", *who, "--operation", "GenerateDataKey", "--key", made, key)[1])
    check(said["message"] == wire, "explain: word for word what the local KMS answers", said["message"], wire)
    line = [l for l in server.text().splitlines() if "explanation" in l][-1]
    check(json.dumps(said["explanation"])[1:-1].replace('\\"', '') in line.replace('\\"', ''), "and what it writes into its log", said["explanation"], line)
    saved = os.path.join(folder, "document")
    with open(saved, "wb") as f:
        f.write(document(public, one))
    check(policy("explain", *who, "--document", saved, key)[0] == 6, "explain: QEMU's document is none of AWS's")
    account = write("account.json", {"Statement": {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "kms:*", "Resource": "*"}})
    may = write("may.json", {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*",
                             "Condition": {"StringEquals": {"kms:EncryptionContext:app": "demo"}, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}})
    here, there = ("--fact", "aws:SourceIp=10.1.2.3"), ("--fact", "aws:SourceIp=192.0.2.1")
    demo = ("--context", "app=demo")
    results = [policy("explain", *who, *x, account)[0] for x in ((), ("--identity", may, *demo, *here), ("--identity", may, *here), ("--identity", may, *demo, *there))]
    check(results == [4, 0, 4, 4], "explain: the account's policy needs IAM's, with context and address", results)
    grant = write("grant.json", {"GranteePrincipal": other.arn, "Operations": ["Decrypt"], "Constraints": {"EncryptionContextSubset": {"app": "demo"}}})
    asked = [policy("explain", "--principal", p, "--grant", grant, *x, account) for p, x in ((other.arn, demo), (other.arn, ()), (power.arn, demo))]
    check([a[0] for a in asked] == [0, 4, 4] and "allowed by grant 1" in asked[0][1], "explain: a grant, with its constraint", asked)
    check(policy("explain", "--principal", "ec2.amazonaws.com", write("service.json", {"Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
          "Action": "kms:Decrypt", "Resource": "*"}}))[0] == 0, "explain: a service")
    check(policy("explain", *who, "--operation", "GenerateRandom", "--identity", may)[0] == 4, "explain: an operation without a key asks identity policies only")
    status, out, err = policy("explain", *who, "--operation", "Sign", "--image", path, key)
    check(status == 4 and "takes no attestation document" in out, "explain: an operation that is not attested", out)
    for name, status, argv in (("nobody", 2, (key,)), ("an odd principal", 2, ("--principal", "me", key)), ("an odd operation", 2, (*who, "--operation", "Open", key)),
                               ("no policy", 2, who), ("image and PCR", 2, (*who, "--image", path, "--pcr", "0=" + "11" * 48, key)),
                               ("a fact without a value", 2, (*who, "--fact", "aws:SourceIp", key)), ("no image", 6, (*who, "--image", path + "x", key)),
                               ("context for Sign", 2, (*who, "--operation", "Sign", *demo, key)), ("an odd grant", 6, (*who, "--grant", key, key)),
                               ("a key that is no ARN", 2, (*who, "--key", "x", key))):
        got, out, err = policy("explain", *argv)
        check(got == status and err and not out, "explain: refused: " + name, got, out, err)


def differences():
    a = json.loads(generate("--image", image_file("one", image("one")))[1])
    b = json.loads(generate("--image", image_file("two", image("two")))[1])
    before, after = write("before.json", a), write("after.json", b)
    shuffled = write("shuffled.json", {"Statement": a["Statement"][::-1], "Version": a["Version"]})
    status, out, err = policy("diff", before, shuffled)
    check(status == 0 and not out and not err, "diff: another order is no change", status, out)
    status, out, err = policy("diff", before, after)
    lines = out.splitlines()
    check(status == 1 and len(lines) == 8 and all("RecipientAttestation:PCR" in l for l in lines)
          and f"+ statement 2 \"Use by attested image 1\": StringEqualsIgnoreCase kms:RecipientAttestation:PCR2 {image('two')[2].hex()}" in lines,
          "diff: the PCRs of another image, and nothing else", out)
    b["Statement"][1]["Principal"]["AWS"] = other.arn
    b["Statement"][1]["Action"].append("kms:DeriveSharedSecret")
    b["Statement"].pop(0)
    status, out, err = policy("diff", "--json", before, write("after.json", b))
    changes = json.loads(out)["changes"]
    told = {(c["change"], c["part"], c["value"]) for c in changes}
    check(status == 1 and {("removed", "Principal", app.arn), ("added", "Principal", other.arn), ("added", "Action", "kms:DeriveSharedSecret"),
                           ("removed", "Statement", "Allow"), ("removed", "Action", "kms:PutKeyPolicy")} <= told, "diff --json: principals, actions, a statement", changes)
    check(policy("diff", before)[0] == 2 and policy("diff", before, before + "x")[0] == 6, "diff: one file, no such file")


def canary():
    good = image("one")
    shut = created(generate("--image", image_file("one", good))[1])
    open_key = created(json.dumps({"Statement": [
        {"Effect": "Allow", "Principal": {"AWS": admin.arn}, "Action": "kms:PutKeyPolicy", "Resource": "*"},
        {"Effect": "Allow", "Principal": {"AWS": app.arn}, "Action": ["kms:Encrypt", "kms:Decrypt"], "Resource": "*",
         "Condition": {"StringEquals": {"kms:EncryptionContext:app": "demo"}}}]}))
    env = {"AWS_ENDPOINT_URL_KMS": f"https://127.0.0.1:{kms.port}", "AWS_CA_BUNDLE": kms.ca, **app.env()}
    status, out, err = policy("canary", "--key", shut, env=env)
    lines = out.splitlines()
    check(status == 0 and not err and lines[0].startswith("GenerateDataKey without attestation: refused (AccessDeniedException: User: ")
          and "Decrypt was not tried" in lines[-1], "canary: a shut key is refused", status, out, err)
    recipient = {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": base64.b64encode(document(public, good)).decode()}
    blob = kms.call(app, "GenerateDataKey", KeyId=shut, KeySpec="AES_256", Recipient=recipient)["CiphertextBlob"]
    status, out, err = policy("canary", "--key", shut, "--ciphertext-blob", blob, "--json", env=env)
    told = {t["operation"]: t["outcome"] for t in json.loads(out)["unattested"]}
    check(status == 0 and told["GenerateDataKey"] == told["Decrypt"] == "refused", "canary: Decrypt too, with something to open", told, err)
    blob = kms.call(app, "Encrypt", KeyId=open_key, Plaintext="aGk=", EncryptionContext={"app": "demo"})["CiphertextBlob"]
    status, out, err = policy("canary", "--key", open_key, "--ciphertext-blob", blob, "--context", "app=demo", env=env)
    check(status == 5 and "\nDecrypt without attestation: WOULD BE ALLOWED (DryRunOperationException" in out, "canary: a key that opens without attestation", status, out, err)
    wrong = principal("app")
    wrong.secret = "x" * 30
    for name, want, part, argv, e in (("wrong credentials", 7, "does not know these credentials", ("--key", shut), {**env, **wrong.env()}),
                                      ("nobody there", 3, "", ("--key", shut, "--endpoint", "https://127.0.0.1:1"), env),
                                      ("another CA", 3, "", ("--key", shut), {k: v for k, v in env.items() if k != "AWS_CA_BUNDLE"}),
                                      ("an id for an ARN", 2, "--key", ("--key", "x"), env), ("no key", 2, "--key", (), env),
                                      ("an odd blob", 2, "base64", ("--key", shut, "--ciphertext-blob", "x!"), env)):
        status, out, err = policy("canary", *argv, env=e)
        check(status == want and part in err and not out, "canary: " + name, status, out, err)
    other_key = shut.replace(shut[-12:], "0" * 12)
    status, out, err = policy("canary", "--key", other_key, env=env)
    check(status == 1 and "not told (NotFoundException" in out, "canary: no such key tells nothing", status, out, err)


def chinese():
    path = write("zh.json", {"Statement": {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}})
    status, out, err = policy("lint", path, env={"LANG": "zh_CN.UTF-8"})
    check(status == 5 and "错误 unattested-use" in out and "any principal" not in out and "without" not in out, "lint in Chinese", out)
    status, out, err = policy("explain", "--principal", app.arn, path, env={"LANG": "zh_CN.UTF-8"})
    check(status == 0 and out.startswith("允许"), "explain in Chinese", out)


one_image()
belt()
sealers()
roll_out()
parent_and_signer()
from_an_eif()
identity()
refusals()
lint()
explain()
differences()
canary()
chinese()
check(server.stop() == 0, "the local KMS ends by SIGTERM")
lib.plan()
