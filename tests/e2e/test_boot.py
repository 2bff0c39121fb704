#!/usr/bin/python3
"""The main job with a booted image: `image build`, its PCRs as the guest's own NSM tells them, the key policy that
`policy generate` writes, then encrypt and decrypt through the guest; and the same image with one byte of its command
line changed, which KMS refuses and says why. QEMU's NSM does not sign, so the local KMS is told to trust it. TAP."""
import json, os, re, sys

import guest, handmade_eif, lib
from lib import check

if why := guest.why_not():
    lib.skip_all(why)
if lib.missing_programs(["nitroseal", "kms-client", "nitroseald", "nitroseal-init", "nitroseal-kms", "nitro-local", "vsock-proxy"]):
    lib.skip_all("not all programs are built")

sys.path.insert(0, os.path.join(lib.HERE, "seed"))
import seed

TEXT = "数据在飞地里加密，钥匙不离开飞地。Nitro 🔐"
folder = lib.private_folder()
vsock = os.path.join(folder, "v")
os.makedirs(vsock, mode=0o700)
path = lambda *names: os.path.join(folder, *names)
everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}
app = lib.Principal("app", "AKIDAPPAPPAPPAPPAPP0", "AppSecret" * 4)
owner = lib.Principal("owner", "AKIDOWNEROWNEROWNER0", "OwnerSecret" * 3, policies=[everything])


