#!/usr/bin/python3
"""kmstool_enclave_cli as scripts call it: every row of the original's behaviour (options, parser, errors, output,
statuses), then what it does beyond, against the local stack. TAP."""
import base64, concurrent.futures, datetime, json, os, socket, ssl, subprocess, threading, time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

import lib
from lib import check

TOOL = "kmstool_enclave_cli"
if missing := lib.missing_programs(["nitroseal-nsm", "nitroseal-kms", "vsock-proxy", "nitroseald", TOOL]):
    lib.skip_all(f"not built: {missing}")

CONTEXT = {"purpose": "测试", "a=b": "c=d", "quote\"": "\\"}


def attested(stack, actions):
    """A statement that lets `app` do this attested by the image only."""
    pcrs = {k: v for k, v in stack.measured().items() if k in ("PCR0", "PCR1", "PCR2")}
    return {"Sid": "more", "Effect": "Allow", "Principal": {"AWS": stack.app.arn}, "Resource": "*", "Action": actions,
            "Condition": {"StringEqualsIgnoreCase": {f"kms:RecipientAttestation:{n}": v for n, v in pcrs.items()}}}


stack = lib.Stack()
stack.app.policies = [{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "kms:GenerateRandom", "Resource": "*"}]}]
stack.start_nsm()
stack.start_kms()
stack.make_key()
stack.start_proxy()
stack.kms.call(stack.admin, "PutKeyPolicy", KeyId=stack.arn, Policy=stack.policy(
    {k: v for k, v in stack.measured().items() if k in ("PCR0", "PCR1", "PCR2")}, [attested(stack, ["kms:GenerateDataKeyPair"])]))

# What an image would have in its environment; no credentials.
PLACE = {"NITROSEAL_VSOCK": "unix:" + stack.v, "NITROSEAL_NSM": "unix:" + stack.path("nsm.sock"),
         "NITROSEAL_CA_FILE": stack.path("kms", "ca.pem"), "AWS_ENDPOINT_URL_KMS": f"https://localhost:{stack.kms_port}"}
KEYS = ["--aws-access-key-id", stack.app.id, "--aws-secret-access-key", stack.app.secret]
TOKEN = ["--aws-session-token", "IQoJtoken"]
SHORT_KEYS = ["-k", stack.app.id, "-s", stack.app.secret]


def tool(*argv, env=None, **how):
    return lib.run(TOOL, *argv, env={**PLACE, **(env or {})}, **how)


def asked(*argv, env=None, **how):
    """With credentials where the warning does not speak."""
    return tool(*argv, env={**stack.app.env(), **(env or {})}, **how)


def rows(table):
    """(name, arguments, status, text that stderr has); stdout is empty unless the status is 0."""
    for name, argv, want, text in table:
        status, out, err = tool(*argv)
        check(status == want and (out == "") == (want != 0) and text in err, name, argv, status, out, err)


ciphertext = stack.kms.call(stack.admin, "Encrypt", KeyId=stack.arn, Plaintext=base64.b64encode(b"hello").decode())["CiphertextBlob"]
C = ["--ciphertext", ciphertext]
GENKEY = ["--key-id", stack.arn, "--key-spec", "AES-256"]

# --- section 2: options and parser ------------------------------------------------------------------------------------

