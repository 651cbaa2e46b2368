"""The resources that configurations answers over HTTP."""

from typing import Final

from function_apps.configurations.model.configuration import Configuration, Version
from function_apps.configurations.model.count import Count
from function_apps.configurations.model.difference import changes
from shared.contracts.configuration_merge import Merge, Values
from shared.contracts.configurations import (
    Adoption,
    ConfigurationDiff,
    ConfigurationVersion,
    EffectiveConfiguration,
    InstanceAdoption,
    RuntimeConfiguration,
)
from shared.messaging.unit_of_work import Json

INSTANCES_MAX: Final = 1000
"""Of a page."""


def configuration_resource(head: Configuration) -> RuntimeConfiguration:
    """Return *head* as clients see it."""
    return RuntimeConfiguration.model_validate(
        {
            "configurationId": head.configuration_id,
            "tenantId": head.tenant_id,
            "scope": {
                "layer": head.layer.kind,
                "environmentId": head.layer.environment_id,
                "moduleId": head.layer.module_id,
            },
            "version": head.version,
            "draft": head.draft,
            "status": head.status,
            "contentHash": head.content_hash,
            "revision": head.revision,
            "updatedAt": head.updated_at,
        }
    )


def answer(head: Configuration) -> Json:
    """Return the immediate answer of a command, as JSON."""
    return configuration_resource(head).model_dump(mode="json", by_alias=True)


def version_resource(head: Configuration, version: Version) -> ConfigurationVersion:
    """Return one version of *head* with all it says."""
    return ConfigurationVersion.model_validate(
        {
            "configurationId": head.configuration_id,
            "version": version.number,
            "status": head.status_of(version),
            "values": version.values,
            "schema": version.json_schema,
            "contentHash": version.content_hash,
            "publishedBy": version.by,
            "publishedAt": version.at,
            "comment": version.comment,
        }
    )


def difference(
    configuration_id: str, before: tuple[int, Values], after: tuple[int, Values]
) -> ConfigurationDiff:
    """Return what differs between two versions, each with its number."""
    return ConfigurationDiff.model_validate(
        {
            "configurationId": configuration_id,
            "fromVersion": before[0],
            "toVersion": after[0],
            "changes": [*changes(before[1], after[1])],
        }
    )


def adoption_resource(head: Configuration, count: Count, after: str) -> tuple[Adoption, str | None]:
    """Return who is to run the version in force of *head*, and who does: the instances *after* one.

    They are in the order of their names. Beside it, the last one where there are more.
    """
    later = sorted((each for each in count.instances if _name(each) > after), key=_name)
    page = later[:INSTANCES_MAX]
    adoption = Adoption(
        configuration_id=head.configuration_id,
        version=head.version,
        expected=count.expected,
        acknowledged=count.acknowledged,
        instances=tuple(page),
    )
    return adoption, _name(page[-1]) if len(later) > len(page) else None


def _name(instance: InstanceAdoption) -> str:
    return f"{instance.module_id}/{instance.instance}"


def effective_resource(
    environment_id: str, module_id: str, merged: Merge, *, explain: bool
) -> EffectiveConfiguration:
    """Return the merge for one module."""
    return EffectiveConfiguration.model_validate(
        {
            "environmentId": environment_id,
            "moduleId": module_id,
            "tenantVersion": merged.pin.tenant,
            "environmentVersion": merged.pin.environment,
            "moduleVersion": merged.pin.module,
            "hash": merged.hash,
            "values": merged.values,
            "layerOf": merged.layer_of if explain else {},
        }
    )
