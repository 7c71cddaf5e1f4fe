"""The colours of a line, kept as spans; every other escape is dropped.

Select Graphic Rendition as tools write it (ECMA-48, 8.3.117; 38;5 and 38;2 as xterm has them). Concealed
text is shown, and blinking does not blink: a log must not hide what it says.
"""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

from muva_console.ops.text import sanitise

RGB = 0x1000000
"""Added to 0xRRGGBB where a colour is none of the palette's 256."""
MOST_SPANS = 64
"""Spans kept of one line: a line of more changes of colour is drawn plain from there on. Ours."""

_SGR = re.compile(r"\x1b\[([0-9;:]{0,64})m")


class Look(Struct, frozen=True):
    """How a span is drawn; colours are the palette's number (0 to 255), RGB + 0xRRGGBB, or None."""

    colour: int | None = None
    ground: int | None = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    reverse: bool = False
    strike: bool = False


class Span(Struct, frozen=True, gc=False):
    """Characters of a line, from `start` to before `end`, that look alike."""

    start: int
    end: int
    look: Look


PLAIN = Look()
_FLAGS = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse", 9: "strike"}
_UNFLAGS = {
    22: ("bold", "dim"),
    21: ("bold",),
    23: ("italic",),
    24: ("underline",),
    27: ("reverse",),
    29: ("strike",),
}


def styled(text: str) -> tuple[str, tuple[Span, ...]]:
    """One line without escapes and controls, and how its characters look where that is not plain."""
    if "\x1b" not in text:
        return sanitise(text, newlines=False), ()
    parts: list[str] = []
    spans: list[Span] = []
    place, begin, look = 0, 0, PLAIN
    for match in _SGR.finditer(text):
        place = _add(text[begin : match.start()], look, place, parts, spans)
        look = _changed(look, match[1])
        begin = match.end()
    _add(text[begin:], look, place, parts, spans)
    return "".join(parts), tuple(spans)


def _add(raw: str, look: Look, place: int, parts: list[str], spans: list[Span]) -> int:
    if not raw:
        return place
    piece = sanitise(raw, newlines=False)
    parts.append(piece)
    end = place + len(piece)
    if look is not PLAIN and piece and len(spans) < MOST_SPANS:
        if spans and spans[-1].end == place and spans[-1].look == look:
            spans[-1] = Span(spans[-1].start, end, look)
        else:
            spans.append(Span(place, end, look))
    return end


@lru_cache(1024)
def _changed(look: Look, codes: str) -> Look:
    """The look after an SGR sequence with these parameters; what is not known changes nothing."""
    numbers = [int(code) if code and len(code) < 5 else 0 for code in re.split("[;:]", codes)]
    values = {name: getattr(look, name) for name in look.__struct_fields__}
    index = 0
    while index < len(numbers):
        code = numbers[index]
        index += 1
        if code == 0:
            values = {name: getattr(PLAIN, name) for name in values}
        elif code in _FLAGS:
            values[_FLAGS[code]] = True
        elif code in _UNFLAGS:
            values |= dict.fromkeys(_UNFLAGS[code], False)
        elif code in (38, 48):
            colour, index = _extended(numbers, index)
            if colour is not None:
                values["colour" if code == 38 else "ground"] = colour
        elif 30 <= code <= 37 or 90 <= code <= 97:
            values["colour"] = code - 30 if code < 40 else code - 82
        elif 40 <= code <= 47 or 100 <= code <= 107:
            values["ground"] = code - 40 if code < 50 else code - 92
        elif code == 39:
            values["colour"] = None
        elif code == 49:
            values["ground"] = None
    made = Look(**values)
    return PLAIN if made == PLAIN else made


def _extended(numbers: list[int], index: int) -> tuple[int | None, int]:
    """The colour of ``38;5;N`` or ``38;2;R;G;B`` after its first number, and where to go on."""
    kind = numbers[index] if index < len(numbers) else -1
    rest = numbers[index + 1 :]
    if kind == 5 and rest:
        return (rest[0] if rest[0] <= 255 else None), index + 2
    if kind == 2 and len(rest) >= 3:
        red, green, blue = rest[:3]
        fits = max(red, green, blue) <= 255
        return (RGB + (red << 16) + (green << 8) + blue if fits else None), index + 4
    return None, len(numbers)
