"""`make demo` itself: everything it promises is shown, and nothing is left running."""

import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.kit.demo_runs import left_of, start_demo, until_shown
from tests.kit.patience import PATIENCE_S

pytestmark = [pytest.mark.real, pytest.mark.long(minutes=4), pytest.mark.xdist_group("demo")]
ENDS_WITHIN_S = 900
SHOWN = [
    r"time:    about \d+ s",
    r"ports:   API \d+",
    r"folder:  /",
    r"gate window 5 s",
    r"open http://127\.0\.0\.1:\d+/ in a browser",
    r"\$ kill -9 \d+ ",
    r"killed:    pid \d+( \d+)*, in step 'weight \d+ %', weight [1-9]\d? %",
    r"while dead: [1-9]\d* requests served, 0 failed",
    r"resumed:   the API answers \d",
    r"adopted:   \d+(, \d+)+ .*lost: 0",
    r"trigger:   at \d+ % the gate of module-datasette said Fail: latency",
    r"time:      \d+\.\d s from the first bad sample to 0 %",
    r"exposed:   [1-9]\d* requests",
    r"module-datasette-\d+-0  \d+ .*nothing",
    r"pause_ms +changed +0 +300",
    r"module-datasette runs [0-9a-f]{12} \(r\d+, proved",
    r"\[Held\]",
    r"runtimectl release-hold dep-",
    r"WHEN +WHO +WHAT",
    r"requests:  [1-9]\d* served, 0 failed",
    r"Failed:    0",
    r"retries:   \d+ by the proxy, 0 by the client",
    r"proxy:     [1-9]\d* requests counted, 0 of them",
    r"load:      average at most \d+\.\d, \d+ cores",
    r"disk:      \d+ MB",
    r"the demo passed: no request failed",
]


@pytest.mark.parametrize(
    ("options", "also_shown"),
    [
        pytest.param((), [], id="one-host"),
        pytest.param(
            ("--processes-per-app", "2"),
            [r"killed:    [1-9]\d* host processes besides"],
            id="processes-of-each-app",
            marks=pytest.mark.sweep,
        ),
    ],
)
def test_the_whole_scenario_runs_without_one_failed_request(
    tmp_path: Path, options: Sequence[str], also_shown: Sequence[str]
) -> None:
    state, output = tmp_path / "demo", tmp_path / "output.txt"
    demo = start_demo(state, output, options)
    try:
        code = demo.wait(ENDS_WITHIN_S)
    finally:
        demo.send_signal(signal.SIGTERM)
        demo.wait(PATIENCE_S)
    text = output.read_text(encoding="utf-8")

    missing = [wanted for wanted in (*SHOWN, *also_shown) if not re.search(wanted, text)]

    assert code == 0, text[-3000:]
    assert missing == []
    assert "\x1b" not in text
    assert left_of(state) == []


def test_an_interruption_leaves_nothing_running(tmp_path: Path) -> None:
    state, output = tmp_path / "demo", tmp_path / "output.txt"
    demo = start_demo(state, output)
    until_shown(output, "Provisioned", demo)

    os.killpg(demo.pid, signal.SIGINT)
    code = demo.wait(PATIENCE_S)

    assert code == 130
    assert "nothing is left running" in output.read_text(encoding="utf-8")
    assert left_of(state) == []
