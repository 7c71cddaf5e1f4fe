"""Copying: the command behind what is selected, or whatever else stands on the screen, also to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.content import Content

from muva_console.clipboard import copy, save
from muva_console.screens.frame import CopyItem
from muva_console.widgets.format import plural
from muva_console.widgets.level import muted

if TYPE_CHECKING:
    from textual.app import App

    from muva_console.app import MuvaApp

_FILE = "to a file"


def items_of(app: MuvaApp) -> list[CopyItem]:
    """What can be copied now: what the mouse has selected first."""
    items = []
    selected = app.screen.get_selected_text()
    if selected and selected.strip():
        items.append(CopyItem("the selection", selected))
    screen = app.mode_screen
    if screen is not None:
        items += screen.copy_items()
    return [item for item in items if item.text]


async def copy_text(app: App[Any], item: CopyItem) -> None:
    """Put a text on the clipboard and say which way it went."""
    way = await copy(app, item.text)
    lines = plural(item.text.count("\n") + 1, "line")
    shown = item.text if len(item.text) <= 60 and "\n" not in item.text else lines
    app.notify(
        f"{shown}\n{way}. Y for more, or to a file.", title=f"Copied {item.what}", markup=False, timeout=4
    )


async def copy_first(app: MuvaApp) -> None:
    """Copy what one most likely wants."""
    items = items_of(app)
    if not items:
        app.tell("There is nothing to copy here.")
        return
    await copy_text(app, items[0])


def choose_copy(app: MuvaApp) -> None:
    """Choose among what can be copied."""
    from muva_console.screens.choices import Choice, Chooser
    from muva_console.widgets.table import Column

    items = items_of(app)
    items.append(CopyItem("the whole screen", screen_text(app)))
    choices = [
        Choice(str(index), (Content(item.what), muted(_preview(item)))) for index, item in enumerate(items)
    ]
    choices += [
        Choice(f"{_FILE} {index}", (Content(f"{item.what}, to a file"), muted("in the state folder")))
        for index, item in enumerate(items)
    ]

    def chosen(key: str | None) -> None:
        if key is None:
            return
        item = items[int(key.split(" ")[-1])]
        if key.startswith(_FILE):
            path = save(item.text)
            app.tell(str(path), title=f"Written: {item.what}", timeout=12)
        else:
            app.work_on("copying", lambda: copy_text(app, item))

    app.push_screen(Chooser("Copy", (Column("", 34), Column("", 20, flex=True)), choices), chosen)


def screen_text(app: MuvaApp) -> str:
    """All that stands on the screen, as plain text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips)


def _preview(item: CopyItem) -> str:
    first = item.text.strip().split("\n")[0]
    return (
        first if "\n" not in item.text.strip() else f"{plural(item.text.count(chr(10)) + 1, 'line')}: {first}"
    )
