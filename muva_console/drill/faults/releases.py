"""Faults that come with a release: a real commit, pushed to the branch and deployed to the host.

Each is a mistake that passes review. Mending pushes the commit that reverts it, and deploys that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec import Struct

from muva_console.drill import deploy, repository
from muva_console.drill.faults.base import Fault, Memory
from muva_console.drill.faults.processes import starts
from muva_console.drill.github import pulls
from muva_console.drill.ports import listens, until
from muva_console.drill.state import Estate, Site
from muva_console.ops.errors import OpsError

LOOP = 3
"""Restarts after which a fault of this kind is there: what the estate's configuration calls a loop."""

_SERVER = "src/server.js"
_LISTEN = "  server.listen("
_ANSWER = "    return await api[pathname](request);"
_CODE = Path(__file__).parent / "code"


class _Release(Struct, frozen=True, kw_only=True):
    """A bad commit: a new file, and a line put before another one in the server."""

    message: str
    path: str
    text: str
    before: str
    line: str


async def _release(estate: Estate, site: Site, bad: _Release) -> str:
    server = await repository.read(estate, site.branch, _SERVER)
    if server.count(bad.before) != 1:
        raise OpsError(f"{_SERVER} has changed: the line to change is not there", where=site.branch)
    changed = server.replace(bad.before, f"{bad.line}\n{bad.before}")
    files = {_SERVER: changed.encode(), bad.path: bad.text.encode()}
    commit = await repository.commit(estate, site.branch, bad.message, files)
    await pulls.reviewed(estate, [commit], base=site.branch)
    await deploy.deploy(estate, site)
    return commit


async def _revert(estate: Estate, site: Site, bad: _Release, commit: str) -> None:
    server = await repository.read(estate, site.branch, _SERVER)
    if bad.line in server:
        files = {_SERVER: server.replace(f"{bad.line}\n", "").encode()}
        subject = bad.message.splitlines()[0]
        message = f'Revert "{subject}"\n\nThis reverts commit {commit}.'
        reverted = await repository.commit(estate, site.branch, message, files, remove=[bad.path])
        await pulls.reviewed(estate, [reverted], base=site.branch)
    await deploy.deploy(estate, site)


def _code(name: str) -> str:
    return (_CODE / f"{name}.js").read_text()


def _fault(
    *,
    name: str,
    title: str,
    does: str,
    release: Callable[[float], _Release],
    items: tuple[str, ...] = (),
    besides: str = "",
    seen: Callable[[Estate, Site, int], Awaitable[bool]],
) -> Fault:
    async def break_in(estate: Estate, site: Site, memory: Memory) -> None:
        usual = await deploy.baseline(site, probes=20) if await deploy.healthy(site) else 0.02
        memory["baseline"] = f"{usual:.4f}"
        memory["commit"] = await _release(estate, site, release(usual))
        counter = starts(estate, site)

        async def shows() -> bool:
            return await seen(estate, site, counter)

        await until(shows, f"{title.lower()} on {site.environment}", timeout=90.0, every=0.1)

    async def mend(estate: Estate, site: Site, memory: Memory) -> None:
        bad = release(float(memory.get("baseline", "0.02")))
        await _revert(estate, site, bad, memory.get("commit", ""))

    return Fault(
        name=name, title=title, does=does, rank=2, break_in=break_in, mend=mend, items=items, besides=besides,
        undone="The commit is reverted on its branch, and the branch deployed.",
    )  # fmt: skip


async def _restarted_without_answer(estate: Estate, site: Site, counter: int) -> bool:
    return starts(estate, site) >= counter + LOOP and not await listens(site.port)


async def _restarted(estate: Estate, site: Site, counter: int) -> bool:
    return starts(estate, site) >= counter + LOOP


async def _slow(estate: Estate, site: Site, counter: int) -> bool:
    status, _, took = await deploy.get(site, "/api/health")
    return status == 200 and took >= 0.8


async def _errs(estate: Estate, site: Site, counter: int) -> bool:
    return (await deploy.get(site, "/api/health"))[0] == 500


def _crash_loop(usual: float) -> _Release:
    return _Release(
        message="feat(availability): warm the cache before the first request (#47)",
        path="src/warm.js",
        text=_code("warm"),
        before=_LISTEN,
        line="  await require('./warm').availability(pool);",
    )


def _memory_exhausted(usual: float) -> _Release:
    return _Release(
        message="perf(rates): keep rendered calendars in memory (#48)",
        path="src/calendars.js",
        text=_code("calendars"),
        before=_LISTEN,
        line="  require('./calendars').keepReady(build);",
    )


def _slow_responses(usual: float) -> _Release:
    # More than ten times what is usual here, and never less than 0.9 s.
    pause = round(max(0.9, 15 * usual) / 3 * 1000)
    return _Release(
        message="feat(rates): convert prices with today's exchange rates (#49)",
        path="src/currency.js",
        text=_code("currency").replace("PAUSE_MS = 300", f"PAUSE_MS = {pause}"),
        before=_ANSWER,
        line="    await require('./currency').today();",
    )


def _elevated_errors(usual: float) -> _Release:
    return _Release(
        message="feat(analytics): spread request traces over shards (#50)",
        path="src/trace.js",
        text=_code("trace"),
        before=_ANSWER,
        line="    require('./trace').record();",
    )


FAULTS = (
    _fault(
        name="crash-loop",
        title="The process crashes at start, again and again",
        does="A release asks the database for a column that no migration adds, tries three times over "
        "1.2 s and ends with 1. PM2 starts it again at once; because each run lasts longer than a "
        "second PM2 counts none of them as unstable and its status stays online. The port refuses "
        "connections.",
        release=_crash_loop,
        seen=_restarted_without_answer,
    ),
    _fault(
        name="memory-exhausted",
        title="The process grows until PM2's memory limit restarts it",
        does="A release keeps 60 MB more every second, up to 420 MB; PM2 sees it beyond "
        "max_memory_restart (200M) and restarts it every few seconds. A limit of 1G lets it live.",
        release=_memory_exhausted,
        seen=_restarted,
    ),
    _fault(
        name="slow-responses",
        title="Answers take more than ten times as long as usual",
        does="A release waits for exchange rates from a service whose address is not configured: three "
        "pauses, 0.9 s in all or fifteen times the usual time, before every answer of the API. All "
        "are right.",
        items=("pre-deploy-production/performance-check", "post-deploy-production/performance"),
        besides="The one where it is broken into staging, the other where into production.",
        release=_slow_responses,
        seen=_slow,
    ),
    _fault(
        name="elevated-errors",
        title="8 % of the requests fail",
        does="A release spreads traces over 25 shards of which two are not there: two requests in every "
        "25 to the API end in a TypeError, answer 500 and log its stack.",
        release=_elevated_errors,
        seen=_errs,
    ),
)
