"""`configurationDelivery: [json]`, the default: a file with all values, also references."""

import json
import os
from pathlib import Path

folder = Path(os.environ["RUNTIME_CONFIGURATION"])
values = json.loads((folder / "configuration.json").read_text(encoding="utf-8"))
print(f"{values['shop.greeting']}, at most {values['limits']['items']}")
