"""What must hold between the tables of muva.toml, beyond the type of each value."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

from muva_console.config.calendar import read_dates, read_hours, read_moment, read_zone
from muva_console.config.values import Place, did_you_mean, quoted
from muva_console.config.walk import Mistake, Tree

Tables = dict[str, Tree]


def check(document: dict[str, Any], tree: Tree) -> Iterator[Mistake]:
    """The mistakes between tables. `document` is what was read, `tree` what could be converted of it, so
    that a host with a mistake of its own is not called unknown as well.
    """
    environments: Tables = tree.get("environments", {})
    hosts: Tables = tree.get("hosts", {})
    given = document.get("hosts", {})
    names = list(given) if isinstance(given, dict) else None
    if not document.get("environments"):
        yield Mistake(
            place=("environments",),
            text="there are none; expected at least one, such as [environments.production]",
        )
    if names is not None:
        yield from _references(environments, hosts, names)
    yield from _circles(hosts)
    for name, environment in environments.items():
        yield from _environment(("environments", name), environment)
    yield from _shared(environments)
    yield from _alerts(tree.get("alerts", {}), tree.get("notices", {}))
    yield from _window(tree.get("window", {}))
    yield from _shifts(tree.get("on_call", {}))


def _alerts(alerts: Tree, notices: Tree) -> Iterator[Mistake]:
    for key in ("critical", "ignore"):
        for number, text in enumerate(alerts.get(key, ())):
            try:
                re.compile(text)
            except re.error as error:
                yield Mistake(
                    place=("alerts", f"{key}[{number}]"), text=f"{quoted(text)} is no expression: {error}"
                )
    for way in dict.fromkeys(alerts.get("notify", ())):
        given = notices.get("slack") if way == "slack" else alerts.get("webhook")
        if given is None:
            where = "[notices] slack" if way == "slack" else "[alerts] webhook"
            yield Mistake(place=("alerts", "notify"), text=f"names {way}, and {where} is not given")


def _references(environments: Tables, hosts: Tables, names: list[str]) -> Iterator[Mistake]:
    wanted: list[tuple[Place, str]] = []
    for name, environment in environments.items():
        place: Place = ("environments", name)
        wanted += [((*place, "hosts"), host) for host in environment.get("hosts", ())]
        if "through" in environment.get("database", {}):
            wanted.append(((*place, "database", "through"), environment["database"]["through"]))
    wanted += [(("hosts", name, "jump"), host["jump"]) for name, host in hosts.items() if "jump" in host]
    for place, host in wanted:
        if host not in names:
            hint = did_you_mean(host, names)
            known = f"known are {', '.join(names)}" if names else "[hosts] is empty"
            yield Mistake(place=place, text=f"there is no [hosts.{host}]; {hint or known}")


def _circles(hosts: Tables) -> Iterator[Mistake]:
    told: set[str] = set()
    for start in hosts:
        way = [start]
        while (jump := hosts.get(way[-1], {}).get("jump")) is not None and jump not in way:
            way.append(jump)
        if jump is None or told.intersection(way):
            continue
        circle = way[way.index(jump) :]
        told.update(circle)
        yield Mistake(
            place=("hosts", circle[-1], "jump"),
            text=f"the jumps go in a circle: {' → '.join([*circle, jump])}",
        )


def _environment(place: Place, environment: Tree) -> Iterator[Mistake]:
    if environment.get("processes") and not environment.get("hosts"):
        yield Mistake(place=(*place, "processes"), text="no host is named that they run on; expected `hosts`")
    if "env_file" in environment and "directory" not in environment:
        yield Mistake(place=(*place, "env_file"), text="relative to `directory`, which is missing")
    if "database" in environment:
        yield from _database((*place, "database"), environment["database"])
    thresholds: Tree = environment.get("thresholds", {})
    degraded, slow = thresholds.get("degraded_factor", 3.0), thresholds.get("slow_factor", 10.0)
    if degraded >= slow:
        yield Mistake(
            place=(*place, "thresholds", "degraded_factor"),
            text=f"expected less than slow_factor ({slow:g}), found {degraded:g}",
        )
    least, most = thresholds.get("rows_least", 0.1), thresholds.get("rows_most", 10.0)
    if least >= most:
        yield Mistake(
            place=(*place, "thresholds", "rows_least" if "rows_least" in thresholds else "rows_most"),
            text=f"expected rows_least less than rows_most, found {least:g} and {most:g}",
        )


def _database(place: Place, database: Tree) -> Iterator[Mistake]:
    if "url" in database:
        for key in ("host", "port", "name", "user", "password"):
            if key in database:
                yield Mistake(
                    place=(*place, key), text="goes with `host`; the address in `url` holds it already"
                )
    elif "host" not in database and any(key in database for key in ("port", "name", "user", "password")):
        yield Mistake(
            place=(*place, "host"), text="missing; expected the server's name, or `url` instead of all"
        )


def _shared(environments: Tables) -> Iterator[Mistake]:
    """A process of two environments on one host: acting on the one would be acting on the other."""
    for (one, first), (two, second) in combinations(environments.items(), 2):
        for host in first.get("hosts", ()):
            if host not in second.get("hosts", ()):
                continue
            for process in first.get("processes", ()):
                if process in second.get("processes", ()):
                    yield Mistake(
                        place=("environments", two, "processes"),
                        text=f"{quoted(process)} on {host} already belongs to [environments.{one}]",
                    )


def _window(window: Tree) -> Iterator[Mistake]:
    """What looks like a zone, hours or dates, and is none."""
    if "timezone" in window:
        yield from _read(("window", "timezone"), read_zone, window["timezone"])
    for key, read in (("hours", read_hours), ("freeze", read_dates)):
        for number, text in enumerate(window.get(key, ()), 1):
            yield from _read(("window", key, str(number)), read, text)


def _shifts(rota: Tree) -> Iterator[Mistake]:
    """Shifts that end before they begin, and times that are none."""
    for number, shift in enumerate(rota.get("shifts", ()), 1):
        place: Place = ("on_call", "shifts", str(number))
        wrong = [
            *_read((*place, "start"), read_moment, shift["start"]),
            *_read((*place, "end"), read_moment, shift["end"]),
        ]
        yield from wrong
        if not wrong and read_moment(shift["end"]) <= read_moment(shift["start"]):
            yield Mistake(
                place=(*place, "end"),
                text=f"{quoted(shift['name'])} ends at {shift['end']}, which is not after the start, "
                f"{shift['start']}",
            )


def _read(place: Place, read: Callable[[str], object], text: str) -> Iterator[Mistake]:
    try:
        read(text)
    except ValueError as error:
        yield Mistake(place=place, text=str(error))
