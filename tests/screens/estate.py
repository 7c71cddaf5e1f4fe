"""A frozen estate for pictures: real configuration and readings, given; and a clock that stands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from muva_console.app import MuvaApp
from muva_console.config.model import (
    Config,
    Console,
    Database,
    Environment,
    Host,
    OnCall,
    Project,
    Seconds,
    Shift,
    Thresholds,
    Url,
    Window,
)
from muva_console.ops.alerts.model import Alert, Silence, Source
from muva_console.ops.alerts.round import Round, Row
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.feed import Snapshot
from muva_console.ops.health.report import HealthReport
from muva_console.ops.identity import Engineer
from muva_console.ops.journal.model import Entry, JournalStatus, Kind, Life, OpenAct, Owner, Verification
from muva_console.ops.links.answers import (
    BlockedQuery,
    Commit,
    Comparison,
    DatabaseReading,
    LongQuery,
    RepositoryReading,
    TableAnswer,
)
from muva_console.ops.links.base import CommandLog, CommandRecord, LinkState, LinkStatus
from muva_console.ops.monitoring.model import Budget, Grain, Past, Point
from muva_console.ops.pm2.model import Process, ProcessList
from muva_console.ops.readings import Finding, Level, verdict
from muva_console.ops.resources import Filesystem, HostResources

T = TypeVar("T")

NOW = datetime(2025, 11, 5, 3, 12, 44, tzinfo=UTC)
MONO = 100_000.0
SHA = {
    "production": "a1b2c3d4e5f60718293a4b5c6d7e8f9012345678",
    "staging": "77ab0c9d1e2f30415263748596a7b8c9d0e1f203",
}
GIB = 1024**3


class FrozenFeed:
    """Has one snapshot, asks nobody."""

    def __init__(self, snapshot: Snapshot[Any]) -> None:
        self.snapshot = snapshot
        self.told: list[str] = []
        self.viewer: Callable[[Snapshot[Any]], None] | None = None

    def refresh(self) -> None:
        self.told.append("refresh")

    def pause(self, paused: bool) -> None:
        self.told.append(f"pause {paused}")
        self.give(replace(self.snapshot, paused=paused))

    def set_interval(self, seconds: float) -> None:
        self.told.append(f"interval {seconds:g}")

    def give(self, snapshot: Snapshot[Any]) -> None:
        """Another snapshot arrives."""
        self.snapshot = snapshot
        if self.viewer is not None:
            self.viewer(snapshot)


class FrozenHistory:
    """A day that was well but for half an hour before four in the morning."""

    async def past(
        self, environment: str, series: str, since: datetime, until: datetime, places: int
    ) -> Past:
        points = []
        for place in range(places):
            bad = place * 12 // places == 9
            base = 80.0 if series == "api-health" else 12.0
            wave = base + base / 4 * (place % 7) / 7
            points.append(
                Point(
                    known=24,
                    failed=6 if bad else 0,
                    level=Level.FAIL if bad else Level.OK,
                    p95=wave * 6 if bad else wave,
                )
            )
        return Past(
            environment=environment, series=series, since=since, until=until, grain=Grain.SAMPLE,
            points=tuple(points), known=2880, failed=60, p50=82.0, p95=140.0, p99=512.0,
            restarts=3 if series == "restarts" else 0, first=since,
        )  # fmt: skip

    async def budget(self, environment: str, target: float, until: datetime) -> Budget:
        return Budget(target=target, days=30, known=86_400, failed=60)


class FrozenEngine:
    """Runs what it is asked in the one loop there is."""

    async def call(self, make: Callable[[], Awaitable[T]]) -> T:
        return await make()

    def post(self, function: Callable[[], object]) -> None:
        function()

    def watch(self, feed: FrozenFeed, viewer: Callable[[Snapshot[Any]], None]) -> Callable[[], None]:
        feed.viewer = viewer
        viewer(feed.snapshot)

        def stop() -> None:
            feed.viewer = None

        return stop

    async def iterate(self, make: Callable[[], AsyncIterator[T]]) -> AsyncIterator[T]:
        async for item in make():
            yield item


def fresh(value: T, *, age: float = 4.0, **more: Any) -> Snapshot[T]:
    return Snapshot(value=value, taken=MONO - age, at=NOW - timedelta(seconds=age), **more)


def finding(check: str, level: Level, summary: str, **more: Any) -> Finding:
    more.setdefault("at", NOW - timedelta(seconds=4))
    more.setdefault("took_ms", 82.0)
    return Finding(check=check, level=level, summary=summary, **more)


def healthy(name: str) -> tuple[Finding, ...]:
    url = f"https://{'simmerdown.' if name == 'production' else 'simmerdown.staging.'}muva.chat"
    curl = f"curl -sS {url}"
    return (
        finding(
            "api-health",
            Level.OK,
            "healthy, 82 ms",
            title="API health",
            evidence=(
                f"GET {url}/api/health answered 200 in 82 ms",
                "dns 2 ms, connect 11 ms, tls 24 ms, first byte 45 ms",
            ),
            command=f"{curl}/api/health | jq",
        ),
        finding(
            "database",
            Level.OK,
            "ok, 11 ms for a query",
            title="Database connectivity",
            subject="asked by the application",
            command=f"{curl}/api/health/db | jq",
        ),
        finding(
            "dependencies",
            Level.OK,
            "supabase answers 401 in 38 ms, as it should",
            title="Service dependencies",
        ),
        finding(
            "performance",
            Level.OK,
            "p95 95 ms over 25 requests, none failed",
            title="Performance thresholds",
            took_ms=2140.0,
        ),
        finding(
            "critical-tables", Level.OK, "all 14 tables readable", title="Critical table access", took_ms=19.0
        ),
        finding("certificate", Level.OK, "valid for 61 days", title="Certificate", took_ms=31.0),
        finding(
            "resources", Level.OK, "memory 41 %, disk 63 %, load 0.4", title="Host resources", subject="vps"
        ),
    )


def troubled() -> tuple[Finding, ...]:
    """Production at 03:12: the database does not answer."""
    rest = {each.check: each for each in healthy("production")}
    return (
        finding(
            "api-health",
            Level.FAIL,
            'answers 500: "unhealthy"; supabase: connect ECONNREFUSED 10.0.0.5:5432',
            title="API health",
            evidence=(
                "GET https://simmerdown.muva.chat/api/health answered 500 in 40 ms",
                "dns 2 ms, connect 11 ms, tls 24 ms, first byte 3 ms",
                "serves commit a1b2c3d (version v1.4.2)",
            ),
            command="curl -sS https://simmerdown.muva.chat/api/health | jq",
            next="look at the database first: 6, then d",
        ),
        finding(
            "database",
            Level.FAIL,
            "not reachable: connection refused in 3 ms",
            title="Database connectivity",
            subject="asked from here",
            command="psql -h db.muva.chat -U muva -c 'SELECT 1'",
        ),
        rest["dependencies"],
        finding(
            "performance",
            Level.WARN,
            "p95 910 ms: 11× the usual 82 ms",
            title="Performance thresholds",
            took_ms=9140.0,
        ),
        finding(
            "critical-tables",
            Level.UNKNOWN,
            "waits on the database: connection refused",
            title="Critical table access",
        ),
        rest["certificate"],
        rest["resources"],
    )


def report(
    name: str, findings: tuple[Finding, ...], *, api: float | None = 82.0, db: float | None = 11.0
) -> HealthReport:
    return HealthReport(
        environment=name,
        verdict=verdict(findings),
        findings=findings,
        at=NOW - timedelta(seconds=4),
        took_ms=412.0,
        commit=SHA.get(name, ""),
        version="v1.4.2" if name == "production" else "v1.5.0-rc.1",
        api_ms=api,
        database_ms=db,
    )


def process(name: str, pm_id: int, **more: Any) -> Process:
    known: dict[str, Any] = {
        "host": "vps",
        "pm_id": pm_id,
        "name": name,
        "pid": 4711 + pm_id,
        "status": "online",
        "cpu": 3.2,
        "memory": 412 * 1024**2,
        "own_memory": 180 * 1024**2,
        "tree": True,
        "memory_limit": GIB,
        "restarts": 2,
        "restarts_in_window": 0,
        "started_at": NOW - timedelta(days=12, hours=3),
        "exec_mode": "fork_mode",
        "node_version": "20.11.1",
        "version": "1.4.2",
        "cwd": "/var/www/muva-chat",
        "out_log": f"/home/deploy/.pm2/logs/{name}-out.log",
        "err_log": f"/home/deploy/.pm2/logs/{name}-error.log",
        "commit": SHA["production"],
        "branch": "main",
    }
    return Process(**{**known, **more})


def listing(*processes: Process, source: str = "daemon socket") -> ProcessList:
    return ProcessList(
        host="vps",
        at=NOW - timedelta(seconds=4),
        processes=processes,
        source=source,
        daemon_version="7.0.4",
        took_ms=2.0,
    )


def calm_processes() -> ProcessList:
    return listing(
        process("muva-production", 0),
        process("muva-production", 1, pid=4720, memory=398 * 1024**2, cpu=2.4),
        process(
            "muva-staging",
            2,
            commit=SHA["staging"],
            branch="staging",
            memory=220 * 1024**2,
            started_at=NOW - timedelta(hours=2),
        ),
    )


def looping_processes() -> ProcessList:
    return listing(
        process(
            "muva-production",
            0,
            restarts=28,
            restarts_in_window=14,
            last_signal="SIGKILL",
            started_at=NOW - timedelta(seconds=9),
            memory=96 * 1024**2,
            cpu=88.0,
        ),
        process(
            "muva-production", 1, pid=None, status="stopped", started_at=None, memory=0, cpu=0.0, exit_code=1
        ),
        process(
            "muva-staging", 2, commit=SHA["staging"], branch="staging", started_at=NOW - timedelta(hours=2)
        ),
    )


def resources(*, full: bool = False) -> HostResources:
    disks = (
        Filesystem(
            mount="/",
            size=80 * GIB,
            used=(76 if full else 50) * GIB,
            used_fraction=0.95 if full else 0.63,
            inodes_fraction=0.12,
        ),
        Filesystem(mount="/var/www", size=40 * GIB, used=12 * GIB, used_fraction=0.3, inodes_fraction=None),
    )
    return HostResources(
        host="vps",
        at=NOW,
        hostname="vps-1.muva.chat",
        uptime=12.2 * 86400,
        cores=4,
        load=(0.42, 0.5, 0.6),
        cpu_fraction=0.11,
        memory_total=16 * GIB,
        memory_available=int(9.4 * GIB),
        swap_total=2 * GIB,
        swap_free=2 * GIB,
        filesystems=disks,
        oom_kills=3 if full else 0,
    )


def database(*, blocked: bool = False) -> DatabaseReading:
    return DatabaseReading(
        at=NOW,
        latency_ms=64.0 if blocked else 11.0,
        version="PostgreSQL 15.8",
        connections=52 if blocked else 18,
        max_connections=60,
        tables=(
            TableAnswer(name="public.accommodations", readable=True, estimated_rows=214),
            TableAnswer(
                name="public.bookings",
                readable=not blocked,
                error="permission denied" if blocked else "",
                estimated_rows=18_204,
            ),
        ),
        blocked=(
            BlockedQuery(
                pid=9121,
                query="UPDATE bookings SET status = ? WHERE id = ?",
                waiting=94.0,
                blockers=(8890,),
                blocker_queries=("ALTER TABLE bookings ADD COLUMN note text",),
            ),
        )
        if blocked
        else (),
        long_queries=(
            LongQuery(
                pid=8890,
                query="ALTER TABLE bookings ADD COLUMN note text",
                running=131.0,
                state="idle in transaction",
                user="postgres",
                application="migrate",
            ),
        )
        if blocked
        else (),
    )


def branch(name: str, subject: str, *, ahead: int = 0, hours: float = 2.0) -> RepositoryReading:
    sha = SHA.get(name, "9f3e2d1c0b9a8877665544332211ffeeddccbbaa")
    commit = Commit(sha=sha, subject=subject, author="eve", at=NOW - timedelta(hours=hours))
    comparisons = (Comparison(branch="staging", ahead=ahead, behind=0),) if ahead else ()
    return RepositoryReading(at=NOW, branch=name, head=commit, remote=commit, comparisons=comparisons)


def config(**console: Any) -> Config:
    production = Environment(
        branch="main",
        production=True,
        url=Url("https://simmerdown.muva.chat"),
        hosts=("vps",),
        directory="/var/www/muva-chat",
        processes=("muva-production",),
        database=Database(host="db.muva.chat"),
        thresholds=Thresholds(baseline=Seconds(0.095)),
    )
    staging = Environment(
        branch="staging",
        url=Url("https://simmerdown.staging.muva.chat"),
        hosts=("vps",),
        processes=("muva-staging",),
        database=Database(host="db.muva.chat"),
        thresholds=Thresholds(database=Seconds(0.05), baseline=Seconds(0.12)),
    )
    return Config(
        project=Project(name="MUVA Chat"),
        console=Console(**{"glyphs": "unicode", **console}),
        hosts={"vps": Host(address="vps.muva.chat")},
        environments={"dev": Environment(branch="dev"), "staging": staging, "production": production},
    )


ENGINEER = Engineer(name="dana", host="jump-1", origin="ssh from 10.0.0.7", account="dana")


def link(name: str, status: LinkStatus = LinkStatus.UP) -> LinkState:
    error = LinkError(Fault.REFUSED, "connection refused", where=name) if status is LinkStatus.DOWN else None
    return LinkState(name=name, status=status, since=NOW, error=error)


def entry(number: int, kind: str, subject: str, *, minutes: float, **more: Any) -> Entry:
    known: dict[str, Any] = {
        "engineer": "eve",
        "origin": "jump-1, ssh from 10.0.0.9",
        "session": "5e55104c0001",
        "environment": "production",
        "text": "",
        "data": {},
        "prev_hash": "0" * 56 + f"{number - 1:08x}",
        "hash": "0" * 56 + f"{number:08x}",
    }
    return Entry(
        id=number, at=NOW - timedelta(minutes=minutes), kind=kind, subject=subject, **{**known, **more}
    )


ENTRIES = (
    entry(41, Kind.NOTE, "note", minutes=92, environment="staging", text="staging 77ab0c9 deployed by hand"),
    entry(
        42,
        Kind.ACT_BEGUN,
        "process-restart muva-production on vps",
        minutes=7,
        act="a1",
        data={"plan": {"target": "muva-production on vps", "commands": ["pm2 restart muva-production"]}},
    ),
    entry(
        43,
        Kind.ACT_ENDED,
        "process-restart muva-production on vps",
        minutes=6.8,
        act="a1",
        ref=42,
        text="up and stable for 8 s",
        data={"outcome": "done", "took_s": 12.4, "commands": ["pm2 restart muva-production"]},
    ),
    entry(
        44,
        Kind.ACT_BEGUN,
        "process-memory-limit muva-production on vps",
        minutes=3,
        act="a2",
        engineer="dana",
    ),
    entry(
        45,
        Kind.ACT_ENDED,
        "process-memory-limit muva-production on vps",
        minutes=2.9,
        act="a2",
        ref=44,
        engineer="dana",
        text="it did not stay up: it ended within 2 s, by SIGKILL",
        data={"outcome": "failed"},
    ),
)


def alerts() -> Round:
    """Production: the API down and seen to by nobody, a pattern seen to, one that is silenced."""

    def alert(key: str, level: Level, title: str, minutes: int, **more: Any) -> Alert:
        raised = NOW - timedelta(minutes=minutes)
        source = Source(key.partition("/")[0])
        return Alert(
            environment="production", key=key, source=source, level=level, title=title, raised_at=raised,
            entry=40, last=41, **more,
        )  # fmt: skip

    silence = Silence(until=NOW + timedelta(hours=2), reason="known, see #12", by="eve")
    known = (
        alert("service/api-health", Level.FAIL, "API health is down: answers 500", 2),
        alert(
            "pattern/9e7eb23b",
            Level.WARN,
            "37 errors in 5m, new since the last deployment: connect ECONNREFUSED ‹n›",
            2,
            acked_by="dana",
            note="looking at the database",
        ),
        alert("pattern/a21edecd", Level.WARN, "5 errors in 5m, 8 times as often as before: timeout", 44,
              silence=silence),
    )  # fmt: skip
    rows = tuple(
        Row(
            environment="production",
            key=one.key,
            source=one.source,
            level=one.level,
            title=one.title,
            evidence=("GET /api/health answered 500 in 40 ms", "serves commit a1b2c3d"),
            since=one.raised_at,
            alert=one,
        )
        for one in known
    )
    return Round(environment="production", at=NOW - timedelta(seconds=4), rows=rows)


def on_duty(config: Config) -> Config:
    """The same with a window and a rota."""
    from msgspec.structs import replace as changed

    shift = Shift(name="@dana", start="2025-11-04T08:00+00:00", end="2025-11-11T08:00+00:00")
    return changed(config, window=Window(hours=("09:00-12:00",)), on_call=OnCall(shifts=(shift,)))


class FrozenJournal:
    """Tells what it was given."""

    def __init__(self, entries: tuple[Entry, ...] = ENTRIES, *, interrupted: bool = False) -> None:
        self.entries = entries
        self.interrupted = interrupted
        self.error: LinkError | None = None

    async def read(self, wanted: Any = None) -> list[Entry]:
        found = [
            each
            for each in self.entries
            if (not wanted.kinds or each.kind in wanted.kinds)
            and (not wanted.text or wanted.text in each.subject + each.text)
            and (wanted.environment is None or wanted.environment == each.environment)
        ]
        return found[-(wanted.limit or 0) :]

    async def open_acts(self, environment: str | None = None) -> list[OpenAct]:
        if not self.interrupted:
            return []
        begun = entry(46, Kind.ACT_BEGUN, "process-restart muva-production on vps", minutes=1, engineer="ben")
        return [OpenAct(entry=begun, life=Life.INTERRUPTED, owner=Owner(host="jump-1", pid=4242))]

    async def status(self) -> JournalStatus:
        return JournalStatus(directory="/var/lib/muva", exists=bool(self.entries), head=45, shared=True)

    async def verify(self) -> Verification:
        return Verification(
            level=Level.OK, entries=45, head=45, anchored=45, summary="45 entries, the chain is whole", at=NOW
        )

    async def follow(self, *_: Any, **__: Any) -> AsyncIterator[list[Entry]]:
        await asyncio.Event().wait()
        yield []


class Estate:
    """Everything a console is given; change what you need before `app`."""

    def __init__(self, configuration: Config | None = None) -> None:
        self.config = configuration if configuration is not None else config()
        self.snapshots: dict[tuple[str, ...], Snapshot[Any]] = {
            ("health", "staging"): fresh(report("staging", healthy("staging"))),
            ("health", "production"): fresh(report("production", healthy("production"))),
            ("database", "production"): fresh(database()),
            ("database", "staging"): fresh(database()),
            ("processes", "vps"): fresh(calm_processes()),
            ("resources", "vps"): fresh(resources()),
            ("repository", "dev"): fresh(branch("dev", "Show the booking's note", ahead=3, hours=0.6)),
            ("repository", "staging"): fresh(branch("staging", "Add the bookings table", hours=2)),
            ("repository", "production"): fresh(branch("production", "Release v1.4.2", hours=49)),
        }
        self.links: dict[str, tuple[LinkState, ...]] = {
            "staging": (link("ssh vps"), link("web staging"), link("db staging")),
            "production": (link("ssh vps"), link("web production"), link("db production")),
        }
        self.journal = FrozenJournal()
        self.history = FrozenHistory()
        self.commands = CommandLog()
        self.read_only = False
        self.loaded: Any = None
        self.slow = False
        self.feeds: dict[tuple[str, ...], FrozenFeed] = {}
        self.operations: list[Any] = []
        self.performer: Any = None

    def feed(self, *key: str) -> FrozenFeed:
        """The feed of ("health", environment), ("processes", host) …"""
        if key not in self.feeds:
            self.feeds[key] = FrozenFeed(self.snapshots.get(key, Snapshot()))
        return self.feeds[key]

    def operation(self, *arguments: Any, **more: Any) -> Any:
        """What is asked to be done; kept, never done."""
        self.operations.append((arguments, more))
        return SimpleNamespace(name=str(arguments[0]))

    def environment(self, name: str) -> Any:
        of = self.config.environments[name]

        async def follow_logs(host: str, processes: tuple[Process, ...], buffer: Any) -> None:
            from tests.screens.lines import fill

            fill(buffer, host, processes[0].name)
            await asyncio.Event().wait()

        return SimpleNamespace(
            name=name,
            config=of,
            hosts=of.hosts,
            health=self.feed("health", name) if of.url or of.hosts or of.database else None,
            alerts=self.feed("alerts", name),
            processes={host: self.feed("processes", host) for host in of.hosts},
            resources={host: self.feed("resources", host) for host in of.hosts},
            database=self.feed("database", name) if of.database else None,
            repository=self.feed("repository", name),
            links=lambda: self.links.get(name, ()),
            retry_now=lambda: None,
            follow_logs=follow_logs,
            process_operation=self.operation,
        )

    def app(
        self, *, environ: dict[str, str] | None = None, environment: str | None = None, live: bool = False
    ) -> MuvaApp:
        """The console on this estate."""
        workspace = SimpleNamespace(
            config=self.config,
            loaded=self.loaded,
            path=Path("muva.toml"),
            commands=self.commands,
            engineer=ENGINEER,
            read_only=self.read_only,
            redact=lambda text: text,
            journal=self.journal,
            history=self.history,
            performer=self.performer,
            migrations=self.feed("migrations"),
            environments={name: self.environment(name) for name in self.config.environments},
        )
        return MuvaApp(
            cast(Any, workspace),
            cast(Any, FrozenEngine()),
            environment=environment,
            now=lambda: NOW,
            monotonic=lambda: MONO,
            environ=environ
            if environ is not None
            else {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"},
            live=live,
        )


def remember(app: MuvaApp, name: str, *, slow: bool = False, count: int = 90) -> None:
    """Put a history before the present: an hour, with a gap, and a rise at its end when `slow`."""
    memory = app.board.memory(name)
    for number in range(count, 0, -1):
        if 40 < number < 46:
            continue  # the console was paused
        mono = MONO - 4 - number * 30
        at = NOW - timedelta(seconds=4 + number * 30)
        wave = (number * 7) % 11
        rising = slow and number < 14
        api = 900.0 - number * 20 if rising else 74.0 + wave
        db = 64.0 - number if rising else 9.0 + wave / 3
        if number < 6 and slow:
            memory.take(report(name, troubled(), api=api, db=db), mono)
            continue
        memory.remember("api-health", mono, at, Level.WARN if rising else Level.OK, api)
        memory.remember("database", mono, at, Level.OK, db)


def lost(value: Any, what: str = "no answer within 8 s") -> Snapshot[Any]:
    """A reading whose source has been out of reach for 95 seconds."""
    error = LinkError(
        Fault.TIMEOUT,
        what,
        where="vps",
        means="the host or the way to it is down",
        next="the console tries again by itself",
    )
    return fresh(value, age=95.0, error=error, failures=4)


def records() -> list[CommandRecord]:
    lines = (
        ("vps", "GET rpc.sock getMonitorData", "ok", 2.1),
        ("https://simmerdown.muva.chat", "curl -sS https://simmerdown.muva.chat/api/health", "500", 40.0),
        ("db.muva.chat", "psql -c 'SELECT 1'", "refused", 3.0),
        ("vps", "cat /proc/meminfo; df -P /; uptime", "exit 0", 12.0),
    )
    return [
        CommandRecord(
            at=NOW - timedelta(seconds=60 - 10 * number),
            where=where,
            line=line,
            took_ms=took,
            outcome=outcome,
        )
        for number, (where, line, outcome, took) in enumerate(lines)
    ]
