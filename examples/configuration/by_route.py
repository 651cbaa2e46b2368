"""`configurationMode: live`: the route itself, followed by `live_configuration.py`."""

import os
import sys
import threading
from pathlib import Path

from live_configuration import LiveConfiguration

url, environment_id, module_id, instance = sys.argv[1:]
token_file, kept = Path(os.environ["TOKEN_FILE"]), Path(os.environ["HOME"], "configuration.kept")
configuration = LiveConfiguration(
    url, environment_id, module_id, instance, lambda: token_file.read_text().strip(), kept
)
with configuration.changed:
    threading.Thread(target=configuration.follow, daemon=True).start()
    configuration.changed.wait_for(lambda: configuration.values)
while True:
    with configuration.changed:
        checkout = configuration.flag("checkout", subject="user-7", tenant="acme")
        print(f"{configuration.values['shop.greeting']}, checkout {checkout}", flush=True)
        configuration.changed.wait()
