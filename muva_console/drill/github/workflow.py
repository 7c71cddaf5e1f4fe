"""A workflow's file, read: as much of GitHub's syntax as a deployment needs. What is beyond it is refused.

Source: docs.github.com, "Workflow syntax for GitHub Actions". A file that is refused ends its runs with
startup_failure, as one that GitHub does not understand does.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from msgspec import Struct

from muva_console.drill.github import expressions
from muva_console.drill.github.expressions import Invalid

FOLDER = ".github/workflows"
"""Where the files stand in a repository."""
ACTIONS = frozenset({
    "actions/checkout", "actions/setup-node", "actions/upload-artifact", "pnpm/action-setup",
    "supabase/setup-cli",
})  # fmt: skip
"""The actions that this runner knows, beside those in the repository itself (``./…``)."""
SHELLS = ("bash", "sh")

_WORKFLOW = {"name", "on", "env", "concurrency", "permissions", "jobs", "run-name", "defaults"}
_JOB = {"name", "runs-on", "needs", "if", "env", "environment", "steps", "outputs", "timeout-minutes",
        "permissions", "continue-on-error"}  # fmt: skip
_STEP = {"name", "id", "if", "uses", "with", "run", "env", "shell", "working-directory",
         "timeout-minutes", "continue-on-error"}  # fmt: skip
_MINUTES = 360


class Broken(Exception):
    """A workflow's file that cannot be run; the text says where and why."""


class StepSpec(Struct, frozen=True, kw_only=True):
    """A step as the file has it; texts may hold expressions."""

    name: str
    id: str
    condition: str
    """The expression of its `if`, bare; "" where it has none."""
    uses: str
    with_: dict[str, str]
    run: str
    shell: str
    env: dict[str, str]
    directory: str
    minutes: float
    continues: bool


class JobSpec(Struct, frozen=True, kw_only=True):
    """A job as the file has it."""

    key: str
    name: str
    needs: tuple[str, ...]
    condition: str
    environment: str
    env: dict[str, str]
    outputs: dict[str, str]
    minutes: float
    continues: bool
    steps: tuple[StepSpec, ...]


class Workflow(Struct, frozen=True, kw_only=True):
    """A workflow's file."""

    file: str
    name: str
    branches: tuple[str, ...] | None
    """The branches (patterns) whose pushes start it; None when none do."""
    by_hand: bool
    """Whether it can be dispatched."""
    env: dict[str, str]
    group: str
    """Of its runs one at a time goes on; "" when any number may."""
    cancels: bool
    """Whether a new run ends the one before it, in the same group."""
    jobs: tuple[JobSpec, ...]

    def starts_on(self, branch: str) -> bool:
        """Whether a push to a branch starts it."""
        return self.branches is not None and any(fnmatchcase(branch, one) for one in self.branches)


def parse(file: str, text: str) -> Workflow:
    """Read a workflow; `file` is its name below `FOLDER`. Raises Broken."""
    document = _table(_load(text), "the file")
    _known(document, _WORKFLOW, "the file")
    branches, by_hand = _triggers(document.get("on"))
    told = document.get("concurrency", "")
    concurrency = {"group": told} if isinstance(told, str) else _table(told, "concurrency")
    jobs = _table(document.get("jobs"), "jobs")
    try:
        made = tuple(_job(key, _table(value, f"jobs.{key}")) for key, value in jobs.items())
        group = _text(concurrency.get("group", ""))
        env = _texts(document.get("env"), "env")
    except Invalid as error:
        raise Broken(str(error)) from error
    if not made:
        raise Broken("No jobs defined in `jobs`")
    keys = [job.key for job in made]
    for number, job in enumerate(made):
        for needed in job.needs:
            if needed not in keys:
                raise Broken(f"Job '{job.key}' depends on unknown job '{needed}'.")
            if needed not in keys[:number]:
                raise Broken(f"Job '{job.key}' needs '{needed}', which does not stand before it")
    return Workflow(
        file=file, name=_text(document.get("name")) or f"{FOLDER}/{file}", branches=branches, by_hand=by_hand,
        env=env, group=group, cancels=concurrency.get("cancel-in-progress", False) is True, jobs=made,
    )  # fmt: skip


def composite(text: str) -> tuple[StepSpec, ...]:
    """The steps of an action in the repository itself, from its action.yml. Raises Broken."""
    document = _table(_load(text), "action.yml")
    runs = _table(document.get("runs"), "runs")
    if runs.get("using") != "composite":
        raise Broken(f"runs.using: {runs.get('using')!r} is beyond this runner")
    try:
        return tuple(_step(one, f"runs.steps[{number}]") for number, one in enumerate(runs["steps"]))
    except (Invalid, KeyError, TypeError) as error:
        raise Broken(str(error)) from error


