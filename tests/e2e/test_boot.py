#!/usr/bin/python3
"""The main job with a booted image: `image build`, its PCRs as the guest's own NSM tells them, the key policy that
`policy generate` writes, then encrypt and decrypt through the guest; and the same image with one byte of its command
line changed, which KMS refuses and says why. QEMU's NSM does not sign, so the local KMS is told to trust it. TAP."""
import json, os, re, sys

import booted, guest, lib
from lib import check

if why := guest.why_not():
    lib.skip_all(why)
if lib.missing_programs(booted.PROGRAMS):
    lib.skip_all("not all programs are built")

sys.path.insert(0, os.path.join(lib.HERE, "seed"))
import seed

TEXT = "数据在飞地里加密，钥匙不离开飞地。Nitro 🔐"
site = booted.Site()
app, vsock = site.app, site.vsock


def build(name, *more, **how):
    """(file, PCRs as describe tells them)"""
    out, status, printed, err = site.build(name, *more, **how)
    check(status == 0, f"image build: {name}", status, printed, err)
    status, described, err = lib.run("nitroseal", "image", "describe", out)
    m = json.loads(described)["Measurements"]
    check(json.loads(printed)["Measurements"] == m, f"image describe says what image build said: {name}", printed, described)
    return out, {k: m[k] for k in ("PCR0", "PCR1", "PCR2")}


def encrypted(text):
    status, out, err = site.client("encrypt", text)
    triple = [line.split("=", 1)[1] for line in out.splitlines() if re.match("(ENCRYPTED|SIGNATURE|CIPHERTEXT_BLOB)=", line)]
    return triple if status == 0 and len(triple) == 3 else (status, out, err)


# --- images and policy ---
ours, pcrs = build("ours")
with open(site.path("request.json"), "w") as f:
    json.dump(seed.encrypt_request(app.seed(), TEXT), f)
probe = os.path.join(lib.BUILD, "tests", "guest", "guest_probe")
inside, inside_pcrs = build("inside", "--file", probe + ":/bin/probe", "--file", site.path("request.json") + ":/request.json", "--user", "1000:100",
                            *(x for word in ("/bin/probe", "me", "pcrs", "loopback", "/request.json") for x in ("--entrypoint", word)))
altered, altered_pcrs = build("altered", cmdline=booted.LINE.replace("panic=30", "panic=31"))
check([pcrs[p] != altered_pcrs[p] for p in pcrs] == [True, True, False], "one byte of the command line: PCR0 and PCR1 differ, PCR2 does not")
status, err = site.allow(ours, inside)
check(status == 0, "policy generate takes the images", status, err)

# --- client and service in one guest, over kernel vsock ---
console, _ = guest.run(inside, vsock, seconds=90)
for register, value in inside_pcrs.items():
    check(f"{register} = {value} locked" in console, f"{register} that the guest's NSM tells is that of image describe", console[-3000:])
check("ids 1000 1000 100 100" in console, "the service's user is that of the image", console[-3000:])
answer = re.search(r"^answer (\{.*\})$", console, re.M)
answer = json.loads(answer.group(1)) if answer else {}
check(answer.get("operation") == "encrypt" and answer.get("plaintext") == TEXT, "CID 1: the guest's own client has its text encrypted", console[-3000:])
check("service status 0" in console, "and the service stops when told", console[-1500:])

# --- the main job ---
with guest.booted(ours, vsock, "nitroseald ready", 90) as g:
    console = g.console()
    check("documents of this enclave's NSM are NOT verified here" in console, "the service warns that the NSM does not sign", console)
    check("no seccomp filter" not in console, "and is confined: the kernel has seccomp", console[-2000:])
    triple = encrypted(TEXT)
    check(isinstance(triple, list), "kms-client 16 5000 encrypt", triple, g.tail(), site.kms_program.text()[-2000:])
    if isinstance(triple, list):
        status, out, err = site.client("decrypt", *triple)
        check(status == 0 and TEXT in out, "kms-client 16 5000 decrypt: the same text", status, out, err, g.tail())
        status, out, err = site.client("decrypt", triple[0], "A" * 43 + "=", triple[2])
        check(status == 5 and TEXT not in out, "a signature that does not hold: no text", status, out, err)
    if "encrypted" in answer:
        status, out, err = site.client("decrypt", answer["encrypted"], answer["signature"], answer["ciphertext_blob"])
        check(status == 0 and TEXT in out, "what was encrypted over loopback is decrypted from outside", status, out, err)
    check(TEXT not in g.console() and app.secret not in g.console(), "neither text nor credentials on the console")
    status, out, err = lib.run("nitroseal", "attest", "--any-image", env={"NITROSEAL_VSOCK": "unix:" + vsock})
    check(status == 5, "nitroseal attest does not take a document that nobody signed", status, out, err)

# --- one byte ---
before = len(site.kms_program.text())
with guest.booted(altered, vsock, "nitroseald ready", 90) as g:
    status, out, err = site.client("encrypt", TEXT)
    check(status != 0 and "ENCRYPTED=" not in out, "one byte of the command line changed: nothing is encrypted", status, out, err)
    if isinstance(triple, list):
        status, out, err = site.client("decrypt", *triple)
        check(status != 0 and TEXT not in out, "and nothing is decrypted", status, out, err)
    check(status == 4, "kms-client: refused by KMS", status, out)
    reasons = re.findall(r"explanation .*? text=(.*)", site.kms_program.text()[before:])
    named = "kms:RecipientAttestation:PCR0: request has [\\\"" + altered_pcrs["PCR0"]
    check(len(reasons) == 2 and all(named in r and pcrs["PCR0"] in r for r in reasons),
          "KMS's log names the PCR, what it is and what the policy has", *reasons)
    told = lambda: g.console().count("kms_type=AccessDeniedException")
    check(lib.until(lambda: told() >= 2) and told() == 2, "and the guest's log says that KMS refused", g.tail())

# --- nobody has to trust QEMU ---
with guest.booted(build("verifying", nsm_check="root")[0], vsock, guest.RESTARTING, 90) as g:
    check("is not signed as AWS's are" in g.console() and "service ended status=5" in g.console(),
          "without NITROSEAL_NSM_CHECK the service refuses an NSM that does not sign", g.console()[-3000:])
lib.plan()
