"""The HTTP API of the local agent: every port of it, and all of each but `capabilities`.

Those are in the agent's record.
"""

from typing import Final

from shared.rpc.api import Api
from shared.surfaces import errors
from shared.surfaces.port import Boundaries, IsolationAttempts, Sites, Surface

AGENT_API: Final = Api((Surface, Sites, Boundaries, IsolationAttempts), vars(errors).values())
