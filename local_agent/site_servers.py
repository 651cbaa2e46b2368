"""The servers of one site: those that it is to have run, the others end."""

from collections.abc import Sequence

from local_agent.data_server import DataServer
from local_agent.state_files import SiteFolder
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.persistence.file_trees import remove_tree
from shared.surfaces.data_servers import ServerSpec


class SiteServers:
    """Those that an earlier agent started are found by their folders."""

    def __init__(self, site: SiteFolder, clock: Clock, entropy: Entropy) -> None:
        self._site = site
        self._clock = clock
        self._entropy = entropy
        self._servers: dict[str, DataServer] = {}

    def reconcile(self, wanted: Sequence[ServerSpec]) -> bool:
        """Take each server one step; return whether those that are not *wanted* have ended.

        Reads folders and processes, so it runs in a thread.
        """
        for server in wanted:
            self._server(server.name).ensure_running(server)
        others = self._names() - {server.name for server in wanted}
        ended = [self._end(name) for name in sorted(others)]
        return all(ended)

    def _end(self, name: str) -> bool:
        """Take the server *name* a step to its end; return whether it has ended."""
        if not self._server(name).stop():
            return False
        del self._servers[name]
        # Its data is the infrastructure's to delete.
        remove_tree(self._site.server(name))
        return True

    def _names(self) -> set[str]:
        try:
            return {path.name for path in (self._site.path / "servers").iterdir()}
        except FileNotFoundError:
            return set()

    def _server(self, name: str) -> DataServer:
        if name not in self._servers:
            self._servers[name] = DataServer(
                self._site.server(name), self._site.volumes / name, self._clock, self._entropy
            )
        return self._servers[name]
