"""`make demo-all` itself: everything it promises is kept, and nothing is left running."""

import re
import signal
from pathlib import Path

import pytest

from tests.kit.demo_runs import left_of, start_demo, text_of
from tests.kit.patience import PATIENCE_S

pytestmark = [pytest.mark.real, pytest.mark.long(minutes=8), pytest.mark.xdist_group("demo")]
ENDS_WITHIN_S = 1500
SHOWN = [
    r"time:    about \d+ s",
    r"TenantBindingRequired",
    r"answers:   tenant-demo 0\.65\.5 at http",
    r"tenant-guest 0\.65\.2 at module-datasette\.tenant-guest",
    r"\$ kill -9 \d+ .*host and agent",
    r"while dead: [1-9]\d* requests served, 0 failed",
    r"trigger:   at \d+ % the gate of module-datasette said Fail: latency",
    r"in force before +r\d+ +0\.65\.5 ",
    r"the bad one +r\d+ +0\.65\.5-paced ",
    r"\$ kill -9 \d+ .*in staging",
    r"workload/instances +as released",
    r"routing/weight +100 +50 ",
    r"changed outside the platform, after 20",
    r"RuntimeDriftDetected",
    r"RuntimeDriftResolved",
    r"WHEN +WHO +WHAT +ABOUT +CAUSE",
    r"scaled:    1 → 2 instances in \d+ s, → 1 in \d+ s",
    r"✓ a rotation ends at its consumers",
    r"✓ the platform's own work is never reported as drift",
    r"requests failed: 0",
    r"the story passed: everything was as promised",
]


def test_the_whole_story_keeps_all_that_it_promises(tmp_path: Path) -> None:
    state, output = tmp_path / "demo", tmp_path / "output.txt"
    demo = start_demo(state, output, ["--all"])
    try:
        code = demo.wait(ENDS_WITHIN_S)
    finally:
        demo.send_signal(signal.SIGTERM)
        demo.wait(PATIENCE_S)
    text = text_of(output)

    missing = [wanted for wanted in SHOWN if not re.search(wanted, text)]
    broken = [line for line in text.splitlines() if line.startswith("✗")]

    assert code == 0, text[-4000:]
    assert missing == []
    assert broken == []
    assert left_of(state) == []
