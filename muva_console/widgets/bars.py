"""The lines around every screen: the environment's band, the modes, the keys of what has focus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from textual.binding import Binding
from textual.containers import Horizontal
from textual.content import Content
from textual.dom import DOMNode
from textual.events import Click, MouseEvent
from textual.message import Message
from textual.widget import Widget

from muva_console.ops.links.base import LinkState
from muva_console.ops.readings import Level
from muva_console.widgets.fit import Part, fit
from muva_console.widgets.format import clock, plural
from muva_console.widgets.level import LINK_GLYPH, mark_of

_SEPARATOR = Content.styled(" ▏ ", "$t-faint")


@dataclass(frozen=True, slots=True)
class BandState:
    """What the band says."""

    project: str
    environment: str
    kind: str
    """production, staging or other: which colours the band wears."""
    level: Level | None
    """None where there is nothing to ask."""
    word: str
    """``healthy``, ``down``, ``slow`` …"""
    since: str
    """How long it has been so: ``2m 10s``, or empty."""
    commit: str = ""
    version: str = ""
    links: tuple[LinkState, ...] = ()
    alerts: int = 0
    alert_level: Level = Level.OK
    engineer: str = ""
    notice: str = ""
    """What must not be overlooked: ``read-only``, ``the journal is not written``."""


class Band(Horizontal):
    """Where the engineer is, how it stands there, and who looks: always in sight; and the time."""

    DEFAULT_CSS = """
    Band { height: 1; background: $band; color: $foreground; }
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.words = BandWords()
        self.clock = Clock(now)
        super().__init__(self.words, self.clock)

    def show(self, state: BandState) -> None:
        """Say this from now on."""
        self.words.show(state)

    def tick(self) -> None:
        """Move the clock on."""
        self.clock.tick()


class Clock(Widget):
    """The time in UTC. A widget of its own, so that a second costs ten cells and not a line."""

    DEFAULT_CSS = """
    Clock { width: 11; height: 1; }
    """
    ALLOW_SELECT = False

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__()
        self._now = now
        self._shown = ""

    def tick(self) -> None:
        """Show the present second."""
        if clock(self._now()) != self._shown:
            self.refresh()

    def render(self) -> Content:
        """``03:12:44Z``."""
        self._shown = clock(self._now())
        return Content(f" {self._shown} ")


class BandWords(Widget):
    """The band's words."""

    DEFAULT_CSS = """
    BandWords { width: 1fr; height: 1; }
    """
    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self._state: BandState | None = None

    def show(self, state: BandState) -> None:
        """Say this from now on."""
        if state != self._state:
            self._state = state
            self.refresh()

    def render(self) -> Content:
        """The band, its least important parts left out where it is narrow."""
        state = self._state
        if state is None:
            return Content("")
        name = state.environment.upper()
        where = Content.styled(f" {name} ", f"$t-band-{state.kind}")
        level = mark_of(state.level, state.word)
        since = Content.assemble(level, (f" {state.since}", "$t-muted")) if state.since else level
        left = [
            Part(Content(f" {state.project} "), 30),
            Part(where, 100),
            Part(Content.assemble(" ", since), 90, Content.assemble(" ", level)),
        ]
        if state.commit or state.version:
            both = Content.assemble(_SEPARATOR, f"{state.commit[:7]} {state.version}".strip())
            left.append(Part(both, 60, Content.assemble(_SEPARATOR, state.commit[:7] or state.version)))
        if state.links:
            left.append(Part(_links(state.links, words=True), 40, _links(state.links, words=False)))
        if state.alerts:
            style = {Level.FAIL: "$t-fail", Level.WARN: "$t-warn", Level.UNKNOWN: "$t-unknown"}
            text = Content.styled(f"▲ {plural(state.alerts, 'alert')}", style.get(state.alert_level, ""))
            left.append(Part(Content.assemble(_SEPARATOR, text), 70))
        if state.notice:
            left.append(Part(Content.assemble(_SEPARATOR, (state.notice, "$t-warn")), 80))
        return fit(left, [Part(Content.styled(state.engineer, "$t-muted"), 20)], self.size.width, gap="")


def _links(links: Sequence[LinkState], *, words: bool) -> Content:
    parts: list[Content] = []
    for link in links:
        glyph, style = LINK_GLYPH[link.status]
        name = link.name.split(" ")[0] if not words or len(links) <= 4 else link.name
        parts.append(Content.assemble((f"{name} ", "$t-muted"), (glyph, style)))
    if not words:
        bad = [part for part, link in zip(parts, links, strict=True) if link.error is not None]
        parts = bad or parts
    return Content.assemble(_SEPARATOR, Content(" ").join(parts))


