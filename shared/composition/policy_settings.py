"""The settings of the policy for prod, as a part of the app settings."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from pydantic import BaseModel, Field, SecretStr, field_validator

from shared.composition.image_settings import Networks
from shared.kernel.errors import Invalid, Violation
from shared.policies.prod_rules import PROD_POLICY, read_prod_rules

ENGINE_KEY: Final = "RUNTIME_POLICY_ENGINE_KEY"
_ENGINE: Final = "RUNTIME_POLICY_ENGINE_URL"
_NETWORKS: Final = "RUNTIME_POLICY_ENGINE_NETWORKS"
_KEY_MIN: Final = 32
_UNRESOLVED: Final = "@Microsoft.KeyVault("
"""What Azure gives an app whose reference to a vault it could not follow."""
EngineUrl = Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+[^?#@\s]*$")]


class PolicySettings(BaseModel, defer_build=True):
    """What may be changed in prod."""

    prod_policy: str = Field("", alias=PROD_POLICY)
    """deployments, environments, scaling: which regions, registries, stages of promotion and sizes
    prod takes, as JSON; without it all. The same for all three. See
    [the policy for prod](prod-policy.md)."""
    policy_engine: EngineUrl | None = Field(None, alias=_ENGINE)
    """The same three: the URL of a policy engine that is asked besides, by https."""
    policy_engine_key: SecretStr | None = Field(None, alias=ENGINE_KEY)
    """What requests to it are signed with, at least 32 characters; in Azure a reference to a vault:
    `@Microsoft.KeyVault(SecretUri=…)`."""
    policy_engine_networks: Networks = Field((), alias=_NETWORKS)
    """Private ranges in which it may be, such as `10.1.0.0/16`."""

    @field_validator("policy_engine_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        key = value.get_secret_value() if value else None
        if key is not None and (len(key) < _KEY_MIN or key.startswith(_UNRESOLVED)):
            raise ValueError(f"at least {_KEY_MIN} characters, or a reference that Azure follows")
        return value


def mistakes(given: Mapping[str, str], *, is_local: bool) -> Sequence[Violation]:
    """Return what is wrong inside the settings *given*, and what contradicts."""
    wrong: list[Violation] = []
    try:
        read_prod_rules(given.get(PROD_POLICY, ""))
    except Invalid as problem:
        wrong += problem.details
    if (_ENGINE in given) != (ENGINE_KEY in given):
        missing, other = (ENGINE_KEY, _ENGINE) if _ENGINE in given else (_ENGINE, ENGINE_KEY)
        message = f"{missing} is missing: expected it, as {other} is set"
        wrong.append(Violation("Required", missing, message, "a value", "nothing"))
    if given.get(_ENGINE, "").startswith("http:") and not is_local:
        message = f"{_ENGINE}: expected https://…, received http"
        wrong.append(Violation("RuleBroken", _ENGINE, message, "https://…", "http"))
    return wrong
