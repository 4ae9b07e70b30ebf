"""Does a benchmark as a Slurm array give the same results as a local run? On a one-node cluster, on this machine only.

Debian's slurm-wlm and munge are installed if they are missing and installing is allowed; otherwise a line says so, and
nothing fails. munged, slurmctld and slurmd run from a temporary folder and listen on 127.0.0.1 only. An array of four
tasks shares eight cells. One task is preempted by an urgent job; one is told that its time is up, as Slurm does
ahead of the limit; in one, genbench is killed by SIGKILL: slurm/genbench.sbatch must requeue these. The last is
cancelled, and must stay cancelled. At the end, every record must equal that of a local run in everything except times
and the machine, and every picture byte for byte.

    make slurm                                      # about ten minutes, mostly imports and waiting for Slurm
    python benchmarks/slurm_trial.py --steps 1500   # on a slow machine: cells must last about twenty seconds
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from crash_trial import compare

HERE = Path(__file__).resolve().parent
SCRIPT = HERE.parent / "slurm" / "genbench.sbatch"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue")
TASKS, PROCESSORS = 4, 4  # this many tasks at once, whatever the machine has
INTO_S = 4.0  # minimum training time of a cell before it is interrupted
LONGEST_S = 1500.0
CONFIGURATION = """\
ClusterName=trial
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={next_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# A task that is queued again waits until its old credential has expired: two minutes by default.
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobRequeue=1
KillWait=30
NodeName=localhost NodeAddr=127.0.0.1 CPUs={processors} State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=trial Nodes=localhost Default=YES State=UP PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=localhost State=UP PriorityTier=9
"""


def missing() -> str:
    """Install what is missing; return why there is no Slurm, or an empty text if there is."""
    os.environ["PATH"] += os.pathsep + "/usr/sbin"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent and (os.geteuid() != 0 or shutil.which("apt-get") is None):
        return f"{', '.join(absent)} not found, and only root may install them, with Debian's apt-get"
    if absent:
        # Only the named packages, and no service that starts by itself.
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        for part in (["update"], ["install", "-y", "--no-install-recommends", "slurm-wlm", "munge"]):
            done = subprocess.run(["apt-get", "-qq", *part], env=quiet, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            return f"apt-get install slurm-wlm munge failed: {done.stderr.strip().splitlines()[-1:]}"
    return "" if os.geteuid() == 0 else "starting a cluster requires root"


def wait_for(what: str, condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.2)


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """Run a one-node cluster from `folder`, on 127.0.0.1; everything is ended at the end."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(1024))
    port = 20000 + os.getpid() % 10000 * 2
    text = CONFIGURATION.format(folder=folder, port=port, next_port=port + 1, processors=PROCESSORS)
    (folder / "slurm.conf").write_text(text)
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    files = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in (
            ["munged", "--foreground", f"--socket={folder}/munge.socket", *files],
            ["slurmctld", "-D"],
            ["slurmd", "-D", "-N", "localhost"],
        ):
            log = (folder / f"{command[0]}.out").open("wb")
            started.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))
            if command[0] == "munged":
                wait_for("munged", (folder / "munge.socket").exists, 20)
        wait_for("the node", lambda: "idle" in said("sinfo", "-h", "-o", "%T"), 60)
        listening = {
            connection.laddr.ip
            for process in started
            for connection in psutil.Process(process.pid).net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
        print(f"a one-node cluster listens only on {', '.join(sorted(listening))}", flush=True)
        assert listening == {"127.0.0.1"}, listening
        yield
    except TimeoutError:
        print(said("squeue", "-a"), (folder / "slurmctld.out").read_text()[-4000:], file=sys.stderr, flush=True)
        raise
    finally:
        with contextlib.suppress(subprocess.SubprocessError, OSError):
            subprocess.run(["scancel", "--full", "--signal=KILL", "--user=root"], timeout=20, capture_output=True)
        family = [member for process in started for member in kin(process.pid)]
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        for process in started:
            process.wait(20)
        psutil.wait_procs(family, timeout=20)


def kin(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]
    return []


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout


def arguments(out: Path, steps: int) -> list[str]:
    cells = ["-m", "vae", "-m", "ae", "--seeds", "4", "--no-controls", "--budget", f"{steps}steps"]
    return [*cells, "--evaluations", "2", "--samples", "500", "--out", str(out)]


def genbench_of(job: str, task: int) -> psutil.Process | None:
    """The `genbench run` process of one task, started by its shell."""
    wanted = {"SLURM_ARRAY_JOB_ID": job, "SLURM_ARRAY_TASK_ID": str(task)}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "run" in (words := process.cmdline()) and any(word.endswith("genbench") for word in words):
                environment = process.environ()
                if all(environment.get(name) == value for name, value in wanted.items()):
                    return process
    return None


class Array:
    """A running job array of `TASKS` tasks, and the interventions on them.

    Args:
        folder: where the tasks' logs go.
        out: the folder of the benchmark.
        steps: the number of training steps per cell.
    """

    def __init__(self, folder: Path, out: Path, steps: int) -> None:
        script = ["sbatch", "--parsable", f"--array=0-{TASKS - 1}", "--gres=none", "--cpus-per-task=1", "--mem=0"]
        os.environ |= {"GENBENCH": str(Path(sys.executable).with_name("genbench")), "OMP_NUM_THREADS": "1"}
        asked = [*script, f"--output={folder}/task-%a.log", str(SCRIPT), *arguments(out, steps)]
        submitted = subprocess.run(asked, capture_output=True, text=True)
        self.job = submitted.stdout.strip()
        print(f"array {self.job} of {TASKS} tasks: {submitted.stderr.strip() or 'submitted'}", flush=True)
        assert submitted.returncode == 0, submitted.stderr
        self.logs = [folder / f"task-{task}.log" for task in range(TASKS)]
        self.left = set(range(TASKS))  # tasks without an intervention so far

    def is_training(self, task: int) -> bool:
        lines = self.logs[task].read_text().splitlines() if self.logs[task].exists() else []
        begun = bool(lines) and (": training: " in lines[-1] or lines[-1].endswith(" ..."))
        return begun and genbench_of(self.job, task) is not None

    def lasts(self, task: int) -> bool:
        """Whether it has been training for some seconds, so that there is something to save."""
        if not self.is_training(task):
            return False
        size = self.logs[task].read_text().count("] ")
        time.sleep(INTO_S)
        return self.is_training(task) and self.logs[task].read_text().count("] ") == size

    def restarts(self, task: int) -> int:
        fields = said("scontrol", "show", "job", f"{self.job}_{task}").split()
        return max((int(field[9:]) for field in fields if field.startswith("Restarts=")), default=0)

    def break_off(self, act: Callable[[int], object], what: str) -> None:
        """Intervene on a training task; the task that is requeued as a result is no longer `left`."""
        deadline = time.monotonic() + 300
        while (lasting := next(filter(self.lasts, self.left), None)) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no training task that could be {what}")
            time.sleep(0.2)
        act(lasting)
        wait_for(f"a task that was {what} to be requeued", lambda: any(map(self.restarts, self.left)), 120)
        task = next(filter(self.restarts, self.left))
        self.left.remove(task)
        print(f"task {task} was {what}, and is requeued", flush=True)

    def preempt(self, _: int) -> None:
        """Submit an urgent job, for which Slurm preempts a task of its own choice."""
        said("sbatch", "--partition=urgent", "--cpus-per-task=1", "--mem=0", "--output=/dev/null", "--wrap=true")

    def tell_time_is_up(self, task: int) -> None:
        said("scancel", "--batch", "--signal=USR1", f"{self.job}_{task}")

    def kill(self, task: int) -> None:
        found = genbench_of(self.job, task)
        if found is not None:
            found.send_signal(signal.SIGKILL)


def array(folder: Path, out: Path, steps: int) -> str:
    """Run the array, with three of its tasks interrupted and one cancelled; return the tasks' logs."""
    tasks = Array(folder, out, steps)
    # With a spare processor, the urgent job would preempt nothing.
    running = ["squeue", "-h", "-t", "RUNNING", "-j", tasks.job]
    wait_for("all tasks to run", lambda: len(said(*running).splitlines()) == TASKS, 120)
    tasks.break_off(tasks.preempt, "preempted")
    tasks.break_off(tasks.tell_time_is_up, "told that its time is up")
    tasks.break_off(tasks.kill, "killed")
    (cancelled,) = tasks.left
    said("scancel", f"{tasks.job}_{cancelled}")
    print(f"task {cancelled} is cancelled", flush=True)
    wait_for("the array's end", lambda: not said("squeue", "-h", "-j", tasks.job).strip(), LONGEST_S)
    assert tasks.restarts(cancelled) == 0, "a task that was cancelled was requeued"
    return "".join(f"--- task {task}\n{path.read_text()}" for task, path in enumerate(tasks.logs) if path.exists())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4000)
    steps = parser.parse_args().steps
    reason = missing()
    if reason:
        print(f"Slurm is not tested: {reason}")
        return
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # munged refuses a socket that is not reachable for everybody
        with cluster(folder):
            logs = array(folder, folder / "array", steps)
        print(logs, flush=True)
        local = [sys.executable, "-m", "genbench", "run", *arguments(folder / "local", steps), "--quiet"]
        subprocess.run(local, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        faults = compare(folder / "local", folder / "array")
        if len(list((folder / "array" / "records").glob("*.json"))) != 8:
            faults.append("there are not eight records")
        faults += [
            f"no task says {text!r}"
            for text in ("resumes after step", "PREEMPTION", "out of time", "signal 9")
            if text not in logs
        ]
    print("\n".join(faults) or "every record, curve and picture equals the local run's")
    print(f"{time.monotonic() - begin:.0f} s")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
