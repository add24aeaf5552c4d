"""The form: controls from the fields, a request after each edit, problems, clicks, uploads."""

from __future__ import annotations

import threading
from typing import Any

import ipywidgets
import pytest

import luma_widgets as lw
from luma_widgets.widgets.form import Click
from luma_widgets.widgets.uploads import MAX_BYTES, Inbox

from .widgetpage import Page

CAT = "A cat walking in the garden"
IMAGE = "https://cdn.pixwith.ai/images/cf0ddb5ad6a0f0c85ab4d1dceb9fd89c_0.jpeg"
PNG = b"\x89PNG\r\n\x1a\n" + b"." * 100


def control(form: lw.RequestForm, name: str) -> Any:
    return form.controls.by_name[name]


def test_there_is_one_ordinary_control_for_each_option() -> None:
    """Adding an option to the request adds a control; values and defaults are the field's own."""
    form = lw.RequestForm()
    for field in lw.Ray2Request.fields():
        made = control(form, field.name)
        assert made.__module__.startswith("ipywidgets."), field.name
        assert made.value == (field.default if field.default is not None else "")
        if field.choices:
            assert tuple(value for _, value in made.options) == field.choices


def test_controls_share_layout_and_styles() -> None:
    """A form makes one Layout, not one for each control: each costs a message."""
    form = lw.RequestForm()
    controls = [*form.controls.by_name.values(), form.generate, form.aid, form]
    assert len({id(made.layout) for made in controls}) == 1
    toggles = [made for made in controls if isinstance(made, ipywidgets.ToggleButtons)]
    assert len(toggles) > 3
    assert len({id(made.style) for made in toggles}) == 1


def test_texts_are_committed_not_streamed() -> None:
    """No keystroke reaches the kernel: text controls do not update continuously."""
    form = lw.RequestForm()
    for name in ("prompt", "start_image", "end_image"):
        assert control(form, name).continuous_update is False


def test_each_edit_makes_a_new_request() -> None:
    """Observers see a new object after an edit, and the old one is left as it was."""
    form = lw.RequestForm()
    seen: list[lw.Ray2Request] = []
    form.observe(lambda change: seen.append(change["new"]), "request")
    first = form.request
    control(form, "prompt").value = CAT
    control(form, "duration").value = 9
    assert [request.duration for request in seen] == [5, 9]
    assert first.prompt == ""
    assert form.request is seen[-1]


def test_documented_example_comes_out_exactly() -> None:
    """The form's request has the payload of the documented image example, types included."""
    form = lw.RequestForm()
    control(form, "prompt").value = CAT
    control(form, "mode").value = "image"
    control(form, "start_image").value = f"  {IMAGE} "
    control(form, "end_image").value = IMAGE.replace("_0", "_1")
    control(form, "model_id").value = "3-4"
    assert form.problems == ()
    assert form.request.payload() == {
        "prompt": CAT,
        "image_urls": [IMAGE, IMAGE.replace("_0", "_1")],
        "model_id": "3-4",
        "options": {
            "prompt_optimization": True,
            "aspect_ratio": "16:9",
            "resolution": "540p",
            "duration": 5,
            "loop": False,
        },
    }


@pytest.mark.parametrize(
    ("edits", "field", "words"),
    [
        ({"prompt": " \n"}, "prompt", "what the video shows"),
        ({"prompt": "a\ud800"}, "prompt", "broken emoji"),
        ({"prompt": "a\x00b"}, "prompt", "control characters"),
        ({"model_id": "3-4"}, "model_id", "2-4"),
        ({"mode": "image"}, "start_image", "Text to video"),
        ({"mode": "image", "start_image": "cat.png"}, "start_image", "http"),
        ({"mode": "image", "end_image": IMAGE}, "end_image", "start image"),
    ],
)
def test_a_problem_is_told_beside_its_field_and_stops_generate(
    edits: dict[str, str], field: str, words: str
) -> None:
    """What keeps a request from being sent is a sentence beside its field; Generate is off."""
    form = lw.RequestForm(lw.Ray2Request(prompt=CAT))
    pressed: list[Click] = []
    form.on_generate(pressed.append)
    for name, value in edits.items():
        control(form, name).value = value
    assert [problem.field for problem in form.problems] == [field]
    tone, text = form.aid.state["notes"][field][0]
    assert tone == "bad"
    assert words in text
    assert text[0].isupper()
    assert "None" not in text
    assert form.generate.disabled
    form.generate.click()
    assert pressed == []


