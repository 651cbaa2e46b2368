"""The digest of an image follows from its content alone, and nobody in it is root."""

import gzip
import hashlib
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.images.layer import Entry, TextFile, files_below, write_layer
from shared.images.layout import Layout
from shared.images.media_types import LAYER, MANIFEST
from shared.kernel.errors import Invalid
from tests.images.built import documents, image, members, program

NAMES = st.from_regex(r"[a-z]{1,5}(/[a-z]{1,5}){0,2}", fullmatch=True)


def test_equal_files_give_the_same_digest_whoever_wrote_them_and_when(tmp_path: Path) -> None:
    first = program(tmp_path / "one")
    second = program(tmp_path / "two")
    os.utime(tmp_path / "two" / "b.py", (1e9, 1e9))
    (tmp_path / "two" / "sub" / "a.txt").chmod(0o600)
    (tmp_path / "two" / "__pycache__").mkdir()
    (tmp_path / "two" / "__pycache__" / "b.pyc").write_bytes(b"old")

    one = image(tmp_path / "image-1", first, entrypoint=["/app/b.py"])
    two = image(tmp_path / "image-2", dict(reversed(second.items())), entrypoint=["/app/b.py"])

    assert one.digest == two.digest


@given(st.dictionaries(NAMES, st.text("ab\n", max_size=20), max_size=6))
def test_a_layer_has_the_digests_of_what_it_is_and_of_what_it_unpacks_to(
    files: dict[str, str],
) -> None:
    # A name below another file's is no folder of any machine.
    entries: dict[str, Entry] = {
        name: TextFile(text)
        for name, text in files.items()
        if not any(name.startswith(f"{other}/") for other in files)
    }
    first, second = io.BytesIO(), io.BytesIO()

    layer = write_layer(entries, first)

    assert write_layer(dict(reversed(entries.items())), second) == layer
    assert first.getvalue() == second.getvalue()
    assert layer.size == len(first.getvalue())
    plain = gzip.decompress(first.getvalue())
    assert layer.digest == f"sha256:{hashlib.sha256(first.getvalue()).hexdigest()}"
    assert layer.diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"


def test_another_byte_another_start_and_another_name_are_other_images(tmp_path: Path) -> None:
    files = program(tmp_path / "one")
    digests = {
        image(tmp_path / "a", files).digest,
        image(tmp_path / "b", files, entrypoint=["/app/b.py"]).digest,
        image(tmp_path / "c", files, environ={"A": "b"}).digest,
        image(tmp_path / "d", program(tmp_path / "two", "other")).digest,
        image(tmp_path / "e", {**files, "app/more": TextFile("")}).digest,
    }

    assert len(digests) == 5


def test_it_is_started_by_a_user_without_rights_who_owns_nothing(tmp_path: Path) -> None:
    built = image(tmp_path / "image", program(tmp_path / "one"), entrypoint=["/app/b.py"])
    _, config = documents(built)
    found = members(built)

    assert config["config"]["User"] == "65532:65532"
    assert {(each.uid, each.gid, each.mtime) for each in found.values()} == {(0, 0, 0)}
    writable = {name for name, each in found.items() if each.mode & 0o022 and not each.issym()}
    assert writable == {"tmp"}
    assert found["."].mode == 0o755
    assert (found["app/b.py"].mode, found["app/sub/a.txt"].mode) == (0o755, 0o644)
    assert found["app/link"].linkname == "b.py"
    assert "app" in found


def test_rights_of_the_machine_do_not_come_along(tmp_path: Path) -> None:
    (tmp_path / "tool").write_bytes(b"x")
    (tmp_path / "tool").chmod(0o4755)
    os.mkfifo(tmp_path / "pipe")

    found = members(image(tmp_path / "image", files_below(tmp_path, "app")))

    assert found["app/tool"].mode == 0o755
    assert "app/pipe" not in found


def test_the_folder_is_an_image_layout_as_tools_expect_it(tmp_path: Path) -> None:
    built = image(tmp_path / "image", program(tmp_path / "one"))
    layout = Layout(built.folder)

    manifest, blobs = layout.manifest()

    assert (manifest.digest, manifest.media_type) == (built.digest, MANIFEST)
    assert [blob.media_type for blob in blobs[1:]] == [LAYER, LAYER]
    for blob in (manifest, *blobs):
        content = layout.blob(blob.digest).read_bytes()
        assert blob.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert blob.size == len(content)
    _, config = documents(built)
    assert len(config["rootfs"]["diff_ids"]) == len(config["history"]) == len(blobs) - 1
    assert not list(built.folder.rglob("*.draft"))


@pytest.mark.parametrize("digest", ["sha256:../../x", "sha256:", "md5:" + "0" * 64])
def test_no_digest_names_another_file(digest: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="a digest must be"):
        Layout(tmp_path).blob(digest)


def test_a_folder_without_an_image_is_not_pushed(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="not the layout of one image"):
        Layout(tmp_path).manifest()
