"""Multipart forms, with the order of their parts, which S3's rules depend on."""

from __future__ import annotations

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from .uploads import Part, UploadRefused


def read_parts(content_type: str, body: bytes) -> list[Part] | None:
    """Take a form apart.

    Returns
    -------
    list of Part or None
        None if the content type is not that of a multipart form.

    Raises
    ------
    UploadRefused
        If the form is broken or has more than 50 parts.
    """
    mimetype, options = parse_options_header(content_type)
    boundary = options.get("boundary", "")
    if mimetype != "multipart/form-data" or not boundary:
        return None
    decoder = MultipartDecoder(boundary.encode("utf-8", "replace"), max_parts=50)
    try:
        decoder.receive_data(body)
        decoder.receive_data(None)
        return _collect(decoder)
    except (ValueError, RequestEntityTooLarge):
        pass
    raise UploadRefused(400, "MalformedPOSTRequest", "The body is no multipart form.")


def _collect(decoder: MultipartDecoder) -> list[Part]:
    parts: list[Part] = []
    head: Field | File | None = None
    chunks: list[bytes] = []
    while not isinstance(event := decoder.next_event(), Epilogue):
        if isinstance(event, NeedData):
            raise ValueError("the form is cut off")
        if isinstance(event, (Field, File)):
            head, chunks = event, []
        elif isinstance(event, Data) and head is not None:
            chunks.append(event.data)
            if not event.more_data:
                parts.append(Part(head.name, b"".join(chunks), isinstance(head, File)))
    return parts
