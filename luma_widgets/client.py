"""The service's calls: create a task, ask for it, ask for the balance, upload an image."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self
from urllib.parse import urlsplit

from .config import KEY_VARIABLE, ApiKey, Settings, is_loopback, masked, on_binder
from .errors import ConfigurationError, Problem, RequestError, ServiceError
from .media import images
from .media.download import download
from .request import Ray2Request
from .transport import create, reads, uploads
from .transport.deadline import tls_context
from .transport.retries import Backoff, RetryQuota
from .transport.session import KeyAuth, Session, check_proxies
from .transport.tasks import Task, TaskState, TaskStatus, task_state

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["PixwithClient", "Task", "TaskState", "TaskStatus"]


class PixwithClient:
    """A client of the Pixwith API, safe to use from several threads.

    Parameters
    ----------
    api_key : str or ApiKey, optional
        Else the environment variable ``PIXWITH_API_KEY``.
    base_url : str, optional
        Else ``PIXWITH_BASE_URL``, else ``https://api.pixwith.ai``. Plain http is for this machine.
    timeout : float, default 60
        Seconds for each attempt at a paid call, and for a free call with all its retries.
    proxies : mapping, optional
        Such as ``{"https": "http://proxy.example:3128"}``. The environment's are never used.
    verify : bool or str, default True
        Which certificates to trust: True, or the path of a file or folder of certificates. False
        trusts anybody who answers with your API key.
    name : str, optional
        What the log records instead of the base URL, such as ``"simulator"``.
    backoff : Backoff, optional
        How long to wait between attempts.

    Raises
    ------
    ConfigurationError
        If there is no key, if an argument is malformed, and on Binder for any address but this
        machine's own.

    Examples
    --------
    >>> PixwithClient(api_key="key_0123", base_url="http://127.0.0.1:8000")
    PixwithClient(base_url='http://127.0.0.1:8000')
    """

    def __init__(
        self,
        api_key: str | ApiKey | None = None,
        *,
        base_url: str | None = None,
        timeout: float = 60.0,
        proxies: Mapping[str, str] | None = None,
        verify: bool | str = True,
        name: str | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        api_key = masked(api_key)
        settings = Settings.load(api_key=api_key, base_url=base_url)
        self.base_url = settings.base_url
        self._key = _key(settings, api_key, self.local)
        self.name = name or self.base_url
        self._timeout = _seconds(timeout)
        self._auth = KeyAuth(self._key)
        self._proxies = check_proxies(proxies)
        self._context = _context(verify)
        self._reads = Session(self._context, self._proxies)
        self._media = Session(self._context, self._proxies)
        self._backoff = backoff or Backoff()
        self._quota = RetryQuota()

    @property
    def local(self) -> bool:
        """Whether the service is on this machine, as a simulator is."""
        return is_loopback(urlsplit(self.base_url).hostname or "")

    def create_task(
        self,
        request: Ray2Request,
        *,
        attempts: int = 3,
        before_send: Callable[[], object] | None = None,
    ) -> Task:
        """Submit a request for one video. This is the one call that costs credits.

        What may have reached the service is never sent again.

        Parameters
        ----------
        request : Ray2Request
        attempts : int, default 3
            How often to try while provably nothing was sent: no connection, no valid certificate.
        before_send : callable, optional
            Called in each attempt when the connection stands, just before the first byte. What it
            raises is passed on as it is, and nothing is sent.

        Returns
        -------
        Task

        Raises
        ------
        RequestError
            If the request is not valid. Nothing was sent.
        AuthenticationError, InsufficientCreditsError, RejectedError
            If the service refused. Nothing was charged.
        NotSentError
            If nothing reached the service; ``RateLimitedError`` if it answered 429.
        OutcomeUnknownError
            If it is not known whether a video was started and charged.
        """
        body = _body(request)
        if type(attempts) is not int or attempts < 1:
            raise ConfigurationError("attempts must be a whole number, 1 or more.")
        sender = create.Sender(
            self._url("task/create"), self._auth, self._key, self._timeout, self._backoff
        )
        return sender.send(
            lambda: Session(self._context, self._proxies), body, attempts, before_send
        )

    def get_task(self, task_id: str) -> TaskState:
        """Ask how a task is doing. Free.

        Parameters
        ----------
        task_id : str
            As ``create_task`` returned it.

        Raises
        ------
        AuthenticationError, RejectedError
            If the service refused, for example because it does not know the task.
        ServiceError
            If there was no usable answer, after the retries.
        """
        if type(task_id) is not str or not task_id:
            raise ConfigurationError("task_id must be the text that create_task returned.")
        return task_state(task_id, self._read("task/get", {"task_id": task_id}))

    def get_credits(self) -> float:
        """Return the balance in credits. Free; raises like :meth:`get_task`."""
        data = self._read("task/get_credits", {})
        balance: Any = data.get("credits") if isinstance(data, dict) else None
        # Exact types: True is no balance.
        if type(balance) not in (int, float) or not math.isfinite(balance) or balance < 0:
            raise ServiceError("The service answered without a usable balance.", code=1)
        return float(balance)

    def upload_image(self, source: str | Path | bytes | Image) -> str:
        """Upload a picture and return the address to use as start or end image. Free.

        Parameters
        ----------
        source : str, Path, bytes or PIL.Image.Image
            A path, the bytes of a JPEG or PNG file, or a picture of Pillow. At most 10 MB and
            40 megapixels.

        Raises
        ------
        MediaError
            If the picture cannot be used or the storage refused it.
        AuthenticationError, RejectedError, ServiceError
            Like :meth:`get_task`.
        """
        picture = images.load(source)
        wanted = {"image_name": picture.name, "content_type": picture.content_type}
        target = uploads.read_target(self._read("task/pre_url", wanted))
        uploads.send(
            self._media,
            target,
            picture,
            own=self._own,
            timeout=self._timeout,
            backoff=self._backoff,
        )
        return target.image_url

    def download(self, url: str, folder: Path, stem: str) -> Path:
        """Save a result's video or picture; see :func:`luma_widgets.media.download.download`."""
        return download(self._media, url, folder, stem, own=self._own)

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._reads.close()
        self._media.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client holds an API key and is never pickled or copied; make a new one")

    @property
    def _own(self) -> str | None:
        """The origin that media may come from although it is on this machine."""
        return self.base_url if self.local else None

    def _url(self, path: str) -> str:
        return f"{self.base_url}/api/{path}"

    def _read(self, path: str, body: Mapping[str, Any]) -> Any:
        reader = reads.Reader(self._reads, self._auth, self._key, self._backoff, self._quota)
        return reader.read(self._url(path), json.dumps(body).encode(), self._timeout)


