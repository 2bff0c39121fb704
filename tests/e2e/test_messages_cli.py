#!/usr/bin/python3
"""Messages with the command line: files, pipes, folders and text through the real service; every failure leaves no file
and no status 0; programs killed at random points; a terminal; services that break off, lie or fall silent. TAP."""
import base64, hashlib, json, os, pty, random, signal, socket, subprocess, threading, time

import lib
from gatewaylib import free_port
from lib import check

CLI = os.path.join(lib.BIN, "nitroseal")
BEGIN, END = b"-----BEGIN AWS ENCRYPTION SDK MESSAGE-----\n", b"-----END AWS ENCRYPTION SDK MESSAGE-----\n"
MANY = 300  # files of a folder: more than are done before a signal comes
SANITIZED = "san" in os.path.basename(lib.BUILD)


def cli(*argv, env=None, stdin=b"", timeout=120, stdout=subprocess.PIPE):
    p = subprocess.run([CLI, *(a if isinstance(a, bytes) else str(a) for a in argv)], env={**lib.CLEAN, **(env if env is not None else ENV)}, input=stdin,
                       stdout=stdout, stderr=subprocess.PIPE, timeout=timeout)
    return p.returncode, p.stdout, p.stderr.decode()


def start(*argv, env=None, **how):
    return subprocess.Popen([CLI, *map(str, argv)], env={**lib.CLEAN, **(env or ENV)}, stderr=subprocess.PIPE, **how)


def put(path, data):
    with open(path, "wb") as f:
        f.write(data)
    return path


def get(path):
    with open(path, "rb") as f:
        return f.read()


def said(*parts):
    return [p[:300] if isinstance(p, (bytes, str)) else p for p in parts]


class Folder:
    """A folder of its own for a test; names() is what is left in it."""
    count = 0

    def __init__(self):
        Folder.count += 1
        self.path = os.path.join(the_stack.dir, f"f{Folder.count}")
        os.mkdir(self.path)

    def __truediv__(self, name):
        return os.path.join(self.path, name)

    def names(self):
        return sorted(os.listdir(self.path))


def round_trips():
    f = Folder()
    for size in (0, 1, 4095, 4096, 4097, 65536, 131072, 131073, 5_000_000):
        data = os.urandom(size)
        put(f / "plain", data)
        for how in ([], ["--suite", "0x0578"], ["--frame-length", "4096", "--encryption-context", "a=b"]):
            s, out, err = cli("encrypt", "-i", f / "plain", "-o", f / "sealed", *how)
            s2, out2, err2 = cli("decrypt", "-i", f / "sealed", "-o", f / "back")
            good = (s, out, err, s2, out2, err2) == (0, b"", "", 0, b"", "") and get(f / "back") == data
            check(good, f"{size} bytes, file to file, {' '.join(how) or 'as it comes'}", s, err, s2, err2)
        s, sealed, err = cli("encrypt", "--format", "message", stdin=data)
        s2, back, err2 = cli("decrypt", stdin=sealed)
        check((s, s2, back) == (0, 0, data) and err + err2 == "", f"{size} bytes, pipe to pipe", s, err, s2, err2)
        s, text, err = cli("encrypt", "--armor", stdin=data)
        s2, back, err2 = cli("decrypt", "-", stdin=text)
        good = text.startswith(BEGIN) and text.endswith(END) and max(map(len, text.splitlines()[1:-1])) <= 64
        check(good and (s, s2, back) == (0, 0, data), f"{size} bytes, as text", s, err, s2, err2)
    check(os.stat(f / "sealed").st_mode & 0o777 == 0o600 and os.stat(f / "back").st_mode & 0o777 == 0o600, "files are for their owner")
    check(f.names() == ["back", "plain", "sealed"], "nothing else is left", f.names())
    s, out, err = cli("encrypt", "-i", f / "plain", "-o", f / "plain")
    s2, out2, err2 = cli("decrypt", f / "plain", "-o", f / "plain")
    check(s == s2 == 0 and get(f / "plain") == data, "a file onto itself", err, err2)
    s, sealed, err = cli("encrypt", "--format", "message", "Hello, 世界")
    check(s == 0 and cli("decrypt", stdin=sealed)[1].decode() == "Hello, 世界", "a text as argument", s, err)
    s, out, err = cli("encrypt", "-i", f / "plain", "-o", "-")
    check(s == 0 and cli("decrypt", "-i", "-", "-o", "-", stdin=out)[1] == data, "- and -")
    s, back, err = cli("decrypt", stdin=base64.b64encode(sealed))
    check(s == 0 and back.decode() == "Hello, 世界", "bare base64 is recognised", s, err)
    s, out, err = cli("encrypt", "-i", f / "plain", "-o", f / "sealed", "--json")
    a = json.loads(out)
    check(s == 0 and a["output"] == f / "sealed" and a["bytes_in"] == len(data) and a["bytes_out"] == os.path.getsize(f / "sealed") and
          a["key_id"] == the_stack.arn and a["suite"] == "0x0478", "a report in JSON", out)


