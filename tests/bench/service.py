"""The service under load: requests a second, latency, what a request costs and where that goes, beside limits measured in
the same run. One machine carries all of it: client, relay, local KMS and service share its cores, so each figure
names who took how much CPU.

With "one core" the service has core 0 and everybody else core 1; with "two" nobody is bound."""
import os, re, shutil, statistics, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
TICK = os.sysconf("SC_CLK_TCK")
TEXT, CLIENTS, OPS = 100, (1, 8, 64), ("encrypt", "decrypt")
SIZES = (1000, 16_000, 256_000, 1_000_000, 4_000_000, 16_000_000, 64_000_000)
CONNECTIONS = (1, 10, 100, 1000, 10_000)
OFFERED = (0.5, 0.9, 1.5, 2, 3)
IDLE, HOSTILE = 5000, 200
# What the original does, measured on a machine of this kind: one client, `Hello`; CPU of its kmstool alone.
PEER_RPS, PEER_MS, PEER_CPU_US = {"encrypt": 9.4}, {"encrypt": 114.0}, {"encrypt": 101_000}

# Where CPU goes, by the function that was running.
PARTS = (
    ("RSA", r"bn_|BN_|[Rr][Ss][Aa]|mgf|OAEP|ossl_bn|consttime|constant_time"),
    ("ciphers, hashes, TLS", r"aes|gcm|ghash|sha\d|[Ss][Ss][Ll]|tls|EVP|evp|BIO|mem_(ctrl|read|write)|[Hh][Mm][Aa][Cc]|ossl_|CRYPTO_|OPENSSL_(?!cleanse)|ERR_|RAND|drbg|"
                             r"poly1305|chacha|sm3|md_|cms_|envelope|cipher"),
    ("parsing, writing", r"json|http1|parse|base64|proto_|api_|kms_|sigv4|span_|step_|enclave|cursor|printf|strchr|strcmp|strlen|memchr|hex"),
    ("copying, wiping", r"mem(move|set|cpy|cmp)|cleanse|bzero|buf_|secret_|wipe"),
    ("memory", r"malloc|free|calloc|realloc|unlink_chunk|arena"),
)


def cores():
    return sorted(os.sched_getaffinity(0))


def pin(pid, where):
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), where)


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def core_s(which):
    """Seconds that these cores have had nothing to do, and something."""
    idle = busy = 0
    with open("/proc/stat") as f:
        for line in f:
            words = line.split()
            if words[0] in [f"cpu{c}" for c in which]:
                idle += int(words[4]) + int(words[5])
                busy += sum(map(int, words[1:4] + words[6:9]))
    return idle / TICK, busy / TICK


OTHERS = []  # in each run the share of the cores' time that neither the stack nor the client took


