"""How much a reader has to follow from a handler to the commit: `make trace` shows it."""

from functools import cache
from typing import Final

from tools.trace_calls import Trace, trace_of_a_deployment

# 44 in 15 at 4938637; the goal was 24 in 10. ADR 0220 says why it is not.
# 34 in 18 before a release had a configuration, which is pinned at the command (ADR 0480).
# 39 before it was held to the schemas of its layers (ADR 0532).
# 40 in 20 before a dry run was the same decision (ADR 0802).
# 41 in 21 before the request answered the warnings of its dry run (ADR 0823).
FUNCTIONS_MAX: Final = 44
FILES_MAX: Final = 23


@cache
def _trace() -> Trace:
    return trace_of_a_deployment()


def test_a_deployment_is_followed_to_its_commit_in_few_functions() -> None:
    assert len(_trace().functions) <= FUNCTIONS_MAX, _trace().summary


def test_a_deployment_is_followed_to_its_commit_in_few_files() -> None:
    assert len(_trace().files) <= FILES_MAX, _trace().summary


def test_calls_go_inward_but_for_the_decision_and_what_that_asks_outside() -> None:
    outward = {
        callee.function.rpartition(".")[2]
        for caller, callee in _trace().outward
        if caller.function != "AskedOnce.ask"
    }

    assert outward == {"decide"}
