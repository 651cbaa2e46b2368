"""What stands in the place of a configured file and is none has no digest of a text."""

from collections.abc import Callable
from pathlib import Path

import pytest

from local_agent.configuration_files import FOLDER, UNREADABLE, live_digests


@pytest.mark.parametrize(
    "put", [Path.mkdir, lambda path: path.symlink_to("/etc/passwd")], ids=["folder", "link"]
)
def test_what_is_no_file_is_not_proved_as_an_empty_one(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "app.json").write_text("")
    empty = live_digests(tmp_path, {})
    (tmp_path / FOLDER / "app.json").unlink()
    put(tmp_path / FOLDER / "app.json")

    assert live_digests(tmp_path, {}) == {"files/app.json": UNREADABLE}
    assert UNREADABLE not in empty.values()
