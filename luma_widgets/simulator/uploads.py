"""Presigned uploads as S3 does them: a signed policy, and a form that must keep to it exactly."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .signing import Signer

MAX_BYTES = 10 * 1024 * 1024
UPLOAD_LIFETIME = 600.0
"""Seconds that a presigned upload works."""

CONTENT_TYPES = {"jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png"}
_NAME = re.compile(r"[^/\\\x00-\x1f\ud800-\udfff]{1,250}\.(jpe?g|png)", re.IGNORECASE)
_SIGNATURE = "x-amz-signature"


class UploadRefused(Exception):  # noqa: N818 - an answer, not a failure
    """An upload that the policy does not allow.

    Parameters
    ----------
    status : int
        HTTP status, as S3 answers.
    code : str
        S3's own word for it.
    message : str
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True)
class Part:
    """One part of a multipart form, in its place."""

    name: str
    value: bytes
    is_file: bool


def name_problem(name: Any, content_type: Any) -> str:
    """Say what is wrong with a picture's name and type; empty if nothing is."""
    match = _NAME.fullmatch(name) if isinstance(name, str) else None
    if not match:
        return "image_name: must be a file name that ends in .jpg, .jpeg or .png"
    expected = CONTENT_TYPES[match.group(1).lower()]
    if content_type != expected:
        return f"content_type: must be {expected} for this image_name"
    return ""


def presign(signer: Signer, image_name: str, content_type: str, now: float) -> dict[str, str]:
    """Return the form fields that allow one upload during the next 10 minutes."""
    ending = image_name.rpartition(".")[2].lower()
    fields = {
        "key": f"uploads/{secrets.token_hex(16)}.{ending}",
        "Content-Type": content_type,
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": f"SIMULATOR/{_utc(now):%Y%m%d}/simulator/s3/aws4_request",
        "x-amz-date": f"{_utc(now):%Y%m%dT%H%M%SZ}",
    }
    conditions: list[Any] = [{name: value} for name, value in fields.items()]
    conditions.append(["content-length-range", 1, MAX_BYTES])
    policy = {
        "expiration": f"{_utc(now + UPLOAD_LIFETIME):%Y-%m-%dT%H:%M:%S.000Z}",
        "conditions": conditions,
    }
    fields["policy"] = base64.b64encode(json.dumps(policy).encode()).decode()
    fields[_SIGNATURE] = signer.sign(fields["policy"])
    return fields


def check_upload(parts: list[Part], signer: Signer, now: float) -> tuple[str, str, bytes]:
    """Hold a form against the policy that came with it.

    Returns
    -------
    key, content_type, data : str, str, bytes
        Where and as what the picture is to be stored.

    Raises
    ------
    UploadRefused
        If the file is not last, a field is missing, given twice, changed or unknown to the policy,
        the signature is wrong, the policy has expired, or the file is too large.
    """
    if not parts or not parts[-1].is_file or parts[-1].name != "file":
        raise UploadRefused(400, "InvalidArgument", "The file must be the last part, named file.")
    fields = _fields(parts[:-1])
    policy = fields.pop("policy", "")
    if not signer.matches(policy, fields.pop(_SIGNATURE, "")) or not policy:
        raise UploadRefused(403, "SignatureDoesNotMatch", "The signature is not the policy's.")
    rules = json.loads(base64.b64decode(policy))
    if now >= datetime.fromisoformat(rules["expiration"]).timestamp():
        raise UploadRefused(403, "AccessDenied", "Invalid according to Policy: Policy expired.")
    data = parts[-1].value
    _check_conditions(rules["conditions"], fields, len(data))
    return fields["key"], fields["content-type"], data


def _fields(parts: list[Part]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for part in parts:
        name = part.name.lower()
        if part.is_file or name in fields:
            raise UploadRefused(400, "InvalidArgument", "Each field is to be given once, as text.")
        fields[name] = part.value.decode("utf-8", "replace")
    return fields


def _check_conditions(conditions: list[Any], fields: Mapping[str, str], size: int) -> None:
    open_fields = dict(fields)
    for condition in conditions:
        if isinstance(condition, list):
            _, least, most = condition
            if not least <= size <= most:
                code = "EntityTooLarge" if size > most else "EntityTooSmall"
                raise UploadRefused(400, code, f"The file must have {least} to {most} bytes.")
            continue
        for name, value in condition.items():
            if open_fields.pop(name.lower(), None) != value:
                raise _broken(f"the field {name} must be as it was given")
    if open_fields:
        raise _broken("it has extra fields")


def _broken(why: str) -> UploadRefused:
    return UploadRefused(403, "AccessDenied", f"Invalid according to Policy: {why}.")


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
