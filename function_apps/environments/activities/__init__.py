"""One idempotent step each; every write outside is under the fence of the owning operation."""

from typing import Final

from function_apps.environments.activities import destroy_stack, observe_run, update_stack

ACTIVITIES: Final = (
    update_stack.begin_apply,
    update_stack.plan_update,
    update_stack.start_update,
    observe_run.observe_run,
    update_stack.complete_apply,
    destroy_stack.supersede_run,
    destroy_stack.await_drain,
    destroy_stack.start_destroy,
    destroy_stack.complete_destroy,
    observe_run.cancel_run,
    observe_run.record_failure,
)
