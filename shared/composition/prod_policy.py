"""The policy for prod, as the app settings describe it."""

from shared.composition.settings import Settings
from shared.kernel.clock import Clock
from shared.policies.engine import SignedPolicyEngine
from shared.policies.prod_policy import ProdPolicy
from shared.policies.prod_rules import ProdRules, read_prod_rules
from shared.probing.guard import LOOPBACK


def prod_policy(settings: Settings, clock: Clock) -> ProdPolicy | None:
    """Return the policy that *settings* describe; None without any."""
    rules = read_prod_rules(settings.prod_policy)
    url, key = settings.policy_engine, settings.policy_engine_key
    if url is None or key is None:
        return None if rules == ProdRules() else ProdPolicy(rules)
    networks = (*settings.policy_engine_networks, *(LOOPBACK if settings.is_local else ()))
    engine = SignedPolicyEngine(url, key.get_secret_value(), clock, networks, settings.ca_file)
    return ProdPolicy(rules, engine)
