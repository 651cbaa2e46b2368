"""Which images an environment takes: registries and signatures, the setting `RUNTIME_IMAGE_RULES`.

A rule is of one environment, of a stage, or of all (`*`); the closest one counts, whole. Without a
rule nothing is taken.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, StringConstraints

from shared.contracts.patterns import pattern
from shared.contracts.shape import Value
from shared.contracts.validation import parse
from shared.contracts.values import Stage
from shared.images.reference import ImageReference
from shared.images.registries import host_matches
from shared.images.signatures import read_public_key
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid, Violation

if TYPE_CHECKING:
    from shared.images.signatures import PublicKey

IMAGE_RULES: Final = "RUNTIME_IMAGE_RULES"
EVERYWHERE: Final = "*"
_PLACE: Final = re.compile(r"\*|env-[a-z0-9-]{1,120}")


class Signatures(StrEnum):
    """Whether an image must be signed."""

    NONE = "none"
    REQUIRED = "required"


Source = Annotated[
    str,
    StringConstraints(
        max_length=255,
        pattern=pattern(
            r"^[a-z0-9*.\[\]-]+(?::[0-9*]+)?(?:/[a-z0-9][a-z0-9._/-]*)?$",
            "a registry such as *.azurecr.io, or one with a repository: shop.azurecr.io/web",
        ),
    ),
]


class _Rule(Value):
    registries: Annotated[tuple[Source, ...], Field(max_length=50)]
    signatures: Signatures = Signatures.NONE
    keys: Annotated[
        tuple[Annotated[str, StringConstraints(max_length=4096)], ...], Field(max_length=10)
    ] = ()


class _Rules(Value):
    rules: Annotated[Mapping[str, _Rule], Field(max_length=100)]


@dataclass(frozen=True)
class ImageRule:
    """What one environment takes; `place` is what the rule stands under."""

    place: str
    sources: Sequence[str] = ()
    signatures: Signatures = Signatures.NONE
    keys: Sequence["PublicKey"] = ()

    def refusal(self, reference: ImageReference, *, at: str) -> Violation | None:
        """Return why *reference* may not come from where it is; None if it may."""
        if any(is_from(source, reference) for source in self.sources):
            return None
        allowed = ", ".join(self.sources)
        return Violation(
            "ImageNotAllowed",
            at,
            f"images of {reference.name} are not taken here: {IMAGE_RULES} does not name it for"
            f" {self.place}",
            f"an image of {allowed}" if allowed else "no image",
            str(reference),
        )


@dataclass(frozen=True)
class ImageRules:
    """The rules by place: an environment's id, a stage, or `*`."""

    by_place: Mapping[str, ImageRule] = field(default_factory=dict)

    def rule(self, environment_id: str, stage: Stage | None) -> ImageRule | None:
        """Return the rule of an environment; None while its *stage* is not known and decides."""
        known = self.by_place
        if environment_id in known:
            return known[environment_id]
        if stage is None and known.keys() & set(Stage):
            return None
        return known.get(stage or "") or known.get(EVERYWHERE) or ImageRule(stage or EVERYWHERE)


def read_image_rules(text: str) -> ImageRules:
    """Return the rules that *text* has, a JSON object by place: `RUNTIME_IMAGE_RULES`.

    Raises:
        Invalid: it is none, with a violation for each mistake.
    """
    if not text.strip():
        return ImageRules()
    try:
        found = parse(_Rules, f'{{"rules":{text}}}'.encode()).rules
    except Invalid as problem:
        raise _refused(
            [(each.target.removeprefix("/rules"), each.message) for each in problem.details]
        ) from problem
    mistakes: list[tuple[str, str]] = []
    rules = {}
    for place, rule in found.items():
        if place not in set(Stage) and not _PLACE.fullmatch(place):
            expected = ", ".join(Stage)
            mistakes.append((f"/{place[:60]}", f"expected {expected}, env-… or {EVERYWHERE}"))
        if rule.signatures is Signatures.REQUIRED and not rule.keys:
            mistakes.append((f"/{place[:60]}/keys", "no key, by which nothing could be signed"))
        keys = []
        for number, pem in enumerate(rule.keys):
            try:
                keys.append(read_public_key(pem))
            except Invalid as problem:
                mistakes.append((f"/{place[:60]}/keys/{number}", problem.message))
        rules[place] = ImageRule(place, rule.registries, rule.signatures, keys)
    if mistakes:
        raise _refused(mistakes)
    return ImageRules(rules)


def is_from(source: str, reference: ImageReference) -> bool:
    """Return whether *reference* comes from *source*, a registry or a repository there."""
    host, _, repository = source.partition("/")
    if not host_matches(host, reference.registry):
        return False
    return not repository or f"{reference.repository}/".startswith(f"{repository.rstrip('/')}/")


def _refused(mistakes: Sequence[tuple[str, str]]) -> Invalid:
    details = [
        Violation("RuleBroken", f"{IMAGE_RULES}{at}", f"{IMAGE_RULES}{at}: {message}")
        for at, message in mistakes
    ]
    return Invalid("; ".join(each.message for each in details), details=details)
