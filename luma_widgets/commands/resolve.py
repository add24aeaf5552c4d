"""``luma-widgets resolve``: settle a submission whose outcome is unknown."""

from __future__ import annotations

import argparse

from ..errors import ConfigurationError
from ..experiment import Experiment
from ..log import WORDS


def resolve(arguments: argparse.Namespace) -> int:
    """Show the balance before, after and now, or take one of the ways out.

    Parameters
    ----------
    arguments : argparse.Namespace
        As :mod:`luma_widgets.cli` parses them.
    """
    with Experiment(arguments.experiment, log=arguments.log) as experiment:
        print(experiment.banner)
        row_id = _whole_id(experiment, arguments.id)
        if not (arguments.task_id or arguments.not_created or arguments.submit_again):
            print(experiment.check_credits(row_id))
            print("Settle it with --task-id ID, --not-created or --submit-again.")
            return 0
        submission = experiment.resolve(
            row_id,
            task_id=arguments.task_id,
            not_created=arguments.not_created,
            submit_again=arguments.submit_again,
            confirmed=arguments.yes,
        )
        if not arguments.not_created:
            for file in submission.wait().files:
                print(file)
        print(f"{submission.id}: {WORDS[submission.state]}")
    return 0


def _whole_id(experiment: Experiment, beginning: str) -> str:
    """Find the row whose id begins like this; a few digits are enough."""
    found = [row["id"] for row in experiment.log.rows() if row["id"].startswith(beginning)]
    if len(found) != 1:
        raise ConfigurationError(
            f"{len(found) or 'No'} submissions have an id that begins with {beginning!r}."
        )
    return str(found[0])
