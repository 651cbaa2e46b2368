"""Patterns of text, each with the words that say to people what it takes."""

import re
from typing import Final

GIVEN_VARIABLES: Final = re.compile(
    "PORT|HOME|TMPDIR|VIRTUAL_ENV|RUNTIME_(?:DATA_.+|(?:ENVIRONMENT|TENANT|MODULE|INSTANCE)_ID"
    "|INSTANCE_TOKEN|RELEASE_REVISION|VERSION|ARTIFACT|CONTENT|UNIT)"
)
"""The variables that every process is given, as in docs/process.md."""
_WORDS: dict[str, str] = {}


def pattern(expression: str, words: str) -> str:
    """Return *expression*; a refusal says *words* in its place."""
    _WORDS[expression] = words
    return expression


def words_of(expression: str) -> str:
    """Return what *expression* takes, in words."""
    return _WORDS.get(expression, f"text that matches {expression}")


INSTALLATION_NAME: Final = pattern(
    r"^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$",
    "at most 30 lower-case letters, digits and hyphens that begin with a letter",
)
"""A namespace's name has 63 characters; half of it is left for the tenant and a hash."""
GATEWAY_CLASS: Final = pattern(
    r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", "the name of a GatewayClass"
)
DIRECTORY_ID: Final = pattern(
    r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    "the id of a directory, as `az account show --query tenantId` prints it",
)
AKS_CLUSTER_ID: Final = pattern(
    r"(?i)^/subscriptions/(?P<subscription>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    r"/resourceGroups/(?P<group>[0-9a-z_().-]{0,89}[0-9a-z_()-])"
    r"/providers/Microsoft\.ContainerService/managedClusters"
    r"/(?P<name>[0-9a-z](?:[0-9a-z_-]{0,61}[0-9a-z])?)$",
    "the id of an AKS cluster, as `az aks show --query id` prints it: /subscriptions/…"
    "/resourceGroups/…/providers/Microsoft.ContainerService/managedClusters/…",
)
