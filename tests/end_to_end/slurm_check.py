#!/usr/bin/env python3
"""A real Slurm with two nodes on this machine: configs/slurm/*.sbatch run, are queued again, and end with the same bits.

Both nodes are slurmd processes of this machine on ports of their own; munge, slurmctld and they live as long as this
script. Root only: slurmd starts tasks as their owner.
"""
import atexit
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from harness import Skipped, check, checkpoints, main, metrics, require, sha256

PROGRAMS = ["slurmctld", "slurmd", "sbatch", "scontrol", "munged"]
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CONF = """
ClusterName=ingot
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={state}/munge.sock
CredType=cred/munge
StateSaveLocation={state}/ctl
SlurmdSpoolDir={state}/%n
SlurmctldPort={ports[0]}
SlurmctldPidFile={state}/ctl.pid
SlurmdPidFile={state}/%n.pid
SlurmctldLogFile={state}/log/ctl.log
SlurmdLogFile={state}/log/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/linear
SchedulerType=sched/builtin
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=30
InactiveLimit=0
KillWait=5
MinJobAge=600
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=0
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=debug Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""
STATE = {}


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def tool(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=False,
                          env=STATE["environment"], **options)
    require(done.returncode == 0, f"{command}: {done.stderr.strip()[-400:]}")
    return done.stdout


def stop_cluster():
    for process in reversed(STATE.get("processes", [])):
        process.send_signal(signal.SIGTERM)
    for process in STATE.get("processes", []):
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
    shutil.rmtree(STATE["directory"], ignore_errors=True)


def daemon(*command):
    log = open(STATE["directory"] / "log" / f"{os.path.basename(command[0])}.out", "ab")
    STATE["processes"].append(subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                               env=STATE["environment"]))


def cluster():
    """Starts it on the first call."""
    if "processes" in STATE:
        return
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        raise Skipped(f"no {', '.join(missing)}: apt-get install slurmctld slurmd slurm-client munge")
    if os.geteuid() != 0:
        raise Skipped("only root can start a Slurm of its own")
    state = pathlib.Path(tempfile.mkdtemp(prefix="ingot-slurm-"))
    state.chmod(0o755)
    for name in ("ctl", "n1", "n2", "log"):
        (state / name).mkdir()
    key = state / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    host = socket.gethostname().split(".")[0]
    (state / "slurm.conf").write_text(CONF.format(host=host, state=state, ports=free_ports(3)))
    STATE.update(directory=state, processes=[], environment={**os.environ, "SLURM_CONF": str(state / "slurm.conf"),
                                                             "OMPI_ALLOW_RUN_AS_ROOT": "1",
                                                             "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"})
    atexit.register(stop_cluster)
    daemon("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={state}/munge.sock",
           f"--pid-file={state}/munged.pid", f"--log-file={state}/munged.log", f"--seed-file={state}/munge.seed")
    wait_for("munge", lambda: (state / "munge.sock").exists())
    daemon("slurmctld", "-D", "-c")
    daemon("slurmd", "-D", "-N", "n1")
    daemon("slurmd", "-D", "-N", "n2")
    wait_for("two idle nodes", lambda: sinfo().count("idle") == 2)


def sinfo():
    return subprocess.run(["sinfo", "-hNo", "%t"], capture_output=True, text=True, env=STATE["environment"],
                          check=False).stdout


def wait_for(what, holds, seconds=90):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            logs = "".join(p.read_text(errors="replace")[-800:] for p in (STATE["directory"] / "log").iterdir())
            raise AssertionError(f"no {what} within {seconds} s: {logs[-2000:]}")
        time.sleep(0.05)


def job_field(job, name):
    for field in tool("scontrol", "show", "job", job).split():
        if field.startswith(name + "="):
            return field.partition("=")[2]
    raise AssertionError(f"job {job} has no {name}")


def settings(steps):
    values = [f"training.steps={steps}", "training.tokens_per_step=512", "checkpoint.every=1000000"]
    return [word for value in values for word in ("--set", value)]


class Job:
    def __init__(self, bench, script, run, steps, *more):
        self.output = bench.work / f"{run.name}.out"
        self.run = run
        self.number = tool("sbatch", "--parsable", f"--output={self.output}", "--ntasks-per-node=1", *more,
                           f"--export=ALL,INGOT={bench.ingot}", REPOSITORY / "configs" / "slurm" / script,
                           bench.config(), run, *settings(steps), cwd=bench.work).strip()

    def text(self):
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def steps(self):
        path = self.run / "metrics.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def wait(self, *states):
        def over():
            state = job_field(self.number, "JobState")
            require(state in states or state in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING"),
                    f"job is {state}: {self.text()[-900:]} {tool('scontrol', 'show', 'job', self.number)}")
            return state in states
        wait_for(f"job in state {states}: {self.text()[-500:]}", over, 150)


def same_as_one_process(bench, run, steps):
    whole = bench.work / "whole"
    bench.train(whole, *settings(steps))
    pair = [checkpoints(path)[-1] for path in (run, whole)]
    require(pair[0].name == pair[1].name == f"step-{steps:08}", f"ended at {pair}")
    require(sha256(pair[0] / "model.safetensors") == sha256(pair[1] / "model.safetensors"), "other weights")
    lines = [r["step"] for r in metrics(run) if "loss" in r]
    require(lines == list(range(1, steps + 1)), f"metrics.jsonl has {len(lines)} steps")


@check
def two_nodes(bench):
    cluster()
    job = Job(bench, "train.sbatch", bench.work / "run", 12)
    job.wait("COMPLETED")
    require("rank 0 of 2" in job.text() and "Slurm" in job.text(), job.text()[:300])
    same_as_one_process(bench, job.run, 12)


@check
def saved_and_queued_again(bench):
    cluster()
    steps = 1500
    job = Job(bench, "train.sbatch", bench.work / "run", steps)
    wait_for("steps", lambda: job.steps() >= 5)
    tool("scancel", "--batch", "--signal=USR1", job.number)  # what --signal=B:USR1@120 sends before the time limit
    wait_for("a checkpoint", lambda: checkpoints(job.run))
    wait_for(f"requeue: {job.text()[-300:]}", lambda: job_field(job.number, "Restarts") == "1")
    saved = int(checkpoints(job.run)[-1].name.removeprefix("step-"))
    require(5 <= saved < steps, f"saved at step {saved}")
    wait_for("the job in the queue", lambda: job_field(job.number, "JobState") == "PENDING")
    # A job that starts while its nodes still clean up after its first start fails at once, and so it did when it started in
    # the same second in which that was ended: Slurm's times have no parts of seconds.
    wait_for("idle nodes", lambda: set(tool("sinfo", "-h", "-N", "-o", "%T").split()) == {"idle"})
    tool("scontrol", "update", f"jobid={job.number}", "StartTime=now+3")  # Slurm would wait two minutes
    job.wait("COMPLETED")
    require("resumed from" in job.text(), job.text()[-500:])
    same_as_one_process(bench, job.run, steps)


@check
def under_mpirun(bench):
    cluster()
    if shutil.which("mpirun") is None:
        raise Skipped("no mpirun: apt-get install openmpi-bin")
    job = Job(bench, "mpirun.sbatch", bench.work / "run", 12)
    job.wait("COMPLETED")
    require("rank 0 of 2" in job.text(), job.text()[:300])
    same_as_one_process(bench, job.run, 12)


if __name__ == "__main__":
    main()
