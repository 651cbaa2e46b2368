"""The versions of a layer that are kept no longer. Pure."""

from collections.abc import Collection, Iterable, Sequence

from function_apps.configurations.model.adoption import ModuleAdoption
from function_apps.configurations.model.configuration import Configuration, Version


def past_versions(
    head: Configuration, versions: Sequence[Version], *, before: int, pinned: Collection[int]
) -> frozenset[int]:
    """Return the numbers of those of *versions* that nobody can come back to.

    *versions* are all of the layer that were written, or put in force, before the time for which
    they are kept. All but the last of them that was in force were replaced before it too, and so
    were drafts against another. *before* is what the version in force replaced, *pinned* are those
    that a release has.
    """
    published = (version for version in versions if not version.is_draft)
    newest = max(published, key=lambda version: (version.at, version.number), default=None)
    in_force_then = newest.number if newest else 0
    stay = {head.version, head.last, before, in_force_then, *pinned}
    return frozenset(
        version.number
        for version in versions
        if version.number not in stay
        and not (version.is_draft and version.against in {in_force_then, head.version})
    )


def pinned_versions(head: Configuration, adoptions: Iterable[ModuleAdoption]) -> frozenset[int]:
    """Return the versions of the layer that the last releases of *adoptions* were given."""
    layer = head.layer.kind.value
    return frozenset(getattr(pin, layer) for each in adoptions for pin in each.pins)
