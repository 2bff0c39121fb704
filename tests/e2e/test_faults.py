#!/usr/bin/python3
"""Clients that misbehave and parts that fail: nobody else is delayed, everybody gets an answer, and what comes back
works without a hand's help. TAP."""
import json, os, random, socket, threading, time

import lib
import seed
from lib import check
from messages import metrics

BAD_CLIENTS, GOOD_CLIENTS, ROUNDS = 200, 8, 12
KMS_DEADLINE_S = 3
SLACK_S = 7  # the machine may be busy; a silent client is given 10 s


def bad_client(stack, number, stop, cid):
    """Silent, dripping, or sending garbage without an end; never polite."""
    rng = random.Random(number)
    try:
        s = seed.connect(stack.v, cid, lib.PORT, timeout=60)
    except OSError:
        return
    with s:
        try:
            if number % 3 == 1:
                for byte in b'{"operation":"encrypt","message":"' + b"a" * 1000:
                    if stop.wait(0.5):
                        return
                    s.send(bytes([byte]))
            elif number % 3 == 2:
                while not stop.wait(0.2):
                    s.send(rng.randbytes(rng.randrange(1, 2000)))
            stop.wait()
        except OSError:
            stop.wait()


def good_client(stack, number, results, cid):
    for i in range(ROUNDS):
        text = f"client {number}, round {i}"
        start = time.monotonic()
        try:
            answer = stack.encrypt(text, cid=cid)
            back = stack.decrypt(answer, cid=cid) if "error" not in answer else answer
            results.append((back.get("decrypted") == text and back.get("signature_valid") is True, time.monotonic() - start, back))
        except Exception as e:
            results.append((False, time.monotonic() - start, repr(e)))


def crowd(stack, bad, cid):
    stop, results = threading.Event(), []
    crowd = [threading.Thread(target=bad_client, args=(stack, n, stop, cid), daemon=True) for n in range(bad)]
    for t in crowd:
        t.start()
    if bad:
        time.sleep(0.5)
    good = [threading.Thread(target=good_client, args=(stack, n, results, cid)) for n in range(GOOD_CLIENTS)]
    for t in good:
        t.start()
    for t in good:
        t.join()
    stop.set()
    for t in crowd:
        t.join(70)
    return results


def beside_bad_clients(stack):
    patient = stack.start_service(cid=17, name="patient", options=["--kms-deadline", 30000, "--kms-try", 10000])
    alone = crowd(stack, 0, 17)
    beside = crowd(stack, BAD_CLIENTS, 17)
    check(patient.stop() == 0, "and it leaves with all of them connected")
    lost = [r for r in beside if not r[0]]
    check(len(alone) == len(beside) == GOOD_CLIENTS * ROUNDS and all(r[0] for r in alone), "8 clients alone", [r for r in alone if not r[0]][:3])
    check(not lost, f"{BAD_CLIENTS} bad clients beside 8 good ones: no request is lost", len(lost), lost[:3])
    slowest_alone, slowest = max(r[1] for r in alone), max(r[1] for r in beside)
    print(f"# slowest pair of requests: alone {slowest_alone:.3f} s, beside {slowest:.3f} s")
    check(slowest < slowest_alone + SLACK_S, "and none is delayed", slowest_alone, slowest)


MALFORMED = {
    "nothing at all": b"",
    "garbage": bytes(range(256)),
    "JSON cut": b'{"operation":"encrypt"',
    "two values": b"{}{}",
    "an array": b"[]",
    "no credentials": b'{"message":"x"}',
    "credentials of another type": b'{"credentials":"x","message":"x"}',
    "no message": b'{"credentials":{"access_key_id":"a","secret_access_key":"b","session_token":""}}',
    "message of another type": b'{"credentials":{"access_key_id":"a","secret_access_key":"b","session_token":""},"message":1}',
    "UTF-8 that is none": b'{"credentials":{"access_key_id":"a","secret_access_key":"b","session_token":""},"message":"\xff"}',
    "lone surrogate": b'{"credentials":{"access_key_id":"a","secret_access_key":"b","session_token":""},"message":"\\ud800"}',
    "unknown operation": b'{"operation":"sign","credentials":{"access_key_id":"a","secret_access_key":"b","session_token":""},"message":"x"}',
    "member twice": b'{"operation":"encrypt","operation":"decrypt"}',
    "base64 that is none": b'{"operation":"decrypt","credentials":{"access_key_id":"a","secret_access_key":"b","session_token":""},'
                           b'"encrypted":"!","signature":"!","ciphertext_blob":"!"}',
    "nested too deep": b"[" * 100000,
}