class Bench:
    """A stack whose parts' CPU is watched."""

    def __init__(self, loadlib, options=(), one_core=False):
        self.loadlib = loadlib
        self.one_core = one_core and len(cores()) > 1
        options = [*options, "--max-connections", 20000, *(["--workers", 1] if self.one_core else [])]
        self.stack = loadlib.LoadStack(log_level="error", service_options=options).start()
        self.parts = {"service": self.stack.service, "kms": self.stack.kms_program, "relays": self.stack.proxy, "relay": self.stack.relay}
        if self.one_core:
            pin(self.stack.service.pid, cores()[:1])
            for p in (self.stack.kms_program, self.stack.proxy, self.stack.relay, self.stack.nsm):
                pin(p.pid, cores()[1:])
        self.stack.hold_credentials()

    def stop(self):
        self.stack.stop()
        self.stack.relay.stop()
        shutil.rmtree(self.stack.dir, ignore_errors=True)

    def rss_kib(self):
        return self.loadlib.held(self.stack.service.pid)["rss_kib"]

    def run(self, *options, during=None):
        """The report, with the CPU of each part: cpu_us per request that was answered well."""
        before = {k: cpu_s(p.pid) for k, p in self.parts.items()}
        watched = cores()[:1] if self.one_core else cores()
        idle, busy = core_s(watched)[0], core_s(cores())[1]
        used = os.times()
        children = used.children_user + used.children_system
        p = self.stack.load(*options)
        if self.one_core:
            pin(p.pid, cores()[1:])
            os.setpriority(os.PRIO_PROCESS, p.pid, 3)  # KMS and the relays come first: no client sits beside them elsewhere
        if during:
            during()
        out, err = p.communicate()
        if not out:
            raise SystemExit(f"bench: load client failed: {err}")
        r = self.loadlib.json.loads(out)
        if r["lost"] + r["twice"] + r["wrong"]:
            raise SystemExit(f"bench: the service did not answer as it should: {err}")
        used, idle = os.times(), core_s(watched)[0] - idle
        busy = core_s(cores())[1] - busy
        # The client is the only child that ended meanwhile.
        r["cpu"] = {k: cpu_s(q.pid) - before[k] for k, q in self.parts.items()} | {"client": used.children_user + used.children_system - children}
        mine = r["cpu"]["service"] if self.one_core else sum(r["cpu"].values())
        r["of_cores"] = mine / (mine + idle) if mine + idle else 0
        OTHERS.append(max(0.0, busy - sum(r["cpu"].values())) / (r["seconds"] * len(cores())))
        n = max(1, r["requests"])
        r["cpu_us"] = r["cpu"]["service"] / n * 1e6
        r["all_us"] = sum(r["cpu"].values()) / n * 1e6
        return r


class Echo:
    """The bare server on a socket of its own."""

    def __init__(self, build, how):
        self.dir = tempfile.mkdtemp(prefix="nse.")
        path = os.path.join(self.dir, "16.vsock_5000")
        self.p = subprocess.Popen([os.path.join(build, "tests/bench/bench_echo"), path, how])
        while not os.path.exists(path):
            time.sleep(0.01)

    def run(self, loadlib, *options):
        out = subprocess.run([loadlib.LOAD, "--vsock", "unix:" + self.dir, *map(str, options)], capture_output=True, text=True).stdout
        return loadlib.json.loads(out)

    def stop(self):
        self.p.terminate()
        self.p.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def median(runs, key):
    return statistics.median(r[key] for r in runs)


# --- small messages -------------------------------------------------------------------------------------------------


def small(build, loadlib, figures, limit, runs, seconds):
    rsa_us = limit["rsa2048.oaep_open_us"]
    charts = {}
    for one_core in (True, False) if len(cores()) > 1 else (False,):
        bench = Bench(loadlib, one_core=one_core)
        where = "core1." if one_core else ""
        bench.run("--protocol", "json", "--clients", 8, "--seconds", 1)
        for op in OPS:
            for clients in CLIENTS:
                all_runs = [bench.run("--protocol", "json", "--keys", "sent", "--op", op, "--bytes", TEXT, "--clients", clients, "--seconds", seconds)
                            for _ in range(runs)]
                for r in all_runs:
                    r["rsa_share"] = rsa_us / r["cpu_us"] if r["cpu_us"] else 0
                key = f"{op}.{where}c{clients}"
                figures.row(key, rps=(median(all_runs, "rps"), "1/s"), p50_ms=(median(all_runs, "p50_ms"), "ms"), p99_ms=(median(all_runs, "p99_ms"), "ms"),
                            p999_ms=(median(all_runs, "p999_ms"), "ms"), cpu_us=(median(all_runs, "cpu_us"), "us"), all_us=(median(all_runs, "all_us"), "us"),
                            rsa_share=(median(all_runs, "rsa_share"), ""), of_cores=(median(all_runs, "of_cores"), ""), errors=(sum(r["errors"] for r in all_runs), ""))
                name = f"{op}, {'one core' if one_core else 'two cores'}"
                charts.setdefault("rps", {}).setdefault(name, []).append((clients, median(all_runs, "rps")))
                for p in ("p50_ms", "p99_ms", "p999_ms"):
                    if not one_core and op == "encrypt":
                        charts.setdefault("latency", {}).setdefault(p.replace("_ms", ""), []).append((clients, median(all_runs, p)))
                if clients == max(CLIENTS) and not one_core and op == "encrypt":
                    figures.add("service.rss_load_kib", bench.rss_kib(), "KiB")
                    for part, used in all_runs[-1]["cpu"].items():
                        figures.add(f"cpu.{part}_us", used / max(1, all_runs[-1]["requests"]) * 1e6, "us")
        if not one_core:
            r = bench.run("--protocol", "seed", "--bytes", TEXT, "--clients", 8, "--seconds", seconds)
            figures.row("encrypt.seed.c8", rps=(r["rps"], "1/s"), p50_ms=(r["p50_ms"], "ms"), p99_ms=(r["p99_ms"], "ms"), cpu_us=(r["cpu_us"], "us"))
            r = bench.run("--protocol", "json", "--op", "batch", "--batch", 100, "--bytes", TEXT, "--clients", 4, "--seconds", seconds)
            figures.row("batch100.c4", rps=((r["requests"] + r["refused"]) / r["seconds"], "1/s"), cpu_us=(r["cpu_us"], "us"))
            by_part(bench, figures, seconds, charts)
        bench.stop()
    return charts


