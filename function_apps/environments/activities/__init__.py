"""One idempotent step each; every write outside is under the fence of the owning operation."""

from typing import Final

from function_apps.environments.activities import (
    destroy_stack,
    isolate_tenant,
    observe_run,
    remove_tenant,
    update_stack,
)

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
    isolate_tenant.admit_tenant,
    isolate_tenant.make_boundaries,
    isolate_tenant.complete_isolation,
    isolate_tenant.record_isolation_failure,
    remove_tenant.await_tenant_drain,
    remove_tenant.remove_boundaries,
    remove_tenant.complete_removal,
)
