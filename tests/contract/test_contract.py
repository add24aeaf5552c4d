"""The requests and the simulator, held against the contract as openapi.yaml writes it down."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from luma_widgets import Ray2Request
from luma_widgets.simulator import SimulatorServer

FILE = Path(__file__).with_name("openapi.yaml")
SPEC = yaml.safe_load(FILE.read_text())
CREATE = SPEC["components"]["schemas"]["CreateTask"]
EXAMPLES = {
    name: example["value"]
    for name, example in SPEC["paths"]["/api/task/create"]["post"]["requestBody"]["content"][
        "application/json"
    ]["examples"].items()
}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
schema = schemathesis.openapi.from_path(FILE)


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorServer]:
    with SimulatorServer(credits=1e9, speed=1e6) as server:
        yield server


@pytest.fixture(scope="module")
def session(simulator: SimulatorServer) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.headers["Api-Key"] = simulator.api_key
        yield session


def call(session: requests.Session, simulator: SimulatorServer, name: str, body: Any) -> Any:
    headers = {"Content-Type": "application/json"}
    url = f"{simulator.url}/api/task/{name}"
    answer = session.post(url, data=json.dumps(body), headers=headers, timeout=10)
    assert answer.status_code == 200
    return answer.json()


def test_the_contract_file_is_valid_openapi() -> None:
    """The file itself is a valid OpenAPI 3.1 document."""
    validate(SPEC)


@schema.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_generated_requests_get_conforming_answers(
    case: schemathesis.Case, simulator: SimulatorServer, session: requests.Session
) -> None:
    """Whatever schemathesis sends, good or bad, the answer is one that the contract describes."""
    headers = {"Api-Key": simulator.api_key}
    case.call_and_validate(
        base_url=simulator.url, session=session, headers=headers, checks=CHECKS, timeout=10
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_documented_requests_are_accepted(
    name: str, simulator: SimulatorServer, session: requests.Session
) -> None:
    """Both documented requests go through exactly as they stand, and are what Ray2Request sends."""
    body = EXAMPLES[name]
    assert call(session, simulator, "create", body)["code"] == 1
    assert simulator.creates[-1].payload == body
    assert json.dumps(Ray2Request.from_payload(body).payload()) == json.dumps(body)


def test_fields_are_those_of_the_contract() -> None:
    """Every option of the form is an option of the contract with the same values, and no other."""
    options = CREATE["properties"]["options"]
    described = {("prompt",), ("image_urls",), ("model_id",)}
    described |= {("options", name) for name in options["properties"]}
    assert {field.path for field in Ray2Request.fields()} == described
    for field in Ray2Request.fields():
        where = options if len(field.path) == 2 else CREATE
        spec = where["properties"][field.path[-1]]
        assert list(field.choices) == spec.get("enum", [])
        assert field.required == (field.path[-1] in where["required"])
        if field.kind == "flag":
            assert spec["type"] == "boolean"


def wrong_bodies() -> Iterator[tuple[str, Any]]:
    """Every way in which a body can be wrong in one place."""
    good = EXAMPLES["image-to-video"]
    for value in (None, [], "text", 5, True, {}):
        yield f"body {value!r}", value
    paths = [("prompt",), ("model_id",), ("options",), *(("options", k) for k in good["options"])]
    for path in paths:
        if path[-1] != "loop":
            yield f"no {path}", without(good, path)
        for value in (None, [], {}, "", " \n", "\x00", -1, 0, 1, 5.5, [5], {"a": 1}):
            yield f"{path} {value!r}", changed(good, path, value)
        if path != ("prompt",):
            yield f"{path} '5'", changed(good, path, "5")
            yield f"{path} 'true'", changed(good, path, "true")
    for name in ("resolution", "aspect_ratio"):
        yield f"{name} wrong", changed(good, ("options", name), "1080p")
    lists = (None, [], ["x"], [""], [None], [5], ["ftp://a.b/c"], {}, "https://a.example/x.png")
    for urls in lists:
        yield f"image_urls {urls!r}", changed(good, ("image_urls",), urls)
    yield "three images", changed(good, ("image_urls",), [good["image_urls"][0]] * 3)
    yield "3-4 without images", without(good, ("image_urls",))
    yield "unknown key", changed(good, ("seed",), 1)
    yield "unknown option", changed(good, ("options", "seed"), 1)
    yield "boolean duration", changed(good, ("options", "duration"), True)


def changed(body: Any, path: tuple[str, ...], value: Any) -> Any:
    body = copy.deepcopy(body)
    place = body
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return body


def without(body: Any, path: tuple[str, ...]) -> Any:
    body = changed(body, path, None)
    place = body
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return body


def test_A14_every_wrong_create_body_is_refused(
    simulator: SimulatorServer, session: requests.Session
) -> None:
    """Each wrong body gets code 0 with a message, and nothing is created or charged."""
    before, balance = len(simulator.creates), simulator.credits
    for what, body in wrong_bodies():
        answer = call(session, simulator, "create", body)
        assert answer["code"] == 0, what
        assert answer["message"], what
    assert len(simulator.creates) == before
    assert simulator.credits == balance


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, database=None)
@given(body=JSON, place=st.sampled_from(["body", *EXAMPLES["text-to-video"], "image_urls", "new"]))
def test_A14_arbitrary_values_are_refused_or_valid(
    body: Any, place: str, simulator: SimulatorServer, session: requests.Session
) -> None:
    """Any JSON value, anywhere: accepted only if Ray2Request would send the very same body."""
    sent = body if place == "body" else {**EXAMPLES["text-to-video"], place: body}
    answer = call(session, simulator, "create", sent)
    try:
        valid = bool(Ray2Request.from_payload(sent).payload()) and sent.get("image_urls") != []
    except ValueError:
        valid = False
    assert answer["code"] == (1 if valid else 0)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("get", {}),
        ("get", {"task_id": ""}),
        ("get", {"task_id": 5}),
        ("get", {"task_id": None}),
        ("get", {"task_id": "\ud800"}),
        ("get", {"task_id": "x", "more": 1}),
        ("get", {"task_id": "0" * 32}),
        ("get", []),
        ("get_credits", []),
        ("get_credits", None),
        ("get_credits", "x"),
        ("pre_url", {}),
        ("pre_url", {"image_name": "a.png"}),
        ("pre_url", {"image_name": "a.png", "content_type": "image/jpeg"}),
        ("pre_url", {"image_name": "a.gif", "content_type": "image/png"}),
        ("pre_url", {"image_name": "a/b.png", "content_type": "image/png"}),
        ("pre_url", {"image_name": "a\\b.png", "content_type": "image/png"}),
        ("pre_url", {"image_name": "a\n.png", "content_type": "image/png"}),
        ("pre_url", {"image_name": "a.png\n", "content_type": "image/png"}),
        ("pre_url", {"image_name": ".png", "content_type": "image/png"}),
        ("pre_url", {"image_name": "a.png", "content_type": "image/png", "size": 5}),
        ("pre_url", {"image_name": "a.png", "content_type": ["image/png"]}),
    ],
)
def test_wrong_bodies_of_free_calls_are_refused(
    name: str, body: Any, simulator: SimulatorServer, session: requests.Session
) -> None:
    """The free calls answer code 0 with a message to a wrong body."""
    answer = call(session, simulator, name, body)
    assert answer["code"] == 0
    assert answer["message"]


@pytest.mark.parametrize("name", ["create", "get", "get_credits", "pre_url"])
@pytest.mark.parametrize(
    "key",
    ["", "x", f"key_{'0' * 31}1", f"key_{'0' * 31}", f"sim_{'0' * 32}", "KEY_" + "0" * 32, "é"],
)
def test_E5_a_wrong_key_gets_code_2(name: str, key: str, simulator: SimulatorServer) -> None:
    """Any key but its own and the documented test key gets code 2, whatever the body is."""
    headers = {"Api-Key": key.encode("latin-1")}
    url, body = f"{simulator.url}/api/task/{name}", EXAMPLES["text-to-video"]
    answer = requests.post(url, json=body, headers=headers, timeout=5)
    assert answer.status_code == 200
    assert answer.json()["code"] == 2
    assert answer.json()["message"] == "Invalid API KEY"


def test_E5_the_documented_test_key_is_taken(simulator: SimulatorServer) -> None:
    """The all-zero test key works, as the simulator's own key does."""
    headers = {"Api-Key": f"key_{'0' * 32}"}
    answer = requests.post(
        f"{simulator.url}/api/task/get_credits", json={}, headers=headers, timeout=5
    )
    assert answer.json()["code"] == 1
