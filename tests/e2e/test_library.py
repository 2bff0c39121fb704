#!/usr/bin/python3
"""libnitroseal as an application meets it: installed below a folder of the test's own, found by pkg-config, its header in
C89 and C++98, its symbols counted; the examples compiled and run, and the library driven through ctypes, against the real
service: credentials, large bytes, restarts, transports, failures. TAP."""
import base64, ctypes, json, os, re, shutil, socket, subprocess, sys, threading, time

import lib
from gatewaylib import Gateway
from lib import check

PREFIX = "usr/local"
stack = None


# --- the installed files -------------------------------------------------------------------------------------------

def command(*argv, **how):
    return subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=300, **how)


def install():
    root = lib.private_folder()
    p = command("meson", "install", "-C", lib.BUILD, "--no-rebuild", "--destdir", root, "--tags", "runtime,devel,man")
    check(p.returncode == 0, "meson install", p.stdout[-1000:], p.stderr[-1000:])
    found = {}
    for folder, _, names in os.walk(root):
        for n in names:
            if "nitroseal" in n and not os.path.islink(os.path.join(folder, n)) or n in ("libnitroseal.so", "libnitroseal.so.1"):
                found[n] = os.path.join(folder, n)
    for name, where in (("nitroseal.h", "/include/"), ("libnitroseal.so", "/lib"), ("libnitroseal.so.1", "/lib"), ("libnitroseal.so.1.1.0", "/lib"),
                        ("libnitroseal.a", "/lib"), ("libnitroseal.pc", "/pkgconfig/")):
        check(where in found.get(name, ""), f"installed: {name}", sorted(found))
    if shutil.which("scdoc"):
        check("/man3/" in found.get("libnitroseal.3", ""), "installed: libnitroseal.3", sorted(found))
    return root, found


def packaged(root, found):
    """What pkg-config says of the folder."""
    env = {**lib.CLEAN, "PKG_CONFIG_PATH": os.path.dirname(found["libnitroseal.pc"]), "PKG_CONFIG_SYSROOT_DIR": root}
    flags = command("pkg-config", "--cflags", "--libs", "libnitroseal", env=env).stdout.split()
    check(f"-I{root}/{PREFIX}/include" in flags and "-lnitroseal" in flags, "pkg-config", flags)
    version = command("pkg-config", "--modversion", "libnitroseal", env=env).stdout.strip()
    check(version == open(os.path.join(lib.ROOT, "VERSION")).read().strip(), "its version", version)
    return env


def names_of(nm, pattern):
    return sorted(re.findall(pattern, nm, re.M))


def symbols(found):
    with open(os.path.join(lib.ROOT, "src", "lib", "nitroseal.map")) as f:
        nodes = re.findall(r"^(NITROSEAL_[\d.]+) \{(.*?)^\}(?: (NITROSEAL_[\d.]+))?;", f.read(), re.M | re.S)
    versions = {name: node for node, names, _ in nodes for name in re.findall(r"^    (nitroseal_\w+);", names, re.M)}
    wanted = sorted(versions)
    check([(n, before) for n, _, before in nodes] == [("NITROSEAL_1.0", ""), ("NITROSEAL_1.1", "NITROSEAL_1.0")], "each release's calls in a node after the one before", nodes)
    first = [n for n in wanted if versions[n] == "NITROSEAL_1.0"]
    check(len(first) == 19, "what the first release had is where it was", first)
    with open(found["nitroseal.h"]) as f:
        declared = sorted(set(re.findall(r"^(?:NITROSEAL_API .*?|)\b(nitroseal_\w+)\(", re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S), re.M)))
    check(declared == wanted and len(wanted) > 10, "the header declares what the version script lists", declared, wanted)
    dynamic = command("nm", "-D", "--defined-only", found["libnitroseal.so.1.1.0"]).stdout
    check(names_of(dynamic, r"^\S+ T (\S+)$") == [f"{n}@@{versions[n]}" for n in wanted], "exported: exactly these, with their version", dynamic)
    rest = [l for l in dynamic.splitlines() if " T " not in l and not re.search(r" A NITROSEAL_1\.[01]$", l)]
    check(not rest, "and nothing else", rest)
    archive = command("nm", "-g", "--defined-only", found["libnitroseal.a"]).stdout
    check(names_of(archive, r"^\S+ (?!T nitroseal_)\S (\S+)$") == [] and names_of(archive, r"^\S+ T (\S+)$") == wanted, "the archive has no other names either", archive)
    head = command("readelf", "-dW", found["libnitroseal.so.1.1.0"]).stdout
    needed = re.findall(r"NEEDED.*\[(.*)\]", head)
    check(re.search(r"SONAME.*\[libnitroseal\.so\.1\]", head) and all(re.match(r"(libc|ld-linux.*|libpthread)\.so", n) for n in needed), "its name, and it needs the C library only", needed)
    writable = []
    sections = dict(re.findall(r"^\s*\[\s*(\d+)\]\s+(\.\S+)", command("readelf", "-SW", found["libnitroseal.so.1.1.0"]).stdout, re.M))
    built = os.path.join(lib.BUILD, "src", "lib", "libnitroseal.so.1.1.0")
    for line in command("readelf", "-sW", built).stdout.splitlines():
        cells = line.split()
        if len(cells) > 7 and cells[3] == "OBJECT" and sections.get(cells[6]) in (".data", ".bss"):
            writable.append(cells[7])
    of_compiler = {"__dso_handle", "__TMC_END__", "completed.0", "__cpu_model", "__cpu_features2", "__dso_handle"}
    check(set(writable) <= of_compiler, "no static data that changes", writable)


