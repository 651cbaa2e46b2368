"""The record that a host leaves in its state folder when it ends."""

from pathlib import Path

from cli.state_folder import StateFolder, write_private


def ended_host(state: Path, port: int) -> None:
    """Write to *state* what a host on *port* wrote, whose process is gone."""
    folder = StateFolder(state)
    folder.create()
    write_private(
        folder.host_file,
        {"pid": 2**22, "ticks": 1, "boot": "an-earlier-one", "token": "t", "port": port,
         "url": f"http://127.0.0.1:{port}", "startedAt": "2026-11-28T12:00:00Z"},
    )  # fmt: skip
