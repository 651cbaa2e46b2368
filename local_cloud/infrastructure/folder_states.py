"""StackStates in a folder: one file per version, so that a save is a compare-and-set.

`<stack>/<version>.json` is written as a draft beside it and then linked to it. A link fails when
the name is taken, which decides between two writers without a lock, also of two processes. The last
versions stay for people to look at, as Pulumi's backends keep a history.
"""

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Final

from local_cloud.infrastructure.state import STATE_CODEC, StackState
from shared.infrastructure.port import StackName
from shared.kernel.errors import Invalid, Stale, Unavailable
from shared.persistence.durable_files import sync_folder, write_synced
from shared.persistence.store import UnreadableDocument

KEPT_VERSIONS: Final = 10
_NAME_MAX: Final = 100


class FolderStates:
    """States below *folder*. A save is on the disk when it returns."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def load(self, stack: StackName) -> StackState:
        return await asyncio.to_thread(self._load, stack)

    async def save(self, state: StackState) -> StackState:
        return await asyncio.to_thread(self._save, state)

    def _load(self, stack: StackName) -> StackState:
        versions = _versions(self._stack_folder(stack))
        if not versions:
            return StackState(stack)
        try:
            return STATE_CODEC.decode(dict(json.loads(versions[-1].read_bytes())))
        except (OSError, ValueError, TypeError, UnreadableDocument) as unreadable:
            raise Unavailable(f"the state of stack {stack} cannot be read: {unreadable}") from (
                unreadable
            )

    def _save(self, state: StackState) -> StackState:
        saved = replace(state, version=state.version + 1)
        stale = Stale(f"stack {state.stack}: a later version than {state.version} is stored")
        folder = self._stack_folder(state.stack)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{saved.version:09}.json"
        draft = folder / f".{target.name}.{os.getpid()}.{id(saved)}"
        try:
            write_synced(draft, json.dumps(STATE_CODEC.encode(saved), indent=1).encode())
            os.link(draft, target)
        except (FileExistsError, FileNotFoundError) as taken:
            # Not found: a later version is there, and its writer tidied this draft away.
            raise stale from taken
        except OSError as away:
            message = f"the state of stack {state.stack} cannot be written: {away}"
            raise Unavailable(message) from away
        finally:
            draft.unlink(missing_ok=True)
        versions = _versions(folder)
        if versions[-1] != target:
            # The name was free because that version is so old that it was pruned.
            target.unlink()
            raise stale
        sync_folder(folder)
        abandoned = (path for path in folder.glob(".*") if path.name < f".{target.name}")
        for old in (*versions[:-KEPT_VERSIONS], *abandoned):
            old.unlink(missing_ok=True)
        return saved

    def _stack_folder(self, stack: StackName) -> Path:
        if not stack.replace("-", "").isalnum() or not stack.isascii() or len(stack) > _NAME_MAX:
            raise Invalid(
                f"not a stack's name: expected up to {_NAME_MAX} letters, digits and dashes, "
                f"received {stack[:_NAME_MAX]!r}",
                code="StackName",
            )
        return self._folder / stack


def _versions(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
