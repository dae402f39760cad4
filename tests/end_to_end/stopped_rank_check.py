#!/usr/bin/env python3
"""A rank that stands still (SIGSTOP) is named within its deadline, whatever it was doing."""
import os
import signal
import struct
import threading
import time

from control_plane import HEARTBEAT, Relay, frame, secret_file, start_rank
from harness import check, main, require
from ranks import RANKS_CONFIG, free_port, ranks_of, start

SILENCE = 4  # seconds, in place of 20
SLACK = 6  # for machines with more to do than processors
REDUCE, VALIDATE, SAVE = 3, 5, 6  # phases of docs/flight_record.md


def phase_of(run, rank):
    """Step and phase of the newest entry of a rank's flight record."""
    try:
        with open(run / "flight" / f"rank-{rank:05}.bin", "rb") as record:
            record.seek(160)
            count = struct.unpack("<Q", record.read(8))[0]
            record.seek(4096 + 64 * ((count - 1) % 8192) + 16)
            step, _, phase = struct.unpack("<IHB", record.read(7))
    except (OSError, struct.error):
        return 0, 0
    return step, phase


def stop_in(process, run, victim, phase):
    """Stops the rank while it is in that phase, of the third step or a later one."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        step, now = phase_of(run, victim)
        if step < 3 or now != phase:
            continue
        pid = ranks_of(process)[victim]
        os.kill(pid, signal.SIGSTOP)
        if phase_of(run, victim)[1] == phase:
            return
        os.kill(pid, signal.SIGCONT)
    raise AssertionError(f"rank {victim} is never in phase {phase}")


def others_are_gone(process, victim):
    deadline = time.monotonic() + SILENCE + SLACK
    while set(ranks_of(process)) - {victim}:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def stopped_in(bench, name, victim, phase, *settings):
    run = bench.work / name
    process = start(bench, run, *settings, ranks=3, steps=100000, more=["--silence", str(SILENCE)])
    try:
        stop_in(process, run, victim, phase)
        require(others_are_gone(process, victim), f"{name}: the others are still there after {SILENCE + SLACK} s")
    finally:
        process.send_signal(signal.SIGTERM)  # in the end the launcher kills what does not answer
        _, error = process.communicate(timeout=60)
    require(process.returncode == 74, f"{name}: exit code {process.returncode}: {error}")
    told = error.count(f"rank {victim} is silent") if victim == 0 else error.count(f"rank {victim} (")
    require(told >= 2, f"{name}: named by {told}: {error}")


@check
def in_each_phase(bench):
    bench.config(RANKS_CONFIG)
    cases = {"reduce": (1, REDUCE), "validate": (2, VALIDATE, "validation.every=1", "validation.tokens=4096"),
             "save": (0, SAVE, "checkpoint.every=1", "checkpoint.background=false"), "reduce-0": (0, REDUCE)}
    problems = []

    def work(name, case):
        try:
            stopped_in(bench, name, *case)
        except AssertionError as error:
            problems.append(str(error))

    threads = [threading.Thread(target=work, args=item) for item in cases.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    require(not problems, "\n".join(problems))


def wait_until_it_is_in(relay):
    deadline = time.monotonic() + 60
    while not any(frame(HEARTBEAT, b"")[:8] in said for said in relay.recorded):
        require(time.monotonic() < deadline, "the rank behind the relay does not come")
        time.sleep(0.01)


@check
def before_it_came(bench):
    run, port, secret = bench.work / "run", free_port(), secret_file(bench)
    first = start_rank(bench, run, 0, port, secret, "--wait-for-ranks", str(SILENCE))
    second = start_rank(bench, run, 1, port, secret, stopped=True)
    _, error = first.communicate(timeout=60)
    second.kill()
    second.communicate()
    require(first.returncode == 74 and "never came: ranks 1" in error, f"exit code {first.returncode}: {error}")


@check
def killed_before_it_came(bench):
    """Where the launcher does not watch its processes, one that dies without having met rank 0 is seen by rank 0 itself."""
    run, port, secret = bench.work / "run", free_port(), secret_file(bench)
    relay = Relay(port)
    victim = start_rank(bench, run, 1, port, secret, ranks=3)
    victim.send_signal(signal.SIGSTOP)  # it runs, and does not come
    first = start_rank(bench, run, 0, port, secret, ranks=3)
    third = start_rank(bench, run, 2, relay.port, secret, ranks=3)
    wait_until_it_is_in(relay)
    victim.kill()
    begin = time.monotonic()
    for process in (first, third):
        _, error = process.communicate(timeout=60)
        require(process.returncode == 74 and "rank 1 (host" in error and f"pid {victim.pid}) died" in error,
                f"exit code {process.returncode}: {error}")
    require(time.monotonic() - begin < SLACK, f"out after {time.monotonic() - begin:.1f} s")
    print(f"out after {time.monotonic() - begin:.2f} s")
    victim.communicate()


@check
def while_others_are_waited_for(bench):
    run, port, secret = bench.work / "run", free_port(), secret_file(bench)
    relay = Relay(port)
    first = start_rank(bench, run, 0, port, secret, "--silence", str(SILENCE), ranks=3)
    second = start_rank(bench, run, 1, relay.port, secret, "--silence", str(SILENCE), ranks=3)
    wait_until_it_is_in(relay)
    second.send_signal(signal.SIGSTOP)
    _, error = first.communicate(timeout=60)
    second.kill()
    second.communicate()
    require(first.returncode == 74 and "rank 1 (" in error and "silent" in error,
            f"exit code {first.returncode}: {error}")


if __name__ == "__main__":
    main()
