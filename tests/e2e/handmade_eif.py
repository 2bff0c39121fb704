"""Enclave images by hand, from the format's description alone: for images that our builder refuses to make, and to
compare its PCRs with. Shares nothing with the C code."""
import hashlib, json, struct, zlib

AWS_CMDLINE = ("reboot=k panic=30 pci=off nomodules console=ttyS0 i8042.noaux i8042.nomux i8042.nopnp i8042.dumbkbd "
               "random.trust_cpu=on")
# Emulated on a busy machine a guest sees the timer tick too late, takes it for broken and panics: it need not look.
TEST_CMDLINE = AWS_CMDLINE + " no_timer_check"
FOLDER, PROGRAM, FILE = 0o040755, 0o100755, 0o100644


def cpio(entries):
    """(name, mode, content) in newc form."""
    def member(number, name, mode, content):
        path = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + path
        return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)

    return b"".join(member(i + 1, *e) for i, e in enumerate(entries)) + member(0, "TRAILER!!!", 0, b"")


METADATA = {"ImageName": "by hand", "ImageVersion": "1", "BuildMetadata": {
    "BuildTime": "1970-01-01T00:00:00+00:00", "BuildTool": "by hand", "BuildToolVersion": "0",
    "OperatingSystem": "Linux", "KernelVersion": "0"}, "DockerInfo": None, "CustomMetadata": None}


def eif(kernel, cmdline, ramdisks, metadata=METADATA):
    sections = [(1, kernel), (2, cmdline.encode()), (5, json.dumps(metadata).encode()), *((3, r) for r in ramdisks)]
    offsets, at = [], 548
    for _, data in sections:
        offsets.append(at)
        at += 12 + len(data)
    spare = [0] * (32 - len(sections))
    head = b".eif" + struct.pack(">HHQQHH", 4, 0, 1 << 30, 2, 0, len(sections))
    head += struct.pack(">32Q", *offsets, *spare) + struct.pack(">32Q", *(len(d) for _, d in sections), *spare) + bytes(4)
    body = b"".join(struct.pack(">HHQ", kind, 0, len(data)) + data for kind, data in sections)
    return head + struct.pack(">I", zlib.crc32(head + body)) + body


def extended(*parts):
    """The PCR that measuring these gives."""
    return hashlib.sha384(bytes(48) + hashlib.sha384(b"".join(parts)).digest()).hexdigest()


def pcrs(kernel, cmdline, ramdisks):
    first = (kernel, cmdline.encode())
    return {"PCR0": extended(*first, *ramdisks), "PCR1": extended(*first, ramdisks[0]), "PCR2": extended(*ramdisks[1:])}


def bootstrap(init, conf=None, module=None):
    more = [(n, FILE, c) for n, c in (("init.conf", conf), ("nsm.ko", module)) if c is not None]
    return cpio([("dev", FOLDER, b""), ("init", PROGRAM, init), *more])


def application(files, **tops):
    """`files`: path under the root -> content of a program. `tops`: cmd, env, user, workdir; absent when None."""
    names = ["rootfs"] + ["rootfs/" + n for n in ("bin", "dev", "proc", "run", "srv", "sys", "tmp")]
    return cpio([(n, FOLDER, b"") for n in names] + [("rootfs/" + n, PROGRAM, c) for n, c in files.items()] +
                [(n, FILE, c) for n, c in tops.items() if c is not None])