def test_all_problems_are_told_at_once() -> None:
    """A blank prompt is told together with a mistyped address."""
    form = lw.RequestForm()
    control(form, "mode").value = "image"
    control(form, "start_image").value = "cat.png"
    assert {problem.field for problem in form.problems} == {"prompt", "start_image"}
    assert form.request.start_image is None


def test_likely_mistakes_warn_without_stopping() -> None:
    """A warning stands beside the field, and Generate stays on."""
    request = lw.Ray2Request(prompt=CAT, start_image=IMAGE, aspect_ratio="1:1")
    form = lw.RequestForm(request)
    assert form.aid.state["notes"]["aspect_ratio"][0][0] == "warn"
    assert not form.generate.disabled


def test_a_request_loads_into_the_form() -> None:
    """Setting a request fills every control in; what was there before is gone."""
    form = lw.RequestForm(lw.Ray2Request(prompt="old", start_image=IMAGE, loop=True))
    request = lw.Ray2Request(
        prompt=CAT, aspect_ratio="9:21", resolution="720p", duration=9, prompt_optimization=False
    )
    form.request = request
    assert form.request == request
    assert control(form, "mode").value == "text"
    assert control(form, "start_image").value == ""
    assert {name: form.controls.read(name) for name in request.values()} == request.values()


def test_the_form_keeps_its_own_copy() -> None:
    """Editing a request after it was loaded does not change the form's."""
    request = lw.Ray2Request(prompt=CAT)
    form = lw.RequestForm(request)
    request.duration = 9
    assert form.request.duration == 5


def test_text_mode_leaves_images_out_and_keeps_their_addresses() -> None:
    """Switching to text and back loses nothing that was typed."""
    form = lw.RequestForm(lw.Ray2Request(prompt=CAT, start_image=IMAGE))
    control(form, "mode").value = "text"
    assert form.request.image_urls == []
    control(form, "mode").value = "image"
    assert form.request.image_urls == [IMAGE]


def test_preview_is_what_will_be_sent_and_only_when_open() -> None:
    """The preview holds JSON, curl and Python of the request, and is not sent while it is shut."""
    form = lw.RequestForm(lw.Ray2Request(prompt=CAT))
    page = Page(form.aid)
    assert "preview" not in form.aid.state
    page.send("preview", open=True)
    request = form.request
    shown = {"json": request.as_json(), "curl": request.as_curl(), "python": request.as_python()}
    assert form.aid.state["preview"] == shown
    control(form, "duration").value = 9
    assert '"duration": 9' in form.aid.state["preview"]["json"]
    page.send("preview", open=False)
    assert "preview" not in form.aid.state


def test_one_click_is_one_call_however_often_its_message_comes() -> None:
    """The same click id calls the callbacks once; another id calls them again."""
    form = lw.RequestForm(lw.Ray2Request(prompt=CAT))
    pressed: list[Click] = []
    form.on_generate(pressed.append)
    page = Page(form.aid)
    for click in ("a1", "a1", "b2"):
        page.send("generate", click=click, shown={})
    assert [click.id for click in pressed] == ["a1", "b2"]
    assert pressed[0].request == form.request
    assert [m["click"] for m in page.heard if m["type"] == "done"] == ["a1", "a1", "b2"]


def test_a_click_takes_over_what_the_page_shows() -> None:
    """An edit that is still on its way when Generate is pressed is part of the request."""
    form = lw.RequestForm(lw.Ray2Request(prompt="old"))
    pressed: list[Click] = []
    form.on_generate(pressed.append)
    shown = {"prompt": CAT, "duration": 1, "loop": True, "repeats": "3", "aspect_ratio": 2}
    Page(form.aid).send("generate", click="a1", shown=shown)
    request = pressed[0].request
    assert (request.prompt, request.duration, request.loop) == (CAT, 9, True)
    assert (request.aspect_ratio, pressed[0].repeats) == ("1:1", 3)


@pytest.mark.parametrize(
    "shown",
    [{"prompt": 5}, {"duration": 7}, {"loop": "yes"}, {"repeats": "-1"}, {"nobody": 1}, {1: 2}],
)
def test_what_no_page_can_show_is_ignored(shown: dict[Any, Any]) -> None:
    """Values of a wrong type or range in a click leave the controls as they are."""
    form = lw.RequestForm(lw.Ray2Request(prompt=CAT))
    before = form.request
    Page(form.aid).send("generate", click="a1", shown=shown)
    assert form.request == before
    assert form.repeats == 1