def compiles(root, env, found):
    """The header in old languages, and the examples by their Makefile."""
    include = os.path.dirname(found["nitroseal.h"])
    for title, argv in (("C89", ["gcc", "-std=c89", "-x", "c"]), ("C++98", ["g++", "-std=c++98", "-x", "c++"]), ("C23's draft", ["gcc", "-std=c2x", "-x", "c"])):
        if not shutil.which(argv[0]):
            print(f"# no {argv[0]} here")
            continue
        p = command(*argv, "-pedantic-errors", "-Wall", "-Wextra", "-Werror", f"-I{include}", "-fsyntax-only", "-", input="#include <nitroseal.h>\nint main(void) { return 0; }\n")
        check(p.returncode == 0, f"the header alone, {title}", p.stderr)
    work = os.path.join(root, "examples")
    shutil.copytree(os.path.join(lib.ROOT, "examples"), work)
    p = command("make", "-C", work, env={**env, "CFLAGS": "-Werror -std=c89 -pedantic"})
    check(p.returncode == 0, "the examples, in C89", p.stdout, p.stderr)
    p = command("gcc", f"-I{include}", os.path.join(work, "seal.c"), found["libnitroseal.a"], "-pthread", "-o", os.path.join(work, "seal-static"))
    check(p.returncode == 0, "one of them with the archive", p.stderr)
    return work


# --- the examples --------------------------------------------------------------------------------------------------

