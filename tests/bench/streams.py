"""Messages of the AWS Encryption SDK's format through the service and the command line: MB/s of 1 MB to 4 GB, and 1 KB
messages a second with the cache of data keys off and on, beside what the machine would let through in the same minutes (the
same client through a relay that only copies), AWS's SDK for JavaScript (raw AES key, no KMS) and age.

One machine carries client, service, KMS and relays. `cpu_ns_b` and `cpu_us` are what the service alone used: they
say what changed where the wall clock says what else ran."""
import glob, json, os, shutil, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
TARGETS = ["tests/bench/bench_stream"]
SUITES = (("", "0x0478"), ("_signed", "0x0578"))
MB, SMALL, CACHED = 1_000_000, 1024, 41  # CACHED: the CID of the service that keeps keys
PATH_SHARE, CACHE_GAIN, SDK_GAIN = 0.6, 20, 5  # aims


def cpu_s(pid):
    """Of all its threads, in ns steps."""
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with open(path) as f:
            total += int(f.read().split()[0])
    return total / 1e9


def size_name(n):
    return f"{n // 10**9}gb" if n >= 10**9 else f"{n // MB}mb"


class Bench:
    def __init__(self, folder, scratch):
        os.environ["NITROSEAL_BUILD"] = os.path.abspath(folder)
        import lib, messages
        self.lib, self.scratch = lib, scratch
        self.client = os.path.join(folder, "tests/bench/bench_stream")
        self.stack = lib.Stack().start()
        self.services = {lib.CID: self.stack.service}
        keeps = ["--cache-age", 600, "--cache-messages", 1 << 32, "--cache-bytes", 1 << 40]
        self.services[CACHED] = self.stack.start_service(cid=CACHED, name="cached", options=keeps)
        for cid in self.services:
            messages.hold(self.stack, cid)

    def close(self):
        self.services[CACHED].stop()
        self.stack.stop()

    def run(self, cid, op, size, seconds, count=0, clients=1, suite="0x0478", source="-", save=None):
        """`cid` None: the relay. `size`: of what is sent."""
        where = "echo" if cid is None else os.path.join(self.stack.v, f"{cid}.vsock_{self.lib.PORT}")
        header = f"Nitroseal-Suite: {suite}" if op == "encrypt" else "-"
        argv = [self.client, where, op, clients, size, seconds, count, header, source, *([save] if save else [])]
        before = cpu_s(self.services[cid].pid) if cid else 0
        p = subprocess.run([str(a) for a in argv], capture_output=True, text=True)
        if p.returncode:
            raise RuntimeError(f"bench: {op} of {size}: {p.stderr.strip()}")
        got = json.loads(p.stdout)
        got["cpu"] = cpu_s(self.services[cid].pid) - before if cid else got["relay_cpu_s"]
        got["mb_s"] = got["bytes"] / got["seconds"] / 1e6
        got["rps"] = got["messages"] / got["seconds"]
        return got

    def seal(self, size, suite, cid=CACHED, source="-"):
        path = os.path.join(self.scratch, "message")
        self.run(cid, "encrypt", size, 3600, 1, suite=suite, source=source, save=path)
        return path


def middle(runs, key):
    return statistics.median(r[key] for r in runs)


def window(size, seconds):
    """A large message is one run whatever it takes."""
    return (3600, 1) if size >= 10**9 else (seconds, 0)


def streams(bench, figures, sizes, runs, seconds):
    """Paths through the service; each run beside one of the relay."""
    for size in sizes:
        name = size_name(size)
        for mark, suite in SUITES:
            sealed = bench.seal(size, suite)
            for op in ("encrypt", "decrypt"):
                bare, got = [], []
                for _ in range(runs):
                    bare.append(bench.run(None, op, size, *window(size, seconds)))
                    length, source = (size, "-") if op == "encrypt" else (os.path.getsize(sealed), sealed)
                    got.append(bench.run(bench.lib.CID, op, length, *window(size, seconds), suite=suite, source=source))
                figures.add(f"message.{op}{mark}.{name}.mb_s", middle(got, "mb_s"), "MB/s", middle(bare, "mb_s"))
                figures.add(f"message.{op}{mark}.{name}.cpu_ns_b", sum(r["cpu"] for r in got) / sum(r["bytes"] for r in got) * 1e9, "ns/B")
                if size == MB:
                    kept = [bench.run(CACHED, op, length, seconds, suite=suite, source=source) for _ in range(runs)]
                    figures.add(f"message.{op}{mark}.{name}_cached.mb_s", middle(kept, "mb_s"), "MB/s", middle(bare, "mb_s"))
            os.unlink(sealed)


def small(bench, figures, runs, seconds):
    """1 KB after 1 KB over connections that stay. Figures' limit: the same through the relay; of gain: the aim."""
    sealed = bench.seal(SMALL, "0x0478")
    for op, length, source in (("encrypt", SMALL, "-"), ("decrypt", os.path.getsize(sealed), sealed)):
        for clients in (1, 8):
            name = f"message.1kb.{op}.c{clients}"
            bare, off, on = [], [], []
            for _ in range(runs):
                bare.append(bench.run(None, op, SMALL, seconds, clients=clients))
                off.append(bench.run(bench.lib.CID, op, length, seconds, clients=clients, source=source))
                on.append(bench.run(CACHED, op, length, seconds, clients=clients, source=source))
            for kind, got in (("uncached", off), ("cached", on)):
                figures.add(f"{name}.{kind}.rps", middle(got, "rps"), "1/s", middle(bare, "rps"))
                figures.add(f"{name}.{kind}.cpu_us", sum(r["cpu"] for r in got) / sum(r["messages"] for r in got) * 1e6, "us")
            figures.add(f"{name}.cache_gain", statistics.median(b["rps"] / a["rps"] for a, b in zip(off, on)), "x", CACHE_GAIN)
    os.unlink(sealed)