def test_a_callbacks_error_is_shown_in_the_form() -> None:
    """An exception in a callback is shown, and the next callback still runs."""
    form = lw.RequestForm(lw.Ray2Request(prompt=CAT))
    page = Page(form.aid)
    pressed: list[Click] = []

    def fail(_click: Click) -> None:
        raise lw.SpendLimitError("The limit of 3 videos would be passed.")

    form.on_generate(fail)
    form.on_generate(pressed.append)
    form.generate.click()
    assert page.texts("message") == ["The limit of 3 videos would be passed."]
    assert len(pressed) == 1


def test_a_question_is_answered_once() -> None:
    """Only a yes to the latest question goes on, and only one."""
    form = lw.RequestForm(lw.Ray2Request(prompt=CAT))
    page = Page(form.aid)
    done: list[str] = []
    form.on_generate(
        lambda click: form.confirm(click, "Again?", "Make another", lambda: done.append(click.id))
    )
    for click in ("a1", "b2"):
        page.send("generate", click=click, shown={})
    for click, ok in (("a1", True), ("b2", "yes"), ("b2", True)):
        page.send("answer", click=click, ok=ok)
    assert done == []  # b2 was answered by something that is no yes, which ends the question
    page.send("generate", click="c3", shown={})
    page.send("answer", click="c3", ok=True)
    page.send("answer", click="c3", ok=True)
    assert done == ["c3"]


def test_a_local_picture_is_uploaded_in_pieces_on_another_thread() -> None:
    """The pieces reach the upload as one picture, whose address goes into the field."""
    threads: list[threading.Thread] = []
    pictures: list[bytes] = []

    def upload(picture: bytes) -> str:
        threads.append(threading.current_thread())
        pictures.append(picture)
        return IMAGE

    form = lw.RequestForm(lw.Ray2Request(prompt=CAT), upload=upload)
    control(form, "mode").value = "image"
    page = Page(form.aid)
    page.send("upload", PNG[:60], field="start_image", id="u1", offset=0, size=len(PNG))
    assert page.wait_for(stage="more")["offset"] == 60
    page.send("upload", PNG[60:], field="start_image", id="u1", offset=60, size=len(PNG))
    assert page.wait_for(stage="done")["url"] == IMAGE
    assert pictures == [PNG]
    assert threads[0] is not threading.main_thread()
    assert form.request.start_image == IMAGE
    state = str({name: made.get_state() for name, made in form.controls.by_name.items()})
    assert "....." not in state + str(form.aid.state)


def test_an_upload_that_fails_says_so_beside_its_field() -> None:
    """The error's words are shown at the field, and the field keeps its text."""

    def upload(_picture: bytes) -> str:
        raise lw.MediaError("The service took no picture.")

    form = lw.RequestForm(upload=upload)
    page = Page(form.aid)
    page.send("upload", PNG, field="end_image", id="u1", offset=0, size=len(PNG))
    assert page.wait_for(stage="error", field="end_image")["text"] == "The service took no picture."
    assert control(form, "end_image").value == ""


def test_without_a_service_an_upload_is_refused_in_words() -> None:
    """A form that stands alone says that it is not connected."""
    page = Page(lw.RequestForm().aid)
    page.send("upload", PNG, field="start_image", id="u1", offset=0, size=len(PNG))
    assert "not connected" in page.wait_for(stage="error")["text"]


@pytest.mark.parametrize(
    ("pieces", "size"),
    [
        ([(0, b"GIF89a")], 6),
        ([(0, b"<svg>")], 500),
        ([(0, PNG)], MAX_BYTES + 1),
        ([(0, PNG)], True),
        ([(0, PNG)], len(PNG) - 1),
        ([(5, PNG)], len(PNG) + 5),
        ([(0, PNG), (3, b"x")], len(PNG) + 1),
        ([(0, b"")], 10),
        ([(0, PNG[:8] + b"." * (1 << 20))], 5_000_000),
    ],
)
def test_C9_bad_pictures_are_refused(pieces: list[tuple[int, bytes]], size: Any) -> None:
    """Too large, of another kind, out of order or incomplete: a MediaError, never a picture."""
    inbox = Inbox()
    *before, (offset, piece) = pieces
    for earlier, first in before:
        assert inbox.add("u1", earlier, size, first) is None
    with pytest.raises(lw.MediaError):
        inbox.add("u1", offset, size, piece)


def test_C8_scripts_never_assign_html() -> None:
    """Everything from outside goes into the page as text: no script writes HTML."""
    from luma_widgets.widgets.parts import STATIC

    scripts = {path.name: path.read_text() for path in STATIC.glob("*.js")}
    assert len(scripts) == 8
    for name, text in scripts.items():
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in text, (name, word)
