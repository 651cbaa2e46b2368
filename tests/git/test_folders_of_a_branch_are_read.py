"""Folders of a branch are read from a real server: whole, bounded, and from nowhere else."""

import asyncio
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIApplication

import pytest

from shared.git import pack, smart_http
from shared.git.pack import unpack
from shared.git.port import FILE_MAX, Branch, FetchFailed, Snapshot
from shared.git.smart_http import RepositoryNotAllowed, SmartHttpRepositories
from shared.git.threads import in_git_thread
from shared.vault.port import SecretValue
from tests.kit.git_server import GitServer, git_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with git_server(tmp_path) as started:
        yield started


def fetch(
    server: GitServer,
    *folders: str,
    branch: str = "main",
    url: str | None = None,
    within_s: float = 10.0,
    **how: Any,
) -> Snapshot | None:
    repositories = SmartHttpRepositories(plain_loopback=True, within_s=within_s)
    asked = Branch(url or server.url, branch)
    return asyncio.run(repositories.fetch(asked, folders or ("prod",), **how))


def refused(server: GitServer, **how: Any) -> tuple[str, str]:
    with pytest.raises(FetchFailed) as failed:
        fetch(server, **how)
    reason = failed.value.reason
    return reason.code, reason.message


def test_the_files_of_the_folders_come_with_the_newest_commit(server: GitServer) -> None:
    server.push({"prod/web.yaml": "a: 1", "test/web.yaml": "a: 2", "README.md": "all"})
    commit = server.push({"prod/web.yaml": "a: 3", "prod/deep/er.yaml": "b: 1"})

    assert fetch(server, "prod", "test", "stage") == Snapshot(
        commit, {"prod": {"web.yaml": b"a: 3"}, "test": {"web.yaml": b"a: 2"}}
    )


def test_many_versions_of_long_files_are_sent_as_changes_and_read_whole(server: GitServer) -> None:
    text = "".join(
        f"line {number}: {hashlib.sha256(bytes([number % 256]))!r}\n" for number in range(900)
    )
    files = {f"prod/{number}.yaml": text + f"end: {number}\n" for number in range(20)}
    server.push(files)

    read = fetch(server)

    assert read is not None
    assert {
        f"prod/{name}": (content or b"").decode() for name, content in read.files["prod"].items()
    } == files


def test_a_commit_that_is_known_is_not_sent_again(server: GitServer) -> None:
    commit = server.push({"prod/web.yaml": "a: 1"})

    assert fetch(server, known=commit) is None
    assert server.fetches == 0


@pytest.mark.parametrize("filters", ["true", "false"])
def test_a_file_that_is_too_long_is_named_and_not_read(server: GitServer, filters: str) -> None:
    server.configure("uploadpack.allowFilter", filters)
    server.push({"prod/web.yaml": "a: 1", "prod/long.yaml": "x" * (FILE_MAX + 1)})

    read = fetch(server)

    assert read is not None
    assert read.files["prod"] == {"web.yaml": b"a: 1", "long.yaml": None}


def test_links_are_no_files(server: GitServer, tmp_path: Path) -> None:
    server.push({"prod/web.yaml": "a: 1"})
    (tmp_path / "work/prod/link.yaml").symlink_to("/etc/passwd")
    server.push({})

    read = fetch(server)

    assert read is not None
    assert [*read.files["prod"]] == ["web.yaml"]


def test_a_repository_that_is_too_large_is_refused(
    server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smart_http, "PACK_MAX", 20_000)
    noise = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(200)) * 8
    server.push({f"{number}.bin": noise[number:] + bytes([number]) for number in range(50)})
    server.push({"one.bin": b"".join(hashlib.sha512(b"%d" % n).digest() for n in range(2000))})

    assert refused(server)[0] == "RepositoryTooLarge"


def test_folders_that_have_too_much_are_refused(
    server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack, "FILES_MAX", 10)
    server.push({"prod/web.yaml": "a: 12345678"})

    assert refused(server)[0] == "RepositoryTooLarge"


def a_pack(*objects: tuple[int, int, bytes]) -> bytes:
    """Return a pack of *objects*: the type, the size that it says, what it has."""
    body = b"PACK" + (2).to_bytes(4) + len(objects).to_bytes(4)
    for kind, size, content in objects:
        head, rest = [kind << 4 | size & 15], size >> 4
        while rest:
            head[-1] |= 0x80
            head.append(rest & 0x7F)
            rest >>= 7
        body += bytes(head) + zlib.compress(content)
    return with_hash(body)


