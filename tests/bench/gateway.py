"""`nitroseal gateway` between the load client and services: what it adds to a request's time and what it takes of the CPU,
beside the same requests without it in the same minutes; one enclave and two; large bodies and streams; what it takes when
there is nothing to do.

The gateway listens where a service with a CID of its own would, so the clients are those of the other parts, unchanged. One
machine carries everything: with its cores full, a second enclave adds nothing, and the gain only says that sharing costs
nothing. `of_cores` says how full they were."""
import json, os, statistics, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import service, streams

TARGETS = ["tests/bench/bench_stream"]
SECOND, THROUGH, THROUGH_TWO = 17, 90, 91  # CIDs; the last two are the gateway's, before one and two enclaves
MB = 1_000_000
CROWD = 4000
CONNECTIONS = 2 * (CROWD + 100)  # shared by two places that are listened on
REQUESTS = {  # each with what asks for it
    "random": ("--protocol", "binary", "--op", "random", "--bytes", 31),
    "encrypt": ("--protocol", "json", "--op", "encrypt", "--bytes", 100, "--keys", "held"),
}


class Bench:
    def __init__(self, build):
        os.environ["NITROSEAL_BUILD"] = build
        import gatewaylib, lib, loadlib
        self.lib, self.loadlib, self.build = lib, loadlib, build
        self.stack = lib.Stack(log_level="error").start()
        self.services = {lib.CID: self.stack.service, SECOND: self.stack.start_service(cid=SECOND, name="second")}
        self.gateways = {cid: gatewaylib.Gateway(self.stack.v, enclaves, ["--max-connections", CONNECTIONS, "--log-level", "error"], unix=self.path(cid),
                                                 env=self.stack.app.env(), log=self.stack.log_of(f"gateway{cid}"))
                         for cid, enclaves in ((THROUGH, [lib.CID]), (THROUGH_TWO, [lib.CID, SECOND]))}
        for g in self.gateways.values():  # a request that needs credentials is answered: they are there
            lib.until(lambda: g.ask("POST", "/v1/encrypt", {"message": "x"})[0] == 200, what="the gateway")

    def close(self):
        for p in (*self.gateways.values(), self.services[SECOND]):
            p.stop()
        self.stack.stop()

    def path(self, cid):
        return os.path.join(self.stack.v, f"{cid}.vsock_{self.lib.PORT}")

    def programs(self):
        s = self.stack
        return [*self.services.values(), *(g.program for g in self.gateways.values()), s.kms_program, s.proxy, s.nsm]

    def gateway_s(self, cid):
        return streams.cpu_s(self.gateways[cid].program.pid) if cid in self.gateways else 0

    def load(self, cid, *options):
        """The client's report; gateway_us: its CPU for a request."""
        before, all_before, used = self.gateway_s(cid), sum(streams.cpu_s(p.pid) for p in self.programs()), os.times()
        idle = service.core_s(service.cores())[0]
        p = subprocess.run([self.loadlib.LOAD, "--vsock", "unix:" + self.stack.v, "--cid", str(cid), *map(str, options)], capture_output=True, text=True, env=self.lib.CLEAN)
        if not p.stdout:
            raise RuntimeError("bench: load client failed: " + p.stderr.strip())
        r = json.loads(p.stdout)
        if r["failed"] + r["lost"] + r["twice"] + r["wrong"] or not r["requests"]:
            raise RuntimeError(f"bench: {r['failed']} requests through {cid} failed: {r['codes']} {p.stderr.strip()}")
        now = os.times()
        busy = sum(streams.cpu_s(q.pid) for q in self.programs()) - all_before + now.children_user + now.children_system - used.children_user - used.children_system
        idle = service.core_s(service.cores())[0] - idle
        r["gateway_us"] = (self.gateway_s(cid) - before) / r["requests"] * 1e6
        r["of_cores"] = busy / (busy + idle) if busy + idle else 0
        return r

    def message(self, cid, op, size, source="-", save=None, seconds=3600, count=1):
        argv = [os.path.join(self.build, "tests/bench/bench_stream"), self.path(cid), op, 1, size, seconds, count, "-", source, *([save] if save else [])]
        before = self.gateway_s(cid)
        p = subprocess.run([str(a) for a in argv], capture_output=True, text=True)
        if p.returncode:
            raise RuntimeError(f"bench: {op} of {size} through {cid}: {p.stderr.strip()}")
        r = json.loads(p.stdout)
        r["mb_s"] = r["bytes"] / r["seconds"] / 1e6
        r["gateway_ns_b"] = (self.gateway_s(cid) - before) / r["bytes"] * 1e9
        return r


def middle(runs, key):
    return statistics.median(r[key] for r in runs)


