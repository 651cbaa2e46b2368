"""Nothing is hidden: in CI a skipped test fails, and every run says how many passed by marker, and
which failed at first.

Only what no run can install may be lacking, a part of the kernel or a right of the user: its reason
says "this machine", and every run lists it.
"""

import gc
import math
import os
import signal
from collections import Counter, defaultdict
from collections.abc import Sequence
from zlib import crc32

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings

from tests.kit.event_table import TABLE
from tests.kit.kubernetes_cluster import end_cluster_of_session

settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")  # how long an example takes is up to what else the machine does

MARKERS = ("long", "real")
_BESIDE_WAITS = 0.85
"""The part of the tests that compute which is mixed with those that wait."""
_CASES_IN_EVERY_RUN = 3
"""Of a test with more cases on real parts `make test` runs a third, and `make long` another one."""
_THIS_MACHINE = "this machine"
_REPEAT_OTHERS = ("tests/architecture/", "tests/faults/", "tests/simulator/")
_SECOND_RUNS = 1
"""What starts processes is up to what else the machine does: it fails where it fails twice."""
_SECOND_RUNS_MAX = 10
"""In one run of all; of more the machine is not the cause."""
_AGAIN: list[str] = []
"""The tests that were run again."""
_IS_NOT_MEASURED = pytest.StashKey[bool]()
_PROGRAMS = "COVERAGE_PROCESS_CONFIG"
"""Where coverage.py tells the programs that a test starts to be measured."""


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what the whole session had in common, once its workers have ended."""
    if not hasattr(config, "workerinput"):
        end_cluster_of_session(config)


def pytest_configure() -> None:
    """Let programs that a test starts be interrupted; what a shell starts with `&` is not."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> object:
    """Collect no garbage while tests are read: all that is made then stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> object:
    """Say which cases are long before `-m` chooses, and who runs what once it has chosen."""
    for cases in _with_many_cases(items):
        third, others = _third_and_others(cases)
        for case in others:
            case.add_marker(pytest.mark.long)
        for case in others[len(third) :]:
            case.add_marker(pytest.mark.sweep)
    result = yield
    _give_to_workers(config, items)
    return result


def _with_many_cases(items: Sequence[pytest.Item]) -> Sequence[Sequence[pytest.Item]]:
    """Return the cases of each test that is not long and has many on real parts."""
    cases: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("real") and not item.get_closest_marker("long"):
            cases[item.nodeid.partition("[")[0]].append(item)
    return [each for each in cases.values() if len(each) > _CASES_IN_EVERY_RUN]


def _third_and_others(
    cases: Sequence[pytest.Item],
) -> tuple[Sequence[pytest.Item], Sequence[pytest.Item]]:
    """Return about a third of *cases* that has each value of each parameter, and the others.

    Values of a parameter that has many, such as keys of a row, are left out as well. Besides, cases
    are drawn by their names: each third place would have one adapter, or one user, only.
    """
    drawn = sorted(cases, key=lambda case: crc32(case.nodeid.encode()))
    values = {case: _values(case) for case in drawn}
    numbers = Counter(name for name, _ in set().union(*values.values()))
    missing = {
        (name, value)
        for each in values.values()
        for name, value in each
        if numbers[name] <= _CASES_IN_EVERY_RUN
    }
    third = []
    for case in drawn:
        if values[case] & missing:
            third.append(case)
            missing -= values[case]
    others = [case for case in drawn if case not in third]
    more = max(0, math.ceil(len(drawn) / 3) - len(third))
    return [*third, *others[:more]], others[more:]


def _values(case: pytest.Item) -> set[tuple[str, int]]:
    """Return the values of the parameters of *case*, each by its identity."""
    named: dict[str, object] = case.callspec.params  # type: ignore[attr-defined]
    return {(name, id(value)) for name, value in named.items()}


def _give_to_workers(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give one worker the tests that share what takes long to start, and mix those that wait.

    pytest-xdist says so in a field of the tests that pytest 9.2 reads no more, see its issue 1386:
    without this each worker starts it.
    """
    if os.environ.get("SWEEP") != "all":
        left_out = [each for each in items if each.get_closest_marker("sweep")]
        items[:] = [each for each in items if each not in left_out]
        config.hook.pytest_deselected(items=left_out)
    if config.getoption("cov_source", None):
        _measure_first_of_each_function(items)
    for item in items:
        if item.get_closest_marker("real") and not item.get_closest_marker("once"):
            item.add_marker(pytest.mark.flaky(reruns=_SECOND_RUNS))
    if getattr(config.option, "loadgroup", False):
        items[:] = _in_turn(items)
        for item in items:
            if group := _group(item):
                item._id = item.id.parse(f"{item.nodeid}@{group}")


