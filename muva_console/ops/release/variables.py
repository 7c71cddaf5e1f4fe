"""The check "environment-variables": what the code reads, what the template names, what the hosts have."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterable, Mapping

from msgspec import Struct

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import Fault, LinkError, OpsError
from muva_console.ops.health.words import count
from muva_console.ops.links.base import HostLink
from muva_console.ops.links.outgoing import Outgoing
from muva_console.ops.links.source import Source
from muva_console.ops.readings import Finding, Level
from muva_console.ops.release.code_files import is_code
from muva_console.ops.release.env_host import ask_host, names_line
from muva_console.ops.release.env_names import (
    Template,
    mentions_environment,
    read_template,
    reads_of,
    sorted_names,
)
from muva_console.ops.text import sanitise_line

GOOD_FOR = 600.0
"""Seconds. Ours: the commits are watched by the runbook, a host's file seldom changes."""
SECONDS = 90.0
"""For the code of a large application and slow hosts. Ours."""
_SHOWN = 6
"""Names that fit in a summary."""
_LISTED = 60
"""Lines of evidence."""


class _Code(Struct):
    """What the code reads."""

    places: dict[str, list[tuple[str, int]]]
    """File and line by name."""
    files: int = 0
    unseen: list[str] = []
    """Where a read cannot be told, a line each."""
    unread: list[str] = []
    """Files that were not read, or not to their end."""


@check(
    "environment-variables",
    title="Environment variables",
    good_for=GOOD_FOR,
    timeout=lambda ctx: SECONDS,
)
async def environment_variables(ctx: CheckContext) -> tuple[Finding, ...]:
    """The outgoing code reads no variable that [project] template does not name, and the environment's file
    has every name of the template on every host (names are compared on the host; no value leaves it).

    Code is every .js, .jsx, .ts, .tsx, .mjs, .cjs, .mts and .cts that is no test and lies in no
    node_modules, dist, .next, build, out, coverage or vendor. Standard variables need not be named. A
    template's `# NAME=` or `NAME=… # optional` names a variable that a host need not have. A name that a
    host has without a value is a warning.
    """
    outgoing = await ctx.outgoing()
    repository, path = ctx.going_out().repository, ctx.config.project.template
    data, code = await asyncio.gather(
        repository.read(outgoing.head, path), _read_code(repository, outgoing.head)
    )
    template = None if data is None else read_template(data.decode("utf-8", "replace"))
    named = await _of_code(ctx, outgoing, template, code)
    if template is None:
        return (named,)
    return (named, *await _of_hosts(ctx, template))


# --- the code


async def _read_code(repository: Source, sha: str, only: Iterable[str] | None = None) -> _Code:
    """What the code of a commit reads; of some of its files alone when `only` is given."""
    paths = [path for path in await repository.files(sha) if is_code(path)]
    if only is not None:
        wanted = set(only)
        paths = [path for path in paths if path in wanted]
    contents = await repository.read_all(sha, paths)
    return await asyncio.to_thread(_look, paths, contents)


def _look(paths: list[str], contents: Mapping[str, bytes]) -> _Code:
    code = _Code({}, len(paths), [], [])
    for path in paths:
        shown = sanitise_line(path, cap=200)
        data = contents.get(path)
        if data is None:
            code.unread.append(f"{shown} is too large to be read")
            continue
        if not mentions_environment(data):
            continue
        found = reads_of(data.decode("utf-8", "replace"))
        for read in found.reads:
            code.places.setdefault(read.name, []).append((path, read.line))
        code.unseen += [f"{shown}:{line}" for line in found.whole]
        if found.lost:
            code.unread.append(f"{shown} could not be read from line {found.lost} on")
    return code


async def _of_code(ctx: CheckContext, outgoing: Outgoing, template: Template | None, code: _Code) -> Finding:
    path = sanitise_line(ctx.config.project.template, cap=100)
    subject = f"{path} at {outgoing.short}"
    command = f"git grep -nE 'process\\.env|import\\.meta\\.env' {outgoing.head[:12]}"
    notes = [f"{count(code.files, 'file')} of code read {count(len(code.places), 'variable')}"]
    notes += _listed("not to be told, handed on whole or by a computed name", code.unseen)
    notes += code.unread[:10]
    if template is None:
        return tell(
            Level.FAIL,
            f"the repository has no {path}, and the code reads {count(len(code.places), 'variable')}",
            subject=subject,
            evidence=[*(_place(name, code, set()) for name in sorted_names(code.places)[:_LISTED]), *notes],
            command=command,
            next="Name every variable there, or name the file in [project] template.",
        )
    lacking = sorted_names(set(code.places) - template.names)
    new = await _new(ctx, outgoing, code)
    fresh = [name for name in sorted_names(new) if name not in lacking]
    told = [_place(name, code, new) for name in lacking[:_LISTED]]
    told += [f"new, and named: {_place(name, code, set())}" for name in fresh[:20]]
    if not outgoing.fetched:
        notes.append(f"as of the last fetch: {outgoing.fetch_error}")
    next_ = ""
    if lacking:
        level = Level.FAIL
        summary = f"{path} does not name {_some(lacking, new)}"
        next_ = f"Add {'it' if len(lacking) == 1 else 'them'} to {path}, without a value."
    elif not outgoing.fetched:
        level, summary = Level.UNKNOWN, "whether this is what goes out cannot be told"
    elif code.unread:
        level = Level.UNKNOWN
        summary = f"{count(len(code.unread), 'file')} of code could not be read whole: {code.unread[0]}"
    else:
        level = Level.OK
        also = f"; new: {_some(fresh, set())}" if fresh else ""
        summary = f"{path} names every variable that the code reads ({len(code.places)}){also}"
    return tell(
        level, summary, subject=subject, evidence=[*told, *notes], command=command, next=next_, at=outgoing.at
    )


