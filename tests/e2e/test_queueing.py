#!/usr/bin/python3
"""The simulation behind doc/scaling.md against what is known in closed form: M/M/c (Erlang C), M/M/c/c (Erlang B), M/D/1
(Pollaczek and Khinchine), Little's law; and what it says of an enclave. TAP."""
import os, statistics, sys

import lib
from lib import check

sys.path.insert(0, os.path.join(lib.ROOT, "tests/bench"))
import queueing as q

N = 200_000
exponential = lambda mean: (lambda rng: rng.expovariate(1 / mean))


def near(got, want, share):
    return abs(got - want) <= share * want


for c, rho, share in ((1, 0.5, 0.04), (1, 0.8, 0.08), (2, 0.7, 0.05), (4, 0.9, 0.12), (16, 0.8, 0.12)):
    mean = 0.002
    rate = rho * c / mean
    r = q.simulate(rate, [(q.Servers(c), exponential(mean))], N, seed=c)
    wait = statistics.fmean(r["latency_s"]) - mean
    want = q.erlang_c(c, rate * mean) * mean / (c - rate * mean)
    check(near(wait, want, share + 0.02), f"M/M/{c}, {rho:.0%} busy: mean wait {wait * 1e6:.0f} us, by the formula {want * 1e6:.0f}", wait, want)
    check(near(r["busy"][0], rho, 0.02), f"M/M/{c}: servers are busy as they should be", r["busy"])
    if c == 1:
        p99 = q.percentile(r["latency_s"], 0.99)
        want = 4.605 * mean / (1 - rho)  # sojourn times of M/M/1 are exponential: ln 100
        check(near(p99, want, 0.12), f"M/M/1: 99th percentile {p99 * 1000:.2f} ms, by the formula {want * 1000:.2f}", p99, want)
    little = rate * statistics.fmean(r["latency_s"])
    check(near(r["inside"], little, 0.05), f"M/M/{c}: Little's law", r["inside"], little)

for rho in (0.5, 0.8):
    mean = 0.001
    r = q.simulate(rho / mean, [(q.Servers(1), lambda rng: mean)], N, seed=3)
    wait, want = statistics.fmean(r["latency_s"]) - mean, rho * mean / (2 * (1 - rho))
    check(near(wait, want, 0.06), f"M/D/1, {rho:.0%} busy: mean wait {wait * 1e6:.0f} us, by the formula {want * 1e6:.0f}", wait, want)

for c, load in ((4, 3.0), (8, 16.0)):
    r = q.simulate(load / 0.01, [(q.Servers(c), exponential(0.01))], N, limit=c, seed=5)
    want = q.erlang_b(c, load)
    check(near(r["refused"], want, 0.03), f"M/M/{c}/{c}: {r['refused']:.3f} turned away, by the formula {want:.3f}", r["refused"], want)

cpu, kms, conns = 320, 10, 32
by_cores, by_conns = q.bounds(1, cpu, kms, conns)
check(abs(by_cores - 3125) < 1 and by_conns < 3000, "an enclave of one core and 32 connections: KMS's latency bounds it first", by_cores, by_conns)
light = q.simulate(100, q.enclave(2, cpu, kms, conns), 20_000)
check(9 < q.percentile(light["latency_s"], 0.5) * 1000 < 12, "with little to do a request takes what KMS takes", q.percentile(light["latency_s"], 0.5))
over = q.simulate(2 * by_conns, q.enclave(4, cpu, kms, conns), 100_000, limit=512)
check(near((1 - over["refused"]) * 2 * by_conns, by_conns, 0.05), "offered twice what it can, it does what it can and refuses the rest", over["refused"])
longest = 512 / by_conns
check(q.percentile(over["latency_s"], 0.99) < 1.5 * longest, "and nobody waits longer than the limit of requests inside allows", over["latency_s"][-1], longest)
again = q.simulate(100, q.enclave(2, cpu, kms, conns), 20_000)
check(again == light, "the same seed gives the same run")
lib.plan()
