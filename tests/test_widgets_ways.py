"""The card of an unknown outcome, and the four ways out of it, over a real experiment."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import luma_widgets as lw
from luma_widgets.log import OUTCOME_UNKNOWN
from luma_widgets.widgets.submissions import SubmissionsView

from .conftest import MakeExperiment, until
from .widgetpage import Page

CAT = lw.Ray2Request(prompt="A cat walking in the garden")


def doubtful(experiment: lw.Experiment, simulator: lw.Simulator) -> lw.Submission:
    """Return a submission that the service accepted and charged, without an answer."""
    simulator.inject("hang_up")
    submission = experiment.submit(CAT)
    with pytest.raises(lw.OutcomeUnknownError):
        submission.wait(30)
    return submission


@pytest.fixture
def paid(make_experiment: MakeExperiment, simulator: lw.Simulator) -> lw.Experiment:
    """Return an experiment on a service that, as far as the widgets can tell, is paid."""
    return make_experiment(client=simulator.client(name="https://service.example"))


@pytest.fixture
def doubt(paid: lw.Experiment, simulator: lw.Simulator) -> lw.Submission:
    """Return the submission whose outcome is unknown."""
    return doubtful(paid, simulator)


@pytest.fixture
def studio(paid: lw.Experiment, doubt: lw.Submission) -> Iterator[lw.Studio]:
    """Return a studio that shows it."""
    made = lw.Studio(paid)
    yield made
    made.close()


def card_of(studio: Any, row_id: str) -> dict[str, Any]:
    """Return the card of a row, or an empty one while there is none."""
    return next((card for card in studio.results.cards if card["id"] == row_id), {})


def go(studio: Any, doubt: lw.Submission, way: str, **more: Any) -> dict[str, Any]:
    """Choose a way as the page does, and return the answer to it."""
    page = Page(studio.results)
    page.send("settle", id=doubt.id, way=way, **more)
    return page.wait_for(type="settled", id=doubt.id, way=way)


def test_the_card_says_what_is_known(studio: lw.Studio, doubt: lw.Submission) -> None:
    """The sentence, the credits before, and seconds later the credits after; then four ways."""
    card = card_of(studio, doubt.id)
    assert card["error"].startswith(OUTCOME_UNKNOWN)
    assert card["doubt"]["before"] == "10,000"
    assert card["doubt"]["ways"]
    until(lambda: card_of(studio, doubt.id)["doubt"]["after"] == "9,970")


def test_checking_credits_shows_the_balance_now(
    studio: lw.Studio, doubt: lw.Submission, simulator: lw.Simulator
) -> None:
    """The answer is the balance at this moment; the row stays as it is, and nothing is created."""
    simulator.set_credits(1234.5)
    assert go(studio, doubt, "check")["now"] == "1,234.5"
    assert doubt.state == "unknown"
    assert len(simulator.creates) == 1


def test_a_task_id_brings_the_video_into_the_same_card(
    studio: lw.Studio, doubt: lw.Submission, simulator: lw.Simulator
) -> None:
    """With the id, blanks around it included, the row is followed to its video."""
    (created,) = simulator.creates
    answer = go(studio, doubt, "task", task_id=f"  {created.task_id}\n")
    assert "found" in answer["text"]
    until(lambda: card_of(studio, doubt.id).get("state") == "stored")
    assert "doubt" not in card_of(studio, doubt.id)
    assert len(simulator.creates) == 1


@pytest.mark.parametrize("typed", ["", "   ", None, 5, "a\nb", "x\ud800", "x" * 201])
def test_what_is_no_task_id_is_refused_before_it_is_asked_about(
    studio: lw.Studio, doubt: lw.Submission, simulator: lw.Simulator, typed: object
) -> None:
    """Blank, broken or endless text gives a sentence, and the service hears nothing."""
    assert "Enter the task id" in go(studio, doubt, "task", task_id=typed)["error"]
    assert simulator.requests["get"] == 0
    assert doubt.state == "unknown"


def test_an_unknown_task_id_is_told_beside_the_field(
    studio: lw.Studio, doubt: lw.Submission
) -> None:
    """The service's words come back as this way's error, not as a message of the whole list."""
    answer = go(studio, doubt, "task", task_id="0" * 32)
    assert "Task not found" in answer["error"]
    assert card_of(studio, doubt.id)["state"] == "unknown"


def test_marked_as_not_created(studio: lw.Studio, doubt: lw.Submission) -> None:
    """The row is settled, and its card offers no way out any more."""
    assert "not created" in go(studio, doubt, "none")["text"]
    until(lambda: card_of(studio, doubt.id).get("state") == "abandoned")
    assert "doubt" not in card_of(studio, doubt.id)


def test_submitting_again_needs_the_second_yes(
    studio: lw.Studio, doubt: lw.Submission, simulator: lw.Simulator
) -> None:
    """Without ``confirmed`` it is refused; with it, one new row, however often it is sent."""
    for wrong in ({}, {"confirmed": False}, {"confirmed": "true"}, {"confirmed": 1}):
        assert "charged a second time" in go(studio, doubt, "again", **wrong)["error"]
    assert len(simulator.creates) == 1
    go(studio, doubt, "again", confirmed=True)
    go(studio, doubt, "again", confirmed=True)
    until(lambda: card_of(studio, doubt.id)["doubt"]["again"] == "Ready")
    assert not card_of(studio, doubt.id)["doubt"]["repeat"]
    assert len(studio.results.cards) == 2
    assert len(simulator.creates) == 2


def test_a_repeat_that_was_refused_can_be_made_again(
    studio: lw.Studio, doubt: lw.Submission, simulator: lw.Simulator
) -> None:
    """When the second one was never paid for, the card offers it once more."""
    simulator.fail_next("reject:Not now")
    go(studio, doubt, "again", confirmed=True)
    until(lambda: card_of(studio, doubt.id)["doubt"]["again"] == "Refused")
    assert card_of(studio, doubt.id)["doubt"]["repeat"]


def test_a_limit_is_told_beside_submit_again(
    make_experiment: MakeExperiment, simulator: lw.Simulator
) -> None:
    """The hard limit holds for this way too, in words."""
    client = simulator.client(name="https://service.example")
    experiment = make_experiment(client=client, limits=lw.SpendLimits(session_videos=1))
    doubt = doubtful(experiment, simulator)
    studio = lw.Studio(experiment)
    assert "the limit is 1 video" in go(studio, doubt, "again", confirmed=True)["error"]
    assert len(simulator.creates) == 1
    studio.close()


def test_the_network_is_asked_off_the_main_thread(
    studio: lw.Studio, doubt: lw.Submission, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message returns at once while the service is slow; a second press adds no request."""
    asked: list[str] = []
    slow = threading.Event()

    def balance() -> float:
        asked.append(threading.current_thread().name)
        slow.wait(10)
        return 5.0

    monkeypatch.setattr(studio.experiment.client, "get_credits", balance)
    page = Page(studio.results)
    for _ in range(3):
        page.send("settle", id=doubt.id, way="check")
    assert page.heard == []
    until(lambda: any("way-out" in name for name in asked))
    slow.set()
    assert page.wait_for(type="settled")["now"] == "5"
    assert len([name for name in asked if "way-out" in name]) == 1


