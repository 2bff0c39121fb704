#!/usr/bin/python3
"""nitroseal image: the same bytes whoever builds where and when; every source, option and refusal; signatures, PCRs,
differences. Kernels are made here, unless the shared one is there. Prints TAP."""
import hashlib, io, json, os, shutil, stat, struct, subprocess, sys, tarfile, zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import BIN, BUILD, CLEAN, ROOT, check, plan, private_folder, run, skip_all

if not os.path.exists(os.path.join(BUILD, "src", "bin", "enclave", "nitroseald")):
    skip_all("this build makes no programs for an enclave (sanitized)")

KEY = "arn:aws:kms:eu-west-1:111122223333:key/12345678-1234-1234-1234-123456789012"
dir = private_folder()
SHARED_KERNEL = os.path.join(ROOT, "..", "shared", "tools", "nitro-qemu", "bzImage")


def path(*names):
    return os.path.join(dir, *names)


def write(name, data, mode=0o644):
    os.makedirs(os.path.dirname(path(name)), exist_ok=True)
    with open(path(name), "wb") as f:
        f.write(data.encode() if isinstance(data, str) else data)
    os.chmod(path(name), mode)
    return path(name)


def read(name):
    with open(name if os.path.isabs(name) else path(name), "rb") as f:
        return f.read()


def sha(name):
    return hashlib.sha256(read(name)).hexdigest()


