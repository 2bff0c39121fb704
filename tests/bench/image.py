"""`nitroseal image` without a machine to boot on: building our service's image and one of a large folder, describing it."""
import os, shutil, statistics, struct, subprocess, tempfile, time

TARGETS = ["src/bin/enclave/nitroseald", "src/bin/enclave/nitroseal-init"]
FOLDER_MB, SMALL_FILES, SMALL_BYTES = 100, 10_000, 200


def kernel():
    """Something that the builder takes for a bzImage of usual size."""
    k = bytearray(2_600_000)
    k[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", k, 0x20e, 0x100)
    return bytes(k)


def fill(folder):
    for i in range(FOLDER_MB):
        with open(os.path.join(folder, f"large{i}"), "wb") as f:
            f.write(os.urandom(1_000_000))
    for i in range(SMALL_FILES):
        where = os.path.join(folder, f"d{i // 500}")
        os.makedirs(where, exist_ok=True)
        with open(os.path.join(where, f"small{i}"), "wb") as f:
            f.write(b"x" * SMALL_BYTES)


def timed(runs, *argv):
    seconds = []
    for _ in range(runs):
        start = time.monotonic()
        subprocess.run(argv, check=True, capture_output=True)
        seconds.append(time.monotonic() - start)
    return statistics.median(seconds)


def measure(folder, figures, runs):
    nitroseal = os.path.join(folder, "bin", "nitroseal")
    d = tempfile.mkdtemp(prefix="nsi.")
    try:
        with open(os.path.join(d, "bzImage"), "wb") as f:
            f.write(kernel())
        common = [nitroseal, "image", "build", "-o", os.path.join(d, "x.eif"), "--kernel", os.path.join(d, "bzImage")]
        seconds = timed(runs, *common, "--kms-key-id", "arn:aws:kms:us-east-1:111122223333:key/x")
        figures.add("image.build_ms", seconds * 1000, "ms")
        os.mkdir(os.path.join(d, "root"))
        fill(os.path.join(d, "root"))
        size = FOLDER_MB + SMALL_FILES * SMALL_BYTES / 1e6
        seconds = timed(runs, *common, "--rootfs", os.path.join(d, "root"), "--entrypoint", "/x")
        figures.add("image.folder_mb_s", size / seconds, "MB/s")
        seconds = timed(runs, nitroseal, "image", "describe", os.path.join(d, "x.eif"))
        figures.add("image.describe_mb_s", size / seconds, "MB/s")
    finally:
        shutil.rmtree(d, ignore_errors=True)
