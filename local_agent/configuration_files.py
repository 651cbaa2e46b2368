"""The folder with the files of an instance's configuration: its own, and it may only read them."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from shared.persistence.file_trees import remove_tree
from shared.persistence.plain_files import read_plain, write_new
from shared.surfaces.configuration import (
    BYTES_MAX,
    Configuration,
    ConfigurationTexts,
    digests_of,
)
from shared.surfaces.errors import DataMissing

FOLDER: Final = "configuration"


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
        raise DataMissing(f"the texts of configuration {configuration.hash} are not here")
    return configuration.texts


def live_digests(folder: Path, started_with: Mapping[str, str]) -> Mapping[str, str]:
    """Return the digests of what an instance has: of its variables those that it *started_with*.

    Of its files those on disk, what somebody put beside them included.
    """
    files = {}
    for path in sorted((folder / FOLDER).glob("*")):
        content = b""
        with suppress(OSError):
            content = read_plain(path, at_most=BYTES_MAX + 1)
        files[path.name] = content.decode(errors="surrogateescape")
    variables = {path: each for path, each in started_with.items() if path.startswith("variables/")}
    return {**variables, **digests_of(ConfigurationTexts(files=files))}
