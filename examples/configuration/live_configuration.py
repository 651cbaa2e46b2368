"""Follows the live configuration of one module by long poll. Only Python's library is needed.

    live = LiveConfiguration(url, environment_id, "module-shop", "web-0", token_of, kept)
    threading.Thread(target=live.follow, daemon=True).start()

`values` is the last good configuration: of this process, else of the file *kept*. What fails, is
empty, or is not what its hash says, never takes the place of a value.
"""

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib import error, parse, request

WAIT_S, ANSWER_MAX, NOT_MODIFIED = 50, 4 * 1024 * 1024, 304
BACKOFF_S, BACKOFF_MAX_S = 0.5, 60.0


class LiveConfiguration:
    """`token_of` is asked for each request, so that a token may be renewed."""

    def __init__(
        self, url: str, environment_id: str, module_id: str, instance: str,
        token_of: Callable[[], str], kept: Path,
    ) -> None:  # fmt: skip
        asked = {"environmentId": environment_id, "moduleId": module_id, "instance": instance}
        self._url = f"{url}/v1/runtime/effective-configuration?{parse.urlencode(asked)}"
        self._token_of, self._kept = token_of, kept
        self.hash, self.values = "", dict[str, Any]()
        self.stopped, self.changed = threading.Event(), threading.Condition()
        with suppress(OSError, ValueError, KeyError, TypeError):  # nothing good is kept yet
            self._take(self._checked(json.loads(kept.read_bytes())))

    def follow(self) -> None:
        """Poll until `stopped` is set; after failures less and less often."""
        failures = 0
        while not self.stopped.is_set():
            began, after = time.monotonic(), ""
            try:
                is_held = self.poll(WAIT_S) or time.monotonic() - began > 1
                failures = 0 if is_held else failures + 1
            except Exception as problem:  # noqa: BLE001  whatever failed, the values stay
                failures += 1
                after = (getattr(problem, "headers", None) or {}).get("Retry-After", "")
            backoff_s = min(BACKOFF_S * 2 ** min(failures, 10), BACKOFF_MAX_S) if failures else 0
            asked_s = min(int(after), BACKOFF_MAX_S) if after.isdecimal() else 0
            self.stopped.wait(max(asked_s, backoff_s * (1 + os.urandom(1)[0] / 255) / 2))

    def poll(self, wait_s: int) -> bool:
        """Ask once; return whether it is another configuration. Raises what failed."""
        headers = {"Authorization": f"Bearer {self._token_of()}", "If-None-Match": f'"{self.hash}"'}
        asked = request.Request(f"{self._url}&wait={wait_s}", headers=headers)
        try:
            with request.urlopen(asked, timeout=wait_s + 10) as answer:
                content = answer.read(ANSWER_MAX)
        except error.HTTPError as answer:
            if answer.code == NOT_MODIFIED:
                return False
            raise
        given = self._checked(json.loads(content))
        part = self._kept.with_suffix(".part")  # beside it: a rename is whole or not at all
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._kept)
        finally:
            self._take(given)  # also where the disk is full
        return True

    def _checked(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        values = given["values"]
        text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        digest = hashlib.sha256(text.encode()).hexdigest()
        numbers = [given[f"{layer}Version"] for layer in ("tenant", "environment", "module")]
        if given["hash"] != f"sha256:{digest}" or (self.values and not any(numbers)):
            raise ValueError("other values than their hash, or none published any more")
        return given

    def _take(self, given: Mapping[str, Any]) -> None:
        with self.changed:
            self.hash, self.values = given["hash"], given["values"]
            self.changed.notify_all()

    def flag(self, key: str, subject: str, tenant: str = "") -> Any:
        """Return the value of the first rule of a flag that fits *subject*, else its default."""
        flag = self.values[key]["flag"]
        share = int.from_bytes(hashlib.sha256(f"{key}:{subject}".encode()).digest()[:8], "big")
        for rule in flag.get("rules", ()):
            is_in = share * 100 < rule.get("percent", 100) * 2**64
            if is_in and tenant in (rule.get("tenants") or [tenant]):
                return rule["value"]
        return flag["default"]
