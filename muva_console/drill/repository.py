"""The estate's git repository: a history that a small team could have made, and commits added to it.

Every commit builds and serves, so that each may be rolled back to.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct, structs

from muva_console.drill.github import pulls, pushes
from muva_console.drill.github.pulls import Seeded
from muva_console.drill.parts import APPLICATION
from muva_console.drill.run import run
from muva_console.drill.state import Estate
from muva_console.ops.errors import OpsError

_DANA = "Dana Castillo <dana@example.com>"
_EVE = "Eve Lindqvist <eve@example.com>"
_OSKAR = "Oskar Weiss <oskar@example.com>"
_HOUR = 3600
_PULL = re.compile(r"\s*\(#(\d+)\)$")

_MIGRATIONS = "supabase/migrations/"
_REVIEWS = """-- What guests say after their stay.
create table public.reviews (
  id uuid primary key default gen_random_uuid(),
  booking_id uuid not null unique references public.bookings (id) on delete cascade,
  stars smallint not null check (stars between 1 and 5),
  body text not null default '',
  published boolean not null default false,
  created_at timestamptz not null default now()
);

alter table public.reviews enable row level security;
create policy "anyone sees published reviews" on public.reviews
  for select to anon, authenticated using (published);
"""

Files = dict[str, bytes]
"""A tree: contents by path."""


class _Commit(Struct, frozen=True):
    """A commit of the made-up history: on dev, and merged onward when `release` says so."""

    author: str
    hours_ago: int
    message: str
    version: str
    changes: Files
    release: str = ""
    """"" stays on dev; "staging" is merged to staging; "main" to staging and then main."""
    pull: int | None = None
    """The pull request it came by, where its message does not tell; none has the first commit."""
    merges: tuple[int, ...] = ()
    """The pull requests that merged it onward: to staging, to main."""


def application_files() -> Files:
    """The practice application as it is checked in."""
    renamed = {"gitignore": ".gitignore", "env.template": ".env.template"}
    found = {}
    for path in sorted(APPLICATION.rglob("*")):
        if path.is_file() and "node_modules" not in path.parts and "dist" not in path.parts:
            name = path.relative_to(APPLICATION).as_posix()
            if name.startswith("github/"):
                name = f".{name}"
            found[renamed.get(name, name)] = path.read_bytes()
    return found


def _with_version(files: Files, version: str) -> bytes:
    package = json.loads(files["package.json"])
    package["version"] = version
    return (json.dumps(package, indent=2) + "\n").encode()


def _history(files: Files) -> list[_Commit]:
    migrations = sorted(name for name in files if name.startswith(_MIGRATIONS))
    base = {name: data for name, data in files.items() if name not in migrations[3:]}

    def adding(*names: str) -> Files:
        return {name: files[name] for name in migrations if any(word in name for word in names)}

    readme = files["README.md"]
    pages = files["src/pages.js"]
    next_year = pages.replace(b"${calendar(2026)}", b"${calendar(2026)}${calendar(2027)}")
    reviews = {_MIGRATIONS + "20251121100000_add_reviews.sql": _REVIEWS.encode()}
    return [
        _Commit(_DANA, 40 * 24, "feat: accommodations, guests and staff", "1.0.0", base, "main"),
        _Commit(_EVE, 30 * 24, "feat(chat): conversations from the website and WhatsApp (#12)", "1.1.0",
                adding("create_chat"), "main", merges=(13, 14)),
        _Commit(_EVE, 24 * 24, "perf(chat): index messages by conversation (#19)", "1.1.1",
                adding("chat_indexes")),
        _Commit(_OSKAR, 17 * 24, "feat(bookings): book a stay from the chat (#27)", "1.3.0",
                adding("add_bookings"), "main", merges=(28, 29)),
        _Commit(_DANA, 9 * 24, "security: row level security on every table (#33)", "1.4.0",
                adding("row_level")),
        _Commit(_OSKAR, 8 * 24, "docs: how to deploy by hand", "1.4.0",
                {"README.md": readme + b"\nBy hand: pull, install, build, `pm2 restart`.\n"}, "main",
                34, (35, 36)),
        _Commit(_EVE, 4 * 24, "feat(dashboard): occupancy of the coming weeks (#38)", "1.4.1",
                adding("occupancy")),
        _Commit(_DANA, 50, "fix(health): tell the commit that serves (#41)", "1.4.2", {}, "main",
                merges=(42, 44)),
        _Commit(_OSKAR, 20, "fix(rates): show the rates of next year (#43)", "1.5.0-rc.1",
                {"src/pages.js": next_year}, "staging", merges=(46,)),
        _Commit(_EVE, 6, "feat(reviews): let guests review their stay (#45)", "1.5.0-dev", reviews),
        _Commit(_EVE, 3, "docs: reviews", "1.5.0-dev",
                {"docs/reviews.md": b"# Reviews\n\nAfter check-out.\n"}, pull=51),
        _Commit(_OSKAR, 1, "chore: name the support address", "1.5.0-dev",
                {"README.md": readme + b"\nSupport: #muva-chat on Slack.\n"}, pull=52),
    ]  # fmt: skip


class _Stream:
    """Writes the input of `git fast-import`."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.marks = 0
        self.heads: dict[str, str] = {}

    def branch(self, name: str, start: str) -> None:
        """Begin a branch at a commit."""
        self.data += f"reset refs/heads/{name}\nfrom {start}\n\n".encode()
        self.heads[name] = start

    def commit(
        self,
        branch: str,
        *,
        author: str,
        when: int,
        message: str,
        files: Files,
        merge: str | None = None,
        remove: Sequence[str] = (),
    ) -> str:
        """Add a commit and return its mark; it takes the tree of its first parent, changed by `files`."""
        self.marks += 1
        text = message.encode()
        self.data += f"commit refs/heads/{branch}\nmark :{self.marks}\n".encode()
        self.data += f"author {author} {when} +0000\ncommitter {author} {when} +0000\n".encode()
        self.data += b"data %d\n%s\n" % (len(text), text)
        if branch in self.heads:
            self.data += f"from {self.heads[branch]}\n".encode()
        if merge is not None:
            self.data += f"merge {merge}\n".encode()
        for name in remove:
            self.data += f"D {name}\n".encode()
        for name, content in sorted(files.items()):
            self.data += f"M 100644 inline {name}\ndata {len(content)}\n".encode() + content + b"\n"
        self.data += b"\n"
        self.heads[branch] = f":{self.marks}"
        return self.heads[branch]