@dataclass(frozen=True, slots=True)
class Mode:
    """A mode of the console: its key, its name, its title in the bar."""

    key: str
    name: str
    title: str
    short: str = ""
    """What it is called where the bar is narrow; the title itself where none is given."""


class ModeBar(Widget):
    """The modes and their keys; the pace of the refresh on the right."""

    DEFAULT_CSS = """
    ModeBar { height: 1; background: $background; color: $foreground; }
    """
    ALLOW_SELECT = False

    class Picked(Message):
        """A mode was clicked."""

        def __init__(self, mode: str) -> None:
            super().__init__()
            self.mode = mode

    def __init__(self, modes: Sequence[Mode], current: str) -> None:
        super().__init__()
        self._modes = tuple(modes)
        self._current = current
        self._crumbs = ""
        self._shown = [mode.title for mode in self._modes]
        self._pace = Content("")

    def show(self, *, pace: Content, crumbs: str = "") -> None:
        """Say how often is asked, and where in the mode one is."""
        if not pace.is_same(self._pace) or crumbs != self._crumbs:
            self._pace, self._crumbs = pace, crumbs
            self.refresh()

    def render(self) -> Content:
        """The bar."""
        self._shown = self._titles()
        parts = []
        for mode, title in zip(self._modes, self._shown, strict=True):
            here = mode.name == self._current
            text = Content.assemble(
                (f" {mode.key} ", "$t-muted" if not here else "$t-strong"),
                (title, "$t-strong underline" if here else ""),
                " ",
            )
            parts.append(Part(text, 90 if here else 50))
        if self._crumbs:
            parts.append(Part(Content.styled(f" ▸ {self._crumbs}", "$t-muted"), 60))
        return fit(parts, [Part(self._pace.pad_right(1), 10)], self.size.width, gap="")

    def _titles(self) -> list[str]:
        """The titles in full where there is room for all of them; else but the one that is shown in short."""
        full = [mode.title for mode in self._modes]
        if sum(len(mode.key) + len(mode.title) + 3 for mode in self._modes) <= self.size.width:
            return full
        return [
            mode.title if mode.name == self._current else mode.short or mode.title for mode in self._modes
        ]

    def on_click(self, event: Click) -> None:
        """A click on a mode switches to it."""
        at = 0
        for mode, title in zip(self._modes, self._shown, strict=True):
            width = len(mode.key) + len(title) + 3
            if at <= event.x < at + width:
                self.post_message(self.Picked(mode.name))
                return
            at += width


class KeyBar(Widget):
    """The keys of what has focus; those that matter least give way where it is narrow."""

    DEFAULT_CSS = """
    KeyBar { height: 1; dock: bottom; background: $band; color: $foreground; }
    """
    ALLOW_SELECT = False
    ALWAYS: ClassVar[tuple[str, ...]] = ("help", "palette")

    def __init__(self) -> None:
        super().__init__()
        self._hits: list[tuple[int, int, DOMNode, Binding]] = []

    def on_mount(self) -> None:
        """Follow the focus."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _screen: self.refresh())

    def render(self) -> Content:
        """The keys, nearest first: those of the focused panel, of the screen, of the console."""
        shown: dict[tuple[str, str], tuple[DOMNode, Binding, bool]] = {}
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if binding.show and binding.description:
                shown.setdefault(
                    (binding.action, binding.description), (active.node, binding, active.enabled)
                )
        room = self.size.width - 1
        always = [item for item in shown.values() if item[1].id in self.ALWAYS]
        others = [item for item in shown.values() if item[1].id not in self.ALWAYS]
        reserved = sum(_key_width(self, binding) for _, binding, _ in always)
        picked: list[tuple[DOMNode, Binding, bool]] = []
        used = 0
        for item in others:
            width = _key_width(self, item[1])
            if used + width + reserved > room:
                break
            picked.append(item)
            used += width
        parts = [Content(" ")]
        self._hits.clear()
        at = 1
        for node, binding, enabled in (*picked, *always):
            key = self.app.get_key_display(binding)
            text = Content.assemble(
                (key, "$t-strong" if enabled else "$t-faint"),
                (f" {binding.description}  ", "$t-muted" if enabled else "$t-faint"),
            )
            self._hits.append((at, at + text.cell_length - 1, node, binding))
            at += text.cell_length
            parts.append(text)
        return Content("").join(parts)

    async def on_click(self, event: MouseEvent) -> None:
        """A click on a key is the key."""
        for start, end, node, binding in self._hits:
            if start <= event.x < end:
                await self.app.run_action(binding.action, node)
                return


def _key_width(bar: KeyBar, binding: Binding) -> int:
    return len(bar.app.get_key_display(binding)) + len(binding.description) + 3
