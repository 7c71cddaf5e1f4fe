"""Faults of a release: a commit on its way to an environment that should not go there.

It comes by a reviewed pull request, unless the review is what is wrong, on the branch that the environment
gets its code from: on dev for staging, on staging for production (nobody deploys it there, so that staging
serves another commit than the one that goes out). Mending takes it off the branch again; nothing of it stays.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from muva_console.drill import repository
from muva_console.drill.faults.base import Fault, Memory
from muva_console.drill.github import pulls
from muva_console.drill.repository import Files
from muva_console.drill.state import Estate, Site
from muva_console.ops.errors import OpsError

_MIGRATIONS = "supabase/migrations/"

Review = Callable[[Estate, Sequence[str], str], Awaitable[int | None]]
"""Lets a commit have come to a branch; returns the number of its pull request, None without one."""


async def _reviewed(estate: Estate, shas: Sequence[str], base: str) -> int | None:
    return await pulls.reviewed(estate, shas, base=base)


async def _self_approved(estate: Estate, shas: Sequence[str], base: str) -> int | None:
    return await pulls.self_approved(estate, shas, base=base)


async def _nobody(estate: Estate, shas: Sequence[str], base: str) -> int | None:
    return None


class _Change(Struct, frozen=True, kw_only=True):
    """What a commit is."""

    message: str
    files: Files


Make = Callable[[Estate, str], Awaitable[_Change]]
"""The change, made for a branch as it stands."""


async def _push(estate: Estate, branch: str, make: Make, memory: Memory, review: Review = _reviewed) -> None:
    change = await make(estate, branch)
    commit = await repository.commit(estate, branch, change.message, change.files)
    memory["branch"], memory["commit"] = branch, commit
    number = await review(estate, [commit], branch)
    if number is not None:
        memory["pull"] = str(number)


async def _take_back(estate: Estate, memory: Memory) -> None:
    if "commit" not in memory:
        return
    above = await repository.between(estate, memory["commit"], memory["branch"])
    newer = [fault.name for fault in estate.faults if fault.memory.get("commit") in above]
    if newer:
        # reverting it would leave it in the history, where the newer one needs it
        raise OpsError(
            f"{' and '.join(newer)} came after it",
            where=memory["branch"],
            next="Mend the newer first, or all.",
        )
    reverted = await repository.undo(estate, memory["branch"], memory["commit"])
    if reverted is not None:
        await pulls.reviewed(estate, [reverted], base=memory["branch"])
    elif "pull" in memory:
        pulls.forget(estate, int(memory["pull"]))


def _release(
    *,
    name: str,
    title: str,
    does: str,
    make: Make,
    items: tuple[str, ...],
    besides: str = "",
    review: Review = _reviewed,
) -> Fault:
    """A fault of a commit on its way to an environment."""

    async def break_in(estate: Estate, site: Site, memory: Memory) -> None:
        branch = estate.sites["staging"].branch if site.environment == "production" else "dev"
        await _push(estate, branch, make, memory, review)

    async def mend(estate: Estate, site: Site, memory: Memory) -> None:
        await _take_back(estate, memory)

    return Fault(
        name=name, title=title, does=does, items=items, besides=besides, environment="staging",
        rank=2, break_in=break_in, mend=mend,
        undone="The commit is taken off its branch, and its pull request forgotten.",
    )  # fmt: skip


def _undeployed(*, name: str, environment: str, items: tuple[str, ...], does: str, besides: str) -> Fault:
    """A fault of a commit on an environment's own branch that its host never got."""

    async def break_in(estate: Estate, site: Site, memory: Memory) -> None:
        await _push(estate, site.branch, _readme, memory)

    async def mend(estate: Estate, site: Site, memory: Memory) -> None:
        await _take_back(estate, memory)

    return Fault(
        name=name, title=f"A commit on the branch that {environment} does not serve", does=does, items=items,
        besides=besides, environment=environment, rank=2, break_in=break_in, mend=mend,
        undone="The commit is taken off its branch.",
    )  # fmt: skip


# --- what the commits are


def _adds(message: str, files: dict[str, str]) -> Make:
    """A change that adds files, by path."""

    async def make(estate: Estate, branch: str) -> _Change:
        return _Change(message=message, files={path: text.encode() for path, text in files.items()})

    return make


async def _readme(estate: Estate, branch: str) -> _Change:
    text = await repository.read(estate, branch, "README.md")
    return _Change(
        message="docs: when the office answers",
        files={"README.md": f"{text}\nThe office answers from 8 to 20 h.\n".encode()},
    )