def added(bench, figures, runs, seconds):
    """One client, then eight: pairs of direct and through, so that what else the machine does meets both."""
    for name, request in REQUESTS.items():
        for clients in (1, 8):
            options = (*request, "--clients", clients, "--seconds", seconds)
            pairs = [(bench.load(bench.lib.CID, *options), bench.load(THROUGH, *options)) for _ in range(runs)]
            more = lambda key: (statistics.median(b[key] - a[key] for a, b in pairs) * 1000, "us")
            figures.row(f"gateway.{name}.c{clients}", direct_p50_us=(middle((a for a, _ in pairs), "p50_ms") * 1000, "us"), p50_us=(middle((b for _, b in pairs), "p50_ms") * 1000, "us"),
                        added_p50_us=more("p50_ms"), added_p99_us=more("p99_ms"), cpu_us=(middle((b for _, b in pairs), "gateway_us"), "us"),
                        rps=(middle((b for _, b in pairs), "rps"), "1/s"), rps_share=(statistics.median(b["rps"] / a["rps"] for a, b in pairs), ""))


def two(bench, figures, runs, seconds):
    for name, request in REQUESTS.items():
        options = (*request, "--clients", 64, "--seconds", seconds)
        pairs = [(bench.load(THROUGH, *options), bench.load(THROUGH_TWO, *options)) for _ in range(runs)]
        figures.row(f"gateway.two.{name}.c64", one_rps=(middle((a for a, _ in pairs), "rps"), "1/s"), two_rps=(middle((b for _, b in pairs), "rps"), "1/s"),
                    gain=(statistics.median(b["rps"] / a["rps"] for a, b in pairs), "x"), one_of_cores=(middle((a for a, _ in pairs), "of_cores"), ""),
                    two_of_cores=(middle((b for _, b in pairs), "of_cores"), ""), cpu_us=(middle((b for _, b in pairs), "gateway_us"), "us"))


def bodies(bench, figures, runs, seconds):
    options = ("--protocol", "binary", "--op", "encrypt", "--bytes", MB, "--clients", 4, "--seconds", seconds, "--same")
    pairs = [(bench.load(bench.lib.CID, *options), bench.load(THROUGH, *options)) for _ in range(runs)]
    figures.add("gateway.encrypt.1mb.mb_s", middle((b for _, b in pairs), "mb_s"), "MB/s", middle((a for a, _ in pairs), "mb_s"))
    figures.add("gateway.encrypt.1mb.cpu_us", middle((b for _, b in pairs), "gateway_us"), "us")


def messages(bench, figures, runs):
    """Both directions at the same time."""
    size, sealed = 100 * MB, bench.stack.path("message")
    bench.message(bench.lib.CID, "encrypt", size, save=sealed)
    for op, length, source in (("encrypt", size, "-"), ("decrypt", os.path.getsize(sealed), sealed)):
        pairs = [(bench.message(bench.lib.CID, op, length, source), bench.message(THROUGH, op, length, source)) for _ in range(runs)]
        figures.add(f"gateway.message.{op}.100mb.mb_s", middle((b for _, b in pairs), "mb_s"), "MB/s", middle((a for a, _ in pairs), "mb_s"))
        figures.add(f"gateway.message.{op}.100mb.cpu_ns_b", middle((b for _, b in pairs), "gateway_ns_b"), "ns/B")
    os.unlink(sealed)


def at_rest(bench, figures, seconds):
    """With two enclaves to look after: alone, and with connections that only wait. A gateway that nobody has used yet."""
    import crowd, gatewaylib
    path = bench.stack.path("rest.sock")
    g = gatewaylib.Gateway(bench.stack.v, [bench.lib.CID, SECOND], ["--max-connections", CONNECTIONS, "--log-level", "error"], unix=path, env=bench.stack.app.env(),
                           log=bench.stack.log_of("rest"))

    def rest():
        before, start = streams.cpu_s(g.program.pid), time.monotonic()
        time.sleep(seconds)
        return (streams.cpu_s(g.program.pid) - before) / (time.monotonic() - start) * 100

    time.sleep(0.5)
    alone, alone_kib = rest(), g.resident() / 1024
    figures.row("gateway.idle", cpu_percent=(alone, "% of a core"), rss_kib=(alone_kib, "KiB"))
    if crowd.allow_files(CROWD + 1000):
        kept = crowd.idle(path, CROWD)
        crowded, kib = rest(), g.resident() / 1024
        figures.row(f"gateway.idle.{CROWD}", cpu_percent=(crowded, "% of a core"), rss_kib=(kib, "KiB"), connection_kib=((kib - alone_kib) / CROWD, "KiB"))
        for s in kept:
            s.close()
    else:
        print("gateway: the limit of open files is too low for idle connections", flush=True)
    g.stop()


def measure(build, figures, runs, seconds):
    import crowd
    crowd.allow_files(CROWD + 1000)  # the gateways get it from here
    bench = Bench(build)
    try:
        added(bench, figures, runs, seconds)
        two(bench, figures, runs, seconds)
        bodies(bench, figures, runs, seconds)
        messages(bench, figures, runs)
        at_rest(bench, figures, max(5, seconds))
    finally:
        bench.close()
