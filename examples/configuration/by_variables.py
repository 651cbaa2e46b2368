"""`configurationDelivery: [variables]`: each key is a variable, with `.`, `:` and `-` as `_`."""

import json
import os

greeting = os.environ["shop_greeting"]  # shop.greeting, text as it is
limits = json.loads(os.environ["limits"])  # anything else is JSON
print(f"{greeting}, at most {limits['items']}")
