"""What the studio asks before it pays, and how it shows limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import traitlets

import luma_widgets as lw
from luma_widgets.widgets.spend import Cost, limits_in_words

from .conftest import MakeExperiment, until
from .widgetpage import Page

CAT = lw.Ray2Request(prompt="A cat walking in the garden")
FIRST = "This is the first paid request of this session."
MakeStudio = Callable[..., lw.Studio]


@pytest.fixture
def paid(make_experiment: MakeExperiment, simulator: lw.Simulator) -> lw.Experiment:
    """Return an experiment on a service that, as far as the widgets can tell, is paid."""
    return make_experiment(client=simulator.client(name="https://service.example"))


@pytest.fixture
def make_studio() -> Iterator[MakeStudio]:
    """Return a function that shows studios with a complete request, and closes them."""
    made: list[lw.Studio] = []

    def make(experiment: lw.Experiment, **options: Any) -> lw.Studio:
        made.append(lw.Studio(experiment, request=CAT, **options))
        return made[-1]

    yield make
    for studio in made:
        studio.close()


def press(studio: lw.Studio, click: str, repeats: int = 1) -> Page:
    """Press Generate as the browser does, and return the page of the form's companion."""
    studio.form.repeats = repeats
    page = Page(studio.form.aid)
    page.send("generate", click=click, shown={})
    return page


def spend_once(experiment: lw.Experiment) -> None:
    """Make one video whose price is measured, so that the session has paid."""
    experiment.submit(CAT.copy(prompt="Another")).wait(30)
    until(lambda: experiment.spent().unpriced == 0)


def test_the_first_paid_request_of_a_session_is_asked_about(
    paid: lw.Experiment, make_studio: MakeStudio, simulator: lw.Simulator
) -> None:
    """Nothing is sent before the yes; count, price and balance are said; later nothing is asked."""
    studio = make_studio(paid)
    until(lambda: "balance 10,000" in studio.form.preflight)
    page = press(studio, "a1")
    (text,) = page.texts("ask")
    assert text.startswith(f"{FIRST} This pays for 1 video; its price was not measured yet. ")
    assert text.endswith(" Your balance is 10,000. Go on?")
    assert page.wait_for(type="ask")["yes"] == "Pay for 1 video"
    assert paid.rows() == []
    page.send("answer", click="a1", ok=True)
    until(lambda: studio.results.cards)
    studio.form.request = CAT.copy(prompt="A dog")
    assert press(studio, "b2").texts("ask") == []
    until(lambda: len(studio.results.cards) == 2)
    assert len(simulator.creates) == 2


def test_no_pays_nothing(
    paid: lw.Experiment, make_studio: MakeStudio, simulator: lw.Simulator
) -> None:
    """After Cancel, a late or repeated yes does nothing either, and the next press asks again."""
    studio = make_studio(paid)
    page = press(studio, "a1")
    page.send("answer", click="a1", ok=False)
    page.send("answer", click="a1", ok=True)
    assert paid.rows() == []
    assert len(press(studio, "b2").texts("ask")) == 1
    assert len(simulator.creates) == 0


def test_many_videos_are_asked_about(paid: lw.Experiment, make_studio: MakeStudio) -> None:
    """Above ``confirm_above_videos`` the question has count, price and balance; below, none."""
    spend_once(paid)
    studio = make_studio(paid)
    until(lambda: "balance 9,970" in studio.form.preflight)
    assert press(studio, "a1", repeats=6).texts("ask") == [
        "This pays for 6 videos, 30 credits each as measured. Your balance is 9,970. Go on?"
    ]
    assert press(studio, "b2", repeats=4).texts("ask") == []
    studio.form.request = CAT.copy(prompt="A dog")
    studio.confirm_above_videos = None
    assert press(studio, "c3", repeats=6).texts("ask") == []


