"""The experiment on a real simulator: from a request to its files, and every way that can fail."""

from __future__ import annotations

import _thread
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

import luma_widgets as lw
from luma_widgets.background import context
from luma_widgets.background.polling import Pace
from luma_widgets.log import Row, State
from luma_widgets.media.containers import is_whole

from .conftest import MakeExperiment, until


class Impatient(Pace):
    """Finds every task overdue."""

    def is_overdue(self, elapsed: float, estimate: float) -> bool:
        """Say yes."""
        return True


QUICK = Impatient(shortest=0.05, longest=0.1, stalled=0.05)


class Frozen(lw.Simulator):
    """A simulator whose tasks end only when a test moves its clock."""

    def __init__(self) -> None:
        self._now = time.time()
        super().__init__(speed=60, estimated_time=6, spread=0, clock=lambda: self._now)

    def later(self) -> None:
        """Let a minute pass."""
        self._now += 60


@pytest.fixture
def frozen() -> Iterator[Frozen]:
    """Return a simulator whose clock stands still."""
    with Frozen() as running:
        yield running


def prepared(experiment: lw.Experiment, **values: Any) -> Row:
    """Put a row on disk that nobody sends."""
    request = lw.Ray2Request(prompt="A waiting cat")
    where = {"experiment": experiment.name, "base_url": experiment.client.name, **values}
    return experiment.log.prepare(request, **where)[0]


def sql(log: lw.ExperimentLog, statement: str, *values: Any) -> None:
    """Change the log's file without the package."""
    with closing(sqlite3.connect(str(log.path))) as connection, connection:
        connection.execute(statement, values)


def spoil(log: lw.ExperimentLog) -> Callable[[], None]:
    """Make the log read-only; return what undoes it."""
    engine = log._database._engine

    def read_only(connection: Any, *_: Any) -> None:
        connection.execute("PRAGMA query_only=1")

    event.listen(engine, "connect", read_only)
    engine.dispose()

    def undo() -> None:
        event.remove(engine, "connect", read_only)
        engine.dispose()

    return undo


# From a request to its files ---------------------------------------------------------------


