"""A watch of a run, with all that can be seen of where it deploys to: the one place where it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muva_console.ops.deploys.watch import Watch
from muva_console.ops.deploys.witness import witnesses_of

if TYPE_CHECKING:
    from muva_console.ops.links.github_actions import GitHubActions
    from muva_console.ops.links.github_runs import WorkflowRun
    from muva_console.ops.workspace import Workspace


def watch_of(workspace: Workspace, actions: GitHubActions, run: WorkflowRun) -> Watch:
    """A watch of a run; of a branch that an environment has, with its hosts, its processes and its health."""
    journal = workspace.journal.directory
    for name, environment in workspace.config.environments.items():
        if environment.branch == run.branch and environment.hosts:
            hosts = {host: workspace.host(host) for host in environment.hosts}
            buses = {host: workspace.process_reader(host).bus for host in environment.hosts}
            witnesses = witnesses_of(workspace.environments[name], buses)
            return Watch(actions, run.id, environment=name, hosts=hosts, witnesses=witnesses, journal=journal)
    return Watch(actions, run.id, journal=journal)
