"""``luma-widgets generate``: make videos, show their progress, print their files and rows."""

from __future__ import annotations

import argparse
import sys
import time

from tqdm import tqdm

from ..experiment import Experiment
from ..log import DONE, WORDS
from ..options import check_spending, request_from
from ..submission import Submission
from .tables import table

_TICK = 0.2


def generate(arguments: argparse.Namespace) -> int:
    """Run the command; raises the error that a video ended with.

    Parameters
    ----------
    arguments : argparse.Namespace
        As :mod:`luma_widgets.cli` parses them.
    """
    with Experiment(arguments.experiment, log=arguments.log) as experiment:
        print(experiment.banner)
        request = request_from(arguments.prompt, arguments, experiment.upload)
        for warning in request.warnings():
            print(f"Note: {warning.field} {warning.message}.")
        videos = experiment.count_new(request, range(arguments.repeats))
        if videos:
            print(f"{experiment.preflight(request, videos)}.")
        else:
            print("The log has this already; nothing is sent.")
        check_spending(videos, paid=not experiment.simulated, yes=arguments.yes)
        takes = [experiment.submit(request, take=take) for take in range(arguments.repeats)]
        _follow(experiment, takes)
        for submission in takes:
            for file in submission.files:
                print(file)
        ids = [submission.id for submission in takes]
        frame = experiment.df
        print(table(frame[frame["id"].isin(ids)]))
        for submission in takes:
            submission.wait(0)  # each one is done; this raises the error of one that failed
        return 0


def _follow(experiment: Experiment, takes: list[Submission]) -> None:
    """Show progress until every take is done: a bar on a terminal, lines of state elsewhere."""
    began = time.monotonic()
    shown = dict.fromkeys((submission.id for submission in takes), "")
    terminal = sys.stderr.isatty()
    bar_format = "{desc} {percentage:3.0f}%|{bar}| {elapsed}"
    with tqdm(total=100, disable=not terminal, bar_format=bar_format, leave=False) as bar:
        while True:
            rows = [submission.row for submission in takes]
            for row in rows:
                if not terminal and shown[row["id"]] != row["state"]:
                    print(f"{WORDS[row['state']]}: {row['prompt'][:60]!r}", file=sys.stderr)
                shown[row["id"]] = row["state"]
            if all(row["state"] in DONE for row in rows):
                return
            bar.set_description_str(WORDS[rows[-1]["state"]])
            bar.n = _percent([experiment.estimate(row) for row in rows], time.monotonic() - began)
            bar.refresh()
            experiment.wait_for_change(_TICK)


def _percent(estimates: list[float | None], elapsed: float) -> float:
    """Return how far the slowest is; never 100 before it is here."""
    longest = max((estimate for estimate in estimates if estimate), default=0.0)
    return 0.0 if longest <= 0 else min(99.0, 100 * elapsed / longest)