rows([
    ("no argument: commands, 1", [], 1, " Commands: "),
    ("unknown command", ["encrypt", *KEYS, *TOKEN], 1, " Commands: "),
    ("a command is case-sensitive", ["Decrypt", *KEYS, *C], 1, " Commands: "),
    ("a command is the first word only", ["--region", "us-east-1", "decrypt"], 1, "usage: kmstool_enclave_cli [command]"),
    ("--help as the command: 1", ["--help"], 1, ""),
    ("decrypt --help: usage, 1", ["decrypt", "--help"], 1, "usage: kmstool_enclave_cli decrypt [options]"),
    ("genkey -h", ["genkey", "-h"], 1, "usage: kmstool_enclave_cli genkey [options]"),
    ("genrandom --help with all else right", ["genrandom", *KEYS, "--length", "1", "--help"], 1, " Options: "),
    ("decrypt: unknown option", ["decrypt", *KEYS, *C, "--no-such", "x"], 1, "Unknown option: --no-such"),
    ("decrypt: option of another command", ["decrypt", *KEYS, *C, "--length", "5"], 1, "Unknown option: --length"),
    ("decrypt: unknown letter", ["decrypt", *KEYS, *C, "-z"], 1, "Unknown option: -z"),
    ("decrypt: value missing at the end", ["decrypt", *KEYS, *C, "--region"], 1, "Unknown option"),
    ("decrypt: a lone hyphen", ["decrypt", *KEYS, *C, "-"], 1, "Unknown option"),
    ("genkey: unknown option ends with what follows unread", ["genkey", "--no-such", "x", *KEYS, *GENKEY], 1, "must be set"),
    ("genrandom: the same", ["genrandom", *KEYS, "--no-such", "x", "--length", "5"], 1, "--length must be set"),
    ("genkey: unknown option without value passed over", ["genkey", "--no-such", *KEYS, *GENKEY], 0, "passed over"),
    ("genkey: another command's option takes its value", ["genkey", "--length", "5", *KEYS, *GENKEY], 0, "passed over"),
    ("genrandom: likewise", ["genrandom", "--key-id", "x", *KEYS, "--length", "5"], 0, "passed over"),
    ("genkey: value missing at the end passed over", ["genkey", *KEYS, *GENKEY, "--region"], 0, ""),
    ("a word that is no option ends the parsing", ["decrypt", *KEYS, "word", *C], 1, "--ciphertext must be set"),
    ("what follows it is ignored, faults too", ["decrypt", *KEYS, *C, "word", "--no-such"], 0, ""),
    ("an empty word ends it as well", ["decrypt", *KEYS, *C, "", "--no-such"], 0, ""),
    ("a value may begin with a hyphen", ["genkey", "--region", "--key-id", *KEYS, *GENKEY], 255, ""),
    ("-rvalue is -r and takes the next word", ["genrandom", "-rnonsense", "us-east-1", *KEYS, "-l", "3"], 0, ""),
    ("-region too", ["genrandom", "-region", "us-east-1", *KEYS, "-l", "3"], 0, ""),
    ("the last of repeated options wins", ["genrandom", "-l", "0", *KEYS, "-l", "3"], 0, ""),
    ("--opt=value is taken", ["genrandom", *KEYS, "--length=3"], 0, ""),
    ("an unknown --opt=value is not", ["decrypt", *KEYS, *C, "--no-such=secret"], 1, "Unknown option: --no-such\n"),
    ("short letters: decrypt", ["decrypt", *SHORT_KEYS, "-t", "", "-r", "us-east-1", "-x", "8000", "-c", ciphertext], 0, ""),
    ("short letters: key and algorithm", ["decrypt", *SHORT_KEYS, "-c", ciphertext, "-K", stack.arn, "-a", "SYMMETRIC_DEFAULT"], 0, ""),
    ("short letters: genkey", ["genkey", *SHORT_KEYS, "-K", stack.arn, "-p", "AES-128"], 0, ""),
    ("--key-id without algorithm", ["decrypt", *KEYS, *C, "--key-id", stack.arn], 255, "Invalid encryption algorithm"),
    ("--key-id with an algorithm that is none", ["decrypt", *KEYS, *C, "--key-id", stack.arn, "-a", "AES"], 255, "Invalid encryption algorithm"),
    ("an algorithm without --key-id is not looked at", ["decrypt", *KEYS, *C, "-a", "AES"], 0, ""),
    ("a port that is not a number is 0", ["decrypt", *KEYS, *C, "--proxy-port", "x"], 255, "vsock 3:0"),
    ("trailing letters of a port are passed over", ["decrypt", *KEYS, *C, "--proxy-port", "8000x"], 0, ""),
    ("vsock ports past 65535 are tried", ["decrypt", *KEYS, *C, "--proxy-port", "70000"], 255, "vsock 3:70000"),
])

# --- section 3: argument errors, in their order -----------------------------------------------------------------------

rows([
    ("unknown key spec comes first", ["genkey", "--key-spec", "AES-512"], 1, "Unknown key spec: AES-512"),
    ("KMS's spelling is unknown to genkey", ["genkey", *KEYS, "--key-id", "x", "--key-spec", "AES_256"], 1, "Unknown key spec: AES_256"),
    ("access key id", ["decrypt"], 1, "--aws-access-key-id must be set"),
    ("access key id, empty", ["decrypt", "-k", "", "-s", "x", *C], 1, "--aws-access-key-id must be set"),
    ("secret", ["decrypt", "-k", "x"], 1, "--aws-secret-access-key must be set"),
    ("credentials before the ciphertext", ["decrypt", "-k", "x", *C], 1, "--aws-secret-access-key must be set"),
    ("ciphertext", ["decrypt", *KEYS], 1, "--ciphertext must be set"),
    ("genkey: key id", ["genkey", *KEYS, "--key-spec", "AES-256"], 1, "--key-id must be set"),
    ("genkey: key id before key spec", ["genkey", *KEYS], 1, "--key-id must be set"),
    ("genkey: key spec", ["genkey", *KEYS, "--key-id", "x"], 1, "--key-spec must be set"),
    ("genrandom: length", ["genrandom", *KEYS], 1, "--length must be set"),
    ("genrandom: -1 is no length", ["genrandom", *KEYS, "--length", "-1"], 1, "--length must be set"),
    ("genrandom: 0", ["genrandom", *KEYS, "--length", "0"], 1, "--length must be greater than 0"),
    ("genrandom: not a number", ["genrandom", *KEYS, "--length", "many"], 1, "--length must be greater than 0"),
    ("genrandom: 1025", ["genrandom", *KEYS, "--length", "1025"], 1, "--length must be smaller or equal to 1024"),
    ("genrandom: -2", ["genrandom", *KEYS, "--length", "-2"], 1, "--length must be smaller or equal to 1024"),
    ("genrandom: 1024", ["genrandom", *KEYS, "--length", "1024"], 0, ""),
])

# --- section 4: stdout, as the documented Python callers take it apart ------------------------------------------------


