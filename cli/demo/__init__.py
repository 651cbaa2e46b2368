"""`make demo`: one real application from no environment to a rollback, through `runtimectl`."""
