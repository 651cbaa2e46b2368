"""A run of a demo as a process: what it printed so far, and what of it still runs."""

import subprocess
from contextlib import suppress
from pathlib import Path

import psutil

from local_agent.process_identity import machine_processes


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
