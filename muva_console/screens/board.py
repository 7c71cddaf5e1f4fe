"""What the console knows now: the newest snapshot of every feed that a screen looks at.

The board lives in the screens' loop. It watches the health of every environment as long as the console
runs (its history has no holes only then), and what else a screen asks for while that screen is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from muva_console.ops.feed import Feed, Freshness, Snapshot
from muva_console.ops.readings import Finding, Level, utc_now, worst
from muva_console.screens.changes import Change, Changes
from muva_console.widgets.format import age
from muva_console.widgets.level import SEVERITY

if TYPE_CHECKING:
    from muva_console.engine import Engine
    from muva_console.ops.alerts.round import Round, Row
    from muva_console.ops.environment import EnvironmentOps
    from muva_console.ops.health.memory import Memory
    from muva_console.ops.health.report import HealthReport
    from muva_console.ops.links.answers import DatabaseReading, RepositoryReading
    from muva_console.ops.migrations.matrix import Matrix
    from muva_console.ops.monitoring.back import Week
    from muva_console.ops.pm2.model import ProcessList
    from muva_console.ops.resources import HostResources
    from muva_console.ops.workspace import Workspace

T = TypeVar("T")
Kind = Literal["health", "alerts", "processes", "resources", "database", "repository", "migrations"]


@dataclass(frozen=True, slots=True)
class Topic:
    """What a feed is about."""

    kind: Kind
    environment: str
    host: str = ""


MIGRATIONS = Topic("migrations", "")
"""The matrix of all environments: one reading, for each is told from the others."""


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that needs the engineer, and since when the console has seen it."""

    environment: str
    finding: Finding
    since: float
    """time.monotonic() when it was first seen to be so."""
    since_at: datetime

    @property
    def key(self) -> str:
        """Tells this concern from the others."""
        return f"{self.environment}\0{self.finding.check}\0{self.finding.subject}"


Listener = Callable[[Topic], None]


