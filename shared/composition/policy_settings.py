"""The settings of the policy for prod, as a part of the app settings."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, Field

from shared.kernel.errors import Invalid, Violation
from shared.policies.prod_policy import ProdPolicy
from shared.policies.prod_rules import PROD_POLICY, ProdRules, read_prod_rules


class PolicySettings(BaseModel):
    """What may be changed in prod."""

    prod_policy: str = Field("", alias=PROD_POLICY)
    """deployments, environments: which regions, registries, stages of promotion and sizes prod
    takes, as JSON; without it all. The same for both. See [the policy for prod](prod-policy.md)."""


def prod_policy(settings: PolicySettings) -> ProdPolicy | None:
    """Return the policy that *settings* describe; None without any."""
    rules = read_prod_rules(settings.prod_policy)
    return None if rules == ProdRules() else ProdPolicy(rules)


def mistakes(given: Mapping[str, str]) -> Sequence[Violation]:
    """Return what is wrong inside the settings *given*."""
    try:
        read_prod_rules(given.get(PROD_POLICY, ""))
    except Invalid as problem:
        return problem.details
    return []
