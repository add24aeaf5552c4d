"""The ledger: one row an intent, every step a compare-and-set, and revisions that grow."""

from __future__ import annotations

import itertools
import json
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import luma_widgets as lw
from luma_widgets.log import DONE, NEVER_PAID, OPEN, RUNNING, WORDS, Row, State
from luma_widgets.log.rows import intent_key
from luma_widgets.log.spill import Spill
from luma_widgets.log.states import STEPS

CAT = {"experiment": "cats", "base_url": "simulator"}


def prepared(log: lw.ExperimentLog, take: int | str = 0, **options: Any) -> Row:
    """Put a row on disk."""
    row, fresh = log.prepare(lw.Ray2Request(prompt="A cat", **options), take=take, **CAT)
    assert fresh
    return row


def put(log: lw.ExperimentLog, row_id: str, state: State) -> None:
    """Set a row's state without asking which steps are allowed."""
    with closing(sqlite3.connect(str(log.path))) as connection, connection:
        connection.execute("UPDATE submissions SET state = ? WHERE id = ?", (state.value, row_id))


# Intents -----------------------------------------------------------------------------------


def test_a_new_row_holds_the_request_and_where_it_belongs(log: lw.ExperimentLog) -> None:
    """Every option, the intent and the writer's version are on disk before anything is sent."""
    row = prepared(log, duration=9, loop=True)
    assert log.get(row["id"]) == row
    assert (row["state"], row["attempts"], row["revision"]) == ("prepared", 0, 1)
    assert (row["prompt"], row["duration"], row["loop"]) == ("A cat", 9, True)
    assert (row["experiment"], row["base_url"], row["take"]) == ("cats", "simulator", "0")
    assert row["version"] == lw.__version__
    assert row["fingerprint"] == lw.Ray2Request(prompt="A cat", duration=9, loop=True).fingerprint
    assert (row["result_urls"], row["files"], row["tags"], row["variables"]) == ([], [], [], {})
    assert row["task_id"] is row["elapsed"] is row["error"] is None


@pytest.mark.parametrize("state", sorted(set(State) - NEVER_PAID))
def test_A10_the_same_intent_is_the_same_row(log: lw.ExperimentLog, state: State) -> None:
    """Whatever has become of it, failed and unknown included, the row is returned as it is."""
    row = prepared(log)
    put(log, row["id"], state)
    again, fresh = log.prepare(lw.Ray2Request(prompt="A cat"), **CAT)
    assert (again["id"], again["state"], fresh) == (row["id"], state, False)
    assert again["revision"] == row["revision"]
    assert len(log.rows()) == 1


@pytest.mark.parametrize("state", sorted(NEVER_PAID))
def test_A10_what_was_never_paid_for_is_prepared_again(log: lw.ExperimentLog, state: State) -> None:
    """The same row goes back to prepared, without the old error, and counts as a change."""
    row = prepared(log)
    log.begin_sending(row["id"])
    log.annotate(row["id"], error="no", error_type="RejectedError", excerpt="<html>", note="mine")
    put(log, row["id"], state)
    again, fresh = log.prepare(lw.Ray2Request(prompt="A cat"), **CAT)
    assert (again["id"], again["state"], fresh) == (row["id"], "prepared", True)
    assert again["revision"] > row["revision"]
    assert again["attempts"] == 0
    assert again["error"] is again["error_type"] is again["excerpt"] is again["sent_at"] is None
    assert again["note"] == "mine"


def test_takes_experiments_and_services_are_intents_of_their_own(log: lw.ExperimentLog) -> None:
    """Another take, experiment, base URL or option is another row; 1 and "1" are the same take."""
    cat = lw.Ray2Request(prompt="A cat")
    calls = [
        (cat, {}),
        (cat, {"take": 1}),
        (cat, {"take": "a7f3"}),
        (cat, {"experiment": "dogs"}),
        (cat, {"base_url": "https://api.pixwith.ai"}),
        (cat.copy(duration=9), {}),
    ]
    for _ in range(2):
        for request, change in calls:
            log.prepare(request, **{**CAT, **change})
    log.prepare(cat, take="1", **CAT)
    assert len({row["id"] for row in log.rows()}) == len(calls)


