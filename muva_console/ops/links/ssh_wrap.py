r"""What is really run on a host for a command: the command, and a dead man's switch beside it.

sshd does not end a command when its channel is closed (no terminal, no SIGHUP), nor when the
connection dies, and asks privilege separation before it passes a signal on. So the channel's standard
input is kept as a lifeline: a watcher on the host waits for its end, which comes when we close it, when
we die and when sshd notices that the connection is gone, and then ends the command's process group,
gently first. GNU `timeout` makes the group and bounds the command's life for the case in which sshd
does not notice. A stream has no such bound: its lifeline must be written to (`BEAT`) or it counts as
cut.

What leaves the group on purpose (`setsid`, a daemon such as PM2's) lives on, and so does what a
command leaves behind when it ends by itself: neither is ours to kill.
"""

from __future__ import annotations

import base64

GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL."""
MARGIN = 5.0
"""Seconds by which the host's own time-out outlasts ours: ours is the one that is reported."""
BEAT = b"."
"""What is written to a stream's lifeline to keep the command alive."""

_BEGIN = "exec 3<&0 4>&2 </dev/null 2>/dev/null\nexport LC_ALL=C.UTF-8\n"
_GROUP = """\
if command -v timeout >/dev/null; then t="timeout -k @grace@ $2"
elif command -v setsid >/dev/null; then t=setsid
else t=; fi
"""
_SETSID = "if command -v setsid >/dev/null; then t=setsid; else t=; fi\n"
_INPUT = 'i=$(head -c "$3" <&3)\n'
_FEED = 'printf %s "$i" | base64 -d | '
_COMMAND = '$t sh -c "$1" 3<&- 2>&4 4>&- &\np=$!\n'
# `kill -0` also finds zombies, hence the bound; after it nothing of the group may live.
_KILL = (
    'kill -s TERM "$p"; kill -s TERM -- "-$p"; n=0; '
    'while kill -s 0 -- "-$p" && [ $n -lt @steps@ ]; do sleep 0.1; n=$((n+1)); done; '
    'kill -s KILL "$p"; kill -s KILL -- "-$p"'
)
_WATCH = "(\ntrap 'exit 0' TERM\nread -r x <&3\ntrap '' TERM\n" + _KILL + "\n) >/dev/null 4>&- &\nw=$!\n"
# POSIX `read` knows no time-out; `timeout --foreground` stays in the watcher's group, so that one signal
# to that group ends all of it.
_WATCH_BEATS = (
    "if command -v setsid >/dev/null && timeout --foreground 5 true; then\n"
    'setsid sh -c \'p=$1; while [ -n "$(timeout --foreground "$2" head -c 1)" ]; do :; done; '
    'trap "" TERM; ' + _KILL + '\' muva "$p" "$2" <&3 3<&- >/dev/null 4>&- &\nw=-$!\nelse\n' + _WATCH + "fi\n"
)
_END = 'exec 3<&- 4>&-\nwait "$p"; s=$?\nkill -s TERM "${w#-}"; kill -s TERM -- "$w"\nexit "$s"\n'


def quote(text: str) -> str:
    """`text` as one word for any login shell that sshd may hand it to: sh, bash, zsh, fish.

    `shlex.quote` is for POSIX shells; fish takes a backslash within single quotes as an escape.
    """
    pieces: list[str] = []
    plain = ""
    for character in text:
        if character in "'\\":
            pieces.extend((f"'{plain}'" if plain else "", '"\'"' if character == "'" else '"\\\\"'))
            plain = ""
        else:
            plain += character
    if plain or not text:
        pieces.append(f"'{plain}'")
    return "".join(pieces)


def wrap_run(command: str, *, timeout: float, input_size: int | None = None) -> str:
    """The line that runs `command` for at most `timeout` + `MARGIN` seconds.

    `input_size` is the length of what `encode_input` made and the caller writes first; without it the
    command's standard input is empty. The line's exit status is the command's own, 128 + n when signal
    n ended it.
    """
    script = _BEGIN + _GROUP
    script += _COMMAND if input_size is None else _INPUT + _FEED + _COMMAND
    script += _WATCH + _END
    return _line(script, command, f"{timeout + MARGIN:.3f}", str(input_size or 0))


def wrap_stream(command: str, *, stderr: bool, silence: float) -> str:
    """The line that runs `command` until its lifeline ends or brings no `BEAT` for `silence` seconds."""
    script = _BEGIN + _SETSID
    script += _COMMAND if stderr else _COMMAND.replace("2>&4", "2>/dev/null")
    script += _WATCH_BEATS + _END
    return _line(script, command, f"{silence:.3f}")


def encode_input(data: bytes) -> bytes:
    """`data` as it goes over the lifeline; a shell can hold this in a variable (no NUL, no newline)."""
    return base64.b64encode(data)


def _line(script: str, *arguments: str) -> str:
    script = script.replace("@grace@", f"{GRACE:g}").replace("@steps@", f"{GRACE * 10:.0f}")
    # `exec`: the login shell's only task is to get out of the way.
    return " ".join(("exec sh -c", quote(script), "muva", *map(quote, arguments)))
