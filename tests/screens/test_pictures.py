"""Every screen in its states: fresh, loading, stale, broken, empty, narrow; in colours, sixteen and none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from textual.pilot import Pilot

from muva_console.config.model import Config
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.feed import Snapshot
from muva_console.ops.links.base import LinkStatus
from muva_console.ops.links.ssh_trust import HostKeyOffer
from muva_console.ops.operations import Event, EventKind, Plan, PlannedCommand, Tier
from muva_console.ops.performer import Confirmation
from muva_console.widgets.log_lines import LogLines
from tests.patience import HANG
from tests.screens import estate as e

Compare = Callable[..., bool]
Before = Callable[[Pilot[None]], Awaitable[None]]

NARROW, NORMAL, WIDE = (80, 24), (120, 36), (200, 60)

PLAN = Plan(
    operation="process-restart",
    title="Restart muva-production",
    environment="production",
    target="muva-production on vps",
    tier=Tier.TYPE_NAME,
    production=True,
    commands=(
        PlannedCommand("vps", "pm2 restart muva-production", "sent to PM2's daemon on its own socket"),
    ),
    risks=(
        "it is the only instance: requests fail for the seconds it takes to end and to start",
        "it starts what lies on the disk now, which may be newer than what runs",
    ),
)


def calm() -> e.Estate:
    return e.Estate()


def trouble() -> e.Estate:
    """Production at 03:12: the database refuses, a process loops, a disk is full."""
    made = e.Estate()
    made.slow = True
    made.snapshots["health", "production"] = e.fresh(e.report("production", e.troubled(), api=910.0, db=64.0))
    made.snapshots["processes", "vps"] = e.fresh(e.looping_processes())
    made.snapshots["resources", "vps"] = e.fresh(e.resources(full=True))
    made.snapshots["database", "production"] = e.fresh(e.database(blocked=True))
    made.links["production"] = (
        e.link("ssh vps"),
        e.link("web production"),
        e.link("db production", LinkStatus.DOWN),
    )
    for record in e.records():
        made.commands.add(record)
    return made


def loading() -> e.Estate:
    """The console has just begun: everything is asked, nothing has answered."""
    made = e.Estate()
    made.snapshots = {key: Snapshot(asking=True) for key in made.snapshots}
    made.links = {}
    made.journal = e.FrozenJournal(())
    return made


def out_of_reach() -> e.Estate:
    """The host does not answer; what is shown is a minute and a half old."""
    made = e.Estate()
    error = LinkError(Fault.TIMEOUT, "no answer within 8 s", where="vps")
    for key in (
        ("processes", "vps"),
        ("resources", "vps"),
        ("health", "production"),
        ("database", "production"),
    ):
        made.snapshots[key] = e.lost(made.snapshots[key].value)
    made.snapshots["processes", "vps"] = replace(made.snapshots["processes", "vps"], error=error)
    made.links["production"] = (e.link("ssh vps", LinkStatus.DOWN), e.link("web production"))
    return made


def stale() -> e.Estate:
    """Nothing failed, and nothing has come for five minutes."""
    made = e.Estate()
    made.snapshots = {
        key: replace(snapshot, taken=e.MONO - 300) if snapshot.taken is not None else snapshot
        for key, snapshot in made.snapshots.items()
    }
    return made


def never_reached() -> e.Estate:
    made = e.Estate()
    error = LinkError(
        Fault.REFUSED,
        "connection refused",
        where="vps",
        means="nothing listens on port 22 there",
        next="is the host up? ssh vps",
    )
    for key in (("processes", "vps"), ("resources", "vps")):
        made.snapshots[key] = Snapshot(error=error, failures=3)
    return made


def nothing_configured() -> e.Estate:
    made = e.Estate(Config(console=e.config().console))
    made.journal = e.FrozenJournal(())
    return made


ENDLESS = ("logs", "journal.follow")


async def still(pilot: Pilot[None]) -> None:
    """Until what was begun is drawn."""
    await pilot.pause()
    async with asyncio.timeout(HANG):
        while any(worker.is_running and worker.group not in ENDLESS for worker in pilot.app.workers):
            await asyncio.sleep(0.01)
            await pilot.pause()
        if pilot.app.current_mode == "processes":
            await pilot.pause(0.12)  # the log looks at its buffer ten times a second
            while not all(log.caught_up for log in pilot.app.screen_stack[0].query(LogLines)):
                await pilot.pause(0.02)
    await pilot.pause()


def shown(
    compare: Compare, made: e.Estate, mode: str, size: tuple[int, int], *keys: str, **more: Any
) -> bool:
    """The picture of a mode."""
    before: Before | None = more.pop("before", None)
    app = made.app(**more)
    for name in made.config.environments:
        if name != "dev" and made.snapshots.get(("health", name), Snapshot()).value is not None:
            e.remember(app, name, slow=name == "production" and made.slow)

    async def go(pilot: Pilot[None]) -> None:
        await pilot.pause()
        if mode != "overview":
            app.action_mode(mode)
        await still(pilot)
        if before is not None:
            await before(pilot)
        if keys:
            await pilot.press(*keys)
        await still(pilot)

    return compare(app, terminal_size=size, run_before=go)


@pytest.mark.parametrize("size", [NARROW, NORMAL, WIDE], ids=["narrow", "normal", "wide"])
def test_overview_in_trouble(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert shown(snap_compare, trouble(), "overview", size)


@pytest.mark.parametrize("made", [calm, loading, out_of_reach, stale, nothing_configured])
def test_overview(snap_compare: Compare, made: Callable[[], e.Estate]) -> None:
    assert shown(snap_compare, made(), "overview", NORMAL)


def test_overview_paused(snap_compare: Compare) -> None:
    assert shown(snap_compare, calm(), "overview", NARROW, "p")


@pytest.mark.parametrize("size", [NARROW, NORMAL, WIDE], ids=["narrow", "normal", "wide"])
def test_health_in_trouble(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert shown(snap_compare, trouble(), "health", size)


@pytest.mark.parametrize("made", [loading, out_of_reach])
def test_health(snap_compare: Compare, made: Callable[[], e.Estate]) -> None:
    assert shown(snap_compare, made(), "health", NORMAL)


def test_health_of_what_cannot_be_asked(snap_compare: Compare) -> None:
    assert shown(snap_compare, calm(), "health", NARROW, environment="dev")


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_processes_in_trouble(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert shown(snap_compare, trouble(), "processes", size)


@pytest.mark.parametrize("made", [calm, loading, out_of_reach, never_reached])
def test_processes(snap_compare: Compare, made: Callable[[], e.Estate]) -> None:
    assert shown(snap_compare, made(), "processes", NORMAL)


def test_processes_by_the_fallback(snap_compare: Compare) -> None:
    made = calm()
    made.snapshots["processes", "vps"] = e.fresh(
        e.listing(e.process("muva-production", 0, tree=False, restarts_in_window=None), source="pm2 jlist")
    )
    assert shown(snap_compare, made, "processes", NARROW)


def test_journal(snap_compare: Compare) -> None:
    assert shown(snap_compare, calm(), "journal", NORMAL, "v")


def test_journal_empty(snap_compare: Compare) -> None:
    made = calm()
    made.journal = e.FrozenJournal(())
    assert shown(snap_compare, made, "journal", NARROW)


def test_journal_with_an_interrupted_act(snap_compare: Compare) -> None:
    made = calm()
    made.journal = e.FrozenJournal(interrupted=True)
    assert shown(snap_compare, made, "journal", WIDE)


@pytest.mark.parametrize("theme", ["muva-light", "muva-16", "muva-mono", "ascii"])
def test_themes(snap_compare: Compare, theme: str) -> None:
    made = trouble()
    glyphs = "ascii" if theme == "ascii" else "unicode"
    made.config = e.config(theme=theme if theme != "ascii" else "muva-mono", glyphs=glyphs)
    assert shown(snap_compare, made, "overview", NARROW)


def test_health_in_sixteen_colours(snap_compare: Compare) -> None:
    made = trouble()
    made.config = e.config(theme="muva-16")
    assert shown(snap_compare, made, "health", NARROW)


def pushing(make: Callable[[], Any]) -> Before:
    async def push(pilot: Pilot[None]) -> None:
        pilot.app.push_screen(make())
        screen = pilot.app.screen
        while getattr(screen, "deaf", False):  # a question takes no key at first
            await pilot.pause(0.02)

    return push


@pytest.mark.parametrize("size", [NARROW, NORMAL], ids=["narrow", "normal"])
def test_plan_on_production(snap_compare: Compare, size: tuple[int, int]) -> None:
    from muva_console.screens.acting import PlanDialog

    ask = pushing(lambda: PlanDialog(PLAN, read_only=False))
    assert shown(snap_compare, trouble(), "processes", size, before=ask)


def test_plan_with_the_name_typed(snap_compare: Compare) -> None:
    from muva_console.screens.acting import PlanDialog

    ask = pushing(lambda: PlanDialog(PLAN, read_only=False))
    assert shown(snap_compare, trouble(), "processes", NORMAL, *"production", "enter", before=ask)


def test_plan_in_read_only_mode(snap_compare: Compare) -> None:
    from muva_console.screens.acting import PlanDialog

    made = trouble()
    made.read_only = True
    ask = pushing(lambda: PlanDialog(PLAN, read_only=True))
    assert shown(snap_compare, made, "processes", NORMAL, before=ask)


def test_performing(snap_compare: Compare) -> None:
    from muva_console.screens.acting import Performing
    from muva_console.screens.deeds import Deed, performed

    told = (
        (EventKind.STEP, "asking PM2 to restart muva-production [0]"),
        (EventKind.OUTPUT, "out: ▲ Next.js 15.0.3"),
        (EventKind.WARNING, "its health is not known: no answer within 30 s"),
        (EventKind.FAILED, "muva-production did not stay up: it ended within 2 s, by SIGKILL"),
    )

    class Performer:
        async def perform(self, *_: Any) -> Any:
            for kind, text in told:
                yield Event(kind=kind, text=text, at=e.NOW)

    made = trouble()
    made.performer = Performer()
    operation: Any = SimpleNamespace(name="process-restart")
    go = pushing(
        lambda: Performing(Deed(PLAN, performed(operation, Confirmation(confirmed=True, typed="production"))))
    )
    assert shown(snap_compare, made, "processes", NORMAL, before=go)


@pytest.mark.parametrize(("mode", "key"), [("processes", "question_mark"), ("overview", "colon")])
def test_help_and_palette(snap_compare: Compare, mode: str, key: str) -> None:
    assert shown(snap_compare, trouble(), mode, NORMAL, key)


@pytest.mark.parametrize(("mode", "keys"), [("overview", "e"), ("health", "@"), ("health", "Y")])
def test_lists_over_a_screen(snap_compare: Compare, mode: str, keys: str) -> None:
    assert shown(snap_compare, trouble(), mode, NORMAL, *("at" if key == "@" else key for key in keys))


def test_evidence_whole(snap_compare: Compare) -> None:
    assert shown(snap_compare, trouble(), "health", NARROW, "enter")


@pytest.mark.parametrize("changed", [False, True], ids=["unknown", "changed"])
def test_host_key(snap_compare: Compare, changed: bool) -> None:
    from muva_console.screens.trust import TrustDialog

    offer = HostKeyOffer(
        host="vps",
        address="[vps.muva.chat]:2222",
        algorithm="ssh-ed25519",
        fingerprint="SHA256:Xy2vGk0c0VqYp0Qm3v1yqY7H2dQ0Qe4pC9p7m8xvV1o",
        key="",
        randomart="+--[ED25519 256]--+\n|      .o+.       |\n+----[SHA256]-----+",
        file=Path("/home/dana/.ssh/known_hosts"),
        changed=changed,
        recorded=("SHA256:another",) if changed else (),
    )
    assert shown(snap_compare, calm(), "overview", NORMAL, before=pushing(lambda: TrustDialog(offer)))


def alarmed() -> e.Estate:
    """Three alerts: one that nobody has seen to, one that somebody has, one that is silenced."""
    made = trouble()
    made.snapshots["alerts", "production"] = e.fresh(e.alerts())
    return made


@pytest.mark.parametrize("size", [NARROW, NORMAL, WIDE], ids=["narrow", "normal", "wide"])
def test_alerts(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert shown(snap_compare, alarmed(), "overview", size, "A")


def test_an_alert_in_the_band_and_beside_the_cards(snap_compare: Compare) -> None:
    made = alarmed()
    made.config = e.on_duty(made.config)
    assert shown(snap_compare, made, "overview", NORMAL)


@pytest.mark.parametrize("size", [NARROW, NORMAL, WIDE], ids=["narrow", "normal", "wide"])
def test_looking_back(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert shown(snap_compare, calm(), "health", size, "w")
