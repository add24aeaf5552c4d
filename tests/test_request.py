"""The request: the documented bodies exactly, every problem at once, and its other forms."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import luma_widgets as lw

PROMPT = "A cat walking in the garden"
OPTIONS = {
    "prompt_optimization": True,
    "aspect_ratio": "16:9",
    "resolution": "540p",
    "duration": 5,
    "loop": False,
}
TEXT_TO_VIDEO = {"prompt": PROMPT, "model_id": "2-4", "options": OPTIONS}
IMAGES = [
    "https://cdn.pixwith.ai/images/cf0ddb5ad6a0f0c85ab4d1dceb9fd89c_0.jpeg",
    "https://cdn.pixwith.ai/images/cf0ddb5ad6a0f0c85ab4d1dceb9fd89c_1.jpeg",
]
IMAGE_TO_VIDEO = {"prompt": PROMPT, "image_urls": IMAGES, "model_id": "3-4", "options": OPTIONS}
START, END = IMAGES

safe_text = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\n"))
requests = st.builds(
    lambda images, **rest: lw.Ray2Request(
        **rest, image_urls=images, model_id="3-4" if images else "2-4"
    ),
    prompt=safe_text.filter(str.strip),
    images=st.lists(st.sampled_from([START, END, "http://a.b/c?d=%20#e"]), max_size=2),
    prompt_optimization=st.booleans(),
    aspect_ratio=st.sampled_from(["16:9", "9:16", "1:1", "4:3", "3:4", "9:21", "21:9"]),
    resolution=st.sampled_from(["540p", "720p"]),
    duration=st.sampled_from([5, 9]),
    loop=st.booleans(),
)


def refused(**values: Any) -> dict[str, lw.Problem]:
    """Return the problems of a constructor call by their field."""
    with pytest.raises(lw.RequestError) as caught:
        lw.Ray2Request(**values)
    return {problem.field: problem for problem in caught.value.problems}


def same(one: object, two: object) -> bool:
    """Compare JSON text, which tells 1 from True and shows the order of keys."""
    return json.dumps(one) == json.dumps(two)


# The two documented requests ---------------------------------------------------------------


def test_the_documented_text_request_is_the_default() -> None:
    """A prompt alone gives the documented body: same keys, order, values and JSON types."""
    assert same(lw.Ray2Request(prompt=PROMPT).payload(), TEXT_TO_VIDEO)


@pytest.mark.parametrize(
    "images", [{"image_urls": IMAGES}, {"start_image": START, "end_image": END}]
)
def test_the_documented_image_request(images: dict[str, Any]) -> None:
    """Both ways to give the images lead to the documented body."""
    request = lw.Ray2Request(prompt=PROMPT, model_id="3-4", **images)
    assert same(request.payload(), IMAGE_TO_VIDEO)


@pytest.mark.parametrize("body", [TEXT_TO_VIDEO, IMAGE_TO_VIDEO])
def test_documented_bodies_go_back_in(body: dict[str, Any]) -> None:
    """A documented body, parsed from its JSON text, becomes a request that sends it again."""
    request = lw.Ray2Request.from_payload(json.loads(json.dumps(body)))
    assert same(request.payload(), body)


@given(requests)
def test_payloads_make_the_round_trip(request: lw.Ray2Request) -> None:
    """Any request survives body, JSON text and back; equal bodies have equal fingerprints."""
    twin = lw.Ray2Request.from_payload(json.loads(json.dumps(request.payload())))
    assert twin == request
    assert same(twin.payload(), request.payload())
    assert twin.fingerprint == request.fingerprint


def test_a_payload_is_the_callers_own() -> None:
    """Changing a returned body or list changes no request."""
    request = lw.Ray2Request(prompt=PROMPT, image_urls=[START])
    request.payload()["options"]["duration"] = 7
    request.payload()["image_urls"].append("x")
    request.image_urls.append("x")
    assert request.payload()["options"]["duration"] == 5
    assert request.image_urls == [START]


def test_missing_optional_keys_take_their_defaults() -> None:
    """``image_urls`` and ``options.loop`` may be left out of a body."""
    options = {key: value for key, value in OPTIONS.items() if key != "loop"}
    request = lw.Ray2Request.from_payload({**TEXT_TO_VIDEO, "options": options})
    assert same(request.payload(), TEXT_TO_VIDEO)


# Refusals ----------------------------------------------------------------------------------

WRONG = [
    ("prompt", 5),
    ("prompt", None),
    ("prompt", b"cat"),
    ("prompt", "a\ud800"),
    ("prompt", "a\x00b"),
    ("prompt", "a\x1b[31m"),
    ("model_id", "2-5"),
    ("model_id", 2),
    ("prompt_optimization", 1),
    ("prompt_optimization", "true"),
    ("aspect_ratio", "16:10"),
    ("aspect_ratio", "16:9 "),
    ("resolution", "540P"),
    ("resolution", 540),
    ("duration", "5"),
    ("duration", 5.0),
    ("duration", True),
    ("duration", 6),
    ("loop", 1),
    ("loop", None),
    ("start_image", "cat.png"),
    ("end_image", 5),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_A14_each_wrong_value_is_refused_everywhere(name: str, value: object) -> None:
    """Constructor, copy, assignment and body refuse it under its own name, and keep the value."""
    assert refused(**{name: value})[name].value == value
    draft = lw.Ray2Request(prompt=PROMPT)
    with pytest.raises(lw.RequestError):
        draft.copy(**{name: value})
    with pytest.raises(lw.RequestError):
        setattr(draft, name, value)
    assert draft == lw.Ray2Request(prompt=PROMPT)
    if name not in ("start_image", "end_image"):
        body = json.loads(json.dumps(TEXT_TO_VIDEO))
        place = body if name in body else body["options"]
        place[name] = value
        with pytest.raises(lw.RequestError) as caught:
            lw.Ray2Request.from_payload(body)
        assert [problem.field for problem in caught.value.problems] == [name]


def test_every_problem_is_named_at_once() -> None:
    """All wrong values and unknown names come together, in the order of the options."""
    problems = refused(loop=1, duration="5", prompt=3, seed=42, image_urls="https://a.b/c.png")
    assert list(problems) == ["prompt", "duration", "loop", "image_urls", "seed"]
    assert problems["duration"].message == "must be 5 or 9 (seconds)"
    assert "aspect_ratio" in problems["seed"].message


def test_unknown_names_are_refused_by_copy_too() -> None:
    """A misspelled option is never dropped in silence."""
    with pytest.raises(lw.RequestError, match="duratoin"):
        lw.Ray2Request(prompt=PROMPT).copy(duratoin=9)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"prompt", "model_id", *(OPTIONS.keys() - {"loop"})}),
        ({**TEXT_TO_VIDEO, "seed": 1}, {"seed"}),
        ({**TEXT_TO_VIDEO, "options": {**OPTIONS, "fps": 24}}, {"options.fps"}),
        ({**TEXT_TO_VIDEO, "options": "fast"}, {"options"}),
        ({**TEXT_TO_VIDEO, "options": [], "prompt": 3}, {"options", "prompt"}),
        ({**TEXT_TO_VIDEO, "start_image": START}, {"start_image"}),
        ({**TEXT_TO_VIDEO, "duration": 5}, {"duration"}),
        ({**TEXT_TO_VIDEO, "image_urls": None}, {"image_urls"}),
        ({**TEXT_TO_VIDEO, 5: 6}, {"5"}),
        ([TEXT_TO_VIDEO], {"payload"}),
        ("{}", {"payload"}),
        (None, {"payload"}),
    ],
)
def test_A14_bodies_that_are_refused(body: Any, fields: set[str]) -> None:
    """Missing, unknown and misplaced keys are all named."""
    with pytest.raises(lw.RequestError) as caught:
        lw.Ray2Request.from_payload(body)
    assert {problem.field for problem in caught.value.problems} == fields


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*TEXT_TO_VIDEO, "image_urls", "x"]), json_values))
def test_A14_hostile_bodies_never_pass_or_crash(body: dict[str, Any]) -> None:
    """A body is taken, and then is exactly what is sent, or refused with a RequestError."""
    try:
        request = lw.Ray2Request.from_payload(body)
        sent = request.payload()
    except lw.RequestError as error:
        str(error).encode()
        return
    options = {**OPTIONS, **body["options"]}
    kept = {key: value for key, value in body.items() if key != "image_urls" or value}
    assert sent == {**kept, "prompt": sent["prompt"], "options": options}


@given(st.sampled_from(list(OPTIONS)), json_values)
def test_A14_only_exact_types_pass(name: str, value: Any) -> None:
    """What an option takes is among its choices, and of their type."""
    try:
        request = lw.Ray2Request(**{name: value})
    except lw.RequestError:
        return
    taken = getattr(request, name)
    assert type(taken) is type(OPTIONS[name])
    assert same(taken, value)


# Drafts and rules between options ----------------------------------------------------------


def test_a_draft_may_be_incomplete_but_is_not_sent() -> None:
    """A blank prompt is allowed while editing and named by problems() and payload()."""
    draft = lw.Ray2Request(prompt="  \n\t")
    assert [problem.field for problem in draft.problems()] == ["prompt"]
    for call in (draft.payload, draft.as_json, draft.as_curl, draft.as_python):
        with pytest.raises(lw.RequestError, match="prompt"):
            call()
    with pytest.raises(lw.RequestError, match="prompt"):
        _ = draft.fingerprint
    draft.prompt = "A cat"
    assert draft.problems() == []


def test_rules_between_options_are_named_together() -> None:
    """An end image needs a start image, and 3-4 needs images; edits are free in any order."""
    draft = lw.Ray2Request(model_id="3-4")
    assert [problem.field for problem in draft.problems()] == ["prompt", "model_id"]
    draft.end_image = END
    assert [problem.field for problem in draft.problems()] == ["prompt", "end_image"]
    draft.start_image = START
    draft.prompt = PROMPT
    assert same(draft.payload(), IMAGE_TO_VIDEO)


def test_line_ends_of_the_prompt_are_plain() -> None:
    """The same text from Windows, old Macs and here is the same request."""
    one, two, three = (lw.Ray2Request(prompt=f"a{end}b") for end in ("\r\n", "\r", "\n"))
    assert one == two == three
    assert one.fingerprint == three.fingerprint


# Images ------------------------------------------------------------------------------------


@pytest.mark.parametrize("urls", [[], [START], [START, END], (START,)])
def test_image_urls_are_start_and_end(urls: list[str]) -> None:
    """A list of 0 to 2 addresses sets both options and reads back."""
    request = lw.Ray2Request(image_urls=urls)
    assert request.image_urls == list(urls)
    assert [request.start_image, request.end_image] == [*urls, None, None][:2]


@pytest.mark.parametrize(
    "urls", [START, None, [START, END, START], {START}, {START: END}, 5, iter([START])]
)
def test_image_urls_must_be_a_short_list(urls: object) -> None:
    """A string is refused although it is a sequence; so are three images."""
    assert list(refused(image_urls=urls)) == ["image_urls"]


def test_bad_image_urls_are_all_named() -> None:
    """Each bad address of the list is a problem of its own, under the argument's name."""
    with pytest.raises(lw.RequestError) as caught:
        lw.Ray2Request(image_urls=["ftp://a.b/c", None])
    assert [(p.field, p.value) for p in caught.value.problems] == [
        ("image_urls", "ftp://a.b/c"),
        ("image_urls", None),
    ]


