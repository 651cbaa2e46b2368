"""The objects of a pack that a server has sent, unpacked in memory up to bounds.

Formats: https://git-scm.com/docs/pack-format. Each object is known by the hash of what was
unpacked, so what a commit names is what it was made of. Sizes are compared before anything is
unpacked: a pack of a few bytes may say that it has terabytes.
"""

import hashlib
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from shared.git.port import FILE_MAX, FetchFailed

OBJECTS_MAX: Final = 20_000
OBJECT_MAX: Final = 16 * 2**20
UNPACKED_MAX: Final = 64 * 2**20
"""Bytes of all objects together, as they are in memory."""
FILES_MAX: Final = 4 * 2**20
"""Bytes of the files in all folders that are read."""
ENTRIES_MAX: Final = 100_000
"""Of all folders that are read, and of those on the way to them."""
_HEADER: Final = 12
_TRAILER: Final = 20
_COMMIT, _TREE, _BLOB = 1, 2, 3
_NAMES: Final = {_COMMIT: b"commit", _TREE: b"tree", _BLOB: b"blob", 4: b"tag"}
_OFFSET_DELTA, _NAMED_DELTA = 6, 7
_KIND_OF_FILE: Final = 0o170000
_FILE: Final = 0o100000
_FOLDER: Final = 0o040000

Object = tuple[int, bytes]
"""The number of its type, and its content."""
Objects = Mapping[bytes, Object]
"""By hash."""


def unpack(pack: bytes) -> Objects:
    """Return all objects of *pack*.

    Raises:
        FetchFailed: it is damaged, or larger than the bounds.
    """
    from dulwich.errors import ApplyDeltaError  # noqa: PLC0415  heavy: where used

    try:
        return _Unpacking(pack).run()
    except (ApplyDeltaError, zlib.error, ValueError, AssertionError, IndexError) as problem:
        raise _damaged(str(problem)) from problem


def files_of(
    objects: Objects, commit: bytes, folders: Sequence[str]
) -> Mapping[str, Mapping[str, bytes | None]]:
    """Return the files that are directly in *folders* at *commit*, as a Snapshot has them.

    Links and modules of Git are none. Raises FetchFailed: an object is missing or damaged.
    """
    from dulwich.errors import ObjectFormatException  # noqa: PLC0415  heavy: where used

    trees = _Trees(objects)
    try:
        root = _tree_of(objects, commit)
        found = {each: trees.folder(root, each) for each in folders}
        files = {path: trees.files(tree) for path, tree in found.items() if tree is not None}
    except (ObjectFormatException, ValueError, AssertionError) as problem:
        raise _damaged(str(problem)) from problem
    if sum(len(each or b"") for folder in files.values() for each in folder.values()) > FILES_MAX:
        raise _too_large(f"at most {FILES_MAX >> 20} MiB of files are read")
    return files


def _tree_of(objects: Objects, commit: bytes) -> bytes:
    """Return the hash of the root of *commit*: its first line is `tree` and that."""
    line, _, _ = _object(objects, commit, _COMMIT).partition(b"\n")
    name, _, tree = line.partition(b" ")
    if name != b"tree":
        raise _damaged("a commit names no tree")
    return bytes.fromhex(tree.decode("ascii"))


