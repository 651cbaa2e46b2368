"""Layers of configuration as the command line names them, and what is in force in one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

import typer

from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Detail, Failure
from cli.lookup import environment_id, environment_name
from cli.options import EnvironmentFilter, Invocation, Module
from cli.output import format_time
from cli.parameter_types import one_of
from cli.wait_for_events import send_once_heard

ROOT: Final = "/v1/runtime/configurations"
TENANT: Final = "tenant"
_NEEDED: Final[Mapping[str, Sequence[str]]] = {
    TENANT: (),
    "environment": ("--env",),
    "module": ("--env", "--module"),
}
_FIELDS: Final[Mapping[str, str]] = {"--env": "environment", "--module": "module"}
"""How a file says what an option does."""
_SHOWN_MAX: Final = 5
Head = Mapping[str, Any]
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Content:
    """What one version of a layer says; version 0 says nothing."""

    version: int = 0
    values: Values | None = None
    schema: Mapping[str, Any] | None = None
    by: str = ""
    at: str = ""

    def says(self, values: Values, schema: Mapping[str, Any] | None) -> bool:
        """Return whether it has just these values, and this schema: `true` is not 1."""
        from shared.contracts.configuration_merge import json_text  # noqa: PLC0415  slow to import

        return json_text([self.values or {}, self.schema]) == json_text([values, schema])


@dataclass(frozen=True)
class Layer:
    """One layer, with the names and ids that it is found by."""

    kind: str
    environment: str | None = None
    environment_id: str | None = None
    module: str | None = None

    @property
    def label(self) -> str:
        match self.kind:
            case "module":
                return f"{self.module} in {self.environment}"
            case "environment":
                return f"environment {self.environment}"
            case _:
                return "the tenant"

    @property
    def options(self) -> str:
        """Return the options of a command that select it."""
        if self.kind == TENANT:
            return f"--layer {TENANT}"
        return f"--env {self.environment}" + (f" --module {self.module}" if self.module else "")

    @property
    def scope(self) -> Mapping[str, str]:
        """Return it as the API writes it."""
        ids = {"environmentId": self.environment_id, "moduleId": self.module}
        return {"layer": self.kind, **{name: each for name, each in ids.items() if each}}

    def find_head(self, client: Client) -> Head | None:
        """Return its head; None when nothing was ever published or drafted."""
        heads = client.list_all(ROOT, self.scope)
        return next((head for head in heads if head["scope"]["layer"] == self.kind), None)

    def get_head(self, client: Client) -> Head:
        """Return its head.

        Raises:
            Failure: nothing was ever published or drafted.
        """
        head = self.find_head(client)
        if head is None:
            raise Failure(
                f"{self.label} has no configuration of its own",
                ExitCode.NOT_FOUND,
                remedy=f"publish one: `runtimectl config set KEY=VALUE {self.options}`, "
                "or see what there is: `runtimectl config list`",
            )
        return head

    def in_force(self, client: Client) -> Content:
        """Return the version in force."""
        head = self.find_head(client)
        return Content() if head is None else get_version(client, head, head["version"])


def put_in_force(layer: Layer, version: Any) -> str:
    """Return the words that *version* of *layer* was put in force, and how it is taken back."""
    back = f" (back: `runtimectl config rollback {layer.options}`)" if version != 1 else ""
    return f"version {version} of {layer.label} is in force{back}"


@dataclass(frozen=True)
class LayerOptions:
    """Which layer: of a module in an environment, of an environment, or of the tenant."""

    env: EnvironmentFilter = None
    module: Module = None
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer",
            help="tenant, environment or module; what --env and --module say without it.",
            **one_of("shared.contracts.configurations", "ConfigurationLayer"),
        ),
    ] = None

    @property
    def is_named(self) -> bool:
        return bool(self.env or self.module or self.layer)

    def find(self, client: Client) -> Layer:
        """Return the layer that the options name.

        Raises:
            Failure: they name none, or contradict each other, or the environment is not there.
        """
        given = {"--env": self.env, "--module": self.module}
        kind = self.layer or ("module" if self.module else "environment" if self.env else None)
        if kind is None:
            raise Failure(
                "which layer?",
                ExitCode.USAGE,
                remedy="name it: --env test --module module-shop, or --env test, "
                f"or --layer {TENANT}, which reaches all environments",
            )
        return layer_of(kind, given, client)


def layer_of(
    kind: str, given: Mapping[str, str | None], client: Client, *, where: str = ""
) -> Layer:
    """Return the layer *kind* of what is *given* as `--env` and `--module`.

    Raises:
        Failure: one is missing or too many; *where* says in which file they stand.
    """
    wanted = _NEEDED[kind]
    present = [name for name, value in given.items() if value]
    if list(wanted) != present:
        names = {name: name if not where else field for name, field in _FIELDS.items()}
        takes, got = (" and ".join(map(names.__getitem__, each)) for each in (wanted, present))
        raise Failure(
            f"{where}the layer {kind} takes {takes or 'neither ' + ' nor '.join(names.values())}"
            f", got {got or 'neither'}",
            ExitCode.USAGE,
            remedy="name an environment and a module for the layer of a module, an environment for "
            f"its own, and {'layer: ' if where else '--layer '}{TENANT} alone for the tenant's",
        )
    name = given["--env"]
    if name is None:
        return Layer(kind)
    identity, shown = environment_id(client, name), environment_name(client, name)
    return Layer(kind, shown, identity, given["--module"])


def get_version(client: Client, head: Head, number: int) -> Content:
    """Return one version of *head* with its values."""
    if not number:
        return Content()
    body = client.get(f"{ROOT}/{head['configurationId']}/versions/{number}").body
    return Content(
        body["version"], body["values"], body["schema"], body["publishedBy"], body["publishedAt"]
    )


def publish(
    invocation: Invocation,
    layer: Layer,
    values: Values,
    schema: Mapping[str, Any] | None,
    expected: int,
    **more: Any,
) -> Mapping[str, Any]:
    """Publish a version of *layer*; return its head, or of a dry run the difference.

    Raises:
        Failure: it was refused; of a conflict it says who published what since *expected*.
    """
    body = {"scope": layer.scope, "values": values, "expectedVersion": expected, **more}
    if schema is not None:
        body["schema"] = schema
    return write(invocation, layer, ROOT, body, expected)


def write(
    invocation: Invocation, layer: Layer, path: str, body: Mapping[str, Any], expected: int
) -> Mapping[str, Any]:
    """Send a command about *layer* that was written against version *expected*.

    Raises:
        Failure: as `publish`.
    """
    client, clock = invocation.client, invocation.session.clock
    send = partial(client.write, "POST", path, body)
    try:
        answer: Mapping[str, Any] = send_once_heard(client, clock, layer.environment_id, send).body
    except Failure as failure:
        if failure.code != "HeadMoved":
            raise
        head = layer.find_head(client)
        if head is None:
            raise Failure(
                f"{layer.label} has no version yet, and not {expected}",
                ExitCode.CONFLICT,
                code="HeadMoved",
                remedy="leave expectedVersion out, or write 0 for the first version",
            ) from failure
        raise _conflict(client, layer, head, expected) from failure
    return answer


def _conflict(client: Client, layer: Layer, head: Head, expected: int) -> Failure:
    """Return what happened to *layer* since version *expected*."""
    newest = int(head["version"])
    path = f"{ROOT}/{head['configurationId']}"
    numbers = range(newest, max(expected, newest - _SHOWN_MAX), -1)
    versions = [client.get(f"{path}/versions/{number}").body for number in numbers]
    query = {"from": str(min(expected, newest)), "to": str(newest)}
    changes = client.get(f"{path}/diff", query).body["changes"] if expected < newest else ()
    names = ", ".join(change["key"] for change in changes[:_SHOWN_MAX])
    more = f" and {len(changes) - _SHOWN_MAX} more" if len(changes) > _SHOWN_MAX else ""
    details = [Detail("", _said(version)) for version in versions if version["status"] != "Draft"]
    if names:
        details.append(Detail("", f"since version {expected} these keys differ: {names}{more}"))
    see = f"runtimectl config diff {layer.options}"
    return Failure(
        f"{layer.label} is at version {newest}, not {expected}",
        ExitCode.CONFLICT,
        code="HeadMoved",
        details=details,
        remedy=f"look at what was published meanwhile (`{see}`), then type the command again; "
        f"a file that says expectedVersion says {newest} when it has that too",
    )


def _said(version: Mapping[str, Any]) -> str:
    comment = f": {version['comment']}" if version["comment"] else ""
    at = format_time(version["publishedAt"])
    return f"version {version['version']} is by {version['publishedBy']}, at {at}{comment}"