def timed(argv, source, env=None):
    """Seconds of a program that reads `source` (its own argument where None) and whose output nobody keeps."""
    with open(source or os.devnull, "rb") as f:
        start = time.perf_counter()
        subprocess.run(argv, stdin=f, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True, env=env)
        return time.perf_counter() - start


def command_line(bench, figures, files, runs):
    """File in, nothing kept: start of the program, connection and KMS's answer are in it."""
    env = {**bench.lib.CLEAN, **bench.stack.cli_env()}
    program = os.path.join(bench.lib.BIN, "nitroseal")
    for size, path in files.items():
        for mark, suite in SUITES:
            sealed = bench.seal(size, suite, source=path)
            for op, source, more in (("encrypt", path, ["--suite", suite]), ("decrypt", sealed, [])):
                argv = [program, op, "--quiet", "--timeout", "3600", "-i", source, "-o", "-", *more]
                took = statistics.median(timed(argv, None, env) for _ in range(runs))
                figures.add(f"cli.{op}{mark}.{size_name(size)}.mb_s", size / took / 1e6, "MB/s")
            os.unlink(sealed)


def js(bench, figures, files, seconds):
    found = subprocess.run([os.path.join(bench.lib.ROOT, "tools/js-sdk")], capture_output=True, text=True)
    if found.returncode:
        print("bench: without the SDK for JavaScript: " + found.stderr.strip(), file=sys.stderr)
        return

    def node(*args):
        argv = ["node", os.path.join(HERE, "streams.cjs"), found.stdout.strip(), *map(str, args)]
        return json.loads(subprocess.run(argv, check=True, capture_output=True, text=True, env={**bench.lib.CLEAN, "NODE_NO_WARNINGS": "1"}).stdout)

    sealed = os.path.join(bench.scratch, "message")
    for size, path in files.items():
        for mark, suite in SUITES:
            theirs = {"encrypt": node("encrypt", suite, path)["seconds"]}
            node("encrypt", suite, path, sealed)
            theirs["decrypt"] = node("decrypt", suite, sealed)["seconds"]
            os.unlink(sealed)
            for op, took in theirs.items():
                name = f"{op}{mark}.{size_name(size)}"
                figures.add(f"js.{name}.mb_s", size / took / 1e6, "MB/s")
                for ours in ("message", "cli"):
                    figures.add(f"{ours}.{name}.over_js", figures.all[f"{ours}.{name}.mb_s"]["value"] / (size / took / 1e6), "x", SDK_GAIN)
    rates = node("small", "0x0478", SMALL, seconds)
    for op, rate in rates.items():
        figures.add(f"js.1kb.{op}.rps", rate, "1/s")
        figures.add(f"message.1kb.{op}.c1.cached.over_js", figures.all[f"message.1kb.{op}.c1.cached.rps"]["value"] / rate, "x", SDK_GAIN)


def age(bench, figures, files, runs):
    if not shutil.which("age-keygen"):
        print("bench: without age, which is not installed", file=sys.stderr)
        return
    key, sealed = os.path.join(bench.scratch, "age-key"), os.path.join(bench.scratch, "age")
    subprocess.run(["age-keygen", "-o", key], check=True, capture_output=True)
    to = subprocess.run(["age-keygen", "-y", key], check=True, capture_output=True, text=True).stdout.strip()
    for size, path in files.items():
        subprocess.run(["age", "-r", to, "-o", sealed, path], check=True)
        for op, argv, source in (("encrypt", ["age", "-r", to], path), ("decrypt", ["age", "-d", "-i", key], sealed)):
            took = statistics.median(timed(argv, source) for _ in range(runs))
            figures.add(f"age.{op}.{size_name(size)}.mb_s", size / took / 1e6, "MB/s")
        os.unlink(sealed)


def make_file(path, size, piece=os.urandom(1 << 20)):
    with open(path, "wb") as f:
        for at in range(0, size, len(piece)):
            f.write(piece[:size - at])


def roomy(largest):
    """A folder in memory if three times the largest fits there, so that no disk is measured."""
    shm = "/dev/shm"
    if os.path.isdir(shm):
        there = os.statvfs(shm)
        with open("/proc/meminfo") as f:
            free = next(int(line.split()[1]) * 1024 for line in f if line.startswith("MemAvailable"))
        if min(there.f_bavail * there.f_frsize, free) > 3 * largest:
            return shm
    return None


def measure(folder, figures, runs, seconds, quick):
    sizes = (MB, 100 * MB, 256 * MB if quick else 4000 * MB)
    scratch = tempfile.mkdtemp(prefix="nsb.", dir=roomy(sizes[-1]))
    bench = None
    try:
        bench = Bench(folder, scratch)
        streams(bench, figures, sizes, runs, seconds)
        small(bench, figures, runs, seconds)
        files = {size: os.path.join(scratch, size_name(size)) for size in sizes}
        for size, path in files.items():
            make_file(path, size)
        command_line(bench, figures, files, runs)
        js(bench, figures, files, seconds)
        age(bench, figures, files, runs)
    finally:
        if bench:
            bench.close()
        shutil.rmtree(scratch, ignore_errors=True)
