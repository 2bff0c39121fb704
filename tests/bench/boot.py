"""A booted image: its size by part, from the start of QEMU to listening, to the first answer and to the first attested
encrypt, the smallest memory that serves, and requests per second beside the RSA operations that the guest can do.
RSA key generation, seconds under emulation and different each time, is told apart."""
import json, os, re, socket, statistics, subprocess, sys, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TARGETS = ["src/bin/nitroseal-init/nitroseal-init", "src/bin/nitro-local/nitro-local", "tests/bench/bench_micro_static"]
AIM_EIF, AIM_MS = 9_000_000, 2000
MEMORIES = (40, 48, 64, 96)
READY = "nitroseald ready"


def ask(folder, cid, port, request):
    """One request through the guest's vsock device."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(60)
        s.connect(os.path.join(folder, f"{cid}.vsock"))
        s.sendall(b"CONNECT %d\n" % port)
        with s.makefile("rb") as answer:
            if not answer.readline().startswith(b"OK "):
                raise RuntimeError("the guest does not accept")
            s.sendall(json.dumps(request).encode())
            s.shutdown(socket.SHUT_WR)
            return json.loads(answer.read())


def one_boot(guest, site, image, lib, seed):
    """Milliseconds since the start of QEMU."""
    with guest.booted(image, site.vsock, READY, 120) as g:
        t = {"listening": (time.monotonic() - g.start) * 1000}
        answer = ask(site.vsock, lib.CID, lib.PORT, {"operation": "attest", "nonce": "AAAAAAAAAAAAAAAAAAAAAA=="})
        t["first_answer"] = (time.monotonic() - g.start) * 1000
        if "error" in answer:
            raise RuntimeError(f"attest: {answer}")
        answer = ask(site.vsock, lib.CID, lib.PORT, seed.encrypt_request(site.app.seed(), "x" * 100))
        t["first_encrypt"] = (time.monotonic() - g.start) * 1000
        if "error" in answer:
            raise RuntimeError(f"encrypt: {answer}")
        told = re.search(r"rsa_keygen_us=(\d+)", g.console())
        t["keygen"] = int(told[1]) / 1000
        t["service_start"] = int(re.search(r"since_boot_ms=(\d+)", g.console())[1])
        return t


def sizes(figures, image, lib):
    described = json.loads(lib.run("nitroseal", "image", "describe", image)[1])
    ramdisks = iter(("init", "service"))
    for section in described["Sections"]:
        name = next(ramdisks) if section["Type"] == "ramdisk" else section["Type"]
        if name in ("kernel", "init", "service"):
            figures.add(f"eif.{name}_bytes", section["Size"], "B")
    figures.add("eif.bytes", os.path.getsize(image), "B", AIM_EIF)


def serves(guest, site, image, lib, seed, memory):
    try:
        with guest.booted(image, site.vsock, READY, 60, memory=f"{memory}M"):
            return "error" not in ask(site.vsock, lib.CID, lib.PORT, seed.encrypt_request(site.app.seed(), "x" * 100))
    except (guest.NotBooted, OSError, ValueError, RuntimeError):
        return False


def guest_rsa(guest, site, folder):
    """Private RSA operations per second in a guest."""
    micro = os.path.join(folder, "tests/bench/bench_micro_static")
    image = site.build("micro", "--file", micro + ":/bin/micro", "--entrypoint", "/bin/micro")[0]
    with guest.booted(image, site.vsock, lambda console: re.search(r"rsa2048.oaep_open_us [\d.]+ us", console), 120) as g:
        return 1e6 / float(re.search(r"rsa2048.oaep_open_us ([\d.]+) us", g.console())[1])


def load(folder, site, seconds):
    out = subprocess.run([os.path.join(folder, "tests/load/nitroseal_load"), "--op", "encrypt", "--clients", "4", "--bytes", "100",
                          "--seconds", str(seconds)], env={**os.environ, **site.client_env()}, capture_output=True, text=True, timeout=120)
    result = json.loads(out.stdout)
    if result["errors"]:
        print(f"bench: {result['errors']} in the guest failed: {out.stderr.strip()}", file=sys.stderr)
    return result["rps"]


def measure(folder, figures, runs, seconds):
    os.environ["NITROSEAL_BUILD"] = folder
    sys.path[:0] = [os.path.join(ROOT, "tests/e2e"), os.path.join(ROOT, "tests/e2e/seed")]
    import booted, guest, lib, seed
    if why := guest.why_not():
        print(f"{'boot':28} not measured: {why}")
        return
    site = booted.Site()
    start = time.monotonic()
    image, status, _, err = site.build("ours")
    if status != 0:
        sys.exit(f"bench: image build: {err.strip()}")
    figures.add("eif.build_ms", (time.monotonic() - start) * 1000, "ms")
    sizes(figures, image, lib)
    site.allow(image)

    boots = [one_boot(guest, site, image, lib, seed) for _ in range(runs)]
    median = lambda of: statistics.median(of(b) for b in boots)
    figures.add("boot.service_start_ms", median(lambda b: b["service_start"]), "ms")
    figures.add("boot.keygen_ms", median(lambda b: b["keygen"]), "ms")
    for what in ("listening", "first_answer", "first_encrypt"):
        figures.add(f"boot.{what}_ms", median(lambda b: b[what]), "ms")
        figures.add(f"boot.{what}_less_keygen_ms", median(lambda b: b[what] - b["keygen"]), "ms", AIM_MS)
    enough = [m for m in MEMORIES if serves(guest, site, image, lib, seed, m)]
    figures.add("boot.memory_serves_mib", min(enough, default=0), "MiB", 64)

    limit = guest_rsa(guest, site, folder)
    with guest.booted(image, site.vsock, READY, 120):
        load(folder, site, 1)
        figures.add("guest.encrypt_rps", statistics.median(load(folder, site, seconds) for _ in range(3)), "1/s", limit)