def by_part(bench, figures, seconds, charts):
    """perf on the running service, one sample to the function that ran."""
    if not shutil.which("perf"):
        print("cpu by part: perf is not installed (package linux-perf)", flush=True)
        return
    for op in OPS:
        with tempfile.TemporaryDirectory() as d:
            data = os.path.join(d, "perf.data")
            record = ["perf", "record", "-q", "-F", "499", "-o", data, "-p", str(bench.stack.service.pid), "--", "sleep", str(max(2, seconds))]
            r = bench.run("--protocol", "json", "--op", op, "--bytes", TEXT, "--clients", 8, "--seconds", max(2, seconds) + 1,
                          during=lambda: subprocess.run(record, capture_output=True))
            report = subprocess.run(["perf", "report", "-i", data, "--stdio", "--no-children", "-g", "none", "-s", "symbol"],
                                    capture_output=True, text=True).stdout
        shares, other = dict.fromkeys([name for name, _ in PARTS] + ["kernel", "other"], 0.0), []
        for percent, kind, symbol in re.findall(r"^ *([0-9.]+)% +\[(.)\] +(\S+)", report, re.M):
            name = "kernel" if kind == "k" else next((n for n, words in PARTS if re.search(words, symbol)), "other")
            shares[name] += float(percent) / 100
        if not sum(shares.values()):
            print("cpu by part: perf may not look at the service here", flush=True)
            return
        total = sum(shares.values())
        figures.row(f"{op}.part_us", **{re.sub(r"\W+", "_", n): (v / total * r["cpu_us"], "us") for n, v in shares.items()})
        charts.setdefault("parts", {})[op] = {n: v / total * r["cpu_us"] for n, v in shares.items()}


# --- what needs no KMS, large messages, many connections ------------------------------------------------------------


def local(build, loadlib, figures, runs, seconds):
    bench, echo = Bench(loadlib), Echo(build, "answer")
    for op, name, more in (("health", "healthz", ()), ("random", "random32", ("--bytes", 31, "--protocol", "binary"))):
        pairs = []
        for _ in range(runs):
            bare = echo.run(loadlib, "--protocol", "json", "--op", "health", "--clients", 8, "--seconds", seconds)
            pairs.append((bench.run("--protocol", "json", "--op", op, "--clients", 8, "--seconds", seconds, *more), bare))
        figures.add(f"{name}.rps", statistics.median(a["rps"] for a, _ in pairs), "1/s", statistics.median(b["rps"] for _, b in pairs))
        figures.add(f"{name}.cpu_us", statistics.median(a["cpu_us"] for a, _ in pairs), "us")
    figures.add("limit.echo_rps", statistics.median(b["rps"] for _, b in pairs), "1/s")
    echo.stop()
    bench.stop()