def after_colon(line):
    return base64.b64decode(line.split(":", 1)[1].strip(), validate=True)


status, out, err = tool("decrypt", *KEYS, *TOKEN[:1], "", *C)
check((status, out) == (0, "PLAINTEXT: aGVsbG8=\n"), "decrypt prints PLAINTEXT and nothing else", out, err)
status, out, err = tool("genkey", *KEYS, *GENKEY)
lines = out.split("\n")
check(status == 0 and [l.split(": ")[0] for l in lines] == ["CIPHERTEXT", "PLAINTEXT", ""], "genkey prints CIPHERTEXT, then PLAINTEXT", out)
made = stack.kms.call(stack.admin, "Decrypt", CiphertextBlob=lines[0].split(":", 1)[1].strip())["Plaintext"]
check(len(after_colon(lines[1])) == 32 and base64.b64decode(made) == after_colon(lines[1]), "what genkey printed is the key under its ciphertext", out)
out = tool("genkey", *KEYS, "--key-id", stack.arn, "--key-spec", "AES-128")[1]
check(len(after_colon(out.split("\n")[1])) == 16, "AES-128: 16 bytes", out)
for n in (1, 2, 3, 1000):
    out = tool("genrandom", *KEYS, "--length", n)[1]
    check(out.startswith("PLAINTEXT: ") and out.count("\n") == 1 and len(after_colon(out)) == n, f"genrandom {n}", out)

# --- section 5: statuses ----------------------------------------------------------------------------------------------

rows([
    ("not base64: 255", ["decrypt", *KEYS, "-c", "?"], 255, "Ciphertext not a base64 string"),
    ("stray bits: 255", ["decrypt", *KEYS, "-c", "aGVsbG9="], 255, "Ciphertext not a base64 string"),
    ("nobody listens: 255, not a crash", ["decrypt", *KEYS, *C, "-x", "9"], 255, "no connection to localhost by vsock 3:9"),
    ("no NSM: 255", ["decrypt", *KEYS, *C, "--nsm", "/no/nsm"], 255, "NSM /no/nsm"),
    ("no CA file: 255", ["decrypt", *KEYS, *C, "--ca-file", "/no/ca"], 255, "CA certificates not read: /no/ca"),
    ("an untrusted certificate: 255", ["decrypt", *KEYS, *C, "--ca-file", stack.path("nsm", "root.pem")], 255, "is not accepted: "),
    ("another name: 255", ["decrypt", *KEYS, *C, "--endpoint", "https://kms.example"], 255, "is not accepted: "),
    ("a region that is none: 255", ["decrypt", *KEYS, *C, "--region", "a/b"], 255, ""),
    ("an endpoint that is none: 255", ["decrypt", *KEYS, *C, "--endpoint", "http://x"], 255, "--endpoint is not https://"),
])

# --- refusals are readable --------------------------------------------------------------------------------------------


def refused(name, result, kms_type, *texts):
    status, out, err = result
    want = ["HTTP status 400, " + kms_type, "request id: ", "check: ", *texts]
    check(status == 255 and out == "" and all(w in err for w in want), name, status, out, err)


bad = base64.b64encode(base64.b64decode(ciphertext)[:-1] + b"\0").decode()
refused("an altered ciphertext", asked("decrypt", "-c", bad), "InvalidCiphertextException")
refused("an unlisted principal", tool("decrypt", "-k", "AKIDNOBODY0000000000", "-s", "x", *C), "UnrecognizedClientException", "message: ")
refused("a wrong secret", tool("decrypt", "-k", stack.app.id, "-s", "wrong", *C), "InvalidSignatureException", "message: ")
refused("another key than the ciphertext's", asked("decrypt", *C, "-a", "SYMMETRIC_DEFAULT", "-K", stack.kms.call(
    stack.admin, "CreateKey", Policy=stack.policy({"PCR0": "00" * 48}))["KeyMetadata"]["Arn"]), "IncorrectKeyException", "message: ")
refused("no such key", asked("genkey", "--key-spec", "AES-256", "--key-id", "alias/none"), "NotFoundException", "--key-id names no key")
refused("another region", asked("genkey", *GENKEY, "--region", "eu-west-1"), "InvalidSignatureException")
refused("a grant token that is none", asked("genkey", *GENKEY, "--grant-token", "x"), "InvalidGrantTokenException")
image = stack.path("other-image")
with open(os.path.realpath(os.path.join(lib.BIN, "nitroseald")), "rb") as f, open(image, "wb") as g:
    g.write(f.read() + b"\0")
stack.start_nsm("nsm-other", image=image)
stack.start_nsm("nsm-debug", options=["--debug-mode"])
for name, nsm in (("another image (PCR0)", "nsm-other"), ("a debug enclave", "nsm-debug")):
    refused(name, asked("decrypt", *C, env={"NITROSEAL_NSM": f"unix:{stack.path(nsm)}.sock"}), "AccessDeniedException", "message: ", "PCR")

# --- beyond the original: context, sizes, JSON ------------------------------------------------------------------------

