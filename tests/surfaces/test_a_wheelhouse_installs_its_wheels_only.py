"""An archive cannot have its installer read this machine, ask the network or build anything."""

import hashlib
import io
import os
import socket
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_agent.artifacts import Artifacts
from local_agent.confined_command import CommandFailed, run_confined
from local_agent.sandbox_means import tried_means
from local_agent.wheel_installer import base_python
from shared.surfaces.archives import refuse_unsafe_archive
from shared.surfaces.errors import BadArtifact
from shared.surfaces.wheelhouses import pins
from tests.surfaces.harness import ACME
from tests.surfaces.local_process_harness import FolderBlobs, upload, zipped

HASH = f"--hash=sha256:{'0a' * 32}"
PIN = f"tiny==1.0 {HASH}"


def wheel(name: str) -> bytes:
    about = f"{name}-1.0.dist-info"
    return zipped(
        {
            f"{name}.py": "",
            f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
            "Requires-Dist: other @ file:///etc/hostname\n",
            f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{about}/RECORD": "",
        }
    )


def wheelhouse(requirements: str, *, name: str = "tiny-1.0-py3-none-any.whl") -> bytes:
    return zipped({name: wheel("tiny"), "requirements.txt": requirements})


@pytest.mark.parametrize(
    "line",
    [
        "-r /etc/shadow", "-r http://127.0.0.1/x", "--requirement=/etc/shadow", "-c /etc/shadow",
        "--find-links http://127.0.0.1/", "-f /etc", "--index-url http://127.0.0.1/", "-e .",
        "--pre", "git+https://127.0.0.1/x", "./tiny-1.0.tar.gz", "/etc/shadow",
        "tiny @ file:///etc/shadow", f"tiny @ file:///etc/shadow {HASH}", "tiny", "tiny==1.0",
        f"tiny>=1.0 {HASH}", f"tiny=={HASH}", f"tiny==1.* {HASH}", f"tiny[extra]==1.0 {HASH}",
        f"{PIN} --config-settings=a=b", f"{PIN} -r /etc/shadow", f"-r /etc/shadow {PIN}",
        f"tiny==1.0 \\\n  -r /etc/shadow {HASH}", f"{PIN}\n-r /etc/shadow", f"{PIN}\r-r /etc/x",
        f"{PIN}\x0c-r /etc/x", f"{PIN}\x85-r /etc/x", f"{PIN}\u2028-r /etc/x", "\ufeff-r /etc/x",
        "${HOME}", f"tiny==${{HOME}} {HASH}", f"tiny==1.0 {HASH.upper()}", "tiny==1.0 --hash=md5:0",
        "-", "\\\\", f"{PIN}\0",
    ],
    ids=ascii,
)  # fmt: skip
def test_requirements_other_than_pins_are_refused_at_upload_and_not_quoted(line: str) -> None:
    with pytest.raises(BadArtifact, match=r"line [12] of requirements\.txt") as refused:
        refuse_unsafe_archive(io.BytesIO(wheelhouse(line)))

    assert "/etc" not in refused.value.message


@pytest.mark.parametrize(
    "name", ["-r.whl", "--requirement=x.whl", "a b.whl", "tiny.whl;x.whl", "té-1.0.whl", ".whl"]
)
def test_a_wheel_whose_name_could_be_an_option_is_refused(name: str) -> None:
    with pytest.raises(BadArtifact, match="a name that no wheel can have"):
        refuse_unsafe_archive(io.BytesIO(wheelhouse(PIN, name=name)))


def test_requirements_without_end_are_refused() -> None:
    with pytest.raises(BadArtifact, match="more than 1048576 bytes"):
        refuse_unsafe_archive(io.BytesIO(wheelhouse("#" * (2**20 + 1))))


def test_requirements_of_a_program_are_its_own() -> None:
    refuse_unsafe_archive(io.BytesIO(zipped({"app.py": "", "requirements.txt": "-e ."})))


def test_pins_are_read_as_tools_write_them() -> None:
    first = f"# by a tool\r\n\ntiny==1.0 \\\n    {HASH} \\\n    {HASH}\n    # via app\n"

    found = pins(f"{first}b==2!1.0+x {HASH}".encode())

    assert found == [f"tiny==1.0 {HASH} {HASH}", f"b==2!1.0+x {HASH}"]


@given(
    st.one_of(st.binary(max_size=200), st.text("tiny=1.0-r#\\ \n\t/", max_size=60).map(str.encode))
)
def test_whatever_stands_there_is_pins_or_refused(requirements: bytes) -> None:
    try:
        found = pins(requirements)
    except BadArtifact:
        return
    assert all("==" in each and " --hash=sha256:" in each for each in found)


