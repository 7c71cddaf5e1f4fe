"""The check "no-secrets": nothing that goes out adds a key or a password."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
from pathlib import Path

import msgspec
from msgspec import Struct, field

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import LinkError, OpsError
from muva_console.ops.health.words import count
from muva_console.ops.links.local import run_local
from muva_console.ops.links.outgoing import Outgoing
from muva_console.ops.readings import Finding, Level
from muva_console.ops.release.diff_lines import Added, added_lines
from muva_console.ops.release.secret_baseline import Baseline, read_baseline
from muva_console.ops.release.secret_scan import Answer, File, Hit, Request
from muva_console.ops.text import sanitise_line

GOOD_FOR = 24 * 3600.0
"""Seconds. Two commits do not change. Ours."""
SECONDS = 240.0
"""For the whole check. Ours: detect-secrets looks at about 9,000 lines a second."""
SCAN_SECONDS = 180.0
"""For detect-secrets."""
LARGE = 1024 * 1024
"""Characters added to one file beyond which it is not looked at."""
_SHOWN = 30
_TRACED = 40
"""Commits that are looked through for the one that added a secret."""
_ENV_FILE = re.compile(r"(?:.*/)?\.env(?!\.(?:template|example|sample|defaults?|dist)$)(?:\.[^/]+)?")

NEXT = (
    "Take it out and change it wherever it is valid, for it is in the history. If it is none: the baseline."
)


class _Looked(Struct):
    """What came of the difference."""

    hard: list[Hit] = field(default_factory=list)
    weak: list[Hit] = field(default_factory=list)
    audited: list[Hit] = field(default_factory=list)
    """In the baseline, audited as real secrets."""
    accepted: int = 0
    fresh: int = 0
    """Of those accepted: by entries that this release itself adds, and nobody audited."""
    notes: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    """Files that were not looked at, with the reason."""


@check("no-secrets", title="No secrets", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS)
async def no_secrets(ctx: CheckContext) -> Finding:
    """No line that goes out holds what detect-secrets takes for a secret, but what [project]
    secrets_baseline knows (by file and hash) or a comment `pragma: allowlist secret` allows. Tokens with a
    form of their own, and values behind a suspicious name, fail; words, placeholders and randomness warn.

    The difference is looked at, not each commit: what one commit adds and a later one removes is in the
    history all the same. Values are shown nowhere.
    """
    outgoing = await ctx.outgoing()
    path = ctx.config.project.secrets_baseline
    command = _typed(outgoing, path)
    repository = ctx.going_out().repository
    before = outgoing.merge_base or outgoing.base
    data, old, diff = await asyncio.gather(
        repository.read(outgoing.head, path),
        repository.read(before, path),
        repository.diff(before, outgoing.head),
    )
    shown = sanitise_line(path, cap=100)
    try:
        baseline = Baseline() if data is None else read_baseline(data, shown)
    except OpsError as error:
        return tell(Level.FAIL, str(error), subject=shown, command=command, next=error.next)
    files = await asyncio.to_thread(added_lines, diff)
    looked = _Looked()
    chosen = [file for file in files if _is_looked_at(file, looked) and file.path != path]
    answer = await _scan(ctx, chosen, baseline)
    _sort(answer, baseline, _known_before(old, shown), looked)
    if data is not None:
        known = count(len(baseline.known), "finding")
        looked.notes.append(f"{shown} knows {known}, {looked.accepted} of them here")
    if baseline.exclusions:
        looked.notes.append(
            f"{shown} excludes by {count(baseline.exclusions, 'pattern')}; that took out {answer.excluded}"
        )
    allowed = [_place(file, line) for file, line in dict.fromkeys(answer.allowed)]
    if allowed:
        looked.notes.append(f"allowed by a comment: {', '.join(allowed[:10])}")
    looked.unread += [f"{_place(file, line)} is too long a line" for file, line in answer.long]
    added = await _who_added(ctx, outgoing, chosen, [*looked.audited, *looked.hard])
    return _finding(outgoing, looked, added, chosen, command)


def _is_looked_at(file: Added, looked: _Looked) -> bool:
    shown = sanitise_line(file.path, cap=200)
    if file.binary:
        looked.unread.append(f"{shown} is binary")
    elif file.size > LARGE:
        looked.unread.append(f"{shown} adds {file.size:,} characters")
    else:
        return bool(file.lines)
    return False


async def _scan(ctx: CheckContext, files: list[Added], baseline: Baseline) -> Answer:
    if not files:
        return Answer([], [])
    request = Request(
        [File(file.path, file.lines) for file in files],
        baseline.plugins,
        baseline.exclude_lines,
        baseline.exclude_files,
        baseline.exclude_secrets,
    )
    lines = sum(len(file.lines) for file in files)
    ctx.progress(f"looking for secrets in {count(lines, 'line')} of {count(len(files), 'file')}")
    # -P: the folder it runs in is no place to import from
    command = [sys.executable, "-P", "-m", "muva_console.ops.release.secret_scan"]
    result = await run_local(
        command, cwd=Path("/"), timeout=SCAN_SECONDS, input=msgspec.json.encode(request), leftovers=False
    )
    if result.timed_out:
        raise OpsError(
            f"{count(lines, 'line')} could not be looked through within {SCAN_SECONDS:g} s",
            next="Look at the difference by hand, or exclude what a build made in the baseline.",
        )
    if result.exit_status == 3:
        raise OpsError("the baseline excludes by a pattern that is no regular expression")
    try:
        return msgspec.json.decode(result.stdout if result.ok else b"", type=Answer)
    except msgspec.DecodeError:
        # what it printed may hold lines that it looked at
        raise OpsError(f"detect-secrets could not be run (exit {result.exit_status})") from None


def _known_before(old: bytes | None, where: str) -> set[tuple[str, str]]:
    try:
        return set() if old is None else set(read_baseline(old, where).known)
    except OpsError:
        return set()


def _sort(answer: Answer, baseline: Baseline, before: set[tuple[str, str]], looked: _Looked) -> None:
    """What counts, what is weak, what is known; one hit a line and kind of news."""
    seen: dict[tuple[str, int], Hit] = {}
    accepted: set[tuple[str, str]] = set()
    fresh: set[tuple[str, str]] = set()
    for hit in answer.hits:
        key = (hit.path, hit.hash)
        known = baseline.known.get(key)
        if known is not None and known.is_secret:
            looked.audited.append(hit)
        elif known is not None:
            accepted.add(key)
            if known.is_secret is None and key not in before:
                fresh.add(key)
        else:
            place = (hit.path, hit.line)
            if place not in seen or (seen[place].weak and not hit.weak):
                seen[place] = hit
    for hit in seen.values():
        (looked.weak if hit.weak else looked.hard).append(hit)
    looked.accepted, looked.fresh = len(accepted), len(fresh)


def _finding(
    outgoing: Outgoing, looked: _Looked, added: dict[Hit, str], files: list[Added], command: str
) -> Finding:
    bad = [*looked.audited, *looked.hard]
    committed = [file.path for file in files if _ENV_FILE.fullmatch(file.path)]
    audited = " (audited as a secret)"
    evidence = [_told(hit, added, audited) for hit in looked.audited]
    evidence += [_told(hit, added) for hit in looked.hard]
    evidence = evidence[:_SHOWN]
    evidence += [f"{_told(hit, {})}: {hit.weak}" for hit in looked.weak][:_SHOWN]
    evidence += [f"an environment file goes out: {sanitise_line(path, cap=200)}" for path in committed[:10]]
    evidence += [f"not looked at: {line}" for line in looked.unread[:10]]
    evidence += looked.notes
    lines = sum(len(file.lines) for file in files)
    evidence.append(f"{count(lines, 'added line')} in {count(len(files), 'file')}")
    next_ = ""
    if bad:
        level = Level.FAIL
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        summary = f"{_told(bad[0], added, audited if looked.audited else '')}{more}"
        next_ = NEXT
    elif not outgoing.fetched:
        level, summary = Level.UNKNOWN, "whether this is what goes out cannot be told"
        evidence.append(f"as of the last fetch: {outgoing.fetch_error}")
    elif reasons := _doubts(looked, committed):
        level, summary = Level.WARN, f"no secret for certain, but {'; '.join(reasons)}"
    else:
        level, summary = Level.OK, f"no secret in {count(lines, 'added line')}"
    return tell(
        level,
        summary,
        subject=f"{outgoing.target}…{outgoing.short}",
        evidence=evidence,
        command=command,
        next=next_,
        at=outgoing.at,
    )


def _doubts(looked: _Looked, committed: list[str]) -> list[str]:
    reasons = []
    if looked.weak:
        more = f" and {len(looked.weak) - 1} more" if len(looked.weak) > 1 else ""
        reasons.append(f"look at {_told(looked.weak[0], {})}{more}")
    if committed:
        reasons.append(f"{sanitise_line(committed[0], cap=100)} goes out")
    if looked.fresh:
        reasons.append(f"this release accepts {looked.fresh} in its own baseline, unaudited")
    if looked.unread:
        more = f" and {len(looked.unread) - 1} more" if len(looked.unread) > 1 else ""
        reasons.append(f"not looked at: {looked.unread[0]}{more}")
    return reasons


def _told(hit: Hit, added: dict[Hit, str], more: str = "") -> str:
    by = f", added by {added[hit]}" if hit in added else ""
    return f"{hit.kind} in {_place(hit.path, hit.line)}{by}{more}"


def _place(path: str, line: int) -> str:
    return f"{sanitise_line(path, cap=200)}:{line}"


async def _who_added(
    ctx: CheckContext, outgoing: Outgoing, files: list[Added], hits: list[Hit]
) -> dict[Hit, str]:
    """The commit that each line came with: the oldest from which on it is in the file, newest commits first.
    Only of the first few, and only where a few commits go out.
    """
    repository = ctx.going_out().repository
    texts = {(file.path, number): line for file in files for number, line, _ in file.lines}
    open_ = {hit: texts[hit.path, hit.line].encode() for hit in hits[:10]}
    found: dict[Hit, str] = {}
    commits = outgoing.commits[:_TRACED]
    try:
        for commit in commits:
            contents = await repository.read_all(commit.sha, sorted({hit.path for hit in open_}))
            for hit, line in list(open_.items()):
                if line in contents.get(hit.path, b""):
                    found[hit] = commit.sha[:7]
                elif not commit.merge:
                    del open_[hit]
            if not open_:
                break
    except LinkError:
        return {}
    return found if len(commits) == len(outgoing.commits) else {}


def _typed(outgoing: Outgoing, path: str) -> str:
    files = f"git diff --name-only -z {outgoing.base[:12]}...{outgoing.head[:12]}"
    return f"{files} | xargs -0 detect-secrets-hook --no-verify --baseline {shlex.quote(path)}"
