"""`image build` makes an image of what `artifact build` takes, the same one each time."""

import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from cli.debian_base import PACKAGES
from cli.exit_codes import ExitCode
from cli.main import main
from shared.images.build import BuiltImage
from shared.images.layout import Layout
from tests.images.built import documents, members
from tests.kit.real_registry import PASSWORD, USERNAME, common_registry

PROGRAM = "#!/usr/bin/python3\nimport json, ssl, sqlite3, zlib, os\nprint('up', os.getuid())\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "shop"
    made.mkdir()
    (made / "main.py").write_text(PROGRAM, encoding="utf-8")
    (made / "main.py").chmod(0o755)
    return made


def build(tmp_path: Path, *words: str, state: str = "state") -> BuiltImage:
    """Build; return the image where it was said to be."""
    target = tmp_path / f"image-{state}"
    line = ["image", "build", *words, "--state", str(tmp_path / state), "--to", str(target)]
    assert main([*line, "-o", "json"]) == 0
    manifest, blobs = Layout(target).manifest()
    return BuiltImage(manifest.digest, sum(blob.size for blob in blobs[1:]), target)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["image", "build", *words])
    return code, capsys.readouterr().err


def test_a_folder_on_nothing_is_an_image_of_its_files(folder: Path, tmp_path: Path) -> None:
    words = ["--folder", str(folder), "--base", "scratch", "--entrypoint", "/app/main.py 'a b'"]

    one = build(tmp_path, *words)
    os.utime(folder / "main.py", (1e9, 1e9))
    two = build(tmp_path, *words, state="other")

    assert one.digest == two.digest
    assert members(one).keys() == {
        ".", "etc", "etc/passwd", "etc/group", "tmp", "app", "app/main.py",
    }  # fmt: skip
    config = documents(one)[1]["config"]
    assert config["Entrypoint"] == ["/app/main.py", "a b"]
    assert config["User"] == "65532:65532"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param([], "nothing to build", id="nothing"),
        pytest.param(["--folder", "a", "b"], "--folder takes one folder", id="two-folders"),
        pytest.param(["--folder", ".", "--push", "web:1"], "names no registry", id="no-registry"),
        pytest.param(
            ["--folder", ".", "--username", "ci"], "--password-stdin go together", id="no-password"
        ),
        pytest.param(["--folder", ".", "--entrypoint", "'a"], "--entrypoint", id="an-open-quote"),
    ],
)
def test_a_mistake_is_named_before_anything_is_built(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, shown = refused(capsys, *words)

    assert (code, says in shown) == (ExitCode.USAGE, True)


def test_a_base_is_named_by_its_digest(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = ["--state", str(tmp_path / "state")]
    code, shown = refused(capsys, "--folder", str(folder), "--base", "ghcr.io/python:3.11", *state)

    assert code == ExitCode.USAGE
    assert "which is another image tomorrow" in shown


def test_what_is_no_image_is_not_written_over(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--folder", str(folder), "--base", "scratch", "--state", str(tmp_path / "state")]

    code, shown = refused(capsys, *words, "--to", str(folder))

    assert code == ExitCode.USAGE
    assert "something else" in shown
    assert (folder / "main.py").read_text(encoding="utf-8") == PROGRAM


@pytest.mark.real
def test_it_is_pushed_where_it_is_said_to(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["--folder", str(folder), "--base", "scratch", "--state", str(tmp_path / "state")]
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    with common_registry(tmp_path, asks_password=True) as registry:
        where = ["--push", f"{registry}/shop:1", "-o", "json"]
        code, denied = refused(capsys, *words, *where)
        assert (code, "does not let you push" in denied) == (ExitCode.REFUSED, True)
        assert (
            main(["image", "build", *words, *where, "--username", USERNAME, "--password-stdin"])
            == 0
        )
        shown = json.loads(capsys.readouterr().out)
    assert shown["reference"] == f"{registry}/shop:1@{shown['digest']}"
    code, away = refused(capsys, *words, "--push", f"{registry}/shop:1")
    assert (code, "nothing listens there" in away) == (ExitCode.UNAVAILABLE, True)


def debian_packages() -> None:
    """Skip the test where bases of Debian's packages cannot be made."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        pytest.skip("this machine has no apt-get and dpkg: bases are made of Debian's packages")
    listed = subprocess.run(
        ["apt-get", "download", "--print-uris", *PACKAGES], capture_output=True, check=False
    )
    if listed.returncode:
        pytest.skip("this machine has no list of Debian's packages: run apt-get update")


@pytest.fixture(scope="module")
def debian_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder whose state has the base of this machine's packages."""
    debian_packages()
    return tmp_path_factory.mktemp("debian")


def unpacked(built: BuiltImage, root: Path) -> Path:
    """Return *root* with the files of the image, as a container has them."""
    for layer in documents(built)[0]["layers"]:
        with tarfile.open(Layout(built.folder).blob(layer["digest"])) as archive:
            archive.extractall(root, filter="tar")
    return root


def started(built: BuiltImage, root: Path) -> Any:
    """Run the image's program as its user, with its files and nothing else."""
    if os.geteuid():
        pytest.skip("only root can run a program in another root: this machine's user is not")
    config = documents(built)[1]["config"]
    chroot = shutil.which("chroot", path="/usr/sbin:/usr/bin")
    program = [str(chroot), f"--userspec={config['User']}", str(unpacked(built, root))]
    environ = dict(each.split("=", 1) for each in config["Env"])
    return subprocess.run(
        [*program, *config["Entrypoint"]], env=environ, capture_output=True, text=True, check=False
    )


@pytest.mark.long
@pytest.mark.real
def test_a_program_of_python_runs_on_debians_packages(
    debian_state: Path, folder: Path, tmp_path: Path
) -> None:
    words = ["--folder", str(folder), "--entrypoint", "/app/main.py"]
    built = build(debian_state, *words)

    ran = started(built, tmp_path / "root")

    assert (ran.stdout, ran.stderr) == ("up 65532\n", "")


@pytest.mark.long
@pytest.mark.real
def test_packages_run_and_their_programs_name_no_interpreter_of_this_machine(
    debian_state: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "greeting.py").write_text("def main():\n    print('hello')\n", encoding="utf-8")
    (project / "pyproject.toml").write_text(
        '[project]\nname = "greeting"\nversion = "1"\nscripts = {greet = "greeting:main"}\n'
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[tool.setuptools]\npy-modules = ["greeting"]\n',
        encoding="utf-8",
    )
    words = [str(project), "--entrypoint", "/app/site/bin/greet"]

    one = build(debian_state, *words)
    ran = started(one, tmp_path / "root")
    two = build(debian_state, *words, "--fresh")

    assert (ran.stdout, ran.stderr) == ("hello\n", "")
    assert one.digest == two.digest
    installed = tmp_path / "root" / "app" / "site"
    assert not list(installed.rglob("direct_url.json"))
    first, _ = (installed / "bin" / "greet").read_text(encoding="utf-8").split("\n", 1)
    assert first == "#!/usr/bin/python3"
    record = next(installed.rglob("RECORD")).read_text(encoding="utf-8")
    assert "greeting.py" in record
    assert "bin/greet" not in record
