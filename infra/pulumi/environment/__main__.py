"""What `pulumi up` runs: the program with the inputs that the stack's configuration holds."""

import sys
from pathlib import Path

# Pulumi puts this folder first; its modules must not stand before packages of the same names.
sys.path[0] = str(Path(__file__).resolve().parents[3])

import pulumi  # noqa: E402

from infra.pulumi.environment.program import environment  # noqa: E402
from shared.infrastructure.inputs import EnvironmentInputs, require_valid  # noqa: E402

inputs = EnvironmentInputs.from_json(pulumi.Config().require_object("inputs"))
require_valid(inputs)
for name, value in environment(inputs).items():
    pulumi.export(name, value)
