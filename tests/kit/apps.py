"""The apps that are built, by the name of their service."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from shared.contracts.events import BUILT


def _modules(name: str) -> Mapping[str, Any]:
    return {
        each.value: import_module(f"function_apps.{each.value}.{name}") for each in sorted(BUILT)
    }


APPS: Final = _modules("function_app")
TRIGGERS: Final = _modules("triggers")
WHOLE_IN_AZURE: Final = frozenset({"configurations", "secret_bindings"})
"""Apps without a surface and without an engine, which Azure does not have yet."""
