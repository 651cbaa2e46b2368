"""Publishes the layers of a file: all are tried before the first is put in force."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from cli.client import Client
from cli.configuration_files import LayerFile
from cli.configuration_layers import TENANT, Content, Layer, publish, put_in_force
from cli.configuration_tables import show_published
from cli.exit_codes import ExitCode
from cli.failure import Detail, Failure, mistakes
from cli.field_names import pointer_parts
from cli.options import Invocation
from cli.output import note
from cli.yaml_lines import lines_of

REFUSALS: Final = frozenset({ExitCode.REFUSED, ExitCode.CONFLICT, ExitCode.NOT_FOUND})
OF_CONTENT: Final = frozenset(
    {"ConfigurationVariableTaken", "SchemaTooCostly", "SchemaViolated", "TooLarge"}
)
"""What is refused of what layers say together, so that another layer may end it."""


@dataclass(frozen=True)
class LayerChange:
    """A layer of a file, and what is in force in its place."""

    entry: LayerFile
    layer: Layer
    current: Content

    @property
    def is_none(self) -> bool:
        """Return whether what the file says is in force already."""
        says = self.current.says(self.entry.values, self.entry.schema)
        return bool(self.current.version) and says


def changes_of(
    entries: Iterable[LayerFile], environment: str | None, client: Client
) -> list[LayerChange]:
    """Return what each of *entries* would change; *environment* as `LayerFile.find_layer`.

    Raises:
        Failure: two are one layer, by other names or as *environment* is that of both.
    """
    layers = [(entry, entry.find_layer(client, environment)) for entry in entries]
    known = list[Mapping[str, str]]()
    for entry, layer in layers:
        if layer.scope in known:
            raise Failure(
                f"{entry.at()}: {layer.label} stands in this file twice: nothing was published",
                ExitCode.USAGE,
                code="Invalid",
                remedy="make one layer of both",
            )
        known.append(layer.scope)
    return [LayerChange(entry, layer, layer.in_force(client)) for entry, layer in layers]


def say_unchanged(layer: Layer, version: int) -> None:
    """Say that what would be published is in force already, as *version*."""
    note(f"{layer.label}: nothing differs from version {version}")


def try_changes(
    changes: Sequence[LayerChange], invocation: Invocation, **more: Any
) -> Sequence[tuple[LayerChange, Mapping[str, Any]]]:
    """Return the answer to a dry run of each of *changes*; nothing is published.

    What a layer before it may mend is said, and not refused: it is judged when that is in force.

    Raises:
        Failure: some are refused; the mistakes of all are named.
    """
    client = invocation.client
    answers, refused = [], list[tuple[LayerChange, Failure]]()
    for index, change in enumerate(changes):
        try:
            answers.append((change, publish_change(change, invocation, **more, dryRun=True)))
        except Failure as failure:
            if failure.exit_code not in REFUSALS:
                raise
            if index and _may_be_mended(failure) and not _stays_unfit(change, changes, client):
                where = f"{change.layer.label}: judged once what stands before it is in force"
                note(f"{where}; as things are: {failure.message}")
            else:
                refused.append((change, failure))
    if len(refused) == 1:
        raise refused[0][1]
    if refused:
        raise _of_all(refused)
    return answers


def _may_be_mended(failure: Failure) -> bool:
    """Return whether layers that are published before it may end *failure*."""
    codes = {each.code for each in failure.details} or {failure.code}
    return codes <= OF_CONTENT


def _stays_unfit(change: LayerChange, changes: Sequence[LayerChange], client: Client) -> bool:
    """Return whether a module's layer fits no schema even once all *changes* are in force.

    Of another layer that is not known here: it reaches modules that the file does not name.
    """
    from shared.contracts.configuration_merge import LayerContent, merge  # noqa: PLC0415  slow
    from shared.contracts.configuration_schemas import misfits  # noqa: PLC0415
    from shared.contracts.configurations import ConfigurationLayer  # noqa: PLC0415

    of, content = change.layer, {}
    if of.kind != "module":
        return False
    above = [Layer(TENANT), Layer("environment", of.environment, of.environment_id)]
    for layer in (*above, of):
        said = next((each.entry for each in changes if each.layer.scope == layer.scope), None)
        known = said or layer.in_force(client)
        content[ConfigurationLayer(layer.kind)] = LayerContent(1, known.values or {}, known.schema)
    return any(True for _ in misfits(merge(content)))


def _of_all(refused: Sequence[tuple[LayerChange, Failure]]) -> Failure:
    """Return the one failure that names what is refused of each."""
    details = list[Detail]()
    for change, failure in refused:
        (line,) = lines_of(change.entry.file, [change.entry.place])
        details += failure.details or [Detail("", failure.message, line=line)]
    (first, failure), *_ = refused
    return Failure(
        mistakes(details, str(first.entry.file)),
        failure.exit_code,
        code=failure.code,
        details=details,
        remedy="correct what the lines above name; nothing was published",
    )


def publish_changes(
    found: Sequence[LayerChange], invocation: Invocation, more: Mapping[str, Any], *, dry_run: bool
) -> None:
    """Publish what differs of the layers that were *found* in a file, or plan that."""
    for same in (change for change in found if change.is_none):
        say_unchanged(same.layer, same.current.version)
    changes = [change for change in found if not change.is_none]
    answers: Iterable[tuple[LayerChange, Mapping[str, Any]]] = ()
    if dry_run or len(changes) > 1:
        answers = try_changes(changes, invocation, **more)
    if not dry_run:
        answers = publish_all(changes, invocation, **more)
    for change, answer in answers:
        if dry_run:
            note(f"{change.layer.label}:")
        show_published(invocation, change.layer, answer)
    if not changes and not invocation.is_table:
        invocation.show([])


def publish_all(
    changes: Sequence[LayerChange], invocation: Invocation, **more: Any
) -> Iterator[tuple[LayerChange, Mapping[str, Any]]]:
    """Publish each of *changes* and yield its answer; a failure names what is in force before it.

    Raises:
        Failure: as `publish`.
    """
    done = list[str]()
    for change in changes:
        try:
            answer = publish_change(change, invocation, **more)
        except Failure as failure:
            raise failure.but(*done) from failure
        if not more.get("draft"):
            done.append(put_in_force(change.layer, answer["version"]))
        yield change, answer


def publish_change(change: LayerChange, invocation: Invocation, **more: Any) -> Mapping[str, Any]:
    """Publish what the file says; return as `publish`, and raise where the file is."""
    entry, current = change.entry, change.current
    said = {**more, "comment": more.get("comment") or entry.said.get("comment", "")}
    try:
        expected = entry.expected(current)
        return publish(invocation, change.layer, entry.values, entry.schema, expected, **said)
    except Failure as failure:
        raise _in_file(failure, entry) from failure


def _in_file(failure: Failure, layer: LayerFile) -> Failure:
    """Return *failure* of the system with the lines of the file that it is about."""
    if not failure.details or failure.exit_code is not ExitCode.REFUSED:
        return failure
    places = [(*layer.place, *pointer_parts(each.target)) for each in failure.details]
    lines = lines_of(layer.file, places)
    details = [replace(each, line=line) for each, line in zip(failure.details, lines, strict=True)]
    return Failure(
        mistakes(details, str(layer.file)), failure.exit_code, code=failure.code, details=details
    )