@given(st.lists(st.tuples(st.text(), st.text(), st.text(), st.text()), min_size=2, unique=True))
def test_intent_keys_do_not_run_together(parts: list[tuple[str, str, str, str]]) -> None:
    """No two intents share a key because their parts join to the same text."""
    assert len({intent_key(*part) for part in parts}) == len(parts)


def test_an_incomplete_request_leaves_no_row(log: lw.ExperimentLog) -> None:
    """A draft is refused before the log is touched."""
    with pytest.raises(lw.RequestError):
        log.prepare(lw.Ray2Request(), **CAT)
    assert log.rows() == []


def test_a_row_keeps_its_request_when_the_object_is_edited(log: lw.ExperimentLog) -> None:
    """What was prepared is what will be sent."""
    request = lw.Ray2Request(prompt="A cat")
    row, _ = log.prepare(request, **CAT)
    request.prompt = "A dog"
    assert log.get(row["id"])["prompt"] == "A cat"


def test_A10_open_rows_of_the_same_request_are_returned_when_asked(log: lw.ExperimentLog) -> None:
    """With ``unless_open`` another take is not prepared while one is open."""
    row = prepared(log)
    again, fresh = log.prepare(lw.Ray2Request(prompt="A cat"), take=1, unless_open=OPEN, **CAT)
    assert (again["id"], fresh) == (row["id"], False)
    put(log, row["id"], State.STORED)
    again, fresh = log.prepare(lw.Ray2Request(prompt="A cat"), take=1, unless_open=OPEN, **CAT)
    assert fresh
    assert again["id"] != row["id"]


def test_extra_values_are_kept(log: lw.ExperimentLog) -> None:
    """A sweep's name and variables and the row that is tried again belong to the row."""
    row, _ = log.prepare(
        lw.Ray2Request(prompt="A cat"), sweep="s", variables={"animal": "cat"}, retry_of="x", **CAT
    )
    assert (row["sweep"], row["variables"], row["retry_of"]) == ("s", {"animal": "cat"}, "x")


def test_ids_sort_by_age(log: lw.ExperimentLog) -> None:
    """Rows come oldest first, and ids are 20 hexadecimal digits that do not repeat."""
    ids = [prepared(log, take)["id"] for take in range(30)]
    assert [row["id"] for row in log.rows()] == ids
    assert [i[:11] for i in ids] == sorted(i[:11] for i in ids)
    assert len(set(ids)) == 30
    assert all(len(i) == 20 and int(i, 16) for i in ids)


# Steps -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("here", "there"), [*itertools.product(State, State)])
def test_each_step_is_allowed_or_refused(log: lw.ExperimentLog, here: State, there: State) -> None:
    """Exactly the steps of the table happen; a refused one changes nothing at all."""
    row = prepared(log)
    put(log, row["id"], here)
    before = log.get(row["id"])
    moved = log.transition(row["id"], there, note="moved")
    after = log.get(row["id"])
    if there in STEPS.get(here, frozenset()):
        assert moved == after
        assert (after["state"], after["note"]) == (there, "moved")
        assert after["revision"] == before["revision"] + 1
    else:
        assert moved is None
        assert after == before


def test_the_table_of_steps_is_that_of_the_design() -> None:
    """What is paid for never goes back to where it could be sent again."""
    sendable = {State.QUEUED, State.PREPARED, State.SENDING}
    paid = {State.PROCESSING, State.STALLED, State.COMPLETED, State.STORED, State.FAILED}
    for state in paid:
        assert not STEPS.get(state, frozenset()) & (sendable | NEVER_PAID)
    assert not STEPS[State.UNKNOWN] & sendable
    assert State.STORED not in STEPS
    assert State.FAILED not in STEPS
    assert {s for s, steps in STEPS.items() if State.SENDING in steps} == {State.PREPARED}
    assert {s for s, steps in STEPS.items() if State.PREPARED in steps} == {
        State.QUEUED,
        State.SENDING,
        *NEVER_PAID,
    }


def test_every_state_has_a_word_and_a_place() -> None:
    """No state is forgotten by the words, or by the sets that say what goes on."""
    assert WORDS.keys() == set(State)
    assert {State.QUEUED} | OPEN | DONE == set(State)
    assert not OPEN & DONE
    assert RUNNING < OPEN


