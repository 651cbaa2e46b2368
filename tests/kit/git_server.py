"""A Git repository on loopback: Git's own server over HTTP, and commits as somebody pushes them."""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

BRANCH: Final = "main"
_AUTHOR: Final = {
    "GIT_AUTHOR_NAME": "ann", "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "ann", "GIT_COMMITTER_EMAIL": "ann@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull,
}  # fmt: skip


@dataclass
class GitServer:
    """`fetches` counts the packs that were asked for, `asked` every request with its headers.

    `before_pack` is called before a pack is answered.
    """

    folder: Path
    port: int = 0
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    before_pack: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/environments.git"

    @property
    def fetches(self) -> int:
        return sum(path.endswith("/git-upload-pack") for path, _ in self.asked)

    def push(self, files: Mapping[str, str | bytes | None], message: str = "change") -> str:
        """Commit *files* on top of the branch, None removes one; return the commit."""
        work = self.folder / "work"
        for name, content in files.items():
            path = work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        self._git("add", "--all", cwd=work)
        self._git("commit", "--quiet", "--allow-empty", "--message", message, cwd=work)
        self._git("push", "--quiet", "origin", f"HEAD:{BRANCH}", cwd=work)
        return self._git("rev-parse", "HEAD", cwd=work)

    def configure(self, name: str, value: str) -> None:
        """Set an option of the server's repository."""
        self._git("config", name, value, cwd=self.folder / "environments.git")

    def start(self) -> None:
        self._git("init", "--quiet", "--bare", f"--initial-branch={BRANCH}", "environments.git")
        self._git("init", "--quiet", f"--initial-branch={BRANCH}", "work")
        self._git("remote", "add", "origin", "../environments.git", cwd=self.folder / "work")

    def _git(self, *words: str, cwd: Path | None = None) -> str:
        ran = subprocess.run(
            ["git", *words], cwd=cwd or self.folder, env={**os.environ, **_AUTHOR}, check=True,
            capture_output=True, text=True,
        )  # fmt: skip
        return ran.stdout.strip()


class _QuietServer(ThreadingHTTPServer):
    """Says nothing of clients that went away, and of answers that a test has break off."""

    def handle_error(self, *_: object) -> None:
        pass


@contextmanager
def git_server(folder: Path) -> Iterator[GitServer]:
    """Give a server with an empty repository in *folder*."""
    server = GitServer(folder)
    server.start()

    class Handler(BaseHTTPRequestHandler):
        """Hands each request to `git http-backend` as a web server does (RFC 3875)."""

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            path, _, query = self.path.partition("?")
            server.asked.append((path, {name.lower(): text for name, text in self.headers.items()}))
            if path.endswith("/git-upload-pack"):
                server.before_pack()
            environ = {
                **os.environ, **_AUTHOR,
                "GIT_PROJECT_ROOT": str(folder), "GIT_HTTP_EXPORT_ALL": "1",
                "REQUEST_METHOD": self.command, "PATH_INFO": path, "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
            }  # fmt: skip
            ran = subprocess.run(
                ["git", "http-backend"], input=body, env=environ, check=True, capture_output=True
            )
            head, _, content = ran.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, text in headers.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with _QuietServer(("127.0.0.1", 0), Handler) as listener:
        server.port = listener.server_address[1]
        thread = Thread(target=listener.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()
