"""The three stories, each as its parts in order; each returns whether it has passed."""

from cli.demo import (
    cluster_faults,
    cluster_report,
    cluster_scenario,
    drift_scenario,
    report,
    scaling_under_load,
    scenario,
    two_tenants,
    whole_report,
    whole_scenario,
)
from cli.demo.promises import Promises
from cli.demo.sandbox import Sandbox
from local_cluster.cluster_folder import Form


def on_this_machine(sandbox: Sandbox, *, is_kept: bool) -> bool:
    """Run the story of processes on this machine."""
    is_warm = (sandbox.state_folder.cache / "wheelhouses").exists()
    sandbox.clear()
    report.print_plan(sandbox, is_warm=is_warm)
    scenario.boot(sandbox)
    scenario.build(sandbox)
    scenario.provision(sandbox)
    scenario.deploy_first(sandbox)
    scenario.start_load(sandbox)
    kill = scenario.promote_and_kill(sandbox)
    scenario.deploy_bad_release(sandbox)
    scenario.deploy_bad_configuration(sandbox)
    scenario.rotate_secret(sandbox)
    sandbox.load.stop()
    sandbox.control_plane.stop()
    report.print_timeline(sandbox)
    totals = sandbox.load.totals()
    report.print_totals(sandbox, totals, kill.served_while_dead)
    report.print_next_commands(sandbox, is_kept=is_kept)
    return report.print_verdict(sandbox, totals, kill.lost)


def whole(sandbox: Sandbox) -> bool:
    """Run the whole story of processes on this machine."""
    sandbox.clear()
    whole_report.print_plan(sandbox)
    promises = Promises()
    scenario.boot(sandbox)
    scenario.build(sandbox)
    whole_scenario.provision(sandbox)
    whole_scenario.deploy_first(sandbox)
    whole_scenario.start_client(sandbox)
    scaling_under_load.apply_policy(sandbox)
    whole_scenario.promote_to_staging(sandbox)
    two_tenants.bind_guest(sandbox, promises)
    kill = whole_scenario.promote_to_prod(sandbox, promises)
    whole_scenario.deploy_bad_unit(sandbox, promises)
    done = drift_scenario.tamper_and_repair(sandbox, promises)
    scaling_under_load.scale(sandbox)
    drift_scenario.wait_for_resolved(sandbox, done)
    whole_scenario.rotate_secret(sandbox, promises)
    whole_scenario.move_tenant(sandbox, promises)
    sandbox.load.stop()
    drift_scenario.check_reports(sandbox, promises, done)
    whole_report.print_timeline(sandbox)
    return whole_report.print_end(sandbox, promises, kill)


def on_a_cluster(sandbox: Sandbox, form: Form, *, is_kept: bool) -> bool:
    """Run the story of pods in a cluster of *form*, beside a process of this machine."""
    is_warm = (sandbox.state_folder.cache / "images").exists()
    sandbox.clear()
    cluster_report.print_plan(sandbox, form, is_warm=is_warm)
    cluster = cluster_scenario.boot(sandbox, form)
    cluster_scenario.build(sandbox, cluster)
    cluster_scenario.provision(sandbox, cluster)
    cluster_scenario.deploy_first(sandbox, cluster)
    cluster_scenario.start_load(sandbox, cluster)
    cluster_scenario.promote_by_canary(sandbox, cluster)
    cluster_scenario.deploy_bad_release(sandbox, cluster)
    cluster_scenario.deploy_absent_image(sandbox, cluster)
    cluster_scenario.deploy_small_memory(sandbox, cluster)
    death = cluster_faults.kill_node(sandbox, cluster, cluster_scenario.MODULE)
    cluster_scenario.edit(sandbox, cluster)
    sandbox.load.stop()
    sandbox.second_load.stop()
    requests = [*sandbox.load.requests(), *sandbox.second_load.requests()]
    totals = cluster_report.totals(requests, death)
    cluster_report.print_totals(sandbox, totals)
    cluster_report.print_next_commands(sandbox, is_kept=is_kept)
    return cluster_report.print_verdict(sandbox, totals)
