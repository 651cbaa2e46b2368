"""The figures in `docs/process.md` are those of the code; its variables are held by a workload."""

import pytest

from cli.state_folder import REPOSITORY
from function_apps.deployments.activities import start_failure
from function_apps.deployments.ports import LOCAL_RULES, DeploymentsRules
from local_agent import instance_controller, instance_folder, probes, scratch, shutdown
from local_agent.sandbox import output
from shared.persistence import file_trees
from shared.surfaces.spec import RevisionSpec

PAGE = (REPOSITORY / "docs" / "process.md").read_text(encoding="utf-8")
LOCAL, STRICT = LOCAL_RULES, DeploymentsRules()
MIB = 2**20


@pytest.mark.parametrize(
    "sentence",
    [
        f"has {LOCAL.ready_within.seconds} s to be ready ({STRICT.ready_within.seconds // 60} min",
        f"stays for {LOCAL.rollout.drain.seconds} s ({STRICT.rollout.drain.seconds} s with",
        f"`SIGKILL` after {RevisionSpec.grace_s:g} s, to all",
        f"`SIGTERM`, and `SIGKILL` after {shutdown.GRACE_S:g} s",
        f"after {instance_controller.BACKOFF_FIRST_S:g} s, then twice as long",
        (
            f"at most {instance_controller.BACKOFF_MAX_S:g} s; from the beginning after "
            f"{instance_controller.BACKOFF_RESET_AFTER_S:g} s"
        ),
        (f"the last {output.BYTES_MAX // MIB} MiB and the {output.BYTES_MAX // MIB} MiB before"),
        f"the last {instance_folder.OUTPUTS_MAX} instances",
        f"whose instance ends {start_failure.EXITS_MAX} times before it is ready",
        f"have {scratch.BYTES_MAX // 1024**3} GiB and {scratch.NAMES_MAX:,} names",
        f"looked at every {scratch.INTERVAL_S:g} s",
        f"{file_trees.DEPTH_MAX} levels deep",
        f"when it has run for {probes.WORKER_READY_AFTER_S:g} s",
    ],
)
def test_a_figure_of_the_page_is_that_of_the_code(sentence: str) -> None:
    assert sentence in PAGE
