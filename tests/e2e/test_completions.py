#!/usr/bin/python3
"""Each program's completions offer what its --help shows, command by command: no more, no less. The shells are run
themselves: bash and fish as they are, zsh with its two helpers in place of the line editor. TAP."""
import os, re, shutil, subprocess

import lib
from lib import check

FILES = os.path.join(os.path.dirname(lib.BIN), "completions")
OPTION = re.compile(r"^  +(?:-[a-zA-Z0-9], +)?(--[a-zA-Z0-9_-]+)", re.M)


def help_of(program, path):
    p = subprocess.run([os.path.join(lib.BIN, program), *path, "--help"], capture_output=True, text=True, env=lib.CLEAN, stdin=subprocess.DEVNULL)
    return p.stdout or p.stderr


def commands_of(text):
    """The first words of the lines below "Commands:", to the next empty line that is followed by something else."""
    part = re.split(r"^ ?Commands: ?$", text, maxsplit=1, flags=re.M)
    if len(part) == 1:
        return []
    block = re.split(r"^ ?[A-Z]\w*:", part[1], maxsplit=1, flags=re.M)[0]
    return [line.split()[0] for line in block.splitlines() if re.match(r" {2,4}[a-z]", line)]


def levels_of(program):
    todo, found = [()], {}
    while todo:
        path = todo.pop()
        text = help_of(program, path)
        commands = commands_of(text)
        found[path] = (set(OPTION.findall(text)), set(commands))
        todo += [(*path, c) for c in commands]
    return found


def bash(program, path, word):
    words = " ".join([program, *path, f"'{word}'"])
    script = (f'source "{FILES}/{program}"; COMP_WORDS=({words}); COMP_CWORD={len(path) + 1}; '
              f'fn=$(complete -p {program} | sed "s/.*-F \\([^ ]*\\) .*/\\1/"); $fn; printf "%s\\n" "${{COMPREPLY[@]}}"')
    return run(["bash", "--norc", "-c", script])


ZSH = """
_describe() { local -a kept; kept=(${argv[@]:#-*}); local name=$kept[-1]; [[ $argv[1] == -o ]] && name=options
              for item in ${(P)name}; do print -r -- ${item%%:*}; done }
_files() { print FILES }
compdef() { }
"""


def zsh(program, path, word):
    words = " ".join([program, *path, f"'{word}'"])
    fn = "_" + re.sub(r"[^A-Za-z0-9]", "_", program)
    return run(["zsh", "-f", "-c", f'{ZSH}\nsource "{FILES}/_{program}"; words=({words}); CURRENT={len(path) + 2}; {fn}'])


def fish(program, path, word):
    line = " ".join([program, *path, word])
    out = run(["fish", "--no-config", "-c", f'source "{FILES}/{program}.fish"; complete -C "{line}"'], HOME=FOLDER)
    return {item.split("\t")[0] for item in out}


def run(argv, **env):
    p = subprocess.run(argv, capture_output=True, text=True, env={**lib.CLEAN, "PATH": os.environ["PATH"], **env}, stdin=subprocess.DEVNULL, cwd=FOLDER)
    check(p.stderr == "", f"{argv[0]}: no complaint", argv, p.stderr) if p.stderr else None
    return set(p.stdout.splitlines()) - {""}


FOLDER = lib.private_folder()
open(os.path.join(FOLDER, "a file"), "w").close()
SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}
for name in SHELLS:
    if not shutil.which(name):
        check(True, f"{name} # SKIP {name} is not installed")
present = {n: f for n, f in SHELLS.items() if shutil.which(n)}
programs = sorted(os.listdir(lib.BIN))
check(len(programs) >= 8, "programs were found", programs)
for program in programs:
    for suffix, form in (("", "{}"), ("zsh", "_{}"), ("fish", "{}.fish")):
        check(os.path.exists(os.path.join(FILES, form.format(program))), f"{program}: there is a file for {suffix or 'bash'}")
    for path, (options, commands) in levels_of(program).items():
        name = " ".join((program, *path))
        check(options or commands, f"{name}: --help shows something to complete")
        for shell, ask in present.items():
            got = {w for w in ask(program, path, "--") if w.startswith("--")}
            check(got == options, f"{shell}: {name}: the options", sorted(got ^ options))
            if commands:
                got = {w for w in ask(program, path, "") if not w.startswith("-")}
                check(got == commands, f"{shell}: {name}: the commands", sorted(got ^ commands))
for shell, ask in present.items():
    got = ask("kmstool_enclave_cli", ("genkey", "--ca-file"), "")
    check("FILES" in got or "a file" in got or "a\\ file" in got, f"{shell}: files after an option that takes one", got)
    got = ask("nitroseal-kms", ("--cms-form",), "")
    check({"a", "b"} <= got, f"{shell}: the words of a choice", got)
    got = ask("nitroseal", ("encrypt", "--profile"), "")
    check(not got & {"decrypt", "encrypt"}, f"{shell}: nothing else where a value is due", got)
lib.plan()
