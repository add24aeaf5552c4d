"""The form's controls, made from the declared options of a request."""

from __future__ import annotations

from typing import Any

import ipywidgets
from ipywidgets.widgets.widget_bool import CheckboxStyle
from ipywidgets.widgets.widget_description import DescriptionStyle
from ipywidgets.widgets.widget_string import TextStyle

from ..fields import Field

MAX_REPEATS = 20
# Choices whose values need words; they become a dropdown.
_WORDS = {
    "model_id": {
        "2-4": "2-4: text and images",
        "3-4": "3-4: id of the documented image example, only with images",
    }
}
_UNITS = {"seconds": "s"}
_HINTS = {
    "text": "A cat walking in the garden",
    "url": "https://… or choose a file",
}


class Controls:
    """One ordinary ipywidget for each option, plus mode and repeats.

    The look is in ``static/form.css``; all controls share one Layout and one style object a
    kind, because each such object costs a message when the form is shown.

    Parameters
    ----------
    fields : tuple of Field
        The options of the request.

    Attributes
    ----------
    by_name : dict of str to ipywidgets.Widget
        In the order of display.
    mode : ipywidgets.ToggleButtons
        Its value is ``"text"`` or ``"image"``.
    repeats : ipywidgets.BoundedIntText
    """

    def __init__(self, fields: tuple[Field, ...]) -> None:
        self.layout = ipywidgets.Layout()
        self._text = TextStyle()
        self._plain = DescriptionStyle()
        self._toggle = ipywidgets.ToggleButtonsStyle()
        self._tick = CheckboxStyle()
        self.fields = {field.name: field for field in fields}
        self.mode = self._toggles(
            "mode", "Start from", [("Text to video", "text"), ("Image to video", "image")]
        )
        self.repeats = ipywidgets.BoundedIntText(
            value=1,
            min=1,
            max=MAX_REPEATS,
            description="Repeats",
            tooltip="How many videos to make of the same request.",
            style=self._plain,
            **self._common("repeats"),
        )
        made = {field.name: self._make(field) for field in fields}
        ticks = [name for name, field in self.fields.items() if field.kind == "flag"]
        rest = {name: made[name] for name in made if name not in ("prompt", "model_id", *ticks)}
        self.by_name: dict[str, Any] = {
            "mode": self.mode,
            "prompt": made["prompt"],
            **rest,
            "repeats": self.repeats,
            **{name: made[name] for name in ticks},
            "model_id": made["model_id"],
        }

    def read(self, name: str) -> Any:
        """Return what an option's control shows, in the request's own type."""
        value = self.by_name[name].value
        return (value.strip() or None) if self.fields[name].kind == "url" else value

    def write(self, name: str, value: Any) -> None:
        """Let an option's control show a value of a request."""
        self.by_name[name].value = "" if value is None else value

    def write_shown(self, name: str, shown: Any) -> None:
        """Take over what the browser reports that a control shows; ignore what cannot be."""
        control = self.by_name[name]
        if hasattr(control, "options"):
            if type(shown) is int and 0 <= shown < len(control.options):
                control.index = shown
        elif type(shown) is type(control.value):
            control.value = shown
        elif control is self.repeats and isinstance(shown, str) and shown.isascii():
            control.value = int(shown) if shown.isdigit() and len(shown) < 5 else control.value

    def _make(self, field: Field) -> Any:
        label = {"description": field.label, "tooltip": field.help}
        common = self._common(field.name)
        if field.kind == "flag":
            return ipywidgets.Checkbox(
                value=field.default, indent=False, style=self._tick, **label, **common
            )
        if field.kind == "choice":
            return self._choice(field)
        make = ipywidgets.Textarea if field.kind == "text" else ipywidgets.Text
        return make(
            value=field.default or "",
            placeholder=_HINTS[field.kind],
            continuous_update=False,  # each key would cost three messages
            style=self._text,
            **label,
            **common,
        )

    def _choice(self, field: Field) -> Any:
        words = _WORDS.get(field.name)
        if words is None:
            unit = _UNITS.get(field.unit, field.unit)
            options = [(f"{value} {unit}".strip(), value) for value in field.choices]
            return self._toggles(field.name, field.label, options, value=field.default)
        return ipywidgets.Dropdown(
            options=[(words.get(value, str(value)), value) for value in field.choices],
            value=field.default,
            description=field.label,
            tooltip=field.help,
            style=self._plain,
            **self._common(field.name),
        )

    def _toggles(
        self,
        name: str,
        label: str,
        options: list[tuple[str, Any]],
        **value: Any,
    ) -> Any:
        return ipywidgets.ToggleButtons(
            options=options,
            description=label,
            style=self._toggle,
            **value,
            **self._common(name),
        )

    def _common(self, name: str) -> dict[str, Any]:
        return {"layout": self.layout, "_dom_classes": ("lw-field", f"lw-field-{name}")}
