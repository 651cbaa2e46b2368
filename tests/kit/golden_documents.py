"""Bodies of stored documents, recorded from the running system, and the codecs that read them."""

import importlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shared.durable.operations import OPERATIONS
from shared.persistence.codec import DocumentCodec
from tests.kit.costs import SERVICES
from tests.kit.world import World

FOLDER: Final = Path(__file__).resolve().parents[1] / "golden" / "documents"
_NAME: Final = re.compile(r"(?P<name>[a-z_]+_[a-zA-Z]+)\.schema(?P<schema>\d+)")


@dataclass(frozen=True)
class GoldenDocument:
    """`name` is the service and the document's type."""

    path: Path
    name: str
    schema: int


def goldens() -> Sequence[GoldenDocument]:
    """Return the recorded documents of services, by name and schema."""
    matches = {path: _NAME.fullmatch(path.stem) for path in sorted(FOLDER.glob("*.json"))}
    return [
        GoldenDocument(path, match["name"], int(match["schema"]))
        for path, match in matches.items()
        if match
    ]


def codecs() -> Mapping[str, DocumentCodec[Any]]:
    """Return the codecs of all services by name, with that of operations, which all share."""
    named: dict[str, DocumentCodec[Any]] = {"deployments_operation": OPERATIONS}
    for service in SERVICES:
        for codec in _codecs_of(service):
            named[f"{service}_{codec.type_name}"] = codec
    return named


def _codecs_of(service: str) -> Iterator[DocumentCodec[Any]]:
    try:
        repository = importlib.import_module(f"function_apps.{service}.repository")
    except ModuleNotFoundError:
        return
    for value in vars(repository).values():
        if isinstance(value, DocumentCodec) and value is not OPERATIONS:
            yield value


async def record_missing(world: World) -> Sequence[Path]:
    """Write a golden for each kind of document in *world* that has none of its present schema."""
    known = {(golden.name, golden.schema) for golden in goldens()}
    written = []
    for name, codec in codecs().items():
        if (name, codec.schema) in known:
            continue
        service = name.rpartition("_")[0]
        bodies = [
            dict(document.body)
            for document in await world.documents(service)
            if document.body.get("type") == codec.type_name
        ]
        if bodies:
            path = FOLDER / f"{name}.schema{codec.schema}.json"
            largest = max(bodies, key=lambda body: len(json.dumps(body)))
            path.write_text(json.dumps(largest, indent=1, sort_keys=True) + "\n")
            written.append(path)
    return written
