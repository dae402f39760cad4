#!/usr/bin/env python3
"""The rendezvous port among strangers: garbage, floods, slow clients, forged and repeated greetings. The run is real, two
ranks that meet while all of it goes on, and must end with the bits of an undisturbed one."""
import hashlib
import hmac
import os
import select
import socket
import struct
import threading
import time

from control_plane import FAIL, HELLO, MAC, WELCOME, Relay, frame, secret_file, start_rank
from harness import check, main, require
from ranks import RANKS_CONFIG, free_port, state, whole


def text(value):
    return struct.pack("<I", len(value)) + value


def number(value):
    return struct.pack("<Q", value)


def receive(sock, seconds=5):
    """All that comes until the other end closes; None if it does not."""
    got, deadline = b"", time.monotonic() + seconds
    while time.monotonic() < deadline:
        readable, _, _ = select.select([sock], [], [], 0.05)
        if not readable:
            continue
        try:
            piece = sock.recv(65536)
        except ConnectionError:
            return got
        if not piece:
            return got
        got += piece
    return None


class Strangers:
    """Each method is one visitor, called in a loop by a thread of its own until the run is over."""

    def __init__(self, port, recorded):
        self.port, self.recorded = port, recorded
        self.over = threading.Event()
        self.visits = {}
        self.admitted = []
        self.threads = []

    def start(self, *names):
        for name in names:
            thread = threading.Thread(target=self.loop, args=(name,), daemon=True)
            thread.start()
            self.threads.append(thread)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def loop(self, name):
        while not self.over.is_set():
            try:
                getattr(self, name)()
                self.visits[name] = self.visits.get(name, 0) + 1
            except OSError:
                time.sleep(0.01)  # rank 0 is not there yet, or not any more

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)

    def refused(self, name, data):
        """Sends it; the answer must be a refusal and the end, and no welcome."""
        with self.connect() as sock:
            sock.sendall(data)
            answer = receive(sock)
        if answer is not None and frame(WELCOME, b"")[:8] in answer:
            self.admitted.append(name)

    def garbage(self):
        self.refused("garbage", os.urandom(400))

    def web_browser(self):
        self.refused("web_browser", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    def huge_length(self):
        self.refused("huge_length", frame(HELLO, b"", length=1 << 30))

    def forged_hello(self):
        payload = number(1) + number(2) + text(b"INGOT_*") + text(b"h") + number(1) + text(os.urandom(32))
        self.refused("forged_hello", frame(HELLO, payload, hmac.new(b"guess" * 7, payload, hashlib.sha256).digest()))

    def without_greeting(self):
        self.refused("without_greeting", frame(FAIL, number(1) + text(b"the end")))

    def repeated(self):
        """What rank 1 itself said when it came."""
        if not self.recorded:
            time.sleep(0.01)
            return
        self.refused("repeated", bytes(self.recorded[0]))

    def flood(self):
        """Half-open: they say nothing, and all at once."""
        socks = [self.connect() for _ in range(100)]
        time.sleep(0.05)
        for sock in socks:
            sock.close()

    def slow(self):
        with self.connect() as sock:
            for byte in frame(HELLO, os.urandom(100)):
                if self.over.wait(0.5):
                    return
                sock.sendall(bytes([byte]))


@check
def the_run_goes_on_among_strangers(bench):
    run, port, secret = bench.work / "run", free_port(), secret_file(bench)
    bench.config(RANKS_CONFIG)
    relay = Relay(port)
    strangers = Strangers(port, relay.recorded)
    first = start_rank(bench, run, 0, port, secret)
    kinds = ["garbage", "web_browser", "huge_length", "forged_hello", "without_greeting", "repeated", "flood", "flood",
             "slow"]
    strangers.start(*kinds)
    time.sleep(1)  # they are there before rank 1 is
    second = start_rank(bench, run, 1, relay.port, secret)
    outputs = [process.communicate(timeout=120) for process in (first, second)]
    strangers.stop()
    for process, (_, error) in zip((first, second), outputs):
        require(process.returncode == 0, f"exit code {process.returncode}: {error[-600:]}")
    require(not strangers.admitted, f"let in: {strangers.admitted}")
    unseen = {*kinds} - {"slow"} - strangers.visits.keys()
    require(not unseen, f"did not visit: {unseen}")
    require(state(run) == state(whole(bench)), "another state than the undisturbed run's")


@check
def a_wrong_secret_is_refused_and_does_not_end_the_run(bench):
    run, port, secret = bench.work / "run", free_port(), secret_file(bench)
    bench.config(RANKS_CONFIG)
    other = bench.work / "other"
    other.touch(mode=0o600)
    other.write_text("0123456789abcdef" * 4, encoding="utf-8")
    first = start_rank(bench, run, 0, port, secret)
    stranger = start_rank(bench, run, 1, port, other, "--wait-for-ranks", "2")
    _, error = stranger.communicate(timeout=120)
    require(stranger.returncode == 77, f"exit code {stranger.returncode}: {error}")
    second = start_rank(bench, run, 1, port, secret)
    for process in (first, second):
        _, error = process.communicate(timeout=120)
        require(process.returncode == 0, f"exit code {process.returncode}: {error[-600:]}")
    require(state(run) == state(whole(bench)), "another state than the undisturbed run's")


if __name__ == "__main__":
    main()
