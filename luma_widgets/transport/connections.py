"""Connections that know whether a byte of the request has left, for use under requests."""

from __future__ import annotations

import logging
import socket
import ssl
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

from .deadline import CALL, Call
from .dial import check_name, open_socket


def _quiet(_: logging.LogRecord) -> bool:
    return CALL.get() is None


# urllib3 logs addresses with their signatures, and odd headers as they came. During our calls its
# messages are dropped, and luma_widgets' own tell what happened; other programs' calls keep theirs.
for _name in ("urllib3.connection", "urllib3.connectionpool"):
    logging.getLogger(_name).addFilter(_quiet)


class _Watched(HTTPConnection):
    """Connects within the call's limit, and notes the moment of the first write."""

    _connecting = False

    @property
    def debuglevel(self) -> int:
        """Zero, whatever is assigned: http.client would print the request with its headers."""
        return 0

    @debuglevel.setter
    def debuglevel(self, level: int) -> None:
        pass

    def connect(self) -> None:
        self._connecting = True
        try:
            with _call().connecting():
                super().connect()
        finally:
            self._connecting = False

    def send(self, data: Any) -> None:
        # What is written while connecting is for a proxy ("CONNECT host"), not for the service.
        if not self._connecting:
            if self.sock is None:
                self.connect()
            _call().writing()
        super().send(data)

    def _new_conn(self) -> socket.socket:
        call = _call()
        if self.proxy is not None and self._tunnel_host:
            check_name(self._tunnel_host, call)
        try:
            return open_socket(self._dns_host, self.port or 0, call, check=self.proxy is None)
        except socket.gaierror:
            raise
        except OSError as error:
            raise NewConnectionError(self, "no connection") from error


class _PlainConnection(_Watched):
    pass


class _TLSConnection(_Watched, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


_POOLS = {"http": _PlainPool, "https": _TLSPool}


class Adapter(HTTPAdapter):
    """Send requests through the connections of this module, once each.

    Parameters
    ----------
    context : ssl.SSLContext
        Used for every https connection; nothing else decides what is trusted.
    size : int, default 10
        Connections kept open.
    """

    def __init__(self, context: ssl.SSLContext, size: int = 10) -> None:
        self._context = context
        super().__init__(pool_connections=size, pool_maxsize=size, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Use the pools of this module."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Use the pools and the trust of this module behind a proxy, too."""
        if not proxy.lower().startswith("socks"):
            kwargs.setdefault("proxy_ssl_context", self._context)
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def build_connection_pool_key_attributes(
        self, request: Any, verify: Any, cert: Any = None
    ) -> Any:
        """Return host and TLS settings; the client's context alone decides what is trusted."""
        host, _ = super().build_connection_pool_key_attributes(request, False, None)
        if host["scheme"] != "https":
            return host, {}
        return host, {"ssl_context": self._context, "cert_reqs": self._context.verify_mode}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Do nothing: requests would load the certificates again for each connection."""


def _call() -> Call:
    call = CALL.get()
    if call is None:
        raise RuntimeError("connections are opened by luma_widgets.transport.exchange only")
    return call
