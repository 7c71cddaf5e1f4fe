"""What a host tells of PM2 without asking PM2: one cheap shell command, a few forks, no Node.

Whether the daemon lives is looked up here and never asked of `pm2`, which would start one.
"""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.base import HostLink
from muva_console.ops.pm2 import daemon_log, tree
from muva_console.ops.text import sanitise_line

SURVEY_TIMEOUT = 10.0
"""Seconds. It takes 10 to 30 ms on a host that is well."""


class Pm2Down(LinkError):
    """PM2's daemon does not run on the host (or has lost its socket). Nothing was started by looking."""


OUTPUT_LIMIT = 8 * 1024 * 1024

# `$1` PM2's home as configured; prints `home`, `pid` and, with the title of that process, `alive`.
_HOME = r"""
case "$1" in '~') h=$HOME;; '~/'*) h=$HOME/${1#'~/'};; *) h=$1;; esac
r=$(cd -P -- "$h" 2>/dev/null && pwd -P) && h=$r
printf 'home %s\n' "$h"
pid=; [ -r "$h/pm2.pid" ] && { read -r pid < "$h/pm2.pid" || :; }
case "$pid" in ''|*[!0-9]*) pid=;; esac
alive=; [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] && alive=$(tr '\000\n' '  ' < "/proc/$pid/cmdline")
[ -n "$pid" ] && printf 'pid %s\n' "$pid"
[ -n "$alive" ] && printf 'alive %s\n' "$alive"
[ -S "$h/rpc.sock" ] && printf 'socket\n'
"""

PAUSE = 0.2
"""Seconds between two samples of one look: 20 ticks of the kernel's accounting."""

# `$2` and `$3`: inode of the log and how much of it is known. `$4`: "twice" to sample the processes a
# second time, for a rate at the first look.
_SURVEY = (
    # the clock first: it is set against ours at the time of asking
    "c=$(date '+%s.%N %z')\n"
    + _HOME
    + r"""
printf 'clock %s\n' "$c"
printf 'page %s\n' "$(getconf PAGESIZE 2>/dev/null || echo 4096)"
sample() {
  read -r up rest < /proc/uptime && printf 'sample %s\n' "$up"
  sed -n -s @SED@ /proc/[0-9]*/stat 2>/dev/null
  printf 'end\n'
}
sample
if [ "$4" = twice ]; then sleep @PAUSE@ 2>/dev/null && sample; fi
if [ -r "$h/pm2.log" ]; then
  set -- "$1" "$2" "$3" "$4" $(stat -c '%i %s %Y' "$h/pm2.log" 2>/dev/null)
  if [ -n "$7" ]; then
    from=0; [ "$2" = "$5" ] && [ "$3" -le "$6" ] && from=$3
    [ $(( $6 - from )) -gt @TAIL@ ] && from=$(( $6 - @TAIL@ ))
    printf 'log %s %s %s %s\n' "$5" "$6" "$7" "$from"
    [ "$6" -gt "$from" ] && tail -c "+$(( from + 1 ))" "$h/pm2.log" | head -c $(( $6 - from ))
  fi
fi
exit 0
""".replace("@SED@", shlex.quote(tree.STAT_SED))
    .replace("@TAIL@", str(daemon_log.TAIL_BYTES))
    .replace("@PAUSE@", str(PAUSE))
)

# Only where the daemon lives may `pm2` be run: it would start another. 98 says that it does not.
# A pm2 installed by nvm needs the node beside it, which a login without a terminal does not have in PATH.
_GUARDED = (
    _HOME
    + r"""
case "$alive" in *[pP][mM]2*|*'God Daemon'*) ;; *) exit 98;; esac
[ -S "$h/rpc.sock" ] || exit 98
shift; c=$1; shift
case "$c" in '~/'*) c=$HOME/${c#'~/'};; esac
case "$c" in /*) PATH=${c%/*}:$PATH; export PATH;; esac
PM2_HOME=$h; export PM2_HOME
exec "$c" "$@"
"""
)
GUARD_STATUS = 98


@dataclass(frozen=True, slots=True)
class LogPiece:
    """A stretch of the daemon's log."""

    inode: int
    size: int
    modified: float
    start: int
    """Where in the file `data` begins."""
    data: bytes


