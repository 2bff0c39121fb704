#!/usr/bin/python3
"""The AWS command line of the distribution, unmodified, in one process for many commands (its start takes longer than
anything that it does here). A JSON object with argv and env a line on stdin, status and output a line on stdout."""
import contextlib, io, json, os, sys

from awscli.clidriver import create_clidriver

answers = sys.stdout
for line in sys.stdin:
    request = json.loads(line)
    os.environ.update(request["env"])
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = create_clidriver().main(request["argv"])
        except SystemExit as e:
            status = e.code
    answers.write(json.dumps({"status": status, "out": out.getvalue(), "err": err.getvalue()}) + "\n")
    answers.flush()
