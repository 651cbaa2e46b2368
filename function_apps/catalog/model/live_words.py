"""The words of a live service that are shown: what may be a secret, as its release says. Pure."""

from collections.abc import Mapping
from typing import Final

from pydantic import ValidationError

from function_apps.catalog.model.service import RuntimeService
from shared.contracts.releases import ReleasedComponent
from shared.contracts.strategies import RolloutDefaults
from shared.kernel.errors import Invalid
from shared.kernel.ids import EnvironmentId, TenantId
from shared.surfaces.properties import Plane, Properties, revision_properties
from shared.surfaces.released_component import revision_spec
from shared.surfaces.shown_words import ANOTHER, may_be_secret

NOT_SHOWN: Final = "not shown"
"""Said in place of a word that nothing known here is compared with: of a revision that is not in
force, and of configuration.
"""


def shown_words(
    service: RuntimeService, live: Mapping[int, Properties]
) -> Mapping[int, Properties]:
    """Return *live*, by revision, without words that may be secret and that no release says.

    Of secrets themselves there is only the version.
    """
    in_force = int(service.component.get("releaseRevision", 0))
    released = _properties_of_release(service)
    return {
        number: {
            plane: words
            if plane is Plane.SECRETS
            else _shown(plane, words, released.get(plane) if number == in_force else None)
            for plane, words in properties.items()
        }
        for number, properties in live.items()
    }


def _shown(
    plane: Plane, words: Mapping[str, str], released: Mapping[str, str] | None
) -> Mapping[str, str]:
    known = released or {}

    def shown(path: str, word: str) -> str:
        if not word or word == known.get(path) or not may_be_secret(path, word):
            return word
        is_compared = path in known if plane is Plane.CONFIGURATION else bool(known)
        return ANOTHER if is_compared else NOT_SHOWN

    return {path: shown(path, word) for path, word in words.items()}


def _properties_of_release(service: RuntimeService) -> Properties:
    """Return what the release in force says of its workload; nothing where that cannot be read.

    Of its configuration it has the hash, and not what each surface makes of that.
    """
    try:
        component = ReleasedComponent.model_validate(service.component)
        environment, tenant = EnvironmentId(service.environment_id), TenantId(service.tenant_id)
        spec = revision_spec(component, environment, tenant, RolloutDefaults())
    except (ValidationError, Invalid):
        return {}
    return revision_properties(spec, weight=0)
