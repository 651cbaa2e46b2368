"""A hostile workload, as root's and as a normal user's: nothing outside its own is reached."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from cli.state_folder import REPOSITORY
from local_agent.sandbox_means import tried_means
from local_agent.wheel_installer import base_python
from shared.kernel.entropy import SystemEntropy
from shared.surfaces.capabilities import Feature
from tests.surfaces.accounts import Account, Ended, account
from tests.surfaces.hostile import ATTEMPTS

HOSTILE: Final = Path(__file__).with_name("hostile.py")
FILES: Final = {
    "state/key": "secret",
    "state/other/work/file": "secret",
    "home-of-the-platform/.ssh/id_ed25519": "secret",
    "work/program.txt": "the release",
    "work/package/inner.txt": "the release",
    "work/hostile.py": HOSTILE.read_text(encoding="utf-8"),
}
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are of Linux"),
]
NEEDS_PORTS: Final = {"bind-the-port-of-another", "bind-the-port-of-another-everywhere"}
NEEDS_FILTER: Final = {"open-mptcp", "open-mptcp-6", "make-a-ring-that-opens-sockets"}
NEEDS_SCOPES: Final = {"connect-to-an-abstract-socket"}


@pytest.fixture(scope="module", params=["root", "user"])
def platform(request: pytest.FixtureRequest) -> Iterator[Account]:
    with account(request.param) as opened:
        yield opened


@pytest.fixture(scope="module")
def hostile(platform: Account) -> tuple[Ended, Mapping[str, str]]:
    """What came of each attempt of one hostile workload."""
    name = f"socket-{SystemEntropy().uuid().hex}"
    shared = Path("/dev/shm") / name
    with (
        closing(socket.create_server(("127.0.0.1", 0), reuse_port=True)) as other,
        closing(socket.socket(socket.AF_UNIX)) as abstract,
    ):
        abstract.bind("\0" + name)
        abstract.listen()
        shared.write_text("secret")
        given = {
            "folder": str(platform.folder),
            "port": other.getsockname()[1],
            "socket": name,
            "shared": str(shared),
        }
        ended = _run(platform, [base_python(), "hostile.py"], environ={"GIVEN": json.dumps(given)})
        shared.unlink()
    assert ended.code == 0, ended.output
    return ended, dict(json.loads(line) for line in ended.output.splitlines())


def _run(platform: Account, command: list[str], **options: Any) -> Ended:
    return platform.run(command, files=FILES, port=1, **options)


@pytest.mark.parametrize("attempt", ATTEMPTS)
@pytest.mark.shows(
    Feature.OWN_USER,
    Feature.OWN_PROCESSES,
    Feature.PRIVATE_FILES,
    Feature.OWN_PORTS,
    Feature.READ_ONLY_PROGRAM,
    on="local-process",
)
def test_an_attempt_on_what_is_not_its_own_fails(
    hostile: tuple[Ended, Mapping[str, str]], attempt: str
) -> None:
    ended, came = hostile
    ended.needs_namespaces()
    if attempt in NEEDS_PORTS and ended.landlock < 4:
        pytest.skip("Landlock of this machine knows no ports")
    if attempt in NEEDS_SCOPES and ended.landlock < 6:
        pytest.skip("Landlock of this machine knows no scopes")
    if attempt in NEEDS_FILTER and not ended.filters:
        pytest.skip("this machine filters no system calls")

    assert came[attempt].startswith(("refused", "harmless")), came[attempt]


def test_keys_of_the_session_are_kept_from_it_without_a_filter(platform: Account) -> None:
    script = "import os, hostile\nhostile.read_key(int(os.environ['KEY']))"
    ended = platform.run([base_python(), "-c", script], files=FILES, filters=False)

    assert (ended.code, "refused" in ended.output) == (1, True), ended.output


def test_what_is_in_force_does_not_depend_on_where_it_is_tried(tmp_path: Path) -> None:
    place = tmp_path / "a folder; exit 1 #"
    place.mkdir()
    script = "from local_agent.sandbox_means import tried_means; print(tried_means())"

    tried = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, env={**os.environ, "TMPDIR": str(place)},
        check=True, capture_output=True, text=True,
    )  # fmt: skip

    assert tried.stdout == f"{tried_means()}\n"


PRELOADED: Final = """
#include <fcntl.h>
#include <stdlib.h>
__attribute__((constructor)) static void act(void) { open(getenv("MARK"), O_CREAT, 0666); }
"""


def test_what_an_environ_makes_programs_load_is_not_loaded_outside_of_the_sandbox(
    platform: Account,
) -> None:
    if shutil.which("cc") is None:
        pytest.skip("this machine has no C compiler")
    library, mark = platform.folder / "evil.so", platform.folder / "mark"
    build = ["cc", "-shared", "-fPIC", "-w", "-x", "c", "-", "-o", str(library)]
    subprocess.run(build, input=PRELOADED, text=True, check=True)
    environ = {"LD_PRELOAD": str(library), "MARK": str(mark)}

    subprocess.run(["/bin/true"], env=environ, check=True)
    loads = mark.exists()
    mark.unlink()
    ended = platform.run(["/bin/true"], environ=environ)

    assert (loads, mark.exists()) == (True, not ended.namespaces)


USES: Final = {
    "its-folders": "e = os.environ; all = (os.getcwd(), e['HOME'], e['TMPDIR'], '/tmp', '/var/tmp')"
    "; [open(f + '/file', 'w').write('x') for f in all]",
    "new-files-beside-its-program": "open('package/new', 'w').write('x'); os.mkdir('package/deep')",
    "links-and-renames": "open('a', 'w'); os.link('a', 'b'); os.mkdir('c'); os.rename('b', 'c/b');"
    " os.symlink('a', 'd'); os.chmod('a', 0o600); os.truncate('a', 10)",
    "a-program-that-it-wrote": "open('x', 'w').write('#!/bin/sh\\nexit 0'); os.chmod('x', 0o755);"
    " subprocess.run(['./x'], check=True)",
    "its-port": "socket.create_server(('127.0.0.1', int(os.environ['PORT'])))",
    "a-port-that-the-kernel-chooses": "socket.create_server(('127.0.0.1', 0))",
    "a-socket-in-a-file": "socket.socket(socket.AF_UNIX).bind('socket')",
    "locks-between-processes": "import multiprocessing; multiprocessing.Lock()",
    "shared-memory": "from multiprocessing.shared_memory import SharedMemory as S;"
    " s = S(create=True, size=2**20); s.close(); s.unlink()",
    "a-terminal": "import pty; pty.openpty()",
    "threads-and-pools": "from concurrent.futures import ProcessPoolExecutor as P;"
    " p = P(2); assert list(p.map(abs, [-1, 2])) == [1, 2]; p.shutdown()",
    "devices": "open('/dev/null', 'w').write('x'); assert open('/dev/urandom', 'rb').read(8)",
    "who-it-is": "import getpass; assert getpass.getuser() == 'app'",
    "the-number-of-processors": "assert os.cpu_count()",
    "servers-that-prefer-mptcp": "e = None\n    try: socket.socket(socket.AF_INET, 1, 262)"
    "\n    except OSError as refused: e = refused.errno\n    import errno"
    "\n    assert e in {None, errno.EPROTONOSUPPORT}",
    "names-of-hosts": "socket.getaddrinfo('localhost', 80)",
    "its-own-processes": "assert os.listdir(f'/proc/{os.getpid()}/fd')",
    "signals-to-its-children": "p = subprocess.Popen(['sleep', '60']); p.kill();"
    " assert p.wait() == -9",
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_what_programs_use_is_there(platform: Account, use: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    script = (
        f"import os, socket, subprocess\nif __name__ == '__main__':\n    {use}\n    print('ok')"
    )
    files = {**FILES, "work/use.py": script}
    ended = platform.run(
        [base_python(), "use.py"], files=files, port=port, environ={"PORT": str(port)}
    )

    assert (ended.code, ended.output) == (0, "ok\n")


@pytest.mark.parametrize("tool", ["node", "java", "go", "git", "perl"])
def test_programs_of_the_system_run(platform: Account, tool: str) -> None:
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"this machine has no {tool}")
    option = "version" if tool == "go" else "-version" if tool == "java" else "--version"

    ended = platform.run([found, option])

    assert ended.code == 0, ended.output


def test_data_is_read_and_changed_by_the_starts_that_follow(platform: Account) -> None:
    data = platform.folder / "volumes" / "uploads"
    data.mkdir(parents=True)
    if not platform.is_root:
        for path in (data.parent, data):
            _give(path, platform)
    first = "umask 077; mkdir $DATA/in; echo one > $DATA/in/file; id -u"
    second = "cat $DATA/in/file; echo two >> $DATA/in/file; mv $DATA/in $DATA/moved; id -u"
    options: dict[str, Any] = {"data": str(data), "environ": {"DATA": str(data)}}

    wrote = platform.run(["/bin/sh", "-c", first], **options)
    changed = platform.run(["/bin/sh", "-c", second], **options)

    assert (wrote.code, changed.code) == (0, 0), wrote.output + changed.output
    assert changed.output.startswith("one\n")
    assert (data / "moved" / "file").read_text() == "one\ntwo\n"
    has_own_user = platform.is_root and wrote.namespaces
    assert (wrote.output != changed.output.removeprefix("one\n")) is has_own_user
    assert ((data / "moved" / "file").stat().st_uid >= 2**30) is has_own_user


def _give(path: Path, platform: Account) -> None:
    owner = platform.folder.stat()
    os.chown(path, owner.st_uid, owner.st_gid)


SECRETS: Final = {"db-password": "canary-of-a-value", "key.pem": "two\nlines"}
LOOK: Final = """
import json, os, stat, sys
folder = sys.argv[1]
answer = {"texts": {}, "modes": set(), "owners": set(), "changed": []}
for name in os.listdir(folder):
    path = os.path.join(folder, name)
    answer["texts"][name] = open(path).read()
    found = os.stat(path)
    answer["modes"].add(oct(stat.S_IMODE(found.st_mode)))
    answer["owners"].add(found.st_uid == os.getuid())
    for change in (os.unlink, lambda path: open(path, "w"), lambda path: os.chmod(path, 0o644)):
        try:
            change(path)
            answer["changed"].append(path)
        except OSError:
            pass
