"""The apps that are built, by the name of their service."""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final

from shared.contracts.events import BUILT
from tests.kit.parameters import long_but


def _modules(name: str) -> Mapping[str, Any]:
    return {
        each.value: import_module(f"function_apps.{each.value}.{name}") for each in sorted(BUILT)
    }


APPS: Final = _modules("function_app")
TRIGGERS: Final = _modules("triggers")
WHOLE_IN_AZURE: Final = frozenset({"configurations", "secret_bindings"})
"""Apps without a surface and without an engine, which Azure does not have yet."""
IN_EVERY_RUN: Final = ("configurations", "deployments")
"""The apps that stand for all in `make test` where each takes seconds: one of each kind."""


def sampled(apps: Iterable[str]) -> Sequence[Any]:
    """Return *apps* as parameters of a test, all but those that stand for all marked long."""
    return long_but(IN_EVERY_RUN, apps)
