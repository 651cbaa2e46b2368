"""The functions and files between a handler and its commit are few: `make trace` lists them."""

from functools import cache
from typing import Final

from tools.trace_calls import Trace, trace_of_a_deployment

# Measured on 2026-11-28: 57 in 20. The goal is 24 in 10.
FUNCTIONS_MAX: Final = 60
FILES_MAX: Final = 22


@cache
def _trace() -> Trace:
    return trace_of_a_deployment()


def test_a_deployment_is_followed_to_its_commit_in_few_functions() -> None:
    assert len(_trace().functions) <= FUNCTIONS_MAX, _trace().summary


def test_a_deployment_is_followed_to_its_commit_in_few_files() -> None:
    assert len(_trace().files) <= FILES_MAX, _trace().summary


def test_calls_go_inward_but_for_the_decision_and_its_precheck() -> None:
    """The unit of work asks for both between its read and its batch."""
    outward = {callee.function.rpartition(".")[2] for _, callee in _trace().outward}

    assert outward <= {"decide", "precheck"}
