"""A run of a demo as a process: what it printed so far, and what of it still runs."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from cli.state_folder import REPOSITORY
from local_agent.process_identity import machine_processes


def start_demo(state: Path, output: Path, options: Sequence[str] = ()) -> "subprocess.Popen[bytes]":
    """Start the demo in the folder *state*; what it prints is in *output*."""
    words = [sys.executable, "-m", "cli.demo", "--state", str(state), *options]
    return start(words, output, os.environ)


def start(
    words: Sequence[str], output: Path, environ: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    with output.open("wb") as file:
        return subprocess.Popen(
            words, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=file,
            stderr=subprocess.STDOUT, start_new_session=True,
            env={**environ, "NO_COLOR": "1"},
        )  # fmt: skip


def text_of(output: Path) -> str:
    return output.read_text(encoding="utf-8")


def left_of(state: Path) -> list[str]:
    """Return what still runs in or for *state*."""
    running = []
    for process in machine_processes():
        with suppress(psutil.NoSuchProcess):
            shown = process.as_dict(["cmdline", "cwd", "status"])
            words = [*(shown["cmdline"] or []), shown["cwd"] or ""]
            is_ended = shown["status"] == psutil.STATUS_ZOMBIE
            if not is_ended and any(str(state) in word for word in words):
                running.append(" ".join(words)[:200])
    return running


def until_shown(output: Path, text: str, demo: "subprocess.Popen[bytes]") -> None:
    """Return when *demo* has printed *text*; AssertionError with its output if it never does.

    A demo ends by itself, with what it waited for in vain, so this has no limit of its own.
    """
    while text not in text_of(output):
        try:
            demo.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
        break
    else:
        return
    if text in text_of(output):
        return
    raise AssertionError(text_of(output)[-2000:])