def sizes(build, loadlib, figures, limit, runs, seconds, quick):
    """With as many clients as fill the cores. cipher_share is what GCM, HMAC and the RSA operation of a message take by
    themselves, over what the service took for it."""
    bench = Bench(loadlib, options=["--max-request", 1 << 27, "--max-buffered", 1 << 30, "--read-timeout", 60000])
    echo = Echo(build, "echo")
    charts = {name: [] for name in ("encrypt", "decrypt", "echo")}
    for size in SIZES[::2] if quick else SIZES:
        clients = 8 if size <= 4_000_000 else 4
        need_us = size / limit["gcm_hmac.mb_s"] + limit["rsa2048.oaep_open_us"]
        common = ["--bytes", size, "--clients", clients, "--seconds", seconds, "--same"]
        bare = statistics.median(echo.run(loadlib, "--protocol", "raw", *common)["mb_s"] for _ in range(runs))
        row = {"echo_mb_s": (bare, "MB/s")}
        charts["echo"].append((size, bare))
        for op in OPS:
            all_runs = [bench.run("--protocol", "binary", "--op", op, *common) for _ in range(runs)]
            mb_s = statistics.median(r["mb_s"] for r in all_runs)
            row[f"{op}_mb_s"] = (mb_s, "MB/s")
            row[f"{op}_cpu_mb_s"] = (size / statistics.median(r["cpu_us"] for r in all_runs), "MB/s")
            row[f"{op}_all_mb_s"] = (size / statistics.median(r["all_us"] for r in all_runs), "MB/s")
            row[f"{op}_of_cores"] = (median(all_runs, "of_cores"), "")
            row[f"{op}_cipher_share"] = (need_us / median(all_runs, "cpu_us"), "")
            charts[op].append((size, mb_s))
            if size == 1_000_000:
                # What each costs the service, beside what the ciphers alone cost: the client and the socket have the other core.
                figures.add(f"{op}.1mb.mb_s", mb_s, "MB/s", limit.get("gcm_hmac.mb_s"))
                figures.add(f"{op}.1mb.of_cores", median(all_runs, "of_cores"), "")
                figures.add(f"{op}.1mb.p50_ms", median(all_runs, "p50_ms"), "ms")
        figures.row(f"size.{size}", **row)
    charts["GCM and HMAC, one core"] = [(s, limit["gcm_hmac.mb_s"]) for s, _ in charts["echo"]]
    echo.stop()
    bench.stop()
    return charts


def connections(loadlib, crowd, figures, seconds, quick):
    """What they cost when all of them are used in turn, and when they only wait."""
    bench, charts = Bench(loadlib), {"requests/s": []}
    costs = {"service CPU, us": []}
    if not crowd.allow_files(max(CONNECTIONS) + 1000):
        print("connections: the limit of open files is too low", flush=True)
        return {}, {}
    base = bench.rss_kib()
    kept = crowd.idle(bench.stack.where(), 1000 if quick else 10_000)
    figures.add("connection.idle_kib", (bench.rss_kib() - base) / len(kept), "KiB")
    for s in kept:
        s.close()
    for n in CONNECTIONS[::2] if quick else CONNECTIONS:
        # Those past --max-running are refused; a batch of this size never is under way here.
        r = bench.run("--protocol", "json", "--op", "health", "--clients", n, "--seconds", seconds)
        figures.row(f"connections.{n}", rps=(r["rps"], "1/s"), p50_ms=(r["p50_ms"], "ms"), p99_ms=(r["p99_ms"], "ms"), cpu_us=(r["cpu_us"], "us"),
                    rss_kib=(bench.rss_kib(), "KiB"))
        charts["requests/s"].append((n, r["rps"]))
        costs["service CPU, us"].append((n, r["cpu_us"]))
    bench.stop()
    return charts, costs


