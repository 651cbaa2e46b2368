"""The refusals of configurations, by name."""

from collections.abc import Sequence

from shared.kernel.errors import Conflict, Invalid, NotFound, Stale, Violation


class ConfigurationNotFound(NotFound):
    """No such configuration, or version of one, in the caller's tenant."""

    def __init__(self, configuration_id: str, version: int | None = None) -> None:
        which = f"version {version} of " if version is not None else ""
        super().__init__(f"no {which}configuration {configuration_id!r}")


class EnvironmentNotProvisioned(NotFound):
    """The environment of a layer is not one that was provisioned in the caller's tenant."""

    def __init__(self, environment_id: str, state: str) -> None:
        super().__init__(
            f"{environment_id} {state}; expected an environment that is provisioned",
            target="/scope/environmentId",
        )


class HeadMoved(Stale):
    """`expectedVersion` is not the version in force: somebody published in between."""

    def __init__(self, configuration_id: str, expected: int, head: int) -> None:
        super().__init__(
            f"{configuration_id} is at version {head}, not {expected}: read it again, and publish"
            f" against {head}",
            target="/expectedVersion",
            details=[
                Violation("Differs", "/expectedVersion", "is behind", str(head), str(expected))
            ],
        )


class ConfigurationInvalid(Invalid):
    """The merged values of a module do not fit a schema of its layers."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        first = violations[0]
        more = f", and {len(violations) - 1} more" if len(violations) > 1 else ""
        super().__init__(f"{first.message}{more}", target=first.target, details=violations)


class TooManyModules(Conflict):
    """A layer reaches more modules than one publish checks."""

    def __init__(self, label: str, reached: int, most: int) -> None:
        super().__init__(
            f"the layer of {label} reaches {reached} modules with a layer or a release, and a"
            f" publish is checked for {most} at most: publish to the layers below it",
            target="/scope",
        )


class NothingToReturnTo(Conflict):
    """The version that is asked for is in force already, or was never published."""


class NotADraft(Conflict):
    """Only a draft is published by its number; to an earlier content one returns."""

    def __init__(
        self, configuration_id: str, number: int, status: str, against: int | None
    ) -> None:
        """Say what version *number* is: *against* is of a draft that was overtaken."""
        which = f"version {number} of {configuration_id}"
        super().__init__(
            f"{which} is {status}, not a draft: return to it instead"
            if against is None
            else f"{which} is a draft against version {against}, which is in force no more:"
            " publish its content"
        )


class ConfigurationGone(NotFound):
    """The content of a hash is not in force, and no release of the module was given it."""

    def __init__(self, module_id: str, content_hash: str) -> None:
        super().__init__(
            f"{module_id} was given no configuration {content_hash}; ask without hash for the one"
            " in force",
            target="hash",
        )


class ConfigurationUnusable(Conflict):
    """The layers in force do not fit together: keep what you have until one of them is mended."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__(
            f"the layers in force do not fit together: {violations[0].message}", details=violations
        )