@pytest.mark.parametrize("way", ["pay", "", None, ["check"], {"check": 1}])
def test_a_way_that_does_not_exist_is_not_gone(
    studio: lw.Studio, doubt: lw.Submission, way: object
) -> None:
    """What is none of the four is not answered; the next right one is."""
    page = Page(studio.results)
    page.send("settle", id=doubt.id, way=way, confirmed=True)
    page.send("settle", id="nobody", way="none")
    page.send("settle", id=doubt.id, way="check")
    page.wait_for(way="check")
    assert len(page.heard) == 1
    assert doubt.state == "unknown"


def test_a_row_that_is_settled_meanwhile_is_left_alone(
    studio: lw.Studio, paid: lw.Experiment
) -> None:
    """No way leads from a finished video, whatever the page sends."""
    video = paid.submit(CAT.copy(duration=9)).wait(30)
    until(lambda: card_of(studio, video.id))
    for way in ("none", "again", "check"):
        assert "it is stored" in go(studio, video, way, confirmed=True)["error"]
    assert video.state == "stored"


def test_each_row_is_settled_by_its_own_service(
    make_experiment: MakeExperiment, simulator: lw.Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a key was entered, a doubt of the simulator is still settled by the simulator."""
    experiment = make_experiment()
    doubt = doubtful(experiment, simulator)
    studio = lw.Studio(experiment)
    with lw.Simulator(credits=7) as other:
        monkeypatch.setenv("PIXWITH_BASE_URL", other.url)
        Page(studio.key).send("key", key=other.api_key)
        assert not studio.head.simulated
        assert go(studio, doubt, "check")["now"] == "9,970"
        studio.close()


def test_results_alone_offer_no_way(doubt: lw.Submission) -> None:
    """Without an experiment the card says what is known, and a message from it does nothing."""
    results = lw.ResultsView()
    results.update([doubt.row])
    page = Page(results)
    page.send("settle", id=doubt.id, way="none")
    assert not results.cards[0]["doubt"]["ways"]
    assert page.heard == []
    assert doubt.state == "unknown"
    results.close()


def test_C8_what_the_service_says_stays_text(
    paid: lw.Experiment, doubt: lw.Submission, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error with HTML in it reaches the page as the same characters, in a message of JSON."""

    def refuse(_task_id: str) -> None:
        raise lw.RejectedError("<img src=x onerror=alert(1)>")

    monkeypatch.setattr(paid.client, "get_task", refuse)
    studio = lw.Studio(paid)
    answer = go(studio, doubt, "task", task_id="a")
    assert answer["error"] == "<img src=x onerror=alert(1)>"
    assert "onerror" not in json.dumps(studio.results.get_state()).replace(
        json.dumps(studio.results._esm), ""
    )
    studio.close()


def test_a_few_submissions_are_settled_too(paid: lw.Experiment, doubt: lw.Submission) -> None:
    """Below a cell, an unknown one is followed on, and so is the one it was submitted again as."""
    view = SubmissionsView(paid, [doubt.id])
    go(view, doubt, "again", confirmed=True)
    until(lambda: [card["state"] for card in view.results.cards] == ["stored", "unknown"])
    go(view, doubt, "none")
    until(lambda: [card["state"] for card in view.results.cards] == ["stored", "abandoned"])
    until(lambda: not view._ids)
    view.close()
