"""Measure nitroseal-kms: calls per second over keep-alive TLS, what each costs of CPU, and what bounds it."""
import json, os, re, secrets, shutil, socket, statistics, subprocess, tempfile, time

CONNECTIONS = (1, 16, 256)
IDLE = 500
# Name, operation, request, documents, the cryptography that it cannot do without (limits of bench_micro, in us).
CALLS = (
    ("generate_data_key.attested_new", "GenerateDataKey", '{"KeyId":"%s","NumberOfBytes":32', "new", ("p384.verify_us", "rsa2048.oaep_seal_us")),
    ("generate_data_key.attested_same", "GenerateDataKey", '{"KeyId":"%s","NumberOfBytes":32', "same", ("rsa2048.oaep_seal_us",)),
    ("decrypt.attested_new", "Decrypt", '{"CiphertextBlob":"%b"', "new", ("p384.verify_us", "rsa2048.oaep_seal_us")),
    ("decrypt.attested_same", "Decrypt", '{"CiphertextBlob":"%b"', "same", ("rsa2048.oaep_seal_us",)),
    ("generate_data_key.plain", "GenerateDataKey", '{"KeyId":"%s","NumberOfBytes":32}', "none", ()),
    ("encrypt.plain", "Encrypt", '{"KeyId":"%s","Plaintext":"aGVsbG8="}', "none", ()),
    ("sign.rsa2048", "Sign", '{"KeyId":"%r","Message":"aGVsbG8=","SigningAlgorithm":"RSASSA_PSS_SHA_256"}', "none", ("rsa2048.oaep_open_us",)),
    ("sign.p384", "Sign", '{"KeyId":"%e","Message":"aGVsbG8=","SigningAlgorithm":"ECDSA_SHA_384"}', "none", ("p384.sign_us",)),
)


