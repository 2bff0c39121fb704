#!/usr/bin/python3
"""Long runs: `nitroseal encrypt --lines` and `decrypt --lines`. Order, bounds and faults line by line; and credentials
that live for seconds only, from a container's endpoint and from IMDS, which refuse, dawdle and have wrong clocks, while
the local KMS takes each set by its own clock exactly until it ends. No line may be lost. TAP."""
import datetime, http.server, json, os, signal, subprocess, threading, time

import lib
from lib import check

stack = lib.Stack().start()
ENV = stack.cli_env()


def lines(op, text, *options, env=None, **how):
    status, out, err = lib.run("nitroseal", op, "--lines", *options, env=env or ENV, stdin=text, **how)
    return status, [json.loads(l) for l in out.splitlines()], err


def order():
    texts = [f"line {i} " + "x" * (i * 37 % 5000) for i in range(120)] + ["", "Grüße 你好", '{"a": "b"}', "tail without line feed"]
    status, made, err = lines("encrypt", "\n".join(texts), "--jobs", "8")
    check(status == 0 and err == "" and len(made) == len(texts), "a line each", status, err, len(made))
    check(all({"encrypted", "signature", "ciphertext_blob"} <= set(m) for m in made), "each a message", made[:1])
    given = "".join(json.dumps(m) + "\n" for m in made)
    status, back, err = lines("decrypt", given, "--jobs", "8")
    check(status == 0 and [b["decrypted"] for b in back] == texts, "and back, in order", status, err)
    check(all(b["signature_valid"] is True for b in back), "each verified")
    for jobs in ("1", "64"):
        status, back, err = lines("decrypt", given, "--jobs", jobs)
        check(status == 0 and [b["decrypted"] for b in back] == texts, f"--jobs {jobs}", status, err)
    status, back, err = lines("encrypt", "")
    check((status, back, err) == (0, [], ""), "nothing in, nothing out", status, back, err)
    check(lines("encrypt", "x\r\n")[0] == 0, "a carriage return is text")
    return made


def faults(made):
    one = json.dumps(made[0])
    bad = dict(made[0], signature="A" * 43 + "=")
    broken = dict(made[0], encrypted="A" * 44)
    status, got, err = lines("decrypt", "\n".join([one, "no JSON", "", json.dumps(bad), json.dumps(broken), one]), "--jobs", "3")
    check([g.get("line") for g in got] == [None, 2, 3, 4, 5, None], "faults in their places, with their lines", got)
    check([g["exit_status"] for g in got[1:5]] == [6, 6, 5, 5] and all(g["error"] for g in got[1:5]), "and what each was", got[1:5])
    check(status == 1 and "4 of 6 lines failed" in err and len(err.splitlines()) == 1, "the status of a mixture, one line on stderr", status, err)
    check(all("decrypted" not in g for g in got[1:5]), "no text without a signature that holds", got[1:5])
    status, got, err = lines("decrypt", json.dumps(bad), "--allow-invalid-signature")
    check(status == 0 and got[0]["signature_valid"] is False and "decrypted" in got[0], "unless asked for", status, got)
    status, got, err = lines("decrypt", json.dumps(bad) + "\n" + one)
    check(status == 5 and "1 of 2" in err, "the status that all failed lines share", status, err)
    p = subprocess.run([os.path.join(lib.BIN, "nitroseal"), "encrypt", "--lines"], input=b"a\n\xff\xfe\nb\n", capture_output=True, env={**lib.CLEAN, **ENV})
    got = [json.loads(l) for l in p.stdout.splitlines()]
    check(p.returncode == 6 and got[1]["line"] == 2 and "UTF-8" in got[1]["error"] and "encrypted" in got[2], "a line that is not UTF-8", got)
    limit = 16 << 20
    p = subprocess.run([os.path.join(lib.BIN, "nitroseal"), "decrypt", "--lines", "--jobs", "1"], capture_output=True, env={**lib.CLEAN, **ENV},
                       input=b" " * (limit + 1) + b"\n" + b" " * limit + b"\n" + b"y" * (3 * limit) + b"\n" + one.encode())
    got = [json.loads(l) for l in p.stdout.splitlines()]
    check(["longer than" in g.get("error", "") for g in got] == [True, False, True, False] and "decrypted" in got[3],
          "the longest line and one byte more", [g.get("error") for g in got])
    for options, word in ((["--lines", "text"], "standard input"), (["--lines", "--jobs", "0"], "--jobs"), (["--lines", "--jobs", "65"], "--jobs")):
        status, out, err = lib.run("nitroseal", "encrypt", *options, env=ENV)
        check(status == 2 and out == "" and word in err, f"usage: {' '.join(options)}", status, out, err)
    status, got, err = lines("encrypt", "a\nb", env={**ENV, "NITROSEAL_CID": "77"})
    check(status == 3 and [g["line"] for g in got] == [1, 2], "nobody there: each line says so", status, got, err)
    status, out, err = lib.run("nitroseal", "encrypt", "--lines", env={"NITROSEAL_VSOCK": ENV["NITROSEAL_VSOCK"], "HOME": stack.dir}, stdin="a\n")
    check(status == 7 and out == "" and "no AWS credentials" in err, "no credentials at the start: nothing is read", status, out, err)


