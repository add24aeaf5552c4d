"""Signatures of the simulator's own addresses and upload policies."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import quote

RESULT_LIFETIME = 3600.0
"""Seconds that the address of a result works; ``task/get`` gives a fresh one."""


class Signer:
    """Sign and check texts with a secret that never leaves the simulator's state.

    Parameters
    ----------
    secret : bytes
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, text: str) -> str:
        """Return 64 hexadecimal digits for a text."""
        return hmac.new(self._secret, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()

    def matches(self, text: str, signature: str) -> bool:
        """Tell whether a signature is that of the text, in constant time."""
        return hmac.compare_digest(self.sign(text).encode(), signature.encode("utf-8", "replace"))

    def result_path(self, task_id: str, number: int, expires: float) -> str:
        """Return the path and query under which a result is served until ``expires``."""
        path = f"/results/{quote(task_id, safe='')}/{number}.mp4"
        until = str(int(expires))
        return f"{path}?expires={until}&signature={self.sign(f'{path} {until}')}"

    def result_allowed(self, path: str, expires: str, signature: str, now: float) -> bool:
        """Tell whether the query of a result's address is genuine and not expired."""
        genuine = self.matches(f"{path} {expires}", signature)
        return genuine and expires.isdecimal() and now < int(expires)