def with_hash(body: bytes) -> bytes:
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


@pytest.mark.parametrize(
    ("objects", "code"),
    [
        pytest.param([(3, 2**40, b"a")], "RepositoryTooLarge", id="it-says-that-it-has-a-terabyte"),
        pytest.param([(3, 2**70, b"a")], "Damaged", id="its-size-is-no-size"),
        pytest.param([(3, 1, b"a" * 10_000)], "Damaged", id="it-has-more-than-it-says"),
        pytest.param([(5, 1, b"a")], "Damaged", id="its-type-is-none"),
    ],
)
def test_a_pack_that_would_fill_the_memory_is_refused(
    objects: Sequence[tuple[int, int, bytes]], code: str
) -> None:
    with pytest.raises(FetchFailed) as failed:
        unpack(a_pack(*objects))

    assert failed.value.reason.code == code


def test_objects_that_are_too_much_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "UNPACKED_MAX", 100)

    with pytest.raises(FetchFailed) as failed:
        unpack(a_pack(*[(3, 15, b"%015d" % number) for number in range(7)]))

    assert failed.value.reason.code == "RepositoryTooLarge"


def test_a_pack_that_breaks_off_is_refused_at_every_byte() -> None:
    whole = a_pack((3, 3, b"abc"), (3, 5, b"a" * 5))

    assert len(unpack(whole)) == 2
    for length in range(len(whole)):
        with pytest.raises(FetchFailed):
            unpack(whole[:length])


def test_a_change_that_says_it_makes_a_terabyte_is_refused() -> None:
    base = b"abc"
    name = hashlib.sha1(b"blob 3\0abc", usedforsecurity=False).digest()
    delta = b"\x03" + b"\xff" * 5 + b"\x01" + b"\x90\x03"
    body = b"PACK" + (2).to_bytes(4) + (2).to_bytes(4)
    body += bytes([3 << 4 | 3]) + zlib.compress(base)
    body += bytes([7 << 4 | len(delta)]) + name + zlib.compress(delta)

    with pytest.raises(FetchFailed) as failed:
        unpack(with_hash(body))

    assert failed.value.reason.code == "RepositoryTooLarge"


def test_a_branch_or_a_repository_that_is_not_there_is_named(server: GitServer) -> None:
    server.push({"prod/web.yaml": "a: 1"})

    assert refused(server, branch="other") == (
        "NoBranch", "the repository has no branch 'other'",
    )  # fmt: skip
    assert refused(server, url=server.url.replace("environments", "none"))[0] == "NoRepository"


@contextmanager
def served(application: WSGIApplication) -> Iterator[str]:
    """Give the address at which *application* answers."""

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with make_server("127.0.0.1", 0, application, handler_class=Quiet) as listener:
        thread = Thread(target=listener.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.server_port}"
        finally:
            listener.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        ("200 OK", "NoRepository", "not served by smart HTTP"),
        ("301 Moved Permanently", "RepositoryRefused", "301: no redirect is followed"),
        ("500 Internal Server Error", "RepositoryRefused", "answered 500"),
    ],
)
def test_a_server_that_answers_no_repository_is_named(
    server: GitServer, status: str, code: str, words: str
) -> None:
    def answer(_: object, start: StartResponse) -> list[bytes]:
        start(status, [("Content-Type", "text/plain")])
        return [b"0123 refs/heads/main"]

    with served(answer) as root:
        found = refused(server, url=f"{root}/x.git")

    assert found[0] == code
    assert words in found[1]
    assert ("redirect" in found[1]) is status.startswith("3")


def test_a_server_that_is_away_or_slow_is_named(server: GitServer) -> None:
    server.push({"prod/web.yaml": "a: 1"})
    server.before_pack = lambda: __import__("time").sleep(0.5)

    assert refused(server, url="http://127.0.0.1:1/x.git")[0] == "Unreachable"
    assert refused(server, within_s=0.2)[0] == "TimedOut"


@pytest.mark.parametrize(
    ("credential", "sent"),
    [("ann:secret", "Basic YW5uOnNlY3JldA=="), ("tok", "Basic eC1hY2Nlc3MtdG9rZW46dG9r")],
)
def test_a_credential_is_shown_to_the_repository_only(
    server: GitServer, credential: str, sent: str
) -> None:
    server.push({"prod/web.yaml": "a: 1"})

    fetch(server, credential=SecretValue(credential))

    assert {headers["authorization"] for _, headers in server.asked} == {sent}


