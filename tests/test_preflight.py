"""What a submission will take, in words."""

from __future__ import annotations

import pytest

import luma_widgets as lw
from luma_widgets.preflight import Preflight, spoken

from .conftest import MakeExperiment


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((1, 42, 500, None), "1 video, about 42 s, balance 500, price unknown"),
        ((4, 120.0, 500.0, 30.0), "4 videos, about 2 min, balance 500, price measured 30 each"),
        ((2, None, None, None), "2 videos, time unknown, balance unknown, price unknown"),
        ((1, 0.2, 0, 0), "1 video, about 1 s, balance 0, price measured 0 each"),
        ((1, 42, 12345.5, 0.25), "1 video, about 42 s, balance 12,345.5, price measured 0.25 each"),
    ],
)
def test_preflight_in_words(values: tuple[int, float, float, float], text: str) -> None:
    """What is not known is said to be unknown, never guessed; nothing is 0 by accident."""
    assert str(Preflight(*values)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.1, "1 s"), (41.6, "42 s"), (99, "99 s"), (100, "2 min"), (3600, "60 min"), (9000, "2.5 h")],
)
def test_durations_as_people_say_them(seconds: float, text: str) -> None:
    """Seconds, minutes or hours, rounded."""
    assert spoken(seconds) == text


def test_an_unreadable_balance_is_unknown(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """A preflight never fails: it says what is not known, and why in the notice."""
    experiment = make_experiment()
    assert "balance 10,000, price unknown" in str(experiment.preflight(cat))
    simulator.close()
    ahead = experiment.preflight(cat, videos=3)
    assert (ahead.videos, ahead.balance, ahead.price) == (3, None, None)
    assert "balance" in experiment.notice
