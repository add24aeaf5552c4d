"""The form: every option of a request, and always a request that is up to date."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ipywidgets
import traitlets

from ..errors import Problem, RequestError
from ..request import Ray2Request
from .controls import Controls
from .form_aid import FormAid, Upload

_MEMORY = 64  # clicks whose ids are remembered, so that a repeated message does nothing


@dataclass(frozen=True)
class Click:
    """One press of the Generate button.

    Parameters
    ----------
    id : str
        Unique to this press; it comes from the browser where there is one.
    request : Ray2Request
        A complete request: the form has no open problem.
    repeats : int
        How many videos to make of it.
    """

    id: str
    request: Ray2Request
    repeats: int


class RequestForm(ipywidgets.Box):  # type: ignore[misc]  # ipywidgets has no types
    """A form for one video, made from the declared options of :class:`~luma_widgets.Ray2Request`.

    Parameters
    ----------
    request : Ray2Request, optional
        What the form shows at first; the defaults of a new request otherwise.
    upload : callable, optional
        Takes the bytes of a local picture and returns its address, for example
        ``client.upload_image``. It runs on a background thread. Without it, images are given by
        address only.
    **kwargs
        Traits of :class:`ipywidgets.Box`.

    Attributes
    ----------
    request : Ray2Request
        What the form shows, as a new object after each edit; set it to fill the form in. A value
        that cannot be part of a request is left out and listed in ``problems``.
    problems : tuple of Problem
        What keeps the request from being sent; empty when it is complete.
    repeats : int
        How many videos Generate asks for, 1 to 20.

    Examples
    --------
    >>> form = RequestForm(Ray2Request(prompt="A cat walking in the garden", duration=9))
    >>> form.request.duration, form.problems
    (9, ())
    """

    request = traitlets.Instance(Ray2Request)
    problems = traitlets.Tuple(())

    def __init__(
        self, request: Ray2Request | None = None, *, upload: Upload | None = None, **kwargs: Any
    ) -> None:
        self._lock = threading.RLock()
        self._loading = True
        self._callbacks: list[Callable[[Click], object]] = []
        self._clicks: list[str] = []
        self.controls = Controls(Ray2Request.fields())
        self.generate = ipywidgets.Button(
            description="Generate",
            tooltip="Make the video",
            layout=self.controls.layout,
            _dom_classes=("lw-generate",),
        )
        self.aid = FormAid(
            list(self.controls.by_name),
            upload=upload,
            on_uploaded=self._uploaded,
            on_generate=self._clicked,
            layout=self.controls.layout,
        )
        children = (*self.controls.by_name.values(), self.aid, self.generate)
        kwargs = {"layout": self.controls.layout, **kwargs}
        super().__init__(children, _dom_classes=("lw", "lw-form"), **kwargs)
        for control in self.controls.by_name.values():
            control.observe(self._edited, "value")
        self.generate.on_click(lambda _button: self._clicked(uuid.uuid4().hex, {}))
        self._loading = False
        self.request = Ray2Request() if request is None else request

    @property
    def repeats(self) -> int:
        """How many videos Generate asks for, 1 to 20."""
        return int(self.controls.repeats.value)

    @repeats.setter
    def repeats(self, count: int) -> None:
        self.controls.repeats.value = count

    @property
    def preflight(self) -> str:
        """The line above the button that says what Generate will cost."""
        return str(self.aid.preflight)

    @preflight.setter
    def preflight(self, text: str) -> None:
        self.aid.preflight = text

    def on_generate(self, callback: Callable[[Click], object]) -> None:
        """Call ``callback(click)`` for each press of Generate.

        An exception in it is shown in the form. Submit with ``take=click.id``, so that a press is
        paid for once however often its message comes.
        """
        self._callbacks.append(callback)

    def confirm(self, click: Click, text: str, yes: str, then: Callable[[], object]) -> None:
        """Ask in the form whether to go on.

        Parameters
        ----------
        click : Click
            What is asked about.
        text : str
            The question.
        yes : str
            The words on the button that agrees.
        then : callable
            Called without arguments after that button was pressed; its exceptions are shown.
        """
        self.aid.ask(click.id, text, yes, then)

    def close(self) -> None:
        """Take the form and its controls away."""
        for child in self.children:
            child.close()
        super().close()

    @traitlets.validate("request")
    def _own_copy(self, proposal: Any) -> Ray2Request:
        # A request can be edited; the form's must not change under it.
        request: Ray2Request = proposal["value"]
        return request.copy()

    @traitlets.observe("request")
    def _load(self, change: Any) -> None:
        """Show a request that was set from outside."""
        if self._loading:
            return
        request: Ray2Request = change["new"]
        with self._lock:
            self._loading = True
            try:
                self.controls.mode.value = "image" if request.image_urls else "text"
                for name, value in request.values().items():
                    self.controls.write(name, value)
            finally:
                self._loading = False
            self._describe(request, request.problems())
        self.aid.send({"type": "load"})

    def _edited(self, _change: object = None) -> None:
        """Make the new request after an edit, by hand or by an upload."""
        with self._lock:
            if self._loading:
                return
            request, problems = self._draft()
            self._loading = True
            try:
                self.request = request
            finally:
                self._loading = False
            self._describe(request, problems)

    def _draft(self) -> tuple[Ray2Request, list[Problem]]:
        """Build a request of what the controls show, leaving out what cannot be part of one."""
        fields = self.controls.fields.values()
        image = self.controls.mode.value == "image"
        values = {
            field.name: self.controls.read(field.name)
            for field in fields
            if image or field.kind != "url"
        }
        refused: list[Problem] = []
        try:
            request = Ray2Request(**values)
        except RequestError as error:
            refused = list(error.problems)
            names = {problem.field for problem in refused}
            request = Ray2Request(**{k: v for k, v in values.items() if k not in names})
        urls = {field.name for field in fields if field.kind == "url"}
        names = {problem.field for problem in refused}
        if names & urls:  # rules about images would speak of what is only mistyped
            names |= {*urls, "model_id"}
        elif image and not request.image_urls:
            text = "must be given here; to use none, choose Text to video"
            refused.append(Problem("start_image", ..., text))
        return request, [*refused, *(p for p in request.problems() if p.field not in names)]

    def _describe(self, request: Ray2Request, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        self.generate.disabled = bool(problems)
        self.aid.describe(request, problems, images=self.controls.mode.value == "image")

    def _uploaded(self, name: str, url: str) -> None:
        self.controls.write(name, url)

    def _clicked(self, click: str, shown: dict[str, Any]) -> None:
        """Handle one press: take over what the page shows, then tell the callbacks, once."""
        with self._lock:
            if click in self._clicks:
                return
            self._clicks = [*self._clicks[-_MEMORY:], click]
            self._take_over(shown)
            if self.problems:
                return
            press = Click(click, self.request.copy(), self.repeats)
        for callback in self._callbacks:
            self.aid.guard(lambda callback=callback: callback(press))  # type: ignore[misc]

    def _take_over(self, shown: dict[str, Any]) -> None:
        """Believe the page: an edit may still be on its way when Generate is pressed."""
        self._loading = True
        before = [control.value for control in self.controls.by_name.values()]
        try:
            for name in self.controls.by_name.keys() & shown.keys():
                self.controls.write_shown(name, shown[name])
        finally:
            self._loading = False
        if before != [control.value for control in self.controls.by_name.values()]:
            self._edited()