class Board:
    """The newest snapshots, by topic. `changed` is called for each that arrives."""

    def __init__(
        self,
        workspace: Workspace,
        engine: Engine,
        changed: Listener,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.workspace = workspace
        self._engine = engine
        self._changed = changed
        self.monotonic = monotonic
        self.now = now
        self._snapshots: dict[Topic, Snapshot[Any]] = {}
        self._watching: dict[Topic, Callable[[], None]] = {}
        self._wanted: dict[object, frozenset[Topic]] = {}
        self._first_seen: dict[tuple[str, str, str], tuple[Level, float, datetime]] = {}
        self.changes = Changes()
        self._memories: dict[str, Memory] = {}
        self._awake = False
        self._told: tuple[Matrix, list[Finding]] | None = None
        self.weeks: dict[str, Week] = {}
        """What the history has of the last week, by environment; the caretaker renews it."""

    def inherit(self, before: Board) -> None:
        """Go on with what another board remembers."""
        self.changes = before.changes
        self._memories = before._memories
        self._first_seen = before._first_seen
        self.weeks = before.weeks

    @property
    def names(self) -> list[str]:
        """The environments as they are shown: in the file's order, production last, where the eye ends."""
        of = self.workspace.environments
        return sorted(of, key=lambda name: of[name].config.production)

    # topics

    def feed(self, topic: Topic) -> Feed[Any] | None:
        """The feed of a topic, None where the environment has none."""
        if topic == MIGRATIONS:
            return self.workspace.migrations
        environment = self.workspace.environments.get(topic.environment)
        if environment is None:
            return None
        match topic.kind:
            case "health":
                of = environment.config
                # without an address, a host or a database there is nothing to ask, and no news
                return environment.health if of.url or of.hosts or of.database else None
            case "alerts":
                of = environment.config
                return environment.alerts if of.url or of.hosts or of.database else None
            case "processes":
                return environment.processes.get(topic.host)
            case "resources":
                return environment.resources.get(topic.host)
            case "database":
                return environment.database
            case "repository":
                return environment.repository
            case "migrations":
                return None  # of all environments together: `MIGRATIONS`

    def topics(self, *kinds: Kind, environment: str | None = None) -> frozenset[Topic]:
        """The topics of these kinds that have a feed, of one environment or of all (not `MIGRATIONS`)."""
        names = [environment] if environment is not None else list(self.workspace.environments)
        found: set[Topic] = set()
        for name in names:
            of = self.workspace.environments.get(name)
            if of is None:
                continue
            for kind in kinds:
                hosts = of.hosts if kind in ("processes", "resources") else ("",)
                for host in hosts:
                    topic = Topic(kind, name, host)
                    if self.feed(topic) is not None:
                        found.add(topic)
        return frozenset(found)

    def want(self, who: object, topics: Iterable[Topic]) -> None:
        """`who` looks at these topics and at no others from now on."""
        wanted = frozenset(topics)
        if wanted:
            self._wanted[who] = wanted
        else:
            self._wanted.pop(who, None)
        self._watch()

    def wake(self) -> None:
        """Begin to look. Before, wishes are only noted: the first paint has the processor for itself."""
        self._awake = True
        self._watch()

    def _watch(self) -> None:
        if not self._awake:
            return
        needed = frozenset().union(*self._wanted.values()) if self._wanted else frozenset()
        for topic in [topic for topic in self._watching if topic not in needed]:
            self._watching.pop(topic)()
        for topic in needed - self._watching.keys():
            feed = self.feed(topic)
            if feed is not None:
                self._watching[topic] = self._engine.watch(feed, self._viewer(topic))

    def close(self) -> None:
        """Look at nothing any more."""
        self._wanted.clear()
        for unwatch in self._watching.values():
            unwatch()
        self._watching.clear()

    def refresh(self) -> None:
        """Ask all that is looked at, now."""
        feeds = [feed for topic in self._watching if (feed := self.feed(topic)) is not None]
        self._each(feeds, lambda feed: feed.refresh())

    def pause(self, paused: bool) -> None:
        """Stop asking, or go on."""
        feeds = [*self._all_feeds(), self.workspace.migrations]
        self._each(feeds, lambda feed: feed.pause(paused))

    def set_interval(self, seconds: float) -> None:
        """Ask every `seconds` from now on; migrations keep their own, slow pace."""
        feeds = self._all_feeds()
        self._each(feeds, lambda feed: feed.set_interval(seconds))

    def _each(self, feeds: list[Feed[Any]], act: Callable[[Feed[Any]], None]) -> None:
        """Do it with every feed, in the loop where the feeds live."""

        def there() -> None:
            for feed in feeds:
                act(feed)

        self._engine.post(there)

    def _all_feeds(self) -> list[Feed[Any]]:
        kinds: tuple[Kind, ...] = ("health", "alerts", "processes", "resources", "database", "repository")
        return [feed for topic in self.topics(*kinds) if (feed := self.feed(topic)) is not None]

    def _viewer(self, topic: Topic) -> Callable[[Snapshot[Any]], None]:
        def take(snapshot: Snapshot[Any]) -> None:
            before = self._snapshots.get(topic)
            self._snapshots[topic] = snapshot
            value = snapshot.value
            if value is not None and topic.environment and (before is None or before.value is not value):
                names = self.workspace.environments[topic.environment].config.processes
                self.changes.look(topic.kind, topic.environment, before, snapshot, names)
                if topic.kind == "health" and snapshot.taken is not None:
                    self.memory(topic.environment).take(value, snapshot.taken)
            self._changed(topic)

        return take

    # what is known

    def _get(self, topic: Topic) -> Snapshot[Any]:
        found = self._snapshots.get(topic)
        return Snapshot() if found is None else found

    def health(self, environment: str) -> Snapshot[HealthReport]:
        """The environment's health."""
        return cast("Snapshot[HealthReport]", self._get(Topic("health", environment)))

    def alerts(self, environment: str) -> Snapshot[Round]:
        """What is alarming in the environment."""
        return cast("Snapshot[Round]", self._get(Topic("alerts", environment)))

    def unseen_alerts(self) -> tuple[Row, ...]:
        """The alerts of all environments that nobody has seen to, the worst first."""
        rounds = [one for name in self.workspace.environments if (one := self.alerts(name).value) is not None]
        if not rounds:
            return ()
        from muva_console.ops.alerts.round import wanting

        return wanting(rounds, self.now())

    def processes(self, environment: str, host: str) -> Snapshot[ProcessList]:
        """A host's processes."""
        return cast("Snapshot[ProcessList]", self._get(Topic("processes", environment, host)))

    def resources(self, environment: str, host: str) -> Snapshot[HostResources]:
        """A host's resources."""
        return cast("Snapshot[HostResources]", self._get(Topic("resources", environment, host)))

    def database(self, environment: str) -> Snapshot[DatabaseReading]:
        """The environment's database."""
        return cast("Snapshot[DatabaseReading]", self._get(Topic("database", environment)))

    def repository(self, environment: str) -> Snapshot[RepositoryReading]:
        """The environment's branch."""
        return cast("Snapshot[RepositoryReading]", self._get(Topic("repository", environment)))

    def migrations(self) -> Snapshot[Matrix]:
        """Files against the histories of all environments."""
        return cast("Snapshot[Matrix]", self._get(MIGRATIONS))

    def memory(self, environment: str) -> Memory:
        """What is remembered of an environment's health."""
        from muva_console.ops.health.memory import Memory

        if environment not in self._memories:
            self._memories[environment] = Memory(self.workspace.config.health)
        return self._memories[environment]

    def environment(self, name: str) -> EnvironmentOps:
        """An environment of the workspace."""
        return self.workspace.environments[name]

    def concerns(self) -> list[Concern]:
        """Every finding of every environment that is not ok, the worst first, then the oldest."""
        now, wall = self.monotonic(), self.now()
        found: list[Concern] = []
        seen: dict[tuple[str, str, str], tuple[Level, float, datetime]] = {}
        for name in self.workspace.environments:
            for finding in (*self.findings(name), *self._of_migrations(name), *self._of_alerts(name)):
                if finding.level is Level.OK:
                    continue
                key = (name, finding.check, finding.subject)
                known = self._first_seen.get(key)
                first = (
                    known if known is not None and known[0] is finding.level else (finding.level, now, wall)
                )
                seen[key] = first
                found.append(Concern(name, finding, first[1], first[2]))
        self._first_seen = seen
        production = {name: of.config.production for name, of in self.workspace.environments.items()}
        found.sort(key=lambda one: (SEVERITY[one.finding.level], not production[one.environment], one.since))
        return found

    def findings(self, environment: str) -> list[Finding]:
        """The findings of an environment's health, and one for each reading that could not be had."""
        snapshot = self.health(environment)
        findings = list(snapshot.value.findings) if snapshot.value is not None else []
        freshness = snapshot.freshness(self.monotonic())
        if freshness is Freshness.UNREACHABLE and snapshot.error is not None:
            told = snapshot.error.lines()
            findings.append(self._not_known(environment, snapshot, told[0], tuple(told[1:])))
        elif freshness is Freshness.STALE:
            old = age(snapshot.age(self.monotonic()))
            findings.append(self._not_known(environment, snapshot, f"nothing has been heard for {old}", ()))
        return findings

    def _of_migrations(self, environment: str) -> Iterable[Finding]:
        """What is wrong with an environment's migrations; a database out of reach is told by its health."""
        matrix = self.migrations().value
        if matrix is None:
            return ()
        if self._told is None or self._told[0] is not matrix:
            from muva_console.ops.migrations.status_findings import CHECK, findings_of

            reachable = {column.environment for column in matrix.columns if column.reachable}
            found = [one for one in findings_of(matrix) if one.check == CHECK and one.subject in reachable]
            self._told = (matrix, found)
        return (one for one in self._told[1] if one.subject == environment)

    def _of_alerts(self, environment: str) -> Iterable[Finding]:
        """The error patterns that are alarming and that nobody has seen to; services are told by health."""
        told = self.alerts(environment).value
        if told is None:
            return ()
        now = self.now()
        return [
            Finding(
                check="alerts",
                title="Error pattern",
                subject=row.key.partition("/")[2],
                level=row.level,
                summary=row.title,
                evidence=row.evidence,
                command=f"muva alerts --env {environment}",
                next="A lists the alerts: there it is seen to, or silenced.",
                at=told.at,
            )
            for row in told.rows
            if row.source.value == "pattern" and row.wants_somebody(now)
        ]

    def _not_known(
        self, environment: str, snapshot: Snapshot[Any], summary: str, evidence: tuple[str, ...]
    ) -> Finding:
        return Finding(
            check="health",
            title="Health",
            level=Level.UNKNOWN,
            summary=summary,
            evidence=evidence,
            next="r asks again, now",
            at=snapshot.at or self.now(),
        )

    def level(self, environment: str) -> Level:
        """How good the news is: unknown when nothing is known, or when what is known is not fresh."""
        snapshot = self.health(environment)
        if snapshot.value is None or snapshot.freshness(self.monotonic()) in (
            Freshness.STALE,
            Freshness.UNREACHABLE,
        ):
            return Level.UNKNOWN
        return worst(finding.level for finding in snapshot.value.findings)

    def latest_changes(self, count: int) -> list[Change]:
        """What changed while the console looked, newest first."""
        return self.changes.latest(count)