# --- bad company, too much work -----------------------------------------------------------------------------------------


def disturbed(loadlib, crowd, figures, runs, seconds):
    """Pairs: undisturbed, then beside the crowd."""
    if not crowd.allow_files(IDLE + 1000):
        return
    bench, ratios, costs = Bench(loadlib, one_core=True), [], []
    work = ["--protocol", "json", "--op", "encrypt", "--bytes", TEXT, "--clients", 8, "--seconds", seconds]
    bench.run(*work)
    for i in range(runs):
        alone = bench.run(*work)
        idle = crowd.idle(bench.stack.where(), IDLE)
        hostile = crowd.Hostile(bench.stack.where(), HOSTILE, seed=i)
        time.sleep(1)
        beside = bench.run(*work)
        hostile.stop()
        for s in idle:
            s.close()
        time.sleep(0.5)
        ratios.append(beside["rps"] / alone["rps"])
        costs.append(beside["cpu_us"] / alone["cpu_us"])
        if beside["failed"]:
            print(f"bench: {beside['failed']} requests failed beside the crowd: {beside['codes']}", flush=True)
    figures.add("crowd.rps_share", statistics.median(ratios), "")
    figures.add("crowd.cpu_ratio", statistics.median(costs), "")
    bench.stop()


def overload(loadlib, figures, runs, seconds, quick):
    """Requests that arrive whether or not the service keeps up; capacity is measured before and after each such stretch."""
    bench = Bench(loadlib, one_core=True)
    common = ["--protocol", "json", "--op", "encrypt", "--bytes", TEXT, "--keys", "held", "--seconds", seconds]
    charts, capacities = {"answered": [], "refused": []}, []
    bench.run(*common, "--clients", 64)
    for times in OFFERED[-1:] if quick else OFFERED:
        points = []
        for _ in range(runs):
            before = bench.run(*common, "--clients", 64)
            r = bench.run(*common, "--clients", 4000, "--rate", max(1, int(before["rps"] * times)))
            full = bench.run(*common, "--clients", 64)
            capacity = (before["rps"] + full["rps"]) / 2
            capacities.append(capacity)
            busy = r["codes"].get("busy", 0)
            # What the answered ones took of the service is what they take at capacity; the rest went into refusals.
            refusal_us = (r["cpu"]["service"] * 1e6 - r["requests"] * (before["cpu_us"] + full["cpu_us"]) / 2) / busy if busy else 0
            points.append({"offered": r["started"] / r["seconds"], "share": r["rps"] / capacity, "refused": busy / r["seconds"], "refusal_us": max(0.0, refusal_us),
                           **{k: r[k] for k in ("rps", "p50_ms", "p99_ms", "failed_p99_ms", "unsent")}})
        m = lambda key: median(points, key)
        figures.row(f"overload.x{times:g}", offered_rps=(m("offered"), "1/s"), goodput_share=(m("share"), ""), p50_ms=(m("p50_ms"), "ms"),
                    p99_ms=(m("p99_ms"), "ms"), refused_rps=(m("refused"), "1/s"), refused_p99_ms=(m("failed_p99_ms"), "ms"),
                    refusal_us=(m("refusal_us"), "us"), unsent=(m("unsent"), ""))
        charts["answered"].append((m("offered"), m("rps")))
        charts["refused"].append((m("offered"), m("refused")))
    figures.add("overload.capacity_rps", statistics.median(capacities), "1/s")
    bench.stop()
    return charts


# --- the original ---------------------------------------------------------------------------------------------------------


