"""The HTTP API of the local agent: all of `Surface` and `Sites` but `capabilities`.

Those are in the agent's record.
"""

from typing import Final

from shared.rpc.api import Api
from shared.surfaces import errors
from shared.surfaces.port import Sites, Surface

AGENT_API: Final = Api((Surface, Sites), vars(errors).values())