def test_since_narrows_the_states_to_start_from(log: lw.ExperimentLog) -> None:
    """A caller can say from which states its step makes sense; it can never widen the table."""
    row = prepared(log)
    assert log.transition(row["id"], State.ABANDONED, since={State.QUEUED}) is None
    assert log.transition(row["id"], State.STORED, since={State.PREPARED}) is None
    assert log.transition(row["id"], State.ABANDONED, since={State.PREPARED})


def test_an_unknown_id_changes_nothing(log: lw.ExperimentLog) -> None:
    """A row that is not there is said by None, or by a LogError when it is asked for."""
    prepared(log)
    assert log.transition("no", State.ABANDONED) is None
    assert log.annotate("no", note="x") is None
    assert not log.is_mine_to_send("no")
    assert log.begin_sending("no") is None
    with pytest.raises(lw.LogError, match="'no'"):
        log.get("no")
    assert log.revision() == 1


def test_annotations_move_nothing(log: lw.ExperimentLog) -> None:
    """Rating, note and tags can be written in any state, and count as changes."""
    row = prepared(log)
    for state in State:
        put(log, row["id"], state)
        changed = log.annotate(row["id"], rating=5, note=str(state), tags=["a", "b"])
        assert changed
        assert (changed["state"], changed["note"], changed["tags"]) == (state, state, ["a", "b"])


# Claims ------------------------------------------------------------------------------------


def test_a_claim_is_durable_and_happens_once(log: lw.ExperimentLog) -> None:
    """Claiming writes the time and the attempt; a second claim fails."""
    row = prepared(log)
    assert not log.is_mine_to_send(row["id"])
    claimed = log.begin_sending(row["id"])
    assert claimed
    assert (claimed["state"], claimed["attempts"]) == ("sending", 1)
    assert claimed["sent_at"] >= row["created_at"]
    assert log.is_mine_to_send(row["id"])
    assert log.begin_sending(row["id"]) is None
    log.transition(row["id"], State.PREPARED)
    second = log.begin_sending(row["id"])
    assert second
    assert second["attempts"] == 2


