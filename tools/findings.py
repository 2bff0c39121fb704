"""What a static analyzer tells wrongly is listed by file, kind and reason (tools/NAME-known); what goes beyond the list, and what stands in
it without being told any more, is a failure."""
import collections, os, re, subprocess

root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def ships():
    """The sources that ship."""
    names = subprocess.run(["git", "-C", root, "ls-files", "src/*.c"], capture_output=True, text=True, check=True).stdout.split()
    return {f for f in names if not re.match(r"(test|fuzz|t)_", os.path.basename(f)) and not f.startswith("src/testing/")}


def known(path):
    """{(file, kind): how often it is told and was found not to be so}"""
    counts = {}
    with open(os.path.join(root, path)) as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                name, kind, n, _reason = line.split(None, 3)
                counts[name, kind] = int(n)
    return counts


def compare(found, path):
    """Whether `found`, a Counter of (file, kind), is what the list says; tells the differences. Also: the files with new findings."""
    expected = collections.Counter(known(path))
    beyond = found - expected
    stale = expected - found
    for name, kind in sorted(beyond):
        print(f"{name}: {kind}: {found[name, kind]}, and {path} has {expected[name, kind]}")
    for name, kind in sorted(stale):
        print(f"{name}: {kind}: {found[name, kind]} only, and {path} has {expected[name, kind]}: take what is not told any more out of it")
    print(f"{sum(found.values())} findings, {sum(beyond.values())} of them new, {sum(stale.values())} of the list are gone")
    return not beyond and not stale, {name for name, _ in beyond}