def forms():
    """Which of the two comes out, and which is recognised."""
    f = Folder()
    s, seed, err = cli("encrypt", "Hello")
    check(s == 0 and seed.startswith(b"ENCRYPTED="), "a bare text makes a seed message")
    check(cli("encrypt", stdin=b"Hello")[1].startswith(b"ENCRYPTED="), "so does standard input")
    check(cli("encrypt", "--format", "seed", "-i", put(f / "text", b"Hello"), "-o", f / "seed") == (0, b"", "") and get(f / "seed").startswith(b"ENCRYPTED="),
          "--format seed, file to file")
    check(cli("decrypt", "-i", f / "seed") == (0, b"Hello", "") and cli("decrypt", f / "seed", "-o", f / "out")[0] == 0 and get(f / "out") == b"Hello",
          "decrypt recognises it, in a file")
    check(cli("decrypt", stdin=seed) == (0, b"Hello", ""), "and on standard input")
    for option in (["-o", "-"], ["--encryption-context", "a=b"], ["--suite", "0x0478"], ["--frame-length", "5"], ["--armor"], ["--key-id", the_stack.arn]):
        s, out, err = cli("encrypt", *option, stdin=b"Hello")
        check(s == 0 and (out[:1] == b"\x02" or out.startswith(BEGIN)) and cli("decrypt", stdin=out)[1] == b"Hello", f"{option[0]} makes a message", s, err)
    lines = seed.splitlines()
    altered = b"\n".join([lines[0], b"SIGNATURE=" + base64.b64encode(bytes(32)), lines[2]])
    s, out, err = cli("decrypt", "-o", f / "altered", stdin=altered)
    check(s == 5 and not os.path.exists(f / "altered"), "of a signature that does not hold comes no file", s, err)
    s, out, err = cli("decrypt", "-o", f / "altered", "--allow-invalid-signature", stdin=altered)
    check(s == 5 and get(f / "altered") == b"Hello", "unless asked for", s, err)
    s, out, err = cli("decrypt", "--require-context", "a=b", stdin=seed)
    check(s == 5 and out == b"" and "no encryption context" in err, "a seed message has no context to require", s, err)
    for argv in (["encrypt", "--format", "seed", "--suite", "0x0578"], ["encrypt", "--format", "seed", "--armor"], ["encrypt", "--format", "x"],
                 ["encrypt", "--suite", "0x0178"], ["encrypt", "--frame-length", "0"], ["encrypt", "--frame-length", "1048577"],
                 ["encrypt", "--encryption-context", "novalue"], ["encrypt", "--encryption-context", "aws-crypto-public-key=x"],
                 ["encrypt", "--encryption-context", "a=1", "--encryption-context", "a=2"], ["encrypt", "-i", "x", "text"],
                 ["encrypt", "--lines", "--armor"], ["decrypt", "--lines", "-i", "x"], ["decrypt", "--require-context", "=x"],
                 ["decrypt", "-i", "x", "y"], ["encrypt", "--json", "--armor", "x"], ["rewrap", "-i", "x", "y"], ["encrypt", "--gateway", "nowhere", "x"]):
        s, out, err = cli(*argv)
        check(s == 2 and b"ENCRYPTED" not in out and err, f"usage: {' '.join(argv)}", s, out, err)
    for blob, name in ((b"\x00\xff" * 40, "binary"), (b"", "nothing"), (b"hello", "text"), (b"\x02\x04\x78", "a beginning"), (BEGIN, "an empty armor")):
        s, out, err = cli("decrypt", "-o", f / "none", stdin=blob)
        check(s == 6 and out == b"" and not os.path.exists(f / "none"), f"decrypt of {name}: 6", s, out, err)


def contexts():
    f = Folder()
    s, sealed, err = cli("encrypt", "--encryption-context", "tenant=a b=c", "--encryption-context", "世界=ü", stdin=b"text")
    a = json.loads(cli("inspect", "--json", stdin=sealed)[1])
    check(s == 0 and a["encryption_context"] == {"tenant": "a b=c", "世界": "ü"}, "the context as it was given", a)
    check(cli("decrypt", "--require-context", "世界=ü", stdin=sealed)[:2] == (0, b"text"), "required and there")
    for pair, status in (("tenant=a", 5), ("other=1", 4)):
        s, out, err = cli("decrypt", "--require-context", pair, "-o", f / "out", stdin=sealed)
        check(s == status and f.names() == [], f"required and not there: {pair}: {status}", s, err)
    s, out, err = cli("decrypt", "--require-context", "other=1", "--json", "-o", f / "out", stdin=sealed)
    a = json.loads(out)
    check(a["kms_type"] == "InvalidCiphertextException" and a["kms_request_id"] and "InvalidCiphertextException" in err, "KMS's own reason", out, err)
    s, out, err = cli("encrypt", "--key-id", the_stack.arn[:-1] + ("1" if the_stack.arn[-1] == "0" else "0"), stdin=b"x")
    check(s == 5 and out == b"", "a key that is not on the service's list: 5", s, err)
    s, wrapped, err = cli("rewrap", "--suite", "0x0578", "--encryption-context", "new=1", "--require-context", "tenant=a b=c", stdin=sealed)
    a = json.loads(cli("inspect", "--json", stdin=wrapped)[1])
    check(s == 0 and a["suite"]["id"] == "0x0578" and a["encryption_context"]["new"] == "1" and "tenant" not in a["encryption_context"], "rewrap", s, err, a)
    check(cli("decrypt", stdin=wrapped)[1] == b"text", "and what it holds")
    s, text, err = cli("rewrap", "--armor", put(f / "sealed", sealed), "-o", f / "wrapped")
    check(s == 0 and get(f / "wrapped").startswith(BEGIN) and cli("decrypt", f / "wrapped")[1] == b"text", "rewrap of a file, as text", s, err)
    check(cli("rewrap", "--require-context", "tenant=x", stdin=sealed)[0] == 5, "rewrap with another context: 5")
    s, out, err = cli("rewrap", stdin=b"ENCRYPTED=QQ==\n")
    check(s == 6 and out == b"", "rewrap of a seed message: 6", s, err)