@pytest.mark.long
@pytest.mark.real
async def test_the_pinned_wheels_are_installed_and_no_others(tmp_path: Path) -> None:
    content = wheel("tiny")
    digest = hashlib.sha256(content).hexdigest()
    names = {"tiny-1.0-py3-none-any.whl": content, "other-1.0-py3-none-any.whl": wheel("other")}
    blobs = FolderBlobs(tmp_path / "blobs")
    pinned = zipped({**names, "requirements.txt": f"tiny==1.0 --hash=sha256:{digest}"})

    unpacked = await Artifacts(tmp_path / "artifacts", blobs).prepare(upload(blobs, pinned), ACME)

    modules = {Path(each).name for each in unpacked.files}
    assert "tiny.py" in modules
    assert "other.py" not in modules


@pytest.mark.long
@pytest.mark.real
async def test_a_wheel_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")

    with pytest.raises(BadArtifact, match="Expected sha256 0a0a"):
        await Artifacts(tmp_path / "artifacts", blobs).prepare(upload(blobs, wheelhouse(PIN)), ACME)


@pytest.mark.long
@pytest.mark.real
async def test_a_source_archive_is_not_built(tmp_path: Path) -> None:
    source = b"anything"
    pin = f"sdist==1.0 --hash=sha256:{hashlib.sha256(source).hexdigest()}"
    blobs = FolderBlobs(tmp_path / "blobs")
    files = {"tiny-1.0-py3-none-any.whl": wheel("tiny"), "sdist-1.0.tar.gz": source}

    with pytest.raises(BadArtifact, match="No matching distribution"):
        await Artifacts(tmp_path / "artifacts", blobs).prepare(
            upload(blobs, zipped({**files, "requirements.txt": pin})), ACME
        )


HOSTILE = """
import os, pathlib, socket, sys
def attempt(name, act):
    try:
        act()
    except OSError as refused:
        print(name, 'refused', refused.errno)
    else:
        print(name, 'done')
attempt('write', lambda: pathlib.Path(sys.argv[2], 'x').write_text('x'))
attempt('read', lambda: pathlib.Path(sys.argv[2], 'secret').read_text())
attempt('connect', lambda: socket.create_connection(('127.0.0.1', int(sys.argv[3])), 1))
attempt('signal', lambda: os.kill(int(sys.argv[4]), 0))
attempt('own', lambda: pathlib.Path(sys.argv[1], 'x').write_text('x'))
attempt('link', lambda: os.symlink(sys.argv[2] + '/secret', sys.argv[1] + '/link'))
sys.exit(1)
"""


@pytest.mark.real
@pytest.mark.skipif(not tried_means().is_namespaced, reason="this machine gives no namespaces")
def test_an_installer_reaches_its_target_only(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    target = tmp_path / "target"
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        words = [str(target), str(tmp_path), str(other.getsockname()[1]), str(os.getpid())]

        with pytest.raises(CommandFailed) as failed:
            run_confined([base_python(), "-c", HOSTILE, *words], target=target, workdir=target)

    outcomes = dict(line.split(" ", 1) for line in str(failed.value).splitlines())
    assert outcomes.pop("own") == outcomes.pop("link") == "done"
    assert outcomes.pop("write")  # below /tmp it has one of its own; what counts is what is there
    assert set(outcomes) == {"read", "connect", "signal"}
    assert all(outcome.startswith("refused") for outcome in outcomes.values())
    assert {p.name for p in tmp_path.iterdir()} == {"secret", "target"}
    assert (tmp_path / "secret").stat().st_uid == os.geteuid()
    assert (target / "x").stat().st_uid == os.geteuid()


@pytest.mark.real
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param("print('x' * 10**6)", "x" * 499, id="its-output-is-bounded"),
        pytest.param("bytearray(2**31)", "MemoryError", id="its-memory-is-bounded"),
        pytest.param(
            "open('big', 'wb').truncate(2**31)", "File too large", id="its-files-are-bounded"
        ),
        pytest.param(
            "import os, time\nfor n in range(1000): os.mkdir(str(n))\ntime.sleep(60)",
            "it writes more than",
            id="its-names-are-bounded",
        ),
    ],
)
def test_an_installer_is_bounded(script: str, reason: str, tmp_path: Path) -> None:
    target = tmp_path / "target"

    with pytest.raises(CommandFailed) as failed:
        run_confined(
            [base_python(), "-c", f"{script}\nraise SystemExit(1)"],
            target=target, workdir=target, names_max=500,
        )  # fmt: skip

    assert reason in str(failed.value)
    assert len(str(failed.value)) <= 500
