"""Which live words are shown as they are.

Anywhere else somebody may have put a password: in a variable, an argument, a header that a route
sets, the address of a queue. So what is not named here may be secret, also where it is new.
"""

import re
from typing import Final

ANOTHER: Final = "another"
"""Said in place of a word that may be secret, where nothing is compared with it."""
_OF_WORKLOAD: Final = (
    "activeDeadlineSeconds", "artifact", "automountServiceAccountToken", "containers", "data",
    "dnsPolicy", "enableServiceLinks", "ephemeralContainers", "hostIPC", "hostNetwork", "hostPID",
    "hostUsers", "image", "initContainers", "port", "release", "requires", "resources",
    "restartPolicy", "runsOnce", "runtimeClassName", "schedule", "security", "serviceAccountName",
    "shareProcessNamespace", "version",
)  # fmt: skip
_OF_OTHER_PLANES: Final = (
    "backend", "gateways", "hosts", "maximum", "minimum", "owner", "pathPrefix", "replicas",
    "secret", "service", "weight",
)  # fmt: skip
_OF_PROOFS: Final = ("configuration", "content", "unit")
_SHOWN: Final = frozenset({*_OF_WORKLOAD, *_OF_OTHER_PLANES, *_OF_PROOFS})
"""Paths by their first part, and facts of a proof by their first word."""
_FIRST: Final = re.compile(r"[^/ ]*")
_RULE: Final = r"[a-z]{1,20} [0-9]{1,9} %"
_MEASURES: Final = re.compile(f"{_RULE}(?:, {_RULE})*")
"""Rules of scaling without settings of a source of events."""
_SECONDS: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,3})?")
"""On a cluster a hook may stand in their place, with a command."""
_FORMS: Final = {"rules": _MEASURES, "drainS": _SECONDS, "graceS": _SECONDS}


def may_be_secret(path: str, word: str) -> bool:
    """Return whether the live *word* of the property *path* may be a secret."""
    if form := _FORMS.get(path):
        return not form.fullmatch(word)
    first = _FIRST.match(path)
    return first is None or first[0] not in _SHOWN