pairs = [w for k, v in CONTEXT.items() if "=" not in k for w in ("--encryption-context", f"{k}={v}")]
whole = ["--encryption-context", json.dumps(CONTEXT)]
status, out, err = asked("genkey", *GENKEY, *whole)
check(status == 0, "genkey with a context in JSON", err)
sealed, plain = (l.split(": ", 1)[1] for l in out.splitlines())
check(stack.kms.call(stack.admin, "Decrypt", CiphertextBlob=sealed, EncryptionContext=CONTEXT)["Plaintext"] == plain, "it is bound to that context")
check(asked("decrypt", "-c", sealed, *whole)[1] == f"PLAINTEXT: {plain}\n", "decrypt with the same context")
refused("a missing context", asked("decrypt", "-c", sealed), "InvalidCiphertextException", "--encryption-context")
refused("a wrong context", asked("decrypt", "-c", sealed, "--encryption-context", "purpose=x"), "InvalidCiphertextException", "--encryption-context")
refused("a part of the context", asked("decrypt", "-c", sealed, *pairs), "InvalidCiphertextException", "--encryption-context")
out = asked("genkey", *GENKEY, *pairs)[1]
check(asked("decrypt", "-c", out.splitlines()[0].split(": ")[1], *reversed([pairs[i:i + 2] for i in range(0, len(pairs), 2)][0]),
            )[0] != 0, "a pair alone is not the context")
split = {k: v for k, v in CONTEXT.items() if "=" not in k}
check(asked("decrypt", "-c", out.splitlines()[0].split(": ")[1], "--encryption-context", json.dumps(split))[0] == 0, "NAME=VALUE and JSON say the same")
rows([
    ("a context without =", ["decrypt", *KEYS, *C, "--encryption-context", "x"], 1, "NAME=VALUE"),
    ("a context without a name", ["decrypt", *KEYS, *C, "--encryption-context", "=x"], 1, "NAME=VALUE"),
    ("a context twice", ["decrypt", *KEYS, *C, "--encryption-context", "x=1", "--encryption-context", '{"x":"1"}'], 1, "given twice"),
    ("a context that is no JSON", ["decrypt", *KEYS, *C, "--encryption-context", '{"x":}'], 1, "not a JSON object of strings"),
    ("a context with a number", ["decrypt", *KEYS, *C, "--encryption-context", '{"x":1}'], 1, "not a JSON object of strings"),
    ("a context for genrandom", ["genrandom", *KEYS, "-l", "1", "--encryption-context", "x=1"], 1, "Unknown option"),
    ("an empty grant token", ["genkey", *KEYS, *GENKEY, "--grant-token", ""], 1, "--grant-token"),
    ("both sizes", ["genkey", *KEYS, *GENKEY, "--number-of-bytes", "5"], 1, "exclude each other"),
    ("no bytes", ["genkey", *KEYS, "--key-id", stack.arn, "--number-of-bytes", "0"], 1, "--number-of-bytes must be"),
    ("1025 bytes", ["genkey", *KEYS, "--key-id", stack.arn, "--number-of-bytes", "1025"], 1, "--number-of-bytes must be"),
])
out = asked("genkey", "--key-id", stack.arn, "--number-of-bytes", "1024")[1]
check(len(after_colon(out.split("\n")[1])) == 1024, "--number-of-bytes 1024")
got = json.loads(asked("genkey", *GENKEY, "--json")[1])
check(set(got) == {"KeyId", "CiphertextBlob", "Plaintext"} and got["KeyId"] == stack.arn, "genkey --json", got)
got = json.loads(asked("decrypt", *C, "--json")[1])
check(got == {"KeyId": stack.arn, "Plaintext": "aGVsbG8="}, "decrypt --json", got)
check(set(json.loads(asked("genrandom", "-l", "3", "--json")[1])) == {"Plaintext"}, "genrandom --json")
code, out, err = lib.run(TOOL, "genrandom", "-l", "3", "--vsock", PLACE["NITROSEAL_VSOCK"], "--nsm", PLACE["NITROSEAL_NSM"], "--ca-file",
                         PLACE["NITROSEAL_CA_FILE"], "--endpoint", PLACE["AWS_ENDPOINT_URL_KMS"], "--proxy-cid", "3", env=stack.app.env())
check(code == 0, "everything by options", err)

# --- key pairs and shared secrets -------------------------------------------------------------------------------------

PAIR_SPECS = {"RSA_2048": (rsa.RSAPrivateKey, 2048), "RSA-3072": (rsa.RSAPrivateKey, 3072), "RSA_4096": (rsa.RSAPrivateKey, 4096),
              "ECC_NIST_P256": ("secp256r1", 256), "ECC-NIST-P384": ("secp384r1", 384), "ECC_NIST_P521": ("secp521r1", 521),
              "ECC_SECG_P256K1": ("secp256k1", 256), "ECC_NIST_EDWARDS25519": (ed25519.Ed25519PrivateKey, 0)}


def is_pair(spec, private, public):
    """Both halves are of the kind, and belong together."""
    kind, bits = PAIR_SPECS[spec]
    key = serialization.load_der_private_key(private, None)
    right = key.curve.name == kind if isinstance(kind, str) else isinstance(key, kind)
    return right and (not bits or key.key_size == bits) and key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo) == public