def _key(settings: Settings, given: ApiKey | None, local: bool) -> ApiKey:
    if on_binder() and not local:
        raise ConfigurationError(
            "This is a Binder session, on a machine that others can look into: no API key is "
            "used here. Use the simulator."
        )
    # Settings take no key on Binder; the key of a simulator on this machine is no secret.
    key = settings.api_key or Settings.load(api_key=given, environ={}).api_key
    if key is None:
        raise ConfigurationError(
            f"There is no API key. Set the environment variable {KEY_VARIABLE} or pass api_key=. "
            "Without a key, the simulator does everything but real videos."
        )
    return key


def _context(verify: bool | str) -> Any:
    try:
        return tls_context(verify)
    except (OSError, TypeError, ValueError):
        pass
    raise ConfigurationError(
        "verify must be True, False or the path of a file or folder of certificates (PEM)."
    )


def _seconds(timeout: float) -> float:
    if type(timeout) not in (int, float) or not 0 < timeout < math.inf:
        raise ConfigurationError("timeout must be a number of seconds above 0.")
    return float(timeout)


def _body(request: Ray2Request) -> bytes:
    """Return the JSON to send, checked once more: options can be changed behind the traits."""
    if not isinstance(request, Ray2Request):
        raise RequestError([Problem("request", request, "must be a Ray2Request")])
    payload = Ray2Request.from_payload(request.payload()).payload()
    return json.dumps(payload, allow_nan=False).encode()
