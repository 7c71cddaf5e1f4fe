"""The pull request of a release: the playbook's body, filled in with what is known.

Source: the playbook, "Step 2: Create Pull Request". What is not known is said to be, and stays unticked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

from muva_console.config.redact import redact
from muva_console.ops.checks import CheckContext
from muva_console.ops.deploys.candidate import Candidate
from muva_console.ops.deploys.changes import Changes, read_changes
from muva_console.ops.deploys.deed import workshop_of
from muva_console.ops.deploys.evidence import MIGRATIONS, TESTING, Checklists, Evidence
from muva_console.ops.errors import LinkError, OpsError
from muva_console.ops.health.document import read_document
from muva_console.ops.health.words import count
from muva_console.ops.migrations.catalog import Size, read_sizes
from muva_console.ops.migrations.files import files_of, texts_of
from muva_console.ops.migrations.findings import FileReport
from muva_console.ops.migrations.hazards import validate
from muva_console.ops.readings import Level
from muva_console.ops.release.records import last_good
from muva_console.ops.release.served import same
from muva_console.ops.text import sanitise_line

LONGEST = 60_000
"""Characters. GitHub takes 65,536 of a body."""
_LISTED = 60
"""Changes of a heading that are named."""
_HAZARDS = 20


class Facts(Struct, frozen=True, kw_only=True):
    """All that the body tells."""

    name: str
    """``v1.2.0``."""
    source: str
    target: str
    commit: str
    changes: Changes
    testing: tuple[Evidence, ...]
    migrations: tuple[FileReport, ...]
    """Those that go out."""
    shown: tuple[Evidence, ...]
    """What is to be ticked of them."""
    untold: tuple[str, ...] = ()
    """What of the migrations is not known."""
    way_back: tuple[str, ...] = ()
    """The release that a rollback would return to, a line each."""
    environment: str
    summary: str = ""
    """In the engineer's own words."""


async def read_facts(ctx: CheckContext, found: Candidate) -> Facts:
    """Look at everything. Raises OpsError where the repository or the journal cannot be read."""
    out = found.outgoing
    changes = await read_changes(ctx, out.base, found.head or out.head)
    checklists = Checklists(ctx, out.head)
    reports, untold = await _migrations(ctx, found)
    return Facts(
        name=found.name,
        source=out.source,
        target=out.target,
        commit=out.head,
        changes=changes,
        testing=await checklists.look(TESTING),
        migrations=reports,
        shown=await checklists.look(MIGRATIONS) if reports else (),
        untold=untold,
        way_back=await way_back(ctx, out.base),
        environment=ctx.environment_name,
        summary=str(ctx.parameters.get("summary", "") or ""),
    )


def title(name: str) -> str:
    """As the playbook has it."""
    return f"Production Release {name}"


def render(facts: Facts) -> str:
    """The body as Markdown; harmless, redacted, and not longer than GitHub takes."""
    lines = [*_lines(facts)]
    text = "\n".join(redact(line) for line in lines)
    if len(text) > LONGEST:
        text = text[:LONGEST].rpartition("\n")[0] + "\n\n… (the rest is too long for GitHub)"
    return text


def _lines(facts: Facts) -> Iterator[str]:
    changes = facts.changes
    yield "## Release Summary"
    if facts.summary:
        yield plain(facts.summary)
    yield _summary(facts)
    yield ""
    yield "## Changes Included"
    yield from change_lines(changes)
    if changes.pulls:
        yield ""
        yield "Pull requests:"
        for pull in changes.pulls:
            yield f"- #{pull.number} {plain(pull.title)} ({_login(pull.author.login)})"
    for line in changes.untold:
        yield f"- not known: {plain(line)}"
    yield ""
    yield "## Testing"
    yield from (_evidence(one) for one in facts.testing)
    yield ""
    yield "## Database Migrations"
    yield from _of_migrations(facts)
    yield ""
    yield "## Rollback Plan"
    yield "If deployment fails:"
    for number, line in enumerate(_rollback(facts), 1):
        yield f"{number}. {line}"
    yield ""
    yield "## Post-Deployment Verification"
    for line in (
        "Health endpoints return 200",
        "Critical user flows tested",
        f"No errors in {facts.environment} logs",
        "Database migrations applied" if facts.migrations else "No database migration to be applied",
        "Performance within acceptable range",
    ):
        yield f"- [ ] {line}"
    yield ""
    yield "## Approver Checklist"
    for line in ("Release notes reviewed", "Risks assessed", "Rollback plan clear", "Team notified"):
        yield f"- [ ] {line}"


def _summary(facts: Facts) -> str:
    changes = facts.changes
    told = [count(len(found), "change") + f" ({name.lower()})" for name, found in changes.by_heading()]
    authors = ", ".join(plain(name) for name in changes.authors[:12]) or "nobody"
    more = f" and {len(changes.authors) - 12} more" if len(changes.authors) > 12 else ""
    number = count(len(facts.migrations), "migration") if facts.migrations else "no migration"
    return (
        f"{facts.name}: {', '.join(told) or 'no change of its own'}, {number}, from `{facts.source}` at "
        f"`{facts.commit[:12]}` to `{facts.target}`. By {authors}{more}."
    )


def change_lines(changes: Changes) -> Iterator[str]:
    """The changes below their headings, with pull request and author."""
    first = True
    for name, found in changes.by_heading():
        if not first:
            yield ""
        first = False
        yield f"**{name}**"
        for one in found[:_LISTED]:
            scope = f"{plain(one.said.scope)}: " if one.said.scope else ""
            by = f"#{one.pull}, " if one.pull else ""
            yield f"- {scope}{plain(one.text)} ({by}{one.sha[:7]}, {plain(one.author)})"
        if len(found) > _LISTED:
            yield f"- … and {len(found) - _LISTED} more"
    if first:
        yield "- nothing but merges"


