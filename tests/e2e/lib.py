"""What the end-to-end tests share: TAP, processes that are always ended, a local stack of the real programs in a
private folder, and KMS's HTTPS API signed by hand (nothing of the C code is used for that)."""
import atexit, base64, datetime, hashlib, hmac, http.client, json, os, shutil, signal, socket, ssl, subprocess, sys
import tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("NITROSEAL_BUILD", os.path.join(ROOT, "build")))
BIN = os.path.join(BUILD, "bin")
sys.path.insert(0, os.path.join(HERE, "seed"))

CID, PORT, PROXY_CID, PROXY_PORT = 16, 5000, 3, 8000
REGION, ACCOUNT = "us-east-1", "111122223333"

# Nothing of the caller's settings reaches a program under test.
CLEAN = {k: v for k, v in os.environ.items()
         if not k.startswith(("NITROSEAL_", "AWS_", "KMS_", "VSOCK_", "LC_", "LANG"))}
CLEAN["AWS_EC2_METADATA_DISABLED"] = "true"  # a test asks only the endpoints that it made


# --- TAP -----------------------------------------------------------------------------------------------------------

_count = _bad = 0


def check(good, name, *detail):
    global _count, _bad
    _count += 1
    _bad += not good
    print(f"{'ok' if good else 'not ok'} {_count} - {name}", flush=True)
    if not good:
        for d in detail:
            for line in str(d)[:4000].splitlines() or [""]:
                print("#   " + line)
    return good


def plan():
    """Print the plan and leave."""
    print(f"1..{_count}")
    sys.exit(1 if _bad or _count == 0 else 0)


def skip_all(why):
    print(f"1..0 # skip {why}")
    sys.exit(0)


def failed():
    return _bad


# --- processes -----------------------------------------------------------------------------------------------------

_running = []