def python_timeout(nitroseal_http):
    """A service played here that is silent once, cuts one answer, and then serves."""
    path = os.path.join(lib.private_folder(), "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(4)
    kept = []

    def serve():
        for answer in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"):
            c, _ = listener.accept()
            c.recv(65536)
            c.sendall(answer)
            kept.append(c)

    threading.Thread(target=serve, daemon=True).start()
    with nitroseal_http.Nitroseal(path, timeout=0.3) as enclave:
        for why in ("silent", "cut"):
            try:
                enclave.random(4)
                check(False, f"Python: a service that is {why} raises")
            except OSError as error:
                check(isinstance(error, TimeoutError), f"Python: a service that is {why} raises", error)
        try:
            check(enclave.random(4) == b"good", "Python: and the next request is made over another connection")
        except Exception as error:
            check(False, "Python: and the next request is made over another connection", repr(error))


def examples(work, found):
    env = {**lib.CLEAN, "LD_LIBRARY_PATH": os.path.dirname(found["libnitroseal.so.1"]), "NITROSEAL_VSOCK": "unix:" + stack.v}
    where, path = f"vsock:{lib.CID}:{lib.PORT}", os.path.join(stack.v, f"{lib.CID}.vsock_{lib.PORT}")
    run = lambda name, *argv, **more: command(os.path.join(work, name), *argv, env={**env, **more})
    p = run("seal", where, "attack at dawn")
    check(p.returncode == 7 and "redential" in p.stderr and p.stderr.count("\n") == 1, "nobody has credentials: 7", p)
    for name in ("seal", "seal-static"):
        p = run(name, where, "Grüße, 你好", **stack.app.env())
        check(p.returncode == 0 and p.stdout == f"encrypted: {len('Grüße, 你好'.encode()) + 28} bytes under {stack.arn}\ndecrypted: Grüße, 你好\n", f"{name}, with its own credentials", p)
    p = run("seal", where, "x", AWS_ACCESS_KEY_ID="AKIDNOBODY", AWS_SECRET_ACCESS_KEY="x")
    check(p.returncode == 4 and "UnrecognizedClientException" in p.stderr, "KMS refuses: 4 and its words", p)
    p = run("seal", "vsock:77:5000", "x")
    check(p.returncode == 3 and "could not reach" in p.stderr, "nobody there: 3", p)
    p = run("seal", "tcp:192.0.2.1:80", "x")
    check(p.returncode == 2 and "loopback" in p.stderr, "another machine: 2", p)
    python = os.path.join(work, "python", "nitroseal_http.py")
    p = command(sys.executable, python, path, "x", env=env)
    check(p.returncode == 1 and "no_credentials" in p.stderr, "Python: nobody has credentials", p)
    sys.path.insert(0, os.path.dirname(python))
    import nitroseal_http
    with nitroseal_http.Nitroseal(path) as enclave:
        enclave.put_credentials(stack.app.id, stack.app.secret)
        data = os.urandom(100000)
        sealed = enclave.encrypt(data)
        check(enclave.decrypt(sealed) == data and sealed.key_id == stack.arn, "Python: bytes there and back")
        try:
            enclave.decrypt(sealed._replace(signature=base64.b64encode(bytes(32)).decode()))
            check(False, "Python: a wrong signature raises")
        except nitroseal_http.Problem as problem:
            check((problem.status, problem.code) == (422, "signature_invalid"), "Python: a wrong signature raises", problem)
        check(len(enclave.random(1000)) == 1000, "Python: and its connection lives on")
    python_timeout(nitroseal_http)
    p = command(sys.executable, python, path, "from Python", env=env)
    check(p.returncode == 0 and "decrypted: from Python\n" in p.stdout and "attestation: " in p.stdout, "the Python program", p)
    p = run("seal", "unix:" + path, "held credentials")
    check(p.returncode == 0 and "decrypted: held credentials" in p.stdout, "seal by a path, with the service's credentials", p)
    p = run("threads", where, 8, 25)
    check(p.returncode == 0 and p.stdout == "200 of 200 round trips\n", "8 threads on one handle", p)
    p = run("batch", where, "eins", "zwei", "", "Grüße, 你好")
    check(p.returncode == 0 and p.stdout == "eins\nzwei\n\nGrüße, 你好\n", "batch: each comes back in its place", p)
    message_example(work, run, where)
    p = subprocess.run([os.path.join(work, "attest"), where], capture_output=True, env=env, timeout=60)
    nonce = re.search(rb"nonce ([0-9a-f]{64})", p.stderr)[1].decode()
    document = os.path.join(work, "document.bin")
    with open(document, "wb") as f:
        f.write(p.stdout)
    pcr0 = stack.measured()["PCR0"]
    status, out, err = lib.run("nitroseal", "attest", "--document", document, "--nonce", nonce, "--pcr", f"0={pcr0}", env=stack.cli_env())
    check(p.returncode == 0 and status == 0, "the document verifies, with its nonce", p.stderr, status, err)
    return env


def message_example(work, run, where):
    """A file there and back; one that was altered or cut leaves nothing, and KMS's words come out."""
    plain, sealed, back = (os.path.join(work, n) for n in ("plain", "sealed", "back"))
    data = b"text " + os.urandom(3_000_000)  # no version of a message begins like that
    with open(plain, "wb") as f:
        f.write(data)
    p = run("message", where, "encrypt", plain, sealed)
    q = run("message", where, "decrypt", sealed, back)
    check(p.returncode == q.returncode == 0 and open(back, "rb").read() == data, "message: a file there and back", p, q)
    status, out, err = lib.run("nitroseal", "decrypt", "--no-credentials", "--require-context", "purpose=example", "-i", sealed, "-o", back + "2", env=stack.cli_env())
    check(status == 0 and open(back + "2", "rb").read() == data, "which the command line opens, too", status, err)
    whole = open(sealed, "rb").read()
    for title, bytes_, code in (("its last byte altered", whole[:-1] + bytes([whole[-1] ^ 1]), "message_not_authentic"), ("cut", whole[:-1], "message_malformed"),
                                ("a byte in the middle altered", whole[:2_000_000] + bytes([whole[2_000_000] ^ 1]) + whole[2_000_001:], "message_not_authentic")):
        with open(sealed, "wb") as f:
            f.write(bytes_)
        os.unlink(back) if os.path.exists(back) else None
        p = run("message", where, "decrypt", sealed, back)
        check(p.returncode != 0 and code in p.stderr and not os.path.exists(back) and not os.path.exists(back + ".part"), f"message: {title}: {code}, and no file", p)
    p = run("message", where, "decrypt", plain, back)
    check(p.returncode == 1 and "message_unsupported" in p.stderr and not os.path.exists(back), "message: no message at all", p)


# --- the library itself --------------------------------------------------------------------------------------------

class Bytes(ctypes.Structure):
    _fields_ = [("data", ctypes.POINTER(ctypes.c_ubyte)), ("len", ctypes.c_size_t), ("key_id", ctypes.c_char_p), ("request_id", ctypes.c_char_p)]

    def value(self):
        return ctypes.string_at(self.data, self.len)


class Sealed(ctypes.Structure):
    _fields_ = [("encrypted", ctypes.POINTER(ctypes.c_ubyte)), ("encrypted_len", ctypes.c_size_t), ("ciphertext_blob", ctypes.POINTER(ctypes.c_ubyte)),
                ("ciphertext_blob_len", ctypes.c_size_t), ("signature", ctypes.c_ubyte * 32), ("key_id", ctypes.c_char_p), ("request_id", ctypes.c_char_p)]


class Message(ctypes.Structure):
    _fields_ = [(n, ctypes.c_char_p) for n in ("encrypted", "signature", "ciphertext_blob", "key_id", "request_id")]


class Item(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_int), ("text", ctypes.c_char_p), ("len", ctypes.c_size_t)] + [(n, ctypes.c_char_p) for n in ("encrypted", "signature", "ciphertext_blob")]


