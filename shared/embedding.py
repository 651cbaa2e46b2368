"""What an embedding host gives the apps it runs in its own process.

In Azure there is no embedding and the composition root opens the SDK adapters. In the embedded host
the same settings say `embedded`, and the host has put its parts here before it imports an app.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Invalid
from shared.messaging.broker import MessageSender
from shared.persistence.blobs import Blobs
from shared.persistence.store import Store
from shared.persistence.tables import Table


class Storage(Protocol):
    """Opens, or returns the already open, parts of the embedded storage and Cosmos accounts."""

    def store(self, database: str, container: str) -> Store: ...

    def table(self, name: str) -> Table: ...

    def blobs(self, container: str) -> Blobs: ...


@dataclass(frozen=True)
class Embedding:
    """One host's parts. `folder` is the host's state folder; an app keeps its own below it."""

    clock: Clock
    entropy: Entropy
    sender: MessageSender
    storage: Storage
    folder: Path


_offered: list[Embedding] = []


def offer(embedding: Embedding) -> None:
    """Make *embedding* what apps imported from now on are given."""
    _offered[:] = [embedding]


def embedding() -> Embedding | None:
    """Return what the embedding host offers; None outside one."""
    return _offered[0] if _offered else None


def required_embedding() -> Embedding:
    """Return what the embedding host offers.

    Raises:
        Invalid: this process is not embedded; the message says how to start it so.
    """
    parts = embedding()
    if parts is None:
        raise Invalid(
            "this app runs inside the embedded host so far: start it with `python -m local_host`",
            code="NoEmbedding",
        )
    return parts
