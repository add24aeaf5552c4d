"""The JSON body that the service takes, read back into the options of a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import Problem, RequestError
from .fields import Field, check_url

IMAGES = "image_urls"


def read_images(
    urls: Any, others: Mapping[str, Any], fields: Sequence[Field]
) -> tuple[dict[str, Any], list[Problem]]:
    """Turn the list of images, as the service takes it, into one value for each image option.

    Parameters
    ----------
    urls : object
        What was given as ``image_urls``.
    others : mapping
        The other arguments; giving an image in both forms is a problem.
    fields : sequence of Field
        The image options in the order of the list.

    Returns
    -------
    tuple of (dict, list of Problem)
        The values by the names of the options, and what is wrong.
    """
    names = [field.name for field in fields]
    twice = sorted(others.keys() & set(names))
    if twice:
        return {}, [Problem(IMAGES, urls, f"cannot be given together with {' and '.join(twice)}")]
    if type(urls) not in (list, tuple) or len(urls) > len(names):
        return {}, [Problem(IMAGES, urls, "must be a list of 0, 1 or 2 image addresses")]
    problems, images = [], {}
    for name, url in zip(names, urls, strict=False):
        try:
            if url is None:
                raise ValueError("must hold addresses only; leave out what there is not")
            images[name] = check_url(url)
        except ValueError as error:
            problems.append(Problem(IMAGES, url, str(error)))
    return images, problems


def flatten(
    payload: Mapping[str, Any], fields: Sequence[Field]
) -> tuple[dict[str, Any], list[Problem]]:
    """Turn the nested JSON body into keyword arguments; name what is missing or unknown.

    Raises
    ------
    RequestError
        If it is no JSON object at all.
    """
    if not isinstance(payload, Mapping):
        raise RequestError([Problem("payload", payload, "must be a JSON object (a dict)")])
    groups = {field.path[0] for field in fields if len(field.path) > 1}
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    paths = {field.path: field.name for field in fields if field.path != (IMAGES,)}
    paths[(IMAGES,)] = IMAGES
    for key, value in payload.items():
        inner = value if key in groups and isinstance(value, Mapping) else None
        items = [((key,), value)] if inner is None else [((key, k), v) for k, v in inner.items()]
        for path, item in items:
            if path in paths:
                values[paths[path]] = item
            elif key in groups and inner is None:
                problems.append(Problem(key, value, "must be a JSON object (a dict)"))
            else:
                problems.append(Problem(".".join(map(str, path)), item, "is no known key"))
    wrong = {problem.field for problem in problems}
    missing = (field for field in fields if field.required and field.name not in values)
    problems.extend(
        Problem(field.name, ..., f"is missing at {'.'.join(field.path)}")
        for field in missing
        if field.path[0] not in wrong
    )
    return values, problems


def in_order(problems: list[Problem], order: list[str]) -> list[Problem]:
    """Sort problems by the order of the arguments; unknown names come last."""
    return sorted(problems, key=lambda p: order.index(p.field) if p.field in order else len(order))
