"""The texts of configurations: kept for each revision, and written for each instance as files.

What is desired has their digests only: it is read at every look, and a text may be long.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from shared.persistence.file_trees import remove_tree
from shared.persistence.plain_files import read_plain, write_new, write_private
from shared.surfaces.configuration import (
    BYTES_MAX,
    FILES,
    Configuration,
    ConfigurationTexts,
    digests_of,
)
from shared.surfaces.errors import DataMissing
from shared.surfaces.spec import RevisionSpec

FOLDER: Final = "configuration"
UNREADABLE: Final = "unreadable"
"""In place of a digest: a link, a folder, or what is too long."""
_TEXTS: Final = TypeAdapter(ConfigurationTexts)


def keep_texts(kept: Path, spec: RevisionSpec) -> RevisionSpec:
    """Keep the texts of the configuration of *spec* in the folder *kept*; return it without them.

    Raises:
        DataMissing: it has none of its own.
        OSError.
    """
    if spec.configuration is None:
        return spec
    content = _TEXTS.dump_json(texts_of(spec.configuration))
    write_private(kept / str(spec.revision), content)
    return replace(spec, configuration=replace(spec.configuration, texts=None))


def with_texts(kept: Path, spec: RevisionSpec) -> RevisionSpec:
    """Return *spec* with the texts that are in the folder *kept*.

    Raises:
        DataMissing: they are not there, or others are.
    """
    if spec.configuration is None:
        return spec
    texts = _read(kept / str(spec.revision))
    if texts is None or digests_of(texts) != spec.configuration.digests:
        raise DataMissing(
            f"the texts of its configuration {spec.configuration.hash} are not there: deploy again"
        )
    return replace(spec, configuration=replace(spec.configuration, texts=texts))


def _read(path: Path) -> ConfigurationTexts | None:
    """Return the texts in the file *path*; None where it has none."""
    try:
        return _TEXTS.validate_json(read_plain(path))
    except (OSError, ValueError):
        return None


def drop_texts(kept: Path, revisions: Collection[int]) -> None:
    """Delete what the folder *kept* has of others than *revisions*."""
    names = {str(each) for each in revisions}
    for path in kept.glob("*"):
        if path.name not in names:
            path.unlink(missing_ok=True)


def write_files(folder: Path, configuration: Configuration | None) -> None:
    """Write the files of *configuration* into the instance's *folder*, in place of others.

    Raises:
        DataMissing: its texts are not known.
        OSError.
    """
    remove_tree(folder / FOLDER)
    files = texts_of(configuration).files
    if files:
        (folder / FOLDER).mkdir(mode=0o700)
    for name, text in files.items():
        path = folder / FOLDER / name
        write_new(path, text.encode())
        path.chmod(0o400)


def texts_of(configuration: Configuration | None) -> ConfigurationTexts:
    """Return the texts of *configuration*; none where there is none.

    Raises:
        DataMissing: they are not known.
    """
    if configuration is None:
        return ConfigurationTexts()
    if configuration.texts is None:
        raise DataMissing(f"configuration {configuration.hash} came without its texts")
    return configuration.texts


def live_digests(folder: Path, started_with: Mapping[str, str]) -> Mapping[str, str]:
    """Return the digests of what an instance has: of its variables those that it *started_with*.

    Of its files those on disk, what somebody put beside them included; `unreadable` is no digest.
    """
    files, others = {}, {}
    for path in sorted((folder / FOLDER).glob("*")):
        try:
            content = read_plain(path, at_most=BYTES_MAX + 1)
        except OSError:
            others[f"{FILES}/{path.name}"] = UNREADABLE
        else:
            files[path.name] = content.decode(errors="surrogateescape")
    variables = {path: each for path, each in started_with.items() if path.startswith("variables/")}
    return {**variables, **others, **digests_of(ConfigurationTexts(files=files))}
