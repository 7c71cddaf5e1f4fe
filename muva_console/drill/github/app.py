"""The stand-in's addresses: what each of them answers, from the repository and the records."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muva_console.drill.github.actions import Github, Refusal
from muva_console.drill.github.app_actions import ActionAnswers
from muva_console.drill.github.app_commits import CommitAnswers
from muva_console.drill.github.app_environments import EnvironmentAnswers
from muva_console.drill.github.app_issues import IssueAnswers
from muva_console.drill.github.app_pulls import PullAnswers
from muva_console.drill.github.app_releases import ReleaseAnswers
from muva_console.drill.github.app_workflows import WorkflowAnswers
from muva_console.drill.github.asking import Hub, nothing_there, refused
from muva_console.drill.github.blobs import Blobs
from muva_console.drill.github.door import Door
from muva_console.drill.github.gitdata import Repository
from muva_console.drill.github.pushes import Pushes
from muva_console.drill.github.records import messages_file, store, webhook_file
from muva_console.drill.github.runs import Runs
from muva_console.drill.github.slack import Slack
from muva_console.drill.github.troubles import Troubles
from muva_console.drill.state import Estate
from muva_console.ops.errors import OpsError

_SUBJECTS = (
    CommitAnswers, PullAnswers, IssueAnswers, ReleaseAnswers, WorkflowAnswers, ActionAnswers,
    EnvironmentAnswers,
)  # fmt: skip


def hub_of(estate: Estate) -> Hub:
    """What the handlers of an estate's stand-in work on; they read everything anew with every request."""
    runs = Runs(estate)
    github = Github(Repository(estate.repository), store(estate), Pushes(estate).moved)
    return Hub(estate, github, runs, Blobs(estate, runs))


def make(hub: Hub) -> Starlette:
    """The application for an estate: the API, and the place that Slack's webhook posts to."""
    slack = Slack(webhook_file(hub.estate), messages_file(hub.estate))
    app = Starlette(routes=[*routes(hub), Route("/services/{path:path}", slack.take, methods=["POST"])])
    for kind in (Refusal, OpsError):
        app.add_exception_handler(kind, refused)
    app.add_exception_handler(404, nothing_there)
    app.add_middleware(Door, estate=hub.estate)
    app.add_middleware(Troubles, estate=hub.estate)
    return app


def routes(hub: Hub) -> list[Route]:
    """Every address of the API."""
    found = [Route("/rate_limit", _door, methods=["GET"])]
    for subject in _SUBJECTS:
        found += subject(hub).routes()
    return found


async def _door(request: Request) -> Response:
    """What the door answers itself."""
    raise Refusal(404, "Not Found")