def every_failure_is_answered(stack):
    for name, payload in MALFORMED.items():
        try:
            raw = seed.exchange(seed.connect(stack.v, lib.CID, lib.PORT), payload)
            answer = json.loads(raw)
            check(isinstance(answer.get("error"), str) and answer["error"], f"an answer with an error: {name}", answer)
        except Exception as e:
            check(False, f"an answer with an error: {name}", repr(e))
    big = json.dumps(seed.encrypt_request(stack.app.seed(), "x" * (17 << 20))).encode()
    try:
        answer = json.loads(seed.exchange(seed.connect(stack.v, lib.CID, lib.PORT), big))
        check("error" in answer, "an answer with an error: past 16 MiB", answer)
    except Exception as e:
        check(False, "an answer with an error: past 16 MiB", repr(e))
    check(stack.encrypt("after all that").get("plaintext") == "after all that", "and the next request works")


def under_load(stack, break_it, mend, name):
    """Break a part under four clients: each request ends within the deadline, with an answer or a clear error."""
    stop, results = threading.Event(), []

    def client():
        while not stop.is_set():
            start = time.monotonic()
            try:
                answer = stack.encrypt("x" * 100, timeout=KMS_DEADLINE_S + 10)
            except Exception as e:
                answer = {"lost": repr(e)}
            results.append((time.monotonic() - start, answer))
            if "error" in answer:
                time.sleep(0.05)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for t in clients:
        t.start()
    time.sleep(0.3)
    break_it()
    time.sleep(0.7)
    stop.set()
    for t in clients:
        t.join()
    lost = [a for _, a in results if "lost" in a]
    errors = [a for _, a in results if "error" in a]
    check(not lost, f"{name}: every request is answered", len(lost), lost[:2])
    check(errors and all(e["error"] == "Failed to get data key from KMS" and e.get("error_code") for e in errors),
          f"{name}: with a clear error", errors[:2])
    print(f"# {len(results)} requests, {len(errors)} errors, {sorted({str(e.get('error_code')) for e in errors})}")
    slowest = max(t for t, _ in results)
    check(slowest < KMS_DEADLINE_S + SLACK_S, f"{name}: within the deadline", slowest)
    mend()
    answer = stack.encrypt("back again")
    check(answer.get("plaintext") == "back again", f"{name}: the next request works once it is back", answer)


def parts_fail(stack):
    under_load(stack, lambda: stack.proxy.kill(), stack.start_proxy, "relay killed")
    under_load(stack, lambda: stack.kms_program.kill(), stack.start_kms, "KMS killed")
    under_load(stack, lambda: stack.kms_program.signal(lib.signal.SIGSTOP), lambda: stack.kms_program.signal(lib.signal.SIGCONT), "KMS silent")
    stack.kms_program.signal(lib.signal.SIGHUP)
    stack.nsm.kill()
    time.sleep(1.2)  # the document that is kept for a second has gone
    answer = stack.encrypt("no NSM", timeout=KMS_DEADLINE_S + 10)
    check("error" in answer and answer.get("error_code"), "NSM killed: a clear error", answer)
    stack.start_nsm()
    lib.until(lambda: "error" not in stack.encrypt("NSM again"))
    answer = stack.encrypt("NSM again")
    check(answer.get("plaintext") == "NSM again", "NSM back: the next request works", answer)


def keys_survive(stack):
    """What KMS acknowledged is there after kill -9."""
    answer = stack.encrypt("kept")
    stack.kms_program.kill()
    stack.start_kms()
    back = stack.decrypt(answer)
    check(back.get("decrypted") == "kept", "a key survives kill -9 of KMS", back)


def leaves_on_sigterm(stack):
    """What runs is finished, then it leaves."""
    results = []

    def client():
        answer = stack.encrypt("y" * (4 << 20))
        results.append(answer.get("plaintext") == "y" * (4 << 20))

    s = seed.connect(stack.v, lib.CID, lib.PORT)  # silent: must not keep the service
    t = threading.Thread(target=client)
    stack.kms_program.signal(lib.signal.SIGSTOP)
    t.start()
    lib.until(lambda: metrics(stack)["nitroseal_requests_running"] == 1, what="a request runs")
    stack.service.signal(lib.signal.SIGTERM)
    lib.until(lambda: not stack.answers(os.path.join(stack.v, f"{lib.CID}.vsock_{lib.PORT}")), what="the service stops listening")
    stack.kms_program.signal(lib.signal.SIGCONT)
    status = stack.service.p.wait(60)
    t.join()
    s.close()
    check(status == 0, "SIGTERM: the service leaves with status 0", status)
    check(results == [True], "SIGTERM: the request that ran was answered", results)


if lib.missing_programs():
    check(False, "programs of the local stack: " + " ".join(lib.missing_programs()))
    lib.plan()
the_stack = lib.Stack(service_options=["--kms-deadline", KMS_DEADLINE_S * 1000, "--kms-try", 1000, "--document-max-age", 1])
the_stack.start()
every_failure_is_answered(the_stack)
beside_bad_clients(the_stack)
parts_fail(the_stack)
keys_survive(the_stack)
leaves_on_sigterm(the_stack)
lib.plan()