def test_many_credits_are_asked_about(paid: lw.Experiment, make_studio: MakeStudio) -> None:
    """Above ``confirm_above_credits`` it asks, and also where the price is not known."""
    spend_once(paid)
    studio = make_studio(paid, confirm_above_credits=60)
    assert press(studio, "a1", repeats=2).texts("ask") == []
    studio.form.request = CAT.copy(prompt="A dog")
    assert "3 videos, 30 credits each" in press(studio, "b2", repeats=3).texts("ask")[0]
    studio.form.request = CAT.copy(duration=9)
    assert "not measured yet" in press(studio, "c3").texts("ask")[0]


def test_everything_is_asked_in_one_question(
    paid: lw.Experiment, make_studio: MakeStudio, simulator: lw.Simulator
) -> None:
    """An open request, a first request and many videos are one question with one yes."""
    simulator.inject("hang_up")
    with pytest.raises(lw.OutcomeUnknownError):
        paid.submit(CAT).wait(30)
    studio = make_studio(paid)
    (text,) = press(studio, "a1", repeats=6).texts("ask")
    assert text.startswith("The same request is in progress, or its outcome is unknown. This pays")
    page = Page(studio.form.aid)
    page.send("answer", click="a1", ok=True)
    until(lambda: len(simulator.creates) == 7)


def test_the_simulator_asks_only_about_the_same_request(
    make_experiment: MakeExperiment, make_studio: MakeStudio, simulator: lw.Simulator
) -> None:
    """Nothing is paid there: no first question, none for many, and no limits in the head."""
    studio = make_studio(make_experiment(), confirm_above_videos=1, confirm_above_credits=0)
    assert press(studio, "a1", repeats=5).texts("ask") == []
    assert studio.head.limits == ""