def streaming():
    """A result comes as soon as its line is there, though the input goes on; and memory has its bounds."""
    p = subprocess.Popen([os.path.join(lib.BIN, "nitroseal"), "encrypt", "--lines"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**lib.CLEAN, **ENV})
    for i in range(3):
        p.stdin.write(b"one\n")
        p.stdin.flush()
        check("encrypted" in json.loads(p.stdout.readline()), f"line {i + 1} is answered before the next is written")
    p.stdin.close()
    check(p.wait(60) == 0, "it ends with its input")
    p = subprocess.Popen([os.path.join(lib.BIN, "nitroseal"), "encrypt", "--lines"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env={**lib.CLEAN, **ENV})

    def feed():
        try:
            for _ in range(3000):
                p.stdin.write(b"z" * 20000 + b"\n")
            p.stdin.close()
        except OSError:
            pass

    threading.Thread(target=feed, daemon=True).start()
    time.sleep(2)  # nobody reads the output
    with open(f"/proc/{p.pid}/status") as f:
        rss = next(int(l.split()[1]) for l in f if l.startswith("VmRSS"))
    check(rss < 64 * 1024, "60 MB of input and a reader that does not read: bounded memory", rss)
    p.stdout.close()
    check(p.wait(60) == 6 and b"cannot write" in p.stderr.read(), "a reader that leaves ends it")


class Issuer:
    """A container's endpoint, and IMDSv2. Each answer is a new set of credentials, known to the KMS until it ends. Several run at a time."""
    everyone, of_kms = [], threading.Lock()  # all that were made, in one file

    def __init__(self, life_s, trouble=lambda n: None, skew_s=0):
        self.life, self.skew, self.made, self.answers, self.trouble = life_s, skew_s, 0, 0, trouble
        self.lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_PUT(self):
                self.reply(200, b"TOKEN")

            def do_GET(self):
                if self.path.endswith("/security-credentials/"):
                    return self.reply(200, b"role")
                with outer.lock:
                    outer.answers += 1
                    trouble = outer.trouble(outer.answers)
                    if trouble:
                        return self.reply(*trouble)
                    self.reply(200, json.dumps(outer.issue()).encode())

            def reply(self, status, data):
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    pass

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def issue(self):
        self.made += 1
        with Issuer.of_kms:
            return self.make()

    def make(self):
        n = len(self.everyone)
        end = time.time() + self.life

        def at(t):
            return datetime.datetime.fromtimestamp(t, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

        who = lib.Principal("app", f"ASIA{n:016d}", os.urandom(15).hex(), "token/" + os.urandom(9).hex())
        self.everyone.append({**who.entry(), "expiration": at(end)})
        entries = [stack.admin.entry(), stack.app.entry(), *self.everyone]
        path = stack.path("principals.json")
        with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            json.dump(entries, f)
        os.rename(path + ".new", path)
        stack.kms_program.signal(signal.SIGHUP)
        lib.until(lambda: self.is_known(who), what="the KMS reads its principals")
        return {"Code": "Success", "AccessKeyId": who.id, "SecretAccessKey": who.secret, "Token": who.token, "Expiration": at(end + self.skew)}

    def is_known(self, who):
        try:
            stack.kms.call(who, "ListKeys")
        except lib.KmsError as e:
            return e.type not in ("UnrecognizedClientException", "InvalidClientTokenId")
        return True


def without_credentials():
    return {k: v for k, v in ENV.items() if not k.startswith("AWS_")} | {"HOME": stack.dir}


class LongRun(threading.Thread):
    """Lines at a steady pace for longer than credentials live. All of these run at once: it is the clock that they wait for."""
    SECONDS, PACE = 9, 0.05

    def __init__(self, title, issuer, env=None, sets=3):
        super().__init__(daemon=True)
        self.title, self.issuer, self.sets, self.n, self.got, self.status, self.err = title, issuer, sets, 0, [], None, ""
        self.env = {**lib.CLEAN, **without_credentials(), **(env or {"AWS_CONTAINER_CREDENTIALS_FULL_URI": issuer.url + "/creds"})}
        self.start()

    def run(self):
        p = subprocess.Popen([os.path.join(lib.BIN, "nitroseal"), "encrypt", "--lines", "--jobs", "4"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, env=self.env)
        reader = threading.Thread(target=lambda: self.got.extend(json.loads(l) for l in p.stdout), daemon=True)
        reader.start()
        end = time.monotonic() + self.SECONDS
        try:
            while time.monotonic() < end:
                p.stdin.write(b"text %d\n" % self.n)
                p.stdin.flush()
                self.n += 1
                time.sleep(self.PACE)
            p.stdin.close()
        except OSError:
            pass  # its status says why
        self.status = p.wait(60)
        reader.join(30)
        self.err = p.stderr.read().decode()

    def judge(self):
        self.join(90)
        lost = [g for g in self.got if "encrypted" not in g]
        check(self.status == 0 and len(self.got) == self.n > 50 and not lost, f"{self.title}: no line lost", self.status, self.err, len(self.got), self.n, lost[:2])
        check(self.issuer.made >= self.sets, f"{self.title}: fetched again and again", self.issuer.made)


def never_again():
    """Runs beside them; what it saw."""
    i = Issuer(5, lambda n: (403, b"never again") if n > 1 else None)
    env = {**lib.CLEAN, **without_credentials(), "AWS_CONTAINER_CREDENTIALS_FULL_URI": i.url + "/creds"}
    p = subprocess.Popen([os.path.join(lib.BIN, "nitroseal"), "encrypt", "--lines", "--timeout", "3"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, env=env)
    p.stdin.write(b"early\n")
    p.stdin.flush()
    first = json.loads(p.stdout.readline())
    time.sleep(5.2)
    out, err = p.communicate(b"late\n", timeout=60)
    late = json.loads(out)
    check("encrypted" in first and late["line"] == 2 and late["exit_status"] == 7 and "container endpoint" in late["error"],
          "an endpoint that never gives any more: after --timeout the line says so", first, late, err)
    check(p.returncode == 7 and "token/" not in out.decode() + err.decode(), "status 7, no secret shown", p.returncode)


def expiry():
    imds = Issuer(3)
    runs = [
        LongRun("credentials that live 3 s", Issuer(3)),
        LongRun("the same from IMDSv2", imds, {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url}),
        # The KMS says so first: our clock is behind, or the endpoint's answer wrong.
        LongRun("a clock that does not see the end", Issuer(3, skew_s=3600)),
        LongRun("an endpoint that fails every other time", Issuer(3, lambda n: (500, b"busy") if n > 1 and n % 2 == 0 else None)),
        LongRun("an endpoint that takes 1.5 s", Issuer(3, lambda n: time.sleep(1.5) if n > 1 else None), sets=2),
        LongRun("an endpoint that refuses for a while", Issuer(3, lambda n: (403, b"not now") if 2 <= n <= 6 else None), sets=2),
    ]
    never_again()
    for r in runs:
        r.judge()


made = order()
faults(made)
streaming()
expiry()
check(set(stack.stop().values()) == {0}, "every part ends by SIGTERM")
lib.plan()
