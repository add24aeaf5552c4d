from __future__ import annotations

import pytest

import luma_widgets as lw

from .conftest import MakeExperiment, until


@pytest.fixture
def doubtful(
    make_experiment: MakeExperiment, simulator: lw.Simulator, cat: lw.Ray2Request
) -> tuple[lw.Experiment, lw.Submission]:
    """Return a submission that the service accepted and charged, without an answer."""
    simulator.inject("hang_up")
    experiment = make_experiment()
    submission = experiment.submit(cat)
    with pytest.raises(lw.OutcomeUnknownError, match="may have started and been charged"):
        submission.wait(30)
    return experiment, submission


def test_the_balance_before_after_and_now(doubtful, simulator) -> None:
    """What was charged shows: the balance before it was sent, seconds after, and now."""
    experiment, submission = doubtful
    until(lambda: submission.row["credits_after"] is not None)
    doubt = experiment.check_credits(submission.id)
    assert (doubt.credits_before, doubt.credits_after) == (10_000, 9_970)
    simulator.set_credits(9_000)
    assert experiment.check_credits(submission.id).credits_now == 9_000
    assert str(doubt).startswith("Outcome unknown: this video may have started")
    assert "Balance before 10,000, after 9,970, now 9,970." in str(doubt)


def test_a_task_id_that_the_service_confirms_brings_the_video(doubtful, simulator) -> None:
    """With the id of its task the row goes on as any other; nothing is created."""
    experiment, submission = doubtful
    (created,) = simulator.creates
    same = experiment.resolve(submission.id, task_id=created.task_id)
    assert same.id == submission.id
    assert same.wait(30).files
    assert same.error is None
    assert len(simulator.creates) == 1


def test_a_task_id_that_the_service_does_not_know_changes_nothing(doubtful) -> None:
    """A mistyped id is refused with the service's words, and the row stays unknown."""
    experiment, submission = doubtful
    with pytest.raises(lw.RejectedError):
        experiment.resolve(submission.id, task_id="0" * 32)
    assert submission.state == "unknown"


@pytest.mark.parametrize("task_id", ["", " ", "a\nb", "\ud800", 5])
def test_what_is_no_task_id_is_refused(doubtful, task_id) -> None:
    """Text that cannot name a task is refused before the service is asked."""
    experiment, submission = doubtful
    with pytest.raises(lw.ConfigurationError, match="task_id"):
        experiment.resolve(submission.id, task_id=task_id)
    assert submission.state == "unknown"


def test_a_task_id_of_another_row_is_refused(doubtful, simulator, cat) -> None:
    """One task is one row: the id of a video that is in the log already is refused."""
    experiment, submission = doubtful
    other = experiment.submit(cat, take=1).wait(30)
    with pytest.raises(lw.ConfigurationError, match=other.id):
        experiment.resolve(submission.id, task_id=other.task_id)


def test_marked_as_not_created_it_can_be_submitted_again(doubtful, simulator, cat) -> None:
    """The row becomes abandoned; the same call makes the video in the same row."""
    experiment, submission = doubtful
    assert experiment.resolve(submission.id, not_created=True).state == "abandoned"
    again = experiment.submit(cat).wait(30)
    assert again.id == submission.id
    assert len(simulator.creates) == 2


def test_submitting_again_needs_a_second_word_and_makes_a_new_row(doubtful, simulator) -> None:
    """Unconfirmed it raises and sends nothing; confirmed twice, it makes one more video."""
    experiment, submission = doubtful
    with pytest.raises(lw.ConfirmationNeededError, match="confirmed=True"):
        experiment.resolve(submission.id, submit_again=True)
    assert len(simulator.creates) == 1
    new = experiment.resolve(submission.id, submit_again=True, confirmed=True)
    assert experiment.resolve(submission.id, submit_again=True, confirmed=True).id == new.id
    assert new.wait(30).row["retry_of"] == submission.id
    assert submission.state == "unknown"
    assert len(simulator.creates) == 2


@pytest.mark.parametrize(
    "ways", [{}, {"task_id": "a", "not_created": True}, {"not_created": True, "submit_again": True}]
)
def test_exactly_one_way_out_at_a_time(doubtful, ways) -> None:
    """No way, or two at once, is refused."""
    experiment, submission = doubtful
    with pytest.raises(lw.ConfigurationError, match=r"just one|exactly one"):
        experiment.resolve(submission.id, **ways)
    assert submission.state == "unknown"


def test_only_what_is_unknown_can_be_resolved(make_experiment, cat) -> None:
    """A row that is known to be stored is left alone."""
    experiment = make_experiment()
    submission = experiment.submit(cat).wait(30)
    with pytest.raises(lw.ConfigurationError, match="it is stored"):
        experiment.resolve(submission.id, not_created=True)
    with pytest.raises(lw.ConfigurationError, match="it is stored"):
        experiment.check_credits(submission.id)


def test_a_row_of_another_service_is_not_asked_about_here(doubtful, simulator, tmp_path) -> None:
    """No task id and no key goes to a service that the row does not belong to."""
    _, submission = doubtful
    client = simulator.client(name="https://other.example")
    with (
        client,
        lw.Experiment("cats", client=client, log=tmp_path / "luma.sqlite") as other,
        pytest.raises(lw.ConfigurationError, match="belongs to simulator"),
    ):
        other.resolve(submission.id, not_created=True)