@pytest.mark.parametrize(
    "url", ["ssh://git@example.org/x.git", "http://example.org/x.git", "file:///etc", "http://127.0.0.1.example.org/"]
)  # fmt: skip
def test_only_https_is_asked_and_this_machine_in_the_local_profile(url: str) -> None:
    with pytest.raises(RepositoryNotAllowed):
        SmartHttpRepositories(plain_loopback=True).check(url)
    with pytest.raises(RepositoryNotAllowed):
        SmartHttpRepositories().check("http://127.0.0.1/x.git")


def test_a_name_that_leads_inside_is_asked_nothing() -> None:
    async def inside(_host: str) -> Sequence[str]:
        return ["10.0.0.7"]

    repositories = SmartHttpRepositories(resolve=inside)
    with pytest.raises(FetchFailed) as failed:
        asyncio.run(repositories.fetch(Branch("https://example.org/x.git", "main"), ["prod"]))

    assert failed.value.reason.code == "Forbidden"


COMMIT = b"0123456789abcdef0123456789abcdef01234567"
BRANCH = COMMIT + b" refs/heads/main\0shallow side-band-64k\n"


def a_line(content: bytes) -> bytes:
    return b"%04x%s" % (len(content) + 4, content)


@pytest.mark.parametrize(
    ("refs", "code"),
    [
        pytest.param(b"0004" * 200_000, "RepositoryTooLarge", id="empty-lines"),
        pytest.param(b"0000" * 200_000, "RepositoryTooLarge", id="parts"),
        pytest.param(b"zzzz", "Damaged", id="no-length"),
        pytest.param(b"+010" + b"a" * 12, "Damaged", id="a-length-with-a-sign"),
        pytest.param(b"0003", "Damaged", id="shorter-than-its-length"),
        pytest.param(a_line(BRANCH)[:-1], "Damaged", id="it-breaks-off"),
    ],
)
def test_lines_that_are_too_many_or_damaged_are_refused(refs: bytes, code: str) -> None:
    with pytest.raises(FetchFailed) as failed:
        smart_http._newest(refs, "main")

    assert failed.value.reason.code == code


def test_a_server_that_cannot_send_one_commit_alone_is_named() -> None:
    refs = a_line(COMMIT + b" refs/heads/main\0side-band-64k\n")

    with pytest.raises(FetchFailed, match="lacks shallow") as failed:
        smart_http._newest(refs, "main")

    assert failed.value.reason.code == "ServerTooOld"


@pytest.mark.parametrize("line", [b"\x03RR is full\n", b"ERR RR is full\n"])
def test_what_a_server_says_instead_of_a_pack_is_the_reason(line: bytes) -> None:
    with pytest.raises(FetchFailed, match="the repository says: RR is full") as failed:
        smart_http._files(a_line(line), COMMIT, ["prod"])

    assert failed.value.reason.code == "RepositoryRefused"


def test_ten_thousand_branches_are_read() -> None:
    others = b"".join(a_line(COMMIT + b" refs/heads/%d\n" % number) for number in range(10_000))

    commit, _ = smart_http._newest(a_line(BRANCH) + others + b"0000", "9999")

    assert commit == COMMIT


def test_a_tree_that_all_folders_lead_through_is_read_once_and_bounded() -> None:
    def hashed(kind: bytes, content: bytes) -> bytes:
        return hashlib.sha1(b"%s %d\0%s" % (kind, len(content), content)).digest()

    def fetched(entries: int) -> None:
        file = bytes(20)
        root = b"".join(b"100644 %06x\0%s" % (number, file) for number in range(entries))
        commit = b"tree " + hashed(b"tree", root).hex().encode() + b"\n"
        objects = unpack(a_pack((2, len(root), root), (1, len(commit), commit)))
        folders = [f"e{number}" for number in range(50)]
        assert pack.files_of(objects, hashed(b"commit", commit), folders) == {}

    fetched(3000)  # 50 times as many would be too many
    with pytest.raises(FetchFailed, match="entries"):
        fetched(100_001)


def test_what_repositories_send_takes_no_thread_that_others_wait_for() -> None:
    async def scenario() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        end = Event()
        reading = [asyncio.create_task(in_git_thread(end.wait, 20)) for _ in range(4)]
        try:
            for _ in range(2):  # before the second, all of them have been handed over
                assert await asyncio.wait_for(asyncio.to_thread(str, 1), 10) == "1"
        finally:
            end.set()
        assert await asyncio.gather(*reading) == [True] * 4

    asyncio.run(scenario())
