"""HTTP of the simulator: one request in, one response out.

What a browser page of another site could misuse is refused before anything is looked at: other Host
names (403), other methods (405), other content types (415). There are no CORS headers.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from html import escape
from typing import Any

from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from ..strictjson import load_json
from .calls import COMPLETED, Calls, Refused, status_of
from .forms import read_parts
from .renderer import Renderer
from .signing import Signer
from .state import State
from .uploads import UploadRefused, check_upload

TEST_KEY = f"key_{'0' * 32}"
"""The documented test key; the only key beginning with ``key_`` that the simulator takes."""

_RULES = [
    *(
        Rule(f"/api/task/{name}", endpoint=f"call:{name}", methods=["POST"])
        for name in ("create", "get", "get_credits", "pre_url")
    ),
    Rule("/uploads", endpoint="upload", methods=["POST"]),
    Rule("/uploads/<name>", endpoint="picture", methods=["GET"]),
    Rule("/results/<task_id>/0.mp4", endpoint="result", methods=["GET"]),
    Rule("/", endpoint="page", methods=["GET"]),
]
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>luma_widgets simulator</title>
<h1>luma_widgets simulator</h1>
<p>This is a simulator on this machine. It makes no real videos, costs no money and sends nothing
anywhere.</p><p>Tasks so far: {tasks}. Simulator credits left: {credits}.</p></html>
"""


class App:
    """The simulator as a WSGI application.

    Parameters
    ----------
    state : State
    calls : Calls
    renderer : Renderer
    keys : set of str
        The API keys that are taken.
    clock : callable
        Returns seconds since the epoch.
    """

    def __init__(
        self,
        state: State,
        calls: Calls,
        renderer: Renderer,
        *,
        keys: set[str],
        clock: Callable[[], float],
    ) -> None:
        self._state, self._calls, self._renderer = state, calls, renderer
        self._keys, self._clock = keys, clock
        self._signer = Signer(state.secret)
        # empty() makes a copy: a rule can belong to one map only, and there may be many simulators.
        self._map = Map([rule.empty() for rule in _RULES], merge_slashes=False)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Answer by the WSGI protocol."""
        return self.handle(Request(environ))(environ, start_response)

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        port = request.environ["SERVER_PORT"]
        if request.headers.get("Host") not in _hosts(port):
            return _refusal(403, f"This simulator answers only to 127.0.0.1:{port}.")
        try:
            endpoint, values = self._map.bind("simulator").match(request.path, request.method)
        except MethodNotAllowed as error:
            response = _refusal(405, "This address does not take this method.")
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
            return response
        except HTTPException:
            return _refusal(404, "There is nothing at this address.")
        if endpoint.startswith("call:"):
            return self._call(endpoint.removeprefix("call:"), request)
        if "Api-Key" in request.headers and endpoint != "page":
            return _refusal(403, "The API key must not be sent with uploads and downloads.")
        answer: Response = getattr(self, f"_{endpoint}")(request, **values)
        return answer

    def _call(self, name: str, request: Request) -> Response:
        """Answer one of the four calls of the contract."""
        body = request.get_data()
        if not _is_json(request, optional=name == "get_credits" and not body):
            return _refusal(415, "The Content-Type must be application/json.")
        try:
            if not self._key_is_good(request.headers.get("Api-Key", "")):
                raise Refused("Invalid API KEY", 2)
            payload = {} if name == "get_credits" and not body else _json(body)
            origin = f"http://{request.headers['Host']}"
            return _answer(getattr(self._calls, name)(payload, origin))
        except Refused as refused:
            return _answer(refused.envelope())

    def _upload(self, request: Request) -> Response:
        try:
            parts = read_parts(request.headers.get("Content-Type", ""), request.get_data())
            if parts is None:
                return _refusal(415, "The Content-Type must be multipart/form-data.")
            key, content_type, data = check_upload(parts, self._signer, self._clock())
        except UploadRefused as refused:
            text = (
                '<?xml version="1.0" encoding="UTF-8"?>\n<Error>'
                f"<Code>{refused.code}</Code><Message>{escape(refused.message)}</Message></Error>"
            )
            return Response(text, refused.status, mimetype="application/xml")
        self._state.add_upload(key.removeprefix("uploads/"), content_type, data)
        return Response(status=204)

    def _picture(self, request: Request, name: str) -> Response:
        del request
        found = self._state.upload(name)
        if found is None:
            return _refusal(404, "There is no such picture.")
        response = Response(found[1], mimetype=found[0])
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    def _result(self, request: Request, task_id: str) -> Response:
        query = request.args
        expires, signature = query.get("expires", ""), query.get("signature", "")
        if not self._signer.result_allowed(request.path, expires, signature, self._clock()):
            return _refusal(403, "This address has expired; task/get gives a new one.")
        task = self._state.task(task_id)
        if task is None or status_of(task, self._clock()) != COMPLETED:
            return _refusal(404, "There is no such video.")
        data = self._renderer.clip(task)
        response = Response(data, mimetype="video/mp4")
        try:
            response.make_conditional(request, accept_ranges=True, complete_length=len(data))
        except HTTPException:
            response = _refusal(416, "There is no such part of this video.")
            response.headers["Content-Range"] = f"bytes */{len(data)}"
        return response

    def _page(self, request: Request) -> Response:
        del request
        text = _PAGE.format(tasks=len(self._state.tasks()), credits=f"{self._state.balance():g}")
        return Response(text, mimetype="text/html")

    def _key_is_good(self, given: str) -> bool:
        # Every key is compared, so that the time taken says nothing.
        known = [hmac.compare_digest(given.encode(), key.encode()) for key in self._keys]
        return any(known)


def _hosts(port: str) -> set[str]:
    names = {"127.0.0.1", "localhost"}
    return {f"{name}:{port}" for name in names} | (names if port == "80" else set())


def _is_json(request: Request, *, optional: bool) -> bool:
    if optional and "Content-Type" not in request.headers:
        return True
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    return request.mimetype == "application/json" and charset in ("utf-8", "utf8")


def _json(body: bytes) -> Any:
    try:
        return load_json(body)
    except ValueError as error:
        message = f"The body must be valid JSON: {error}"
    raise Refused(message)


def _answer(envelope: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(envelope), status, mimetype="application/json")


def _refusal(status: int, message: str) -> Response:
    return _answer({"code": 0, "message": message, "data": None}, status)