for spec in PAIR_SPECS:
    status, out, err = asked("genkeypair", "--key-id", stack.arn, "--key-spec", spec)
    lines = out.split("\n")
    if not check(status == 0 and [l.split(": ")[0] for l in lines] == ["CIPHERTEXT", "PLAINTEXT", "PUBLIC_KEY", ""], f"genkeypair {spec}", out, err):
        continue
    check(is_pair(spec, after_colon(lines[1]), after_colon(lines[2])), f"{spec}: PKCS#8 and its public key", out)
    if spec.startswith("RSA_"):  # of our own assembly
        seen = subprocess.run(["openssl", "pkey", "-inform", "DER", "-check", "-noout"], input=after_colon(lines[1]), capture_output=True)
        check(seen.returncode == 0 and b"Key is valid" in seen.stdout + seen.stderr, f"{spec}: openssl pkey -check", seen)
sealed, private = lines[0].split(": ")[1], lines[1].split(": ")[1]
check(asked("decrypt", "-c", sealed)[1] == f"PLAINTEXT: {private}\n", "decrypt opens a private key")
out = asked("genkeypair", "--key-id", stack.arn, "-p", "ECC_NIST_P256", *whole, "--json")[1]
got = json.loads(out)
check(set(got) == {"KeyId", "KeyPairSpec", "PrivateKeyCiphertextBlob", "PrivateKeyPlaintext", "PublicKey"}, "genkeypair --json", got)
check(asked("decrypt", "-c", got["PrivateKeyCiphertextBlob"], *whole)[1] == f"PLAINTEXT: {got['PrivateKeyPlaintext']}\n", "with the context it was made with")
refused("a private key without its context", asked("decrypt", "-c", got["PrivateKeyCiphertextBlob"]), "InvalidCiphertextException")
refused("SM2 outside China", asked("genkeypair", "--key-id", stack.arn, "-p", "SM2"), "UnsupportedOperationException", "message: ")

agreement = {}
for spec, curve in (("ECC_NIST_P256", ec.SECP256R1()), ("ECC_NIST_P384", ec.SECP384R1()), ("ECC_NIST_P521", ec.SECP521R1())):
    key = agreement[spec] = stack.kms.call(stack.admin, "CreateKey", KeySpec=spec, KeyUsage="KEY_AGREEMENT", Policy=stack.policy(
        {"PCR0": "00" * 48}, [attested(stack, ["kms:DeriveSharedSecret"])]))["KeyMetadata"]["Arn"]
    theirs = serialization.load_der_public_key(base64.b64decode(stack.kms.call(stack.admin, "GetPublicKey", KeyId=key)["PublicKey"]))
    mine = ec.generate_private_key(curve)
    spki = base64.b64encode(mine.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)).decode()
    status, out, err = asked("derive", "--key-id", key, "--public-key", spki)
    check(status == 0 and out.startswith("SHARED_SECRET: ") and after_colon(out) == mine.exchange(ec.ECDH(), theirs), f"derive {spec}", out, err)
got = json.loads(asked("derive", "--key-id", key, "--public-key", spki, "--json")[1])
check(set(got) == {"KeyId", "SharedSecret"} and got["KeyId"] == key, "derive --json", got)
D = ["--key-id", key, "--public-key", spki]
refused("derive with another curve", asked("derive", "--key-id", agreement["ECC_NIST_P256"], "--public-key", spki), "ValidationException", "message: ")
refused("derive with a symmetric key", asked("derive", "--key-id", stack.arn, "--public-key", spki), "AccessDeniedException")
refused("genkey with an agreement key", asked("genkey", "--key-id", key, "--key-spec", "AES-256"), "AccessDeniedException")
for name, nsm in (("another image", "nsm-other"), ("a debug enclave", "nsm-debug")):
    for command, argv in (("genkeypair", ["--key-id", stack.arn, "-p", "ECC_NIST_P256"]), ("derive", D), ("genkey", GENKEY)):
        refused(f"{command}: {name}", asked(command, *argv, env={"NITROSEAL_NSM": f"unix:{stack.path(nsm)}.sock"}), "AccessDeniedException", "PCR")
rows([
    ("genkeypair: key id", ["genkeypair", *KEYS, "-p", "RSA_2048"], 1, "--key-id must be set"),
    ("genkeypair: key spec", ["genkeypair", *KEYS, "-K", "x"], 1, "--key-spec must be set"),
    ("genkeypair: a data key's spec", ["genkeypair", *KEYS, "-K", "x", "-p", "AES-256"], 1, "Unknown key spec"),
    ("genkeypair: unknown option", ["genkeypair", *KEYS, "--no-such", "x"], 1, "Unknown option"),
    ("derive: key id", ["derive", *KEYS, "--public-key", spki], 1, "--key-id must be set"),
    ("derive: public key", ["derive", *KEYS, "-K", "x"], 1, "--public-key must be set"),
    ("derive: not base64", ["derive", *KEYS, "-K", "x", "--public-key", "?"], 255, "--public-key is not a base64"),
    ("derive has no context", ["derive", *KEYS, *D, "--encryption-context", "a=b"], 1, "Unknown option"),
])

# --- credentials ------------------------------------------------------------------------------------------------------