def name_of(file: str, text: str) -> str:
    """What GitHub calls the runs of a file that it cannot read further: its name, or its path."""
    try:
        document = _load(text)
    except Broken:
        document = None
    told = document.get("name") if isinstance(document, dict) else None
    return told if isinstance(told, str) and told else f"{FOLDER}/{file}"


def _load(text: str) -> Any:
    import yaml  # type: ignore[import-untyped]

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """As YAML 1.2 has it: `on` is a word and not a truth."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, what) for tag, what in pairs if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        return yaml.load(text, Loader)  # noqa: S506 - a safe one
    except yaml.YAMLError as error:
        raise Broken(f"You have an error in your yaml syntax: {error}") from error


def _triggers(told: Any) -> tuple[tuple[str, ...] | None, bool]:
    if isinstance(told, str):
        told = [told]
    events = dict.fromkeys(told) if isinstance(told, list) else _table(told, "on")
    _known(events, {"push", "workflow_dispatch"}, "on")
    branches: tuple[str, ...] | None = None
    if "push" in events:
        push = _table(events["push"] or {}, "on.push")
        _known(push, {"branches"}, "on.push")
        branches = tuple(push.get("branches", ("*",)))
    return branches, "workflow_dispatch" in events


def _job(key: str, told: dict[str, Any]) -> JobSpec:
    where = f"jobs.{key}"
    _known(told, _JOB, where)
    if "runs-on" not in told:
        raise Broken(f"{where}: Required property is missing: runs-on")
    needs = told.get("needs", [])
    environment = told.get("environment", "")
    if isinstance(environment, dict):
        _known(environment, {"name", "url"}, f"{where}.environment")
        environment = environment.get("name", "")
    steps = told.get("steps")
    if not isinstance(steps, list) or not steps:
        raise Broken(f"{where}: Required property is missing: steps")
    return JobSpec(
        key=key, name=_text(told.get("name")) or key,
        needs=tuple([needs] if isinstance(needs, str) else needs), condition=_condition(told.get("if")),
        environment=_text(environment), env=_texts(told.get("env"), f"{where}.env"),
        outputs=_texts(told.get("outputs"), f"{where}.outputs"), minutes=_minutes(told, where),
        continues=told.get("continue-on-error", False) is True,
        steps=tuple(_step(one, f"{where}.steps[{number}]") for number, one in enumerate(steps)),
    )  # fmt: skip


def _step(told: Any, where: str) -> StepSpec:
    told = _table(told, where)
    _known(told, _STEP, where)
    uses, run = _text(told.get("uses")), _text(told.get("run"))
    if bool(uses) == bool(run):
        raise Broken(f"{where}: a step has to define either 'uses' or 'run'")
    if uses and not uses.startswith("./") and uses.partition("@")[0] not in ACTIONS:
        raise Broken(f"{where}: the action {uses} is beyond this runner")
    shell = _text(told.get("shell"))
    if shell and shell not in SHELLS:
        raise Broken(f"{where}: the shell {shell} is beyond this runner")
    first = run.strip().splitlines()[0] if run.strip() else uses
    return StepSpec(
        name=_text(told.get("name")) or f"Run {first}", id=_text(told.get("id")),
        condition=_condition(told.get("if")), uses=uses, with_=_texts(told.get("with"), f"{where}.with"),
        run=run, shell=shell, env=_texts(told.get("env"), f"{where}.env"),
        directory=_text(told.get("working-directory")), minutes=_minutes(told, where),
        continues=told.get("continue-on-error", False) is True,
    )  # fmt: skip


def _condition(told: Any) -> str:
    return "" if told is None else expressions.condition(expressions.string(told))


def _minutes(told: dict[str, Any], where: str) -> float:
    minutes = told.get("timeout-minutes", _MINUTES)
    if isinstance(minutes, bool) or not isinstance(minutes, int) or minutes < 1:
        raise Broken(f"{where}.timeout-minutes: a positive whole number is needed")
    return float(minutes)


def _texts(told: Any, where: str) -> dict[str, str]:
    return {str(key): _text(value) for key, value in _table(told or {}, where).items()}


def _text(told: Any) -> str:
    text = expressions.string(told)
    expressions.check(text)
    return text


def _table(told: Any, where: str) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise Broken(f"{where}: a mapping is needed")
    return told


def _known(told: dict[str, Any], known: set[str], where: str) -> None:
    for key in told:
        if key not in known:
            raise Broken(f"{where}: Unexpected value '{key}'")
