"""The studio: from a click to a card, over a real experiment and simulator."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import luma_widgets as lw
from luma_widgets.widgets.latest import Latest

from .conftest import MakeExperiment, until
from .widgetpage import Page

CAT = "A cat walking in the garden"


@pytest.fixture
def studio(make_experiment: MakeExperiment) -> Iterator[lw.Studio]:
    """Return a studio over an experiment on a simulator, with a complete request."""
    made = lw.Studio(make_experiment(), request=lw.Ray2Request(prompt=CAT))
    yield made
    made.close()


def press(studio: lw.Studio, click: str = "a1") -> Page:
    """Press Generate as the browser does, and return the page of the form's companion."""
    page = Page(studio.form.aid)
    page.send("generate", click=click, shown={})
    return page


def test_a_click_becomes_a_row_a_line_and_a_card(
    studio: lw.Studio, simulator: lw.Simulator
) -> None:
    """Generate submits at once; queue and results follow by themselves, down to the poster."""
    lines: list[Any] = []
    studio.queue.observe(lambda change: lines.extend(change["new"]), "tasks")
    press(studio)
    until(lambda: studio.results.posters)
    assert [card["word"] for card in studio.results.cards] == ["Ready"]
    assert studio.queue.tasks == []
    assert {line["prompt"] for line in lines} == {CAT}
    frame = studio.experiment.df
    assert frame["prompt"].tolist() == [CAT]
    assert Path(studio.experiment.rows()[0]["files"][0]).exists()
    assert len(simulator.creates) == 1


def test_A10_a_double_click_pays_once(studio: lw.Studio, simulator: lw.Simulator) -> None:
    """The same click id submits once, and another click asks while the first is open."""
    press(studio, "a1")
    press(studio, "a1")
    page = press(studio, "b2")
    assert "in progress" in page.texts("ask")[0]
    until(lambda: studio.results.cards)
    assert len(simulator.creates) == 1
    assert len(studio.experiment.df) == 1


def test_a_yes_makes_another_take(studio: lw.Studio, simulator: lw.Simulator) -> None:
    """After the question is answered with yes the same request is sent as another take."""
    press(studio, "a1")
    page = press(studio, "b2")
    page.send("answer", click="b2", ok=True)
    until(lambda: len(studio.results.cards) == 2)
    assert len(simulator.creates) == 2


def test_repeats_are_takes_of_one_click(studio: lw.Studio, simulator: lw.Simulator) -> None:
    """Three repeats are three rows and three videos; the same message again adds none."""
    studio.form.repeats = 3
    press(studio, "a1")
    press(studio, "a1")
    until(lambda: len(studio.results.cards) == 3)
    assert len(simulator.creates) == 3


def test_preflight_says_what_it_will_take_without_blocking(studio: lw.Studio) -> None:
    """The line above the button is filled on a background thread, and empty while unsendable."""
    until(lambda: studio.form.preflight)
    assert studio.form.preflight.startswith("1 video, ")
    assert "balance 10,000" in studio.form.preflight
    studio.form.repeats = 4
    until(lambda: studio.form.preflight.startswith("4 videos, "))
    studio.form.controls.by_name["prompt"].value = ""
    until(lambda: studio.form.preflight == "")


def test_a_balance_that_cannot_be_read_is_told(studio: lw.Studio, simulator: lw.Simulator) -> None:
    """Without the service the preflight says that the balance is unknown."""
    until(lambda: studio.form.preflight)
    simulator.close()
    studio.form.repeats = 2
    until(lambda: "balance unknown" in studio.form.preflight)
    until(lambda: studio.head.notice)


def test_a_card_loads_into_the_form(studio: lw.Studio) -> None:
    """Load into form shows the row's request, ready to be changed and sent again."""
    press(studio)
    until(lambda: studio.results.cards)
    studio.form.request = lw.Ray2Request(prompt="Something else", duration=9)
    Page(studio.results).send("load", id=studio.results.cards[0]["id"])
    assert studio.form.request == lw.Ray2Request(prompt=CAT)


