"""An environment's services: its web addresses, its dependencies, its database."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING

from muva_console.config.model import Database, Dependency, Environment
from muva_console.ops.doctor.report import Group, Needs, Notes
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.readings import Level, utc_now

if TYPE_CHECKING:
    from muva_console.ops.links.answers import HttpAnswer
    from muva_console.ops.links.web import WebLink

_MEND = {
    Fault.DNS: "correct the name in muva.toml; does this machine resolve others (getent hosts github.com)?",
    Fault.REFUSED: "is the web server up, and the port right?",
    Fault.TIMEOUT: "is there a firewall in between, or a proxy to be set (HTTPS_PROXY)?",
    Fault.UNREACHABLE: "this machine has no way there: look at its network",
    Fault.TLS: "look at the certificate with the command; for a private authority set SSL_CERT_FILE",
}


async def examine_environment(needs: Needs, name: str) -> Group:
    """Everything about one environment that is not on a host."""
    from muva_console.ops.links.web import WebLink

    environment = needs.config.environments[name]
    link = WebLink(f"doctor {name}", needs.commands, environment=name)
    web, database = Notes(name, needs.redact), Notes(name, needs.redact)
    dependencies = {key: Notes(f"{name}: {key}", needs.redact) for key in environment.dependencies}
    timeout = needs.config.health.timeout
    parts = [_web(web, name, environment, link, timeout), _database(database, needs, name, environment)]
    parts += [
        _dependency(notes, key, environment.dependencies[key], link, timeout)
        for key, notes in dependencies.items()
    ]
    try:
        await asyncio.gather(*parts)
    finally:
        await link.close()
    all_notes = (web, *dependencies.values(), database)
    return Group(
        title=f"environment {name}", findings=tuple(found for notes in all_notes for found in notes.findings)
    )


# --- web -----------------------------------------------------------------------------------------------


async def _web(notes: Notes, name: str, environment: Environment, link: WebLink, timeout: float) -> None:
    if environment.url is None:
        return
    paths = {"health": environment.health, "health_db": environment.health_db}
    answers = await asyncio.gather(
        *(link.get(environment.url + path, timeout=timeout) for path in paths.values())
    )
    for (key, path), answer in zip(paths.items(), answers, strict=True):
        check = "web-health" if key == "health" else "web-health-db"
        if answer.status is None:
            _unanswered(notes, check, answer)
        else:
            _answered(notes, check, answer, key=key, path=path)
    expires = [answer.certificate_expires for answer in answers if answer.certificate_expires]
    if expires:
        left = (expires[0] - utc_now()).total_seconds()
        soon = left < environment.thresholds.certificate
        notes.note(
            "web-certificate",
            Level.FAIL if left <= 0 else Level.WARN if soon else Level.OK,
            f"the certificate {'expired' if left <= 0 else 'is good for'} {abs(left) / 86400:.0f} days"
            + (" ago" if left <= 0 else ""),
            evidence=(f"until {expires[0]:%Y-%m-%d %H:%M} UTC", f"by {answers[0].certificate_issuer}"),
            command=f"curl -sSvI {shlex.quote(environment.url)} 2>&1 | grep -i 'expire date'",
            next="renew it (certbot renew?)" if soon else "",
        )


def _unanswered(notes: Notes, check: str, answer: HttpAnswer) -> None:
    notes.note(
        check,
        Level.FAIL,
        answer.error or str(answer.fault),
        evidence=(answer.url,),
        command=f"curl -sSv {shlex.quote(answer.url)}",
        next=_MEND.get(answer.fault or Fault.OTHER, "try the command and see"),
    )


def _answered(notes: Notes, check: str, answer: HttpAnswer, *, key: str, path: str) -> None:
    status = answer.status or 0
    level, summary, advice = Level.OK, f"{answer.url} answers {status} in {answer.timing.total:.0f} ms", ""
    if 300 <= status < 400:
        level, advice = Level.FAIL, "give the address that it leads to: `url` in muva.toml"
    elif status in (401, 403):
        level, advice = Level.FAIL, "the health endpoint must answer without a login; is `url` right?"
    elif status in (404, 405):
        level, advice = Level.FAIL, f"is the path right? {key} = {path!r} in muva.toml"
    elif status >= 400:
        level, advice = Level.WARN, "it is reached, and unwell: muva health tells more"
    notes.note(check, level, summary, command=f"curl -sS {shlex.quote(answer.url)} | jq", next=advice)


async def _dependency(notes: Notes, name: str, dependency: Dependency, link: WebLink, timeout: float) -> None:
    answer = await link.get(dependency.url, timeout=timeout)
    if answer.status is None:
        _unanswered(notes, "dependency", answer)
        return
    expected = ", ".join(map(str, dependency.expect))
    good = answer.status in dependency.expect
    notes.note(
        "dependency",
        Level.OK if good else Level.FAIL,
        f"{name} answers {answer.status}" + ("" if good else f", expected {expected}"),
        evidence=(answer.url,),
        command=f"curl -sS -o /dev/null -w '%{{http_code}}' {shlex.quote(answer.url)}",
        next="" if good else f"is it down? If {answer.status} is its way of being there, add it to `expect`",
    )


# --- database ------------------------------------------------------------------------------------------


async def _database(notes: Notes, needs: Needs, name: str, environment: Environment) -> None:
    database = environment.database
    if database is None:
        return
    reference = database.url or database.password
    if reference is not None:
        from muva_console.config.secrets import told

        try:
            await needs.secret(reference)
        except LinkError as error:
            notes.trouble("database-secret", error, evidence=(f"from {told(reference)}",))
            tables = ("database-tables",) if database.critical_tables else ()
            notes.not_asked(("database", *tables), "the secret")
            return
        notes.note("database-secret", Level.OK, f"had from {told(reference)}")
    await _log_in(notes, needs, name, database)


async def _log_in(notes: Notes, needs: Needs, name: str, database: Database) -> None:
    from muva_console.ops.links.postgres import PostgresLink

    reference = database.url or database.password
    link = PostgresLink(
        f"doctor {name}",
        database,
        None if reference is None else lambda: needs.secret(reference),
        needs.commands,
        tunnel=needs.host(database.through) if database.through else None,
        environment=name,
    )
    command = "psql"
    try:
        reading = await link.read(critical_tables=database.critical_tables)
        command = link.psql("SELECT version()")
        pooled = "pooler" in link.state.detail
    except LinkError as error:
        command = link.psql("SELECT version()")
        notes.trouble(
            "database",
            error,
            evidence=(f"through {database.through}",) if database.through else (),
            command=command,
            next=f"correct [environments.{name}.database] in muva.toml, or what its secret says",
        )
        if database.critical_tables:
            notes.not_asked(("database-tables",), "the database")
        return
    finally:
        await link.close()
    notes.note(
        "database",
        Level.WARN if pooled else Level.OK,
        f"PostgreSQL {reading.version} at {link.where} answers in {reading.latency_ms:.1f} ms",
        evidence=(
            f"{reading.connections} of {reading.max_connections} connections",
            "a pooler in transaction mode: who blocks whom cannot be seen"
            if pooled
            else "the console's session is read only",
        ),
        command=command,
        next="give the direct address or the session mode's (port 5432)" if pooled else "",
    )
    if not database.critical_tables:
        return
    refused = [table for table in reading.tables if not table.readable]
    if refused:
        notes.note(
            "database-tables",
            Level.FAIL,
            f"not readable: {', '.join(table.name for table in refused)}",
            evidence=tuple(f"{table.name}: {table.error}" for table in refused),
            command=link.psql(f"TABLE {refused[0].name} LIMIT 1"),
            next="correct `critical_tables` in muva.toml, or let the login read them (GRANT SELECT)",
        )
    else:
        names = ", ".join(table.name for table in reading.tables)
        notes.note("database-tables", Level.OK, f"readable: {names}", command=command)
