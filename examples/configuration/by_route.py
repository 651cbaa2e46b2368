"""`configurationMode: live`: the route itself, followed by `live_configuration.py`.

Address, token and names are given by the platform.
"""

import os
import threading
from contextlib import suppress
from pathlib import Path

from live_configuration import LiveConfiguration

given = os.environ
token_file, kept = Path(given["RUNTIME_API_TOKEN_FILE"]), Path(given["HOME"], "configuration.kept")
configuration = LiveConfiguration(
    given["RUNTIME_API_URL"], given["RUNTIME_ENVIRONMENT_ID"], given["RUNTIME_MODULE_ID"],
    given["RUNTIME_INSTANCE_ID"], token_file.read_text, kept,
)  # fmt: skip
with suppress(OSError, ValueError):  # else with what is kept: if that ends it, so it would for ever
    configuration.poll(0)
with configuration.changed:
    threading.Thread(target=configuration.follow, daemon=True).start()
    configuration.changed.wait_for(lambda: configuration.values)
while True:
    with configuration.changed:
        values, checkout = configuration.values, False
        if "checkout" in values:  # what nobody published yet ends no program
            checkout = configuration.flag("checkout", subject="user-7", tenant="acme")
        print(f"{values.get('shop.greeting', 'no shop.greeting')}, checkout {checkout}", flush=True)
        configuration.changed.wait()
