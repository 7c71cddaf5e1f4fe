"""Made-up matrices and what is read of their rows: a console on them asks nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from muva_console.app import MuvaApp
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.feed import Snapshot
from muva_console.ops.migrations.detail import Detail
from muva_console.ops.migrations.drift import Drift
from muva_console.ops.migrations.leftovers import Half, InvalidIndex
from muva_console.ops.migrations.matrix import Cell, Column, Matrix, Row
from muva_console.ops.migrations.model import MigrationFile, State
from muva_console.ops.readings import Level
from muva_console.screens import deeds, migrations_looking
from muva_console.screens.migrations_read import Held, Judged, Looked, Peril, Seen
from tests.screens import estate as e

FOLDER = "supabase/migrations"
NAMES = (
    "create_accommodations", "create_guests", "create_staff", "create_chat", "add_chat_indexes",
    "add_bookings", "enable_row_level_security", "add_occupancy_view", "add_reviews",
    "index_bookings_by_guest",
)  # fmt: skip
SQL = """\
-- Who booked what; the note is what reception sees.
alter table public.bookings add column note text not null default 'none';
create index bookings_guest on public.bookings (guest_id);

create function public.touch() returns trigger language plpgsql as $$
begin
  new.updated_at := now(); /* on every write */
  return new;
