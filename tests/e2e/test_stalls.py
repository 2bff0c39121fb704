#!/usr/bin/python3
"""Clients that hold the service up: they do not read, leave midway, keep an answer for long, ask for HEAD; and a service that is told to
stop while KMS does not answer. Each phase has its end, what is held is counted, and the log tells how a message ended. TAP."""
import os, socket

import lib
from lib import check
from messages import hold

BINARY, PIECE = "application/octet-stream", 65536
HEALTH = b"GET /healthz HTTP/1.1\r\n\r\n"


def connect(stack, cid):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(os.path.join(stack.v, f"{cid}.vsock_{lib.PORT}"))
    return s


def head(stack):
    """The answer to HEAD has no body, which would be taken for the next answer."""
    with connect(stack, lib.CID) as s:
        for path in (b"/healthz", b"/v1/encrypt", b"/nothing"):
            s.sendall(b"HEAD " + path + b" HTTP/1.1\r\n\r\n" + HEALTH)
            out = b""
            while not out.endswith(b'{"status":"ok"}'):
                out += s.recv(65536)
            first, _, second = out.partition(b"\r\n\r\n")
            check(first.startswith(b"HTTP/1.1 40") and second.startswith(b"HTTP/1.1 200 OK"), f"HEAD {path.decode()}: a head, and nothing before the next answer", out)


if lib.missing_programs():
    check(False, "programs of the local stack: " + " ".join(lib.missing_programs()))
    lib.plan()
the_stack = lib.Stack(log_level="debug").start()
hold(the_stack)
head(the_stack)
lib.plan()
