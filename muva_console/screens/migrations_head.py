"""What stands above the matrix: how each environment stands, what is under way, what should be known."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.geometry import Size

from muva_console.ops.migrations.matrix import Matrix
from muva_console.screens.deeds import Deed
from muva_console.screens.migrations_text import heads, notes
from muva_console.widgets.fit import crop
from muva_console.widgets.format import duration, plural
from muva_console.widgets.level import muted

NOTES = 3
"""Lines of notes where there is room. Ours."""
SHORT = 30
"""Rows of a terminal below which the environment in hand alone is told, with one note. Ours."""


def head_lines(
    matrix: Matrix, names: Sequence[str], environment: str, deeds: Sequence[Deed], size: Size
) -> list[Content]:
    """The lines for a terminal of `size`."""
    width, short = max(20, size.width - 4), size.height < SHORT
    lines = heads(matrix, [name for name in names if name == environment or not short], environment, width)
    for deed in deeds:
        if deed.plan.environment != environment:
            continue
        if deed.under_way:
            told = Content(f"◐ under way for {duration(deed.took)}, w looks at it")
        elif deed.job and deed.done is None and not deed.looked_at:
            told = Content.styled("✖ did not end well, w looks at it", "$t-fail")
        else:
            continue
        lines.append(crop(Content.assemble(told, ": ", deed.plan.title), width))
    noted, most = notes(matrix, environment), 1 if short else NOTES
    lines += [crop(line, width) for line in noted[:most]]
    if len(noted) > most:
        lines.append(muted(f"  {plural(len(noted) - most, 'note')} more, N shows them"))
    return lines
