"""PostgreSQL and Valkey as the agent runs them: their programs, their settings, their start.

What an administrator's password is checked by is all that a server is told of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shared.surfaces.data_servers import (
    ADMINISTRATOR,
    LOCAL_POSTGRES,
    LOCAL_VALKEY,
    ServerSpec,
    program_folders,
)
from shared.surfaces.spec import Resources

CONNECTIONS_MAX: Final = 100
RESOURCES: Final = Resources(memory_mb=512, open_files=4096, processes=CONNECTIONS_MAX + 60)
"""Of each process of a server; PostgreSQL has one for each connection, and a dozen of its own."""
VALKEY_DATA_MIB: Final = 256
"""Half of what its process may have: it copies what changes while it writes to disk."""


@dataclass(frozen=True)
class ServerStart:
    """A start of one server: the shell's *script* runs it, in the foreground.

    `readable` are the folders of its program, `files` by name those of its setup, which it reads.
    """

    script: str
    readable: tuple[Path, ...]
    files: Mapping[str, str]
    environ: Mapping[str, str] = field(default_factory=dict)


def server_start(server: ServerSpec, data: Path, setup: Path) -> ServerStart:
    """Return how *server* starts, with its data in the folder *data* and its files in *setup*.

    Raises:
        ServerMissing: this machine has no such program.
    """
    return _STARTS[server.kind](server, data, setup)


# A cluster that was not made to its end is made again; its mark comes last. The file of the process
# is of an earlier start, which has ended: the agent knows that better than a number that another
# process may have by now. SIGTERM would have PostgreSQL wait for its clients; SIGINT ends them.
_POSTGRES_SCRIPT: Final = """
set -e
umask 077
cluster="$DATA/cluster"
if [ ! -e "$DATA/made" ]; then
  rm -rf "$cluster"
  "$PROGRAMS/initdb" --pgdata="$cluster" --username="$ADMINISTRATOR" --pwfile="$SETUP/verifier" \
    --auth=scram-sha-256 --encoding=UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8 \
    --locale=C --no-instructions --sync-method=syncfs
  echo "CREATE DATABASE \\"$DATABASE\\"" | "$PROGRAMS/postgres" --single -D "$cluster" postgres
  touch "$DATA/made"
fi
rm -f "$cluster/postmaster.pid"
"$PROGRAMS/postgres" -D "$cluster" -c config_file="$SETUP/postgresql.conf" \
  -c hba_file="$SETUP/pg_hba.conf" &
server=$!
trap 'kill -INT $server' TERM
set +e
while kill -0 $server 2>/dev/null; do wait $server; code=$?; done
exit $code
"""
# No statement is written to the log: one that fails may have a password in it.
_POSTGRES_SETTINGS: Final = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = {connections}
shared_buffers = 64MB
dynamic_shared_memory_type = posix
password_encryption = scram-sha-256
logging_collector = off
log_min_error_statement = panic
log_min_duration_statement = -1
log_statement = none
log_parameter_max_length = 0
"""
_POSTGRES_ACCESS: Final = "host all all 127.0.0.1/32 scram-sha-256\n"

_VALKEY_SCRIPT: Final = """
set -e
umask 077
mkdir -p "$DATA/store"
if [ ! -e "$DATA/store/users.acl" ]; then
  cp "$SETUP/users.acl" "$DATA/store/users.new"
  mv "$DATA/store/users.new" "$DATA/store/users.acl"
fi
exec "$PROGRAMS/valkey-server" "$SETUP/valkey.conf" --dir "$DATA/store" \
  --aclfile "$DATA/store/users.acl"
"""
_VALKEY_SETTINGS: Final = """
bind 127.0.0.1
port {port}
maxclients {connections}
maxmemory {data_mib}mb
maxmemory-policy noeviction
appendonly yes
save ""
daemonize no
"""
_VALKEY_USERS: Final = "user default off\nuser {administrator} on #{verifier} ~* &* +@all\n"


def _postgres(server: ServerSpec, data: Path, setup: Path) -> ServerStart:
    programs, readable = program_folders(server.kind)
    settings = _POSTGRES_SETTINGS.format(port=server.port, connections=CONNECTIONS_MAX)
    return ServerStart(
        _POSTGRES_SCRIPT,
        readable,
        {
            "postgresql.conf": settings,
            "pg_hba.conf": _POSTGRES_ACCESS,
            "verifier": f"{server.verifier}\n",
        },
        {**_environ(programs, data, setup), "DATABASE": server.database},
    )


def _valkey(server: ServerSpec, data: Path, setup: Path) -> ServerStart:
    programs, readable = program_folders(server.kind)
    settings = _VALKEY_SETTINGS.format(
        port=server.port, connections=CONNECTIONS_MAX, data_mib=VALKEY_DATA_MIB
    )
    users = _VALKEY_USERS.format(administrator=ADMINISTRATOR, verifier=server.verifier)
    return ServerStart(
        _VALKEY_SCRIPT,
        readable,
        {"valkey.conf": settings, "users.acl": users},
        _environ(programs, data, setup),
    )


def _environ(programs: Path, data: Path, setup: Path) -> dict[str, str]:
    return {
        "PROGRAMS": str(programs),
        "DATA": str(data),
        "SETUP": str(setup),
        "ADMINISTRATOR": ADMINISTRATOR,
    }


_STARTS: Final[Mapping[str, Callable[[ServerSpec, Path, Path], ServerStart]]] = {
    LOCAL_POSTGRES: _postgres,
    LOCAL_VALKEY: _valkey,
}