@dataclass(frozen=True, slots=True)
class Survey:
    """What one look told."""

    home: str
    """PM2's home, absolute."""
    daemon: int | None
    """What pm2.pid says."""
    title: str
    """The command line of the process with that pid; empty when there is none."""
    socket: bool
    clock_offset: float | None
    """Seconds that the host's clock is ahead of ours; as exact as half the time the survey took."""
    host_clock: float | None
    """The host's clock, seconds since 1970, when it was looked at."""
    utc_offset: float
    samples: tuple[tree.TreeSample, ...]
    log: LogPiece | None
    taken: float
    """time.monotonic() when it was taken, as exact as the clock's offset."""

    @property
    def alive(self) -> bool:
        """Whether the daemon's process exists: the pid may have passed to another, so its title is read."""
        return "pm2" in self.title.lower() or "god daemon" in self.title.lower()

    def down(self, host: str) -> Pm2Down:
        """Why PM2 cannot be asked, in the words of what was seen."""
        home = sanitise_line(self.home, cap=300)
        if self.alive:
            return Pm2Down(
                Fault.MISSING,
                f"PM2's daemon lives (pid {self.daemon}) but nothing answers on {home}/rpc.sock",
                where=host,
                means="it is starting, or its socket was removed; `pm2` would start a second daemon now",
            )
        if self.daemon is None:
            return Pm2Down(
                Fault.MISSING,
                f"PM2 does not run: there is no {home}/pm2.pid",
                where=host,
                means="never started, ended by `pm2 kill`, in another folder, or not for this user to see",
                next="check pm2_home of this host in muva.toml; `pm2 resurrect` starts the saved processes",
            )
        return Pm2Down(
            Fault.MISSING,
            f"PM2's daemon is gone: its pid {self.daemon} does not exist any more",
            where=host,
            means="it was killed or crashed; its applications may still run, with nobody to restart them",
            next="`pm2 resurrect` starts the saved processes; end what still holds their ports first",
        )

    @property
    def version(self) -> str:
        """The daemon's version as its title tells it (``PM2 v7.0.4: God Daemon (…)``), or empty."""
        words = self.title.split()
        if len(words) > 1 and words[0] == "PM2" and words[1].startswith("v"):
            return sanitise_line(words[1].removeprefix("v").rstrip(":"), cap=40)
        return ""


_LOOK_NOTE = "# ps -eo pid,ppid,rss,time,args; tail ~/.pm2/pm2.log\n"
"""What a person would type to see the same; the command log shows it (links/ssh.py)."""


def command(home: str, *, inode: int = 0, known: int = 0, twice: bool = False) -> str:
    """The command line that looks."""
    return _sh(_LOOK_NOTE + _SURVEY.strip(), home, str(inode), str(known), "twice" if twice else "once")


def guarded(home: str, argv: list[str]) -> str:
    """The command line that runs `argv` with PM2_HOME set where the daemon lives, and else ends with 98."""
    told = sanitise_line(shlex.join(["PM2_HOME=" + home, *argv]))
    return _sh(f"# {told}\n" + _GUARDED.strip(), home, *argv)


def _sh(script: str, *arguments: str) -> str:
    """For any login shell: what follows is words in single quotes."""
    return " ".join(["sh", "-c", shlex.quote(script), "muva", *map(shlex.quote, arguments)])


async def look(link: HostLink, home: str, *, inode: int = 0, known: int = 0, twice: bool = False) -> Survey:
    """Look at the host. Raises LinkError when it cannot be reached or answers nonsense."""
    sent, taken = time.time(), time.monotonic()
    result = await link.run(
        command(home, inode=inode, known=known, twice=twice), timeout=SURVEY_TIMEOUT, limit=OUTPUT_LIMIT
    )
    took = time.monotonic() - taken
    there = max(0.0, took - PAUSE if twice else took) / 2
    survey = parse(result.stdout, sent=sent + there, taken=taken + there)
    if survey is None:
        said = sanitise_line(result.stderr or result.stdout, cap=200)
        raise LinkError(
            Fault.PROTOCOL,
            f"the host's shell did not run a simple command (exit {result.exit_status}): {said or 'no word'}",
            where=link.host,
            next=f"try: ssh {link.host} sh -c 'echo ok'",
        )
    return survey


def parse(output: bytes, *, sent: float, taken: float) -> Survey | None:
    """Of what the command printed; None when it is not that. `sent`: our clock when the host looked."""
    home = ""
    daemon: int | None = None
    title = ""
    socket = False
    clock: float | None = None
    zone = 0.0
    page = 4096
    samples: list[tree.TreeSample] = []
    log: LogPiece | None = None
    position = 0
    while position < len(output):
        end = output.find(b"\n", position)
        end = len(output) if end < 0 else end
        word, _, rest = output[position:end].partition(b" ")
        position = end + 1
        value = rest.decode("utf-8", "replace")
        try:
            if word == b"home":
                home = value
            elif word == b"pid":
                daemon = int(value)
            elif word == b"alive":
                title = value[:400]
            elif word == b"socket":
                socket = True
            elif word == b"clock":
                clock, zone = _clock(value)
            elif word == b"page":
                page = int(value)
            elif word == b"sample":
                stop = output.find(b"\nend\n", position - 1)
                if stop < 0:
                    break
                lines = output[position : max(stop, position)].split(b"\n")
                samples.append(tree.TreeSample.parse(lines, page, float(value)))
                position = stop + len(b"\nend\n")
            elif word == b"log":
                inode, size, modified, start = map(int, value.split())
                log = LogPiece(inode, size, float(modified), start, output[position:])
                break
        except ValueError:
            continue
    if not home.startswith("/"):
        return None
    return Survey(
        home=home,
        daemon=daemon,
        title=title,
        socket=socket,
        clock_offset=None if clock is None else clock - sent,
        host_clock=clock,
        utc_offset=zone,
        samples=tuple(samples),
        log=log,
        taken=taken,
    )


def _clock(value: str) -> tuple[float, float]:
    """Of ``1763840000.123456789 +0130``; a date without %N leaves its letters there."""
    seconds, _, zone = value.partition(" ")
    whole, _, fraction = seconds.partition(".")
    clock = float(f"{whole}.{fraction}" if fraction.isdigit() else whole)
    sign = -1 if zone.startswith("-") else 1
    digits = zone.lstrip("+-")
    offset = sign * (int(digits[:2]) * 3600 + int(digits[2:4]) * 60) if digits.isdigit() else 0
    return clock, float(offset)
