#!/usr/bin/python3
"""Clients that hold the service up: they do not read, leave midway, keep an answer for long, ask for HEAD; and a service that is told to
stop while KMS does not answer. Each phase has its end, what is held is counted, and the log tells how a message ended. TAP."""
import array, fcntl, json, os, re, select, signal, socket, termios, time

import lib
from lib import check
from messages import ENC, hold, metrics

BINARY, PIECE = "application/octet-stream", 65536
HEALTH = b"GET /healthz HTTP/1.1\r\n\r\n"


def connect(stack, cid):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(os.path.join(stack.v, f"{cid}.vsock_{lib.PORT}"))
    return s


def is_open(s):
    poll = select.poll()
    poll.register(s, select.POLLRDHUP)
    return not poll.poll(0)


def is_taken(s):
    """Has the service read all that was sent?"""
    left = array.array("i", [0])
    fcntl.ioctl(s, termios.TIOCOUTQ, left)
    return left[0] == 0


def rest(s):
    """All that still comes."""
    s.settimeout(20)
    out = bytearray()
    try:
        while piece := s.recv(1 << 20):
            out += piece
    except ConnectionResetError:
        pass
    return bytes(out)


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


def stream(stack, cid, pieces):
    """A message that is being encrypted and of which nothing is read."""
    s = connect(stack, cid)
    s.sendall(b"POST " + ENC.encode() + b" HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(pieces):
        s.sendall(b"%x\r\n" % PIECE + b"x" * PIECE + b"\r\n")
        time.sleep(0.02)  # until it is taken
    return s


def message_lines(program):
    return [x for x in program.text().splitlines() if " message id=" in x]


def left_midway(stack, service):
    """A line in the log for each message, also of a client that takes what there is and leaves."""
    before = len(message_lines(service))
    s = stream(stack, 50, 2)
    lib.until(lambda: is_taken(s), what="both pieces are taken")
    s.recv(100)
    s.close()  # with bytes unread: a reset
    check(lib.until(lambda: len(message_lines(service)) == before + 1), "a client that resets its stream: a line in the log", message_lines(service))
    line = message_lines(service)[-1]
    check("op=message-encrypt result=client_gone" in line and stack.arn in line and "bytes_in=131072" in line, "it says so", line)
    got = metrics(stack, 50).get('nitroseal_requests_total{operation="message-encrypt",result="client_gone"}')
    check(got == 1, "and it is counted", got)


def write_timeout(stack, service):
    """Once it is held back, nothing that a client sends moves the end of its time."""
    before = len(message_lines(service))
    s = stream(stack, 50, 22)
    start = time.monotonic()
    s.sendall(b"%x\r\n" % PIECE)
    while is_open(s) and time.monotonic() - start < 30:
        try:
            s.send(b"x")
        except OSError:
            break
        time.sleep(0.2)
    took = time.monotonic() - start
    check(took < 25, f"a byte now and then does not keep what is not read: {took:.1f} s", took)
    s.close()
    lines = message_lines(service)[before:]
    check(len(lines) == 1 and "result=write_timeout" in lines[0], "one line, with the reason", lines)


def held_back_then_done(stack, service):
    """It was held back, reads a part, and the message ends: what it has not read still has its time."""
    s, got = stream(stack, 50, 22), 0
    while got < 500000:
        got += len(s.recv(PIECE))
    s.sendall(b"0\r\n\r\n")
    start = time.monotonic()
    while is_open(s) and time.monotonic() - start < 30:
        time.sleep(0.1)
    took = time.monotonic() - start
    check(took < 25, f"a message that was held back, and whose end nobody reads: {took:.1f} s", took)
    s.close()


def held_back_then_waiting(stack, service):
    """The same, but its end does not come: that is a read timeout, and it is told."""
    s, got = stream(stack, 50, 22), 0
    while got < 500000:
        got += len(s.recv(PIECE))
    s.sendall(b"1\r\nx\r\n")
    time.sleep(5)
    out = rest(s)
    check(b'nitroseal-error="read_timeout"' in out[-100:], "a message that was held back and does not go on: told why", out[-100:])
    check("result=read_timeout" in message_lines(service)[-1], "and in the log", message_lines(service)[-1])
    s.close()


def slow_reader(stack):
    """Connection: close, and more than five seconds to read the answer."""
    body = os.urandom(8 << 20)
    s = connect(stack, lib.CID)
    s.sendall(b"POST /v1/encrypt HTTP/1.1\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (BINARY.encode(), len(body)) + body)
    time.sleep(6.5)
    out = rest(s)
    at = out.find(b"\r\n\r\n") + 4
    check(len(out) - at == len(body) + 28, "a long answer to who keeps its side open and reads late: whole", len(out), out[:300])
    s.close()


def unread_answers(stack):
    """Answers that nobody reads are memory, too."""
    p = stack.start_service(cid=51, name="service-unread", options=["--max-buffered", 16 << 20, "--write-timeout", 4000])
    hold(stack, 51)
    body, taken, refused = os.urandom(4 << 20), [], 0
    for _ in range(12):
        s = connect(stack, 51)
        s.sendall(b"POST /v1/encrypt HTTP/1.1\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (BINARY.encode(), len(body)))
        try:
            s.sendall(body)
        except OSError:
            pass  # refused before it was whole
        status = s.recv(12)
        refused += status == b"HTTP/1.1 503"
        taken.append(s)
    held = metrics(stack, 51)["nitroseal_buffered_bytes"]
    check(refused >= 6 and (8 << 20) < held < (24 << 20), "twelve answers of 4 MB that are not read: no more than fit", refused, held)
    with connect(stack, 51) as s:  # small requests, whole at once, have their answers as long as they read them
        s.sendall(HEALTH * 3)
        out = b""
        while out.count(b'{"status":"ok"}') < 3:
            out += s.recv(65536)
        check(out.count(b"HTTP/1.1 200 OK") == 3, "who reads is served", out)
    for s in taken[:6]:
        rest_of = s.recv(PIECE)
        while rest_of and is_open(s) and select.select([s], [], [], 0.5)[0]:
            rest_of = s.recv(1 << 20)
    for s in taken:
        s.close()
    check(lib.until(lambda: metrics(stack, 51)["nitroseal_buffered_bytes"] < 500, seconds=15), "nothing is counted when they have gone", metrics(stack, 51)["nitroseal_buffered_bytes"])
    with connect(stack, 51) as s:
        s.sendall(b"POST /v1/encrypt HTTP/1.1\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (BINARY.encode(), len(body)) + body)
        check(s.recv(12) == b"HTTP/1.1 200", "and there is room again")
    p.stop()


def stopping(stack):
    """KMS does not answer: the service ends in its time, as it should, with requests that pause between two tries."""
    p = stack.start_service(cid=52, name="service-stopping", options=["--kms-try", "3000", "--kms-deadline", "600000"])
    hold(stack, 52)
    stack.kms_program.signal(signal.SIGSTOP)
    text = json.dumps({"message": "x"}).encode()
    waiting = [connect(stack, 52) for _ in range(3)]
    waiting[0].sendall(b"POST /v1/encrypt HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
    items = json.dumps({"items": [{"operation": "encrypt", "message": "x"}] * 5}).encode()
    waiting[1].sendall(b"POST /v1/batch HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(items) + items)
    waiting[2].sendall(b"POST " + ENC.encode() + b" HTTP/1.1\r\nContent-Length: 1\r\n\r\nx")
    lib.until(lambda: metrics(stack, 52)['nitroseal_kms_retries_total'] or re.search("broken.*timeout", p.text()), what="a try that failed")
    status = p.stop(30)
    stack.kms_program.signal(signal.SIGCONT)
    check(status == 0, "SIGTERM, and KMS does not answer: the service ends with status 0", status, p.text()[-1000:])
    for s in waiting:
        s.close()


if lib.missing_programs():
    check(False, "programs of the local stack: " + " ".join(lib.missing_programs()))
    lib.plan()
the_stack = lib.Stack(log_level="debug").start()
hold(the_stack)
head(the_stack)
short = the_stack.start_service(cid=50, name="service-short", options=["--write-timeout", "4000", "--read-timeout", "4000", "--idle-timeout", "5000"])
hold(the_stack, 50)
left_midway(the_stack, short)
write_timeout(the_stack, short)
held_back_then_done(the_stack, short)
held_back_then_waiting(the_stack, short)
short.stop()
slow_reader(the_stack)
unread_answers(the_stack)
stopping(the_stack)
lib.plan()
