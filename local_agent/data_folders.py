"""What an environment gives its components for data: its folders, and where its servers are.

The infrastructure makes and deletes folders; here they are only found. Their path follows from the
environment of the component and the name alone, so none leads to another environment's.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from local_agent.state_files import SiteFolder
from shared.surfaces.errors import DataMissing
from shared.surfaces.spec import RevisionSpec
from shared.surfaces.variables import server_variables


def require_data_folders(site: SiteFolder, spec: RevisionSpec) -> Mapping[str, Path]:
    """Return the folder of each data resource of *spec*, by name.

    Raises:
        DataMissing: one is not there. An application that found a new, empty one would take all
            that it had stored for deleted.
    """
    folders = {name: site.volumes / name for name in spec.data}
    for name, folder in folders.items():
        if not (_is_folder(site.volumes) and _is_folder(folder)):
            raise DataMissing(
                f"data folder {name} is not there: put it back, or deploy again if it was deleted"
            )
    return folders


def live_data_folders(site: SiteFolder) -> tuple[str, ...]:
    """Return the names of the folders of data that are there, those of servers among them."""
    if not _is_folder(site.volumes):
        return ()
    return tuple(sorted(each.name for each in site.volumes.iterdir() if _is_folder(each)))


def with_servers(site: SiteFolder, spec: RevisionSpec) -> RevisionSpec:
    """Return *spec* with the addresses of its environment's servers among its variables.

    Those of another tenant than the environment's get none, as they get no folders.
    """
    there = site.site()
    if there is None or there.spec.tenant != spec.component.tenant:
        return spec
    variables = {
        name: value
        for server in there.spec.servers
        for name, value in server_variables(server.name, server.port, server.database).items()
    }
    return replace(spec, environ={**spec.environ, **variables})


def _is_folder(path: Path) -> bool:
    """Return whether *path* is a folder itself: a workload may have put a link in its place."""
    return path.is_dir() and not path.is_symlink()
