"""Names in Azure: deterministic, so that an interrupted create finds its own resource again.

A name is `<prefix>-<readable>-<k>`, where `k` is the environment's key: globally unique without
chance. What does not fit is cut from the readable part. Lengths and alphabets are those of
https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules.
"""

import base64
import hashlib
import uuid
from dataclasses import dataclass
from enum import Enum
from typing import Final

from shared.infrastructure.inputs import EnvironmentInputs

_PART_LENGTH: Final = 6
"""30 bits tell apart what one environment names with one prefix, at most 20 resources."""
_ROLES: Final = uuid.UUID("7d4d6f5e-3f0b-5f0a-9a55-1c3c2f0e8b11")
"""Only a namespace for the names below it."""


@dataclass(frozen=True)
class Rule:
    prefix: str
    length_max: int
    dash: str = "-"
    """Empty where the type takes letters and digits only."""


class Kind(Enum):
    """One per type that is named."""

    RESOURCE_GROUP = Rule("rg", 90)
    IDENTITY = Rule("id", 128)
    NETWORK = Rule("vnet", 64)
    SUBNET = Rule("snet", 80)
    SECURITY_GROUP = Rule("nsg", 80)
    PRIVATE_ENDPOINT = Rule("pep", 64)
    LOGS = Rule("log", 63)
    VAULT = Rule("kv", 24)
    CLUSTER = Rule("aks", 63)
    CONTAINER_APPS = Rule("cae", 32)
    PLAN = Rule("asp", 40)
    COSMOS = Rule("cosmos", 44)
    POSTGRES = Rule("psql", 63)
    SQL = Rule("sql", 63)
    STORAGE = Rule("st", 24, dash="")
    SERVICE_BUS = Rule("sbns", 50)
    REDIS = Rule("redis", 60)


def name(kind: Kind, inputs: EnvironmentInputs, part: str = "") -> str:
    """Return the name of the environment's one resource of *kind*, or of the one called *part*."""
    rule = kind.value
    unique = inputs.environment_id.removeprefix("env-") + (_short(part) if part else "")
    readable = "-".join(each for each in (inputs.name, part) if each).replace("-", rule.dash)
    room = rule.length_max - len(rule.prefix) - len(unique) - 2 * len(rule.dash)
    readable = readable[: max(room, 0)].strip("-")
    return rule.dash.join(each for each in (rule.prefix, readable, unique) if each)


def role_assignment_name(inputs: EnvironmentInputs, scope: str, role: str) -> str:
    """Return the GUID of the assignment of *role* on *scope* to the environment's identity."""
    return str(uuid.uuid5(_ROLES, f"{inputs.environment_id}/{scope}/{role}"))


def _short(part: str) -> str:
    digest = hashlib.sha256(part.encode()).digest()
    return base64.b32encode(digest).decode().lower()[:_PART_LENGTH]
