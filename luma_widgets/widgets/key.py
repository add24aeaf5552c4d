"""A field for the API key, which never becomes part of a notebook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import traitlets

from ..config import KEY_VARIABLE, ApiKey, Settings, masked, on_binder
from .parts import Buffers, Part, script, style

_BINDER = "Binder machines are public, so only the simulator is used here. Never enter a key."


class ApiKeyField(Part):
    """Takes the API key for this session.

    The browser sends what was typed in one message and clears the field. Python keeps it in a
    plain attribute, so neither a saved notebook nor its widget state ever holds it. On Binder the
    field is off.

    Parameters
    ----------
    api_key : str or ApiKey, optional
        A key that is there already; the environment variable ``PIXWITH_API_KEY`` otherwise.
    environ : mapping, optional
        Stands in for ``os.environ``.

    Attributes
    ----------
    has_key : bool
        Whether there is a key. The only thing about it that the browser is told.

    Raises
    ------
    ConfigurationError
        If the given key is malformed. The message never quotes it.

    Examples
    --------
    >>> field = ApiKeyField(environ={})
    >>> field.has_key, field.api_key
    (False, None)
    """

    _esm = script("key")
    _css = style("key")
    has_key = traitlets.Bool(False).tag(sync=True)
    reason = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self,
        api_key: str | ApiKey | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        api_key = masked(api_key)
        self._key = Settings.load(api_key=api_key, environ=environ).api_key
        self._callbacks: list[Callable[[ApiKey | None], object]] = []
        reason = _BINDER if on_binder(environ) else ""
        super().__init__(has_key=self._key is not None, reason=reason, **kwargs)

    @property
    def api_key(self) -> ApiKey | None:
        """The key, masked in print; None where there is none."""
        return self._key

    def on_key(self, callback: Callable[[ApiKey | None], object]) -> None:
        """Call ``callback(key)`` when a key was entered, and ``callback(None)`` on Forget.

        An exception in it is shown beside the field, and the key is not taken over.
        """
        self._callbacks.append(callback)

    def _on_key(self, content: dict[str, Any], _buffers: Buffers) -> None:
        if not self.reason:
            self._change(ApiKey(content.pop("key", "")))

    def _on_forget(self, _content: dict[str, Any], _buffers: Buffers) -> None:
        self._change(None)

    def _change(self, key: ApiKey | None) -> None:
        before, self._key = self._key, key
        try:
            for callback in self._callbacks:
                callback(key)
        except BaseException:
            self._key = before
            raise
        self.has_key = key is not None
        if key is None and before is not None:
            text = f"Forgotten here. A key in {KEY_VARIABLE} would be used again after a restart."
            self.send({"type": "message", "text": text, "tone": "quiet"})
