"""The HTTP API of the local agent: `Surface` but `capabilities`, `Sites` and `Boundaries`.

Those are in the agent's record.
"""

from typing import Final

from shared.rpc.api import Api
from shared.surfaces import errors
from shared.surfaces.port import Boundaries, Sites, Surface

AGENT_API: Final = Api((Surface, Sites, Boundaries), vars(errors).values())
