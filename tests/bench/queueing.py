#!/usr/bin/python3
"""How many requests an enclave of so many cores bears: a simulation of its queues, with what `./bench` measured.

    tests/bench/queueing.py [--bench build/bench.json] [--cores 1,2,4] [--kms-ms 10] [--kms-connections 64]
                            [--max-running 512] [--enclaves 1] [--quota 10000] [--requests 100000]

A request arrives at random (Poisson), is refused if --max-running are inside, takes CPU until the call to KMS is made,
waits for one of the connections to KMS and for the answer, and takes CPU until it is answered. CPU is one queue for all cores of
the enclave; times of KMS are log-normal. Printed for rising load: how busy cores and connections are, latency, and what is refused.
"""
import argparse, heapq, json, math, os, random

KMS_SIGMA = 0.5  # of the logarithm: the 99th percentile is 3.2 times the median
FRONT = 0.1      # share of the CPU before the call: parsing and signing; RSA comes after


class Servers:
    """`n` servers and one line before them, first come, first served."""

    def __init__(self, n):
        self.n, self.busy, self.line, self.work_s, self.longest = n, 0, [], 0.0, 0

    def begin(self, job, now, events, duration):
        self.busy += 1
        self.work_s += duration
        heapq.heappush(events, (now + duration, next_tie(), job))


_tie = 0


def next_tie():
    global _tie
    _tie += 1
    return _tie


def simulate(rate, stages, requests, limit=0, seed=1, warm=0.1):
    """`stages`: list of (servers, draw), each passed in turn; the same Servers may come twice. `limit`: requests inside, 0: any.
    Returns latencies (s) after the warm-up, refused share, share of time that each distinct Servers was busy, mean number inside."""
    rng = random.Random(seed)
    events, inside, refused, done, arrived = [], 0, 0, [], 0
    now, area = 0.0, 0.0
    heapq.heappush(events, (rng.expovariate(rate), next_tie(), None))
    distinct = list(dict.fromkeys(s for s, _ in stages))
    for s in distinct:
        s.busy, s.line, s.work_s, s.longest = 0, [], 0.0, 0
    skip = int(requests * warm)

    def enter(job):
        servers, draw = stages[job[1]]
        if servers.busy < servers.n:
            servers.begin(job, now, events, draw(rng))
        else:
            servers.line.append(job)
            servers.longest = max(servers.longest, len(servers.line))

    heads = {s: 0 for s in distinct}
    while events:
        at, _, job = heapq.heappop(events)
        area += inside * (at - now)
        now = at
        if job is None:
            arrived += 1
            if arrived < requests:
                heapq.heappush(events, (now + rng.expovariate(rate), next_tie(), None))
            if limit and inside >= limit:
                refused += 1
                continue
            inside += 1
            enter([now, 0, arrived])
            continue
        servers = stages[job[1]][0]
        servers.busy -= 1
        if heads[servers] < len(servers.line):
            following = servers.line[heads[servers]]
            heads[servers] += 1
            if heads[servers] > 4096:
                del servers.line[:heads[servers]]
                heads[servers] = 0
            servers.begin(following, now, events, stages[following[1]][1](rng))
        job[1] += 1
        if job[1] < len(stages):
            enter(job)
        else:
            inside -= 1
            if job[2] > skip:
                done.append(now - job[0])
    return {"latency_s": sorted(done), "refused": refused / requests, "busy": [s.work_s / (s.n * now) for s in distinct],
            "inside": area / now, "seconds": now, "served": requests - refused}


def percentile(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))] if sorted_values else 0.0


def erlang_c(c, load):
    """Probability that one waits in M/M/c; `load` is arrival rate times mean service time."""
    top = load ** c / math.factorial(c) * c / (c - load)
    return top / (sum(load ** k / math.factorial(k) for k in range(c)) + top)


def erlang_b(c, load):
    """Share that is turned away in M/M/c/c."""
    b = 1.0
    for k in range(1, c + 1):
        b = load * b / (k + load * b)
    return b


def lognormal(median_s, sigma):
    return lambda rng: rng.lognormvariate(math.log(median_s), sigma)


def enclave(cores, cpu_us, kms_ms, kms_connections):
    """Stages of one request. Half of each CPU time varies, as measured requests do."""
    cpu, kms = Servers(cores), Servers(kms_connections)
    part = lambda us: (lambda rng: us * (0.5 + rng.expovariate(1) * 0.5) / 1e6)
    return [(cpu, part(cpu_us * FRONT)), (kms, lognormal(kms_ms / 1000, KMS_SIGMA)), (cpu, part(cpu_us * (1 - FRONT)))]


def bounds(cores, cpu_us, kms_ms, kms_connections):
    """Requests a second that cores and connections allow at best."""
    mean_ms = kms_ms * math.exp(KMS_SIGMA ** 2 / 2)
    return cores * 1e6 / cpu_us, kms_connections / mean_ms * 1000


def from_bench(path):
    with open(path) as f:
        figures = json.load(f)
    key = "encrypt.core1.c8.cpu_us" if "encrypt.core1.c8.cpu_us" in figures else "encrypt.c8.cpu_us"
    if key not in figures:
        raise SystemExit(f"queueing: {path} has no {key}: run ./bench --only service first")
    return figures[key]["value"]


def main():
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", default=os.path.join(root, "build/bench.json"), help="figures of ./bench")
    parser.add_argument("--cpu-us", type=float, help="CPU of a request instead of the measured one")
    parser.add_argument("--cores", default="1,2,4", help="cores of an enclave, several with commas")
    parser.add_argument("--enclaves", type=int, default=1, help="enclaves that share the quota")
    parser.add_argument("--kms-ms", type=float, default=10, help="median time of a call to KMS")
    parser.add_argument("--kms-connections", type=int, default=64)
    parser.add_argument("--max-running", type=int, default=512)
    parser.add_argument("--quota", type=int, default=10000, help="calls a second that KMS allows the account")
    parser.add_argument("--requests", type=int, default=100000, help="simulated for each line")
    args = parser.parse_args()
    cpu_us = args.cpu_us or from_bench(args.bench)
    print(f"CPU of a request {cpu_us:.0f} us, KMS {args.kms_ms:g} ms in the median, {args.kms_connections} connections, "
          f"{args.max_running} at one time, {args.enclaves} enclave(s), quota {args.quota}/s")
    print(f"{'cores':>5} {'offered/s':>10} {'of bound':>9} {'cores busy':>10} {'conns busy':>10} {'p50 ms':>8} {'p99 ms':>8} {'refused':>8} {'of quota':>8}")
    for cores in (int(c) for c in args.cores.split(",")):
        best = min(bounds(cores, cpu_us, args.kms_ms, args.kms_connections))
        for share in (0.5, 0.7, 0.8, 0.9, 0.95, 1.5, 3.0):
            rate = best * share
            r = simulate(rate, enclave(cores, cpu_us, args.kms_ms, args.kms_connections), args.requests, args.max_running)
            served = rate * (1 - r["refused"]) * args.enclaves
            print(f"{cores:>5} {rate:>10.0f} {share:>9.2f} {r['busy'][0]:>10.2f} {r['busy'][1]:>10.2f} {percentile(r['latency_s'], 0.5) * 1000:>8.1f} "
                  f"{percentile(r['latency_s'], 0.99) * 1000:>8.1f} {r['refused']:>8.3f} {served / args.quota:>8.2f}")


if __name__ == "__main__":
    main()
