"""One request for a Luma Ray 2 video: every option declared once, and its JSON form."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from functools import cache
from typing import Any, Self

from traitlets import HasTraits

from .errors import Problem, RequestError
from .fields import Choice, Field, Flag, ImageUrl, Text, fields_of
from .payloads import IMAGES, flatten, in_order, read_images

CREATE_URL = "https://api.pixwith.ai/api/task/create"


class Ray2Request(HasTraits):
    """A request for one video. It may be an incomplete draft, but never one of a wrong type.

    Every argument is optional and by keyword. Types are exact: ``duration=5.0`` and
    ``duration="5"`` are refused. A blank prompt and rules between options are not checked on
    assignment but by :meth:`problems` and :meth:`payload`, so options can be edited in any order.

    Parameters
    ----------
    prompt : str, default ""
        What the video shows. A request needs one before it can be sent.
    start_image, end_image : str or None, default None
        Addresses (http or https) of the pictures that the video begins and ends with.
    image_urls : list of str, optional
        The same pictures in the form of the service: none, the start image, or start and end image.
    model_id : {"2-4", "3-4"}, default "2-4"
    prompt_optimization : bool, default True
    aspect_ratio : {"16:9", "9:16", "1:1", "4:3", "3:4", "9:21", "21:9"}, default "16:9"
    resolution : {"540p", "720p"}, default "540p"
    duration : {5, 9}, default 5
        Seconds.
    loop : bool, default False

    Raises
    ------
    RequestError
        With every bad value and every unknown name at once.

    Examples
    --------
    >>> request = Ray2Request(prompt="A cat walking in the garden", duration=9)
    >>> request.payload()["options"]["duration"]
    9
    >>> request.copy(resolution="720p").resolution
    '720p'
    """

    prompt = Text(
        "",
        label="Prompt",
        help="What the video shows.",
        path="prompt",
    )
    start_image = ImageUrl(
        None,
        label="Start image",
        help="Address of the picture that the video begins with.",
        path=IMAGES,
        required=False,
    )
    end_image = ImageUrl(
        None,
        label="End image",
        help="Address of the picture that the video ends with; it needs a start image.",
        path=IMAGES,
        required=False,
    )
    model_id = Choice(
        ("2-4", "3-4"),
        "2-4",
        label="Model",
        help="Model id: 2-4 for text and images; 3-4, from the documented image example, "
        "only with images.",
        path="model_id",
    )
    prompt_optimization = Flag(
        True,
        label="Translate to English",
        help="Let the service translate the prompt into English.",
        path="options.prompt_optimization",
    )
    aspect_ratio = Choice(
        ("16:9", "9:16", "1:1", "4:3", "3:4", "9:21", "21:9"),
        "16:9",
        label="Aspect ratio",
        help="Width to height of the video.",
        path="options.aspect_ratio",
    )
    resolution = Choice(
        ("540p", "720p"),
        "540p",
        label="Resolution",
        help="Lines of the shorter side of the video.",
        path="options.resolution",
    )
    duration = Choice(
        (5, 9),
        5,
        label="Duration",
        help="Length of the video.",
        path="options.duration",
        unit="seconds",
    )
    loop = Flag(
        False,
        label="Loop",
        help="End the video where it began, so that it repeats without a jump.",
        path="options.loop",
        required=False,
    )

    def __init__(self, **values: Any) -> None:
        super().__init__()
        self._assign(values)

    @classmethod
    def fields(cls) -> tuple[Field, ...]:
        """List the options in their order, as :class:`~luma_widgets.fields.Field` objects."""
        return _fields(cls)

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """Build a request from the JSON body that the service takes.

        Parameters
        ----------
        payload : mapping
            As :meth:`payload` returns it. ``image_urls`` and ``options.loop`` may be missing.

        Raises
        ------
        RequestError
            For bad values, unknown keys and missing required keys, all at once.
        """
        values, problems = flatten(payload, cls.fields())
        try:
            request = cls(**values)
        except RequestError as error:
            problems = [*error.problems, *problems]
        if problems:
            raise RequestError(problems)
        return request

    @property
    def image_urls(self) -> list[str]:
        """The pictures in the form of the service: a new list of 0 to 2 addresses."""
        return [url for url in (self.start_image, self.end_image) if url is not None]

    def values(self) -> dict[str, Any]:
        """Return every option by name, in the order of declaration, drafts included."""
        return {field.name: getattr(self, field.name) for field in self.fields()}

    def problems(self) -> list[Problem]:
        """List what keeps this draft from being sent; empty when it is complete."""
        found = []
        if not self.prompt.strip():
            found.append(Problem("prompt", self.prompt, "must say what the video shows"))
        if self.end_image is not None and self.start_image is None:
            found.append(Problem("end_image", self.end_image, "needs a start image as well"))
        if self.model_id == "3-4" and not self.image_urls:
            found.append(Problem("model_id", self.model_id, "must be '2-4' when there is no image"))
        return found

    def warnings(self) -> list[Problem]:
        """List likely mistakes. They never keep a request from being sent."""
        found = []
        if self.start_image and self.aspect_ratio != type(self).aspect_ratio.default_value:
            found.append(
                Problem(
                    "aspect_ratio",
                    self.aspect_ratio,
                    "is probably ignored when an image is given: the video follows the image",
                )
            )
        if self.loop and self.end_image:
            found.append(Problem("loop", self.loop, "has little effect when an end image is given"))
        if self.start_image and self.start_image == self.end_image:
            found.append(
                Problem("end_image", self.end_image, "is the start image; loop does the same")
            )
        if not self.prompt_optimization and not self.prompt.isascii():
            found.append(
                Problem(
                    "prompt_optimization",
                    self.prompt_optimization,
                    "should be True for a prompt that is not in English",
                )
            )
        return found

    def payload(self) -> dict[str, Any]:
        """Return the JSON body exactly as it is sent.

        Returns
        -------
        dict
            ``image_urls`` is left out when there is no image.

        Raises
        ------
        RequestError
            If :meth:`problems` finds any.
        """
        problems = self.problems()
        if problems:
            raise RequestError(problems)
        body: dict[str, Any] = {}
        for field in self.fields():
            *parents, key = field.path
            place = body
            for parent in parents:
                place = place.setdefault(parent, {})
            if key != IMAGES:
                place[key] = getattr(self, field.name)
            elif self.start_image is not None:
                place[key] = self.image_urls
        return body

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that are equal for equal payloads, on every machine.

        Raises
        ------
        RequestError
            If the draft is incomplete.
        """
        text = json.dumps(self.payload(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def copy(self, **changes: Any) -> Self:
        """Return a new request with some options changed; raises like the constructor."""
        values = self.values()
        images = {field.name for field in _image_fields(type(self))}
        if IMAGES in changes and not images & changes.keys():
            values = {k: v for k, v in values.items() if k not in images}
        return type(self)(**{**values, **changes})

    def as_json(self) -> str:
        """Return the JSON body as readable text; raises like :meth:`payload`."""
        return json.dumps(self.payload(), indent=2, ensure_ascii=False)

    def as_curl(self, url: str = CREATE_URL) -> str:
        """Return a shell command that sends this request; the key comes from the environment.

        Parameters
        ----------
        url : str
            The address of the create call.
        """
        return " \\\n  ".join(
            [
                f"curl -sS -X POST {shlex.quote(url)}",
                '-H "Api-Key: $PIXWITH_API_KEY"',
                "-H 'Content-Type: application/json'",
                f"--data-raw {shlex.quote(json.dumps(self.payload(), ensure_ascii=False))}",
            ]
        )

    def as_python(self) -> str:
        """Return Python code that builds and submits this request; raises like :meth:`payload`."""
        self.payload()
        options = "".join(
            f"    {name}={value!r},\n" for name, value in self.values().items() if value is not None
        )
        return (
            "import luma_widgets as lw\n\n"
            f"request = lw.Ray2Request(\n{options})\n"
            "task = lw.PixwithClient().create_task(request)\n"
        )

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.values() == other.values()

    __hash__ = None  # type: ignore[assignment]  # requests can be edited

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v!r}" for k, v in self.values().items() if v is not None)
        return f"{type(self).__name__}({options})"

    def _assign(self, values: dict[str, Any]) -> None:
        """Set the options that are given, collecting every problem before raising."""
        problems: list[Problem] = []
        if IMAGES in values:
            values = dict(values)
            images, problems = read_images(values.pop(IMAGES), values, _image_fields(type(self)))
            values |= images
        known = _names(type(self))
        for name, value in values.items():
            if name not in known:
                options = ", ".join([*known, IMAGES])
                problems.append(Problem(name, value, f"is no option; the options are {options}"))
                continue
            try:
                setattr(self, name, value)
            except RequestError as error:
                problems.extend(error.problems)
        if problems:
            raise RequestError(in_order(problems, [*known, IMAGES]))


@cache
def _fields(cls: type[Ray2Request]) -> tuple[Field, ...]:
    return fields_of(cls)


def _names(cls: type[Ray2Request]) -> list[str]:
    return [field.name for field in cls.fields()]


def _image_fields(cls: type[Ray2Request]) -> list[Field]:
    return [field for field in cls.fields() if field.path == (IMAGES,)]
