"""Parts whose ports to the outside record their calls: surface, metrics, images, engine, vault.

Store, messages, tables and blobs are not among them: each command has the same few calls of those,
and its own duration says how long they took.
"""

from typing import TYPE_CHECKING, Any, cast

from shared.composition.parts import Parts
from shared.telemetry.outside_calls import recorded

if TYPE_CHECKING:  # not every app's
    from shared.vault.port import Vaults


def recorded_parts(parts: Parts) -> Parts:
    """Return *parts*, whose surfaces, metrics, images, engine and vault are recorded in a span."""
    return cast("Parts", _RecordedParts(parts))  # the rest is *parts* itself, method for method


class _RecordedParts:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parts, name)

    def surfaces(self) -> Any:
        surfaces = self._parts.surfaces().items()
        return {kind: recorded(surface, "surface") for kind, surface in surfaces}

    def metrics(self, source: Any) -> Any:
        return recorded(self._parts.metrics(source), "metrics")

    def images(self) -> Any:
        return recorded(self._parts.images(), "images")

    def engine(self) -> Any:
        return recorded(self._parts.engine(), "engine")

    def vault(self) -> Any:
        return recorded(self._parts.vault(), "vault")

    def vaults(self) -> Any:
        return _RecordedVaults(self._parts.vaults())


class _RecordedVaults:
    def __init__(self, vaults: "Vaults") -> None:
        self._vaults = vaults

    def at(self, uri: str) -> Any:
        return recorded(self._vaults.at(uri), "vault")
