"""The allow-list: whatever PM2 sends, the fields that are named, harmless; and nothing else."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.pm2.model import Process
from muva_console.ops.pm2.parse import RawEnv, RawProcess, processes

SECRET = "s3cr3t-Zq9"
FIELDS = [*RawEnv.__struct_fields__]

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def one(**pm2_env: Any) -> Process:
    raw = {"name": "web", "pm_id": 0, "pid": 7, "monit": {"memory": 5, "cpu": 1.5}, "pm2_env": pm2_env}
    return processes(json.dumps([raw]).encode(), "vps")[0]


@given(
    anything,
    st.integers(min_value=0, max_value=99),
    st.dictionaries(st.sampled_from(FIELDS), anything),
    anything,
    anything,
)
def test_any_value_in_any_field_is_read_harmlessly(
    name: Any, pm_id: int, env: dict[str, Any], monit: Any, pid: Any
) -> None:
    raw = {"name": name, "pm_id": pm_id, "pid": pid, "monit": monit, "pm2_env": env}
    (process,) = processes(json.dumps([raw]).encode(), "vps")
    encoded = msgspec.json.decode(msgspec.json.encode(process), type=Process)  # every field has its type
    assert encoded == process
    assert "\x1b" not in repr(process) and "\x00" not in process.name + process.cwd


@given(anything)
def test_what_is_no_list_of_processes_is_a_protocol_error(answer: Any) -> None:
    try:
        assert all(isinstance(p, Process) for p in processes(json.dumps(answer).encode(), "vps"))
    except LinkError as error:
        assert error.fault is Fault.PROTOCOL
        assert error.where == "vps"


@given(st.binary(max_size=200))
def test_bytes_that_are_no_json(data: bytes) -> None:
    try:
        processes(data, "vps")
    except LinkError as error:
        assert error.fault is Fault.PROTOCOL


def test_a_deep_nest_is_an_error_and_no_crash() -> None:
    with pytest.raises(LinkError):
        processes(b'[{"pm2_env":' + b"[" * 100_000, "vps")


def test_a_secret_stays_out_wherever_it_is_planted() -> None:
    everything = {
        "env": {"DATABASE_URL": SECRET, "namespace": SECRET, "pm_cwd": SECRET},
        "DATABASE_URL": SECRET,
        "args": [SECRET],
        "pm_exec_path": f"/x/{SECRET}",
        "versioning": {"url": f"https://{SECRET}@github.com/x/y", "revision": SECRET, "branch": "main"},
        "axm_options": {"token": SECRET},
        # a variable that bears a field's name is flattened over it
        "namespace": SECRET,
        "pm_cwd": SECRET,
        "pm_out_log_path": SECRET,
        "version": SECRET,
        "node_version": SECRET,
        "exec_mode": SECRET,
        "status": SECRET,
        "exit_code": SECRET,
        "instances": SECRET,
        "pm_uptime": SECRET,
        "restart_time": SECRET,
        "max_memory_restart": SECRET,
    }
    process = one(**everything)
    assert SECRET not in repr(process)
    assert SECRET.encode() not in msgspec.json.encode(process)
    assert process.branch == "main"
    for raw in (RawProcess, RawEnv):
        assert "args" not in raw.__struct_fields__


def test_no_error_quotes_what_was_read() -> None:
    for broken in (f'[{{"name": "{SECRET}"', f'{{"error": "{SECRET}"}}', f'["{SECRET}"]', f"{SECRET}"):
        with pytest.raises(LinkError) as caught:
            processes(broken.encode(), "vps")
        error: BaseException | None = caught.value
        while error is not None:
            assert SECRET not in repr(error) + str(error) + repr(error.__dict__)
            error = error.__context__


def test_half_a_surrogate_pair_in_one_name_does_not_hide_the_others() -> None:
    data = (
        rb'[{"name":"a\ud83d\\ud800\ude00b","pm_id":0},{"name":"\ud83d\ude00 \ud800\"x","pm_id":1}'
        rb',{"name":"web","pm_id":2}]'
    )
    names = [process.name for process in processes(data, "vps")]
    assert names == ["a\ufffd\\ud800\ufffdb", '\U0001f600 \ufffd"x', "web"]


def test_a_hostile_name_is_harmless() -> None:
    data = json.dumps([{"name": "nul\x00 esc\x1b]52;c;ZXZpbA==\x07\nx\u202e", "pm_id": 0}]).encode()
    assert processes(data, "vps")[0].name == "nul\u00b7 esc x\u00b7"


def test_a_worker_on_its_way_out_is_no_process() -> None:
    assert processes(b'[{"name":"x","pm_id":"_old_3"},{"name":"x","pm_id":3}]', "vps")[0].pm_id == 3


def test_what_runs_and_what_does_not() -> None:
    started = 1763840000000
    running = one(status="online", pm_uptime=started, max_memory_restart=1024, exit_code=1)
    assert running.pid == 7
    assert running.started_at is not None
    assert running.started_at.timestamp() == started / 1000
    stopped = one(status="stopped", pm_uptime=started)
    assert stopped.pid is None
    assert stopped.started_at is None
