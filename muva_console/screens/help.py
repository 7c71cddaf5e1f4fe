"""Help for what has focus: what it is, and its keys, the nearest first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from textual.content import Content
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widget import Widget

from muva_console.widgets.dialog import Dialog, Words
from muva_console.widgets.fit import crop
from muva_console.widgets.level import muted, strong

if TYPE_CHECKING:
    from textual.app import App

_KEYS = 14
"""Cells of the column of keys."""
LEGEND = (
    ("● ok", "$t-ok"),
    ("▲ warn", "$t-warn"),
    ("✖ fail", "$t-fail"),
    ("? unknown", "$t-unknown"),
    ("◌ not asked", "$t-muted"),
    ("◐ asking", "$t-muted"),
    ("⏸ paused", "$t-muted"),
    ("⌛ stale", "$t-warn"),
)


class HelpScreen(Dialog[None]):
    """The keys of what had focus when it was asked for."""

    YIELDS = True
    HELP = "This is the help."
    DEFAULT_CSS = """
    HelpScreen #help { max-height: 80vh; }
    """

    def __init__(self, of: Screen[Any]) -> None:
        super().__init__()
        self._of = of

    def heading(self) -> str:
        """What this is."""
        return "Help"

    def content(self) -> Iterable[Widget]:
        """Everything in one text."""
        yield Words(help_lines(self._of), id="help", focusable=True)


def help_lines(screen: Screen[Any]) -> list[Content]:
    """What has focus and what is around it, with their keys."""
    lines: list[Content] = []
    told: set[str] = set()
    nodes: list[DOMNode] = []
    node: DOMNode | None = screen.focused or screen
    while node is not None:
        nodes.append(node)
        node = node.parent
    for node in nodes:
        text = getattr(node, "HELP", None)
        keys = list(_keys(node, told, screen.app))
        if not text and not keys:
            continue
        if lines:
            lines.append(Content(""))
        if text:
            lines.append(_prose(text))
        lines += keys
    lines += [
        Content(""),
        muted("Signs"),
        Content("   ").join(Content.styled(word, style) for word, style in LEGEND),
    ]
    return lines


def _keys(node: DOMNode, told: set[str], app: App[Any]) -> Iterable[Content]:
    by_action: dict[str, tuple[list[str], str]] = {}
    for _key, binding in node._bindings:
        what = binding.tooltip or binding.description
        if not what or binding.system or not binding.id:
            continue  # what a library's widget binds besides is its own affair
        display = app.get_key_display(binding)
        keys, _ = by_action.setdefault(binding.action, ([], what))
        if display not in keys and _key not in told:
            keys.append(display)
    for bindings in node._bindings.key_to_bindings:
        told.add(bindings)
    shown = [binding.action for _key, binding in node._bindings if binding.show]
    for action in sorted(by_action, key=lambda each: each not in shown):
        keys, what = by_action[action]
        if keys:
            yield Content.assemble("  ", crop(strong(" ".join(keys)), _KEYS), what)


def _prose(text: str) -> Content:
    """Plain text in which `this` is a key."""
    parts: list[Content | str] = []
    for index, piece in enumerate(text.split("`")):
        parts.append(strong(piece) if index % 2 else piece)
    return Content.assemble(*parts)
