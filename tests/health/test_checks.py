"""The runner: whatever a check does, there is a finding, in time, and nobody else is held up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from muva_console.config.redact import redactor
from muva_console.ops import checks
from muva_console.ops.checks import CheckContext, check, run_check, run_checks, stream_checks, tell
from muva_console.ops.errors import Fault, LinkError, OpsError
from muva_console.ops.readings import Finding, Level
from tests.patience import HANG

from .conftest import App, MakeContext


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    checks.all_checks()
    monkeypatch.setattr(checks, "_checks", dict(checks._checks))
    yield


def add(name: str, body: object) -> None:
    async def run(ctx: CheckContext) -> Finding:
        result = body(ctx) if callable(body) else body
        if asyncio.iscoroutine(result):
            result = await result
        if isinstance(result, BaseException):
            raise result
        return result  # type: ignore[return-value]

    check(name, title=name.title())(run)


async def test_the_runner_fills_in_what_it_knows(context: MakeContext) -> None:
    add("fine", lambda ctx: tell(Level.OK, "good"))
    (finding,) = await run_check("fine", context())
    assert (finding.check, finding.title, finding.level, finding.summary) == (
        "fine",
        "Fine",
        Level.OK,
        "good",
    )
    assert finding.took_ms > 0
    assert finding.expires is not None
    assert (finding.expires - finding.at).total_seconds() == checks.GOOD_FOR


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (LinkError(Fault.REFUSED, "connection refused", where="vps"), "vps: connection refused"),
        (OpsError("not configured", next="Configure it."), "not configured"),
        (ZeroDivisionError("division by zero"), "a defect in the check: ZeroDivisionError"),
        (asyncio.CancelledError(), "given up"),
        (TimeoutError(), "TimeoutError"),
    ],
)
async def test_whatever_is_raised_is_unknown(context: MakeContext, error: BaseException, says: str) -> None:
    add("raises", error)
    (finding,) = await run_check("raises", context())
    assert finding.level is Level.UNKNOWN
    assert says in finding.summary
    assert finding.check == "raises"
    if isinstance(error, OpsError):
        assert finding.next == error.next


async def test_no_finding_at_all_is_unknown(context: MakeContext) -> None:
    add("nothing", ())
    assert (await run_check("nothing", context()))[0].level is Level.UNKNOWN
    assert (await run_check("no-such-check", context()))[0].level is Level.UNKNOWN


async def test_a_check_that_hangs_and_will_not_be_cancelled_holds_up_nobody(context: MakeContext) -> None:
    release = asyncio.Event()

    async def stubborn(ctx: CheckContext) -> Finding:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return tell(Level.OK, "too late")

    add("stubborn", stubborn)
    add("quick", lambda ctx: tell(Level.OK, "good"))
    async with asyncio.timeout(HANG):
        findings = await run_checks(["stubborn", "quick"], context(), timeout=0.3)
    release.set()
    await asyncio.sleep(0)
    assert [f.level for f in findings] == [Level.UNKNOWN, Level.OK]
    assert "0.3 s" in findings[0].summary


async def test_checks_run_side_by_side_and_stream_as_they_end(context: MakeContext) -> None:
    gate = asyncio.Event()

    async def waits(ctx: CheckContext) -> Finding:
        await gate.wait()
        return tell(Level.OK, "waited")

    async def opens(ctx: CheckContext) -> Finding:
        gate.set()
        return tell(Level.OK, "opened")

    add("waits", waits)
    add("opens", opens)
    assert [f.summary for f in await run_checks(["waits", "opens"], context())] == ["waited", "opened"]
    gate.clear()
    order = [name async for name, _ in stream_checks(["waits", "opens"], context())]
    assert order == ["opens", "waits"]


async def test_readings_are_taken_once_for_a_run_and_anew_for_the_next(
    app: App, context: MakeContext
) -> None:
    async def looks(ctx: CheckContext) -> Finding:
        return tell(Level.OK, str((await ctx.health()).status))

    for name in ("one", "two", "three"):
        add(name, looks)
    ctx = context(url=app.url)
    await run_checks(["one", "two", "three"], ctx)
    assert app.asked == ["/api/health"]
    await run_checks(["one", "two"], ctx)
    assert len(app.asked) == 2


async def test_giving_up_gives_up_the_readings_too(context: MakeContext) -> None:
    reading = asyncio.Event()
    ended = asyncio.Event()

    async def serve() -> None:
        reading.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    async def looks(ctx: CheckContext) -> Finding:
        await ctx._once("slow", serve)
        return tell(Level.OK, "never")

    add("looks", looks)
    task = asyncio.create_task(run_checks(["looks"], context()))
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(ended.wait(), HANG)


async def test_texts_are_harmless_and_without_secrets(context: MakeContext) -> None:
    redactor.add("s3cret-of-the-test")
    add("leaks", ValueError("\x1b[2J s3cret-of-the-test\nsecond line"))
    add("tells", lambda ctx: tell(Level.FAIL, "a s3cret-of-the-test", evidence=["\x1b]0;x\x07y\nz", ""]))
    findings = await run_checks(["leaks", "tells"], context())
    told = repr(findings)
    assert "s3cret" not in told
    assert "x1b" not in told
    assert findings[1].evidence == ("y z",)


def test_two_checks_of_one_name_are_a_mistake() -> None:
    async def other(ctx: CheckContext) -> Finding:
        raise NotImplementedError

    with pytest.raises(ValueError, match="api-health"):
        check("api-health", title="Another")(other)


def test_every_check_of_the_playbook_is_there_and_says_what_it_does() -> None:
    known = {one.name: one for one in checks.all_checks()}
    for name in ("api-health", "database", "dependencies", "performance", "critical-tables"):
        assert known[name].title
        assert len(known[name].about) > 40