class Program:
    """A program of the build, with its output in a file; ended at the latest when the test ends."""

    under = []  # a program that runs those, with its options

    def __init__(self, name, argv=(), env=None, log=None, preexec=None):
        self.name, self.log = name, log
        self.out = open(log, "ab") if log else subprocess.DEVNULL
        self.p = subprocess.Popen([*self.under, os.path.join(BIN, name), *map(str, argv)], env={**CLEAN, **(env or {})},
                                  stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.out)
        _running.append(self)

    @property
    def pid(self):
        return self.p.pid

    def alive(self):
        return self.p.poll() is None

    def signal(self, number):
        if self.alive():
            self.p.send_signal(number)

    def stop(self, timeout=15):
        """SIGTERM, and the exit status; a program that does not leave is killed and gives None. Where it was stopped, it goes
        on first: a SIGCONT while LeakSanitizer stops its threads at their end would have it wait for them for ever."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self.p.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def kill(self):
        if self.alive():
            self.p.kill()
        self.p.wait()

    def text(self):
        with open(self.log, "rb") as f:
            return f.read().decode("utf-8", "replace")


def _end_all():
    for p in reversed(_running):
        p.kill()


atexit.register(_end_all)
for _s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(_s, lambda *_: sys.exit(130))


def run(name, *argv, env=None, stdin="", timeout=120):
    """A program of the build to its end: (status, stdout, stderr)."""
    p = subprocess.run([os.path.join(BIN, name), *map(str, argv)], env={**CLEAN, **(env or {})}, input=stdin.encode(),
                       capture_output=True, timeout=timeout)
    return p.returncode, p.stdout.decode(), p.stderr.decode()  # line ends as they are


def until(question, seconds=60, what=None):
    """The last answer to the question, which is asked until it says yes. The limit is for what never comes: a busy machine may
    take long."""
    end = time.monotonic() + seconds
    while not (answer := question()):
        if time.monotonic() > end:
            if what:
                raise RuntimeError(f"{what}: not within {seconds} s")
            return answer
        time.sleep(0.02)
    return answer


def listens(path):
    """Is somebody listening at this Unix socket? Its file is there a moment before, and to connect would be an event."""
    with open("/proc/net/unix") as f:
        return any(line.rstrip("\n").endswith(" " + path) and int(line.split()[3], 16) & 0x10000 for line in f)


def private_folder(prefix="ns-"):
    """Removed at the end of a test that went well, named otherwise."""
    folder = tempfile.mkdtemp(prefix=prefix)
    os.chmod(folder, 0o700)

    def leave():
        if failed():
            print(f"# left for you to look at: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(leave)
    return folder


# --- KMS from outside ----------------------------------------------------------------------------------------------

class Principal:
    def __init__(self, name, access_key_id, secret, token=None, policies=None):
        self.arn = f"arn:aws:iam::{ACCOUNT}:user/{name}"
        self.id, self.secret, self.token, self.policies = access_key_id, secret, token, policies

    def entry(self):
        e = {"access_key_id": self.id, "secret_access_key": self.secret, "arn": self.arn,
             "session_token": self.token, "policies": self.policies}
        return {k: v for k, v in e.items() if v}

    def seed(self):
        return {"access_key_id": self.id, "secret_access_key": self.secret, "session_token": self.token or ""}

    def env(self):
        e = {"AWS_ACCESS_KEY_ID": self.id, "AWS_SECRET_ACCESS_KEY": self.secret}
        return {**e, "AWS_SESSION_TOKEN": self.token} if self.token else e


def sign(who, host, target, body, now=None, region=REGION):
    """SigV4 headers of a POST to /, by the book."""
    now = now or datetime.datetime.now(datetime.timezone.utc)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"content-type": "application/x-amz-json-1.1", "host": host, "x-amz-date": stamp, "x-amz-target": target}
    if who.token:
        headers["x-amz-security-token"] = who.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{k}:{headers[k]}\n" for k in sorted(headers))
    canonical = "\n".join(["POST", "/", "", lines, names, hashlib.sha256(body).hexdigest()])
    scope = f"{stamp[:8]}/{region}/kms/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + who.secret).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={who.id}/{scope}, "
                                f"SignedHeaders={names}, Signature={signature}")
    return headers


class KmsError(Exception):
    def __init__(self, status, answer):
        self.status = status
        self.type = str(answer.get("__type", "")).split("#")[-1]
        self.message = answer.get("message", answer.get("Message", ""))
        super().__init__(f"{status} {self.type}: {self.message}")


class Kms:
    region = REGION

    def __init__(self, state, region=REGION):
        self.region = region
        with open(os.path.join(state, "port")) as f:
            self.port = int(f.read())
        self.ca = os.path.join(state, "ca.pem")

    def call(self, who, operation, **params):
        body = json.dumps(params).encode()
        host = f"127.0.0.1:{self.port}"  # not localhost: a bare container has no /etc/hosts
        c = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=ssl.create_default_context(cafile=self.ca))
        try:
            c.request("POST", "/", body, sign(who, host, "TrentService." + operation, body, region=self.region))
            r = c.getresponse()
            answer = json.loads(r.read() or b"{}")
        finally:
            c.close()
        if r.status != 200:
            raise KmsError(r.status, answer)
        return answer


# --- HTTP over a Unix socket ---------------------------------------------------------------------------------------

def ask_http(c, method, path, body=None, headers=None, **chunked):
    """(status, headers, body) over an open or new connection `c`; JSON in and out where it is JSON."""
    headers = dict(headers or {})
    if isinstance(body, (dict, list)):
        body, headers["Content-Type"] = json.dumps(body), "application/json"
    c.request(method, path, body, headers, **chunked)
    r = c.getresponse()
    data = r.read()
    if "json" in (r.getheader("content-type") or ""):
        data = json.loads(data)
    return r.status, r.headers, data


class UnixHTTP(http.client.HTTPConnection):
    """One connection, made when it is needed."""

    def __init__(self, path, timeout=30):
        super().__init__("enclave", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    ask = ask_http


# --- the local stack -----------------------------------------------------------------------------------------------

PARTS = ["nitroseal-nsm", "nitroseal-kms", "vsock-proxy", "nitroseald"]


def missing_programs(names=PARTS):
    return [n for n in names if not os.access(os.path.join(BIN, n), os.X_OK)]


def measure_options(image=None):
    """The service as the second ramdisk of an image, as `nitroseal local` measures it."""
    return ["--cmdline", "reboot=k", "--ramdisk", "/dev/null", "--ramdisk", image or os.path.realpath(os.path.join(BIN, "nitroseald"))]


class Stack:
    """NSM, KMS, relay and service, each a Program that a test may kill and start again.

    The key's policy lets `app` use it only attested by the image of this service, and `admin` everything, attested
    or not: so a test can look behind what the service did. Production has no such principal."""

    def __init__(self, service_options=(), service_env=None, nsm_options=(), folder=None, log_level="info", region=REGION):
        self.region = region
        self.dir = folder or private_folder()
        self.v = os.path.join(self.dir, "v")
        for name in ("v", "log", "nsm", "kms"):
            os.makedirs(os.path.join(self.dir, name), mode=0o700, exist_ok=True)
        everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}
        self.admin = Principal("admin", "AKIDADMINADMINADMIN0", base64.b64encode(os.urandom(30)).decode(), policies=[everything])
        self.app = Principal("app", "AKIDAPPAPPAPPAPPAPP0", base64.b64encode(os.urandom(30)).decode())
        self.others = []  # further principals of the local KMS
        self.service_options, self.service_env = list(service_options), dict(service_env or {})
        self.nsm_options, self.log_level = list(nsm_options), log_level
        self.service_program = "nitroseald"
        self.nsm = self.kms_program = self.proxy = self.service = None
        self.kms_port = 0

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def start(self):
        self.start_nsm()
        self.start_kms()
        self.make_key()
        self.start_proxy()
        self.start_service()
        return self

    def stop(self):
        """Statuses by name."""
        parts = [p for p in (self.service, self.proxy, self.kms_program, self.nsm) if p]
        return {p.name: p.stop() for p in parts}

    def log_of(self, name):
        return self.path("log", name + ".log")

    def start_nsm(self, name="nsm", options=None, image=None):
        """Another name is another enclave on the same hardware: the same root, a socket of its own."""
        sock = self.path(name + ".sock")
        p = Program("nitroseal-nsm", ["--socket", sock, "--state", self.path("nsm"), "--region", self.region,
                                      *measure_options(image), *(self.nsm_options if options is None else options)],
                    log=self.log_of(name))
        until(lambda: self.answers(sock, socket.SOCK_SEQPACKET) or not p.alive(), what=name)
        if not p.alive():
            raise RuntimeError("nitroseal-nsm left: " + p.text())
        if name == "nsm":
            self.nsm = p
        return p

    def start_kms(self, options=()):
        principals = self.path("principals.json")
        with open(os.open(principals, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            json.dump([p.entry() for p in (self.admin, self.app, *self.others)], f)
        port = self.path("kms", "port")
        if os.path.exists(port):
            os.unlink(port)
        p = self.kms_program = Program("nitroseal-kms", ["--state", self.path("kms"), "--listen", f"127.0.0.1:{self.kms_port}",
                                                         "--region", self.region, "--account", ACCOUNT, "--root", self.path("nsm", "root.pem"),
                                                         "--principals", principals, "--explain", *options], log=self.log_of("kms"))
        until(lambda: not p.alive() or (os.path.exists(port) and open(port).read().strip()), what="nitroseal-kms")
        if not p.alive():
            raise RuntimeError("nitroseal-kms left: " + p.text())
        self.kms = Kms(self.path("kms"), self.region)
        self.kms_port = self.kms.port
        until(lambda: self.kms_answers(), what="nitroseal-kms")
        return p

    def kms_answers(self):
        try:
            self.kms.call(self.admin, "ListKeys")
            return True
        except OSError:
            return False

    def measured(self, image=None):
        """PCRs that the software NSM has for an image."""
        status, out, err = run("nitroseal-nsm", "--print-pcrs", *measure_options(image))
        if status != 0:
            raise RuntimeError(err)
        return json.loads(out)

    def policy(self, pcrs, more=()):
        condition = {f"kms:RecipientAttestation:{name}": value for name, value in pcrs.items()}
        return json.dumps({"Version": "2012-10-17", "Statement": [
            {"Sid": "test only", "Effect": "Allow", "Principal": {"AWS": self.admin.arn}, "Action": "kms:*", "Resource": "*"},
            {"Sid": "attested", "Effect": "Allow", "Principal": {"AWS": self.app.arn},
             "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": "*",
             "Condition": {"StringEqualsIgnoreCase": condition}}, *more]})

    def make_key(self, pcrs=None, more=()):
        pcrs = pcrs or {k: v for k, v in self.measured().items() if k in ("PCR0", "PCR1", "PCR2")}
        made = self.kms.call(self.admin, "CreateKey", Policy=self.policy(pcrs, more))
        self.arn = made["KeyMetadata"]["Arn"]
        return self.arn

    def start_proxy(self):
        with open(self.path("allowlist.yaml"), "w") as f:
            f.write(f"allowlist:\n- {{address: 127.0.0.1, port: {self.kms_port}}}\n")
        self.proxy = Program("vsock-proxy", ["--config", f.name, PROXY_PORT, "127.0.0.1", self.kms_port],
                             env={"NITROSEAL_VSOCK": "unix:" + self.v}, log=self.log_of("proxy"))
        until(lambda: self.answers(os.path.join(self.v, f"{PROXY_CID}.vsock_{PROXY_PORT}")), what="vsock-proxy")
        return self.proxy

    def settings(self, nsm="nsm"):
        return {"NITROSEAL_VSOCK": "unix:" + self.v, "KMS_KEY_ID": self.arn, "AWS_REGION": self.region,
                "NITROSEAL_NSM": f"unix:{self.path(nsm)}.sock", "NITROSEAL_CA_FILE": self.path("kms", "ca.pem"),
                "NITROSEAL_ROOT_FILE": self.path("nsm", "root.pem"),
                "AWS_ENDPOINT_URL_KMS": f"https://localhost:{self.kms_port}", "NITROSEAL_LOG": self.log_level}

    def start_service(self, cid=CID, nsm="nsm", name="service", options=()):
        p = Program(self.service_program, ["--cid", cid, *self.service_options, *options],
                    env={**self.settings(nsm), **self.service_env}, log=self.log_of(name))
        where = os.path.join(self.v, f"{cid}.vsock_{PORT}")
        until(lambda: not p.alive() or self.answers(where), what="nitroseald")
        if not p.alive():
            raise RuntimeError("nitroseald left: " + p.text())
        if name == "service":
            self.service = p
        return p

    @staticmethod
    def answers(path, kind=socket.SOCK_STREAM):
        with socket.socket(socket.AF_UNIX, kind) as s:
            s.settimeout(2)
            try:
                s.connect(path)
                return True
            except OSError:
                return False

    # --- through the seed protocol ---

    def ask(self, request, cid=CID, **how):
        import seed
        return seed.ask(self.v, cid, PORT, request, **how)

    def encrypt(self, text, who=None, **how):
        import seed
        return self.ask(seed.encrypt_request((who or self.app).seed(), text), **how)

    def decrypt(self, answer, who=None, **how):
        import seed
        return self.ask(seed.decrypt_request((who or self.app).seed(), answer), **how)

    def data_key(self, answer):
        """The 32 bytes that the enclave had, through the principal who may ask without attestation."""
        plain = self.kms.call(self.admin, "Decrypt", CiphertextBlob=answer["ciphertext_blob"])["Plaintext"]
        return base64.b64decode(plain, validate=True)

    def new_data_key(self):
        made = self.kms.call(self.admin, "GenerateDataKey", KeyId=self.arn, KeySpec="AES_256")
        return base64.b64decode(made["Plaintext"], validate=True), made["CiphertextBlob"]

    def cli_env(self, who=None):
        return {"NITROSEAL_VSOCK": "unix:" + self.v, "NITROSEAL_CID": str(CID), "NITROSEAL_ROOT_FILE": self.path("nsm", "root.pem"),
                "AWS_REGION": self.region, **(who or self.app).env()}
