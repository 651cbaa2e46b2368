"""The options of `scale`: what a policy says, and how one is found by its module."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.lookup import environment_id
from cli.options import EnvironmentOption
from cli.parameter_types import module_id, named_values
from cli.session import only_match
from cli.yaml_files import load_yaml

POLICIES: Final = "/v1/runtime/scaling-policies"
SERVICES: Final = "/v1/runtime/services"
Policy = Mapping[str, Any]


@dataclass(frozen=True)
class PolicySelector:
    """The service that a policy is of: a module in an environment."""

    env: EnvironmentOption
    module: Annotated[
        str,
        typer.Option("--module", "-m", help="module-<slug>.", parser=module_id, metavar="MODULE"),
    ]

    def find_service(self, client: Client) -> str:
        """Return the id of the service. Raises Failure: it is not there."""
        found = list(client.list_all(SERVICES, self._query(client)))
        remedy = f"deploy it first; see `runtimectl status --env {self.env}`"
        return str(only_match(found, "service", self.module, remedy)["serviceId"])

    def find_all(self, client: Client) -> Sequence[Policy]:
        """Return the policy of the service, if it has one that has not ended."""
        found = client.list_all(POLICIES, self._query(client))
        return [each for each in found if each["status"] != "Superseded"]

    def find(self, client: Client) -> Policy:
        """Return the policy of the service. Raises Failure: it has none, or is not there."""
        return self._find(client, self.find_all(client))

    def find_also_ended(self, client: Client) -> Policy:
        """Return the policy of the service, or the one that it had. Raises Failure, as `find`."""
        return self._find(client, list(client.list_all(POLICIES, self._query(client))))

    def _find(self, client: Client, found: Sequence[Policy]) -> Policy:
        if len(found) == 1:
            return found[0]
        self.find_service(client)
        raise Failure(
            f"{self.module} has no scaling policy in {self.env}",
            ExitCode.NOT_FOUND,
            remedy=f"give it one: `runtimectl scale set --env {self.env} --module {self.module}`;"
            " what a deleted one decided:"
            f" `runtimectl scale decisions --env {self.env} --module {self.module}`",
        )

    def _query(self, client: Client) -> Mapping[str, Any]:
        return {"environmentId": environment_id(client, self.env), "moduleId": self.module}


@dataclass(frozen=True)
class PolicyOptions:
    """What a policy says: a file with all of it, or the common parts as options."""

    file: Annotated[
        Path | None,
        typer.Option(
            "-f", "--file", help="YAML with min, max, rules and the rest.", dir_okay=False
        ),
    ] = None
    least: Annotated[int | None, typer.Option("--min", min=0, help="At least so many.")] = None
    most: Annotated[int | None, typer.Option("--max", min=1, help="At most so many.")] = None
    rule: Annotated[
        list[str] | None,
        typer.Option(help="SIGNAL=TARGET, such as requests=20; repeat it.", metavar="RULE"),
    ] = None

    def body(self) -> dict[str, Any]:
        """Return the policy as it is sent.

        Raises:
            Failure: neither a file nor bounds, or a target that is no number.
        """
        content: dict[str, Any] = {}
        if self.file is not None:
            content = load_yaml(self.file, begins="begin with `min: 1`, `max: 5` and `rules:`")
        rules = [
            {"signal": signal, "target": _number(signal, target)}
            for signal, target in named_values(self.rule, "rule", "requests=20")
        ]
        given = {"min": self.least, "max": self.most, "rules": rules or None}
        content |= {name: value for name, value in given.items() if value is not None}
        missing = [name for name in ("min", "max") if name not in content]
        if missing:
            raise Failure(
                f"the policy has no {' and no '.join(missing)}",
                ExitCode.USAGE,
                remedy="name both, --min 1 --max 5, or a file: -f policy.yaml",
            )
        return content


def _number(signal: str, target: str) -> float:
    try:
        return float(target)
    except ValueError as problem:
        raise Failure(
            f"the target of {signal} is a number, got {target!r}",
            ExitCode.USAGE,
            remedy=f"write it so: --rule {signal}=20",
        ) from problem
