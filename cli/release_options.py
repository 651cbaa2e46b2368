"""The options of `deploy` and `promote`, as fields of their requests."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.options import DryRun, Module
from cli.parameter_types import command_words, named_values, one_of

_STRATEGIES: Final = "shared.contracts.strategies"
_WEIGHT: Final = re.compile(r"[0-9]{1,3}")


@dataclass(frozen=True)
class RolloutOptions:
    """How a release is rolled out."""

    strategy: Annotated[
        str | None,
        typer.Option(help="canary or recreate.", **one_of(_STRATEGIES, "StrategyKind")),
    ] = None
    weights: Annotated[
        str | None, typer.Option(help="Canary steps in percent, e.g. 10,50,100.", metavar="N,N,…")
    ] = None
    on_conflict: Annotated[
        str | None,
        typer.Option(
            "--on-conflict",
            help="queue or reject, if another deployment has the module.",
            **one_of(_STRATEGIES, "OnConflict"),
        ),
    ] = None
    dry_run: DryRun = False

    def body(self) -> dict[str, Any]:
        """Return the fields of the request that these options set."""
        options = {
            "strategy": self._strategy(),
            "onConflict": self.on_conflict,
            "dryRun": self.dry_run or None,
        }
        return {name: value for name, value in options.items() if value is not None}

    def _strategy(self) -> dict[str, Any] | None:
        if self.weights is None:
            return {"kind": self.strategy} if self.strategy is not None else None
        weights = [part.strip() for part in self.weights.split(",")]
        if not all(_WEIGHT.fullmatch(weight) for weight in weights):
            raise Failure(
                f"--weights: expected numbers from 1 to 100, got {self.weights!r}",
                ExitCode.USAGE,
                remedy="write them like this: --weights 10,50,100",
            )
        steps = [{"weight": int(weight)} for weight in weights]
        return {"kind": self.strategy or "canary", "steps": steps}


@dataclass(frozen=True)
class ComponentOptions:
    """The one component of a release without a file."""

    module: Module = None
    version: Annotated[str | None, typer.Option(help="Version of the module.")] = None
    command: Annotated[
        str | None, typer.Option(help="How it starts; $PORT, $HOME and $TMPDIR are filled in.")
    ] = None
    port: Annotated[int | None, typer.Option(help="The port it listens on, as $PORT.")] = None
    path_prefix: Annotated[
        str | None, typer.Option("--path-prefix", help="Below the environment's URL, e.g. /.")
    ] = None
    readiness: Annotated[
        str | None, typer.Option(help="Path that answers 200 when it is ready.")
    ] = None
    environ: Annotated[
        list[str] | None, typer.Option("--environ", help="NAME=value; may be repeated.")
    ] = None
    replicas: Annotated[int | None, typer.Option(min=0)] = None

    def body(self, *, has_file: bool) -> dict[str, Any]:
        """Return the fields of the component; without a file, a port serves `/` by default."""
        default_prefix = "/" if self.port and not has_file else None
        return {
            "moduleId": self.module,
            "version": self.version,
            "command": command_words(self.command) if self.command else None,
            "port": self.port,
            "pathPrefix": self.path_prefix or default_prefix,
            "probes": {"readiness": {"path": self.readiness}} if self.readiness else None,
            "environ": dict(named_values(self.environ, "environ", "LOG_LEVEL=info")),
            "replicas": self.replicas,
        }