class Kms:
    """A server of its own, ended on every way out."""

    def __init__(self, build, options=()):
        self.build, self.options = build, list(options)
        self.dir = tempfile.mkdtemp(prefix="nsk.")
        self.load = os.path.join(build, "tests/bench/bench_kms_load")
        self.pki = os.path.join(self.dir, "pki")
        self.env = dict(os.environ, AWS_ACCESS_KEY_ID="AKIDBENCH0000000000", AWS_SECRET_ACCESS_KEY=secrets.token_hex(20))
        self.state, self.log = os.path.join(self.dir, "kms"), os.path.join(self.dir, "log")
        self.p = None

    def __enter__(self):
        subprocess.run([self.load, "--pki", self.pki], check=True)
        people = os.path.join(self.dir, "people")
        with open(os.open(people, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            json.dump([{"access_key_id": self.env["AWS_ACCESS_KEY_ID"], "secret_access_key": self.env["AWS_SECRET_ACCESS_KEY"],
                        "arn": "arn:aws:iam::111122223333:user/bench", "policies": [{"Version": "2012-10-17", "Statement": [
                            {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}]}], f)
        self.argv = [os.path.join(self.build, "bin/nitroseal-kms"), "--state", self.state, "--principals", people,
                     "--root", self.pki + ".root", "--log-level", "error", *self.options]
        self.start()
        return self

    def start(self):
        """Seconds until it listens."""
        port = os.path.join(self.state, "port")
        began = time.monotonic()
        with open(self.log, "ab") as log:
            self.p = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while not os.path.exists(port) or not open(port).read().strip():
            if self.p.poll() is not None or time.monotonic() - began > 30:
                raise SystemExit("bench: nitroseal-kms did not start: " + open(self.log).read())
            time.sleep(0.0005)
        took = time.monotonic() - began
        self.at = "127.0.0.1:" + open(port).read().strip()
        return took

    def stop(self):
        self.p.terminate()
        self.p.wait(20)

    def __exit__(self, *_):
        if self.p and self.p.poll() is None:
            self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def rss_kib(self):
        with open(f"/proc/{self.p.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])

    def arguments(self, *more):
        return [self.load, "--at", self.at, "--ca", os.path.join(self.state, "ca.pem"), "--pki", self.pki, *map(str, more)]

    def run(self, operation, body, documents, connections, seconds):
        args = self.arguments("--operation", operation, "--body", body, "--documents", documents, "-c", connections, "-s", seconds,
                              "--pid", self.p.pid)
        p = subprocess.run(args, env=self.env, capture_output=True, text=True)
        if not p.stdout:
            raise SystemExit("bench: load client failed: " + p.stderr.strip())
        result = json.loads(p.stdout)
        if result["errors"]:
            result["text"] = p.stderr.strip()
        return result

    def call(self, operation, body):
        """One call by curl, which signs by itself."""
        out = subprocess.run(["curl", "-s", "--cacert", os.path.join(self.state, "ca.pem"), "--aws-sigv4", "aws:amz:us-east-1:kms", "--user",
                              f"{self.env['AWS_ACCESS_KEY_ID']}:{self.env['AWS_SECRET_ACCESS_KEY']}", "-H", "content-type: application/x-amz-json-1.1",
                              "-H", f"x-amz-target: TrentService.{operation}", "-d", body, f"https://{self.at}/"], capture_output=True, text=True, check=True).stdout
        return json.loads(out)


def keys(kms):
    """Values for the bodies; an operation that this server does not have stays without."""
    made = {"s": kms.call("CreateKey", "{}")["KeyMetadata"]["KeyId"]}
    made["b"] = kms.call("Encrypt", json.dumps({"KeyId": made["s"], "Plaintext": "aGVsbG8="}))["CiphertextBlob"]
    for letter, spec in (("r", "RSA_2048"), ("e", "ECC_NIST_P384")):
        answer = kms.call("CreateKey", json.dumps({"KeySpec": spec, "KeyUsage": "SIGN_VERIFY"}))
        if "KeyMetadata" in answer:
            made[letter] = answer["KeyMetadata"]["KeyId"]
    return made


def measure_start(build, figures, runs):
    took, idle, per_connection = [], [], []
    with Kms(build) as kms:
        for _ in range(runs):
            kms.stop()
            took.append(kms.start() * 1000)
            time.sleep(0.2)
            idle.append(kms.rss_kib())
            holder = subprocess.Popen(kms.arguments("--hold", "-c", IDLE), env=kms.env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            time.sleep(2)
            per_connection.append((kms.rss_kib() - idle[-1]) / IDLE)
            holder.communicate()
    figures.add("kms.ready_ms", statistics.median(took), "ms")
    figures.add("kms.rss_idle_kib", statistics.median(idle), "KiB")
    figures.add("kms.idle_connection_kib", statistics.median(per_connection), "KiB")


def measure(build, figures, limit, runs, seconds):
    measure_start(build, figures, runs)
    with Kms(build) as kms:
        values = keys(kms)
        random = [kms.run("GenerateRandom", '{"NumberOfBytes":32}', "none", 16, seconds) for _ in range(runs)]
        # What TLS, HTTP, the signature, policies, log and audit cost a call that does nothing else.
        floor_us = statistics.median(r["cpu_us"] for r in random)
        figures.add("kms.nothing.cpu_us", floor_us, "us")
        for name, operation, body, documents, needs in CALLS:
            letters = re.findall(r"%([a-z])", body)
            if any(letter not in values for letter in letters):
                print(f"kms.{name}: this nitroseal-kms does not have it", flush=True)
                continue
            for letter in letters:
                body = body.replace("%" + letter, values[letter])
            need_us = sum(limit[n] for n in needs)
            for connections in CONNECTIONS:
                all_runs = [kms.run(operation, body, documents, connections, seconds) for _ in range(runs)]
                errors = sum(r["errors"] for r in all_runs)
                if errors:
                    print(f"bench: {errors} of {name} c{connections} failed: {all_runs[-1].get('text', '')}", flush=True)
                key = f"kms.{name}.c{connections}"
                median = lambda what: statistics.median(r[what] for r in all_runs)
                # The server is one thread: what a core could do that did only the necessary cryptography bounds it.
                figures.add(key + ".rps", median("rps"), "1/s", 1e6 / need_us if need_us else None)
                figures.add(key + ".p50_ms", median("p50_ms"), "ms")
                figures.add(key + ".p99_ms", median("p99_ms"), "ms")
                figures.add(key + ".cpu_us", median("cpu_us"), "us")
                figures.add(key + ".crypto_share", need_us / median("cpu_us"), "")
            # What bounds it, of the last run: one thread, so the CPU of a call does.
            parts = [f"{n.rpartition('_us')[0]} {limit[n]:.0f} us" for n in needs] + [f"connection, signature of the request, audit {floor_us:.0f} us"]
            rest = max(median("cpu_us") - need_us - floor_us, 0)
            print(f"kms.{name}: bound by {' + '.join(parts)} + document, policy, key and answer {rest:.0f} us", flush=True)