class _Trees:
    """The trees of a pack, each read once: all folders may lead through the same."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._left = ENTRIES_MAX
        self._read: dict[bytes, Mapping[bytes, tuple[int, bytes]]] = {}
        self._files: dict[bytes, Mapping[str, bytes | None]] = {}

    def folder(self, root: bytes, path: str) -> bytes | None:
        """Return the hash of the folder *path* below *root*; None where there is none."""
        tree: bytes | None = root
        for part in filter(None, path.split("/")):
            entries = self._entries(tree) if tree is not None else {}
            mode, child = entries.get(part.encode(), (0, b""))
            tree = child if mode & _KIND_OF_FILE == _FOLDER else None
        return tree

    def files(self, tree: bytes) -> Mapping[str, bytes | None]:
        """Return the files of *tree* by their names."""
        if tree not in self._files:
            self._files[tree] = dict(self._files_of(tree))
        return self._files[tree]

    def _files_of(self, tree: bytes) -> Iterator[tuple[str, bytes | None]]:
        for name, (mode, child) in self._entries(tree).items():
            if mode & _KIND_OF_FILE != _FILE:
                continue
            # A server that was asked to leave long files out has sent none.
            _, content = self._objects.get(child, (_BLOB, None))
            is_long = content is None or len(content) > FILE_MAX
            yield name.decode("utf-8", "replace"), None if is_long else content

    def _entries(self, tree: bytes) -> Mapping[bytes, tuple[int, bytes]]:
        from dulwich.objects import parse_tree  # noqa: PLC0415  heavy: where used

        if tree not in self._read:
            content = _object(self._objects, tree, _TREE)
            # Before it is read: each entry ends with a null and the bytes of a hash.
            self._left -= content.count(b"\0")
            if self._left < 0:
                raise _too_large(f"at most {ENTRIES_MAX} entries of folders are read")
            self._read[tree] = {
                name: (mode, bytes.fromhex(sha.decode()))
                for name, mode, sha in parse_tree(content, 20)
            }
        return self._read[tree]


def _object(objects: Objects, name: bytes, kind: int) -> bytes:
    found, content = objects.get(name, (0, b""))
    if found != kind:
        raise _damaged(f"{_NAMES[kind].decode()} {name.hex()} was not sent")
    return content


class _Unpacking:
    """One pack: objects by their place and hash, and deltas that wait for what they change."""

    def __init__(self, pack: bytes) -> None:
        self._pack = pack
        self._left = UNPACKED_MAX
        self._by_place: dict[int, Object] = {}
        self._by_name: dict[bytes, Object] = {}
        self._waiting: dict[bytes, list[tuple[int, bytes]]] = defaultdict(list)

    def run(self) -> Objects:
        from dulwich.pack import unpack_object_at  # noqa: PLC0415  heavy: where used

        if self._pack[:4] != b"PACK" or int.from_bytes(self._pack[4:8]) not in {2, 3}:
            raise _damaged("it does not begin as a pack")
        whole = hashlib.sha1(self._pack[:-_TRAILER], usedforsecurity=False).digest()
        if whole != self._pack[-_TRAILER:]:
            raise _damaged("it breaks off, or its hash is another")
        count, place = int.from_bytes(self._pack[8:_HEADER]), _HEADER
        if count > OBJECTS_MAX:
            raise _too_large(f"it has {count} objects; at most {OBJECTS_MAX} are read")
        for _ in range(count):
            self._take(_size_at(self._pack, place))
            read, end = unpack_object_at(self._pack, place, hashlib.sha1)
            content = b"".join(read.decomp_chunks)
            self._add(place, read.pack_type_num, read.delta_base, content)
            place = end
        if any(self._waiting.values()):
            raise _damaged("an object changes one that was not sent")
        return self._by_name

    def _take(self, size: int) -> None:
        """Count *size* bytes, which are about to be unpacked. Raises FetchFailed."""
        self._left -= size
        if size > OBJECT_MAX or self._left < 0:
            raise _too_large(
                f"at most {OBJECT_MAX >> 20} MiB of an object, and {UNPACKED_MAX >> 20} MiB of all"
                " together, are read"
            )

    def _add(self, place: int, kind: int, base: int | bytes | None, content: bytes) -> None:
        if kind == _OFFSET_DELTA and isinstance(base, int):
            known = self._by_place.get(place - base)
            if known is None:
                raise _damaged("an object changes one that is not before it")
            self._keep(place, known[0], self._changed(known[1], content))
        elif kind == _NAMED_DELTA and isinstance(base, bytes):
            found = self._by_name.get(base)
            if found is None:
                self._waiting[base].append((place, content))
            else:
                self._keep(place, found[0], self._changed(found[1], content))
        elif kind in _NAMES:
            self._keep(place, kind, content)
        else:
            raise _damaged(f"it has an object of type {kind}")

    def _keep(self, place: int, kind: int, content: bytes) -> None:
        """Keep an object, and all that were waiting for it, one by one as they come."""
        news = [(place, kind, content)]
        while news:
            at, number, whole = news.pop()
            head = b"%s %d\0" % (_NAMES[number], len(whole))
            name = hashlib.sha1(head + whole, usedforsecurity=False).digest()
            self._by_place[at] = self._by_name[name] = (number, whole)
            news += [
                (waiting, number, self._changed(whole, delta))
                for waiting, delta in self._waiting.pop(name, ())
            ]

    def _changed(self, base: bytes, delta: bytes) -> bytes:
        from dulwich.pack import apply_delta  # noqa: PLC0415  heavy: where used

        _, at = _number_at(delta, 0)
        size, _ = _number_at(delta, at)
        self._take(size)
        return b"".join(apply_delta(base, delta))


def _size_at(pack: bytes, place: int) -> int:
    """Return the size of the object at *place* as its head has it: 4 bits, then 7 of each byte."""
    first = pack[place]
    if not first & 0x80:
        return first & 0x0F
    more, _ = _number_at(pack, place + 1)
    return more << 4 | first & 0x0F


def _number_at(content: bytes, place: int) -> tuple[int, int]:
    """Return the number at *place*, 7 bits of each byte, the lowest first; and what is after it."""
    value = 0
    for shift in range(0, 63, 7):
        byte = content[place]
        value |= (byte & 0x7F) << shift
        place += 1
        if not byte & 0x80:
            return value, place
    raise _damaged("a size has more than 63 bits")


def _damaged(why: str) -> FetchFailed:
    return FetchFailed(f"what the repository sent is damaged: {why}", code="Damaged")


def _too_large(why: str) -> FetchFailed:
    return FetchFailed(f"the repository is too large: {why}", code="RepositoryTooLarge")