def test_a_request_becomes_a_file(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """Submit returns at once; wait returns with a whole MP4 beside the log, named by its task."""
    experiment = make_experiment()
    submission = experiment.submit(cat)
    assert submission.state in {"prepared", "sending", "processing"}
    assert submission.wait(60) is submission
    (file,) = submission.files
    assert file == experiment.folder / f"{submission.task_id}-0.mp4"
    assert file.parent.parent == experiment.log.path.parent if experiment.log.path else False
    with file.open("rb") as content:
        assert content.read(12)[4:8] == b"ftyp"
        content.seek(0)
        assert is_whole(content, file.stat().st_size)
    assert (submission.state, submission.error) == ("stored", None)
    assert submission.request == cat
    (created,) = simulator.creates
    assert (created.task_id, created.payload) == (submission.task_id, cat.payload())
    assert list(experiment.folder.iterdir()) == [file]
    assert experiment.notice == ""


def test_what_is_seen_of_it(make_experiment: MakeExperiment, cat: lw.Ray2Request) -> None:
    """Rows, DataFrame, repr and submissions show the same row, with times and the service."""
    experiment = make_experiment()
    submission = experiment.submit(cat).wait(60)
    (row,) = experiment.rows()
    assert row == submission.row == experiment.row(submission.id)
    assert row["files"] == [str(submission.files[0])]
    assert (row["base_url"], row["experiment"]) == ("simulator", "cats")
    assert row["estimated_time"] == 1
    assert 0 < row["elapsed"] < 60
    assert list(experiment.df["id"]) == [row["id"]] == [s.id for s in experiment.submissions()]
    assert experiment.get(row["id"]).files == submission.files
    assert "stored" in repr(submission)
    assert "simulator" in repr(experiment)
    assert experiment.simulated
    assert experiment.banner.startswith("Simulator")
    with pytest.raises(lw.LogError):
        experiment.get("no")


def test_revisions_are_announced(make_experiment: MakeExperiment, cat: lw.Ray2Request) -> None:
    """Observers hear of every change, the revision only grows, and rows(since=) catches up."""
    experiment = make_experiment()
    heard: list[int] = []
    states: list[str] = []
    seen = [0]

    def on_change(change: Any) -> None:
        heard.append(change.new)
        for row in experiment.rows(since=seen[0]):
            seen[0] = max(seen[0], row["revision"])
            states.append(row["state"])

    experiment.observe(on_change, "revision")
    experiment.submit(cat).wait(60)
    until(lambda: states and states[-1] == "stored")
    assert heard == sorted(set(heard))
    order = ["prepared", "sending", "processing", "completed", "stored"]
    assert [state for state in order if state in states] == order
    assert experiment.revision == experiment.log.revision()


# Paid once ---------------------------------------------------------------------------------


def test_A10_run_all_again_pays_nothing(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """The same cell, in the same and in a new session, returns the row that is there."""
    first = make_experiment()
    done = first.submit(cat).wait(60)
    assert first.submit(cat).id == done.id
    first.close()
    again = make_experiment().submit(cat)
    assert again.id == done.id
    assert again.wait(1).files == done.files
    assert len(simulator.creates) == 1


def test_A10_a_double_click_pays_once(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """32 calls at once from two experiments on one log reach the service once."""
    experiments = [make_experiment(), make_experiment()]
    barrier, ids = threading.Barrier(32), []

    def click(number: int) -> None:
        barrier.wait(60)
        ids.append(experiments[number % 2].submit(cat).id)

    threads = [threading.Thread(target=click, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(set(ids)) == 1
    assert len(ids) == 32
    experiments[0].get(ids[0]).wait(60)
    assert simulator.requests["create"] == len(simulator.creates) == 1


def test_another_take_pays_once_more(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """``take=1`` is another video, again only once; it is another clip."""
    experiment = make_experiment()
    takes = [experiment.submit(cat), experiment.submit(cat, take=1), experiment.submit(cat, take=1)]
    for submission in takes:
        submission.wait(60)
    assert len({submission.id for submission in takes}) == 2
    assert len(simulator.creates) == 2
    assert takes[0].files != takes[1].files


def test_A10_code_can_ask_for_confirmation(
    make_experiment: MakeExperiment, frozen: Frozen, cat: lw.Ray2Request
) -> None:
    """With confirmed=False an open request is not sent again, whichever experiment it is of."""
    cats = make_experiment(client=frozen.client())
    dogs = make_experiment("dogs", client=frozen.client())
    first = cats.submit(cat, confirmed=False)
    assert cats.submit(cat, confirmed=False).id == first.id
    with pytest.raises(lw.ConfirmationNeededError, match="confirmed=True"):
        cats.submit(cat, take=1, confirmed=False)
    with pytest.raises(lw.ConfirmationNeededError, match=first.id):
        dogs.submit(cat, confirmed=False)
    assert [row["id"] for row in dogs.open_with(cat)] == [first.id]
    assert dogs.open_with(cat.copy(duration=9)) == []
    assert cats.count_new(cat, [0, 1, 2]) == 2
    assert cats.submit(cat, take=1, confirmed=True).id != first.id
    until(lambda: len(frozen.creates) == 2)


def test_A14_an_incomplete_request_is_not_sent(
    make_experiment: MakeExperiment, simulator: lw.Simulator
) -> None:
    """It is refused with its problems; there is no row, and the service hears nothing."""
    experiment = make_experiment()
    with pytest.raises(lw.RequestError, match="prompt"):
        experiment.submit(lw.Ray2Request(prompt=" "))
    with pytest.raises(lw.RequestError, match="end_image"):
        experiment.submit(lw.Ray2Request(prompt="x", end_image="https://a.b/c.png"))
    assert experiment.rows() == []
    assert simulator.requests["create"] == 0


def test_A14_a_row_that_cannot_be_sent_is_not_unknown(
    make_experiment: MakeExperiment, simulator: lw.Simulator
) -> None:
    """A row that was damaged before it was sent says that nothing was sent."""
    experiment = make_experiment()
    row = prepared(experiment)
    sql(experiment.log, "UPDATE submissions SET duration = 7")
    experiment._runner._sender.start(row["id"])
    with pytest.raises(lw.NotSentError, match="duration"):
        experiment.get(row["id"]).wait(60)
    assert simulator.requests["create"] == 0


def test_an_edited_request_does_not_change_what_was_submitted(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """The row keeps the options of the moment of submission."""
    experiment = make_experiment()
    submission = experiment.submit(cat)
    cat.prompt = "A dog"
    submission.wait(60)
    assert simulator.creates[0].payload["prompt"] == "A cat walking in the garden"


# Refused, failed, unknown ------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        ("failed", "failed", lw.TaskFailedError, 1),
        ("reject:No dragons here", "rejected", lw.RejectedError, 0),
        ("no_credits", "rejected", lw.InsufficientCreditsError, 0),
        ("bad_key", "rejected", lw.AuthenticationError, 0),
    ],
)
def test_outcomes_that_the_service_reports(
    make_experiment: MakeExperiment,
    simulator: lw.Simulator,
    cat: lw.Ray2Request,
    case: tuple[str, str, type[lw.LumaError], int],
) -> None:
    """Each ends in its state, and wait raises the row's own error with the service's words."""
    outcome, state, error, paid = case
    simulator.fail_next(outcome)
    submission = make_experiment().submit(cat)
    with pytest.raises(error) as caught:
        submission.wait(60)
    assert type(caught.value) is error
    assert submission.state == state
    assert submission.error == str(caught.value)
    assert outcome.removeprefix("reject:") in str(caught.value) or ":" not in outcome
    assert len(simulator.creates) == paid


@pytest.mark.parametrize("fault", ["hang_up", "reset", "truncated", "garbage", "500", "502"])
def test_A1_A3_what_may_have_arrived_is_never_sent_again(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request, fault: str
) -> None:
    """The row is unknown, says so in plain words, and stays so when everything is run again."""
    simulator.inject(fault)
    experiment = make_experiment()
    submission = experiment.submit(cat)
    with pytest.raises(lw.OutcomeUnknownError, match="may have started and been charged"):
        submission.wait(60)
    assert submission.state == "unknown"
    assert experiment.submit(cat).id == submission.id
    experiment.close()
    with pytest.raises(lw.OutcomeUnknownError):
        make_experiment().submit(cat).wait(60)
    assert simulator.requests["create"] == 1


@pytest.mark.parametrize("value", ["99999999", "-5", "1.5", "nan", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_A5_a_429_is_not_sent_again_by_itself(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request, value: str
) -> None:
    """Whatever Retry-After says, one request is made; submitting again is the user's step."""
    simulator.inject("429", retry_after=value)
    experiment = make_experiment(measure=False)
    with pytest.raises(lw.RateLimitedError, match="429"):
        experiment.submit(cat).wait(60)
    assert simulator.requests["create"] == 1
    assert experiment.submit(cat).wait(60).state == "stored"
    assert simulator.requests["create"] == 2
    assert len(simulator.creates) == 1


def test_A4_a_refused_connection_is_tried_three_times(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """Nothing was sent, and the row says so; when the service is back, the same row is sent."""
    experiment = make_experiment(measure=False)
    port = int(simulator.url.rpartition(":")[2])
    simulator.close()
    submission = experiment.submit(cat)
    with pytest.raises(lw.NotSentError, match="Nothing was sent"):
        submission.wait(60)
    assert (submission.state, submission.row["attempts"]) == ("not_sent", 3)
    back = lw.Simulator(speed=60, estimated_time=6, spread=0, port=port, api_key=simulator.api_key)
    with back:
        again = experiment.submit(cat)
        assert again.id == submission.id
        assert again.wait(60).row["attempts"] == 1
        assert len(back.creates) == 1


def test_A11_a_row_that_was_taken_away_is_not_sent(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """Between the claim and the first byte the row is read again; if it moved, nothing leaves."""
    experiment = make_experiment(measure=False)
    send = experiment.client.create_task
    looked = threading.Event()

    def create_task(request: lw.Ray2Request, **options: Any) -> lw.Task:
        check = options.pop("before_send")

        def before_send() -> None:
            sql(experiment.log, "UPDATE submissions SET state = 'unknown'")
            try:
                check()
            finally:
                looked.set()

        return send(request, before_send=before_send, **options)

    experiment.client.create_task = create_task  # type: ignore[method-assign]
    submission = experiment.submit(cat)
    assert looked.wait(60)
    until(lambda: not experiment._runner._sender.busy)
    assert submission.state == "unknown"
    assert simulator.requests["create"] == 0


def test_D1_the_claim_is_on_disk_before_the_first_byte(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """When the request is about to leave, another program reads the row as sending."""
    experiment = make_experiment(measure=False)
    send = experiment.client.create_task
    found: list[tuple[Any, int]] = []

    def create_task(request: lw.Ray2Request, **options: Any) -> lw.Task:
        check = options.pop("before_send")

        def before_send() -> None:
            with closing(sqlite3.connect(str(experiment.log.path))) as other:
                row = other.execute("SELECT state, attempts, prompt FROM submissions").fetchone()
            found.append((row, simulator.requests["create"]))
            check()

        return send(request, before_send=before_send, **options)

    experiment.client.create_task = create_task  # type: ignore[method-assign]
    experiment.submit(cat).wait(60)
    assert found == [(("sending", 1, cat.prompt), 0)]


# The log in trouble ------------------------------------------------------------------------


def test_A8_without_a_log_nothing_is_sent(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """A log that takes no row refuses the submission before anything is paid for."""
    experiment = make_experiment()
    undo = spoil(experiment.log)
    with pytest.raises(lw.LogError, match="cannot be written"):
        experiment.submit(cat)
    undo()
    assert simulator.requests["create"] == 0
    assert experiment.rows() == []


def test_A8_a_log_that_fails_at_the_claim_stops_the_request(
    make_experiment: MakeExperiment, simulator: lw.Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent, the notice says why, and the row says so as soon as it can be written."""
    monkeypatch.setattr(context, "_RETRY_SECONDS", 0.05)
    experiment = make_experiment(measure=False)
    row = prepared(experiment)
    undo = spoil(experiment.log)
    experiment._runner._sender.start(row["id"])
    until(lambda: "cannot be written" in experiment.notice)
    assert experiment.log.get(row["id"])["state"] == "prepared"
    undo()
    with pytest.raises(lw.NotSentError):
        experiment.get(row["id"]).wait(60)
    until(lambda: experiment.notice == "")
    assert simulator.requests["create"] == 0


def full_on_receipt(experiment: lw.Experiment) -> list[Callable[[], None]]:
    """Make the log read-only at the moment the service has accepted a task."""
    send, undo = experiment.client.create_task, []

    def create_task(*args: Any, **options: Any) -> lw.Task:
        task = send(*args, **options)
        undo.append(spoil(experiment.log))
        return task

    experiment.client.create_task = create_task  # type: ignore[method-assign]
    return undo


def test_A9_a_task_id_that_the_log_cannot_take_is_shown_kept_and_written_later(
    make_experiment: MakeExperiment,
    simulator: lw.Simulator,
    cat: lw.Ray2Request,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The notice shows it, a file keeps it, and when the disk has room the task is followed."""
    monkeypatch.setattr(context, "_RETRY_SECONDS", 0.05)
    experiment = make_experiment(measure=False)
    undo = full_on_receipt(experiment)
    submission = experiment.submit(cat)
    until(lambda: "accepted" in experiment.notice)
    (created,) = simulator.creates
    assert created.task_id in experiment.notice
    (answer,) = experiment._runner._context.spill.answers()
    assert (answer["id"], answer["task_id"]) == (submission.id, created.task_id)
    assert submission.state == "sending"
    undo[0]()
    assert submission.wait(60).task_id == created.task_id
    until(lambda: experiment.notice == "")
    assert len(simulator.creates) == 1


def test_A9_a_kept_task_id_survives_the_end_of_the_program(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """The next session puts it into the log and follows the task; nothing is paid again."""
    experiment = make_experiment(measure=False)
    undo = full_on_receipt(experiment)
    submission = experiment.submit(cat)
    until(lambda: "accepted" in experiment.notice)
    experiment.close()
    undo[0]()
    sql(experiment.log, "UPDATE owners SET started = 'gone'")
    again = make_experiment().submit(cat)
    assert again.id == submission.id
    assert again.wait(60).task_id == simulator.creates[0].task_id
    assert len(simulator.creates) == 1


def test_A9_an_answer_for_a_row_that_was_given_up_is_not_lost(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """When a person has marked the row as not created, a late task id is shown and kept."""
    experiment = make_experiment(measure=False)
    send = experiment.client.create_task

    def create_task(*args: Any, **options: Any) -> lw.Task:
        task = send(*args, **options)
        sql(experiment.log, "UPDATE submissions SET state = 'abandoned'")
        return task

    experiment.client.create_task = create_task  # type: ignore[method-assign]
    experiment.submit(cat)
    until(lambda: experiment.notice)
    (created,) = simulator.creates
    assert created.task_id in experiment.notice
    assert experiment._runner._context.spill.answers()[0]["task_id"] == created.task_id


def test_E2_an_observer_that_fails_stops_nothing(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """A widget's error is shown in the notice; the paid task is followed to its file."""
    experiment = make_experiment()

    def fail(change: Any) -> None:
        raise LookupError(f"no context for {change.name}")

    experiment.observe(fail, "revision")
    assert experiment.submit(cat).wait(60).files
    assert "LookupError: no context" in experiment.notice
    experiment.observe(fail, "notice")
    assert experiment.submit(cat, take=1).wait(60).files
    assert len(simulator.creates) == 2


# Following ---------------------------------------------------------------------------------


def test_E1_a_new_session_resumes(
    make_experiment: MakeExperiment, frozen: Frozen, cat: lw.Ray2Request
) -> None:
    """A task that was left running is followed to its file, and never created again."""
    first = make_experiment(client=frozen.client())
    submission = first.submit(cat)
    until(lambda: submission.state == "processing")
    first.close()
    frozen.later()
    second = make_experiment(client=frozen.client())
    assert second.get(submission.id).wait(60).files[0].exists()
    assert frozen.requests["create"] == 1
    assert second.resume() == 0


def test_E1_resuming_has_no_way_to_create(
    make_experiment: MakeExperiment, simulator: lw.Simulator
) -> None:
    """Rows of a dead session in every state are settled or polled; the create call stays unused."""
    experiment = make_experiment(measure=False)
    for take, state in enumerate(State):
        row = prepared(experiment, take=take)
        sql(experiment.log, "UPDATE submissions SET state = ? WHERE id = ?", state, row["id"])
    sql(
        experiment.log,
        "UPDATE submissions SET task_id = 'gone' WHERE state IN "
        "('processing', 'stalled', 'completed')",
    )
    sql(experiment.log, "UPDATE owners SET started = 'gone'")
    experiment.close()
    second = make_experiment(measure=False)
    second.resume()
    until(lambda: simulator.requests["get"] >= 2)
    states = [row["state"] for row in second.rows()]
    assert states.count("abandoned") == 2
    assert states.count("unknown") == 2
    assert "sending" not in states
    assert "prepared" not in states
    assert simulator.requests["create"] == 0


def test_rows_of_another_service_are_left_alone(
    make_experiment: MakeExperiment, simulator: lw.Simulator
) -> None:
    """No task id goes to another host; the notice says which service the tasks belong to."""
    experiment = make_experiment()
    prepared(experiment, base_url="https://api.pixwith.ai")
    sql(experiment.log, "UPDATE submissions SET state = 'processing', task_id = 'secret'")
    experiment.close()
    second = make_experiment()
    assert second.resume() == 0
    assert "1 unfinished task belongs to https://api.pixwith.ai" in second.notice
    assert second._runner.following == 0
    assert simulator.requests["get"] == 0


def test_E3_a_task_that_never_ends_is_stalled_and_can_be_resumed(
    make_experiment: MakeExperiment, frozen: Frozen, cat: lw.Ray2Request
) -> None:
    """Overdue is not failed: the row is stalled, is asked for on, and ends when the task does."""
    experiment = make_experiment(client=frozen.client())
    experiment._runner._watcher._pace = QUICK
    submission = experiment.submit(cat)
    until(lambda: submission.state == "stalled")
    with pytest.raises(TimeoutError, match="still stalled"):
        submission.wait(0.1)
    asked = frozen.requests["get"]
    until(lambda: frozen.requests["get"] > asked + 2)
    experiment.close()
    second = make_experiment(client=frozen.client())
    assert second.get(submission.id).state == "stalled"
    frozen.later()
    assert second.get(submission.id).wait(60).state == "stored"
    assert len(frozen.creates) == 1


def test_E3_a_task_that_cannot_be_asked_for_is_stalled_too(
    make_experiment: MakeExperiment, frozen: Frozen, cat: lw.Ray2Request
) -> None:
    """A service that only answers with errors does not leave a row in progress for ever."""
    experiment = make_experiment(client=frozen.client())
    experiment._runner._watcher._pace = QUICK
    submission = experiment.submit(cat)
    until(lambda: submission.task_id)
    frozen._state._db.execute("UPDATE tasks SET task_id = 'lost'")  # type: ignore[union-attr]
    until(lambda: submission.state == "stalled")
    assert "cannot be asked for" in experiment.notice


def test_C10_an_unknown_status_counts_as_running_and_is_said(
    make_experiment: MakeExperiment, frozen: Frozen, cat: lw.Ray2Request
) -> None:
    """The notice names the status; when the service reports a known one again, it is gone."""
    frozen.fail_next("unknown_status")
    experiment = make_experiment(client=frozen.client())
    submission = experiment.submit(cat)
    until(lambda: "unknown status 4" in experiment.notice)
    assert submission.state == "processing"
    frozen.later()
    assert submission.wait(60).files
    assert experiment.notice == ""


def test_an_outage_of_the_free_calls_is_said_and_over_when_it_is_over(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """Errors of task/get are shown, retried, and forgotten when an answer comes."""
    simulator.inject("500", times=6, path="get")
    experiment = make_experiment(measure=False)
    notices: list[str] = []
    experiment.observe(lambda change: notices.append(change.new), "notice")
    assert experiment.submit(cat).wait(120).files
    assert any("cannot be asked for" in notice for notice in notices)
    assert experiment.notice == ""
    assert len(simulator.creates) == 1


def test_C7_an_expired_address_is_refreshed(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """A result whose address has expired is fetched from a fresh one, without a new task."""
    simulator.fail_next("expired_url")
    submission = make_experiment().submit(cat).wait(60)
    assert submission.files[0].stat().st_size > 1000
    assert simulator.requests["create"] == 1
    assert simulator.requests["get"] == 2


def test_results_that_cannot_be_saved_stay_completed(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """The row says why and keeps its task; when the folder is free, resume fetches the file."""
    experiment = make_experiment()
    experiment.folder.write_text("in the way")
    submission = experiment.submit(cat)
    until(lambda: submission.error)
    assert submission.state == "completed"
    assert submission.row["result_urls"]
    experiment.folder.unlink()
    experiment.resume()
    assert submission.wait(60).files[0].exists()
    assert submission.error is None
    assert len(simulator.creates) == 1


OTHER = """
import sys
import luma_widgets as lw
log = lw.ExperimentLog(sys.argv[1])
for take, prompt in enumerate(["A cat that waits", "A cat on its way"]):
    row, _ = log.prepare(lw.Ray2Request(prompt=prompt), experiment="cats", base_url="simulator")
log.begin_sending(row["id"])
print("ready", flush=True)
sys.stdin.readline()
"""


def test_A11_submitting_what_a_dead_program_had_prepared(
    make_experiment: MakeExperiment, simulator: lw.Simulator
) -> None:
    """A row that nobody sends any more is sent now; one that was on its way is unknown."""
    experiment = make_experiment(measure=False)
    waiting, leaving = (
        lw.Ray2Request(prompt=words) for words in ("A cat that waits", "A cat on its way")
    )
    child = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(experiment.log.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    assert child.stdout.readline() == "ready\n"
    assert experiment.submit(waiting).state == "prepared"
    assert experiment.submit(leaving).state == "sending"
    child.kill()
    child.communicate()
    assert experiment.submit(waiting).wait(60).files
    with pytest.raises(lw.OutcomeUnknownError):
        experiment.submit(leaving).wait(60)
    assert simulator.requests["create"] == 1


# Secrets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["", "garbage", "500", "hang_up", "reject", "get"])
def test_B7_the_key_is_in_nothing_that_is_written(
    make_experiment: MakeExperiment, simulator: lw.Simulator, tmp_path: Path, trouble: str
) -> None:
    """Neither log, files, rows, DataFrame, notice nor error hold the key, even if a server does."""
    key = simulator.api_key
    if trouble == "reject":
        simulator.fail_next(f"reject:Nobody may use {key} here")
    elif trouble == "get":
        simulator.inject("502", times=4, path="get")
    elif trouble:
        simulator.inject(trouble)
    experiment = make_experiment()
    notices: list[str] = []
    experiment.observe(lambda change: notices.append(change.new), "notice")
    submission = experiment.submit(lw.Ray2Request(prompt="A cat"))
    failure = ""
    try:
        submission.wait(60)
    except lw.LumaError as error:
        failure = f"{error} {vars(error)}"
    shown = [str(experiment.rows()), experiment.df.to_csv(), failure, *notices, repr(experiment)]
    assert not [text for text in shown if key in text]
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) >= 3
    assert not [path for path in written if key.encode() in path.read_bytes()]


def test_waiting_for_files_that_cannot_be_fetched_has_an_end(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """After several tries wait says what is wrong; the video stays completed and can be resumed."""
    experiment = make_experiment()
    experiment._runner._watcher._pace = Pace(shortest=0.05, longest=0.01)
    experiment.folder.write_text("in the way")
    submission = experiment.submit(cat)
    with pytest.raises(lw.MediaError, match=experiment.folder.name):
        submission.wait(60)
    assert submission.state == "completed"
    assert submission.task_id
    assert submission.task_id in experiment.notice
    experiment.folder.unlink()
    experiment.resume()
    assert submission.wait(60).files[0].exists()
    assert len(simulator.creates) == 1


# Waiting, cancelling, closing --------------------------------------------------------------


def test_A7_interrupting_wait_changes_nothing(
    make_experiment: MakeExperiment, frozen: Frozen, cat: lw.Ray2Request
) -> None:
    """Ctrl+C in a waiting cell leaves row and background work as they are."""
    experiment = make_experiment(client=frozen.client())
    submission = experiment.submit(cat)
    until(lambda: submission.state == "processing")
    before = submission.row
    timer = threading.Timer(0.2, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        submission.wait(60)
    timer.join()
    assert submission.row == before
    frozen.later()
    assert submission.wait(60).files


def test_waiting_has_an_end(
    make_experiment: MakeExperiment, frozen: Frozen, cat: lw.Ray2Request
) -> None:
    """After its timeout wait says how things stand, and the submission goes on."""
    submission = make_experiment(client=frozen.client()).submit(cat)
    for timeout in (0, 0.1):
        with pytest.raises(TimeoutError, match="It goes on"):
            submission.wait(timeout)
    frozen.later()
    assert submission.wait(60).state == "stored"


def test_cancelling_before_it_is_sent(
    make_experiment: MakeExperiment, simulator: lw.Simulator
) -> None:
    """A row that waits can be taken back, once; it was never paid for and can be sent later."""
    experiment = make_experiment()
    submission = experiment.get(prepared(experiment)["id"])
    assert submission.cancel()
    assert not submission.cancel()
    with pytest.raises(lw.NotSentError, match="nothing was charged"):
        submission.wait(1)
    experiment._runner._sender.send(submission.id)
    assert simulator.requests["create"] == 0
    again = experiment.submit(submission.request)
    assert again.id == submission.id
    assert again.wait(60).files


def test_cancelling_after_it_was_sent(
    make_experiment: MakeExperiment, frozen: Frozen, cat: lw.Ray2Request
) -> None:
    """A task that runs cannot be cancelled, and nothing pretends that it can."""
    submission = make_experiment(client=frozen.client()).submit(cat)
    until(lambda: submission.state == "processing")
    assert not submission.cancel()
    assert submission.state == "processing"


def test_closing_waits_for_what_is_being_sent(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """A block that only submits still gets its answers: every row has its task."""
    experiment = make_experiment(measure=False)
    for take in range(8):
        experiment.submit(cat, take=take)
    experiment.close(timeout=60)
    log = lw.ExperimentLog(experiment.log.path or "")
    assert {row["task_id"] for row in log.rows()} == {c.task_id for c in simulator.creates}
    assert len(simulator.creates) == 8
    log.close()


def test_closing_sends_nothing_more(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """What waits is given up, what hangs is unknown, and no request leaves after close."""
    simulator.inject("delay", times=20, seconds=3)
    experiment = make_experiment(measure=False)
    for take in range(10):
        experiment.submit(cat, take=take)
    until(lambda: len(experiment._runner._sender._busy) == 4)
    until(lambda: simulator.requests["create"] == 4)
    experiment.close(timeout=0.1)
    log = lw.ExperimentLog(experiment.log.path or "")
    states = [row["state"] for row in log.rows()]
    assert states.count("abandoned") == 6
    assert states.count("unknown") == 4
    with pytest.raises(lw.LogError, match="closed"):
        experiment.submit(cat, take="late")
    # The answers come late, and are still taken.
    until(lambda: [row["state"] for row in log.rows()].count("processing") == 4)
    assert simulator.requests["create"] == 4
    log.close()


def test_closing_twice_and_leaving_no_threads(
    make_experiment: MakeExperiment, cat: lw.Ray2Request
) -> None:
    """After close, none of the experiment's threads is left."""
    before = set(threading.enumerate())
    with make_experiment() as experiment:
        experiment.submit(cat).wait(60)
    experiment.close()
    names = ("luma-send", "luma-poll", "luma-fetch")
    until(lambda: not [t for t in set(threading.enumerate()) - before if t.name.startswith(names)])


RUNNING = """
import sys
import luma_widgets as lw
client = lw.PixwithClient(sys.argv[1], base_url=sys.argv[2], name="simulator")
experiment = lw.Experiment("cats", client=client, log=sys.argv[3])
submission = experiment.submit(lw.Ray2Request(prompt="A cat"))
while submission.state != "processing":
    experiment.wait_for_change()
hanging = experiment.submit(lw.Ray2Request(prompt="A dog"))
while hanging.state != "sending":
    experiment.wait_for_change(0.01)
print("end", flush=True)
"""


def test_E2_a_script_ends_while_tasks_run(frozen: Frozen, tmp_path: Path) -> None:
    """A running task and a hanging request do not hold the end of a script up, nor make noise."""
    frozen.inject("delay", seconds=0)
    frozen.inject("delay", seconds=30)
    times = []
    command = [sys.executable, "-W", "error", "-c", RUNNING, frozen.api_key, frozen.url]
    for attempt in range(3):
        log = tmp_path / f"{attempt}.sqlite"
        child = subprocess.Popen(
            [*command, str(log)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert child.stdout
        assert child.stdout.readline() == "end\n"
        start = time.monotonic()
        _, complaint = child.communicate(timeout=60)
        times.append(time.monotonic() - start)
        assert (child.returncode, complaint) == (0, "")
        if times[-1] < 1:
            break
        frozen.inject("delay", seconds=0)
        frozen.inject("delay", seconds=30)
    assert min(times) < 1


def test_a_thousand_tasks_run_in_ten_threads(
    make_experiment: MakeExperiment, frozen: Frozen, cat: lw.Ray2Request
) -> None:
    """Every task is asked for, in at most ten threads of the experiment."""
    first = make_experiment(client=frozen.client(), measure=False)
    submission = first.submit(cat)
    until(lambda: submission.state == "processing")
    first.close()
    columns = [c for c in first.log.rows()[0] if c not in ("seq", "id", "intent_key", "elapsed")]
    names = ", ".join(columns)
    sql(
        first.log,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999) "  # noqa: S608
        f"INSERT INTO submissions (id, intent_key, {names}) "
        f"SELECT 'row' || i, 'key' || i, {names} FROM n, submissions",
    )
    first.log.close()
    before = frozen.requests["get"]
    second = make_experiment(client=frozen.client(), measure=False)
    most = 0
    for take in range(5):
        second.submit(cat, take=f"more {take}")

    def asked() -> bool:
        nonlocal most
        own = [t for t in threading.enumerate() if t.name.startswith("luma-")]
        most = max(most, sum(t.name != "luma-simulator" for t in own))
        return frozen.requests["get"] - before >= 1000

    until(asked, timeout=100)
    assert 1 <= most <= 10
    assert second._runner.following >= 1000
    assert len(frozen.creates) == 6


def test_rows_of_another_experiment_on_the_same_log_are_noticed(
    make_experiment: MakeExperiment, cat: lw.Ray2Request
) -> None:
    """What a second experiment, or another program, writes reaches the first one's observers."""
    first, second = make_experiment(), make_experiment()
    seen: list[int] = []
    first.observe(lambda change: seen.append(change["new"]), "revision")
    submission = second.submit(cat)
    submission.wait(30)
    until(lambda: seen and seen[-1] >= submission.row["revision"])
    assert first.rows()[-1]["state"] == "stored"


# Learning ----------------------------------------------------------------------------------


def test_a_price_is_measured_from_a_task_that_runs_alone(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """The balance before and after gives the price of the setting; the preflight tells it."""
    experiment = make_experiment()
    assert "price unknown" in str(experiment.preflight(cat))
    row = experiment.submit(cat).wait(60).row
    assert (row["credits_before"], row["credits_after"]) == (10_000, 9_970)
    ahead = experiment.preflight(cat, videos=4)
    assert str(ahead).endswith("balance 9,970, price measured 30 each")
    assert experiment.preflight(cat.copy(duration=9)).price is None
    assert simulator.requests["create"] == 1


def test_no_price_from_tasks_that_run_together(
    make_experiment: MakeExperiment, cat: lw.Ray2Request
) -> None:
    """A difference that may belong to several tasks is not called a price."""
    experiment = make_experiment()
    submissions = [experiment.submit(cat, take=take) for take in range(3)]
    for submission in submissions:
        submission.wait(60)
    assert experiment.preflight(cat).price in (None, 30)
    assert all(
        s.row["credits_after"] is None or s.row["credits_before"] - s.row["credits_after"] == 30
        for s in submissions
    )


def test_without_measure_the_balance_is_not_read(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> None:
    """``measure=False`` makes no call for the balance."""
    row = make_experiment(measure=False).submit(cat).wait(60).row
    assert row["credits_before"] is row["credits_after"] is None
    assert simulator.requests["get_credits"] == 0


def test_estimates_come_from_experience(
    make_experiment: MakeExperiment, cat: lw.Ray2Request
) -> None:
    """First the service's word, after three videos their median."""
    experiment = make_experiment(measure=False)
    assert experiment.estimate(cat) is None
    takes = [experiment.submit(cat, take=take) for take in range(3)]
    assert experiment.estimate({**takes[0].row, "estimated_time": 42}) == 42
    for submission in takes:
        submission.wait(60)
    learned = experiment.estimate(cat)
    assert learned == sorted(s.row["elapsed"] for s in takes)[1]
    assert experiment.estimate({**takes[0].row, "estimated_time": 42}) == learned


# Opening -----------------------------------------------------------------------------------


def test_without_a_key_the_simulator_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default log is luma.sqlite in the working folder, results beside it, and it says so."""
    monkeypatch.chdir(tmp_path)
    with lw.Experiment() as experiment:
        assert experiment.simulated
        assert experiment.log.path == tmp_path / "luma.sqlite"
        assert experiment.folder == tmp_path / "luma-files"
        assert not experiment.folder.exists()
        assert "nothing is sent or paid" in experiment.banner
        assert experiment.client.get_credits() == 10_000


def test_with_a_key_the_service_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's key leads to the service, unless this is Binder; nothing is called."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIXWITH_API_KEY", f"key_{'0' * 32}")
    with lw.Experiment() as experiment:
        assert not experiment.simulated
        assert experiment.banner.startswith("Service: https://api.pixwith.ai")
    monkeypatch.setenv("BINDER_SERVICE_HOST", "x")
    with lw.Experiment() as experiment:
        assert experiment.simulated


@pytest.mark.parametrize("name", ["", "  ", None, 5, "a\x00b", "a\ud800"])
def test_a_name_must_be_a_name(make_experiment: MakeExperiment, name: Any) -> None:
    """An experiment without a printable name is refused before a log is opened."""
    with pytest.raises(lw.ConfigurationError, match="name"):
        make_experiment(name)


def test_a_log_can_be_shared(
    make_experiment: MakeExperiment, log: lw.ExperimentLog, cat: lw.Ray2Request
) -> None:
    """Two experiments on one open log see their own rows; closing them leaves the log open."""
    cats, dogs = make_experiment(log=log), make_experiment("dogs", log=log)
    one, two = cats.submit(cat), dogs.submit(cat)
    assert one.id != two.id
    one.wait(60)
    two.wait(60)
    assert [len(cats.df), len(dogs.df), len(log.df)] == [1, 1, 2]
    cats.close()
    dogs.close()
    assert len(log.df) == 2


def test_an_image_is_uploaded_once(
    make_experiment: MakeExperiment, simulator: lw.Simulator
) -> None:
    """The same bytes keep their address, also in a later session: the intent stays the same."""
    from PIL import Image

    experiment = make_experiment()
    picture = Image.new("RGB", (64, 36), "teal")
    first = experiment.upload(picture)
    assert experiment.upload(picture) == first
    experiment.close()
    assert make_experiment().upload(picture) == first
    assert simulator.requests["pre_url"] == 1
