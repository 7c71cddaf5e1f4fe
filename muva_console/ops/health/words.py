"""Figures as a colleague says them."""

from __future__ import annotations

from muva_console.ops.links.answers import HttpAnswer


def spell_ms(milliseconds: float) -> str:
    """``0.4 ms``, ``82 ms``, ``1.2 s``, ``2m 10s``."""
    if milliseconds < 9.95:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 59_950:
        return f"{milliseconds / 1000:.1f} s"
    return spell_span(milliseconds / 1000)


def spell_span(seconds: float) -> str:
    """``45s``, ``2m 10s``, ``3h 5m``, ``12d 4h``."""
    whole = round(abs(seconds))
    for unit, size, lower, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // part}{lower}"
    return f"{whole}s"


def percent(fraction: float) -> str:
    """``8 %``, ``0.4 %``."""
    value = fraction * 100
    return f"{value:.0f} %" if value >= 9.95 or value == round(value) else f"{value:.1f} %"


def floored(share: float) -> str:
    """``99.98 %``, never rounded up: 100 % is said of what had no failure at all."""
    return "100 %" if share >= 1 else f"{int(share * 10_000) / 100:.2f} %"


def count(number: int, one: str, many: str = "") -> str:
    """``1 query``, ``3 queries``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def phases(answer: HttpAnswer) -> str:
    """Where the time of a request went: ``DNS 1.2 ms, connect 2.0 ms, first byte 80 ms, in all 85 ms``."""
    timing = answer.timing
    named = (
        ("DNS", timing.dns),
        ("connect", timing.connect),
        ("TLS", timing.tls),
        ("first byte", timing.first_byte),
        ("in all", timing.total),
    )
    return ", ".join(f"{name} {spell_ms(value)}" for name, value in named if value is not None)