async def _secret(estate: Estate, branch: str) -> _Change:
    # of the form of a real one, made here and now: it opens nothing, and is kept nowhere else
    key = f"sk_live_{secrets.token_hex(12)}"
    text = (
        "'use strict';\n\n// Payments of the day, for the morning's report.\n"
        f"const stripe = require('./stripe').connect('{key}');\n\n"
        "stripe.payments().then((list) => console.log(list.length));\n"
    )
    return _Change(message="feat(report): count the payments of the day",
                   files={"scripts/payments.js": text.encode()})  # fmt: skip


async def _undocumented(estate: Estate, branch: str) -> _Change:
    text = "'use strict';\n\nmodule.exports = { sender: process.env.SMS_SENDER };\n"
    return _Change(message="feat(sms): let the sender be configured", files={"src/sms.js": text.encode()})


async def _missing_on_host(estate: Estate, branch: str) -> _Change:
    template = await repository.read(estate, branch, ".env.template")
    text = "'use strict';\n\nmodule.exports = { gateway: process.env.PUSH_GATEWAY_URL };\n"
    files = {"src/push.js": text.encode(), ".env.template": f"{template}PUSH_GATEWAY_URL=\n".encode()}
    return _Change(message="feat(push): notify the reception's telephones", files=files)


async def _major(estate: Estate, branch: str) -> _Change:
    package = json.loads(await repository.read(estate, branch, "package.json"))
    lock = await repository.read(estate, branch, "pnpm-lock.yaml")
    old = package["dependencies"]["pg"]
    new = f"{int(old.split('.')[0]) + 1}.0.0"
    package["dependencies"]["pg"] = new
    digest = base64.b64encode(hashlib.sha512(f"pg@{new}".encode()).digest()).decode()
    lines = []
    inside = False
    for line in lock.splitlines():
        if line.startswith("  pg@"):
            inside = True
        elif line.strip() and not line.startswith("    "):
            inside = False
        told = line.replace(f"pg@{old}", f"pg@{new}")
        if line.strip() in (f"specifier: {old}", f"version: {old}", f"pg: {old}"):
            told = line.replace(old, new)
        if inside and "integrity:" in line:
            told = f"    resolution: {{integrity: sha512-{digest}}}"
        lines.append(told)
    files = {
        "package.json": (json.dumps(package, indent=2) + "\n").encode(),
        "pnpm-lock.yaml": ("\n".join(lines) + "\n").encode(),
    }
    return _Change(message=f"chore(deps): bump pg from {old} to {new}", files=files)


async def _stale_lock(estate: Estate, branch: str) -> _Change:
    package = json.loads(await repository.read(estate, branch, "package.json"))
    package["dependencies"]["date-fns"] = "4.1.0"
    files = {"package.json": (json.dumps(package, indent=2) + "\n").encode()}
    return _Change(message="feat(rates): name the weekdays", files=files)


async def _edited(estate: Estate, branch: str) -> _Change:
    name = f"{_MIGRATIONS}20250919141500_create_guests.sql"
    text = await repository.read(estate, branch, name)
    added = "\nalter table public.guests add column vip boolean not null default false;\n"
    return _Change(message="feat(guests): mark regular guests", files={name: (text + added).encode()})


_BROKEN_CODE = """'use strict';

// A booking as a calendar entry.
function entry(booking) {
  return ['BEGIN:VEVENT', `DTSTART:${booking.check_in}`, 'END:VEVENT'.join('\\r\\n');
}

module.exports = { entry };
"""
_BROKEN_TEST = """'use strict';

const assert = require('node:assert');
const test = require('node:test');

const { all } = require('../src/pages');

test('the rates say that the city tax is included', () => {
  const page = all['/rates']({ version: '1.0.0', commit: 'abc1234' });
  assert.ok(page.includes('city tax included'));
});
"""
_UNPARSABLE = """-- Points for every night.
alter table public.guests add column points integer not null default 0;
create index guests_points_idx on public.guests (points desc) where points > ;
"""
_DISCOUNTS = """-- A price that holds for some days.
create table public.discounts (
  id uuid primary key default gen_random_uuid(),
  accommodation_id uuid not null references public.accommodations (id) on delete cascade,
  percent smallint not null check (percent between 1 and 90),
  from_day date not null,
  to_day date not null check (to_day >= from_day)
);

alter table public.discounts enable row level security;
"""

