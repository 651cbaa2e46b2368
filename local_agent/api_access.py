"""What an instance follows its configuration with: where the API answers, and a token for it.

    <instance>/api/token    for its user alone, mode 0600, another one every five minutes

A token is signed by the issuer of the state folder and lapses after ten minutes. It permits one
thing: to read the configuration of this instance's module in its environment.
"""

import logging
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.persistence.file_trees import remove_tree
from shared.persistence.plain_files import part_of, write_new
from shared.surfaces.local_process import ISSUER, read_api_url
from shared.surfaces.spec import RevisionSpec
from shared.web.issuer import AUDIENCE, DEV_ISSUER, LocalIssuer, SigningKey

FOLDER: Final = "api"
TOKEN: Final = "token"  # noqa: S105  of a file
INSTANCE_TOKEN_LIFE: Final = timedelta(minutes=10)
RENEWED_AFTER: Final = INSTANCE_TOKEN_LIFE / 2
_AGAIN_AFTER: Final = timedelta(seconds=5)
_LOG: Final = logging.getLogger(__name__)


class ApiAccess:
    """Gives the instances on this machine access to the API of the state folder *state*."""

    def __init__(self, state: Path, clock: Clock, entropy: Entropy) -> None:
        self._state = state
        self._clock = clock
        self._issuer = LocalIssuer(state / ISSUER, DEV_ISSUER, AUDIENCE, clock, entropy)
        self._has_issuer = SigningKey(state / ISSUER, entropy).key_set.exists
        self._signed: dict[Path, tuple[datetime, timedelta]] = {}
        """By instance: when it was given a token last, and after how long it is due again."""

    def give(self, instance: Path, spec: RevisionSpec) -> str | None:
        """Write a token into the folder *instance* for a start of *spec*; return the API's address.

        None where it needs none, or where nothing on this machine would take one.

        Raises:
            OSError.
        """
        withdraw(instance)
        url = read_api_url(self._state) if spec.follows_configuration else None
        if url is None or not self._has_issuer():
            return None
        (instance / FOLDER).mkdir(mode=0o700)
        self._write(instance, spec)
        return url

    def is_due(self, instance: Path, spec: RevisionSpec) -> bool:
        """Return whether a running instance is to be given another token now.

        One that an earlier agent gave is due at once, and so is each when the clock was set back.
        """
        if not spec.follows_configuration:
            return False
        signed_at, after = self._signed.get(instance, (self._clock.now(), timedelta()))
        return not timedelta() <= self._clock.now() - signed_at < after

    def renew(self, instance: Path, spec: RevisionSpec) -> None:
        """Put another token in the place of the one of *instance*, if it was given one.

        What refuses it is logged: the instance has its token for a while, and it is tried again.
        """
        if not (instance / FOLDER).is_dir():  # it was started without
            self._signed[instance] = (self._clock.now(), RENEWED_AFTER)
            return
        try:
            self._write(instance, spec)
        except OSError as refused:
            self._signed[instance] = (self._clock.now(), _AGAIN_AFTER)
            _LOG.warning("%s keeps its token of the API: %s", instance.name, refused.strerror)

    def end(self, instance: Path) -> None:
        """Take the token of *instance*, which has ended."""
        self._signed.pop(instance, None)
        withdraw(instance)

    def _write(self, instance: Path, spec: RevisionSpec) -> None:
        component, folder = spec.component, instance / FOLDER
        token = self._issuer.workload_token(
            component.tenant,
            component.environment,
            component.module,
            instance=instance.name,
            life=INSTANCE_TOKEN_LIFE,
        )
        # Not in the folder, which is that user's: it could put another file in the place of this.
        part = part_of(instance / TOKEN)
        try:
            write_new(part, token.encode())
            owner = folder.lstat().st_uid  # the user of this start, who gets its first one later
            if owner != os.geteuid():
                os.chown(part, owner, owner, follow_symlinks=False)
            part.replace(folder / TOKEN)
        finally:
            part.unlink(missing_ok=True)
        self._signed[instance] = (self._clock.now(), RENEWED_AFTER)


def withdraw(instance: Path) -> None:
    """Remove the token from the folder *instance*, if it has one."""
    remove_tree(instance / FOLDER)
    for part in instance.glob(f"{TOKEN}.*.new"):  # of an agent that was killed
        part.unlink(missing_ok=True)
