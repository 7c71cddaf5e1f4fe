"""The GitHub link: what it asks, what it keeps to itself, and how it tells each way of failing apart."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from muva_console.config.model import Config, Secret
from muva_console.drill import repository
from muva_console.drill.github import records
from muva_console.drill.state import Estate
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.base import CommandLog, LinkStatus
from muva_console.ops.links.github import GitHubLink, GitHubToken, github_token
from muva_console.ops.links.github_model import RateLimited
from muva_console.ops.readings import utc_now
from tests.github.answering import TOKEN, link_to, response, standing

SHA = "a" * 40


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muva_console.ops.links.github_http.PAUSES", (0.0, 0.0))


async def the_error(url: str, *, timeout: float = 20) -> LinkError:
    log = CommandLog()
    link = link_to(url, timeout=timeout, log=log)
    with pytest.raises(LinkError) as caught:
        await link.pulls_of(SHA)
    await link.close()
    told = "\n".join([*caught.value.lines(), *(f"{one.line} {one.outcome}" for one in log.records())])
    assert TOKEN not in told and len(log.records()) == 1
    assert caught.value.where
    return caught.value


async def failing(answer: bytes, *, timeout: float = 20) -> LinkError:
    async with standing(lambda _: answer) as server:
        return await the_error(server.url, timeout=timeout)


async def test_pull_requests_reviews_and_comparisons(hub: Estate, link: GitHubLink) -> None:
    dev = await repository.head(hub, "dev")
    (pull,) = await link.pulls_of(dev)
    assert (pull.number, pull.author.login, pull.merged, pull.base) == (52, "oskar-weiss", True, "dev")
    assert await link.pull(52) == pull
    (review,) = await link.reviews(52)
    assert (review.author.login, review.state, review.commit) == ("dana-castillo", "APPROVED", pull.head_sha)
    compared = await link.compare("staging", "dev")
    assert (compared.status, compared.ahead, compared.behind, len(compared.commits)) == ("diverged", 3, 5, 3)
    assert compared.commits[-1].sha == dev
    assert [one.subject for one in await link.commits_of(46)] == [
        "fix(rates): show the rates of next year (#43)"
    ]
    with pytest.raises(LinkError) as caught:
        await link.pull(4711)
    assert caught.value.fault is Fault.MISSING
    assert (link.state.status, link.state.error) == (LinkStatus.UP, None)
    with pytest.raises(LinkError):
        await link.pulls_of("--upload-pack=x")


async def test_what_is_known_already_costs_nothing(hub: Estate, link: GitHubLink) -> None:
    first = await link.reviews(52)
    assert link.rate is not None
    left = link.rate.remaining
    assert await link.reviews(52) == first
    assert link.rate.remaining == left
    await link.reviews(51)
    assert link.rate.remaining == left - 1


async def test_pages_are_followed_on_the_same_host_only() -> None:
    def page(head: str) -> bytes:
        first = "page=" not in head.splitlines()[0].replace("per_page=", "")
        there = f"{server.url if first else 'http://127.0.0.2:9'}/elsewhere?page=2"
        review = {"state": "APPROVED", "user": {"login": "dana" if first else "eve"}}
        return response(200, json.dumps([review]), link=f'<{there}>; rel="next", <x>; rel="last"')

    async with standing(page) as server:
        link = link_to(server.url)
        assert [one.author.login for one in await link.reviews(1)] == ["dana", "eve"]
        await link.close()


async def test_the_token_stays_with_its_host() -> None:
    async with (
        standing(lambda _: response(200)) as other,
        standing(lambda _: response(302, location=f"{other.url}/blob")) as server,
    ):
        link = link_to(server.url)
        assert await link.pulls_of(SHA) == ()
        await link.close()
    assert f"Bearer {TOKEN}" in server.heads[0]
    assert len(other.heads) == 1 and "authorization" not in other.heads[0].lower()


async def test_hostile_text_is_made_harmless_here() -> None:
    nasty = "a\x1b]52;c;x\x07b\u202ec\nd"
    body = {
        "number": 1, "title": nasty, "state": "closed", "created_at": "2026-01-01T00:00:00Z",
        "html_url": nasty, "user": {"login": nasty}, "labels": [{"name": nasty}], "body": nasty,
        "base": {"ref": nasty, "sha": SHA}, "head": {"ref": nasty, "sha": nasty}, "merge_commit_sha": nasty,
    }  # fmt: skip
    async with standing(lambda _: response(200, json.dumps(body))) as server:
        link = link_to(server.url)
        pull = await link.pull(1)
        await link.close()
    told = [
        pull.title, pull.author.login, pull.base, pull.head, pull.head_sha, pull.merge_commit, pull.url,
        *pull.labels,
    ]  # fmt: skip
    assert set(told) == {"ab·c d"}
    assert "\x1b" not in pull.body and "\u202e" not in pull.body


async def test_refusals_are_told_apart() -> None:
    wrong = await failing(response(401, '{"message": "Bad credentials"}'))
    assert (wrong.fault, "the configuration: Bad credentials" in wrong.what) == (Fault.AUTH, True)
    right = await failing(response(403, "{}", x_accepted_github_permissions="pull_requests=read"))
    assert (right.fault, "pull_requests=read is needed" in right.means) == (Fault.AUTH, True)
    scope = await failing(response(403, "{}", x_accepted_oauth_scopes="repo", x_oauth_scopes="gist"))
    assert scope.means == "the token lacks a scope: one of repo is needed, it has gist"
    hidden = await failing(response(404, '{"message": "Not Found"}'))
    assert (hidden.fault, "may not read it" in hidden.means) == (Fault.MISSING, True)
    assert "githubstatus.com" in (await failing(response(502, "<html>"))).next


async def test_limits_say_until_when_and_are_kept() -> None:
    resets = str(int((utc_now() + timedelta(minutes=12)).timestamp()))
    used_up = response(
        403, "{}", x_ratelimit_limit="5000", x_ratelimit_remaining="0", x_ratelimit_reset=resets
    )
    async with standing(lambda _: used_up) as server:
        link = link_to(server.url)
        for _ in range(2):
            with pytest.raises(RateLimited, match="limit of 5,000 requests an hour is used up") as caught:
                await link.pulls_of(SHA)
            assert 600 < (caught.value.until - utc_now()).total_seconds() <= 721
        await link.close()
        assert len(server.heads) == 1  # it is not asked again before the time
    slow = await failing(response(429, "{}", retry_after="30"))
    assert isinstance(slow, RateLimited)
    assert 25 < (slow.until - utc_now()).total_seconds() <= 30
    unnamed = await failing(response(403, '{"message": "You have exceeded a secondary rate limit."}'))
    assert isinstance(unnamed, RateLimited)


async def test_answers_that_are_none() -> None:
    page = await failing(response(200, "<html>log in"))
    assert (page.fault, page.what) == (Fault.PROTOCOL, "the answer is not JSON (application/json, 12 bytes)")
    other = await failing(response(200, '[{"number": "x"}]'))
    assert (other.fault, "not what GitHub describes" in other.what) == (Fault.PROTOCOL, True)
    half = await failing(response(200, "[]" * 9)[:-5].replace(b"content", b"connection: close\r\ncontent", 1))
    assert (half.fault, half.what) == (Fault.CLOSED, "the answer broke off in its middle")
    nothing = await failing(b"")
    assert (nothing.fault, nothing.what) == (Fault.CLOSED, "the connection was lost before an answer")


async def test_the_network_s_failures_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert (await the_error(f"http://127.0.0.1:{port}")).fault is Fault.REFUSED

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        late = await the_error(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.2)
    assert (late.fault, late.what) == (Fault.TIMEOUT, "no answer within 0.2 s")
    drips = await failing(response(200, "[]" * 9)[:-5], timeout=0.3)
    assert (drips.fault, drips.what) == (Fault.TIMEOUT, "the answer began but did not end within 0.3 s")

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response(200, "[" + " " * 500)[:-500])
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)

    slow = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with slow:  # each byte comes in time, the whole does not
        error = await the_error(f"http://127.0.0.1:{slow.sockets[0].getsockname()[1]}", timeout=0.3)
    assert error.fault is Fault.TIMEOUT
    plain = await asyncio.start_server(
        lambda _, writer: writer.write(b"HTTP/1.1 400 X\r\n\r\n"), "127.0.0.1", 0
    )
    async with plain:
        port = plain.sockets[0].getsockname()[1]
        assert (await the_error(f"https://127.0.0.1:{port}")).fault is Fault.TLS

    def unknown(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    assert (await the_error("http://nowhere.test")).fault is Fault.DNS


async def test_an_answer_without_end_is_not_read_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muva_console.ops.links.github_http.BODY_LIMIT", 100)
    async with standing(lambda _: response(200, "[" + " " * 200 + "]")) as server:
        link = link_to(server.url)
        with pytest.raises(LinkError) as caught:
            await link._http.ask("/x", limit=100)
        await link.close()
    assert caught.value.fault is Fault.TOO_LARGE


async def test_where_the_token_comes_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def resolve(secret: Secret) -> str:
        assert secret.env == "MINE"
        return "from-the-configuration"

    def source(**github: object) -> GitHubToken:
        import msgspec

        return github_token(msgspec.convert({"github": github}, Config), resolve)

    monkeypatch.setenv("PATH", str(tmp_path))  # no gh
    monkeypatch.setenv("GITHUB_TOKEN", "second")
    monkeypatch.setenv("GH_TOKEN", "first")
    given = source(token={"env": "MINE"})
    assert (await given(), given.origin) == ("from-the-configuration", "the environment variable MINE")
    first = source()
    assert (await first(), first.origin) == ("first", "the environment variable GH_TOKEN")
    monkeypatch.delenv("GH_TOKEN")
    assert await source()() == "second"
    monkeypatch.delenv("GITHUB_TOKEN")
    assert await source()() is None
    gh = tmp_path / "gh"
    gh.write_text("#!/bin/sh\n[ \"$*\" = 'auth token --hostname github.com' ] && echo of-gh\n")
    gh.chmod(0o755)
    last = source()
    assert (await last(), last.origin) == ("of-gh", "`gh auth token`")
    monkeypatch.setenv("GH_TOKEN", "bad\x01token")
    with pytest.raises(LinkError, match="is not a token"):
        await source()()


async def test_a_refused_token_is_asked_for_again(hub: Estate) -> None:
    values = iter(["ghp_wrong", records.token_file(hub).read_text().strip()])

    async def changing() -> str:
        return next(values)

    link = link_to(hub.github_url, token=changing)
    with pytest.raises(LinkError, match="does not accept the token"):
        await link.reviews(52)
    assert (link.state.status, len(await link.reviews(52))) == (LinkStatus.DOWN, 1)
    assert link.state.status is LinkStatus.UP
    await link.close()