def pytest_collection_finish() -> None:
    """Let no collection of garbage look again at the ten thousand tests, which stay anyway."""
    gc.collect()
    gc.freeze()


def _measure_first_of_each_function(items: list[pytest.Item]) -> None:
    """Leave out of the coverage what reaches few lines more, and takes twice the time with it.

    That is a test function with other parameters, and what other tests do again under faults.
    """
    met: set[str] = set()
    for item in items:
        function = item.nodeid.partition("[")[0]
        if function in met or function.startswith(_REPEAT_OTHERS):
            item.stash[_IS_NOT_MEASURED] = True
        met.add(function)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> object:
    """Measure neither a test that is left out nor a program that it starts.

    A worker has two measurements, its own and that of a program which was started: all stop.
    """
    if not item.stash.get(_IS_NOT_MEASURED, False):
        return (yield)
    stopped = []
    while measurement := Coverage.current():
        measurement.stop()
        stopped.append(measurement)
    told = os.environ.pop(_PROGRAMS, "")
    try:
        return (yield)
    finally:
        os.environ.update({_PROGRAMS: told} if told else {})
        for measurement in reversed(stopped):
            measurement.start()


def _in_turn(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return *items* as workers shall take them.

    First what takes minutes by its mark, and what runs on one worker together; then each test that
    waits, for a process, a pod or a server, with its part of those that only compute, which use the
    processors meanwhile. The last of these are left for the end, where each is so short that all
    workers end at once.
    """
    waits = sorted(
        (each for each in items if _waits(each)),
        key=lambda each: (-_minutes(each), not _group(each)),
    )
    computes = [each for each in items if not _waits(each)]
    beside = len(computes) * _BESIDE_WAITS
    taken = [round(beside * number / max(1, len(waits))) for number in range(len(waits) + 1)]
    mixed = (
        each
        for number, waiting in enumerate(waits)
        for each in (waiting, *computes[taken[number] : taken[number + 1]])
    )
    return [*mixed, *computes[taken[-1] :]]


def _waits(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in MARKERS)


def _minutes(item: pytest.Item) -> int:
    """Return how long *item* takes on a quiet machine, as its mark `long` says; 0 if not long."""
    mark = item.get_closest_marker("long")
    return mark.kwargs.get("minutes", 0) if mark else 0


def _group(item: pytest.Item) -> str:
    """Return the group that *item* is marked with, or its module where it shares a fixture."""
    marked = {mark.args[0] for mark in item.iter_markers("xdist_group")}
    known = getattr(item, "_fixtureinfo", None)
    shared = known and any(each[-1].scope == "module" for each in known.name2fixturedefs.values())
    return "_".join(sorted(marked)) or (item.nodeid.partition("::")[0] if shared else "")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> object:
    report: pytest.TestReport = yield  # type: ignore[misc]
    is_of_the_machine = _THIS_MACHINE in str(report.longrepr)
    is_skipped = report.skipped and not hasattr(report, "wasxfail")
    if os.environ.get("CI") and is_skipped and not is_of_the_machine:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    report.marker = next((name for name in MARKERS if item.get_closest_marker(name)), "unit")
    # A worker can send the report of a test only if its log is text that can be encoded.
    report.sections = [(name, _encodable(text)) for name, text in report.sections]
    return report


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.outcome == "rerun":
        _AGAIN.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if len(_AGAIN) > _SECOND_RUNS_MAX and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests passed; one that is both `long` and `real` counts as long.

    And print what tests have measured.
    """
    passed = Counter(report.marker for report in terminalreporter.stats.get("passed", ()))
    counts = ", ".join(f"{marker} {passed[marker]}" for marker in ("unit", "real", "long"))
    terminalreporter.write_line(f"passed by marker: {counts}")
    for report in terminalreporter.stats.get("passed", ()):
        for lines in (value for name, value in report.user_properties if name == TABLE):
            terminalreporter.write_line(f"\n{report.nodeid}\n{lines}")
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.write_line(f"failed once and was run again: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)
    if len(_AGAIN) > _SECOND_RUNS_MAX:
        terminalreporter.write_line(f"failed: more than {_SECOND_RUNS_MAX} tests were run again")
    skipped = Counter(str(report.longrepr) for report in terminalreporter.stats.get("skipped", ()))
    for reason, times in skipped.items():
        terminalreporter.write_line(f"skipped {times}: {reason}")
