"""Where the key, the service's address and the log come from: arguments first, then environment."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlsplit

from .errors import ConfigurationError

SERVICE_URL = "https://api.pixwith.ai"
KEY_VARIABLE = "PIXWITH_API_KEY"
URL_VARIABLE = "PIXWITH_BASE_URL"
LOG_VARIABLE = "LUMA_WIDGETS_LOG"
DEFAULT_LOG = "luma.sqlite"
_MAX_KEY = 512


class ApiKey:
    """An API key that does not show itself.

    Parameters
    ----------
    value : str
        The key: printable ASCII without spaces, at most 512 characters.

    Raises
    ------
    ConfigurationError
        If the text cannot be a key. The message never quotes it.

    Examples
    --------
    >>> ApiKey("key_0123")
    <API key, hidden>
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        problem = _key_problem(value)
        if problem:
            del value  # tracebacks can show the variables of each frame
            raise ConfigurationError(problem)
        self._value = value.strip(" ")

    def reveal(self) -> str:
        """Return the key itself. Only the transport calls this, at the moment of sending."""
        return self._value

    def __repr__(self) -> str:
        return "<API key, hidden>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ApiKey) and other._value == self._value

    def __hash__(self) -> int:
        return hash((ApiKey, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key is never pickled or copied into a file")


class _MalformedKey(ApiKey):
    """Stands for a key that cannot be one, and knows why."""

    __slots__ = ("problem",)

    def __init__(self, problem: str) -> None:
        self._value = ""
        self.problem = problem


def masked(value: str | ApiKey | None) -> ApiKey | None:
    """Hide a key that was given as text; never raises.

    Constructors do this first: whatever fails in them later, a traceback that prints variables
    has no key to print. A malformed key is reported by :meth:`Settings.load`.

    Parameters
    ----------
    value : str, ApiKey or None

    Examples
    --------
    >>> masked("key_0123"), masked(None)
    (<API key, hidden>, None)
    """
    if isinstance(value, ApiKey):
        return value
    if value is None or value == "":
        return None
    problem = _key_problem(value)
    return _MalformedKey(problem) if problem else ApiKey(value)


@dataclass(frozen=True)
class Settings:
    """What the session works with.

    Parameters
    ----------
    api_key : ApiKey or None
        None where there is no key; the simulator is used then.
    base_url : str
        Origin of the service, without a trailing slash.
    log : str
        Path or SQLAlchemy URL of the log.
    """

    api_key: ApiKey | None
    base_url: str
    log: str

    @classmethod
    def load(
        cls,
        *,
        api_key: str | ApiKey | None = None,
        base_url: str | None = None,
        log: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Settings:
        """Read the settings: each argument first, then its environment variable, then the default.

        Parameters
        ----------
        api_key : str or ApiKey, optional
            Else ``PIXWITH_API_KEY``. Ignored on Binder, where only the simulator is used.
        base_url : str, optional
            Else ``PIXWITH_BASE_URL``, else ``https://api.pixwith.ai``.
        log : str, optional
            Else ``LUMA_WIDGETS_LOG``, else ``luma.sqlite`` in the working folder.
        environ : mapping, optional
            Stands in for ``os.environ``.

        Raises
        ------
        ConfigurationError
            If a key or an address is malformed.
        """
        api_key = masked(api_key)
        found = _find(os.environ if environ is None else environ, api_key, base_url, log)
        if isinstance(found, str):
            del environ  # tracebacks can show the variables of each frame
            raise ConfigurationError(found)
        return found


def on_binder(environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether this is a Binder session: public machines, where no key must be used."""
    return any(name.startswith("BINDER_") for name in (os.environ if environ is None else environ))


def check_base_url(url: str) -> str:
    """Return the normal form of a service's address.

    Raises
    ------
    ConfigurationError
        Unless it is ``https://host[:port][/path]``; plain http is for this machine only.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except (ValueError, TypeError, AttributeError):
        host, parts, port = "", urlsplit(""), None
    plain = str(url).isprintable() and " " not in str(url)
    if parts.scheme not in ("http", "https") or not host or not plain:
        raise ConfigurationError("The base URL must look like https://api.pixwith.ai.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigurationError("The base URL must not hold a user name, a query or a fragment.")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"The base URL of {host} must begin with https://: the API key would be readable "
            "on its way. Plain http is only for this machine (127.0.0.1)."
        )
    name = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}[parts.scheme]
    where = name if port in (None, default) else f"{name}:{port}"
    return f"{parts.scheme}://{where}{parts.path.rstrip('/')}"


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _find(
    env: Mapping[str, str], api_key: ApiKey | None, base_url: str | None, log: str | None
) -> Settings | str:
    """Return the settings, or in words what is wrong with them."""
    key = None if on_binder(env) else (api_key or masked(env.get(KEY_VARIABLE)))
    if isinstance(key, _MalformedKey):
        return key.problem
    try:
        return Settings(
            api_key=key,
            base_url=check_base_url(base_url or env.get(URL_VARIABLE) or SERVICE_URL),
            log=log or env.get(LOG_VARIABLE) or DEFAULT_LOG,
        )
    except ConfigurationError as error:
        return str(error)


def _key_problem(value: Any) -> str | None:
    if type(value) is not str or not value.strip():
        return (
            f"The API key is empty. Pass api_key= or set the environment variable {KEY_VARIABLE}."
        )
    key = value.strip(" ")
    if len(key) > _MAX_KEY or not all("!" <= character <= "~" for character in key):
        return (
            "The API key holds characters that no key has (a line break, a space or a non-Latin "
            "letter). Copy it again; it is not shown here."
        )
    return None
