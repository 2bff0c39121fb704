"""AWS's Encryption SDK for JavaScript as a process (js/esdk.cjs): bytes in, bytes out."""
import base64, json, os, subprocess

import lib

ALL = (0x0014, 0x0046, 0x0078, 0x0114, 0x0146, 0x0178, 0x0214, 0x0346, 0x0378, 0x0478, 0x0578)
COMMITTING = (0x0478, 0x0578)


def folder():
    """Of its modules; or the whole test is skipped with the reason."""
    got = subprocess.run([os.path.join(lib.ROOT, "tools", "js-sdk")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if got.returncode:
        lib.skip_all(got.stderr.strip().splitlines()[-1])
    return got.stdout.strip()


class Sdk:
    """`key`: of the raw keyring, hexadecimal digits; `kms`: the local KMS."""

    def __init__(self, modules, key="00" * 32, kms=None):
        env = {**lib.CLEAN, "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
               "NODE_NO_WARNINGS": "1"}
        argv = ["node", os.path.join(lib.HERE, "js", "esdk.cjs"), modules, key]
        if kms:
            argv.append(f"https://127.0.0.1:{kms.port}")
            env["NODE_EXTRA_CA_CERTS"] = kms.ca
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True)

    def ask(self, **request):
        if "data" in request:
            request["data"] = base64.b64encode(request["data"]).decode()
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "data" in answer:
            answer["data"] = base64.b64decode(answer["data"])
        if "context" in answer:
            answer["context"] = {k: v for k, v in answer["context"].items() if k != "aws-crypto-public-key"}
        return answer

    def close(self):
        self.process.stdin.close()
        return self.process.wait(30)


def plaintext(n):
    return bytes((i * 2654435761 >> 11) & 0xff for i in range(n))
