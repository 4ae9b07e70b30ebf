"""Is anything lost on a cluster? Breaks a benchmark at random moments, lets it finish, and compares the results.

A scheduler and two workers with their nannies run on 127.0.0.1, with a folder for checkpoints. At random moments a
worker, a nanny, the scheduler or the client is killed (SIGKILL), or one of them is stopped for half a minute (SIGSTOP).
Killed processes are started again, as an operator or a batch system would. Whenever a benchmark has finished, each
of its cells must have one finished record that equals that of a local run with one thread in everything except times,
and the same pictures byte for byte; then the next benchmark begins, until there have been enough faults. After every
kill, everything the killed process had started must end by itself; at the end, no process may be left.

    python benchmarks/cluster_trial.py
    python benchmarks/cluster_trial.py --faults 8 --stop 5 --seed 3
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from crash_trial import compare

MODELS = ("vae", "ae")
ENDING_S = 60.0  # for everything that a killed process had started to be gone
RUN_S = 900.0  # for one client to finish if nothing breaks it
MARK = "GENBENCH_CLUSTER_TRIAL"  # in the environment of everything that this starts
KINDS = ("kill worker", "kill nanny", "kill scheduler", "kill client", "stop worker", "stop scheduler", "stop client")


def command(out: Path, steps: int, *more: str) -> list[str]:
    models = [part for model in MODELS for part in ("-m", model)]
    budget = ["--budget", f"{steps}steps", "--seeds", "2", "--evaluations", "3", "--control", "real"]
    asked = ["run", *models, *budget, "--checkpoint-interval", "0.5", "--out", str(out), "--quiet", *more]
    return [sys.executable, "-m", "genbench", *asked]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Cluster:
    """A scheduler and two nannies, each with its worker, restarted when they have ended."""

    folder: Path
    environment: dict[str, str]
    port: int = field(default_factory=free_port)
    scheduler: subprocess.Popen[bytes] | None = None
    nannies: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start whatever is not running."""
        if self.scheduler is None or self.scheduler.poll() is not None:
            self.scheduler = self._spawn("scheduler", "--port", str(self.port))
        self.nannies = [nanny for nanny in self.nannies if nanny.poll() is None]
        while len(self.nannies) < 2:
            self.nannies.append(self._spawn("worker", self.address, "--nthreads", "1", "--death-timeout", "120"))

    def _spawn(self, what: str, *more: str) -> subprocess.Popen[bytes]:
        program = [sys.executable, "-m", f"distributed.cli.dask_{what}", *more, "--host", "127.0.0.1"]
        program += ["--dashboard-address", "127.0.0.1:0"]  # otherwise it would listen on all interfaces
        if what == "worker":
            program += ["--local-directory", str(self.folder / "workers")]
        with (self.folder / f"{what}.log").open("ab") as log:
            return subprocess.Popen(program, env=self.environment, stdout=log, stderr=log, cwd=self.folder)

    def workers(self) -> list[psutil.Process]:
        """The workers of all nannies that are running now."""
        found = []
        for nanny in self.nannies:
            if nanny.poll() is None:
                found += [
                    each for each in psutil.Process(nanny.pid).children() if "spawn_main" in " ".join(_line(each))
                ]
        return found

    def end(self) -> None:
        for process in (*self.nannies, self.scheduler):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in (*self.nannies, self.scheduler):
            if process is not None:
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def marked(token: str) -> list[psutil.Process]:
    """Every process with the mark of this trial, except this process itself."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == token:
                found.append(process)
        except psutil.Error:
            continue
    return [each for each in found if each.status() != psutil.STATUS_ZOMBIE]


def descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


class Trial:
    def __init__(self, folder: Path, asked: argparse.Namespace) -> None:
        self.folder, self.count, self.steps = folder, asked.faults, asked.steps
        self.stop_s, self.longest_s, self.random = asked.stop, asked.longest, random.Random(asked.seed)
        self.token = os.urandom(6).hex()
        self.environment = {**os.environ, MARK: self.token, "OMP_NUM_THREADS": "1"}
        self.cluster = Cluster(folder, self.environment)
        self.client: subprocess.Popen[bytes] | None = None
        self.rounds, self.begun_s = 0, 0.0
        self.wrong: list[str] = []
        self.done: Counter[str] = Counter()
        self.codes: Counter[int | None] = Counter()  # of clients that were not killed

    def run(self) -> list[str]:
        unbroken = self.folder / "unbroken"
        subprocess.run(command(unbroken, self.steps), check=True, env=self.environment, cwd=self.folder)
        try:
            while self.done.total() < self.count:
                self.wait(self.random.uniform(0, self.longest_s), unbroken)
                self.fault(self.random.choice(KINDS))
            self.last_run(unbroken)
        finally:
            if self.client is not None and self.client.poll() is None:
                self.client.kill()
            self.cluster.end()
        self.settle("the end", marked(self.token))
        print(f"{self.rounds} benchmarks, faults: {dict(self.done)}, exit codes of clients: {dict(self.codes)}")
        return self.wrong

    def out(self) -> Path:
        return self.folder / f"broken-{self.rounds}"

    def keep_going(self, unbroken: Path) -> None:
        """Restart whatever has ended; compare a benchmark that has finished, and begin the next."""
        self.cluster.start()
        code = None if self.client is None else self.client.poll()
        if code == 0:
            self.codes[0] += 1
            self.wrong += [f"benchmark {self.rounds}: {line}" for line in compare(unbroken, self.out())]
            self.wrong += [f"left in the shared folder: {path}" for path in (self.folder / "shared").rglob("*.pt")]
            self.rounds += 1
        elif code is not None and code != -signal.SIGKILL:
            self.codes[code] += 1
        if self.client is None or code is not None:
            more = ("--cluster", self.cluster.address, "--shared", str(self.folder / "shared"))
            with (self.folder / "client.log").open("ab") as log:
                asked = command(self.out(), self.steps, *more)
                self.client = subprocess.Popen(asked, env=self.environment, stderr=log, cwd=self.folder)

    def wait(self, seconds: float, unbroken: Path) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.keep_going(unbroken)
            time.sleep(0.2)

    def fault(self, kind: str) -> None:
        verb, _, what = kind.partition(" ")
        processes = {
            "worker": self.cluster.workers(),
            "nanny": [psutil.Process(each.pid) for each in self.cluster.nannies if each.poll() is None],
            "scheduler": [psutil.Process(self.cluster.scheduler.pid)] if self.cluster.scheduler else [],
            "client": [psutil.Process(self.client.pid)] if self.client and self.client.poll() is None else [],
        }[what]
        if not processes:
            return
        process = self.random.choice(processes)
        started = descendants(process)
        if what == "scheduler":  # its workers end with it
            started = [each for worker in self.cluster.workers() for each in (worker, *descendants(worker))]
        try:
            if verb == "stop":
                process.send_signal(signal.SIGSTOP)
                time.sleep(self.stop_s)
                process.send_signal(signal.SIGCONT)
            else:
                process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:  # it has ended by itself
            return
        self.done[kind] += 1
        records = len(list(self.out().glob("records/[!.]*")))
        print(f"{self.done.total()}: {kind}, benchmark {self.rounds} with {records} records", flush=True)
        if verb == "kill":
            self.settle(kind, started)

    def settle(self, when: str, processes: list[psutil.Process]) -> None:
        """Wait until these have ended by themselves."""
        _, alive = psutil.wait_procs(processes, timeout=ENDING_S)
        alive = [each for each in alive if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
        self.wrong += [f"after {when}: process {each.pid} is left: {' '.join(_line(each))[:80]}" for each in alive]
        for each in alive:
            each.kill()

    def last_run(self, unbroken: Path) -> None:
        """Let the current benchmark finish without further faults."""
        end, rounds = time.monotonic() + RUN_S, self.rounds
        while self.rounds == rounds:
            if time.monotonic() > end:
                self.wrong.append(f"benchmark {self.rounds} did not finish in {RUN_S:.0f} s")
                return
            self.keep_going(unbroken) if self.client is None or self.client.poll() is not None else time.sleep(0.5)
            self.cluster.start()
        if self.client is not None and self.client.poll() is None:  # the next round's, which is not needed
            self.client.send_signal(signal.SIGTERM)
            self.client.wait(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=40)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--longest", type=float, default=25.0, help="maximum seconds between two faults")
    parser.add_argument("--stop", type=float, default=30.0, help="seconds")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic()
        trial = Trial(Path(folder), arguments)
        wrong = trial.run()
        if wrong:
            for log in Path(folder).glob("*.log"):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}")
    print(
        "\n".join(wrong) or "nothing lost: every record, curve and picture equals that of a local run; no process left"
    )
    print(f"{time.monotonic() - begin:.0f} s")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