def start_kms():
    os.makedirs(path("kms"), mode=0o700)
    with open(os.open(path("principals.json"), os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        json.dump([app.entry(), owner.entry()], f)
    program = lib.Program("nitroseal-kms", ["--state", path("kms"), "--principals", path("principals.json"), "--region", lib.REGION,
                                            "--account", lib.ACCOUNT, "--explain", "--trust-qemu-nsm", guest.MODULE], log=path("kms.log"))
    lib.until(lambda: os.path.exists(path("kms", "port")) or not program.alive(), what="nitroseal-kms")
    return program, lib.Kms(path("kms"))


def start_relay(port):
    with open(path("allowlist.yaml"), "w") as f:
        f.write(f"allowlist:\n- {{address: 127.0.0.1, port: {port}}}\n")
    program = lib.Program("vsock-proxy", ["--config", f.name, lib.PROXY_PORT, "127.0.0.1", port],
                          env={"NITROSEAL_VSOCK": "unix:" + vsock}, log=path("relay.log"))
    lib.until(lambda: lib.Stack.answers(os.path.join(vsock, f"3.vsock_{lib.PROXY_PORT}")) or not program.alive(), what="vsock-proxy")
    return program


def put_policy(text):
    kms.call(owner, "PutKeyPolicy", KeyId=arn, PolicyName="default", Policy=text, BypassPolicyLockoutSafetyCheck=True)


def build(name, cmdline, *more):
    """(file, PCRs as describe tells them)"""
    out = path(name + ".eif")
    status, printed, err = lib.run(
        "nitroseal", "image", "build", "-o", out, "--kms-key-id", arn, "--ca-file", path("kms", "ca.pem"), "--kernel", guest.KERNEL,
        "--cmdline", cmdline, "--env", f"AWS_ENDPOINT_URL_KMS=https://localhost:{kms.port}", "--env", "NITROSEAL_NSM_CHECK=none", *more)
    check(status == 0, f"image build: {name}", status, printed, err)
    status, described, err = lib.run("nitroseal", "image", "describe", out)
    m = json.loads(described)["Measurements"]
    check(json.loads(printed)["Measurements"] == m, f"image describe says what image build said: {name}", printed, described)
    return out, {k: m[k] for k in ("PCR0", "PCR1", "PCR2")}


def client(*argv):
    return lib.run("kms-client", lib.CID, lib.PORT, *argv, env={"NITROSEAL_VSOCK": "unix:" + vsock, **app.env()})


def encrypted(text):
    status, out, err = client("encrypt", text)
    triple = [line.split("=", 1)[1] for line in out.splitlines() if re.match("(ENCRYPTED|SIGNATURE|CIPHERTEXT_BLOB)=", line)]
    return triple if status == 0 and len(triple) == 3 else (status, out, err)


kms_program, kms = start_kms()
open_policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": owner.arn}, "Action": "kms:*", "Resource": "*"}]}
arn = kms.call(owner, "CreateKey", Policy=json.dumps(open_policy))["KeyMetadata"]["Arn"]
relay = start_relay(kms.port)

# --- images and policy ---
LINE = handmade_eif.AWS_CMDLINE + " quiet"
ours, pcrs = build("ours", LINE)
with open(path("request.json"), "w") as f:
    json.dump(seed.encrypt_request(app.seed(), TEXT), f)
probe = os.path.join(lib.BUILD, "tests", "guest", "guest_probe")
inside, inside_pcrs = build("inside", LINE, "--file", probe + ":/bin/probe", "--file", path("request.json") + ":/request.json",
                            *(x for word in ("/bin/probe", "pcrs", "loopback", "/request.json") for x in ("--entrypoint", word)))
altered, altered_pcrs = build("altered", LINE.replace("panic=30", "panic=31"))
check([pcrs[p] != altered_pcrs[p] for p in pcrs] == [True, True, False], "one byte of the command line: PCR0 and PCR1 differ, PCR2 does not")

status, policy, err = lib.run("nitroseal", "policy", "generate", "--account", lib.ACCOUNT, "--user", "user/app", "--admin", "user/owner",
                              "--image", ours, "--image", inside)
check(status == 0, "policy generate takes the images", status, err)
put_policy(policy)

# --- client and service in one guest, over kernel vsock ---
console, _ = guest.run(inside, vsock, seconds=90)
for register, value in inside_pcrs.items():
    check(f"{register} = {value} locked" in console, f"{register} that the guest's NSM tells is that of image describe", console[-3000:])
answer = re.search(r"^answer (\{.*\})$", console, re.M)
answer = json.loads(answer.group(1)) if answer else {}
check(answer.get("operation") == "encrypt" and answer.get("plaintext") == TEXT, "CID 1: the guest's own client has its text encrypted", console[-3000:])
check("service status 0" in console, "and the service stops when told", console[-1500:])

# --- the main job ---
with guest.booted(ours, vsock, "nitroseald ready", 90) as g:
    console = g.console()
    check("documents of this enclave's NSM are NOT verified here" in console, "the service warns that the NSM does not sign", console)
    triple = encrypted(TEXT)
    check(isinstance(triple, list), "kms-client 16 5000 encrypt", triple, g.tail(), kms_program.text()[-2000:])
    if isinstance(triple, list):
        status, out, err = client("decrypt", *triple)
        check(status == 0 and TEXT in out, "kms-client 16 5000 decrypt: the same text", status, out, err, g.tail())
        status, out, err = client("decrypt", triple[0], "A" * 43 + "=", triple[2])
        check(status == 5 and TEXT not in out, "a signature that does not hold: no text", status, out, err)
    if "encrypted" in answer:
        status, out, err = client("decrypt", answer["encrypted"], answer["signature"], answer["ciphertext_blob"])
        check(status == 0 and TEXT in out, "what was encrypted over loopback is decrypted from outside", status, out, err)
    check(TEXT not in g.console() and app.secret not in g.console(), "neither text nor credentials on the console")
    status, out, err = lib.run("nitroseal", "attest", "--any-image", env={"NITROSEAL_VSOCK": "unix:" + vsock})
    check(status == 5, "nitroseal attest does not take a document that nobody signed", status, out, err)

# --- one byte ---
before = len(kms_program.text())
with guest.booted(altered, vsock, "nitroseald ready", 90) as g:
    status, out, err = client("encrypt", TEXT)
    check(status != 0 and "ENCRYPTED=" not in out, "one byte of the command line changed: nothing is encrypted", status, out, err)
    if isinstance(triple, list):
        status, out, err = client("decrypt", *triple)
        check(status != 0 and TEXT not in out, "and nothing is decrypted", status, out, err)
    check(status == 4, "kms-client: refused by KMS", status, out)
    reasons = re.findall(r"explanation .*? text=(.*)", kms_program.text()[before:])
    named = "kms:RecipientAttestation:PCR0: request has [\\\"" + altered_pcrs["PCR0"]
    check(len(reasons) == 2 and all(named in r and pcrs["PCR0"] in r for r in reasons),
          "KMS's log names the PCR, what it is and what the policy has", *reasons)
    check(g.console().count("kms_type=AccessDeniedException") == 2, "and the guest's log says that KMS refused", g.tail())

# --- nobody has to trust QEMU ---
with guest.booted(build("verifying", LINE, "--env", "NITROSEAL_NSM_CHECK=root")[0], vsock, guest.RESTARTING, 90) as g:
    check("is not signed as AWS's are" in g.console() and "service ended status=5" in g.console(),
          "without NITROSEAL_NSM_CHECK the service refuses an NSM that does not sign", g.console()[-3000:])
lib.plan()