def test_a_picture_is_uploaded_to_the_service(studio: lw.Studio, tmp_path: Path) -> None:
    """A local picture ends as an address of the service in the field."""
    from PIL import Image

    Image.new("RGB", (64, 64), "teal").save(tmp_path / "teal.png")
    data = (tmp_path / "teal.png").read_bytes()
    page = Page(studio.form.aid)
    studio.form.controls.mode.value = "image"
    page.send("upload", data, field="start_image", id="u1", offset=0, size=len(data))
    url = page.wait_for(stage="done")["url"]
    assert studio.form.request.start_image == url
    press(studio)
    until(lambda: studio.results.cards)
    assert studio.results.cards[0]["word"] == "Ready"


def test_E5_the_simulator_is_named_at_all_times(studio: lw.Studio) -> None:
    """The head says simulator, in a badge and in a sentence."""
    assert studio.head.simulated
    assert "imulator" in studio.head.banner
    assert not studio.key.has_key


def test_a_key_switches_to_the_service_and_back(
    studio: lw.Studio, simulator: lw.Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a key Generate goes to the service; tasks of the simulator are still followed."""
    press(studio)
    monkeypatch.setenv("PIXWITH_BASE_URL", simulator.url)
    Page(studio.key).send("key", key=simulator.api_key)
    assert not studio.head.simulated
    assert studio.experiment.client.base_url == simulator.url
    until(lambda: len(studio.results.cards) == 1)
    press(studio, "b2").send("answer", click="b2", ok=True)
    until(lambda: len(studio.results.cards) == 2)
    assert sorted(studio.experiment.df["base_url"]) == sorted([simulator.url, "simulator"])
    Page(studio.key).send("forget")
    assert studio.head.simulated


def test_a_fault_of_the_log_is_shown(studio: lw.Studio) -> None:
    """What submit raises is shown in the form; nothing is raised into nowhere."""
    studio.experiment.log.close()
    page = press(studio)
    assert page.texts("message")


def test_rows_of_an_earlier_session_are_there(make_experiment: MakeExperiment) -> None:
    """A studio begins with the rows that the log already has."""
    experiment = make_experiment()
    experiment.submit(lw.Ray2Request(prompt=CAT)).wait(20)
    studio = lw.Studio(experiment)
    assert [card["prompt"] for card in studio.results.cards] == [CAT]
    studio.close()


def test_closing_leaves_no_thread_of_the_studio(make_experiment: MakeExperiment) -> None:
    """After close the studio's own threads have ended; the experiment is the caller's."""
    experiment = make_experiment()
    studio = lw.Studio(experiment, request=lw.Ray2Request(prompt=CAT))
    until(lambda: studio.form.preflight)
    studio.close()
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if "studio" in name]
    assert experiment.rows() == []


def test_many_events_are_answered_by_few_runs() -> None:
    """A burst of events costs one or two runs, and the last event is never lost."""
    runs: list[float] = []
    errors: list[BaseException] = []
    latest = Latest("test", lambda: runs.append(time.monotonic()), errors.append, pause=0.05)
    for _ in range(1000):
        latest.poke()
    until(lambda: runs)
    last = time.monotonic()
    latest.poke()
    until(lambda: runs[-1] >= last)
    latest.close()
    assert len(runs) <= 4
    assert errors == []


def test_a_failing_run_is_reported_and_the_next_goes_on() -> None:
    """An exception on the thread reaches the handler, and does not end the thread."""
    errors: list[BaseException] = []
    runs: list[int] = []

    def work() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise OSError("once")

    latest = Latest("test", work, errors.append, pause=0.01)
    latest.poke()
    until(lambda: errors)
    latest.poke()
    until(lambda: len(runs) == 2)
    latest.close()
    assert [str(error) for error in errors] == ["once"]