def _import_stream() -> tuple[bytes, list[Seeded]]:
    """The history for `git fast-import`, and its pull requests, with marks for commits."""
    files = application_files()
    stream, now = _Stream(), int(time.time())
    found: list[Seeded] = []
    carried: dict[str, list[str]] = {"staging": [], "main": []}
    waiting: Files = {}
    for entry in _history(files):
        when = now - entry.hours_ago * _HOUR
        changes = {**entry.changes, "package.json": _with_version(files, entry.version)}
        waiting |= changes
        mark = stream.commit("dev", author=entry.author, when=when, message=entry.message, files=changes)
        told = _PULL.search(entry.message)
        number = int(told[1]) if told else entry.pull
        if number is not None:
            title = _PULL.sub("", entry.message).strip()
            found.append(_seeded(number, title, entry.author, ("", "dev"), when, mark, [mark]))
        carried["staging"].append(mark)
        numbers = iter(entry.merges)
        for target, source in (("staging", "dev"), ("main", "staging")):
            if entry.release not in (target, "main"):
                continue
            if target not in stream.heads:
                stream.branch(target, mark)
            else:
                number, title = next(numbers), f"Release {entry.version}"
                message = f"Merge pull request #{number} from {source}\n\n{title}"
                at = when + number * 60
                mark = stream.commit(
                    target, author=_DANA, when=at, message=message, files=waiting, merge=mark
                )
                found.append(_seeded(number, title, _DANA, (source, target), at, mark, carried[target]))
            if target == "staging":
                carried["main"] += [*carried["staging"], mark]
            carried[target] = []
        if entry.release == "main":
            waiting = {}
    return bytes(stream.data), found


def _seeded(
    number: int, title: str, author: str, way: tuple[str, str], at: int, merge: str, commits: list[str]
) -> Seeded:
    head, base = way
    login = author.partition(" <")[0].lower().replace(" ", "-")
    return Seeded(
        number=number, title=title, author=login, base=base, head=head, at=at, merge_commit=merge,
        commits=tuple(commits),
    )  # fmt: skip


