"""The options of `env create`, `plan` and `update`, as fields of their requests."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli.exit_codes import ExitCode
from cli.failure import Detail, Failure, refuse_mistakes
from cli.output import note
from cli.parameter_types import one_of_checked_later, split_pairs, typed_text
from cli.refused_fields import refused_fields
from cli.yaml_files import load_yaml

VALUES: Final = "shared.contracts.values"
_HERE: Final = "local"
_STAGES: Final = ("dev", "test", "staging", "prod")


@dataclass(frozen=True)
class ContentOptions:
    """The fields of an environment that may change later."""

    isolation: Annotated[
        str | None,
        typer.Option(
            help="silo, pool or shared.", **one_of_checked_later(VALUES, "IsolationModel")
        ),
    ] = None
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="A data resource as name=Kind: LocalFolder, LocalPostgres, …; may be repeated."
        ),
    ] = None
    remove_data: Annotated[
        list[str] | None,
        typer.Option(help="A data resource to delete, with its content; may be repeated."),
    ] = None
    tag: Annotated[list[str] | None, typer.Option(help="name=value; may be repeated.")] = None
    protected: Annotated[
        bool | None, typer.Option("--protected/--unprotected", help="Deleting needs --confirm.")
    ] = None
    admit: Annotated[
        list[str] | None,
        typer.Option(
            help="Another tenant, which may then be bound to it; may be repeated.",
            metavar="TENANT",
        ),
    ] = None
    file: Annotated[
        Path | None,
        typer.Option("-f", "--file", help="YAML with the whole request; options override it."),
    ] = None

    def body(self) -> dict[str, Any]:
        """Return the fields of the file, overridden by the options."""
        options = {
            "isolationModel": self.isolation,
            "dataResources": self._data() if self.data else None,
            "deleteData": self.remove_data or None,
            "tags": dict(split_pairs(self.tag)[0]) if self.tag else None,
            "protected": self.protected,
            "admits": self.admit or None,
        }
        return self._in_file() | _given(options)

    def body_over(
        self, current: Mapping[str, Any], remove_admit: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return the fields of the file and the options.

        Data and admitted tenants that options name are added to those of the environment that is
        *current*.

        Raises:
            Failure: the file says which of them there are, too.
        """
        body = self.body()
        if self.data or self.remove_data:
            self._require_not_in_file("dataResources", "data")
            body["dataResources"] = self._data_over(current.get("dataResources") or ())
        if self.admit or remove_admit:
            self._require_not_in_file("admits", "admit")
            admits = dict.fromkeys((*(current.get("admits") or ()), *(self.admit or ())))
            body["admits"] = [tenant for tenant in admits if tenant not in remove_admit]
        return body

    def _data_over(self, current: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        removed = self.remove_data or ()
        resources = {each["name"]: each for each in current if each["name"] not in removed}
        for resource in self._data():
            present = resources.get(resource["name"])
            if present is None or present["kind"] != resource["kind"]:
                resources[resource["name"]] = resource
        return list(resources.values())

    def _require_not_in_file(self, field: str, option: str) -> None:
        if field in self._in_file():
            raise Failure(
                f"the file has {field}, and --{option} or --remove-{option} were given too",
                ExitCode.USAGE,
                remedy="write it all into the file, or none of it",
            )

    def _in_file(self) -> dict[str, Any]:
        if self.file is None:
            return {}
        return load_yaml(self.file, begins="begin with `stage: test`, `tags:` or another field")

    def _data(self) -> list[dict[str, str]]:
        return [{"name": name, "kind": kind} for name, kind in split_pairs(self.data)[0]]

    def mistakes(self) -> Iterator[Detail]:
        """Yield what the options say that is no part of a request."""
        for target, example, texts in (
            ("/dataResources", "--data files=LocalFolder", self.data),
            ("/tags", "--tag team=payments", self.tag),
        ):
            _, others = split_pairs(texts)
            for text in others:
                got = typed_text(text)
                yield Detail(target, f"expected name=value, such as {example}, got {got}")


def require_environment(contract: str, body: Mapping[str, Any], content: ContentOptions) -> None:
    """Refuse *body* where it is no request of *contract*, before it is sent.

    Raises:
        Failure: each mistake is named, by its option or by its line in the file of *content*.
    """
    from shared.contracts import environments  # noqa: PLC0415  slow to import

    found = refused_fields(getattr(environments, contract), body)
    refuse_mistakes([*content.mistakes(), *found], content.file)


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of *options* that were given, also where nothing of them is of use.

    An empty text was given, as of a variable not set; so were tags of which none is name=value.
    """
    return {name: value for name, value in options.items() if value is not None}


@dataclass(frozen=True)
class NewEnvironment:
    """The fields that are fixed when an environment is created."""

    name: Annotated[
        str, typer.Argument(help="A slug that begins with a letter.", show_default=False)
    ]
    stage: Annotated[
        str | None,
        typer.Option(
            help="dev, test (without it), staging or prod.", **one_of_checked_later(VALUES, "Stage")
        ),
    ] = None
    project: Annotated[
        str | None,
        typer.Option(
            help="proj-<slug>, proj-default without it; with the name it is the key.",
            metavar="PROJECT",
        ),
    ] = None
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Where releases run: LocalProcess, which is without it, AKS, …; may be repeated.",
            **one_of_checked_later(VALUES, "ComputeTargetKind"),
        ),
    ] = None
    region: Annotated[
        str | None,
        typer.Option(help="Recorded, local without it; what is on this machine stays here."),
    ] = None

    def body(self, content: ContentOptions) -> dict[str, Any]:
        """Return the body of POST /environments.

        Raises:
            Failure: it is none; each mistake is named.
        """
        options = {
            "stage": self.stage,
            "projectId": self.project,
            "region": self.region,
            "computeTargets": [{"kind": kind} for kind in self.target or ()] or None,
        }
        body = {
            "computeTargets": [{"kind": "LocalProcess"}],
            "stage": "test",
            "projectId": "proj-default",
            "region": _HERE,
            **content.body(),
            **_given(options),
            "name": self.name,
        }
        require_environment("ProvisionEnvironment", body, content)
        return body


def say_deleted(body: Mapping[str, Any]) -> None:
    """Say which data is about to be deleted."""
    if body.get("deleteData"):
        note(f"data to be deleted, with its content: {', '.join(body['deleteData'])}")


def say_stage(body: Mapping[str, Any]) -> None:
    """Say that a name that is a stage gives an environment another one."""
    name, stage = body.get("name"), body.get("stage")
    if name in _STAGES and stage != name:
        note(
            f"{name} is the name only, and its stage is {stage}: soak time, gates and policies are"
            f" those of {stage}; `--stage {name}` makes it one of {name}"
        )


def say_where(body: Mapping[str, Any]) -> None:
    """Say that a region moves nothing where all targets are on this machine."""
    targets = body["computeTargets"]
    is_here = isinstance(targets, list) and all(
        isinstance(target, dict) and target.get("kind") == "LocalProcess" for target in targets
    )
    if is_here and body["region"] != _HERE:
        note(f"region {body['region']} is recorded only: every compute target is this machine")