def test_A10_sixty_four_threads_claim_one_row(log: lw.ExperimentLog) -> None:
    """Exactly one of 64 concurrent claims wins."""
    row = prepared(log)
    barrier, won = threading.Barrier(64), []

    def claim() -> None:
        barrier.wait(60)
        if log.begin_sending(row["id"]):
            won.append(1)

    threads = [threading.Thread(target=claim) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(won) == 1
    assert log.get(row["id"])["attempts"] == 1


def test_A10_sixty_four_threads_prepare_one_intent(log: lw.ExperimentLog) -> None:
    """Exactly one of 64 concurrent double clicks prepares the row; the others get it back."""
    barrier, got = threading.Barrier(64), []

    def prepare() -> None:
        barrier.wait(60)
        got.append(log.prepare(lw.Ray2Request(prompt="A cat"), **CAT))

    threads = [threading.Thread(target=prepare) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(got) == 64
    assert sum(fresh for _, fresh in got) == 1
    assert len({row["id"] for row, _ in got}) == 1


CLAIM = """
import sys, threading
import luma_widgets as lw
from luma_widgets.log import State
log = lw.ExperimentLog(sys.argv[1])
sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.readline()
won = []
def claim():
    cat = lw.Ray2Request(prompt="A cat")
    row, fresh = log.prepare(cat, experiment="cats", base_url="simulator")
    if log.begin_sending(row["id"]):
        won.append(1)
threads = [threading.Thread(target=claim) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(won))
log.close()
"""


def test_A10_processes_claim_one_intent(log: lw.ExperimentLog) -> None:
    """Of 64 claims in four processes, one wins: the others do not even own the row."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM, str(log.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for child in children:
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
    wins = 0
    for child in children:
        assert child.stdin
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        out, _ = child.communicate(timeout=120)
        wins += int(out)
    assert wins == 1
    assert [row["attempts"] for row in log.rows()] == [1]


def test_only_the_owner_sends(log: lw.ExperimentLog) -> None:
    """Another opening of the log neither claims the row nor takes it for its own."""
    row = prepared(log)
    other = lw.ExperimentLog(log.path or "")
    assert other.begin_sending(row["id"]) is None
    log.begin_sending(row["id"])
    assert not other.is_mine_to_send(row["id"])
    assert log.is_mine_to_send(row["id"])
    put(log, row["id"], State.UNKNOWN)
    assert not log.is_mine_to_send(row["id"])
    other.close()


# Revisions and reading ---------------------------------------------------------------------


def test_revisions_grow_with_every_change(log: lw.ExperimentLog) -> None:
    """A view that remembers the last revision gets each change once, and nothing else."""
    assert log.revision() == 0
    first, second = prepared(log, 0), prepared(log, 1)
    assert log.revision() == 2
    assert log.rows(since=2) == []
    log.annotate(first["id"], note="x")
    assert [row["id"] for row in log.rows(since=2)] == [first["id"]]
    log.transition(second["id"], State.STORED)
    assert log.revision() == 3


def test_rows_can_be_chosen(log: lw.ExperimentLog) -> None:
    """By experiment, state, fingerprint and revision, in any combination."""
    one = prepared(log, 0)
    two = prepared(log, 1, duration=9)
    log.transition(two["id"], State.ABANDONED)
    log.prepare(lw.Ray2Request(prompt="A cat"), experiment="dogs", base_url="simulator")
    assert len(log.rows(experiment="cats")) == 2
    assert [row["id"] for row in log.rows(states={State.ABANDONED})] == [two["id"]]
    same = log.rows(fingerprint=one["fingerprint"])
    assert {row["experiment"] for row in same} == {"cats", "dogs"}
    assert log.rows(experiment="cats", states=[State.PREPARED], since=one["revision"]) == []
    assert log.rows(states=[]) == []


def test_open_rows_are_counted_by_service(log: lw.ExperimentLog) -> None:
    """The count leaves out finished rows and other services, and is never negative."""
    row = prepared(log)
    prepared(log, 1)
    log.prepare(lw.Ray2Request(prompt="A cat"), experiment="cats", base_url="https://a.b")
    assert log.count_open("simulator") == 2
    assert log.count_open("simulator", besides=1) == 1
    log.transition(row["id"], State.ABANDONED)
    assert log.count_open("simulator") == 1
    assert log.count_open("nowhere", besides=1) == 0


def stored(log: lw.ExperimentLog, take: int, seconds: float, **values: Any) -> Row:
    """Put a finished row on disk."""
    base = values.pop("base_url", "simulator")
    row, _ = log.prepare(
        lw.Ray2Request(prompt="A cat"), take=take, experiment="cats", base_url=base
    )
    log.begin_sending(row["id"])
    sent = log.get(row["id"])["sent_at"]
    log.transition(row["id"], State.PROCESSING, task_id=f"t{take}")
    log.transition(row["id"], State.COMPLETED, finished_at=sent + int(seconds * 1e6), **values)
    return log.transition(row["id"], State.STORED) or {}


def test_times_are_learned_from_the_third_video(log: lw.ExperimentLog) -> None:
    """The median of one setting on one service; another service's times do not count."""
    setting = ("simulator", "540p", 5)
    stored(log, 0, 10)
    stored(log, 1, 90)
    stored(log, 9, 1, base_url="https://a.b")
    assert log.typical_elapsed(*setting) is None
    row = stored(log, 2, 12)
    assert row["elapsed"] == 12
    assert log.typical_elapsed(*setting) == 12
    assert log.typical_elapsed("simulator", "720p", 5) is None
    assert log.typical_elapsed("simulator", "540p", 9) is None


def test_prices_are_measured_never_guessed(log: lw.ExperimentLog) -> None:
    """The last measured difference counts; a balance that grew meanwhile is no price."""
    setting = ("simulator", "540p", 5)
    assert log.measured_price(*setting) is None
    stored(log, 0, 1, credits_before=100.0, credits_after=70.0)
    stored(log, 1, 1, credits_before=100.0, credits_after=900.0)
    stored(log, 2, 1, credits_before=100.0)
    stored(log, 3, 1, base_url="https://a.b", credits_before=100.0, credits_after=1.0)
    assert log.measured_price(*setting) == 30
    assert log.measured_price("simulator", "720p", 5) is None


def test_a_task_that_was_not_alone_has_no_price(log: lw.ExperimentLog) -> None:
    """Any other task that was sent to the same service meanwhile spoils the measurement."""
    first = stored(log, 0, 1)
    assert log.was_alone(first)
    stored(log, 1, 1, base_url="https://a.b")
    assert log.was_alone(first)
    second = stored(log, 2, 1)
    assert not log.was_alone(first)
    assert log.was_alone(second)


# Text --------------------------------------------------------------------------------------

anything = st.text(st.characters(exclude_categories=[]))


@given(anything, st.lists(anything))
def test_D4_any_text_can_be_written_and_hides_nothing(words: str, tags: list[str]) -> None:
    """A service's words may hold anything; the log keeps what can be kept, and every row reads."""
    log = shared_log()
    before = len(log.rows())
    row, _ = log.prepare(lw.Ray2Request(prompt="A cat"), take=f"{before}", **CAT)
    log.annotate(row["id"], error=words, note=words, tags=tags, experiment="text")
    kept = log.get(row["id"])
    assert len(log.rows()) == len(log.df) == before + 1
    clean = words.replace("\0", "").encode("utf-8", "replace").decode()
    assert kept["error"] == kept["note"] == clean
    assert kept["tags"] == tags


_SHARED: list[lw.ExperimentLog] = []


def shared_log() -> lw.ExperimentLog:
    """Return the log of the property tests."""
    return _SHARED[0]


@pytest.fixture(autouse=True, scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    _SHARED.append(lw.ExperimentLog(tmp_path_factory.mktemp("log") / "luma.sqlite"))
    yield
    _SHARED.pop().close()


prompts = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\n"))


@given(prompts.filter(str.strip))
def test_D4_every_prompt_comes_back_whole(prompt: str) -> None:
    """Right-to-left text, emoji and combining marks survive rows and DataFrame."""
    log = shared_log()
    row, _ = log.prepare(lw.Ray2Request(prompt=prompt), **{**CAT, "experiment": "prompts"})
    assert log.get(row["id"])["prompt"] == prompt
    frame = log.df.set_index("id")
    assert frame.loc[row["id"], "prompt"] == prompt


def test_D4_a_very_long_prompt(log: lw.ExperimentLog) -> None:
    """A hundred thousand characters are kept."""
    prompt = "猫🐈" * 50_000
    row, _ = log.prepare(lw.Ray2Request(prompt=prompt), **CAT)
    assert log.get(row["id"])["prompt"] == prompt
    assert log.df.prompt[0] == prompt


def test_uploads_are_remembered_by_service(log: lw.ExperimentLog) -> None:
    """The same bytes keep their address with one service; the last address counts."""
    assert log.uploaded("simulator", "ab") is None
    log.remember_upload("simulator", "ab", "https://a.b/1")
    log.remember_upload("simulator", "ab", "https://a.b/2")
    log.remember_upload("https://api.pixwith.ai", "ab", "https://a.b/3")
    assert log.uploaded("simulator", "ab") == "https://a.b/2"
    assert log.uploaded("https://api.pixwith.ai", "ab") == "https://a.b/3"


# The last place for a task id --------------------------------------------------------------


def test_A9_an_answer_is_kept_beside_the_log(log: lw.ExperimentLog) -> None:
    """Answers come back in their order; lines that are damaged or foreign are passed over."""
    spill = Spill(log.name)
    assert spill.answers() == []
    place = spill.keep({"id": "a", "task_id": "t1"})
    assert place
    assert place.parent == (log.path or place).parent
    assert place.stat().st_mode & 0o777 == 0o600
    with place.open("a") as file:
        file.write('["no answer"]\n{"id": "b"}\n{"id": "c", "task_id": "t2"}\n{"id": "d", "tas')
    assert [answer["task_id"] for answer in spill.answers()] == ["t1", "t2"]


def test_A9_when_the_folder_takes_nothing_the_temporary_one_does(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second place is private as well; with no place at all the caller is told."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spill = Spill(str(tmp_path / "gone" / "luma.sqlite"))
    place = spill.keep({"id": "a", "task_id": "t1"})
    assert place
    assert place.parent == tmp_path
    assert place.stat().st_mode & 0o777 == 0o600
    assert json.loads(place.read_text()) == {"id": "a", "task_id": "t1"}
    assert spill.answers() == [{"id": "a", "task_id": "t1"}]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    assert Spill(str(tmp_path / "gone" / "luma.sqlite")).keep({"task_id": "t"}) is None


def test_A9_a_link_in_the_place_of_the_file_is_not_followed(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's link cannot make us write to another file."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "luma.sqlite-spill.jsonl").symlink_to(victim)
    assert Spill(str(tmp_path / "luma.sqlite")).keep({"id": "a", "task_id": "t"}) is None
    assert victim.read_text() == "mine"
