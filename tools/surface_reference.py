"""Rewrites the table of `docs/surfaces.md`: what each surface can do, from the adapters' own words.

python -m tools.surface_reference
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from cli.state_folder import REPOSITORY
from local_agent import capabilities as local_process
from shared.surfaces.aks import capabilities as aks
from shared.surfaces.capabilities import MINIMUM, Feature

PAGE: Final = REPOSITORY / "docs" / "surfaces.md"
_MARK: Final = "<!-- from the code -->\n"


@dataclass(frozen=True)
class SurfaceWords:
    """What a surface *never* does, and why, and what it *needs* for what some of its places do."""

    name: str
    never: Mapping[Feature, str]
    needs: Mapping[Feature, str]

    def cell(self, feature: Feature) -> str:
        if feature in self.never:
            return f"no: {self.never[feature]}"
        return f"with {self.needs[feature]}" if feature in self.needs else "yes"


SURFACES: Final = (
    SurfaceWords("LocalProcess", local_process.NEVER, local_process.BY_MACHINE),
    SurfaceWords(aks.SURFACE, aks.NEVER, aks.BY_CLUSTER),
)


def table() -> Iterator[str]:
    """Yield the lines of the table."""
    yield " | ".join(["| feature", "", *(each.name for each in SURFACES)]) + " |"
    yield "|---" * (len(SURFACES) + 2) + "|"
    for feature in Feature:
        name = f"`{feature}`" + (" (required)" if feature in MINIMUM else "")
        cells = [name, feature.meaning, *(each.cell(feature) for each in SURFACES)]
        yield "| " + " | ".join(cells) + " |"


def rewritten(page: str) -> str:
    """Return *page* with what follows the mark as the code has it."""
    head, mark, _ = page.partition(_MARK)
    return head + mark + "\n" + "\n".join(table()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
