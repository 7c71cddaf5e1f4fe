"""The parsers of a host's answer: right on real output, unknown rather than wrong on anything else."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muva_console.ops import resources
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.resources import CpuSample, Filesystem

MEMINFO = "MemTotal:        2000 kB\nMemFree: 10 kB\nMemAvailable:    500 kB\nHugePages_Total:       0\n"
DF = """\
Filesystem                1024-blocks     Used Available Capacity Mounted on
/dev/vda1                      100000    81000      9000      90% /
tmpfs                            1000        0      1000       0% /run with space
//server/a share               500000   250000    250000      50% /mnt/share
none                                0        0         0       -  /sys/kernel/security
/dev/vda1                      100000    81000      9000      90% /
"""
INODES = """\
Filesystem      Inodes  IUsed IFree IUse% Mounted on
/dev/vda1          200    190    10   95% /
tmpfs             1000      1   999    1% /run with space
btrfs                0      0     0     - /mnt/share
"""


def parts(**changes: str) -> dict[str, str]:
    return {
        "meminfo": MEMINFO,
        "loadavg": "0.50 1.25 2.00 1/177 29466",
        "uptime": "3165.86 4228.74",
        "cores": "2",
        "hostname": "vps",
        "df": DF,
        "inodes": INODES,
        "vmstat": "oom_kill 3",
    } | changes


def test_filesystems_as_df_reckons_them() -> None:
    root, run, share = resources.parse_df(DF, INODES)
    assert root == Filesystem(
        mount="/", size=102_400_000, used=82_944_000, used_fraction=0.9, inodes_fraction=0.95
    )
    assert run.mount == "/run with space"
    assert share.mount == "/mnt/share"
    assert share.inodes_fraction is None


def test_this_machine_is_read_as_its_own_tools_print_it() -> None:
    blocks = subprocess.run(["df", "-P", "-k", "/"], capture_output=True, text=True, check=True).stdout
    inodes = subprocess.run(["df", "-P", "-i", "/"], capture_output=True, text=True, check=True).stdout
    (root,) = resources.parse_df(blocks, inodes)
    assert f"{root.size // 1024}" in blocks
    meminfo = resources.parse_meminfo(Path("/proc/meminfo").read_text())
    assert 0 < meminfo["MemAvailable"] <= meminfo["MemTotal"]
    sample = resources.parse_cpu(Path("/proc/stat").read_text().splitlines()[0])
    assert sample is not None
    assert 0 < sample.idle < sample.total
    assert resources.parse_load(Path("/proc/loadavg").read_text()) is not None
    assert resources.parse_uptime(Path("/proc/uptime").read_text())


def test_the_whole() -> None:
    samples = [CpuSample(1000, 900), CpuSample(1100, 940)]
    reading = resources.compose("vps", parts(missing="/var/www/\x1b[31mgone"), samples)
    assert reading.memory_fraction == 0.75
    assert reading.load == (0.5, 1.25, 2.0)
    assert reading.cpu_fraction == pytest.approx(0.6)
    assert reading.oom_kills == 3
    assert reading.swap_total == 0
    assert reading.recent_ooms is None
    assert reading.notes == ("/var/www/gone is not there",)


@pytest.mark.parametrize("essential", ["meminfo", "loadavg", "uptime", "cores"])
@pytest.mark.parametrize("text", ["", "Permission denied", "-1", "0"])
def test_without_an_essential_there_is_no_reading(essential: str, text: str) -> None:
    with pytest.raises(LinkError) as caught:
        resources.compose("vps", parts(**{essential: text}), [])
    assert caught.value.fault is Fault.PROTOCOL


def test_no_memory_at_all_is_a_reading_too() -> None:
    reading = resources.compose("vps", parts(meminfo="MemTotal: 2000 kB\nMemAvailable: 0 kB\n"), [])
    assert reading.memory_fraction == 1.0


def test_what_is_missing_is_unknown() -> None:
    reading = resources.compose("vps", parts(vmstat="", df="", inodes=""), [CpuSample(1, 1)])
    assert (reading.oom_kills, reading.cpu_fraction, reading.filesystems) == (None, None, ())
    assert "df tells nothing" in reading.notes


def test_ooms_as_dmesg_and_journalctl_tell_them() -> None:
    dmesg = (
        "2026-05-05T12:00:00,123456+00:00 Out of memory: Killed process 4711 (node) total-vm:900kB, "
        "anon-rss:512kB, file-rss:0kB, shmem-rss:0kB, UID:1000\n"
    )
    journal = (
        "2026-05-05T14:00:00+0200 vps kernel: Memory cgroup out of memory: Killed process 12 (a (b)) x\n"
    )
    first, second = resources.parse_ooms(dmesg + "noise\n" + journal)
    assert (first.pid, first.process, first.memory) == (4711, "node", 524288)
    assert first.at == second.at == datetime(2026, 5, 5, 12, tzinfo=UTC)
    assert second.memory is None


def test_a_marker_in_the_output_forges_nothing() -> None:
    output = "\nabc:hostname\nvps\nabd:meminfo\nevil\n\nabc:meminfo\nreal\n\nabc:hostname\nfalse\n"
    assert resources.split(output, "abc") == {"hostname": "vps\nabd:meminfo\nevil", "meminfo": "real"}


@given(st.text(), st.text())
def test_df_of_anything_is_within_bounds(blocks: str, inodes: str) -> None:
    for disk in resources.parse_df(blocks, inodes):
        assert 0 <= disk.used_fraction <= 1
        assert disk.inodes_fraction is None or 0 <= disk.inodes_fraction <= 1
        assert disk.mount.isprintable()


NUMBERS = st.integers(0, 10**18)


@given(NUMBERS, NUMBERS, st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20))
def test_df_lines_are_understood_whatever_the_mount_is_called(used: int, free: int, name: str) -> None:
    line = f"/dev/x {used + free} {used} {free} 5% /{name}"
    disks = resources.parse_df(line, "")
    if used + free:
        assert disks[0].used_fraction == used / (used + free)


@given(st.text())
def test_nothing_that_a_host_prints_breaks_the_parsers(text: str) -> None:
    resources.parse_meminfo(text)
    resources.parse_load(text)
    resources.parse_uptime(text)
    resources.parse_cpu(text)
    resources.parse_oom_count(text)
    resources.parse_ooms(text)
    resources.split(text, "marker")


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
def test_the_cpu_share_is_a_share(total: int, idle: int, more: int, more_idle: int) -> None:
    share = resources.cpu_share(CpuSample(total, idle), CpuSample(more, more_idle))
    assert share is None or 0 <= share <= 1
    assert (share is None) == (more <= total)
