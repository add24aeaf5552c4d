"""The form's companion: everything the form draws that is not an ordinary control."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import traitlets

from ..errors import MediaError, Problem
from ..request import Ray2Request
from ..threads import start_daemon
from .parts import Buffers, Part, in_words, script, style
from .uploads import Inbox

Upload = Callable[[bytes], str]


class FormAid(Part):
    """Draws counter, problems, thumbnails and uploads beside the controls, and the form's foot.

    Parameters
    ----------
    names : list of str
        The controls to look after, by the names in their ``lw-field-<name>`` classes.
    upload : callable, optional
        Takes a picture's bytes and returns its address; runs on a background thread.
    on_uploaded : callable
        Called with field and address after an upload.
    on_generate : callable
        Called with the click's id and what the controls show.
    """

    _esm = script("images", "form")
    _css = style("form")
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    state = traitlets.Dict().tag(sync=True)
    preflight = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self,
        names: list[str],
        *,
        upload: Upload | None,
        on_uploaded: Callable[[str, str], object],
        on_generate: Callable[[str, dict[str, Any]], object],
        **kwargs: Any,
    ) -> None:
        super().__init__(names=names, _dom_classes=("lw-aid-host",), **kwargs)
        self.upload = upload
        self._uploaded = on_uploaded
        self._generate = on_generate
        self._inboxes: dict[str, Inbox] = {}
        self._answers: dict[str, Callable[[], object]] = {}
        self._request: Ray2Request | None = None
        self._preview = False

    def describe(self, request: Ray2Request, problems: Iterable[Problem], *, images: bool) -> None:
        """Show the state of the form in one message."""
        problems = list(problems)
        self._request = None if problems else request
        notes: dict[str, list[list[str]]] = {}
        for tone, found in (("bad", problems), ("warn", request.warnings())):
            for problem in found:
                notes.setdefault(problem.field, []).append([tone, sentence(problem)])
        state = {"notes": notes, "ready": not problems, "images": images}
        if self._preview and self._request is not None:
            state["preview"] = previews(self._request)
        self.state = state

    def ask(self, click: str, text: str, yes: str, then: Callable[[], object]) -> None:
        """Ask in the form; call ``then()`` on a yes. Only the latest question counts."""
        self._answers = {click: then}
        self.send({"type": "ask", "click": click, "text": text, "yes": yes})

    def say(self, text: str, tone: str = "bad") -> None:
        """Show a sentence above the button; an empty one takes it away."""
        self.send({"type": "message", "text": text, "tone": tone})

    def _on_generate(self, content: dict[str, Any], _buffers: Buffers) -> None:
        click, shown = content.get("click"), content.get("shown")
        if not isinstance(click, str) or not 0 < len(click) <= 64 or not isinstance(shown, dict):
            return
        try:
            self._generate(click, shown)
        finally:
            self.send({"type": "done", "click": click})

    def _on_answer(self, content: dict[str, Any], _buffers: Buffers) -> None:
        then = self._answers.pop(str(content.get("click")), None)
        if then is not None and content.get("ok") is True:
            then()

    def _on_preview(self, content: dict[str, Any], _buffers: Buffers) -> None:
        self._preview = content.get("open") is True
        state = {key: value for key, value in self.state.items() if key != "preview"}
        if self._preview and self._request is not None:
            state["preview"] = previews(self._request)
        self.state = state

    def _on_upload(self, content: dict[str, Any], buffers: Buffers) -> None:
        name, key = str(content.get("field")), str(content.get("id"))
        if name not in self.names:
            return
        inbox = self._inboxes.setdefault(name, Inbox())
        try:
            if self.upload is None:
                raise MediaError("This form is not connected to a service; paste an address.")
            piece = buffers[0] if buffers else b""
            picture = inbox.add(key, content.get("offset"), content.get("size"), piece)
        except MediaError as error:
            self._tell(name, key, "error", str(error))
            return
        if picture is None:
            self._tell(name, key, "more", "Reading the file", offset=inbox.received)
        else:
            self._tell(name, key, "sending", "Uploading")
            start_daemon("upload", lambda: self._send_on(name, key, picture))

    def _send_on(self, name: str, key: str, picture: bytes) -> None:
        """Upload the picture, on a background thread, and put its address into the field."""
        assert self.upload is not None  # noqa: S101 - checked where the picture came in
        try:
            url = self.upload(picture)
            self._uploaded(name, url)
        except Exception as error:  # noqa: BLE001 - a thread has no caller; it is shown
            self._tell(name, key, "error", in_words(error))
        else:
            self._tell(name, key, "done", "Uploaded", url=url)

    def _tell(self, field: str, key: str, stage: str, text: str, **more: Any) -> None:
        news = {"type": "upload", "field": field, "id": key, "stage": stage, "text": text}
        self.send({**news, **more})


def sentence(problem: Problem) -> str:
    """Say a problem as a whole sentence, which begins with the field's label.

    Examples
    --------
    >>> sentence(Problem("start_image", "x", "must be a full address, or None"))
    'Start image must be a full address.'
    """
    labels = {field.name: field.label for field in Ray2Request.fields()}
    text = problem.message.removesuffix(", or None")  # a form has no None: it is left empty
    return f"{labels.get(problem.field, problem.field)} {text}."


def previews(request: Ray2Request) -> dict[str, str]:
    """Return the texts of the preview: exactly what will be sent, in three forms."""
    return {
        "json": request.as_json(),
        "curl": request.as_curl(),
        "python": request.as_python(),
    }