async def _new(ctx: CheckContext, outgoing: Outgoing, code: _Code) -> set[str]:
    """The names that no code of the target reads yet: those read in changed files alone, and not before."""
    changed = {one.path for one in outgoing.files} | {one.before for one in outgoing.files if one.before}
    fresh = {name for name, places in code.places.items() if all(path in changed for path, _ in places)}
    if not fresh:
        return set()
    before = outgoing.merge_base or outgoing.base
    old = await _read_code(ctx.going_out().repository, before, changed)
    return fresh - set(old.places)


async def new_names(ctx: CheckContext, outgoing: Outgoing) -> list[str]:
    """The variables that the outgoing code is the first to read, by name."""
    changed = {one.path for one in outgoing.files if one.status != "D"}
    code = await _read_code(ctx.going_out().repository, outgoing.head, changed)
    return sorted_names(await _new(ctx, outgoing, code))


def _place(name: str, code: _Code, new: set[str]) -> str:
    # the name last: what stands behind a name such as API_KEY is taken for its value, and redacted
    places = code.places[name]
    shown = ", ".join(f"{sanitise_line(path, cap=200)}:{line}" for path, line in places[:3])
    more = f" and {len(places) - 3} more" if len(places) > 3 else ""
    return f"{shown}{more} {'reads' if len(places) == 1 else 'read'} {name}{' (new)' if name in new else ''}"


def _some(names: list[str], new: set[str]) -> str:
    shown = ", ".join(f"{name} (new)" if name in new else name for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _listed(what: str, places: list[str]) -> list[str]:
    if not places:
        return []
    more = f" and {len(places) - 5} more" if len(places) > 5 else ""
    return [f"{what}: {', '.join(places[:5])}{more}"]


# --- the hosts


async def _of_hosts(ctx: CheckContext, template: Template) -> tuple[Finding, ...]:
    environment, name = ctx.environment, ctx.environment_name
    missing = [key for key in ("directory", "env_file", "hosts") if not getattr(environment, key)]
    if missing:
        keys = " and ".join(missing)
        finding = tell(
            Level.UNKNOWN,
            f"whether {name}'s hosts have these variables cannot be told: no {keys} configured",
            subject=f"hosts of {name}",
            next=f"Give [environments.{name}] {keys}.",
        )
        return (finding,)
    return tuple(await asyncio.gather(*(_of_host(ctx, host, template) for host in environment.hosts)))


async def _of_host(ctx: CheckContext, host: str, template: Template) -> Finding:
    directory, file = ctx.environment.directory or "", ctx.environment.env_file or ""
    subject = f"{sanitise_line(file, cap=100)} on {host}"
    command = ctx.ssh_line(host, names_line(directory, file))
    try:
        found = await ask_host(_link(ctx, host), directory, file, template.names)
    except OpsError as error:
        return tell(
            Level.UNKNOWN,
            str(error),
            subject=subject,
            evidence=[error.means],
            command=command,
            next=error.next,
        )
    where = sanitise_line(f"{directory.rstrip('/')}/{file}", cap=200)
    if found.trouble:
        return _trouble(found.trouble, where, host, subject, command)
    lacks = sorted_names(found.lacks & template.required)
    empty = sorted_names(found.empty & template.required)
    evidence = [f"{where} on {host}: {len(found.has)} of the {len(template.names)} names in the template"]
    if lacks:
        evidence.append(f"lacks {', '.join(lacks)}")
    if empty:
        evidence.append(f"empty: {', '.join(empty)}")
    if optional := sorted_names(found.lacks & template.optional):
        evidence.append(f"lacks the optional {', '.join(optional)}")
    if found.others:
        evidence.append(f"{count(found.others, 'name')} that the template does not have")
    if lacks:
        level, summary = Level.FAIL, f"{host} lacks {_some(lacks, set())}"
        next_ = f"Set {'it' if len(lacks) == 1 else 'them'} in {shlex.quote(where)} on {host}, and restart."
    elif empty:
        level, summary, next_ = Level.WARN, f"{host} has no value for {_some(empty, set())}", ""
    else:
        level, summary, next_ = Level.OK, f"{host} has all {len(template.required)} names of the template", ""
    return tell(level, summary, subject=subject, evidence=evidence, command=command, next=next_)


def _link(ctx: CheckContext, host: str) -> HostLink:
    if host not in ctx.hosts:
        raise LinkError(Fault.CONFIG, "there is no link to this host", where=host)
    return ctx.hosts[host]


def _trouble(trouble: str, where: str, host: str, subject: str, command: str) -> Finding:
    level, summary, next_ = {
        "missing": (Level.FAIL, f"{host} has no {where}", "Make it from the template, mode 0600."),
        "no file": (Level.FAIL, f"{where} on {host} is no file", ""),
        "unreadable": (Level.UNKNOWN, f"{where} on {host} may not be read by who logs in", ""),
        "too large": (Level.UNKNOWN, f"{where} on {host} is too large to be read", ""),
    }[trouble]
    return tell(level, summary, subject=subject, command=command, next=next_)
