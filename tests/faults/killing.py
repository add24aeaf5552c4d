"""Programs that pay and are killed, and the comparison of their log with the server's ledger."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import luma_widgets as lw
from luma_widgets.log import Row

from ..conftest import until
from .paidserver import AMBIGUOUS, PaidServer

KEY = "key_0killed0killed0killed0killed00"
LONGEST_LIFE = 0.3
# What a row says whose program is gone.
ENDED = "The program that sent it ended before the answer came."
# States in which a row says that nothing was charged.
_UNCHARGED = {"rejected", "not_sent", "abandoned", "queued", "prepared"}

CAREFUL = """
import random
import sys
import luma_widgets as lw
key, url, path, intents, seed = sys.argv[1:]
client = lw.PixwithClient(key, base_url=url)
waiting = {"queued", "prepared", "sending", "abandoned", "not_sent", "rejected"}
with lw.Experiment("cats", client=client, log=path, measure=False) as experiment:
    print(experiment.log._lease.owner().id, flush=True)
    todo = [lw.Ray2Request(prompt=f"Cat {number}") for number in range(int(intents))]
    random.Random(seed).shuffle(todo)
    while todo:
        submissions = [(request, experiment.submit(request)) for request in todo]
        experiment.wait_for_change()
        todo = [request for request, submission in submissions if submission.state in waiting]
        experiment.resume()
print("done", flush=True)
"""

# What people write first: send, then note that it was sent.
NAIVE = """
import sys
from pathlib import Path
import luma_widgets as lw
key, url, path, intents, _ = sys.argv[1:]
client = lw.PixwithClient(key, base_url=url)
done = set(Path(path).read_text().split(",")) if Path(path).exists() else set()
print("ready", flush=True)
for number in range(int(intents)):
    if str(number) not in done:
        client.create_task(lw.Ray2Request(prompt=f"Cat {number}"))
        done.add(str(number))
        Path(path).write_text(",".join(done))