async def create(estate: Estate) -> None:
    """Make the bare repository with dev, staging and main, and its pull requests. Raises OpsError."""
    words = ("git", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", estate.repository)
    await run(words, env=_environment())
    # As a pack: loose objects would be a hundred folders more to make and to remove.
    data, history = _import_stream()
    marks = estate.repository / "marks"
    await _git(
        estate, "-c", "fastimport.unpackLimit=1", "fast-import", "--quiet", f"--export-marks={marks}",
        input=data,
    )  # fmt: skip
    pushes.install_hook(estate)
    shas = dict(line.split() for line in marks.read_text().splitlines())
    marks.unlink()
    pulls.seed(estate, [
        structs.replace(
            one, merge_commit=shas[one.merge_commit], commits=tuple(shas[mark] for mark in one.commits)
        )
        for one in history
    ])  # fmt: skip


async def clone(estate: Estate, branch: str, directory: Path) -> None:
    """A clone with `branch` checked out. Raises OpsError."""
    words = ("git", "clone", "--quiet", "--template=", "--branch", branch, estate.repository, directory)
    await run(words, env=_environment())


async def read(estate: Estate, branch: str, path: str) -> str:
    """A file's text as it stands on a branch of the repository. Raises OpsError."""
    return await _git(estate, "show", f"{branch}:{path}")


async def head(estate: Estate, branch: str) -> str:
    """The commit that a branch stands at, 40 hexadecimal digits. Raises OpsError."""
    return (await _git(estate, "rev-parse", f"refs/heads/{branch}")).strip()


async def commit(
    estate: Estate, branch: str, message: str, files: Files, *, remove: Sequence[str] = ()
) -> str:
    """Add a commit to a branch of the repository, as a push would; returns its hash. Raises OpsError."""
    stream = _Stream()
    stream.heads[branch] = f"refs/heads/{branch}^0"
    stream.commit(branch, author=_OSKAR, when=int(time.time()), message=message, files=files, remove=remove)
    await _git(estate, "fast-import", "--quiet", input=bytes(stream.data))
    return await head(estate, branch)


async def undo(estate: Estate, branch: str, commit: str) -> str | None:
    """Take a commit off a branch: the branch goes back to before it where nothing came after it (then None),
    else the commit that reverts it is added and returned. None too when the branch does not have it.

    Raises OpsError when later commits changed the same lines.
    """
    now = await head(estate, branch)
    parent = (await _git(estate, "rev-parse", f"{commit}^")).strip()
    if now == commit:
        await _git(estate, "update-ref", f"refs/heads/{branch}", parent, commit)
        return None
    if not (await _git(estate, "rev-list", "--max-count=1", commit, f"^{now}")).strip():
        patch = (await _git(estate, "diff", "--binary", commit, parent)).encode()
        index = {"GIT_INDEX_FILE": str(estate.repository / "index.undo")}
        await _git(estate, "read-tree", now, env=index)
        try:
            await _git(estate, "apply", "--cached", "-", input=patch, env=index)
        except OpsError as error:
            raise OpsError(
                f"later commits changed the same lines as {commit[:7]}",
                where=branch,
                next="Undo those first.",
            ) from error
        tree = (await _git(estate, "write-tree", env=index)).strip()
        subject = (await _git(estate, "log", "-1", "--format=%s", commit)).strip()
        message = f'Revert "{subject}"\n\nThis reverts commit {commit}.'
        name, _, address = _OSKAR.removesuffix(">").partition(" <")
        person = ("-c", f"user.name={name}", "-c", f"user.email={address}")
        made = (await _git(estate, *person, "commit-tree", tree, "-p", now, "-m", message)).strip()
        await _git(estate, "update-ref", f"refs/heads/{branch}", made, now)
        return made
    return None


async def between(estate: Estate, base: str, tip: str) -> tuple[str, ...]:
    """The commits that one branch has and another has not, newest first. Raises OpsError."""
    return tuple((await _git(estate, "rev-list", tip, f"^{base}")).split())


async def _git(
    estate: Estate, *words: str | Path, input: bytes | None = None, env: dict[str, str] | None = None
) -> str:
    """Run git in the bare repository, unaffected by the configuration of whoever runs the drill."""
    environment = {**_environment(), **(env or {})}
    return (await run(["git", "-C", estate.repository, *words], env=environment, input=input)).decode()


def _environment() -> dict[str, str]:
    return {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
