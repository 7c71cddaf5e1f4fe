"""A hostile world on the estate: what an attacker, or an accident, can put where the console reads."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import shlex
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from muva_console.drill import postgres
from muva_console.drill.host import on_host
from muva_console.drill.run import run
from muva_console.drill.state import Estate
from tests.hostility.parts import reconfigured

PAYLOAD = "UFdORUQtQlktT1NDLTUy"
"""What the OSC 52 sequences would put on the engineer's clipboard."""
ATTACK = (
    f"\x1b]52;c;{PAYLOAD}\x07\x1b]0;pwned-title\x1b\\\x1b[38;2;1;99;199m\x1b[5n\x1b[?1337h"
    "\x1bPqpwned-sixel\x1b\\\x9b31;41;7mC1\x9d52;c;UFdORUQtQlktQzE=\x9c\u202egnp.exe\u2066"
    "\x00[red]MARKUP[/] [@click=app.quit]CLICK[/] [/nothing] [bold"
)
"""In one breath: clipboard, title, colour, report request, mode, DCS, 8-bit controls, bidi, NUL, markup."""
RAW = (
    b"\x1b]52;", b"]0;pwned", b"38;2;1;99;199", b"\x1b[5n", b"?1337", b"\x1bPq", PAYLOAD.encode(),
    b"UFdORUQtQlktQzE=", b"\x00", b"pwned-sixel",
)  # fmt: skip
"""None of these may ever reach the terminal."""
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

# PM2 makes a file's name of it, in which the payloads stay as plain, harmless text
_IN_NAME = (
    ATTACK.replace("\0", "")
    .replace(PAYLOAD, "bmFtZQ==")
    .replace("UFdORUQtQlktQzE=", "")
    .replace("pwned-", "")
)
NAME = f"evil {_IN_NAME} SAW-THE-NAME"
LONG = 10 * 1024 * 1024

_APPLICATION = """
const attack = Buffer.from(process.argv[2], 'base64');
const fs = require('node:fs');
const secrets = process.argv.slice(3).map((file) => fs.readFileSync(file, 'utf8'));
process.stdout.write('x'.repeat(LENGTH) + ' the end\\n');
setInterval(() => {
  process.stdout.write(Buffer.concat([Buffer.from('log '), attack, Buffer.from(' SAW-THE-LOG\\n')]));
  process.stderr.write(Buffer.from([0xff, 0xfe, 0xc3, 0x28, 0x80, 0x0a]));
  process.stderr.write(attack);
  process.stderr.write('\\n');
  for (const text of secrets) process.stdout.write(text);
  process.stdout.write(`${process.env.STRIPE_SECRET_KEY}\\n`);
  console.error(new Error(`connect to ${secrets[0].split('\\n').find((l) => l.startsWith('DATABASE'))}`));
}, 700);
""".replace("LENGTH", str(LONG))


def assert_harmless(text: str) -> None:
    """Nothing in what a program printed moves a cursor, fills a clipboard or turns the text round."""
    found = _CONTROLS.search(text)
    assert found is None, f"{found[0]!r} in {text[max(0, found.start() - 80) : found.end() + 80]!r}"
    assert PAYLOAD not in text


def every_secret(estate: Estate) -> dict[str, str]:
    """The estate's secrets by where they stand: passwords, the planted one, those of the applications."""
    found = {path.name: path.read_text().strip() for path in estate.secrets.glob("*.password")}
    found["planted"] = (estate.secrets / "planted").read_text().strip()
    key = estate.identity.read_text().splitlines()
    found["identity"] = key[1]
    for site in estate.sites.values():
        for line in (site.directory / site.env_file).read_text().splitlines():
            name, _, value = line.partition("=")
            if re.search("SERVICE_ROLE|API_KEY|VERIFY_TOKEN", name):
                found[f"{site.environment} {name}"] = value
    assert len(found) >= 12
    return found


def assert_no_secret(estate: Estate, data: bytes | str, what: str) -> None:
    """Not one of the estate's secrets is in `data`."""
    raw = data.encode() if isinstance(data, str) else data
    told = [name for name, value in every_secret(estate).items() if value.encode() in raw]
    assert not told, f"{told} in {what}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/api/health/db"):
            body = b"SAW-THE-RAW-BODY " + ATTACK.encode() + b"\xff\xfe" + b"y" * LONG
            self.send_response(500)
        else:
            service = {"status": f"bad {ATTACK} SAW-THE-BODY", "error": ATTACK, "latency_ms": 1e308}
            told = {"status": f"down {ATTACK}", "version": ATTACK, "commit": ATTACK}
            body = json.dumps({**told, "services": {f"chat {ATTACK}": service, "database": service}}).encode()
            self.send_response(200)
        self.send_header("Content-Type", "application/json\x1b]52;c;AAAA\x07")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing on the tests' output."""


@contextlib.contextmanager
def hostile_web() -> Iterator[int]:
    """An application that answers with attacks, and with a body of 10 MB; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@asynccontextmanager
async def hostile_world(estate: Estate, folder: Path) -> AsyncIterator[Path]:
    """PM2 runs a process with a hostile name and log, the web answers attacks, a commit's subject and a query
    are attacks; the configuration that looks at it all as staging. All is put right afterwards.
    """
    site = estate.sites["staging"]
    script = estate.host_home / "hostile.js"
    script.write_text(_APPLICATION)
    attack = base64.b64encode(ATTACK.encode("utf-8", "surrogatepass")).decode()
    planted = (estate.secrets / "planted").read_text().strip()
    checkout = ["git", "-C", str(estate.checkout)]
    head = (await run([*checkout, "rev-parse", "refs/remotes/origin/staging"])).decode().strip()
    words = [str(script), "--name", NAME, "--", attack, str(site.directory / site.env_file)]
    with hostile_web() as port:
        try:
            await on_host(estate, f"STRIPE_SECRET_KEY={planted} pm2 start {shlex.join(words)}")
            subject = f"SAW-THE-SUBJECT {ATTACK.replace(chr(0), '')} postgresql://u:{planted}@h/db"
            identity = ["-c", "user.email=e@x", "-c", f"user.name=Eve {ATTACK.replace(chr(0), '')}"]
            made = await run(
                [*checkout, *identity, "commit-tree", f"{head}^{{tree}}", "-p", head, "-m", subject]
            )
            for ref in ("refs/remotes/origin/staging", "refs/heads/staging"):
                await run([*checkout, "update-ref", ref, made.decode().strip()])

            def change(document: dict[str, Any]) -> None:
                staging = document["environments"]["staging"]
                staging["url"] = f"http://127.0.0.1:{port}"
                del staging["processes"]
                staging["thresholds"]["long_query"] = "1s"
                document["journal"]["directory"] = str(folder / "journal")

            async with postgres.connect(estate, site.database, site.role) as connection:
                await connection.execute("set application_name = 'evil \x1b]52;c;AAAA\x07'")
                text = ATTACK.replace("\0", "")
                query = f'select pg_sleep(120) as "SAW-THE-QUERY {text}" /* {text} */'
                sleeping = asyncio.ensure_future(connection.execute(query, timeout=120))
                try:
                    yield reconfigured(estate, folder / "muva.toml", change)
                finally:
                    sleeping.cancel()
                    with contextlib.suppress(BaseException):
                        await sleeping
        finally:
            await on_host(estate, "pm2 delete hostile.js || pm2 delete 2; true")
            for ref in ("refs/remotes/origin/staging", "refs/heads/staging"):
                await run([*checkout, "update-ref", ref, head])