print("done", flush=True)
"""


class Program:
    """A child process that pays, and can be killed."""

    def __init__(
        self, script: str, server: PaidServer, path: Path, intents: int, seed: int = 0
    ) -> None:
        words = [KEY, server.url, str(path), str(intents), str(seed)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._said = ""

    def ready(self) -> None:
        """Wait until it is about to pay."""
        assert self.process.stdout
        if not self._said:
            self._said = self.process.stdout.readline()
        if not self._said.endswith("\n"):
            raise AssertionError(self.process.communicate()[1])

    @property
    def ended(self) -> bool:
        """Whether it came to its end by itself."""
        return self.process.poll() is not None

    def kill(self) -> str:
        """End it without any warning (SIGKILL); return its name in the log, if it had one yet."""
        self.process.kill()
        out, _ = self.process.communicate()
        return (self._said + out).partition("\n")[0]

    def finish(self) -> None:
        """Let it come to its end; fail if it does not."""
        out, complaint = self.process.communicate(timeout=200)
        assert self.process.returncode == 0, complaint
        assert out.endswith("done\n"), complaint


@dataclass
class Toll:
    """What some rounds of killing came to."""

    kills: int = 0
    intents: int = 0
    visits: int = 0
    charges: int = 0
    double: list[str] = field(default_factory=list)
    unlogged: list[str] = field(default_factory=list)
    wrongly_failed: list[str] = field(default_factory=list)
    unknown: int = 0
    by_fault: Counter[str] = field(default_factory=Counter)
    by_kill: int = 0
    unexplained: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)

    def add(self, server: PaidServer, rows: list[Row], killed: Iterable[str]) -> None:
        """Compare a log with the ledger at the server, and add what is found."""
        names = set(killed)
        by_prompt = {row["prompt"]: row for row in rows}
        self.intents += len(rows)
        self.visits += len(server.visits)
        self.charges += len(server.charges)
        self.double += server.paid_twice()
        self.unlogged += lost(server, rows)
        self.states.update(row["state"] for row in rows)
        for charge in server.charges:
            row = by_prompt.get(charge.intent)
            if row and (row["state"] in _UNCHARGED or _called_failed(row, charge.ending)):
                self.wrongly_failed.append(charge.intent)
        for row in rows:
            if row["state"] == "unknown":
                self._explain(server, row, names)

    def _explain(self, server: PaidServer, row: Row, killed: set[str]) -> None:
        self.unknown += 1
        met = [v.fault for v in server.visits if v.intent == row["prompt"] and v.fault in AMBIGUOUS]
        if met:
            self.by_fault[met[-1]] += 1
        elif row["owner"] in killed and ENDED in (row["error"] or ""):
            self.by_kill += 1
        else:
            self.unexplained.append(row["prompt"])

    def __str__(self) -> str:
        return (
            f"kills {self.kills}, intents {self.intents}, requests {self.visits}, "
            f"charges {self.charges}\n"
            f"double charges {len(self.double)}, unlogged charges {len(self.unlogged)}, "
            f"wrongly failed {len(self.wrongly_failed)}\n"
            f"unknown {self.unknown}: {sum(self.by_fault.values())} by an injected fault, "
            f"{self.by_kill} by a kill in flight, {len(self.unexplained)} unexplained\n"
            f"  faults: {dict(sorted(self.by_fault.items()))}\n"
            f"  states: {dict(sorted(self.states.items()))}"
        )


def _called_failed(row: Row, ending: str) -> bool:
    return row["state"] == "failed" and ending != "failed"


def lost(server: PaidServer, rows: list[Row]) -> list[str]:
    """List what was paid for and is neither in the log by its task nor said to be unknown."""
    known = {row["task_id"] for row in rows if row["task_id"]}
    unknown = {row["prompt"] for row in rows if row["state"] == "unknown"}
    return [
        charge.task_id or ""
        for charge in server.charges
        if charge.task_id not in known and charge.intent not in unknown
    ]


def kill_round(
    toll: Toll,
    folder: Path,
    chance: random.Random,
    *,
    processes: int,
    kills: int,
    intents: int,
    end: float,
) -> None:
    """Run the same cells in some programs on one log, kill them over and over, and compare.

    The round is over after so many kills, when everything is done, or at a time.
    """
    path = folder / "luma.sqlite"
    killed: list[str] = []
    with PaidServer(chance) as server:

        def begin() -> Program:
            return Program(CAREFUL, server, path, intents, chance.randrange(1 << 30))

        programs = [begin() for _ in range(processes)]
        while len(killed) < kills and time.monotonic() < end:
            number = chance.randrange(processes)
            if chance.random() < 0.9:
                programs[number].ready()  # else it is killed while it starts
            # The moment is chance on purpose: nothing may depend on it.
            threading.Event().wait(chance.uniform(0, LONGEST_LIFE))
            if programs[number].ended:
                break
            killed.append(programs[number].kill())
            programs[number] = begin()
        toll.kills += len(killed)
        killed += [program.kill() for program in programs]
        Program(CAREFUL, server, path, intents).finish()
        _follow(server, path)
        log = lw.ExperimentLog(path)
        rows = log.rows()
        log.close()
        assert len(rows) == intents
        toll.add(server, rows, killed)


def _follow(server: PaidServer, path: Path) -> None:
    """Check that a last session sees every task that it knows to its end, and pays nothing."""
    visits = len(server.visits)
    endings = {charge.task_id: charge.ending for charge in server.charges}
    with (
        lw.PixwithClient(KEY, base_url=server.url) as client,
        lw.Experiment("cats", client=client, log=path, measure=False) as experiment,
    ):
        known = [s for s in experiment.submissions() if s.task_id]
        assert known
        until(lambda: all(s.state == endings[s.task_id] for s in known if _ends(s, endings)), 60)
        assert all(file.exists() for s in known for file in s.files)
    assert len(server.visits) == visits


def _ends(submission: lw.Submission, endings: dict[str | None, str]) -> bool:
    return endings.get(submission.task_id, "endless") != "endless"
