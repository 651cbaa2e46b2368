"""What is pushed to a Git repository, and the signature of the webhook that says so."""

import hashlib
import hmac
import json
from typing import Any, Final

SIGNING_KEY: Final = "k" * 40


def manifest(module: str, version: str, **changes: Any) -> str:
    """Return a release file of one module, as JSON."""
    component = {
        "moduleId": module,
        "componentType": "gateway",
        "version": version,
        "artifact": "build/web.zip",
        **changes,
    }
    return json.dumps({"releaseRef": "r", "components": [component]})


def signature(content: bytes, key: str = SIGNING_KEY) -> str:
    return f"sha256={hmac.new(key.encode(), content, hashlib.sha256).hexdigest()}"
