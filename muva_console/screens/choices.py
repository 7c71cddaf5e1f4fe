"""Short lists to choose from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget

from muva_console.screens.facts import kind_of, standing_mark
from muva_console.widgets.dialog import Dialog
from muva_console.widgets.level import muted
from muva_console.widgets.table import Column, Row, Table

if TYPE_CHECKING:
    from muva_console.app import MuvaApp


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several."""

    key: str
    cells: tuple[Content, ...]


class Chooser(Dialog[str]):
    """A list; the answer is the key of the choice, None for none."""

    YIELDS = True
    HELP = "Choose with the arrows and `enter`; `escape` changes nothing."
    DEFAULT_CSS = """
    Chooser #box { width: auto; min-width: 60; max-width: 90%; }
    Chooser Table, Chooser Table:focus {
        border: none; padding: 0; height: auto; max-height: 60vh; width: 70;
    }
    Chooser.-narrow Table { width: 100%; }
    """

    def __init__(
        self, title: str, columns: Sequence[Column], choices: Sequence[Choice], chosen: str = ""
    ) -> None:
        super().__init__()
        self._title, self._columns, self._choices, self._first = title, columns, choices, chosen

    def heading(self) -> str:
        """The question."""
        return self._title

    def content(self) -> Iterable[Widget]:
        """The list."""
        yield Choices(self._columns, heading=False, id="choices")

    def on_mount(self) -> None:
        """Begin at what is chosen now."""
        table = self.query_one(Table)
        table.fill([Row(choice.key, choice.cells) for choice in self._choices])
        table.choose(self._first)
        table.focus()

    def on_table_opened(self, event: Table.Opened) -> None:
        """Chosen."""
        self.dismiss(event.key)


class Choices(Table):
    """The choices."""

    HELP = "`enter` takes the one under the cursor."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "choose", key_display="enter", id="choices.take", tooltip="Take this one"),
    ]


def choose_environment(app: MuvaApp) -> None:
    """Ask for the environment to take in hand."""
    choices = []
    for name in app.board.names:
        config = app.workspace.environments[name].config
        where = str(config.url) if config.url else "local checkout"
        cells = (
            Content.styled(f" {name.upper()} ", f"$t-band-{kind_of(app.board, name)}"),
            standing_mark(app.board, name),
            muted(f"{config.branch}  {where}"),
        )
        choices.append(Choice(name, cells))
    columns = (Column("", 14), Column("", 17), Column("", 20, flex=True))

    def chosen(name: str | None) -> None:
        if name is not None:
            app.set_environment(name)

    app.push_screen(Chooser("Environment", columns, choices, app.environment), chosen)