def by_fd(text, **how):
    r, w = os.pipe()
    os.write(w, text.encode())
    os.close(w)
    p = subprocess.run([os.path.join(lib.BIN, TOOL), "genrandom", "-l", "3", "--credentials-fd", str(r)], pass_fds=[r],
                       env={**lib.CLEAN, **PLACE, **how}, capture_output=True, timeout=60)
    os.close(r)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


warning = "secrets on the command line"
check(tool("genrandom", *KEYS, "-l", "3")[2].count(warning) == 1, "secrets on argv: one warning")
check(asked("genrandom", "-l", "3") [2] == "", "from the environment: nothing on stderr")
for name, text in (("plain", stack.app.seed()), ("as in a seed request", {"operation": "encrypt", "credentials": stack.app.seed()})):
    code, out, err = by_fd(json.dumps(text))
    check(code == 0 and err == "", f"--credentials-fd, {name}", code, err)
check(by_fd(json.dumps(stack.app.seed()), AWS_ACCESS_KEY_ID="AKIDNOBODY0000000000", AWS_SECRET_ACCESS_KEY="x")[0] == 0, "the descriptor goes before the environment")
for name, text in (("empty", ""), ("not JSON", "x"), ("no secret", '{"access_key_id":"x"}'), ("a list", "[]")):
    code, out, err = by_fd(text)
    check(code == 255 and out == "" and "--credentials-fd" in err, f"--credentials-fd, {name}: 255", code, err)
check(tool("genrandom", "-l", "3", "--credentials-fd", "77")[0] == 255, "--credentials-fd that is not open: 255")
check(tool("genrandom", "-l", "3", "--credentials-fd", "x")[0] == 1, "--credentials-fd that is no number: 1")
code, out, err = tool("decrypt", "-k", stack.app.id, *C, env=stack.app.env())
check(code == 1 and "--aws-secret-access-key must be set" in err, "half on argv is not completed from the environment", err)

silent = socket.socket(socket.AF_UNIX)
silent.bind(os.path.join(stack.v, "3.vsock_7000"))
silent.listen(8)


def seen_while_waiting(argv, env):
    """What /proc shows of a call that waits for a KMS that says nothing."""
    p = subprocess.Popen([os.path.join(lib.BIN, TOOL), *argv, "-x", "7000"], env={**lib.CLEAN, **PLACE, **env},
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    connection, _ = silent.accept()
    shown = b"".join(open(f"/proc/{p.pid}/{n}", "rb").read() for n in ("cmdline", "environ"))
    connection.close()
    out, err = p.communicate(timeout=30)
    return shown, out, err, p.returncode


for name, argv, env in (("argv", ["genrandom", "-l", "3", *KEYS, "-t", "TOKEN-OF-MINE"], {}),
                        ("argv with =", ["genrandom", "-l", "3", *(f"{a}={b}" for a, b in zip(KEYS[::2], KEYS[1::2]))], {}),
                        ("environment", ["genrandom", "-l", "3"], {**stack.app.env(), "AWS_SESSION_TOKEN": "TOKEN-OF-MINE"})):
    shown, out, err, code = seen_while_waiting(argv, env)
    secrets = [stack.app.secret.encode(), b"TOKEN-OF-MINE"]
    check(code == 255 and not any(s in shown for s in secrets) and b"genrandom" in shown, f"{name}: no secret in /proc while it runs", shown)
    check(not any(s in out + err for s in secrets), f"{name}: no secret in the output", out, err)
code, out, err = tool("genrandom", "--aws-secret-acces-key", stack.app.secret, "-l", "3")
check(stack.app.secret not in out + err, "a secret behind a mistyped option is not shown", err)

# --- a KMS that answers oddly -----------------------------------------------------------------------------------------


def stand_in_pki():
    """A CA and a certificate for localhost of our own."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.utcnow()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stand-in")])
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(True, None), True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False).sign(key, hashes.SHA256()))
    ca, pem = stack.path("stand-in.pem"), stack.path("stand-in.key")
    with open(ca, "wb") as f:
        f.write(cert.public_bytes(serialization.Encoding.PEM))
    with open(pem, "wb") as f:
        f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca, pem)
    return ca, context


REAL = None  # in a script: ask the real KMS


class StandIn:
    """Answers the requests of all connections with the script's answers, one after the other."""

    def __init__(self, port, context):
        self.context, self.script, self.seen, self.connections = context, [], [], 0
        self.s = socket.socket(socket.AF_UNIX)
        self.s.bind(os.path.join(stack.v, f"3.vsock_{port}"))
        self.s.listen(8)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            raw, _ = self.s.accept()
            self.connections += 1
            try:
                with self.context.wrap_socket(raw, server_side=True) as c:
                    while self.script and (request := self.read(c)):
                        self.seen.append(request)
                        answer = self.script.pop(0)
                        c.sendall(self.real(request) if answer is REAL else answer)
                        if answer is not REAL and b"keep-alive" not in answer:
                            break
            except OSError:
                pass

    @staticmethod
    def read(c):
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := c.recv(65536)):
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(next(l.split(b":")[1] for l in head.split(b"\r\n") if l.lower().startswith(b"content-length")))
        while len(body) < length:
            body += c.recv(65536)
        return head + b"\r\n\r\n" + body

    @staticmethod
    def real(request):
        context = ssl.create_default_context(cafile=stack.kms.ca)
        with context.wrap_socket(socket.create_connection(("127.0.0.1", stack.kms_port)), server_hostname="localhost") as c:
            c.sendall(request)
            return StandIn.read(c)


