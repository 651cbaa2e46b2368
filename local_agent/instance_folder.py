"""The folder of one instance: its files, the environment of its process, its output.

work/          the working directory; a fresh copy at each start
home/ tmp/     HOME and TMPDIR, empty at each start
configuration/ the files of its configuration, if it has some
secrets/       the place of those of its secrets, in memory: on disk there is none. Without mount
               namespaces they are elsewhere: see `memory_place`
api/           the token by which it asks for its configuration, if it follows it: see `api_access`
root/          empty: where the root folder of a workload is built
output.log     stdout and stderr of all its starts, bounded; output.log.1 what was before
order.json     the order of the latest start, without its environ, and what it is about
claim-<token>  the process of one start
exit-<token>   how that ended, from its shim

A workload in a sandbox sees of it only the first six.
"""

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from local_agent import api_access, scratch, starts
from local_agent.artifacts import Artifacts, UnpackedArtifact
from local_agent.configuration_files import FOLDER as CONFIGURATION
from local_agent.configuration_files import texts_of, write_files
from local_agent.limits import rlimits
from local_agent.memory_place import NO_MEMORY, folder_of_start, memory_place, prepare
from local_agent.sandbox.output import BYTES_MAX
from local_agent.sandbox_means import tried_means
from local_agent.sandbox_order import sandbox_order, share_program
from local_agent.secret_values import SecretRefused, SecretValues
from local_agent.starts import make_folders
from local_agent.state_files import InstanceRecord
from local_agent.wheel_installer import base_python
from shared.persistence.file_trees import remove_tree
from shared.persistence.plain_files import append_to, bound_log, read_plain
from shared.surfaces.configuration import FOLDER as CONFIGURATION_VARIABLE
from shared.surfaces.secret_references import FOLDER as SECRETS_VARIABLE
from shared.surfaces.spec import RevisionSpec
from shared.surfaces.variables import data_variable, expand

SECRETS: Final = "secrets"
API_URL_VARIABLE: Final = "RUNTIME_API_URL"
API_TOKEN_VARIABLE: Final = "RUNTIME_API_TOKEN_FILE"  # noqa: S105  a name
OUTPUTS_MAX: Final = 20
"""Per component: outputs of removed instances that are kept for diagnosis."""
_TAIL_BYTES: Final = 2**20
_ID: Final = re.compile("[^/]+-([0-9]+)-[0-9]+")


def instance_id(spec: RevisionSpec, number: int) -> str:
    return f"{spec.component.module}-{spec.revision}-{number}"


def revision_number(instance: str) -> int | None:
    """Return the revision that the id *instance* names; None where it is no id of an instance."""
    match = _ID.fullmatch(instance)
    return int(match[1]) if match else None


def replica_number(instance: str) -> int:
    return int(instance.rpartition("-")[2])


