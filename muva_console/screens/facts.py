"""Readings put into the words and numbers that several screens share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from muva_console.ops.feed import Freshness
from muva_console.ops.readings import Finding, Level
from muva_console.screens.board import Topic
from muva_console.widgets.bars import BandState
from muva_console.widgets.format import STEP, lasting
from muva_console.widgets.level import mark_of

if TYPE_CHECKING:
    from muva_console.ops.pm2.model import Process
    from muva_console.screens.board import Board

_WORDS = {Level.OK: "healthy", Level.WARN: "warning", Level.FAIL: "failing", Level.UNKNOWN: "unknown"}


def kind_of(board: Board, environment: str) -> str:
    """Which band an environment wears: production, staging or other."""
    config = board.environment(environment).config
    if config.production:
        return "production"
    return "staging" if config.url is not None else "other"


def standing(board: Board, environment: str) -> tuple[Level | None, str, str]:
    """How an environment stands: level, word, and since when (empty where that is not known).

    The level is None while there is nothing to tell yet: what is not asked is no news, good or bad.
    """
    if board.feed(Topic("health", environment)) is None:
        return None, "local checkout", ""
    snapshot = board.health(environment)
    now = board.monotonic()
    level = board.level(environment)
    report = snapshot.value
    freshness = snapshot.freshness(now)
    if report is None and snapshot.error is None:
        return None, freshness.value, ""
    if report is None or freshness is Freshness.UNREACHABLE:
        return Level.UNKNOWN, "unreachable", ""
    if freshness is Freshness.STALE:
        return Level.UNKNOWN, "stale", lasting(snapshot.age(now))
    from muva_console.ops.health.state import Standing

    state = board.memory(environment).state("api-health")
    if state is not None and (state.is_down or state.standing is Standing.FAILING):
        # one failure is not yet "down", one answer is not yet "healthy": muva.toml says how many are
        shown = Level.WARN if level is Level.OK else level
        return shown, state.told, _since(state.lasted(now))
    concerns = [
        one for one in board.concerns() if one.environment == environment and one.finding.level is level
    ]
    lasted = now - min(one.since for one in concerns) if concerns else None
    return level, _word(level, report.findings), _since(lasted)


def _since(seconds: float | None) -> str:
    return lasting(seconds) if seconds is not None and seconds >= STEP else ""


def _word(level: Level, findings: tuple[Finding, ...]) -> str:
    if level is Level.WARN and any(
        finding.level is Level.WARN and finding.check == "performance" for finding in findings
    ):
        return "slow"
    return _WORDS[level]


def standing_mark(board: Board, environment: str) -> Content:
    """How an environment stands, as glyph and word."""
    level, word, _ = standing(board, environment)
    return mark_of(level, word)


def band_state(board: Board, environment: str, engineer: str, notice: str) -> BandState:
    """What the band says of the environment in hand."""
    project = board.workspace.config.project.name
    if environment not in board.workspace.environments:
        return BandState(
            project, "no environment", "other", Level.UNKNOWN, "nothing configured", "", notice=notice
        )
    level, word, since = standing(board, environment)
    report = board.health(environment).value
    concerns = board.concerns()
    alert_level = concerns[0].finding.level if concerns else Level.OK
    return BandState(
        project=project,
        environment=environment,
        kind=kind_of(board, environment),
        level=level,
        word=word,
        since=since,
        commit=report.commit if report is not None else "",
        version=report.version if report is not None else "",
        links=board.environment(environment).links(),
        alerts=len(concerns),
        alert_level=alert_level,
        engineer=engineer,
        notice=notice,
    )


def process_level(process: Process, restart_limit: int) -> Level:
    """How good the news of one process is.

    PM2's word alone is not believed: a crash loop with more than a second of uptime stays "online".
    """
    if process.status in ("errored", "stopped", "stopping"):
        return Level.FAIL
    if process.restarts_in_window is not None and process.restarts_in_window >= restart_limit:
        return Level.FAIL
    if process.status != "online":
        return Level.WARN
    if process.restarts_in_window:
        return Level.WARN
    return Level.OK