def test_both_forms_at_once_are_refused() -> None:
    """Two answers to one question are an error, in the constructor and in copy."""
    assert "start_image" in refused(image_urls=[START], start_image=START)["image_urls"].message
    with pytest.raises(lw.RequestError, match="together"):
        lw.Ray2Request(prompt=PROMPT).copy(image_urls=[START], end_image=END)


# Copies ------------------------------------------------------------------------------------


def test_copy_changes_only_what_is_named() -> None:
    """A copy is a new request; the old one stays."""
    request = lw.Ray2Request(prompt=PROMPT, start_image=START)
    copy = request.copy(duration=9)
    assert (request.duration, copy.duration) == (5, 9)
    assert copy.start_image == START
    assert copy.copy(image_urls=[]).image_urls == []
    assert copy.copy(image_urls=[END]).image_urls == [END]
    assert copy.copy(end_image=END).image_urls == [START, END]
    assert request.copy() == request
    assert request.copy() is not request


def test_requests_compare_by_value_and_have_no_hash() -> None:
    """Equal options make equal requests; a thing that can be edited is no dictionary key."""
    one, two = lw.Ray2Request(prompt="a"), lw.Ray2Request(prompt="a")
    assert one == two
    assert one != two.copy(loop=True)
    assert one != "a"
    with pytest.raises(TypeError):
        hash(one)