def answer_of(status, body, *headers, connection="close"):
    lines = [f"HTTP/1.1 {status} X", *headers, f"connection: {connection}"]
    return ("\r\n".join([*lines, f"content-length: {len(body)}", "", ""]) + body).encode()


def said(kind, message="", status=400, **how):
    return answer_of(status, json.dumps({"__type": kind, "message": message}), "x-amzn-requestid: of-the-stand-in", **how)


ca, context = stand_in_pki()
odd = StandIn(7100, context)
ODD = ["-x", "7100", "--ca-file", ca]


def oddly(name, script, status, text, requests, connections=None):
    """The script is used up, by so many requests."""
    odd.script, odd.seen, odd.connections = list(script), [], 0
    code, out, err = asked("decrypt", *C, *ODD)
    check(code == status and (out == "PLAINTEXT: aGVsbG8=\n") == (status == 0) and (status == 0 or not out) and text in err
          and len(odd.seen) == requests and (connections is None or odd.connections == connections), name, code, out, err, len(odd.seen), odd.connections)


def document_of(request):
    return json.loads(request.partition(b"\r\n\r\n")[2])["Recipient"]["AttestationDocument"]


throttled, broken = said("ThrottlingException", "slow down"), said("KMSInternalException", status=500)
oddly("the stand-in passes on", [REAL], 0, "", 1)
oddly("throttled twice, then not", [throttled, throttled, REAL], 0, "", 3)
oddly("failed on a kept connection, then not", [said("KMSInternalException", status=500, connection="keep-alive"), REAL], 0, "", 2, 1)
oddly("a gateway's page, then not", [answer_of(503, "<html>"), REAL], 0, "", 2)
oddly("throttled for good: the reason is shown", [throttled] * 4, 255, "HTTP status 400, ThrottlingException", 4)
oddly("failed for good", [broken] * 4, 255, "HTTP status 500, KMSInternalException", 4)
oddly("a refusal is not repeated", [said("AccessDeniedException", "no")], 255, "request id: of-the-stand-in", 1)
oddly("the document is refused: a fresh one", [said("ValidationException", "attestation document too old"), REAL], 0, "", 2)
check(document_of(odd.seen[0]) != document_of(odd.seen[1]), "and it is another document")
oddly("and once only", [said("ValidationException", "attestation")] * 2, 255, "HTTP status 400, ValidationException", 2)
chunked = json.dumps({"__type": "NotFoundException"}).encode()
oddly("a chunked refusal", [b"HTTP/1.1 400 X\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(chunked), chunked)], 255, "NotFoundException", 1)
oddly("a refusal that ends with the connection", [b"HTTP/1.0 400 X\r\n\r\n" + chunked], 255, "NotFoundException", 1)
for name, body, text in (("Plaintext beside it", {"Plaintext": "aGVsbG8=", "KeyId": stack.arn}, "Plaintext in the answer to an attested call"),
                         ("nothing for the recipient", {"KeyId": stack.arn}, "no CiphertextForRecipient"),
                         ("what is no CMS", {"KeyId": stack.arn, "CiphertextForRecipient": "AAAA"}, "Cannot decrypt CMS encrypted content")):
    oddly(f"answer with {name}", [answer_of(200, json.dumps(body))], 255, text, 1)
oddly("an answer that is no JSON", [answer_of(200, "hello")], 255, "Could not read response from KMS", 1)
oddly("an answer that stops", [answer_of(200, "x" * 100)[:-50]], 255, "closed before the response was complete", 1)
oddly("no answer", [b" "], 255, "no answer from KMS", 1)
oddly("no HTTP", [b"SSH-2.0-x\r\n\r\n"], 255, "no answer from KMS", 1)
oddly("an answer without end", [b"HTTP/1.1 200 X\r\nx: " + b"x" * 100_000], 255, "no answer from KMS", 1)
oddly("a body past all limits", [b"HTTP/1.1 200 X\r\ncontent-length: 99999999999\r\n\r\n"], 255, "no answer from KMS", 1)
for argv in (GENKEY, ["--key-id", stack.arn, "--number-of-bytes", "16"]):
    odd.script = [answer_of(200, "{}")]
    check(asked("genkey", *argv, *ODD)[:2] == (255, ""), "genkey: an empty answer")
other = stack.kms.call(stack.admin, "CreateKey", Policy=stack.policy({k: v for k, v in stack.measured().items() if k.startswith("PCR")}))
odd.script = [REAL]
code, out, err = asked("decrypt", *C, *ODD, "-a", "SYMMETRIC_DEFAULT", "-K", stack.arn)
check(code == 0, "the key that was named answers", err)


class Swapped(StandIn):
    """Asks the real KMS with our words, and says that another key answered."""

    @staticmethod
    def real(request):
        raw = StandIn.real(request)
        return raw.replace(stack.arn[-36:].encode(), other["KeyMetadata"]["KeyId"].encode())


swapped = Swapped(7101, context)
for key in (stack.arn, stack.arn[-36:]):
    swapped.script = [REAL]
    code, out, err = asked("decrypt", *C, "-x", "7101", "--ca-file", ca, "-a", "SYMMETRIC_DEFAULT", "-K", key)
    check(code == 255 and out == "" and "another key" in err, "an answer of another key is refused", code, out, err)

# --- the warm helper --------------------------------------------------------------------------------------------------

sock = stack.path("warm.sock")
helper = lib.Program(TOOL, ["serve", "--socket", sock], env=PLACE, log=stack.log_of("helper"))
lib.until(lambda: lib.listens(sock) or not helper.alive(), what="serve")
WARM = {"KMSTOOL_SOCKET": sock}
check(os.stat(sock).st_mode & 0o777 == 0o600, "the helper's socket is its owner's")


def commands_done():
    return helper.text().count(" command ")


before = commands_done()
check(asked("decrypt", *C, env=WARM) == (0, "PLAINTEXT: aGVsbG8=\n", ""), "warm decrypt")
code, out, err = asked("genkey", *GENKEY, *whole, env=WARM)
check(code == 0 and asked("decrypt", "-c", out.splitlines()[0].split(": ")[1], *whole, env=WARM)[0] == 0, "warm genkey and decrypt with context", err)
code, out, err = tool("genrandom", *KEYS, "-l", "3", env=WARM)
check(code == 0 and err.count(warning) == 1, "warm, with credentials on argv", out, err)
check(json.loads(asked("derive", *D, "--json", env=WARM)[1])["SharedSecret"] == json.loads(asked("derive", *D, "--json")[1])["SharedSecret"], "warm derive")
refused("warm refusal", asked("decrypt", "-c", bad, env=WARM), "InvalidCiphertextException")
check(commands_done() - before == 6, "the helper did all six", helper.text())
code, out, err = asked("decrypt", env=WARM)
check(code == 1 and "--ciphertext must be set" in err, "warm: argument errors as ever", code, err)
code, out, err = asked("decrypt", *C, "-x", "9", env=WARM)
check(code == 255 and out == "" and "vsock 3:9" in err, "warm: another relay is taken from the command line", err)
check(asked("decrypt", *C, env=WARM)[0] == 0, "warm: and the usual one again")
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    many = list(pool.map(lambda _: asked("genkey", *GENKEY, env=WARM), range(60)))
check(all(m[0] == 0 for m in many) and len({m[1] for m in many}) == 60, "sixty at once, sixteen at a time", [m for m in many if m[0]][:3])
rude = [socket.socket(socket.AF_UNIX) for _ in range(3)]  # the helper gives each two seconds
for c in rude:
    c.connect(sock)
began = time.monotonic()
check(asked("decrypt", *C, env=WARM)[0] == 0 and time.monotonic() - began < 5, "clients that say nothing delay nobody")
for c in rude:
    c.close()
for name, raw in (("nothing", b""), ("garbage", b"\0\xff"), ("no words", b'{"argv":[],"credentials":{}}'), ("serve", json.dumps(
        {"argv": ["serve"], "credentials": stack.app.seed()}).encode()), ("too many words", json.dumps(
        {"argv": ["decrypt"] * 500, "credentials": stack.app.seed()}).encode()), ("a NUL", json.dumps(
        {"argv": ["genrandom", "-l", "3\0"], "credentials": stack.app.seed()}).encode())):
    with socket.socket(socket.AF_UNIX) as c:
        c.settimeout(10)
        c.connect(sock)
        c.sendall(raw)
        c.shutdown(socket.SHUT_WR)
        got = b""
        while (more := c.recv(65536)):
            got += more
        check(b'"status":0' not in got and helper.alive(), f"the helper survives {name}", got)
stack.proxy.stop()
stack.start_proxy()
check(asked("decrypt", *C, env=WARM)[0] == 0, "the relay was restarted: the helper connects again", helper.text()[-1000:])
stack.kms_program.kill()
stack.start_kms()
check(asked("decrypt", *C, env=WARM)[0] == 0, "KMS was killed and came back: so does the helper", helper.text()[-1000:])
shown = b"".join(open(f"/proc/{helper.pid}/{n}", "rb").read() for n in ("cmdline", "environ"))
check(stack.app.secret.encode() not in shown and stack.app.secret not in helper.text(), "no secret of a command in the helper's /proc or log")
check(helper.stop() == 0 and not os.path.exists(sock), "SIGTERM ends it and removes the socket")
code, out, err = asked("decrypt", *C, env=WARM)
check(code == 0 and "doing without the helper" in err, "no helper: done cold, and said", code, err)
rows([("serve without a socket", ["serve"], 1, "--socket must be set"),
      ("serve without NSM", ["serve", "--socket", sock, "--nsm", "/no/nsm"], 255, "/no/nsm"),
      ("serve where it cannot", ["serve", "--socket", "/no/where"], 255, "cannot listen")])
lib.plan()