def _of_migrations(facts: Facts) -> Iterator[str]:
    if not facts.migrations:
        yield "- [x] No migration goes out" if not facts.untold else "- [ ] Whether migrations go out"
    for report in facts.migrations:
        name = report.path.rpartition("/")[2]
        word = {Level.OK: "no hazard", Level.UNKNOWN: "not judged"}.get(report.level, "")
        yield f"- [x] Migration file: `{_code(name)}`" + (f" — {word}" if word else "")
        for problem in report.problems[:_HAZARDS]:
            yield f"  - cannot be applied: {plain(str(problem))}"
        for hazard in report.hazards[:_HAZARDS]:
            blocks = f", blocks {plain(hazard.blocks)}" if hazard.blocks else ""
            sizes = f" ({plain('; '.join(hazard.sizes))})" if hazard.sizes else ""
            yield (
                f"  - {hazard.level.value}, line {hazard.line}: {plain(hazard.what)}{blocks}{sizes} "
                f"[{hazard.rule}]"
            )
        more = len(report.hazards) - _HAZARDS
        if more > 0:
            yield f"  - … and {more} more hazards"
        for allowed in report.allowed[:_HAZARDS]:
            reason = plain(allowed.reason) or "no reason given"
            yield f"  - allowed: {allowed.hazard.rule}, line {allowed.hazard.line}: {reason}"
    yield from (_evidence(one) for one in facts.shown)
    for line in facts.untold:
        yield f"- not known: {plain(line)}"


def _rollback(facts: Facts) -> Iterator[str]:
    environment = facts.environment
    yield from (plain(line, code=True) for line in facts.way_back)
    yield (
        f"Revert application code: `muva rollback --env {environment}`; where the health checks of the "
        "workflow fail, it does so itself"
    )
    yield (
        f"Restore database from backup if needed: `muva rollback --env {environment} --restore-db`; the "
        "workflow makes a backup before it migrates"
    )
    yield "Expected rollback time: < 5 minutes"


def _evidence(one: Evidence) -> str:
    told = f" — {plain(one.told)}" if one.told else ""
    return f"- [{'x' if one.ok else ' '}] {one.what}{told}"


async def way_back(ctx: CheckContext, base: str) -> tuple[str, ...]:
    """The release that a rollback would return to, as far as it is known. Raises JournalError."""
    name = ctx.environment_name
    recorded = await last_good(ctx.going_out().journal, name)
    served, version = "", ""
    try:
        document = read_document((await ctx.health()).json)
        if document is not None:
            served, version = document.commit, document.version
    except OpsError:
        pass
    lines = []
    if served:
        told = f" ({version})" if version else ""
        lines.append(f"Return to what {name} serves now: `{served[:12]}`{told}")
    else:
        lines.append(f"What {name} serves now is not known; its branch stands at `{base[:12]}`")
    if recorded is None:
        lines.append("The journal has no good deployment on record")
    elif not same(recorded.commit, served):
        version = f" v{recorded.version}" if recorded.version else ""
        when = f" of {recorded.finished:%Y-%m-%d}" if recorded.finished else ""
        lines.append(
            f"The last deployment that is recorded as good is `{recorded.commit[:12]}`{version}{when}"
        )
    return tuple(lines)


async def _migrations(ctx: CheckContext, found: Candidate) -> tuple[tuple[FileReport, ...], tuple[str, ...]]:
    """The hazards of what goes out, weighed by the sizes of the tables where it goes."""
    out, workshop = found.outgoing, workshop_of(ctx)
    project = ctx.config.project
    before, after = (
        await files_of(workshop, out.base, project.migrations),
        await files_of(workshop, out.head, project.migrations),
    )
    known = before.by_version
    new = [one for one in after.migrations if one.version not in known]
    if not new:
        return (), ()
    texts, large = await texts_of(workshop, out.head, [one.path for one in after.migrations])
    untold = [f"{path} is too large to be read" for path in large]
    sizes: Mapping[str, Size] | None = None
    if ctx.postgres is None:
        untold.append(f"no database is configured for {ctx.environment_name}: every table is taken as large")
    else:
        try:
            sizes = await read_sizes(ctx.postgres)
        except LinkError as error:
            untold.append(f"{error}: every table is taken as large")
    paths = {one.path for one in new}
    reports = await validate(
        {path: text for path, text in texts.items() if path in paths},
        sizes,
        before={path: text for path, text in texts.items() if path not in paths},
        environment=ctx.environment_name,
    )
    notes = [note for report in reports for note in report.notes]
    return reports, tuple(dict.fromkeys([*untold, *notes]))


_MARKS = re.compile(r"([\\`*_\[\]<>|~])")
_CALLS = re.compile(r"@(?=[\w-])")


def plain(text: str, *, code: bool = False) -> str:
    """A text of others as Markdown that is nothing but text: it sets no marks and calls nobody. With `code`
    its marks stay.
    """
    line = sanitise_line(text, cap=400)
    line = line if code else _MARKS.sub(r"\\\1", line)
    return _CALLS.sub("@\u2060", line)  # a word joiner: GitHub wakes nobody by that


def _code(text: str) -> str:
    return sanitise_line(text, cap=200).replace("`", "'")


def _login(login: str) -> str:
    return plain(login) if login else "a deleted account"