# Warnings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({}, []),
        ({"image_urls": [START]}, []),
        ({"image_urls": [START], "aspect_ratio": "9:16"}, ["aspect_ratio"]),
        ({"image_urls": IMAGES, "loop": True}, ["loop"]),
        ({"image_urls": [START, START]}, ["end_image"]),
        ({"prompt": "Eine Kätzchen", "prompt_optimization": False}, ["prompt_optimization"]),
        ({"prompt": "Eine Kätzchen"}, []),
    ],
)
def test_likely_mistakes_warn_and_do_not_block(values: dict[str, Any], fields: list[str]) -> None:
    """A warning names the option; the request can be sent all the same."""
    request = lw.Ray2Request(**{"prompt": PROMPT, **values})
    assert [warning.field for warning in request.warnings()] == fields
    assert request.payload()


# Other forms -------------------------------------------------------------------------------


def test_as_json_is_the_body() -> None:
    """The preview is the body, readable, with letters as they are."""
    request = lw.Ray2Request(prompt="猫")
    assert json.loads(request.as_json()) == request.payload()
    assert "猫" in request.as_json()


NASTY = [
    PROMPT,
    'it\'s "quoted" $HOME `id` $(id) \\n \\',
    "two\nlines\tand a tab",
    "@/etc/passwd",
    "-H Evil: 1; rm -rf * # !history",
    "猫 🐈 \u202e right to left",
    "'''\n\"\"\"",
]


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no POSIX shell on this system")
@pytest.mark.parametrize("prompt", NASTY)
def test_as_curl_brings_the_body_through_a_real_shell(prompt: str, tmp_path: Path) -> None:
    """What curl gets is the body byte for byte; the key comes from the environment only."""
    fake = tmp_path / "curl"
    fake.write_text(f"#!{sys.executable}\nimport json, sys\njson.dump(sys.argv[1:], sys.stdout)\n")
    fake.chmod(0o700)
    request = lw.Ray2Request(prompt=prompt, image_urls=["https://a.b/c?d=1&e='f'"])
    command = request.as_curl("https://example.org/api/task/create")
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PIXWITH_API_KEY": "key_canary"}
    ran = subprocess.run(
        ["sh", "-c", command],
        env={**environment, "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=True,
        timeout=60,
        cwd=tmp_path,
    )
    words = json.loads(ran.stdout)
    assert words[:4] == ["-sS", "-X", "POST", "https://example.org/api/task/create"]
    assert words[4:8] == ["-H", "Api-Key: key_canary", "-H", "Content-Type: application/json"]
    assert words[8] == "--data-raw"
    assert same(json.loads(words[9]), request.payload())
    assert "key_canary" not in command


@given(requests)
def test_as_python_builds_the_same_request(request: lw.Ray2Request) -> None:
    """The code runs, and what it would send is an equal request."""
    sent: list[lw.Ray2Request] = []

    class Client:
        def create_task(self, made: lw.Ray2Request) -> None:
            sent.append(made)

    source = request.as_python()
    assert "luma_widgets as lw" in source
    code = source.replace("import luma_widgets as lw", "", 1).replace("lw.PixwithClient", "Client")
    exec(code, {"lw": lw, "Client": Client})  # noqa: S102 - our own code, to see that it works
    assert sent == [request]


@given(requests)
def test_the_repr_builds_the_same_request(request: lw.Ray2Request) -> None:
    """``repr`` is code as well."""
    assert eval(repr(request), {"Ray2Request": lw.Ray2Request}) == request  # noqa: S307 - our own


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    """Another process, with another hash seed, names the same request the same."""
    code = f"import luma_widgets as lw; print(lw.Ray2Request(prompt={PROMPT!r}).fingerprint)"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout.strip()
        for seed in ("0", "1")
    }
    assert found == {lw.Ray2Request(prompt=PROMPT).fingerprint}
    assert len(found.pop()) == 32


def test_the_fingerprint_of_the_documented_request_never_changes() -> None:
    """A log outlives versions: another value here would pay for old intents again."""
    assert lw.Ray2Request(prompt=PROMPT).fingerprint == "37189f19bd0478f5a979950ddda44501"


def test_each_option_changes_the_fingerprint() -> None:
    """Two requests that differ are two intents."""
    base = lw.Ray2Request(prompt=PROMPT, image_urls=[START])
    changes: list[dict[str, Any]] = [
        {"prompt": "A dog"},
        {"image_urls": []},
        {"image_urls": IMAGES},
        {"model_id": "3-4"},
        {"prompt_optimization": False},
        {"aspect_ratio": "1:1"},
        {"resolution": "720p"},
        {"duration": 9},
        {"loop": True},
    ]
    prints = {base.fingerprint, *(base.copy(**change).fingerprint for change in changes)}
    assert len(prints) == len(changes) + 1
