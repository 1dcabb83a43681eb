"""What the functions' AWS clients read of botocore's data, for the packages to carry.

A client starts with reading the description of its service, for RDS 1.7 MB of JSON, and all endpoints of AWS, 1.2 MB.
That is most of what a cold start costs beyond importing the code. Here are the same descriptions without the operations
that no code of the package names and without documentation; `handlers.gateways.aws` lets clients look here first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from botocore import xform_name
from botocore.exceptions import DataNotFoundError
from botocore.loaders import Loader

from handlers.gateways.aws import MODELS, SERVICES

# For S3, botocore asks for more by itself: it looks for a bucket's region, and opens sessions.
WHOLE = frozenset({"s3"})
PARTITION = "aws"  # both regions are in it: the control table is consistent between regions of no other one
WORD = re.compile(r"\w+")


def service_models(sources: Iterable[str]) -> dict[str, bytes]:
    """Returns the content of the files of `MODELS`, by their names in the package, for a package with these sources.

    Botocore makes a method of each operation; one whose name is no word of the sources cannot be called.
    """
    words = {word for source in sources for word in WORD.findall(source)}
    loader = Loader()
    files = {"endpoints": _endpoints(loader.load_data("endpoints"))}
    for service in sorted({*SERVICES} - WHOLE):
        version = loader.determine_latest_version(service, "service-2")
        model, extended = loader.load_service_model(service, "service-2"), _extended(loader, service, version)
        files[f"{service}/{version}/service-2"] = _trimmed(model, words, extended)
    folder = f"handlers/{MODELS.name}"
    return {f"{folder}/{name}.json": json.dumps(data, separators=(",", ":")).encode() for name, data in files.items()}


def _endpoints(data: Mapping[str, Any]) -> dict[str, Any]:
    (partition,) = (each for each in data["partitions"] if each["partition"] == PARTITION)
    kept = {name: service for name, service in partition["services"].items() if name in SERVICES}
    return {**data, "partitions": [partition | {"services": kept}]}


def _extended(loader: Loader, service: str, version: str) -> set[str]:
    """Returns the shapes to which botocore's loader adds members; it would make half a shape of one that is missing."""
    try:
        extras = loader.load_data(f"{service}/{version}/service-2.sdk-extras")
    except DataNotFoundError:
        return set()
    return set(extras["merge"].get("shapes", ()))


def _trimmed(model: Mapping[str, Any], words: set[str], extended: set[str]) -> dict[str, Any]:
    operations = {name: each for name, each in model["operations"].items() if xform_name(name) in words}
    needed: set[str] = set()
    waiting = [*_shapes_in(operations), *extended]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting.extend(_shapes_in(model["shapes"][name]))
    shapes = {name: shape for name, shape in model["shapes"].items() if name in needed}
    trimmed: dict[str, Any] = _undocumented({**model, "operations": operations, "shapes": shapes})
    return trimmed


def _shapes_in(data: Any) -> Iterator[str]:
    """Yields the names of the shapes that a part of a model refers to."""
    if isinstance(data, dict):
        if isinstance(data.get("shape"), str):
            yield data["shape"]
        for inner in data.values():
            yield from _shapes_in(inner)
    elif isinstance(data, list):
        for inner in data:
            yield from _shapes_in(inner)


def _undocumented(data: Any) -> Any:
    if isinstance(data, dict):
        # A member of that name would be a mapping.
        texts = {name for name, inner in data.items() if name == "documentation" and isinstance(inner, str)}
        return {name: _undocumented(inner) for name, inner in data.items() if name not in texts}
    return [_undocumented(inner) for inner in data] if isinstance(data, list) else data