class Pair(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("value", ctypes.c_char_p)]


READ = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
WAIT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
WRITE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class Stream(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("context", ctypes.POINTER(Pair)), ("n_context", ctypes.c_size_t), ("suite", ctypes.c_char_p), ("key_id", ctypes.c_char_p),
                ("frame_length", ctypes.c_ulong), ("required", ctypes.POINTER(Pair)), ("n_required", ctypes.c_size_t), ("read", READ), ("wait_fd", WAIT),
                ("has_length", ctypes.c_int), ("length", ctypes.c_ulong), ("write", WRITE), ("arg", ctypes.c_void_p), ("stop_fd", ctypes.c_int)]


class Streamed(ctypes.Structure):
    _fields_ = [("bytes_in", ctypes.c_ulong), ("bytes_out", ctypes.c_ulong)] + [(n, ctypes.c_char_p) for n in ("suite", "key_id", "request_id")]


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("http_status", ctypes.c_int), ("retry_after_s", ctypes.c_int)] + [
        (n, ctypes.c_char_p) for n in ("code", "text", "detail", "hint", "kms_type", "kms_message", "kms_request_id", "request_id")]


class Result(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", Message), ("text", Bytes), ("error", ctypes.POINTER(Error))]


class Handle:
    """Calls by name: (status, code)."""

    def __init__(self, so, address):
        self.so, self.ns = so, ctypes.c_void_p()
        self.made = so.nitroseal_new(address.encode(), ctypes.byref(self.ns), None)

    def call(self, name, *args):
        e = ctypes.POINTER(Error)()
        status = getattr(self.so, "nitroseal_" + name)(self.ns, *args, ctypes.byref(e))
        self.error = {n: getattr(e[0], n) for n, _ in Error._fields_} if e else None
        self.so.nitroseal_error_free(e)
        return (status, self.error["code"].decode() if self.error else None)

    def batch(self, *items):
        results = (Result * max(len(items), 1))()
        return self.call("batch", (Item * max(len(items), 1))(*items), ctypes.c_size_t(len(items)), results, ctypes.c_long(0)), results

    def stream(self, op, source, sink=None, ms=0, **more):
        """`source` gives bytes; `sink` takes them. Status, what came out, and what is said of it."""
        out, done = bytearray(), Streamed()

        def read(_, into, room):
            data = source(room)
            ctypes.memmove(into, data, len(data))
            return len(data)

        def write(_, data, n):
            out.extend(ctypes.string_at(data, n))
            return sink(out) if sink else 0

        s = Stream(size=ctypes.sizeof(Stream), read=READ(read), write=WRITE(write), **more)
        return self.call(op + "_stream", ctypes.byref(s), ctypes.byref(done), ctypes.c_long(ms)), bytes(out), done

    def health(self, ms=0):
        return self.call("health", ctypes.c_long(ms))

    def free(self):
        self.so.nitroseal_free(self.ns)


def calls(so):
    h = Handle(so, f"vsock:{lib.CID}:{lib.PORT}@unix:{stack.v}")
    check(h.call("connect", ctypes.c_long(0)) == (0, None) and h.health() == (0, None), "connect, health")
    for size in (0, 1, 4096, 5 << 20):
        data, sealed, back = os.urandom(size), Sealed(), Bytes()
        first = h.call("encrypt", data, ctypes.c_size_t(size), ctypes.byref(sealed), ctypes.c_long(0))
        second = h.call("decrypt", ctypes.byref(sealed), ctypes.byref(back), ctypes.c_long(0))
        check(first == second == (0, None) and back.value() == data and sealed.key_id == stack.arn.encode() and back.request_id, f"{size} bytes there and back", first, second, h.error)
        so.nitroseal_bytes_clear(ctypes.byref(back))
    sealed.signature[0] ^= 1
    check(h.call("decrypt", ctypes.byref(sealed), ctypes.byref(back), ctypes.c_long(0)) == (5, "signature_invalid") and h.error["http_status"] == 422, "an altered signature", h.error)
    sealed.encrypted[40] ^= 1
    check(h.call("decrypt", ctypes.byref(sealed), ctypes.byref(back), ctypes.c_long(0)) == (5, "text_not_authentic"), "an altered byte", h.error)
    sealed.ciphertext_blob[20] ^= 1
    check(h.call("decrypt", ctypes.byref(sealed), ctypes.byref(back), ctypes.c_long(0)) == (4, "kms_refused") and h.error["kms_type"] and h.error["hint"], "an altered data key", h.error)
    data = bytes((16 << 20) + 1)
    check(h.call("encrypt", data, ctypes.c_size_t(len(data)), ctypes.byref(sealed), ctypes.c_long(0)) == (1, "too_large"), "one byte more than the service takes", h.error)
    check(h.health() == (0, None), "and the handle goes on")
    out = ctypes.create_string_buffer(65536)
    check(h.call("random", out, ctypes.c_size_t(65536), ctypes.c_long(0)) == (0, None) and len(set(out.raw)) == 256, "65,536 random bytes")
    nonce = os.urandom(512)
    check(h.call("attest", nonce, ctypes.c_size_t(512), ctypes.byref(back), ctypes.c_long(0)) == (0, None) and nonce in back.value(), "attest with 512 bytes of nonce", h.error)
    expired = h.call("put_credentials", stack.app.id.encode(), stack.app.secret.encode(), None, b"2020-01-01T00:00:00Z", ctypes.c_long(0))
    check(expired == (1, "invalid_credentials"), "credentials that have ended are not taken", h.error)
    batches(so, h)
    streams(so, h)
    restarts(h)
    h.free()
    return Handle(so, "unix:" + os.path.join(stack.v, "none")).health()


def batches(so, h):
    texts = [f"text {i}".encode() for i in range(1000)]
    got, sealed = h.batch(*(Item(operation=1, text=t, len=len(t)) for t in texts))
    check(got == (0, None) and {r.status for r in sealed} == {0} and len({r.message.encrypted for r in sealed}) == 1000, "a batch of 1,000 is encrypted", got, h.error)
    items = [Item(operation=2, encrypted=r.message.encrypted, signature=r.message.signature, ciphertext_blob=r.message.ciphertext_blob) for r in sealed]
    items[7].signature = items[8].signature
    items[9].encrypted = b"AAAA"
    items[10].ciphertext_blob = base64.b64encode(b"nothing that KMS knows")
    got, back = h.batch(*items)
    bad = {i: (r.status, r.error[0].code.decode()) for i, r in enumerate(back) if r.status}
    check(got == (0, None) and bad == {7: (5, "signature_invalid"), 9: (1, "encrypted_too_short"), 10: (4, "kms_refused")}, "three of them fail, each in its way", bad, got)
    check(back[10].error[0].kms_type and all(r.text.value() == t for i, (r, t) in enumerate(zip(back, texts)) if i not in bad), "KMS's words are there, and 997 texts in their places")
    check(not any(back[i].text.data or back[i].message.encrypted for i in bad), "and nothing where one failed")
    for r in (sealed, back):
        so.nitroseal_results_clear(r, ctypes.c_size_t(1000))
    check(h.batch(*items[:1] * 1001)[0] == (2, "invalid_argument") and h.batch()[0] == (2, "invalid_argument"), "1,001 or none: refused here")


def streams(so, h):
    size, piece = 40_000_000, os.urandom(65536)
    left = [size]

    def source(room):
        n = min(room, left[0], len(piece))
        left[0] -= n
        return piece[:n]

    context = (Pair * 2)(Pair(b"tenant", "Grüße = 你好".encode()), Pair(b"a", b""))
    got, message, done = h.stream("encrypt", source, context=context, n_context=2, suite=b"0x0478")
    check(got == (0, None) and done.bytes_in == size and done.bytes_out == len(message) and done.suite == b"0x0478" and done.key_id == stack.arn.encode() and done.request_id,
          "40 MB in pieces are sealed", got, h.error)
    so.nitroseal_streamed_clear(ctypes.byref(done))
    give = lambda data: lambda room, at=[0]: (data[at[0]:at[0] + room], at.__setitem__(0, at[0] + room))[0]
    got, plain, done = h.stream("decrypt", give(message), required=context, n_required=2, has_length=1, length=len(message))
    check(got == (0, None) and len(plain) == size and plain[:65536] == piece and plain[-1:] == piece[(size - 1) % 65536:][:1], "and opened, with what they are bound to", got, h.error)
    other = (Pair * 1)(Pair(b"tenant", b"another"))
    got, again, done = h.stream("rewrap", give(message), context=other, n_context=1)
    check(got == (0, None) and h.stream("decrypt", give(again), required=other, n_required=1)[1] == plain, "sealed anew in another context", got, h.error)
    check(h.stream("decrypt", give(again), required=context, n_required=1)[0:2] == ((5, "context_mismatch"), b""), "in which alone it opens", h.error)
    got, part, done = h.stream("decrypt", give(message[:-1] + bytes([message[-1] ^ 1])))
    check(got == (5, "message_not_authentic") and 0 < len(part) < size and done.bytes_in == 0, "altered at its last byte: a part came, and the verdict is no", got, len(part))
    got, part, done = h.stream("decrypt", give(message[:len(message) // 2]))
    check(got[0] != 0 and got[1] == "message_malformed" and len(part) < size, "half of it", got)
    got, part, done = h.stream("decrypt", give(message), sink=lambda out: len(out) > 1_000_000)
    check(got == (20, "stopped") and 1_000_000 < len(part) < 3_000_000, "a sink that takes no more", got, len(part))
    left[0] = 1 << 60  # no end: what holds the source back is the sink
    asked, given = [0], [0]

    def count(room):
        given[0] += room
        return piece[:room]

    def slow(out):
        asked[0] += 1
        time.sleep(0.05)
        return asked[0] > 20

    got, part, done = h.stream("encrypt", count, sink=slow, suite=b"0x0478")
    check(got == (20, "stopped") and given[0] < len(part) + 8_000_000, "a slow sink holds the source back", got, given[0], len(part))
    stack.service.signal(19)
    start = time.monotonic()
    got, part, done = h.stream("encrypt", give(b"x" * 1000), ms=400)
    stack.service.signal(18)
    check(got == (16, "timeout") and 0.3 < time.monotonic() - start < 5 and not part, "nobody answers: time is over", got)
    check(h.health() == (0, None), "and the handle goes on", h.error)


def restarts(h):
    """The service goes and comes: the same handle, the same call."""
    check(stack.service.stop() == 0, "the service stops with an idle connection open")
    check(h.health() == (3, "unreachable") and h.error["detail"], "then nobody is there", h.error)
    stack.start_service()
    check(h.health() == (0, None), "and the next call finds the new one", h.error)
    check(h.call("put_credentials", stack.app.id.encode(), stack.app.secret.encode(), None, None, ctypes.c_long(0)) == (0, None), "which gets credentials")
    stack.service.signal(19)
    start = time.monotonic()
    late = h.health(300)
    check(late == (16, "timeout") and 0.25 < time.monotonic() - start < 5, "one that does not answer: time is over", late, time.monotonic() - start)
    stack.service.signal(18)
    check(h.health(10000) == (0, None), "the late answer is nobody's: the next call has a new connection", h.error)


class Relay(threading.Thread):
    """Loopback TCP before the service, as a gateway would be; drops every connection after its third request."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.connections = self.listener.getsockname()[1], 0
        self.start()

    def run(self):
        while True:
            ours, _ = self.listener.accept()
            self.connections += 1
            with ours, socket.socket(socket.AF_UNIX) as theirs:
                theirs.connect(os.path.join(stack.v, f"{lib.CID}.vsock_{lib.PORT}"))
                for _ in range(3):
                    data = ours.recv(1 << 20)
                    if not data:
                        break
                    theirs.sendall(data)
                    ours.sendall(theirs.recv(1 << 20))


def over_tcp(so):
    relay = Relay()
    h = Handle(so, f"tcp:127.0.0.1:{relay.port}")
    got = [h.health() for _ in range(20)]
    check(got == [(0, None)] * 20 and relay.connections in (7, 8), "over TCP, through somebody who closes after every third", got, relay.connections)
    h.free()


def through_gateway(so, work, env):
    """Both ways to `nitroseal gateway`, which brings the credentials; and its own words when no enclave is left."""
    path = stack.path("gateway.sock")
    g = Gateway(stack.v, [lib.CID], ["--health-interval", "200"], env=stack.app.env(), log=stack.log_of("gateway"), unix=path)
    lib.until(lambda: g.ask("GET", "/healthz")[0] == 200, what="an enclave for the gateway")
    for address in ("unix:" + path, f"tcp:127.0.0.1:{g.port}"):
        p = command(os.path.join(work, "seal"), address, "through the gateway", env=env)
        check(p.returncode == 0 and "decrypted: through the gateway" in p.stdout, f"seal by the gateway, {address[:5]}", p)
    p = command(os.path.join(work, "threads"), "unix:" + path, 4, 10, env=env)
    check(p.returncode == 0, "threads by the gateway", p)
    stack.service.stop()
    h = Handle(so, "unix:" + path)
    lib.until(lambda: g.ask("GET", "/healthz")[0] == 503, what="the gateway sees it")
    out = ctypes.create_string_buffer(8)
    got = h.call("random", out, ctypes.c_size_t(8), ctypes.c_long(10000))
    check(got[0] == 3 and h.error["http_status"] in (502, 503), "no enclave behind it: not reached", got, h.error)
    h.free()
    check(g.stop() == 0, "the gateway ends")
    stack.start_service()


if lib.missing_programs():
    check(False, "programs of the local stack: " + " ".join(lib.missing_programs()))
    lib.plan()
the_root, the_files = install()
if lib.failed():
    lib.plan()
the_env = packaged(the_root, the_files)
symbols(the_files)
the_work = compiles(the_root, the_env, the_files)
if lib.failed():
    lib.plan()
stack = lib.Stack().start()
the_run = examples(the_work, the_files)
the_so = ctypes.CDLL(the_files["libnitroseal.so.1.1.0"])
check(calls(the_so) == (3, "unreachable"), "a path where nobody listens")
over_tcp(the_so)
through_gateway(the_so, the_work, the_run)
the_so.nitroseal_version.restype = ctypes.c_char_p
check(the_so.nitroseal_version().decode() == open(os.path.join(lib.ROOT, "VERSION")).read().strip(), "nitroseal_version()")
log = open(stack.log_of("service"), encoding="utf-8").read()
check(stack.app.secret not in log, "no credentials in the service's log")
check(set(stack.stop().values()) == {0}, "every part ends by SIGTERM")
lib.plan()