mounts = [line.split() for line in open("/proc/mounts")]
answer["kinds"] = [each[2] for each in mounts if each[1] == folder]
answer["folder"] = oct(stat.S_IMODE(os.stat(folder).st_mode))
print(json.dumps({**answer, "modes": list(answer["modes"]), "owners": list(answer["owners"])}))
"""


@pytest.mark.parametrize("landlock", [{}, {"landlock": 0}], ids=["with-landlock", "without"])
def test_files_of_secrets_are_its_own_in_memory_and_on_no_disk(
    platform: Account, landlock: Mapping[str, Any]
) -> None:
    folder = platform.folder / "state" / "instance" / "secrets"

    ended = platform.run([base_python(), "-c", LOOK, str(folder)], secrets=SECRETS, **landlock)

    ended.needs_namespaces()
    assert ended.code == 0, ended.output
    assert json.loads(ended.output) == {
        "texts": SECRETS,
        "modes": ["0o600"],
        "owners": [True],
        "changed": [],
        "kinds": ["tmpfs"],
        "folder": "0o700",
    }
    assert not folder.exists()
    # It has shown them itself, in its output.
    left = [p for p in platform.folder.rglob("*") if p.is_file() and p.name != "output.log"]
    assert left
    assert not [path for path in left if b"canary-of-a-value" in path.read_bytes()]


@pytest.mark.parametrize(("act", "code"), [("", 0), ("killShim", -9)], ids=["its-end", "a-kill"])
def test_without_namespaces_they_are_in_a_folder_of_its_own_and_go_with_its_shim_or_agent(
    platform: Account, act: str, code: int
) -> None:
    memory = platform.folder / "memory"
    own, other = memory / "own", memory / "other"
    other.mkdir(parents=True, exist_ok=True)
    (other / "db-password").write_text("secret")
    for path in (memory, other, other / "db-password"):
        os.chown(path, platform.folder.stat().st_uid, -1)
    look = f"{LOOK}\nsys.stdout.flush()\ntry:\n    os.listdir({str(other)!r})\n"
    look += "except PermissionError:\n    print('closed')\n"
    wait = "print('ready', flush=True)\nimport time\ntime.sleep(600)\n" if act else ""

    ended = platform.run(
        [base_python(), "-c", look + wait, str(own)],
        namespaces=False, secrets=SECRETS, sandbox={"secrets": str(own)}, act=act,
    )  # fmt: skip

    assert ended.code == code, ended.output
    first, *rest = ended.output.splitlines()
    found = json.loads(first)
    assert (found["texts"], found["modes"], found["owners"]) == (SECRETS, ["0o600"], [True])
    assert found["folder"] == "0o700"
    if ended.landlock:
        assert rest[:1] == ["closed"]
    assert own.exists() == bool(act)  # the agent removes what a killed shim has left
    shutil.rmtree(memory)
