"""Calls: nothing outside the allow-list can be said, and answers find whoever asked."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.pm2 import amp, client
from muva_console.ops.pm2.client import Call, Method, RpcClient, RpcError
from tests.patience import HANG
from tests.pm2.local_link import LocalLink
from tests.pm2.real_pm2 import Pm2

MIB = 1024 * 1024

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "env", "action_name", "manually", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from(list(Method)), anything)
def test_a_call_has_one_argument_of_the_methods_shape_or_is_not_made(method: Method, argument: Any) -> None:
    try:
        call = Call(method, argument)
    except ValueError:
        return
    said = json.loads(call.message())
    assert said["type"] == "call"
    assert said["method"] in {m.value for m in Method}
    assert said["args"] == [argument]  # exactly one: with none the daemon dies
    if call.reads:
        assert argument == {}
    elif isinstance(argument, int):
        assert argument >= 0
    else:
        assert isinstance(argument["id"], int)


@pytest.mark.parametrize("name", ["killMe", "getReport", "deleteProcessId", "prepare", "getMonitorData "])
def test_another_method_cannot_be_named(name: str) -> None:
    with pytest.raises(ValueError, match="not a valid Method"):
        Method(name)
    with pytest.raises(TypeError):
        Call(name, {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"PATH": "/"},
        {"current_conf": {}},
        {"current_conf": {"max_memory_restart": 0}},
        {"current_conf": {"max_memory_restart": "1.5G"}},
        {"current_conf": {"max_memory_restart": 1, "script": "/bin/sh"}},
        {"current_conf": {"max_memory_restart": 1}, "PATH": "/"},
    ],
)
def test_a_restart_carries_a_memory_limit_and_nothing_else(env: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="argument"):
        Call(Method.RESTART, {"id": 1, "env": env})
    assert Call(Method.RESTART, {"id": 1, "env": {"current_conf": {"max_memory_restart": MIB}}})


@asynccontextmanager
async def serving(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[tuple[RpcClient, LocalLink]]:
    """A client of a server that misbehaves as `handle` does."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = str(Path(folder) / "s")

        async def tolerant(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handle(reader, writer)
            except (ConnectionError, asyncio.CancelledError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_unix_server(tolerant, path)
        link = LocalLink({})
        rpc = RpcClient(lambda: link.open_unix(path), where="vps")
        try:
            yield rpc, link
        finally:
            await rpc.close()
            server.close()


async def frames(reader: asyncio.StreamReader) -> AsyncIterator[tuple[bytes, ...]]:
    decoder = amp.Decoder()
    while data := await reader.read(65536):
        for frame in decoder.feed(data):
            yield frame


async def test_answers_in_any_order_find_their_questions() -> None:
    async def backwards(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting: list[tuple[bytes, ...]] = []
        async for frame in frames(reader):
            waiting.append(frame)
            if len(waiting) == 20:
                writer.write(amp.encode((b'j:{"args":["nobody asked"]}', b"s:0:999")))
                for message, identity in reversed(waiting):
                    asked = json.loads(message[2:])["args"][0]
                    writer.write(amp.encode((b"j:" + json.dumps({"args": [asked]}).encode(), identity)))

    async with serving(backwards) as (rpc, link):
        calls = [client.stop(number) for number in range(20)]
        answers = await asyncio.gather(*(rpc.call(call) for call in calls))
        assert [int(bytes(answer)) for answer in answers] == list(range(20))
        assert link.opened == 1


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x11\x00\x00\x00\x01x", b"\x1f\xff\xff\xff\xff"]
)
async def test_what_is_not_pm2_is_a_protocol_error(said: bytes) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(said)
        await reader.read()

    async with serving(nonsense) as (rpc, _):
        with pytest.raises(LinkError) as caught:
            await rpc.call(client.ping())
        assert caught.value.fault is Fault.PROTOCOL


@pytest.mark.parametrize("reply", [b"raw", b"j:nonsense", b"j:[]", b"s:text"])
async def test_an_answer_of_another_shape_is_a_protocol_error(reply: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for frame in frames(reader):
            writer.write(amp.encode((reply, frame[-1])))

    async with serving(answer) as (rpc, _):
        with pytest.raises(LinkError) as caught:
            await rpc.call(client.ping())
        assert caught.value.fault is Fault.PROTOCOL


async def test_of_an_error_only_its_words_are_kept() -> None:
    # what Node puts on a failed spawn: the arguments may hold secrets
    error = {"errno": -2, "code": "ENOENT", "spawnargs": ["--token", "s3cr3t"], "message": "spawn x\x1b[31m"}

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for frame in frames(reader):
            answer = json.dumps({"error": error, "stack": "s3cr3t"}).encode()
            writer.write(amp.encode((b"j:" + answer, frame[-1])))

    async with serving(refuse) as (rpc, _):
        with pytest.raises(RpcError) as caught:
            await rpc.call(client.restart(1))
        assert str(caught.value) == "vps: PM2 refused restartProcessId: spawn x"
        assert "s3cr3t" not in repr(caught.value.__dict__)


async def test_a_lost_read_is_asked_again_and_an_act_never() -> None:
    asked: list[str] = []

    async def hang_up_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for frame in frames(reader):
            asked.append(json.loads(frame[0][2:])["method"])
            if len(asked) in {1, 3}:
                return
            writer.write(amp.encode((b'j:{"args":[1]}', frame[-1])))

    async with serving(hang_up_once) as (rpc, link):
        assert bytes(await rpc.call(client.ping())) == b"1"
        assert asked == ["ping", "ping"]
        assert link.opened == 2
        with pytest.raises(LinkError) as caught:
            await rpc.call(client.stop(0))
        assert caught.value.fault is Fault.CLOSED
        assert "not known" in caught.value.means
        assert asked == ["ping", "ping", "stopProcessId"]
        assert bytes(await rpc.call(client.ping())) == b"1"  # and it goes on


async def test_one_silent_call_does_not_hold_the_others() -> None:
    async def deaf_to_stop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for frame in frames(reader):
            if b"stopProcessId" not in frame[0]:
                writer.write(amp.encode((b'j:{"args":[]}', frame[-1])))

    async with serving(deaf_to_stop) as (rpc, link):
        stop = asyncio.create_task(rpc.call(client.stop(0), timeout=0.3))
        for _ in range(5):
            assert bytes(await rpc.call(client.ping())) == b"null"
        with pytest.raises(LinkError) as caught:
            await stop
        assert caught.value.fault is Fault.TIMEOUT
        assert "not known" in caught.value.means
        assert link.opened == 1


async def test_a_caller_who_gives_up_leaves_nothing_behind() -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(deaf) as (rpc, link):
        call = asyncio.create_task(rpc.call(client.ping()))
        while not rpc.connected:
            await asyncio.sleep(0.005)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert rpc._channel is not None
        assert not rpc._channel._pending
        await rpc.close()
        assert link.channels == 0


async def test_pipelined_with_the_real_daemon(shared: Pm2) -> None:
    link = shared.link()
    rpc = RpcClient(lambda: link.open_unix(f"{shared.home}/rpc.sock"), where="vps")
    order: list[str] = []

    async def ask(call: Call) -> str:
        answer = bytes(await rpc.call(call, timeout=HANG))
        order.append(call.method)
        return answer.decode()

    calls = [client.restart(0), *[client.version(), client.ping()] * 50]
    answers = await asyncio.gather(*map(ask, calls))
    assert answers[1:] == ['"7.0.4"', '{"msg":"pong"}'] * 50
    assert json.loads(answers[0])["pm2_env"]["name"] == "web"
    assert order[-1] == Method.RESTART  # asked first, answered last
    assert link.opened == 1
    with pytest.raises(RpcError, match="id unknown"):
        await rpc.call(client.restart(4000))
    await rpc.close()


async def test_a_daemon_that_hangs_is_told_and_waited_for(shared: Pm2) -> None:
    link = shared.link()
    rpc = RpcClient(lambda: link.open_unix(f"{shared.home}/rpc.sock"), where="vps")
    await rpc.call(client.ping())
    os.kill(shared.daemon, signal.SIGSTOP)
    try:
        with pytest.raises(LinkError, match="did not answer ping within") as caught:
            await rpc.call(client.ping(), timeout=0.2)
        assert caught.value.fault is Fault.TIMEOUT
    finally:
        os.kill(shared.daemon, signal.SIGCONT)
    assert bytes(await rpc.call(client.ping())) == b'{"msg":"pong"}'
    await rpc.close()