def beside_the_original(build, loadlib, figures, calls):
    """Its design again with our parts: for each request one process, one RSA key, one document, one handshake."""
    bench = Bench(loadlib)
    env = {**loadlib.lib.CLEAN, **bench.stack.settings(), **bench.stack.app.env()}
    argv = [os.path.realpath(os.path.join(build, "bin/kmstool_enclave_cli")), "genkey", "--key-id", bench.stack.arn, "--key-spec", "AES-256"]
    took, used = [], os.times()
    began, cpu = time.monotonic(), used.children_user + used.children_system
    for _ in range(calls):
        start = time.monotonic()
        p = subprocess.run(argv, env=env, capture_output=True)
        if p.returncode:
            raise SystemExit("bench: kmstool_enclave_cli failed: " + p.stderr.decode())
        took.append((time.monotonic() - start) * 1000)
    used = os.times()
    alone_rps, alone_ms = calls / (time.monotonic() - began), statistics.median(took)
    alone_us = (used.children_user + used.children_system - cpu) / calls * 1e6
    figures.row("design.process_per_request", rps=(alone_rps, "1/s"), p50_ms=(alone_ms, "ms"), cpu_us=(alone_us, "us"))
    one = bench.run("--protocol", "json", "--op", "encrypt", "--bytes", 5, "--clients", 1, "--seconds", 2)
    many = bench.run("--protocol", "json", "--op", "encrypt", "--bytes", 5, "--clients", 64, "--seconds", 2)
    figures.add("design.times_throughput", many["rps"] / alone_rps, "x")
    figures.add("design.times_latency", alone_ms / one["p50_ms"], "x")
    figures.add("design.times_cpu", alone_us / many["cpu_us"], "x")
    figures.add("peer.encrypt_rps", PEER_RPS["encrypt"], "1/s")
    figures.add("peer.encrypt_ms", PEER_MS["encrypt"], "ms")
    figures.add("peer.times_cpu", PEER_CPU_US["encrypt"] / many["cpu_us"], "x")
    figures.add("peer.times_throughput", many["rps"] / PEER_RPS["encrypt"], "x", 300)
    figures.add("peer.times_latency", PEER_MS["encrypt"] / one["p50_ms"], "x", 100)
    bench.stop()


def measure(build, figures, limit, runs, seconds, quick):
    os.environ["NITROSEAL_BUILD"] = build
    import crowd, loadlib, plot
    out = os.path.join(build, "bench")
    os.makedirs(out, exist_ok=True)
    svg = lambda name: os.path.join(out, name + ".svg")
    charts = small(build, loadlib, figures, limit, runs, seconds)
    plot.lines(svg("throughput"), "Requests a second, 100 bytes", "clients", "requests/s", charts["rps"], log_x=True)
    plot.lines(svg("latency"), "Latency of encrypt, two cores", "clients", "ms", charts["latency"], log_x=True, log_y=True)
    if "parts" in charts:
        plot.bars(svg("cpu"), "CPU of the service for one request", "us", charts["parts"])
    local(build, loadlib, figures, runs, min(seconds, 2))
    plot.lines(svg("sizes"), "Message size and throughput", "bytes", "MB/s", sizes(build, loadlib, figures, limit, runs, min(seconds, 2), quick), log_x=True)
    rates, costs = connections(loadlib, crowd, figures, min(seconds, 2), quick)
    if rates:
        plot.lines(svg("connections"), "GET /healthz over many connections", "connections", "requests/s", rates, log_x=True)
        plot.lines(svg("connection-cost"), "What a request costs", "connections", "us", costs, log_x=True)
    disturbed(loadlib, crowd, figures, runs, seconds)
    plot.lines(svg("overload"), "Overload: what arrives and what becomes of it", "requests/s that arrive", "requests/s",
               overload(loadlib, figures, runs, min(seconds, 3), quick))
    beside_the_original(build, loadlib, figures, 10 if quick else 40)
    others = statistics.median(OTHERS)
    figures.add("machine.others_share", others, "")
    if others > 0.05:
        print(f"bench: other work took {others:.0%} of the cores meanwhile: rates and latencies count for little, CPU and ratios for more", flush=True)
    print(f"plots: {out}/*.svg", flush=True)