def test_a_key_that_comes_meanwhile_does_not_make_a_yes_cost_money(
    make_experiment: MakeExperiment,
    make_studio: MakeStudio,
    simulator: lw.Simulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A question about the simulator is answered at the simulator, after a switch as well."""
    simulator.fail_next("never_ends")
    studio = make_studio(make_experiment())
    press(studio, "a1")
    page = press(studio, "b2")
    assert page.texts("ask")
    with lw.Simulator(speed=60) as service:
        monkeypatch.setenv("PIXWITH_BASE_URL", service.url)
        Page(studio.key).send("key", key=service.api_key)
        page.send("answer", click="b2", ok=True)
        until(lambda: len(simulator.creates) == 2)
        assert service.requests["create"] == 0
        studio.close()


def test_a_limit_in_the_middle_says_how_many_were_submitted(
    make_experiment: MakeExperiment, make_studio: MakeStudio, simulator: lw.Simulator
) -> None:
    """Two of four go; the form says so with the limit, and what allows more."""
    client = simulator.client(name="https://service.example")
    limits = lw.SpendLimits(session_videos=2)
    studio = make_studio(make_experiment(client=client, limits=limits))
    assert studio.head.limits == "Limits: 2 videos a session (0 used)"
    page = press(studio, "a1", repeats=4)
    page.send("answer", click="a1", ok=True)
    (said,) = page.texts("message")
    assert said.startswith("2 of 4 videos were submitted. The next one was not: This would pay")
    assert "limits=SpendLimits(session_videos=...)" in said
    until(lambda: studio.head.limits == "Limits: 2 videos a session (2 used)")
    until(lambda: len(studio.results.cards) == 2)
    studio.form.request = CAT.copy(prompt="A dog")
    (said,) = press(studio, "b2").texts("message")
    assert said.startswith("This would pay for 3 videos")
    assert len(simulator.creates) == 2


def test_a_new_key_keeps_the_limits(
    make_experiment: MakeExperiment,
    make_studio: MakeStudio,
    simulator: lw.Simulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Limits given to the studio hold for what a key opens, and after a switch there and back."""
    limits = lw.SpendLimits(session_videos=1)
    studio = make_studio(make_experiment(), limits=limits)
    monkeypatch.setenv("PIXWITH_BASE_URL", simulator.url)
    for _ in range(2):
        Page(studio.key).send("key", key=simulator.api_key)
        assert studio.experiment.limits == limits
        assert studio.head.limits == "Limits: 1 video a session (0 used)"
        Page(studio.key).send("forget")
        assert studio.head.limits == ""


def test_the_limits_of_a_paid_experiment_go_on_with_the_next_key(
    make_experiment: MakeExperiment,
    make_studio: MakeStudio,
    simulator: lw.Simulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without limits of its own the studio takes over those of its experiment."""
    limits = lw.SpendLimits(experiment_credits=90)
    client = simulator.client(name="https://service.example")
    studio = make_studio(make_experiment(client=client, limits=limits))
    monkeypatch.setenv("PIXWITH_BASE_URL", simulator.url)
    Page(studio.key).send("key", key=simulator.api_key)
    assert studio.experiment.limits == studio.limits == limits


def test_limits_that_would_not_hold_are_refused(paid: lw.Experiment) -> None:
    """An experiment that pays keeps its own limits, so other ones for the studio are an error."""
    with pytest.raises(lw.ConfigurationError, match=r"Experiment\(limits=\.\.\.\)"):
        lw.Studio(paid, limits=lw.SpendLimits(session_videos=1))


@pytest.mark.parametrize("wrong", [{"confirm_above_videos": -1}, {"confirm_above_credits": "5"}])
def test_a_bound_must_be_a_number(make_experiment: MakeExperiment, wrong: dict[str, Any]) -> None:
    """A negative bound, or text, is refused when the studio is made."""
    with pytest.raises(traitlets.TraitError):
        lw.Studio(make_experiment(), **wrong)


def test_limits_are_said_with_what_is_used(
    make_experiment: MakeExperiment, simulator: lw.Simulator
) -> None:
    """Videos and credits of both scopes, with the videos whose price is not known."""
    client = simulator.client(name="https://service.example")
    limits = lw.SpendLimits(session_videos=20, experiment_credits=500)
    experiment = make_experiment(client=client, limits=limits)
    spend_once(experiment)
    assert limits_in_words(experiment) == (
        "Limits: 20 videos a session (1 used), 500 credits an experiment (30 used)"
    )
    simulator.inject("hang_up")
    with pytest.raises(lw.OutcomeUnknownError):
        experiment.submit(CAT.copy(duration=9)).wait(30)
    assert limits_in_words(experiment).endswith("(30 used, 1 of unknown price not counted)")


def test_no_limits_are_said_too(paid: lw.Experiment) -> None:
    """On a paid service without limits the head says so, and what the session paid for."""
    assert limits_in_words(paid) == "Limits: none (0 videos paid for in this session)"
    spend_once(paid)
    assert limits_in_words(paid) == "Limits: none (1 video, 30 credits paid for in this session)"


@pytest.mark.parametrize(
    ("cost", "price", "balance"),
    [
        (Cost(1, 30, 500), "1 video, 30 credits as measured.", "500."),
        (
            Cost(6, 30, 100),
            "6 videos, 30 credits each as measured.",
            "100, which does not cover it.",
        ),
        (Cost(2, None, 0), "2 videos; their price was not measured yet.", "0."),
    ],
)
def test_the_cost_in_words(cost: Cost, price: str, balance: str) -> None:
    """Count, measured price and balance, and whether the balance covers it."""
    assert str(cost) == f"This pays for {price} Your balance is {balance}"


@pytest.mark.parametrize(
    ("cost", "videos", "most", "above"),
    [
        (Cost(4, 30, 500), 4, None, False),
        (Cost(5, 30, 500), 4, None, True),
        (Cost(5, 30, 500), None, None, False),
        (Cost(2, 30, 500), None, 60, False),
        (Cost(2, 30.5, 500), None, 60, True),
        (Cost(1, None, 500), None, 60, True),
        (Cost(1, 30, 500), None, float("nan"), True),
    ],
)
def test_what_is_above_a_bound(
    cost: Cost, videos: int | None, most: float | None, above: bool
) -> None:
    """A bound itself is within; what cannot be compared is above."""
    assert cost.above(videos, most) is above