def fake_kernel(text=b"6.12.95-fake (a@b) #1"):
    k = bytearray(0x400)
    k[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", k, 0x20e, 0x100)
    k[0x300:0x300 + len(text)] = text
    return bytes(k)


KERNEL = write("kernel/bzImage", fake_kernel())


def image(command, *argv, env=None):
    return run("nitroseal", "image", command, *argv, env=env)


def build(out, *argv, env=None, kernel=True):
    return image("build", "-o", path(out), *(["--kernel", KERNEL] if kernel else []), *argv, env=env)


def described(name):
    s, out, err = image("describe", path(name))
    return json.loads(out) if s == 0 else {"error": err}


# --- a reader of our own -------------------------------------------------------------------------------------------


def sections(name):
    b = read(name)
    assert b[:4] == b".eif" and struct.unpack(">HH", b[4:8])[0] == 4
    n = struct.unpack(">H", b[0x1a:0x1c])[0]
    crc = zlib.crc32(b[0x224:], zlib.crc32(b[:0x220]))
    assert crc == struct.unpack(">I", b[0x220:0x224])[0], "CRC"
    found = []
    for i in range(n):
        at = struct.unpack(">Q", b[0x1c + 8 * i:0x24 + 8 * i])[0]
        kind, flags, size = struct.unpack(">HHQ", b[at:at + 12])
        assert flags == 0 and size == struct.unpack(">Q", b[0x11c + 8 * i:0x124 + 8 * i])[0]
        found.append((kind, b[at + 12:at + 12 + size]))
    return found


def cpio(data):
    """{name: (mode, uid, gid, nlink, inode, bytes)}, in order; mtime and devices have to be zero."""
    found, at = {}, 0
    while True:
        assert data[at:at + 6] == b"070701" and at % 4 == 0
        f = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        name = data[at + 110:at + 110 + f[11] - 1].decode()
        assert f[5] == 0 and f[7:11] == [0, 0, 0, 0]
        body = (at + 110 + f[11] + 3) & ~3
        if name == "TRAILER!!!":
            assert len(data) % 4 == 0 and not data[body:].strip(b"\0")
            return found
        found[name] = (f[1], f[2], f[3], f[4], f[0], data[body:body + f[6]])
        at = (body + f[6] + 3) & ~3


def ramdisk(name, i):
    return cpio([d for k, d in sections(name) if k == 3][i])


def measure(*parts):
    return hashlib.sha384(b"\0" * 48 + hashlib.sha384(b"".join(parts)).digest()).hexdigest()


# --- the service's image -------------------------------------------------------------------------------------------

s, out, err = build("service.eif", "--kms-key-id", KEY)
check(s == 0 and err == "", "the service's image is built", s, err)
m = json.loads(out)["Measurements"]
sec = sections("service.eif")
kernel, cmdline, meta, rd0, rd1 = [d for _, d in sec]
check([k for k, _ in sec] == [1, 2, 5, 3, 3], "kernel, command line, metadata, two ramdisks, in AWS's order")
check(m == {"HashAlgorithm": "Sha384 { ... }", "PCR0": measure(kernel, cmdline, rd0, rd1),
            "PCR1": measure(kernel, cmdline, rd0), "PCR2": measure(rd1)}, "PCRs as measured here", m)
check(list(ramdisk("service.eif", 0)) == ["dev", "init"], "the first ramdisk: an empty dev, and the init")
files = ramdisk("service.eif", 1)
check(sorted(n for n in files if not stat.S_ISDIR(files[n][0])) ==
      ["cmd", "env", "rootfs/bin/nitroseald", "rootfs/etc/ssl/certs/ca-certificates.crt"],
      "the second: cmd, env, the service, CA certificates, and no other file", list(files))
check([n for n in ("dev", "proc", "run", "sys", "tmp") if f"rootfs/{n}" not in files] == [], "mount points are there")
check(files["env"][5] == f"KMS_KEY_ID={KEY}\nAWS_REGION=eu-west-1\nVSOCK_PORT=5000\n".encode() and
      files["cmd"][5] == b"/bin/nitroseald\n", "its environment: key, the key's region, port")
check(files["rootfs/bin/nitroseald"][5] == read(os.path.join(BUILD, "src/bin/enclave/nitroseald")),
      "the program as it was built for the enclave")
check(b"build" not in rd0[:200] and dir.encode() not in read("service.eif") and b"/work" not in meta and
      ROOT.encode() not in read("service.eif"), "no path of the host in it")
d = described("service.eif")
check(list(d) == ["EifVersion", "Measurements", "IsSigned", "CheckCRC", "ImageName", "ImageVersion", "Metadata",
                  "Sections"] and d["Measurements"] == m and d["CheckCRC"] is True and d["IsSigned"] is False,
      "describe: nitro-cli's members in its order, and Sections", d)
check(d["Metadata"] == {"BuildTime": "1970-01-01T00:00:00+00:00", "BuildTool": "nitroseal",
                        "BuildToolVersion": d["Metadata"]["BuildToolVersion"], "OperatingSystem": "Linux",
                        "KernelVersion": "6.12.95-fake", "DockerInfo": None},
      "metadata: no time, the kernel's version from the kernel", d.get("Metadata"))
check([x["Size"] for x in d["Sections"]] == [len(x) for _, x in sec] and
      d["Sections"][3]["Sha384"] == hashlib.sha384(rd0).hexdigest(), "sections with sizes and digests")
check(json.loads(image("pcr", path("service.eif"))[1])["Measurements"] == m, "pcr says the same")
if os.path.exists(SHARED_KERNEL):
    s, out, err = build("real.eif", "--kernel", SHARED_KERNEL, "--kms-key-id", KEY, kernel=False)
    size = os.path.getsize(path("real.eif"))
    check(s == 0 and size <= 9_000_000, "with a real kernel it is not larger than 9 MB", size)
    check(described("real.eif")["Metadata"]["KernelVersion"].startswith("6.12"), "whose version is read")
else:
    check(True, "with a real kernel it is not larger than 9 MB # SKIP no kernel in ../shared/tools/nitro-qemu")

# --- the same bytes, whoever builds where and when -------------------------------------------------------------------

want = sha("service.eif")
s, _, err = build("elsewhere/../again.eif", "--kms-key-id", KEY, env={"TZ": "Asia/Kathmandu", "LC_ALL": "zh_CN.UTF-8"})
os.makedirs(path("elsewhere"), exist_ok=True)
s, _, err = build("elsewhere/again.eif", "--kms-key-id", KEY, env={"TZ": "Asia/Kathmandu", "LC_ALL": "zh_CN.UTF-8",
                                                                   "AWS_REGION": "us-west-2", "KMS_KEY_ID": "x"})
check(s == 0 and sha("elsewhere/again.eif") == want, "another folder, time zone, language, other AWS settings", err)


def as_somebody(command, umask):
    """Run the shell command with that umask, as nobody if we are root, in a folder of its own."""
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
    return subprocess.run([*prefix, "sh", "-c", f"umask {umask}; {command}"], capture_output=True, text=True,
                          env={**CLEAN, "TZ": "America/Lima", "HOME": "/nonexistent"}, timeout=120)


# The tree of programs, copied elsewhere as somebody else would have it installed.
prefix = path("prefix")
for where, names in {"bin": ["nitroseal"], "libexec/nitroseal": ["nitroseald", "nitroseal-init"],
                     "share/nitroseal": ["amazon-roots.pem"]}.items():
    os.makedirs(os.path.join(prefix, where))
    for n in names:
        source = os.path.join(BUILD, "src", "bin", "nitroseal" if n == "nitroseal" else "enclave", n)
        shutil.copy(source, os.path.join(prefix, where, n))
os.makedirs(path("out"))
os.chmod(path("out"), 0o777)
if os.getuid() == 0:
    top = dir
    while top not in ("/", "/tmp"):  # somebody else has to come in
        os.chmod(top, os.stat(top).st_mode | 0o055)
        top = os.path.dirname(top)
p = as_somebody(f"cd {path('out')} && {prefix}/bin/nitroseal image build -o x.eif --kernel {KERNEL} --kms-key-id {KEY}",
                "077")
check(p.returncode == 0 and sha("out/x.eif") == want, "installed elsewhere, another user and umask", p.stderr)
check(stat.S_IMODE(os.stat(path("out/x.eif")).st_mode) == 0o644, "the image is for everybody to read")

tree = """mkdir -p T/app T/etc T/tmp && printf program >T/app/run && chmod 755 T/app/run && printf 'x\\n' >T/etc/conf &&
          ln -s /app/run T/link && ln -s ../../../etc/passwd T/up && printf 图 >T/图"""
os.makedirs(path("r1"))
os.makedirs(path("r2"))
os.chmod(path("r2"), 0o777)
subprocess.run(["sh", "-c", f"umask 022; cd {path('r1')} && {tree}"], check=True)
p = as_somebody(f"cd {path('r2')} && {tree} && touch -d 2001-01-01 T/etc/conf && {prefix}/bin/nitroseal image build "
                f"-o x.eif --kernel {KERNEL} --rootfs T --entrypoint /app/run", "027")
s, _, err = build("folder.eif", "--rootfs", path("r1", "T"), "--entrypoint", "/app/run")
check(p.returncode == 0 and s == 0 and sha("r2/x.eif") == sha("folder.eif"),
      "a folder made by another user, with another umask and other times", p.stderr, err)
s, _, err = build("epoch.eif", "--kms-key-id", KEY, env={"SOURCE_DATE_EPOCH": "1700000000"})
check(described("epoch.eif")["Metadata"]["BuildTime"] == "2023-11-14T22:13:20+00:00" and
      described("epoch.eif")["Measurements"] == m, "SOURCE_DATE_EPOCH is in the metadata and in no PCR")
s, _, err = build("no.eif", "--kms-key-id", KEY, env={"SOURCE_DATE_EPOCH": "today"})
check(s == 7 and "SOURCE_DATE_EPOCH" in err and not os.path.exists(path("no.eif")), "an epoch that is no number", err)

# --- folders, tars ---------------------------------------------------------------------------------------------------

files = ramdisk("folder.eif", 1)
check(files["rootfs/app/run"][:3] == (0o100755, 0, 0) and files["rootfs/etc/conf"][:3] == (0o100644, 0, 0) and
      files["rootfs/link"][0] == 0o120777 and files["rootfs/link"][5] == b"/app/run" and "rootfs/图" in files,
      "files, modes and links of a folder", files.keys())
os.makedirs(path("odd/dev"))
os.mkfifo(path("odd/dev/pipe"))
check(build("odd.eif", "--rootfs", path("odd"), "--entrypoint", "/x")[0] == 0 and
      "rootfs/dev/pipe" not in ramdisk("odd.eif", 1), "what is below dev is left out")
os.mkfifo(path("odd/pipe"))
s, _, err = build("no.eif", "--rootfs", path("odd"), "--entrypoint", "/x")
check(s == 6 and "odd: pipe: a device, a pipe or a socket" in err, "a pipe elsewhere is refused", err)
s, _, err = build("no.eif", "--rootfs", path("nothing"), "--entrypoint", "/x")
check(s == 6 and "no such file" in err.lower(), "a folder that is not there", err)


def tar(name, *items, mode="w"):
    with tarfile.open(path(name), mode, format=tarfile.PAX_FORMAT) as t:
        for n, kw in items:
            i = tarfile.TarInfo(n)
            i.mtime = 1234567890
            data = kw.pop("data", b"")
            i.size = len(data)
            for k, v in kw.items():
                setattr(i, k, v)
            t.addfile(i, io.BytesIO(data))
    return path(name)


good = [("./", dict(type=tarfile.DIRTYPE, mode=0o700)),
        ("./bin/app", dict(data=b"program", mode=0o4755, uid=7, gid=8, uname="x")),
        ("bin/app2", dict(type=tarfile.LNKTYPE, linkname="bin/app")),
        ("長" * 60 + "/图", dict(data=b"long name", uid=70000)),
        ("dev/null", dict(type=tarfile.CHRTYPE)),
        ("etc/passwd", dict(data=b"root:x:0:0::/:\napp:x:1000:1000::/:\n")),
        ("etc/group", dict(data=b"app:x:1000:\nmore:x:29:app\n"))]
for kind, suffix in (("w", ""), ("w:gz", ".gz")):
    tar("good.tar" + suffix, *[(n, dict(k)) for n, k in good], mode=kind)
subprocess.run(["zstd", "-q", path("good.tar"), "-o", path("good.tar.zst")], check=True)
sums = set()
for suffix in ("", ".gz", ".zst"):
    s, _, err = build(f"tar{suffix}.eif", "--rootfs", path("good.tar" + suffix), "--entrypoint", "/bin/app",
                      env={"LC_ALL": "zh_CN.UTF-8" if suffix else "C"})
    check(s == 0, f"a tar archive{suffix}", err)
    sums.add(sha(f"tar{suffix}.eif"))
check(len(sums) == 1, "plain, gzip and zstd give the same image")
files = ramdisk("tar.eif", 1)
check(files["rootfs/bin/app"][:4] == (0o104755, 7, 8, 2) and files["rootfs/bin/app2"][3:5] == files["rootfs/bin/app"][3:5]
      and files["rootfs/bin/app2"][5] == b"", "modes, numeric owners, hard links", files["rootfs/bin/app"])
check(files["rootfs/" + "長" * 60 + "/图"][1] == 70000 and "rootfs/dev/null" not in files, "long names; no devices")

hostile = {
    "an absolute path": [("/etc/passwd", dict(data=b"x"))],
    "a path with '..'": [("a/../../x", dict(data=b"x"))],
    "the path goes through a symbolic link": [("a", dict(type=tarfile.SYMTYPE, linkname="/etc")),
                                              ("a/passwd", dict(data=b"x"))],
    "a hard link out of the image": [("a", dict(type=tarfile.LNKTYPE, linkname="../../etc/passwd"))],
    "a hard link to what is not a file of the image": [("a", dict(type=tarfile.LNKTYPE, linkname="b"))],
    "a device": [("a", dict(type=tarfile.BLKTYPE))],
    "a named pipe": [("a", dict(type=tarfile.FIFOTYPE))],
    "an owner that is not a number of 32 bits": [("a", dict(data=b"x", uid=1 << 40))],
    "the path is too long": [("a" * 256, dict(data=b"x"))],
}
for what, items in hostile.items():
    s, _, err = build("no.eif", "--rootfs", tar("hostile.tar", *items), "--entrypoint", "/x")
    check(s == 6 and what in err and not os.path.exists(path("no.eif")), f"refused: {what}", s, err)
s, _, err = build("no.eif", "--rootfs", write("text.tar", "not an archive at all" * 100), "--entrypoint", "/x")
check(s == 6 and "not a tar archive" in err, "a text is no archive", err)
whole = read("good.tar")
write("cut.tar", whole[:len(whole) // 4])
check(build("no.eif", "--rootfs", path("cut.tar"), "--entrypoint", "/x")[0] == 6, "an archive that is cut short")

# --- OCI -------------------------------------------------------------------------------------------------------------

T = "application/vnd.oci.image."


def oci(name, layers, config=None, arch="amd64", archive=True, bend=None, media="layer.v1.tar+gzip"):
    """A layout folder, or an oci-archive of it."""
    where = path(name + ".d")
    os.makedirs(os.path.join(where, "blobs", "sha256"))

    def blob(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(where, "blobs", "sha256", digest), "wb") as f:
            f.write(bend(data, kind) if bend else data)
        return {"mediaType": T + kind, "digest": "sha256:" + digest, "size": len(data)}

    manifest = {"schemaVersion": 2, "config": blob(json.dumps({
        "architecture": arch, "os": "linux", "config": config or {}}).encode(), "config.v1+json"),
        "layers": [blob(read(l), media) for l in layers]}
    index = {"schemaVersion": 2, "manifests": [blob(json.dumps(manifest).encode(), "manifest.v1+json")]}
    write(name + ".d/index.json", json.dumps(index))
    write(name + ".d/oci-layout", '{"imageLayoutVersion":"1.0.0"}')
    if not archive:
        return where
    with tarfile.open(path(name), "w") as t:
        t.add(where, ".")
    return path(name)


base = tar("base.tar.gz", *[(n, dict(k)) for n, k in good], ("etc/gone", dict(data=b"x")), ("opt/a", dict(data=b"x")),
           ("opt/b", dict(data=b"x")), mode="w:gz")
upper = tar("upper.tar.gz", ("etc/.wh.gone", {}), ("opt/.wh..wh..opq", {}), ("opt/c", dict(data=b"new")),
            ("again", dict(type=tarfile.LNKTYPE, linkname="bin/app")), mode="w:gz")
config = {"Entrypoint": ["/bin/app", "-v"], "Cmd": ["one two", "图"], "Env": ["PATH=/bin", "A=1"], "WorkingDir": "/opt",
          "User": "app"}
archive = oci("good.oci", [base, upper], config)
s, out, err = build("oci.eif", "--oci", archive)
check(s == 0, "an OCI archive", err)
files = ramdisk("oci.eif", 1)
check(files["cmd"][5] == "/bin/app\n-v\none two\n图\n".encode() and files["env"][5] == b"PATH=/bin\nA=1\n" and
      files["workdir"][5] == b"/opt\n" and files["user"][5] == b"1000:1000,29\n",
      "ENTRYPOINT and CMD, Env, WORKDIR, USER with its groups", files)
check("rootfs/etc/gone" not in files and "rootfs/opt/a" not in files and files["rootfs/opt/c"][5] == b"new" and
      files["rootfs/again"][4] == files["rootfs/bin/app"][4], "whiteouts, and a hard link into the layer below")
digest = json.loads(read("good.oci.d/index.json"))["manifests"][0]["digest"][7:]
check(described("oci.eif")["ImageVersion"] ==
      json.loads(read(f"good.oci.d/blobs/sha256/{digest}"))["config"]["digest"][7:], "the version is the image's id")
s, _, err = build("oci2.eif", "--oci", path("good.oci.d"))
check(s == 0 and sha("oci2.eif") == sha("oci.eif"), "its layout folder gives the same image", err)
s, _, err = build("oci3.eif", "--oci", archive, "--entrypoint", "/bin/sh", "--entrypoint", "", "--env", "A=2", "--env",
                  "B=3", "--workdir", "/", "--user", "70:80", "--file", f"{KERNEL}:/opt/c", "--file", f"{BIN}/nitroseal:/n/p")
files = ramdisk("oci3.eif", 1)
check(s == 0 and files["cmd"][5] == b"/bin/sh\n\n" and files["env"][5] == b"PATH=/bin\nA=2\nB=3\n" and
      "workdir" not in files and files["user"][5] == b"70:80\n" and files["rootfs/opt/c"][5] == read(KERNEL) and
      files["rootfs/n/p"][0] == 0o100755, "--entrypoint, --env, --workdir, --user, --file", err)

refusals = [
    ("a blob that is not its digest's", dict(layers=[base], config=config, bend=lambda d, k: b"x" + d[1:] if "layer" in k else d),
     "the bytes are not those of the digest"),
    ("a blob that is longer than it says", dict(layers=[base], config=config, bend=lambda d, k: d + b"x"), "too large"),
    ("a manifest that is not its digest's", dict(layers=[base], config=config,
                                                 bend=lambda d, k: b" " + d[1:] if "manifest" in k else d),
     "the bytes are not those of the digest"),
    ("another machine", dict(layers=[base], config=config, arch="arm64"), "another machine"),
    ("neither ENTRYPOINT nor CMD", dict(layers=[base], config={}), "neither ENTRYPOINT nor CMD"),
    ("an unknown user", dict(layers=[base], config={**config, "User": "who"}), "USER is not in the image's etc/passwd"),
    ("a line feed in CMD", dict(layers=[base], config={"Cmd": ["a\nb"]}), "line feed"),
    ("a layer of another type", dict(layers=[base], config=config, media="layer.v1.tar+xz"), "media type"),
    ("a hostile layer", dict(layers=[base, tar("h.tar.gz", ("../x", dict(data=b"")), mode="w:gz")], config=config), "'..'"),
]
for i, (name, kw, what) in enumerate(refusals):
    s, _, err = build("no.eif", "--oci", oci(f"bad{i}.oci", **kw))
    check(s in (6, 7) and what in err and not os.path.exists(path("no.eif")), f"refused: {name}", s, err)
s, _, err = build("no.eif", "--oci", path("good.tar"))
check(s == 6 and "not an OCI image layout" in err, "a tar that is no OCI archive, and what to do", err)

# --- options and settings ----------------------------------------------------------------------------------------------

s, _, err = build("full.eif", "--kms-key-id", "1234", "--region", "eu-central-1", "--port", "6000", "--env", "NITROSEAL_LOG=debug",
                  "--name", "名字", "--version", "v1", "--metadata", write("m.json", '{"owner": "me"}'), "--cmdline", "quiet",
                  "--init-setting", "restart=always", "--init-setting", "heartbeat=early", "--ca-file",
                  write("ca.pem", "CA"), "--service-program", write("prog", "P", 0o755), "--init",
                  write("init", b"\x7fELFi"), "--nsm-module", write("nsm.ko", "ko"))
d, files = described("full.eif"), ramdisk("full.eif", 1)
check(s == 0 and files["env"][5] == b"KMS_KEY_ID=1234\nAWS_REGION=eu-central-1\nVSOCK_PORT=6000\nNITROSEAL_LOG=debug\n" and
      files["rootfs/etc/ssl/certs/ca-certificates.crt"][5] == b"CA" and files["rootfs/bin/nitroseald"][5] == b"P" and
      d["ImageName"] == "名字" and d["ImageVersion"] == "v1" and d["Metadata"]["owner"] == "me" and
      sections("full.eif")[1][1] == b"quiet", "every option of the service's image", err, d)
files = ramdisk("full.eif", 0)
check(files["init"][5] == b"\x7fELFi" and files["nsm.ko"][5] == b"ko" and
      files["init.conf"][5] == b"restart=always\nheartbeat=early\n", "and of its first ramdisk", files)
blobs = {"bzImage": fake_kernel(b"4.14.256 x"), "cmdline": b"aws line\n", "nsm.ko": b"aws ko", "init": b"x"}
for n, data in blobs.items():
    write(f"blobs/{n}", data)
s, _, err = build("aws.eif", "--kms-key-id", KEY, kernel=False, env={"NITRO_CLI_BLOBS": path("blobs")})
check(s == 0 and sections("aws.eif")[0][1] == blobs["bzImage"] and sections("aws.eif")[1][1] == b"aws line" and
      ramdisk("aws.eif", 0)["nsm.ko"][5] == b"aws ko", "AWS's blobs: kernel, command line, NSM module", err)
s, _, err = build("env.eif", "--kms-key-id", KEY, kernel=False, env={"NITROSEAL_KERNEL": KERNEL, "NITRO_CLI_BLOBS": path("blobs")})
check(s == 0 and sha("env.eif") == want, "NITROSEAL_KERNEL goes before them", err)
p = subprocess.run([f"{prefix}/bin/nitroseal", "image", "build", "-o", path("no.eif"), "--kms-key-id", KEY],
                   capture_output=True, text=True, env={**CLEAN, "NITRO_CLI_BLOBS": path("none")})
check(p.returncode == 7 and "--kernel" in p.stderr and "image/kernel/build" in p.stderr, "no kernel: how to get one", p.stderr)
faults = [
    (["--kms-key-id", KEY, "--region", "us-east-1"], 7, "another region"),
    ([], 7, "--kms-key-id"),
    (["--kms-key-id", KEY, "--rootfs", "x"], 2, "for the service"),
    (["--rootfs", "x", "--oci", "y"], 2, "one of them"),
    (["--kms-key-id", KEY, "--port", "0"], 2, "--port"),
    (["--kms-key-id", KEY, "--arch", "riscv"], 2, "--arch"),
    (["--kms-key-id", KEY, "--env", "X"], 7, "NAME=VALUE"),
    (["--kms-key-id", KEY, "--file", "x"], 7, "HOST:GUEST"),
    (["--kms-key-id", KEY, "--file", f"{KERNEL}:relative"], 7, "absolute"),
    (["--kms-key-id", KEY, "--file", f"{KERNEL}:/a/../../b"], 7, "'..'"),
    (["--kms-key-id", KEY, "--init-setting", "restart=sometimes"], 7, "--init-setting"),
    (["--kms-key-id", KEY, "--kernel", write("vmlinux", b"\x7fELF")], 6, "bzImage"),
    (["--kms-key-id", KEY, "--kernel", path("nothing")], 6, "nothing"),
    (["--kms-key-id", KEY, "--init", write("script", "#!/bin/sh")], 6, "not an ELF program"),
    (["--kms-key-id", KEY, "--cmdline", "a\nb"], 6, "control character"),
    (["--kms-key-id", KEY, "--metadata", write("bad.json", "[]")], 6, "not an object"),
    (["--kms-key-id", KEY, "--signing-certificate", "x"], 2, "go together"),
    (["--ref", "x", "--kms-key-id", KEY], 2, "--ref"),
]
for argv, status, what in faults:
    s, out, err = build("no.eif", *argv)
    check(s == status and what in err and out == "" and err.count("\n") == 1 and not os.path.exists(path("no.eif")),
          f"refused with {status}: {' '.join(argv[-2:])[:60]!r}", s, err)
check(image("build", "--kms-key-id", KEY)[0] == 2, "no -o is a usage fault")

# --- signatures --------------------------------------------------------------------------------------------------------

for curve in ("prime256v1", "secp384r1", "secp521r1"):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", f"ec_paramgen_curve:{curve}", "-nodes", "-keyout",
                    path(curve + ".key"), "-out", path(curve + ".crt"), "-days", "30", "-subj", f"/CN={curve}"],
                   check=True, capture_output=True)
shutil.copy(path("service.eif"), path("signed.eif"))
for curve in ("prime256v1", "secp384r1", "secp521r1"):
    s, out, err = image("sign", "--signing-certificate", path(curve + ".crt"), "--private-key", path(curve + ".key"),
                        path("signed.eif"))
    der = subprocess.run(["openssl", "x509", "-in", path(curve + ".crt"), "-outform", "DER"], capture_output=True).stdout
    pcr8 = measure(der)
    check(s == 0 and json.loads(out)["Measurements"] == {**m, "PCR8": pcr8}, f"signed with {curve}: PCR8 and no other", err)
    d = described("signed.eif")
    check(d["IsSigned"] and d["SignatureCheck"] and d["SigningCertificate"]["IssuerName"] == {"commonName": curve},
          "described so", d)
    check(json.loads(image("pcr", "--signing-certificate", path(curve + ".crt"))[1]) == {"PCR8": pcr8}, "pcr of the certificate")
    check(image("verify", "--signing-certificate", path(curve + ".crt"), "--pcr", f"8={pcr8}", path("signed.eif"))[0] == 0,
          "verified")
check(len(sections("signed.eif")) == 6, "one signature, however often it was signed")
s, out, err = build("signed2.eif", "--kms-key-id", KEY, "--signing-certificate", path("secp384r1.crt"), "--private-key",
                    path("secp384r1.key"))
check(s == 0 and image("verify", path("signed2.eif"))[0] == 0, "signed while building", err)
s, _, err = image("verify", "--signing-certificate", path("prime256v1.crt"), path("signed2.eif"))
check(s == 5 and "another certificate" in err, "by somebody else", err)
s, _, err = image("sign", "--signing-certificate", path("prime256v1.crt"), "--private-key", path("secp384r1.key"), path("signed2.eif"))
check(s == 6 and "does not belong" in err, "a key of another certificate", err)
for key in ("pkcs11:token=x", "arn:aws:kms:us-east-1:111122223333:key/x"):
    s, _, err = image("sign", "--signing-certificate", path("secp384r1.crt"), "--private-key", key, path("signed2.eif"))
    check(s == 7 and "--to-be-signed" in err, f"a key elsewhere ({key[:6]}): what to do", err)
# The way that text names: the key signs elsewhere, here in the openssl command.
s, _, err = image("sign", "--signing-certificate", path("secp384r1.crt"), "--to-be-signed", path("tbs"), path("service.eif"))
subprocess.run(["openssl", "dgst", "-sha384", "-sign", path("secp384r1.key"), "-out", path("sig.der"), path("tbs")], check=True)
s2, _, err2 = image("sign", "--signing-certificate", path("secp384r1.crt"), "--signature", path("sig.der"), "-o",
                    path("signed3.eif"), path("service.eif"))
check(s == 0 and s2 == 0 and image("verify", "--signing-certificate", path("secp384r1.crt"), path("signed3.eif"))[0] == 0,
      "signed elsewhere, attached here", err, err2)
check(sha("service.eif") == want, "-o leaves the image as it was")
s, _, err = image("sign", "--signing-certificate", path("secp384r1.crt"), "--signature", path("sig.der"), "-o", path("no.eif"),
                  path("folder.eif"))
check(s == 5 and "not a signature" in err, "that signature over another image", err)
expired = path("expired.crt")
subprocess.run(["openssl", "x509", "-req", "-in", write("csr", subprocess.run(
    ["openssl", "req", "-new", "-key", path("secp384r1.key"), "-subj", "/CN=old"], capture_output=True).stdout),
    "-signkey", path("secp384r1.key"), "-days", "-1", "-out", expired], capture_output=True)
if os.path.exists(expired) and os.path.getsize(expired):
    image("sign", "--signing-certificate", expired, "--private-key", path("secp384r1.key"), "-o", path("old.eif"), path("service.eif"))
    s, _, err = image("verify", path("old.eif"))
    check(s == 5 and "expired" in err or "not valid yet" in err, "an expired certificate", s, err)
    check(image("verify", "--allow-expired", path("old.eif"))[0] == 0 and described("old.eif")["SignatureCheck"],
          "which --allow-expired takes, and describe shows")

# --- altered images ------------------------------------------------------------------------------------------------------


def altered(change, fix_crc=True):
    b = bytearray(read("signed3.eif"))
    change(b)
    if fix_crc:
        struct.pack_into(">I", b, 0x220, zlib.crc32(b[0x224:], zlib.crc32(b[:0x220])))
    write("altered.eif", bytes(b))


def flip(at):
    def change(b):
        b[at] ^= 1
    return change


altered(flip(-13 - len(sections("signed3.eif")[5][1])), fix_crc=False)
s, _, err = image("verify", path("altered.eif"))
check(s == 5 and "checksum" in err and described("altered.eif")["CheckCRC"] is False, "a bit of the file: checksum", err)
check(image("pcr", path("altered.eif"))[0] == 5, "whose PCRs are not told")
altered(flip(0x224 + 12 + 0x310))
s, _, err = image("verify", path("altered.eif"))
check(s == 5 and "another PCR0" in err and described("altered.eif")["SignatureCheck"] is False,
      "a bit of the kernel, checksum made anew: the signature", err)
altered(flip(-1))
s, _, err = image("verify", path("altered.eif"))
check(s == 5 and err.endswith("signature\n"), "a bit of the signature", err)
altered(lambda b: b.extend(b"12345"))
s, _, err = image("describe", path("altered.eif"))
check(s == 6 and "bytes after the last section" in err, "bytes at the end", err)
for n in (0, 3, 547, 548, 2000):
    write("altered.eif", read("service.eif")[:n])
    check(image("describe", path("altered.eif"))[0] == 6 and image("verify", path("altered.eif"))[0] == 5, f"cut at {n}")
s, _, err = image("verify", path("service.eif"))
check(s == 5 and "not signed" in err, "an image without signature verifies only against PCRs", err)
check(image("verify", "--pcr", f"PCR0={m['PCR0']}", "--pcr", f"1={m['PCR1']}", path("service.eif"))[0] == 0, "with the right ones")
s, _, err = image("verify", "--pcr", f"PCR2={m['PCR1']}", path("service.eif"))
check(s == 5 and "PCR2 differs" in err, "and not with others", err)
check(image("verify", "--pcr", "PCR0=12", path("service.eif"))[0] == 2, "half a PCR is a usage fault")

# --- diff, extract -----------------------------------------------------------------------------------------------------------

check(image("diff", path("service.eif"), path("elsewhere/again.eif"))[:2] == (0, "PCR0: the same\nPCR1: the same\nPCR2: the same\n"),
      "diff: the same")
build("other.eif", "--kms-key-id", KEY, "--env", "A=1", "--file", f"{KERNEL}:/new")
s, out, err = image("diff", path("service.eif"), path("other.eif"))
check(s == 1 and "ramdisk 1: differs" in out and "PCR0, PCR2" in out and "~ env (content)" in out and "+ rootfs/new" in out and
      "PCR1: the same" in out and "PCR2: differs" in out and "kernel" not in out, "diff: which files, which PCRs", out, err)
build("line.eif", "--kms-key-id", KEY, "--cmdline", "quiet")
s, out, err = image("diff", path("service.eif"), path("line.eif"))
check(s == 1 and "cmdline: differs" in out and "+ quiet" in out and "PCR2: the same" in out and "PCR0, PCR1" in out,
      "diff: the command line", out)
s, out, err = image("diff", path("service.eif"), path("epoch.eif"))
check(s == 1 and "metadata: differs" in out and "not measured" in out and "PCR0: the same" in out, "diff: what no PCR covers", out)
s, out, err = image("diff", path("service.eif"), path("signed3.eif"))
check(s == 1 and "signature: only in the second" in out and "PCR8: differs" in out, "diff: a signature", out)
check(image("diff", path("service.eif"), KERNEL)[0] == 6, "diff with what is no image")

s, out, err = image("extract", "-o", path("parts/of"), path("signed3.eif"))
names = sorted(os.listdir(path("parts/of")))
check(s == 0 and names == ["cmdline", "kernel", "metadata.json", "ramdisk0.cpio", "ramdisk1.cpio", "signature.cbor",
                           "signing-certificate.pem"], "extract: a file for each section", names, err)
check(read("parts/of/ramdisk1.cpio") == rd1 and read("parts/of/kernel") == read(KERNEL) and
      read("parts/of/signing-certificate.pem") == read("secp384r1.crt"), "byte for byte")
p = subprocess.run(["cpio", "-it", "--quiet"], stdin=open(path("parts/of/ramdisk1.cpio"), "rb"), capture_output=True, text=True)
check(p.returncode == 0 and p.stdout.split() == list(ramdisk("service.eif", 1)), "which the cpio command reads", p.stderr)
s, out, err = image("extract", "--list", path("tar.eif"))
check(s == 0 and "1 104755 7:8 7 rootfs/bin/app\n" in out, "extract --list", out, err)
check(image("extract", path("tar.eif"))[0] == 2, "extract needs to know where to")

check(not [n for n in os.listdir(dir) if ".tmp." in n], "no temporary file is left", os.listdir(dir))
plan()
