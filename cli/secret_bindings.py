"""The options of `secret bind`, and how a binding is found by the name of its secret."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

import typer

from cli.client import Client, Response
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.lookup import environment_id, require_alone
from cli.options import EnvironmentFilter, EnvironmentOption, Invocation, Module
from cli.parameter_types import one_of
from cli.wait_for_events import send_once_heard
from shared.kernel.ids import id_shape, parse_id, secret_key, secret_rotation_id

BINDINGS: Final = "/v1/runtime/secret-bindings"
ROTATIONS: Final = "/v1/runtime/secret-rotations"
_CONTRACT: Final = "shared.contracts.secret_bindings"
_ROTATION_ID: Final = re.compile(id_shape("rot"))
Binding = Mapping[str, Any]
SecretArgument = Annotated[
    str, typer.Argument(metavar="SECRET", help="Its name in the vault.", show_default=False)
]


def bind_secret(invocation: Invocation, body: Mapping[str, Any]) -> Response:
    """Send *body*, which binds a secret or plans to. Raises Failure where it is refused."""
    client, clock = invocation.client, invocation.session.clock
    return send_once_heard(
        client, clock, body["environmentId"], partial(client.write, "POST", BINDINGS, body)
    )


def rotations_of(binding: Binding) -> str:
    """Return how the ids of the rotations of the secret of *binding* begin."""
    key = parse_id(binding["bindingId"], "sec").environment
    secret = secret_key(binding["vaultUri"], binding["secretName"])
    return secret_rotation_id(key, secret, 0).removesuffix("0")


def rotation_ids(client: Client, status: str | None = None) -> Sequence[str] | None:
    """Return the ids of rotations, the newest first; None where the caller may not read them."""
    query = {"kind": "RotateSecret", "status": status}
    found = client.list_readable("/v1/platform/secret-bindings/operations", query)
    if found is None:
        return None
    return [*dict.fromkeys(each["resourceId"].rpartition("/")[2] for each in found)]


def rotations_in_flight(
    client: Client, bindings: Sequence[Binding]
) -> Mapping[str, Binding] | None:
    """Return the rotations that are on their way, each with one of *bindings* to its secret.

    None where the caller may not read which there are.
    """
    running = rotation_ids(client, "Running") if bindings else ()
    if running is None:
        return None
    return {
        rotation: binding
        for binding in bindings
        for rotation in running
        if rotation.startswith(rotations_of(binding))
    }


@dataclass(frozen=True)
class BindingSelector:
    """A binding: of a secret, in an environment, to a module."""

    secret: SecretArgument
    env: EnvironmentOption
    module: Module = None

    def find_all(self, client: Client) -> Sequence[Binding]:
        """Return the bindings of the secret that are not revoked.

        Raises:
            Failure: there is none.
        """
        found = self.list_bound(client)
        if not found:
            raise self._not_bound("is bound")
        return found

    def find_all_ever(self, client: Client) -> Sequence[Binding]:
        """Return the bindings of the secret, revoked ones too. Raises as `find_all`."""
        found = self._list(client)
        if not found:
            raise self._not_bound("was ever bound")
        return found

    def list_bound(self, client: Client) -> Sequence[Binding]:
        """Return the bindings of the secret that are not revoked; there may be none."""
        return [each for each in self._list(client) if each["status"] != "Revoked"]

    def of_all_modules(self) -> "BindingSelector":
        """Return what selects the bindings of the secret to any module."""
        return BindingSelector(self.secret, self.env)

    def _list(self, client: Client) -> Sequence[Binding]:
        query = {
            "environmentId": environment_id(client, self.env),
            "secretName": self.secret,
            "moduleId": self.module,
        }
        return [*client.list_all(BINDINGS, query)]

    def _not_bound(self, what: str) -> Failure:
        of = f" to {self.module}" if self.module else ""
        return Failure(
            f"no secret {self.secret!r} {what}{of} in {self.env}",
            ExitCode.NOT_FOUND,
            remedy=f"see what is bound: `runtimectl secret list --env {self.env}`",
        )

    def find(self, client: Client) -> Binding:
        """Return the only binding.

        Raises:
            Failure: there is none, or several modules have one.
        """
        found = self.find_all(client)
        if len(found) > 1:
            modules = ", ".join(sorted(each["moduleId"] for each in found))
            raise Failure(
                f"{len(found)} modules are bound to {self.secret}: {modules}",
                ExitCode.USAGE,
                remedy=f"name one: --module {found[0]['moduleId']}",
            )
        return found[0]


@dataclass(frozen=True)
class RotationSelector:
    """A rotation: by its id, or the last one of a secret in an environment."""

    rotation: Annotated[
        str,
        typer.Argument(
            metavar="ROTATION",
            help="Its id, or a secret with --env: the last one.",
            show_default=False,
        ),
    ]
    env: EnvironmentFilter = None

    def find_id(self, client: Client) -> str:
        """Return the id of the rotation.

        Raises:
            Failure: it names no rotation, or the caller may not read which there are.
        """
        if _ROTATION_ID.fullmatch(self.rotation):
            return require_alone(self.rotation, env=self.env)
        if self.env is None:
            raise Failure(
                f"{self.rotation!r} is no id of a rotation",
                ExitCode.USAGE,
                remedy="for the last rotation of a secret name its environment: "
                f"`runtimectl secret rotation {self.rotation} --env NAME`",
            )
        bindings = BindingSelector(self.rotation, self.env).find_all_ever(client)
        beginnings = tuple(map(rotations_of, bindings))
        known = rotation_ids(client)
        if known is None:
            raise Failure(
                f"the rotations of {self.rotation} are not shown: you may not read operations",
                ExitCode.REFUSED,
                remedy="name one by its id, as who rotated it was shown it: "
                "`runtimectl secret rotation ROTATION`",
            )
        found = next((each for each in known if each.startswith(beginnings)), None)
        if found is None:
            raise Failure(
                f"no rotation of {self.rotation} in {self.env} is known",
                ExitCode.NOT_FOUND,
                remedy=f"rotate it: `runtimectl secret rotate {self.rotation} --env {self.env}`",
            )
        return found


@dataclass(frozen=True)
class BindingOptions:
    """Where a secret is, how versions are made, and how the module gets it."""

    target: Annotated[
        str, typer.Option(help="The variable, or the file below the folder of secrets.")
    ]
    delivery: Annotated[
        str | None,
        typer.Option(
            help="environmentVariable, which is without it, file, or reference.",
            **one_of("shared.contracts.values", "SecretDelivery"),
        ),
    ] = None
    vault: Annotated[
        str | None, typer.Option(help="URL of another vault than the environment's own.")
    ] = None
    external: Annotated[
        bool, typer.Option("--external", help="That vault is somebody else's: only read.")
    ] = False
    generator: Annotated[
        str | None,
        typer.Option(
            help="Makes versions: random, keyPair, databasePassword, …",
            **one_of(_CONTRACT, "GeneratorKind"),
        ),
    ] = None
    resource: Annotated[
        str | None, typer.Option(help="The data resource whose password it is.")
    ] = None
    rotate_every: Annotated[
        str | None, typer.Option("--rotate-every", help="Such as P30D; by hand without it.")
    ] = None

    def body(self) -> dict[str, Any]:
        """Return the fields of the request that they set."""
        generator = None
        if self.generator is not None:
            settings = {"resource": self.resource} if self.resource else None
            generator = {"kind": self.generator, **({"settings": settings} if settings else {})}
        elif self.resource is not None:
            raise Failure(
                "--resource is of a generator",
                ExitCode.USAGE,
                remedy="name it too: --generator databasePassword",
            )
        fields = {
            "target": self.target,
            "delivery": self.delivery,
            "vaultUri": self.vault,
            "external": self.external or None,
            "generator": generator,
            "rotation": {"every": self.rotate_every} if self.rotate_every else None,
        }
        return {name: value for name, value in fields.items() if value is not None}