def tampered():
    """Each change is noticed, whatever its place; no file is left, an older one stays."""
    f = Folder()
    data = os.urandom(200_000)
    for suite in ("0x0478", "0x0578"):
        good = cli("encrypt", "--suite", suite, "--frame-length", "4096", "--encryption-context", "k=v", stdin=data)[1]
        bad, seen = [], set()
        changes = [(at, "bit") for at in [0, 1, 2, 10, 36, 60, 100, 150, 200, 250, 300, 5000, len(good) // 2, len(good) - 130, len(good) - 20, len(good) - 1]]
        changes += [(at, "cut") for at in (1, 50, 250, 5000, len(good) // 2, len(good) - 1)] + [(0, "longer")]
        for at, kind in changes:
            message = bytearray(good) if kind != "cut" else bytearray(good[:at])
            if kind == "bit":
                message[at] ^= 0x10
            if kind == "longer":
                message += b"x"
            put(f / "m", bytes(message))
            put(f / "out", b"old")
            s, out, err = cli("decrypt", f / "m", "-o", f / "out")
            seen.add(s)
            if s == 0 or out or get(f / "out") != b"old" or len(f.names()) != 2 or len(err.splitlines()) != 1:
                bad.append((at, kind, s, err))
            s, out, err = cli("decrypt", stdin=bytes(message))
            if s == 0 or not data.startswith(out) or len(out) == len(data) and suite == "0x0578":
                bad.append((at, kind, s, "stdout"))
        check(not bad and seen <= {3, 4, 5, 6} and 5 in seen, f"{suite}: {len(changes)} changes: no file, no status 0", bad, seen)
    text = cli("encrypt", "--armor", stdin=data)[1]
    bad = []
    for at in [0, 20, 50, 1000, len(text) // 2, len(text) - 60, len(text) - 3]:
        broken = bytearray(text)
        broken[at] ^= 4
        s, out, err = cli("decrypt", "-o", f / "none", stdin=bytes(broken))
        if s == 0 or os.path.exists(f / "none"):
            bad.append((at, s, err))
    for at in (len(BEGIN) + 100, len(text) // 2, len(text) - 10):
        s, out, err = cli("decrypt", "-o", f / "none", stdin=text[:at])
        if s == 0 or os.path.exists(f / "none"):
            bad.append((at, s, err))
    check(not bad, "changed and cut text", bad)


def files():
    f = Folder()
    put(f / "plain", b"x" * 100)
    for path in ("/dev/null", the_stack.dir, f / "no/such", f / "link", f / "fifo"):
        if path == f / "link":
            os.symlink("/dev/null", path)
        if path == f / "fifo":
            os.mkfifo(path)
        s, out, err = cli("encrypt", "-i", f / "plain", "-o", path)
        check(s == 6 and "cannot write" in err, f"output to {os.path.basename(path)}: 6", s, err)
    check(os.path.islink(f / "link") and not os.path.islink("/dev/null"), "and what was there is there")
    s, out, err = cli("encrypt", "-i", f / "none", "-o", f / "out")
    check(s == 6 and not os.path.exists(f / "out"), "no input: 6", err)
    with open("/dev/full", "wb") as full:
        s, _, err = cli("encrypt", "-i", f / "plain", "-o", "-", stdout=full)
    check(s == 6 and "cannot write" in err, "standard output is full: 6", s, err)
    grows = put(f / "grows", b"x" * 70000)
    stop = threading.Event()

    def grow():
        with open(grows, "ab", buffering=0) as g:
            while not stop.is_set():
                g.write(b"y" * 100000)

    t = threading.Thread(target=grow)
    t.start()
    s, out, err = cli("encrypt", "-i", grows, "-o", f / "out")
    stop.set()
    t.join()
    check(s == 0 or (s == 6 and "changed while it was read" in err and not os.path.exists(f / "out")), "a file that grows is not cut in silence", s, err)


def folders():
    f, sealed, back = Folder(), Folder(), Folder()
    files = {f"file {i:02} ü": os.urandom(random.randrange(200_000)) for i in range(25)}
    files["empty"] = b""
    for name, data in files.items():
        put(f / name, data)
    s, out, err = cli("encrypt", "-i", f.path, "-o", sealed / "deep/er", "--jobs", "8", "--encryption-context", "a=b")
    check(s == 0 and out == b"" and "26 of 26 files" in err and len(err.splitlines()) == 1, "a folder, several at once", s, err)
    sealed.path += "/deep/er"
    check(sealed.names() == sorted(n + ".encrypted" for n in files), "each with its suffix", sealed.names())
    s, out, err = cli("decrypt", "-i", sealed.path, "-o", back.path, "--json", "--quiet", "--require-context", "a=b")
    lines = [json.loads(l) for l in out.splitlines()]
    check(s == 0 and err == "" and {n: get(back / n) for n in back.names()} == files, "and back", s, err, out)
    check(lines[-1]["files"] == 26 and lines[-1]["failed"] == 0 and lines[-1]["bytes_out"] == sum(map(len, files.values())) and
          {os.path.basename(l["output"]) for l in lines[:-1]} == set(files), "a line of JSON each, and the sum", lines[-1])
    broken = bytearray(get(sealed / "file 03 ü.encrypted"))
    broken[-1] ^= 1
    put(sealed / "file 03 ü.encrypted", bytes(broken))
    os.symlink("/etc/passwd", sealed / "link.encrypted")
    os.mkfifo(sealed / "fifo.encrypted")
    os.mkdir(sealed / "dir.encrypted")
    put(sealed / "no suffix", b"x")
    put(sealed / "seed.encrypted", cli("encrypt", "x")[1])
    put(sealed / "...encrypted", get(sealed / "empty.encrypted"))
    again = Folder()
    s, out, err = cli("decrypt", "-i", sealed.path, "-o", again.path, "--json", "--jobs", "3")
    lines = {l["input"]: l for l in map(json.loads, out.splitlines()) if "input" in l}
    want = {"file 03 ü.encrypted": 5, "link.encrypted": 6, "fifo.encrypted": 6, "dir.encrypted": 6, "no suffix": 6, "seed.encrypted": 6, "...encrypted": 6}
    check({n: l["exit_status"] for n, l in lines.items() if "error" in l} == want, "each fault in its own line", err, out[-1000:])
    check(again.names() == sorted(set(files) - {"file 03 ü"}), "the others are there, of those nothing", again.names())
    check(s == 1 and "25 of 32 files" in err and "7 of 32 files failed" in err and len(err.splitlines()) == 9, "a summary; the status of a mixture", s, err)
    for n in want:
        (os.rmdir if n.startswith("dir") else os.unlink)(sealed / n)
    s, out, err = cli("rewrap", "-i", sealed.path, "-o", sealed.path, "--suite", "0x0578", "--jobs", "2", "-q")
    check(s == 0 and json.loads(cli("inspect", "--json", sealed / "empty.encrypted")[1])["suite"]["id"] == "0x0578", "rewrap of a folder onto itself", s, err)
    check(cli("encrypt", "-i", f.path)[0] == 2, "a folder needs a folder: 2")
    check(cli("encrypt", "-i", f.path, "-o", f / "empty")[0] == 6, "and not a file: 6")
    s, out, err = cli("encrypt", "-i", Folder().path, "-o", again.path)
    check(s == 0 and "0 of 0 files" in err, "an empty folder", s, err)
    odd = Folder()
    os.mkdir(os.fsencode(odd.path) + b"/sub\x1b]0;x\x07\n\x9b31m\xff")
    s, out, err = cli("encrypt", "-i", odd.path, "-o", again.path, "--json")
    lines = [json.loads(l) for l in out.splitlines()]
    check(s == 6 and len(lines) == 2 and lines[0]["input"] == "sub\x1b]0;x\x07\n?31m?" and lines[0]["exit_status"] == 6,
          "a name that is no text has its line of JSON", s, out)
    check(err.splitlines()[0].startswith("nitroseal encrypt: sub?]0;x???31m?: ") and "\x1b" not in err,
          "and does nothing to a terminal", err)
    s, out, err = cli("inspect", "--json", os.fsencode(odd.path) + b"/\xff")
    check(s == 6 and json.loads(out)["exit_status"] == 6 and "/?" in json.loads(out)["error"], "so has one that is not there", s, out, err)


def on_terminal(argv, stdin=b"", stdout=None):
    """With a terminal on standard error, and output unless told otherwise: status, what it showed."""
    ours, theirs = pty.openpty()
    p = subprocess.Popen([CLI, *argv], env={**lib.CLEAN, **ENV}, stdin=subprocess.PIPE, stdout=stdout or theirs, stderr=theirs)
    os.close(theirs)
    shown = []

    def watch():
        try:
            while piece := os.read(ours, 65536):
                shown.append(piece)
        except OSError:
            pass

    t = threading.Thread(target=watch)
    t.start()
    try:
        p.stdin.write(stdin)
        p.stdin.close()
    except BrokenPipeError:
        pass
    status = p.wait(120)
    t.join()
    os.close(ours)
    return status, b"".join(shown)


def terminal():
    f = Folder()
    s, shown = on_terminal(["encrypt", "--format", "message"], b"x")
    check(s == 2 and b"terminal" in shown and b"\x02\x04" not in shown, "a message does not go to a terminal: 2", s, shown)
    s, shown = on_terminal(["rewrap"], cli("encrypt", "--format", "message", "x")[1])
    check(s == 2 and b"terminal" in shown, "rewrap neither", s, shown)
    s, shown = on_terminal(["encrypt", "--armor"], b"x")
    check(s == 0 and shown.replace(b"\r\n", b"\n").startswith(BEGIN), "as text it does", s, shown)
    text = cli("encrypt", "--format", "message", "Grüße\n\tx")[1]
    check(on_terminal(["decrypt"], text) == (0, "Grüße\r\n\tx".encode()), "a text is shown")
    binary = cli("encrypt", "--format", "message", stdin=b"\x1b[31mred")[1]
    s, shown = on_terminal(["decrypt"], binary)
    check(s == 6 and b"\x1b[31m" not in shown and b"not text" in shown, "bytes that it would obey are not", s, shown)
    s, shown = on_terminal(["decrypt", "-o", "-"], binary)
    check(s == 0 and b"\x1b[31mred" in shown, "unless asked for", s, shown)
    with open(f / "big", "wb") as big:
        big.truncate(1 << 30)
    with open(os.devnull, "wb") as nowhere:
        s, shown = on_terminal(["encrypt", "-i", f / "big", "--format", "message"], stdout=nowhere)
        check(s == 0 and b"% " in shown and b"MB of 1.0 GB" in shown and b" left" in shown and b"/s" in shown, "progress, rate and time left", s, shown[-300:])
        check(shown.rstrip().endswith(b"\x1b[K"), "and the line is taken away at the end", shown[-30:])
        s, shown = on_terminal(["encrypt", "-i", f / "big", "--format", "message", "--quiet"], stdout=nowhere)
        check(s == 0 and shown == b"", "--quiet", s, shown[-300:])


def generate(pipe, size, digest, seconds=3600, piece=os.urandom(1 << 20)):
    left, end = size, time.monotonic() + seconds
    try:
        while left > 0 and time.monotonic() < end:
            part = piece[:left]
            digest.update(part)
            pipe.write(part)
            left -= len(part)
        pipe.close()
    except (BrokenPipeError, OSError):
        pass


def resident(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            return next((int(line.split()[1]) for line in f if line.startswith("VmRSS")), 0)
    except OSError:
        return 0


def large():
    """Generated, sealed, opened, in one pipe: equal at both ends, and nobody's memory follows the length."""
    size = int(os.environ.get("NITROSEAL_TEST_CLI_STREAM_MIB", "0")) << 20
    seconds = 3600 if size else 20  # on a slow machine less than the whole GB, then
    size = size or 1 << 30
    sent, got, peak, begun = hashlib.sha256(), hashlib.sha256(), {}, time.monotonic()
    seal = start("encrypt", "--format", "message", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    unseal = start("decrypt", stdin=seal.stdout, stdout=subprocess.PIPE)
    seal.stdout.close()
    pids = {"encrypt": seal.pid, "decrypt": unseal.pid, "service": the_stack.service.pid}
    before = resident(the_stack.service.pid)
    t = threading.Thread(target=generate, args=(seal.stdin, size, sent, seconds))
    t.start()
    count = 0
    while piece := unseal.stdout.read(1 << 20):
        got.update(piece)
        count += len(piece)
        for name, pid in pids.items():
            peak[name] = max(peak.get(name, 0), resident(pid))
    t.join()
    s = seal.wait(30), unseal.wait(30)
    took = time.monotonic() - begun
    check(s == (0, 0) and (count == size or seconds == 20) and sent.digest() == got.digest(), f"{count >> 20} MiB: both ends equal", s, count, seal.stderr.read(), unseal.stderr.read())
    print(f"# {count / 1e6 / took:.0f} MB/s; resident kB: {peak}, service before: {before}")
    room = 400_000 if SANITIZED else 40_000
    check(peak["encrypt"] < room and peak["decrypt"] < room and peak["service"] < before + room, "in constant memory", peak, before)


def killed():
    """SIGKILL, SIGINT and SIGTERM at random points: no file of any name is left."""
    f = Folder()
    data = os.urandom(1 << 20) * 48
    put(f / "plain", data)
    check(cli("encrypt", "-i", f / "plain", "-o", f / "sealed")[0] == 0, "something to be killed over")
    begun = time.monotonic()
    cli("decrypt", "-i", f / "sealed", "-o", f / "plain")
    takes = time.monotonic() - begun
    for signo, wanted in ((signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 130)):
        bad, hit = [], 0
        for i in range(12):
            out = Folder()
            op, source = ("encrypt", "plain") if i % 2 else ("decrypt", "sealed")
            if i < 8:
                p = start(op, "-i", f / source, "-o", out / "out", "-q")
                time.sleep(random.uniform(0.01, takes))
            else:  # of these the end cannot come first
                p = start(op, "-o", out / "out", "-q", stdin=subprocess.PIPE)
                p.stdin.write(get(f / source)[:random.randrange(1, 30 << 20)])
                p.stdin.flush()
            p.send_signal(signo)
            status = p.wait(30)
            err = p.stderr.read().decode()
            p.stderr.close()
            hit += status != 0
            if status == 0 or (out.names() and i < 8):  # killed when it had its name already
                whole = out.names() == ["out"] and (get(out / "out") == data if op == "decrypt" else cli("decrypt", out / "out")[:2] == (0, data))
                bad += [] if whole else [(status, out.names())]
            elif out.names() or status not in (wanted, -signo):
                bad.append((status, out.names(), err))
        check(not bad and hit >= 4, f"{signal.Signals(signo).name} at random points: a whole file or none", bad, hit)
        print(f"# hit {hit} of 12")
    out = Folder()
    many = Folder()
    put(many / "0", data[:8 << 20])
    for i in range(1, MANY):
        os.link(many / "0", many / f"{i}")
    p = start("encrypt", "-i", many.path, "-o", out.path, "--jobs", "4")
    lib.until(lambda: len(out.names()) > 2)
    p.send_signal(signal.SIGTERM)
    status, err = p.wait(60), p.stderr.read().decode()
    good = all(cli("decrypt", out / n)[1] == data[:8 << 20] for n in out.names()[:3])
    check(status == 130 and "interrupted" in err and 0 < len(out.names()) < MANY and good and all(n.endswith(".encrypted") for n in out.names()),
          "a folder, interrupted: whole files only", status, err, out.names())


def service_dies():
    f = Folder()
    data = os.urandom(1 << 20) * 64
    put(f / "plain", data)
    check(cli("encrypt", "-i", f / "plain", "-o", f / "sealed")[0] == 0, "something to be lost")
    env = {**ENV, "NITROSEAL_CID": "41"}
    for op, source in (("encrypt", "plain"), ("decrypt", "sealed"), ("rewrap", "sealed")):
        service = the_stack.start_service(cid=41, name="service-dies")
        out = Folder()
        p = start(op, "-o", out / "out", "-q", env=env, stdin=subprocess.PIPE)
        half = get(f / source)[:20 << 20]
        t = threading.Thread(target=lambda: generate(p.stdin, 0, None))
        p.stdin.write(half)  # 20 of 64 MiB are on their way
        p.stdin.flush()
        service.kill()
        t.start()
        t.join()
        status, err = p.wait(30), p.stderr.read().decode()
        check(status == 3 and out.names() == [] and len(err.splitlines()) == 1, f"the service dies during {op}: 3, and no file", status, err, out.names())
    s, out, err = cli("encrypt", "--armor", "x", env=env)
    check(s == 3 and out == b"" and "could not reach" in err, "nobody there: 3", s, err)


class Fake:
    """A service that answers as it is told: a list of functions (connection, head, file)."""

    def __init__(self, *answers):
        self.path = os.path.join(the_stack.v, f"{random.randrange(1000, 60000)}.vsock_{lib.PORT}")
        self.cid = os.path.basename(self.path).split(".")[0]
        self.s = socket.socket(socket.AF_UNIX)
        self.s.bind(self.path)
        self.s.listen(5)
        self.answers, self.heads = list(answers), []
        self.t = threading.Thread(target=self.serve, daemon=True)
        self.t.start()

    def serve(self):
        for answer in self.answers:
            c, _ = self.s.accept()
            with c, c.makefile("rb") as r:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = r.readline()
                    if not line:
                        break
                    head += line
                self.heads.append(head)
                try:
                    answer(c, head, r)
                except OSError:
                    pass
        self.s.close()
        os.unlink(self.path)

    def run(self, *argv, stdin=b"hello", **how):
        env = {**ENV, "NITROSEAL_CID": self.cid, **how.pop("env", {})}
        answer = cli(*argv, env=env, stdin=stdin, **how)
        self.t.join(10)
        return answer


def body_of(head, r):
    fields = dict(l.split(b": ", 1) for l in head.split(b"\r\n")[1:] if b": " in l)
    if b"content-length" in fields:
        return r.read(int(fields[b"content-length"]))
    whole = b""
    while n := int(r.readline().split(b";")[0], 16):
        whole += r.read(n)
        r.readline()
    r.readline()
    return whole


def says(data, read=True, wait=0):
    def answer(c, head, r):
        if read:
            body_of(head, r)
        time.sleep(wait)
        c.sendall(data)
    return answer


def problem(status, **members):
    text = json.dumps({"title": "No", "status": status, **members}).encode()
    return b"HTTP/1.1 %d X\r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\n\r\n" % (status, len(text)) + text


HELD = says(b"HTTP/1.1 204 No Content\r\n\r\n")
STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
OK = b"0\r\nnitroseal-result: ok\r\n\r\n"


def hostile():
    """A stand-in for the service: what it says decides, and only a whole answer is one."""
    f = Folder()
    fake = Fake(HELD, says(STREAM + b"3\r\nabc\r\n" + OK))
    check(fake.run("decrypt", stdin=b"\x02\x04\x78") == (0, b"abc", ""), "the stand-in is understood")
    check(fake.heads[0].startswith(b"PUT /v1/credentials ") and fake.heads[1].startswith(b"POST /v1/messages/decrypt ") and
          b"transfer-encoding: chunked" in fake.heads[1], "credentials first, then the message", fake.heads)
    lies = {
        "no trailer": (STREAM + b"3\r\nabc\r\n0\r\n\r\n", 3), "another result": (STREAM + b"3\r\nabc\r\n0\r\nnitroseal-result: no\r\n\r\n", 3),
        "a length instead": (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nnitroseal-result: ok\r\n\r\nabc", 3),
        "until it closes": (b"HTTP/1.1 200 OK\r\nnitroseal-result: ok\r\n\r\nabc", 3), "cut in a chunk": (STREAM + b"3\r\nab", 3),
        "cut before the trailer": (STREAM + b"3\r\nabc\r\n0\r\n", 3), "cut in the trailer": (STREAM + b"3\r\nabc\r\n0\r\nnitroseal-result: ok\r\n", 3),
        "broken off": (STREAM + b'3\r\nabc\r\n1;nitroseal-error="message_not_authentic"\r\n', 5),
        "broken off, and an end all the same": (STREAM + b'1;nitroseal-error="message_not_authentic"\r\nx\r\n' + OK, 5),
        "broken off for another reason": (STREAM + b'1;nitroseal-error="stopping"\r\n', 1),
        "no HTTP": (b'{"error":"x"}', 3), "nothing": (b"", 3), "no chunks": (STREAM + b"zz\r\n", 3), "more than one answer": (STREAM + OK + b"x", 3),
        "another status": (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", 1), "HTML": (b"HTTP/1.1 502 X\r\ncontent-length: 6\r\n\r\n<html>", 1),
        "KMS refuses": (problem(403, code="kms_refused", kms_type="AccessDeniedException", kms_message="no \x1b[31m", kms_request_id="r-7"), 4),
        "another context": (problem(403, code="context_mismatch"), 5), "not authentic": (problem(422, code="message_not_authentic"), 5),
        "no message": (problem(400, code="message_malformed"), 6), "no credentials": (problem(503, code="no_credentials"), 7), "busy": (problem(503, code="busy"), 1),
    }
    for name, (data, status) in lies.items():
        put(f / "out", b"old")
        s, out, err = Fake(HELD, says(data)).run("decrypt", "-o", f / "out", stdin=b"\x02\x04\x78")
        check(s == status and out == b"" and get(f / "out") == b"old" and f.names() == ["out"] and len(err.splitlines()) == 1 and "\x1b" not in err,
              f"{name}: {status}, and no file", s, err, f.names())
    check("AccessDeniedException: no ?[31m (KMS request r-7)" in Fake(HELD, says(lies["KMS refuses"][0])).run("encrypt", "--armor")[2], "KMS's reason is passed on")
    s, out, err = Fake(HELD, says(STREAM + b"3\r\nabc\r\n" + OK, read=False)).run("encrypt", "-o", f / "out", stdin=b"x" * 50_000_000)
    check(s == 3 and get(f / "out") == b"old", "an end before all was sent is none", s, err)
    s, out, err = Fake(HELD, says(problem(413, code="message_limit"), read=False)).run("encrypt", "-o", f / "out", stdin=b"x" * 50_000_000)
    check(s == 6 and "No" in err, "a refusal is heard while it is still sending", s, err)
    s, out, err = Fake(HELD, says(STREAM + OK, wait=3)).run("encrypt", "-o", f / "out", "--timeout", "1")
    check(s == 3 and "in time" in err and get(f / "out") == b"old", "one that falls silent: 3", s, err)
    pieces = b"".join(b"1\r\n%c\r\n" % c for c in b"abcdefghijklmnop")

    def dribble(c, head, r):
        body_of(head, r)
        for byte in STREAM + pieces + OK:
            c.sendall(bytes([byte]))
            time.sleep(0.02)
    check(Fake(HELD, dribble).run("decrypt", "--timeout", "3", stdin=b"\x02\x04\x78") == (0, b"abcdefghijklmnop", ""), "slow is not silent; byte by byte")
    for status in (403, 404, 405):
        s, out, err = Fake(says(b"HTTP/1.1 %d No\r\ncontent-length: 0\r\n\r\n" % status), says(STREAM + OK)).run("encrypt", "-o", f / "out")
        check(s == 0, f"credentials that are not wanted ({status}) are no fault", s, err)
    s, out, err = Fake(says(problem(400, code="invalid_credentials"))).run("encrypt", "-o", f / "out2")
    check(s == 1 and not os.path.exists(f / "out2"), "credentials that are refused are one", s, err)
    fake = Fake(says(STREAM + OK))
    s, out, err = fake.run("encrypt", "--no-credentials", "-o", f / "out", env={"AWS_ACCESS_KEY_ID": "", "HOME": f.path})
    check(s == 0 and fake.heads[0].startswith(b"POST"), "--no-credentials", s, err)
    fake = Fake(says(STREAM + OK))
    s, out, err = cli("encrypt", "--gateway", "unix:" + fake.path, "-o", f / "out", env={"HOME": f.path}, stdin=b"x")
    check(s == 0 and fake.heads[0].startswith(b"POST"), "--gateway unix:PATH, without credentials", s, err)
    expired = problem(403, code="kms_refused", kms_type="ExpiredTokenException")
    fake = Fake(HELD, says(expired), HELD, says(STREAM + b"2\r\nok\r\n" + OK))
    s, out, err = fake.run("decrypt", "-i", put(f / "m", b"\x02\x04\x78"), "-o", "-")
    check((s, out, err) == (0, b"ok", "") and len(fake.heads) == 4, "expired credentials: once more with new ones", s, out, err)
    forgotten = problem(503, code="no_credentials")
    fake = Fake(HELD, says(forgotten), HELD, says(STREAM + b"2\r\nok\r\n" + OK))
    s, out, err = fake.run("decrypt", "-i", f / "m")
    check((s, out, err) == (0, b"ok", "") and fake.heads[2].startswith(b"PUT"), "a service that lost its credentials gets them again", s, out, err)
    fake = Fake(HELD, says(forgotten), HELD, says(forgotten))
    s, out, err = fake.run("decrypt", "-i", f / "m")
    check(s == 7 and len(fake.heads) == 4, "once", s, err)
    s, out, err = Fake(HELD, says(STREAM + b'1;nitroseal-error="read_timeout"\r\n')).run("encrypt", "-o", f / "out")
    check(s == 1 and "read-timeout" in err, "input that stood still", s, err)
    s, out, err = Fake(HELD, says(expired)).run("decrypt", "-o", f / "out", stdin=b"\x02\x04\x78")
    check(s == 4 and "Expired" in err, "a pipe cannot be read again", s, err)


def through_gateway():
    """The real gateway, over a Unix socket and over loopback: it brings credentials, and passes on whether an answer was whole."""
    f = Folder()
    port, sock = free_port(), f / "gw.sock"
    g = lib.Program("nitroseal", ["gateway", "--listen", f"unix:{sock}", "--listen", f"127.0.0.1:{port}", "--enclave", lib.CID], env=ENV, log=f / "gateway.log")
    lib.until(lambda: the_stack.answers(sock) or not g.alive(), what="nitroseal gateway")
    data = os.urandom(3_000_000)
    nobody = {"HOME": f.path}  # neither credentials nor an enclave
    for where in (f"unix:{sock}", f"127.0.0.1:{port}"):
        sealed = None

        def asked():
            nonlocal sealed
            s, sealed, err = cli("encrypt", "--gateway", where, "--encryption-context", "a=b", env=nobody, stdin=data)
            return s == 0

        check(lib.until(asked), f"encrypt through {where.split(':')[0]}")
        s, back, err = cli("decrypt", "--gateway", where, "--require-context", "a=b", "-q", env=nobody, stdin=sealed)
        check(s == 0 and back == data, "and decrypt", s, err)
        broken, left = bytearray(sealed), os.listdir(f.path)
        broken[-100] ^= 1
        s, out, err = cli("decrypt", "--gateway", where, "-o", f / "out", env=nobody, stdin=bytes(broken))
        check(s == 5 and os.listdir(f.path) == left, "a changed last frame, known when most has been sent: 5, and no file", s, err, os.listdir(f.path))
        s, out, err = cli("decrypt", "--gateway", where, "--require-context", "a=c", "-o", f / "out", env=nobody, stdin=sealed)
        check(s == 5 and not os.path.exists(f / "out"), "another context: 5", s, err)
    s, out, err = cli("decrypt", "--gateway", f"unix:{sock}", env=nobody, stdin=cli("encrypt", "x")[1])
    check(s == 2, "a seed message does not go there", s, err)
    g.stop()


def secrets():
    log = get(the_stack.log_of("service")).decode()
    check("op=message-encrypt" in log and the_stack.app.secret not in log, "nothing secret in the service's log")
    env = {k: v for k, v in ENV.items() if not k.startswith("AWS_ACCESS")}
    s, out, err = cli("encrypt", "--armor", "x", env={**env, "HOME": the_stack.dir})
    check(s == 7 and out == b"", "no credentials: 7", s, err)


if lib.missing_programs([*lib.PARTS, "nitroseal"]):
    check(False, "programs of the local stack: " + " ".join(lib.missing_programs()))
    lib.plan()
random.seed(20)
the_stack = lib.Stack().start()
ENV = the_stack.cli_env()
for part in (round_trips, forms, contexts, tampered, files, folders, terminal, large, killed, service_dies, hostile, through_gateway, secrets):
    part()
lib.plan()
