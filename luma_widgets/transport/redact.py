"""Texts that came from outside, made safe to keep: no secrets, no broken characters, bounded."""

from __future__ import annotations

import base64
import html
import json
import re
from urllib.parse import quote, urlsplit

from ..config import ApiKey

EXCERPT = 2048
_HIDDEN = "[hidden]"
# A server may echo a key, in part or in another's name, and the signed parts of an upload or a
# result address work like keys while they last.
_KEYS = re.compile(r"\b(?:(?:key|sim|sk|pk)_|sk-)[0-9A-Za-z_-]{8,}", re.IGNORECASE)
_NAMED = re.compile(
    r"""((?:(?:api[-_ ]?key|authorization)["']?\s*[=:]"""
    # Ordinary sentences hold these words, too ("content policy: ..."), but not like this.
    r"""|(?:token|secret|policy|signature|credential|x-amz-[\w-]+)(?:["']\s*:|["']?\s*=))"""
    r"""\s*["']?(?:bearer\s+|basic\s+)?)[^\s"'&,;<>}]{4,}""",
    re.IGNORECASE,
)
_BROKEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def redact(text: str, key: ApiKey | None = None) -> str:
    """Hide the key, and what is shaped like a key or a signature, in a text.

    Parameters
    ----------
    text : str
        Any text, such as a server's answer.
    key : ApiKey, optional
        Hidden in each of the forms in which a server could echo it.

    Examples
    --------
    >>> redact('{"error": "no such key: key_0123456789abcdef"}')
    '{"error": "no such key: [hidden]"}'
    """
    if key is not None:
        for form in _forms(key):
            text = text.replace(form, _HIDDEN)
    return _NAMED.sub(lambda match: match.group(1) + _HIDDEN, _KEYS.sub(_HIDDEN, text))


def excerpt(body: bytes | None, key: ApiKey | None = None, limit: int = EXCERPT) -> str | None:
    """Return the beginning of an answer's body, to be kept and shown.

    Parameters
    ----------
    body : bytes or None
        What was received, complete or not.
    key : ApiKey, optional
        Hidden in the result.
    limit : int, default 2048
        Characters.

    Returns
    -------
    str or None
        Without secrets and control characters; None where there is no body.
    """
    if not body:
        return None
    # Secrets are hidden before the cut: half a key at the end would no longer look like one.
    return clean(body[: 8 * limit].decode("utf-8", "replace"), key, limit)


def clean(text: str, key: ApiKey | None = None, limit: int = 500) -> str:
    """Return a server's words without secrets, control characters and broken emoji, bounded."""
    safe = redact(_BROKEN.sub("\N{REPLACEMENT CHARACTER}", text), key)
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"


def place(url: str) -> str:
    """Return the part of an address that a message may show: scheme, host and path.

    Examples
    --------
    >>> place("https://user:pw@cdn.example/clip.mp4?signature=abc#x")
    'https://cdn.example/clip.mp4'
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "a malformed address"
    where = f"{host}:{port}" if port else host
    return clean(f"{parts.scheme}://{where}{parts.path}", limit=200)


def _forms(key: ApiKey) -> list[str]:
    value = key.reveal()
    forms = {
        value,
        quote(value, safe=""),
        html.escape(value),
        json.dumps(value)[1:-1],
        base64.b64encode(value.encode()).decode().rstrip("="),
    }
    return sorted(forms, key=len, reverse=True)