end $$;
"""
PERIL = Peril(
    level=Level.FAIL,
    line=3,
    what="CREATE INDEX without CONCURRENTLY: nobody writes to public.bookings while it is built",
    more=("public.bookings (12,400,000 rows, 3.1 GiB in production)", "keeps waiting: writes"),
    safe="CREATE INDEX CONCURRENTLY bookings_guest ON public.bookings (guest_id), in a file of its own",
    rule="index-blocks-writes",
)
LOOKED = Looked(
    perils=(
        PERIL,
        Peril(level=Level.WARN, line=2, what="a lock of a moment on a huge table", rule="brief-lock"),
    ),
    held=(
        Held(
            line=2, about="ALTER TABLE", level=Level.WARN,
            locks=("ACCESS EXCLUSIVE on public.bookings (12,400,000 rows): blocks reads and writes",),
        ),
        Held(
            line=3, about="CREATE INDEX", level=Level.FAIL,
            locks=("SHARE on public.bookings (12,400,000 rows): blocks writes, reads all of it",),
        ),
        Held(line=5, about="CREATE FUNCTION"),
    ),
)  # fmt: skip
DRIFT = Drift(
    same=False,
    changed=1,
    added=1,
    lines=(
        "--- recorded on production", "+++ 20251003_create_staff.sql on main", "@@ -1,3 +1,3 @@",
        " create table public.staff(id uuid primary key);",
        "-alter table public.staff add column role text default 'night';",
        "+alter table public.staff add column role text not null default 'day';",
    ),
)  # fmt: skip


def version(number: int) -> str:
    return f"202510{number + 1:02d}090000"


def cell(state: State, **more: Any) -> Cell:
    if state is State.APPLIED:
        more = {"by": "eve", "at": e.NOW - timedelta(days=2), **more}
    return Cell(state=state, **more)


def matrix(
    production: Mapping[int, State | Cell] | None = None,
    staging: Mapping[int, State | Cell] | None = None,
    *,
    count: int = len(NAMES),
    **more: Any,
) -> Matrix:
    """A matrix in which all is applied, but for what is given by the number of the row."""
    rows = []
    for number in range(count):
        name = NAMES[number] if number < len(NAMES) else f"change_{number}"
        cells = [None]
        for given in (staging or {}, production or {}):
            state = given.get(number, State.APPLIED)
            made = state if isinstance(state, Cell) else cell(state)
            if not made.path:
                made = structs.replace(made, path=f"{FOLDER}/{version(number)}_{name}.sql")
            cells.append(made)  # type: ignore[arg-type]
        digits = version(number) if number < 28 else f"2026{number:010d}"
        rows.append(Row(version=digits, name=name, cells=tuple(cells)))
    columns = [
        Column(environment="dev", branch="dev", sha="9f3e2d1c0b9a", why="no database is configured"),
        _column("staging", "staging", rows, 1),
        _column("production", "main", rows, 2),
    ]
    return Matrix(
        at=e.NOW, folder=FOLDER, columns=tuple(columns), rows=tuple(rows), files=count,
        heads={"main": e.SHA["production"], "staging": e.SHA["staging"]}, **more,
    )  # fmt: skip


def _column(name: str, branch: str, rows: Sequence[Row], place: int) -> Column:
    counts = Counter(one.state for row in rows if (one := row.cells[place]) is not None)
    applied = [
        row.version
        for row in rows
        if row.cells[place] and row.cells[place].state is State.APPLIED  # type: ignore[union-attr]
    ]
    return Column(
        environment=name,
        branch=branch,
        sha=e.SHA[name],
        coming="dev" if name == "staging" else "staging",
        production=name == "production",
        database=f"db.muva.chat:5432/{name}",
        reachable=True,
        history=True,
        applied=len(applied),
        highest=max(applied, default=""),
        counts=dict(counts),
    )


def troubled() -> Matrix:
    """Everything that can be wrong, in production."""
    half = f"{FOLDER}/{version(8)}_add_reviews.sql"
    index = InvalidIndex(
        index="public.chat_by_room",
        table="public.chat_messages",
        bytes=3 * 1024 * 1024,
        ready=True,
        mend="DROP INDEX CONCURRENTLY public.chat_by_room;",
    )
    made = matrix(
        {
            2: cell(State.DRIFTED, why="what ran is not what main has", by="eve"),
            3: cell(State.MISSING, why="neither main nor staging has it", here=False),
            4: cell(State.INVALID_INDEX, why="public.chat_by_room is invalid"),
            6: cell(State.OUT_OF_ORDER, why=f"{version(7)} is applied, which comes later"),
            8: cell(State.HALF_WAY, why="public.reviews is there; not in the history", path=half),
            9: State.PENDING,
        },
        {9: cell(State.PENDING, here=False, why="comes from dev")},
        warnings=(f"{FOLDER}/seed.sql is skipped: a migration is named VERSION_NAME.sql",),
    )
    production = structs.replace(
        made.columns[2],
        indexes=(index,),
        halves=(
            Half(
                file=MigrationFile(path=half, version=version(8), name="add_reviews"),
                done=("line 2: CREATE TABLE public.reviews",),
                undone=("line 9: CREATE INDEX public.reviews_by_stars",),
                untold=("line 12: UPDATE public.bookings",),
                found=("public.reviews is there",),
            ),
        ),
    )
    return structs.replace(made, columns=(*made.columns[:2], production))


def pending() -> Matrix:
    """One waits for production."""
    return matrix({9: State.PENDING})


def unreachable() -> Matrix:
    """Production's database does not answer; staging's does."""
    why = "connection refused in 3 ms"
    made = matrix({number: cell(State.UNKNOWN, why=why) for number in range(len(NAMES))})
    production = structs.replace(made.columns[2], reachable=False, why=why, applied=0, highest="")
    error = "the remote could not be asked: no answer within 10 s"
    return structs.replace(made, columns=(*made.columns[:2], production), fetch_error=error)


def detail_of(row: Row, environment: str, **more: Any) -> Detail:
    place = ["dev", "staging", "production"].index(environment)
    known: dict[str, Any] = {
        "version": row.version,
        "name": row.name,
        "environment": environment,
        "cell": row.cells[place] or Cell(state=State.ABSENT),
        "branch": "main",
        "path": f"{FOLDER}/{row.title}.sql",
        "text": SQL,
    }
    return Detail(**{**known, **more})


class Reading:
    """Stands in the place of what reads a row; `asked` tells what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[str, str]] = []
        self.more: dict[str, Any] = {}
        self.looked: Looked = LOOKED
        monkeypatch.setattr(migrations_looking, "look", self.look)
        monkeypatch.setattr(migrations_looking, "judge_going", self.judge_going)
        monkeypatch.setattr(migrations_looking, "look_into", self.look_into)
        monkeypatch.setattr(migrations_looking, "PAUSE", 0.0)
        monkeypatch.setattr(deeds, "found_jobs", self.found_jobs)

    async def found_jobs(self, app: MuvaApp) -> None:
        return

    async def look(self, workspace: Any, matrix: Matrix, row: Row, environment: str) -> Seen:
        self.asked.append((row.name, environment))
        detail = detail_of(row, environment, **self.more)
        if detail.cell.state is State.DRIFTED:
            detail = structs.replace(detail, drift=DRIFT, recorded=("create table",))
        return Seen(detail=detail, drifted=(detail,) if detail.drift is not None else ())

    async def judge_going(self, workspace: Any, environment: str) -> Judged:
        return Judged(reports={}, sizes={}, untold=())

    async def look_into(self, workspace: Any, judged: Judged, detail: Detail) -> Looked:
        return self.looked if detail.cell.state is State.PENDING else Looked(applied=True)


def estate(given: Matrix | None, **more: Any) -> e.Estate:
    made = e.Estate(e.config(**more))
    made.snapshots["migrations",] = (
        e.fresh(given, interval=60.0) if given is not None else Snapshot(asking=True)
    )
    return made


def never_fetched() -> e.Estate:
    made = e.Estate()
    error = LinkError(
        Fault.TIMEOUT,
        "the repository was never fetched: no answer within 10 s",
        where="github.com",
        next="look whether you may fetch there",
    )
    made.snapshots["migrations",] = Snapshot(error=error, failures=2)
    return made


def console(given: Matrix | None, *, environment: str = "production", **more: Any) -> MuvaApp:
    return estate(given, **more).app(environment=environment)
