"""The strict JSON loader, the envelope, and the table by which a paid call is judged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luma_widgets.strictjson import load_json
from luma_widgets.transport.answers import Answer, Outcome, judge, read_envelope

TASK = {"task_id": "d425ab4dc256f0ebaa84862b9cea8a3d", "estimated_time": 42}
OK = json.dumps({"code": 1, "message": "success", "data": TASK}).encode()
NO = b'{"code": 0, "message": "Invalid image url"}'
KEY = b'{"code": 2, "message": "Invalid API KEY"}'
HTML = b"<html><body>Bad gateway</body></html>"

TRAPS = {
    "NaN": b'{"code": NaN}',
    "Infinity": b'{"code": 1, "data": -Infinity}',
    "overflow": b'{"code": 1, "data": 1e999}',
    "same key twice": b'{"code": 0, "code": 1, "data": {"task_id": "a"}}',
    "same key twice inside": b'{"code": 1, "data": {"task_id": "a", "task_id": "b"}}',
    "depth 100,000": b'{"code": 1, "data": {"task_id": "a", "x": ' + b"[" * 100_000,
    "closed depth 100,000": b'{"code":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "5,000 digits": b'{"code": 1, "x": ' + b"9" * 5000 + b', "data": {"task_id": "a"}}',
    "not UTF-8": b'{"code": 1, "message": "\xff", "data": {"task_id": "a"}}',
    "UTF-16": json.dumps({"code": 1, "data": TASK}).encode("utf-16"),
    "two values": OK + OK,
    "cut off": OK[:-1],
    "single quotes": b"{'code': 1}",
    "trailing comma": b'{"code": 1,}',
    "empty": b"",
}


def verdict(status: int | None, body: bytes = b"", **more: Any) -> Outcome:
    """Judge an answer to a request that was sent."""
    return judge(Answer(sent=True, status=status, body=body, **more)).outcome


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        # Rule 1: a complete success counts at any HTTP status.
        *[(status, OK, Outcome.CREATED) for status in (200, 201, 302, 400, 429, 500, 502, 599)],
        # Rule 2: code 0 or 2 with 2xx or 4xx.
        *[(s, NO, Outcome.REJECTED) for s in (200, 202, 400, 401, 404, 408, 409, 425, 429)],
        *[(s, KEY, Outcome.REJECTED) for s in (200, 403, 429)],
        *[(s, b, Outcome.UNKNOWN) for s in (301, 302, 307, 500, 503, 504) for b in (NO, KEY)],
        # Rule 3: 429.
        (429, b"", Outcome.RATE_LIMITED),
        (429, HTML, Outcome.RATE_LIMITED),
        (429, b'{"code": 7}', Outcome.RATE_LIMITED),
        # Rule 4: another 4xx without an envelope.
        *[(s, HTML, Outcome.REJECTED) for s in (400, 401, 402, 403, 404, 405, 413, 422, 451)],
        (400, b'{"detail": "no"}', Outcome.REJECTED),
        (400, b"", Outcome.REJECTED),
        *[(s, HTML, Outcome.UNKNOWN) for s in (408, 409, 425)],
        (400, b'{"code": 7}', Outcome.UNKNOWN),
        (400, b'{"code": 1}', Outcome.UNKNOWN),
        (400, b'{"code": true}', Outcome.UNKNOWN),
        (400, b'{"code": 1, "code": 0}', Outcome.UNKNOWN),
        # Rule 6: everything else.
        *[(s, HTML, Outcome.UNKNOWN) for s in (200, 204, 301, 302, 303, 307, 308, 500, 502, 503)],
        *[(s, b"", Outcome.UNKNOWN) for s in (101, 200, 204, 302, 500, 504)],
        (200, b"[]", Outcome.UNKNOWN),
        (200, b"1", Outcome.UNKNOWN),
        (200, b"null", Outcome.UNKNOWN),
        (200, b"{}", Outcome.UNKNOWN),
        *[(200, b'{"code": %b}' % code, Outcome.UNKNOWN) for code in (b"1", b"3", b"-1", b"null")],
        *[(200, b'{"code": %b}' % c, Outcome.UNKNOWN) for c in (b"true", b"false", b'"0"', b"0.0")],
        (None, b"", Outcome.UNKNOWN),
    ],
)
def test_verdict_table(status: int | None, body: bytes, expected: Outcome) -> None:
    """An answer is judged by the first rule that matches."""
    assert verdict(status, body) is expected


@pytest.mark.parametrize(
    "data",
    [None, [], "x", {}, {"task_id": ""}, {"task_id": None}, {"task_id": 5}, {"task_id": ["a"]}],
    ids=str,
)
def test_A3_success_without_a_usable_task_id_is_unknown(data: Any) -> None:
    """Code 1 without a task id does not tell what happened."""
    assert verdict(200, json.dumps({"code": 1, "data": data}).encode()) is Outcome.UNKNOWN


@pytest.mark.parametrize("seconds", [None, -1, 1.5, True, "42", [], 10**200, "missing"], ids=str)
def test_bad_estimates_become_none(seconds: Any) -> None:
    """A task is accepted whatever the estimate; a number that makes no sense is left out."""
    data = {"task_id": "a"} if seconds == "missing" else {"task_id": "a", "estimated_time": seconds}
    found = judge(
        Answer(sent=True, status=200, body=json.dumps({"code": 1, "data": data}).encode())
    )
    assert found.outcome is Outcome.CREATED
    assert found.estimated_time is None


def test_unsent_wins_over_everything() -> None:
    """Where nothing was written, the outcome is known: not sent."""
    assert judge(Answer(sent=False, failure="refused")).outcome is Outcome.NOT_SENT


def test_broken_transport_keeps_a_success_but_no_refusal() -> None:
    """A whole task id counts though the connection broke after it; a refusal then does not."""
    assert verdict(200, OK, failure="cut off") is Outcome.CREATED
    assert verdict(200, NO, failure="cut off") is Outcome.UNKNOWN
    assert verdict(404, HTML, failure="cut off") is Outcome.UNKNOWN


@pytest.mark.parametrize("name", TRAPS)
def test_C1_strict_loader_refuses(name: str) -> None:
    """What parsers disagree on is no answer, and makes the outcome of a paid call unknown."""
    with pytest.raises(ValueError, match=r"."):
        load_json(TRAPS[name])
    assert read_envelope(TRAPS[name]) is None
    assert verdict(200, TRAPS[name]) is Outcome.UNKNOWN


@pytest.mark.parametrize("code", ["true", "false", "1.0", '"1"', "null", "[1]", '{"x": 1}'])
def test_C1_only_an_integer_is_a_code(code: str) -> None:
    """A boolean, a float or a text that looks like a code is none."""
    envelope = read_envelope(f'{{"code": {code}, "data": {{"task_id": "a"}}}}'.encode())
    assert envelope is not None
    assert envelope.code is None


def test_lone_surrogate_is_no_task_id() -> None:
    """A task id that no log could store is not taken."""
    assert verdict(200, b'{"code": 1, "data": {"task_id": "\\ud800"}}') is Outcome.UNKNOWN


def test_message_is_read_from_msg_too() -> None:
    """One public page of the service says msg instead of message."""
    envelope = read_envelope(b'{"code": 0, "msg": "Credits not enough"}')
    assert envelope is not None
    assert envelope.message == "Credits not enough"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@given(JSON)
def test_strict_loader_reads_all_plain_json(value: Any) -> None:
    """Whatever is plain JSON comes back as it was."""
    assert load_json(json.dumps(value).encode()) == value


ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "code": st.sampled_from([0, 1, 2, 3, -1, True, None, "1", 1.0]),
        "message": st.text(max_size=5),
        "data": st.none()
        | st.fixed_dictionaries({}, optional={"task_id": st.text(max_size=3) | st.none()}),
    },
).map(lambda value: json.dumps(value).encode())


@given(
    status=st.none() | st.integers(100, 599),
    body=st.binary(max_size=50) | ENVELOPES | ENVELOPES.map(lambda b: b[:-1]),
    failure=st.none() | st.just("the connection broke"),
)
def test_A3_a_verdict_never_frees_what_may_be_paid(
    status: int | None, body: bytes, failure: str | None
) -> None:
    """Over all statuses and bodies: "rejected" and "not sent" need proof, and nothing raises."""
    found = judge(Answer(sent=True, status=status, body=body, failure=failure))
    assert found.outcome is not Outcome.NOT_SENT
    if found.outcome is Outcome.REJECTED:
        assert failure is None
        assert status is not None
        assert status // 100 in (2, 4)
        envelope = body.lstrip().startswith(b"{") and b'"code"' in body
        assert found.code in (0, 2) or (status // 100 == 4 and not envelope)
    if found.outcome is Outcome.RATE_LIMITED:
        assert status == 429
    if found.outcome is Outcome.CREATED:
        assert found.task_id
        assert json.loads(body)["data"]["task_id"] == found.task_id
    if status is not None and status >= 500:
        assert found.outcome in (Outcome.UNKNOWN, Outcome.CREATED)