FAULTS = (
    _release(
        name="planted-secret",
        title="A key in the code that goes out",
        does="A reviewed commit has a payment service's live key in a script (of the real form, made up "
        "for the drill).",
        make=_secret,
        items=("pre-deploy-staging/no-secrets",),
    ),
    _release(
        name="undocumented-variable",
        title="The code reads a variable that the template does not name",
        does="A reviewed commit reads SMS_SENDER; .env.template says nothing of it.",
        make=_undocumented,
        items=("pre-deploy-staging/environment-variables",),
    ),
    _release(
        name="variable-missing-on-host",
        title="The host lacks a variable that the template names",
        does="A reviewed commit reads PUSH_GATEWAY_URL and names it in .env.template; nobody has set it in "
        "the host's file.",
        make=_missing_on_host,
        items=("pre-deploy-staging/environment-variables",),
    ),
    _release(
        name="major-bump",
        title="A dependency's next major version",
        does="A reviewed commit takes the next major version of pg, in manifest and lock file alike.",
        make=_major,
        items=("pre-deploy-staging/dependencies", "pre-deploy-staging/build-success"),
        besides="The drill's pnpm works offline and has no such version: no build passes with it, and "
        "tests-pass cannot begin.",
    ),
    _release(
        name="stale-lock-file",
        title="A dependency that the lock file does not know",
        does="A reviewed commit asks for date-fns in package.json and forgets pnpm-lock.yaml.",
        make=_stale_lock,
        items=("pre-deploy-staging/dependencies", "pre-deploy-staging/build-success"),
        besides="An install with --frozen-lockfile refuses it: no build passes, and tests-pass cannot begin.",
    ),
    _release(
        name="unreviewed-commit",
        title="A commit pushed without a pull request",
        does="A commit stands on the branch that no pull request brought there.",
        make=_readme,
        review=_nobody,
        items=("pre-deploy-staging/code-review",),
    ),
    _release(
        name="self-approved",
        title="A pull request approved by its own author",
        does="A commit came by a merged pull request whose only approval is its author's.",
        make=_readme,
        review=_self_approved,
        items=("pre-deploy-staging/code-review",),
    ),
    _release(
        name="build-broken",
        title="The commit does not build",
        does="A reviewed commit has a syntax error in src/ical.js: `pnpm run build` ends with 1.",
        make=_adds("feat(ical): export bookings to calendars", {"src/ical.js": _BROKEN_CODE}),
        items=("pre-deploy-staging/build-success",),
        besides="tests-pass cannot begin, and is unknown.",
    ),
    _release(
        name="tests-broken",
        title="A test fails",
        does="A reviewed commit brings a test for something that nobody has written yet.",
        make=_adds("test(rates): the city tax is included", {"test/tax.test.js": _BROKEN_TEST}),
        items=("pre-deploy-staging/tests-pass",),
    ),
    _release(
        name="migration-unparsable",
        title="A migration that PostgreSQL cannot parse",
        does="A reviewed commit brings a migration whose third line ends in the middle of a condition.",
        make=_adds(
            "feat(guests): points for every night",
            {f"{_MIGRATIONS}20251124090000_add_points.sql": _UNPARSABLE},
        ),
        items=("pre-deploy-staging/migrations-validated",),
    ),
    _release(
        name="migration-edited",
        title="A migration edited after it was applied",
        does="A reviewed commit adds a statement to a migration that every database ran long ago; none will "
        "run it again.",
        make=_edited,
        items=("pre-deploy-staging/migrations-validated", "review/migrations-valid"),
        besides="The other where it is on its way to production: staging does not serve it then, so that "
        "staging-deployment fails too.",
    ),
    _release(
        name="migration-conflict",
        title="Two migrations with one version",
        does="A reviewed commit brings a migration with the version of one that is on the branch already.",
        make=_adds(
            "feat(rates): discounts", {f"{_MIGRATIONS}20251121100000_add_discounts.sql": _DISCOUNTS}
        ),
        items=("pre-deploy-staging/migration-status",),
    ),
    _undeployed(
        name="staging-behind",
        environment="staging",
        does="A reviewed commit was merged to staging's branch, and its deployment never ran.",
        items=(
            "pre-deploy-production/staging-validated", "review/staging-deployment",
            "post-deploy-staging/deployed",
        ),
        besides="",
    ),
    _undeployed(
        name="commit-not-served",
        environment="production",
        does="A reviewed commit was merged to production's branch, and its deployment never ran.",
        items=("post-deploy-production/deployed",),
        besides="",
    ),
)  # fmt: skip