class InstanceFolder:
    """The folder of one instance; a restart empties it, removal leaves only the output."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self, spec: RevisionSpec, unpacked: UnpackedArtifact, artifacts: Artifacts) -> None:
        """Make fresh folders for a start of *spec*, without the files of an earlier one."""
        self.clear()
        make_folders(self.path)
        write_files(self.path, spec.configuration)
        artifacts.copy(unpacked, self.path / "work")
        if tried_means().has_own_user:
            share_program(self.path / "work")

    def start(
        self,
        spec: RevisionSpec,
        record: InstanceRecord,
        unpacked: UnpackedArtifact,
        data: Mapping[str, Path],
        secrets: SecretValues,
        python_links: Path,
        api_url: str | None = None,
        *,
        parent: int | None = None,
    ) -> int:
        """Start the process that *record* describes, with its data and secrets; return its pid.

        With *api_url*, where the API answers, its folder has a token for that. With *parent* it
        ends with that process, see `sandbox_order`.
        """
        in_force = tried_means()
        secrets_at = self._place_of_secrets(record.token) if secrets.files else None
        environ = self._environ(spec, record, unpacked, data, secrets_at, python_links)
        if api_url is not None:
            environ[API_URL_VARIABLE] = api_url
            environ[API_TOKEN_VARIABLE] = str(self.path / api_access.FOLDER / api_access.TOKEN)
        sandbox = sandbox_order(
            in_force,
            self.path,
            record.token,
            owned=[self.path / "home", self.path / "tmp"],
            program=self.path / "work",
            given=[each for each in self._given() if each.is_dir()],
            readable=[python_links, unpacked.content] if unpacked.is_wheelhouse else [python_links],
            data=list(data.values()),
            secrets=secrets_at,
            port=record.port,
            parent=parent,
        )
        return starts.spawn(
            self.path,
            record.token,
            [expand(word, environ) for word in spec.command],
            # Not before: a word of the command, which everybody may read, has none of them.
            environ={**environ, **secrets.variables},
            secret_files=secrets.files,
            workdir=self.path / "work",
            output=self.path / "output.log",
            limits=rlimits(spec.resources, in_force),
            sandbox=sandbox,
            about=about(spec),
        )

    def _given(self) -> tuple[Path, Path]:
        """Return the folders of what this start alone is given, which may not be there."""
        return self.path / CONFIGURATION, self.path / api_access.FOLDER

    def _place_of_secrets(self, token: str) -> Path:
        """Return the folder for the files of secrets of the start *token*, which is in memory.

        Raises:
            SecretRefused: this machine has no such place.
        """
        if tried_means().is_namespaced:
            return self.path / SECRETS  # where the init of the workload mounts one
        place = memory_place()
        if place is None:
            raise SecretRefused(NO_MEMORY)
        folder = folder_of_start(place, self.path, token)
        prepare(folder)
        return folder

    def clear(self) -> None:
        """Delete everything except the output."""
        for name in (*scratch.FOLDERS, "root", CONFIGURATION, api_access.FOLDER):
            remove_tree(self.path / name)
        starts.delete_starts(self.path)

    def note(self, sentence: str) -> None:
        """Append *sentence* to the output, unless the disk refuses it."""
        with suppress(OSError):
            self.path.mkdir(parents=True, exist_ok=True)
            with os.fdopen(append_to(self.path / "output.log"), "a", encoding="utf-8") as output:
                print(sentence, file=output)

    def bound_output(self) -> None:
        """Bound the output of a process without a shim; a shim keeps the same bound itself."""
        bound_log(self.path / "output.log", BYTES_MAX)

    def tail(self, lines: int) -> tuple[str, ...] | None:
        """Return the last *lines* of output; None when the instance never started."""
        if not os.path.lexists(self.path / "output.log"):
            return None
        output: list[str] = []
        for name in ("output.log.1", "output.log"):
            with suppress(FileNotFoundError):
                written = read_plain(self.path / name, at_most=_TAIL_BYTES)
                output += written.decode("utf-8", errors="replace").splitlines()
        return tuple(output[-lines:]) if lines > 0 else ()

    def _environ(
        self,
        spec: RevisionSpec,
        record: InstanceRecord,
        unpacked: UnpackedArtifact,
        data: Mapping[str, Path],
        secrets_at: Path | None,
        python_links: Path,
    ) -> dict[str, str]:
        variables = {data_variable(name): str(folder) for name, folder in data.items()}
        variables |= {"HOME": str(self.path / "home"), "TMPDIR": str(self.path / "tmp")}
        if has_files(spec):
            variables[CONFIGURATION_VARIABLE] = str(self.path / CONFIGURATION)
        if secrets_at is not None:
            variables[SECRETS_VARIABLE] = str(secrets_at)
        if record.port is not None:
            variables["PORT"] = str(record.port)
        path = [str(python_links), "/usr/local/bin", "/usr/bin", "/bin"]
        root = self.path / "work"
        if unpacked.is_wheelhouse:
            root = unpacked.content
            variables["VIRTUAL_ENV"] = str(root)
            path.insert(0, str(root / "bin"))
        from_spec = {name: expand(value, variables) for name, value in spec.environ.items()}
        return {
            "LANG": "C.UTF-8",
            "PATH": ":".join(path),
            **from_spec,
            **texts_of(spec.configuration).variables,
            **variables,
            "RUNTIME_ENVIRONMENT_ID": spec.component.environment,
            "RUNTIME_TENANT_ID": spec.component.tenant,
            "RUNTIME_MODULE_ID": spec.component.module,
            "RUNTIME_INSTANCE_ID": record.id,
            "RUNTIME_RELEASE_REVISION": str(spec.revision),
            "RUNTIME_VERSION": spec.version,
            "RUNTIME_ARTIFACT": spec.artifact,
            "RUNTIME_CONTENT": str(root),
            "RUNTIME_UNIT": json.dumps(dict(spec.unit), sort_keys=True),
        }


def about(spec: RevisionSpec) -> Mapping[str, Any]:
    """Return what is kept about a start of *spec*, for its proof; see `starts.read_about`."""
    return {
        "artifact": spec.artifact,
        "release": spec.version,
        "revision": spec.revision,
        "unit": dict(spec.unit),
        "configuration": dict(spec.configuration.digests) if spec.configuration else {},
        "secrets": given_secrets(spec),
    }


def given_secrets(spec: RevisionSpec) -> Mapping[str, str]:
    """Return of each place of a secret which version of which secret is there."""
    return {each.target: each.source for each in spec.secrets}


def has_files(spec: RevisionSpec) -> bool:
    return spec.configuration is not None and bool(spec.configuration.files)


def outputs_of(folder: Path, module: str, revision: int) -> tuple[str, ...]:
    """Return the instances of *revision* below *folder* that have written output."""
    names = [path.parent.name for path in folder.glob(f"{module}-{revision}-*/output.log")]
    return tuple(sorted(names, key=replica_number))


def prune_outputs(folder: Path) -> None:
    """Delete the oldest outputs of removed instances below *folder*."""
    removed = [path for path in folder.glob("*") if not (path / "order.json").exists()]
    for path in sorted(removed, key=lambda p: p.stat().st_mtime)[:-OUTPUTS_MAX]:
        remove_tree(path)


def link_python(folder: Path) -> Path:
    """Return a folder with the machine's `python` and `python3`, for the PATH of workloads."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # whatever our umask is: it is read by other users than ours
    for name in ("python", "python3"):
        link = folder / name
        if not link.is_symlink() or str(link.readlink()) != base_python():
            link.unlink(missing_ok=True)
            link.symlink_to(base_python())
    return folder
