"""Facts to scenarios: pure, a rule each, cause before symptom, nothing asserted on what is not known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from muva_console.ops.diagnosis.model import Facts, Scenario
from muva_console.ops.diagnosis.runbooks import runbook_for
from muva_console.ops.diagnosis.signatures import Sign
from muva_console.ops.process_findings import spell

RECENT = 3600.0
"""Seconds between a deployment and the onset within which it may be the cause. Ours."""
SKEW = 120.0
"""Seconds by which the onset may seem to lie before the deployment: hosts tell whole seconds, and a restart
may be told before its checkout. Ours."""
SURE, POSSIBLE = "very likely", "possible"
_NEEDED = {
    "web": "health from outside",
    "ssh": "the hosts by SSH",
    "pm2": "PM2's daemon",
    "stopped": "the processes",
    "database": "the database",
    "slow": "the response time",
    "errors": "the error rate",
    "disk_full": "the disks",
}
"""What must be known before anything is called healthy."""
Found = Sequence[Scenario]
Rule = Callable[[Facts, Found], Scenario | None]


def rank(facts: Facts) -> tuple[Scenario, ...]:
    """The scenarios that the facts speak for, causes first; none where they speak for none."""
    found: list[Scenario] = []
    for rule in RULES:
        one = rule(facts, found)
        if one is not None:
            found.append(one)
    found.sort(key=lambda one: one.confidence != SURE)
    if not found and not missing(facts) and facts.web and facts.others:
        found.append(_made("healthy", "Nothing is wrong", ["nothing that was asked failed"]))
    return tuple(found)


def missing(facts: Facts) -> tuple[str, ...]:
    """What is not known and would have to be before the environment is called healthy."""
    return tuple(words for name, words in _NEEDED.items() if getattr(facts, name) is None)


def _made(
    id: str,
    title: str,
    supports: Sequence[str],
    *,
    sure: bool = True,
    against: Sequence[str] = (),
    apart: str = "",
) -> Scenario:
    return Scenario(
        id=id,
        title=title,
        confidence=SURE if sure else POSSIBLE,
        supports=tuple(one for one in supports if one),
        against=tuple(one for one in against if one),
        tell_apart=apart,
        runbook=runbook_for(id),
    )


def _if(condition: object, words: str) -> str:
    return words if condition else ""


def _said(facts: Facts, sign: Sign) -> str:
    return f"the log says: {facts.signs[sign]}" if sign in facts.signs else ""


def _reported(facts: Facts) -> str:
    return _if(facts.provider, f"its provider reports: {facts.provider}")


def _up(facts: Facts) -> bool:
    return facts.web is True


def _answers(facts: Facts) -> str:
    return _if(_up(facts), "the application answers from outside")


def _crashing(facts: Facts) -> bool:
    """Of one that is merely stopped the log tells of another time."""
    return bool(facts.looping or facts.gave_up)


def _outgrew(facts: Facts) -> str:
    """What speaks against any error that would end it at its start: the log may tell of another hour."""
    return _if(facts.by_memory, "most of its restarts are the memory limit's")


def _ill(facts: Facts) -> bool:
    return facts.web is False or _crashing(facts) or bool(facts.errors or facts.slow)


def _away(facts: Facts) -> bool:
    return facts.ssh is False and facts.web is False and facts.database is False


# --- the ground it stands on


def _system_failure(facts: Facts, found: Found) -> Scenario | None:
    if not _away(facts):
        return None
    return _made(
        "system-failure",
        "Everything is away",
        ["neither the application, nor its host, nor the database answers"],
        sure=False,
        against=[_if(facts.elsewhere, "GitHub answers: our own network is there")],
        apart="asking from another network: from here it looks the same when our own is away",
    )


def _host_unreachable(facts: Facts, found: Found) -> Scenario | None:
    if facts.ssh is not False:
        return None
    return _made(
        "host-unreachable",
        "A host cannot be reached",
        ["SSH cannot be used", _if(facts.web is False, "nor does the application answer")],
        sure=not _up(facts) and not _away(facts),
        against=[_if(_up(facts), "the application answers from outside: only SSH may be gone")],
        apart="the provider's console, and SSH from another network",
    )


def _disk_full(facts: Facts, found: Found) -> Scenario | None:
    if not facts.disk_full:
        return None
    return _made(
        "disk-full",
        "A disk is full",
        ["a filesystem has no space or inodes left", _said(facts, Sign.DISK)],
        sure=not _up(facts),
        against=[_answers(facts)],
        apart="whether the log says ENOSPC, and what grew: du, on the host",
    )


# --- the database


def _database_connectivity(facts: Facts, found: Found) -> Scenario | None:
    if facts.database is False:
        own = facts.database_from_host is True
        return _made(
            "database-connectivity",
            "The database is not reachable",
            [
                "it fails when asked from here",
                _if(facts.database_from_host is False, "it fails from the host too"),
                _reported(facts),
                _said(facts, Sign.CONNECTION),
            ],
            sure=not _up(facts) and not _away(facts) and not own,
            against=[_answers(facts), _if(own, "it answers the host: only our own way to it may be closed")],
            apart="asking it from the host",
        )
    if facts.database_from_host is False and facts.web is False:
        return _made(
            "database-connectivity",
            "The host does not reach the database",
            ["it fails from the host, and answers here", _said(facts, Sign.CONNECTION)],
            against=[_if(facts.local, "the application answers on the host")],
            apart="Supabase's network restrictions, and the host's own firewall",
        )
    return None


def _database_unresponsive(facts: Facts, found: Found) -> Scenario | None:
    taken = facts.database_free is False
    if not facts.database or not (taken or facts.told_database is False):
        return None
    return _made(
        "database-unresponsive",
        "The database is exhausted or blocked",
        [
            _if(taken, "it answers, and its connections or locks are taken"),
            _if(not taken, "it answers us, and the application gets nothing of it"),
            _reported(facts),
        ],
        sure=taken,
        against=[
            _if(_up(facts) and not facts.slow, "the application answers as fast as ever"),
            _if(not taken, "when it was asked, it had connections left"),
        ],
        apart="who blocks whom, and who has the connections: muva health, database",
    )


def _migration_failed(facts: Facts, found: Found) -> Scenario | None:
    gone, half = facts.tables is False, bool(facts.half_done)
    behind = bool(facts.unapplied) and (Sign.SCHEMA in facts.signs or _ill(facts))
    if not facts.database or not (gone or half or behind):
        return None
    return _made(
        "migration-failed",
        "The schema is not what the code expects",
        [
            _if(gone, "a critical table cannot be read, though the database answers"),
            *(f"left half done: {one}" for one in facts.half_done[:3]),
            *(f"the code's migration is not applied: {one}" for one in facts.unapplied[:3]),
            _said(facts, Sign.SCHEMA),
        ],
        sure=not _up(facts) and (gone or Sign.SCHEMA in facts.signs),
        against=[
            _answers(facts),
            _if(not gone and facts.signs and Sign.SCHEMA not in facts.signs, "the log does not say so"),
        ],
        apart="the state of the migrations: muva migrations status",
    )


# --- what keeps it from starting


def _port_conflict(facts: Facts, found: Found) -> Scenario | None:
    if not facts.taken_by or not _crashing(facts):
        return None
    return _made(
        "port-conflict",
        "Something else has the application's port",
        [f"its port is taken by {facts.taken_by}", _said(facts, Sign.PORT)],
        sure=Sign.PORT in facts.signs and not _outgrew(facts),
        against=[_if(Sign.PORT not in facts.signs, "the log does not say EADDRINUSE"), _outgrew(facts)],
        apart="who started what listens there",
    )


def _missing_configuration(facts: Facts, found: Found) -> Scenario | None:
    said = Sign.CONFIGURATION in facts.signs
    if not _crashing(facts) or not (said or facts.lacking):
        return None
    return _made(
        "missing-configuration",
        "A variable of its environment is missing",
        [
            _said(facts, Sign.CONFIGURATION),
            *(f"the host's environment file lacks {name}" for name in facts.lacking[:5]),
        ],
        sure=said and not _outgrew(facts),
        against=[_if(not said, "the log does not say so: the application may do without"), _outgrew(facts)],
        apart="the names that the environment file has, against the template's",
    )


def _dependency_down(facts: Facts, found: Found) -> Scenario | None:
    # what hangs on the database is down with it: that is no second cause
    if not facts.database or facts.dependency is not False or facts.told_database is False:
        return None
    return _made(
        "dependency-down",
        "A service that it hangs on is down",
        ["the database answers, and that does not", _reported(facts)],
        sure=not _up(facts),
        against=[_answers(facts)],
        apart="the service's own status page",
    )


def _pm2_down(facts: Facts, found: Found) -> Scenario | None:
    if facts.pm2 is not False:
        return None
    return _made(
        "pm2-down",
        "PM2's daemon does not run",
        ["the host was asked and has no daemon"],
        against=[_if(_up(facts), "the application answers: it outlived the daemon, or runs without it")],
        apart="whether the machine was restarted: uptime, on the host",
    )


def _broken_deployment(facts: Facts, found: Found) -> Scenario | None:
    """Where the log speaks for the code of what was deployed; merely lately is another rule."""
    broken = next((sign for sign in (Sign.CODE, Sign.SCHEMA) if sign in facts.signs), None)
    if broken is None or not _crashing(facts) or found or not _deployed_before(facts):
        return None
    return _made(
        "bad-deployment",
        "The last deployment does not run",
        [f"it crashes, and {_said(facts, broken)}", _deployed(facts)],
        apart="going back: if that is well, it was the deployment",
    )


# --- the processes


def _out_of_memory(facts: Facts, found: Found) -> Scenario | None:
    if not (facts.looping and facts.by_memory) and not facts.killed:
        return None
    return _made(
        "out-of-memory",
        "A process outgrows its memory",
        [
            _if(facts.looping and facts.by_memory, "most restarts are the memory limit's"),
            *(f"the kernel killed {one}" for one in facts.killed[:3]),
            _said(facts, Sign.MEMORY),
        ],
        sure=bool(facts.by_memory) or facts.web is False,
        against=[_if(_up(facts), "it answers between the restarts")],
        apart="whether its memory grows after each restart: the Processes screen",
    )


def _process_stopped(facts: Facts, found: Found) -> Scenario | None:
    if not facts.stopped:
        return None
    return _made(
        "process-stopped",
        "A process is stopped",
        ["PM2 lists it as stopped, or not at all"],
        against=[_if(_up(facts), "the application answers: another instance serves")],
        apart="who stopped it: the journal, and PM2's own log",
    )


def _crash_loop(facts: Facts, found: Found) -> Scenario | None:
    if not facts.looping or facts.by_memory:
        return None
    return _made(
        "crash-loop",
        "A process crashes again and again",
        ["PM2 restarts it unasked"],
        sure=not _up(facts),
        against=[_if(_up(facts), "it answers now")],
        apart="the last lines before each end: Log patterns",
    )


def _app_crashed(facts: Facts, found: Found) -> Scenario | None:
    if not facts.gave_up:
        return None
    return _made(
        "app-crashed",
        "The application crashed",
        ["PM2 gave up starting it"],
        against=[_if(_up(facts), "the application answers: another instance serves")],
        apart="the last lines before its end: Log patterns",
    )


# --- what stands before it


def _certificate(facts: Facts, found: Found) -> Scenario | None:
    if facts.tls is not False:
        return None
    return _made(
        "certificate",
        "The certificate is not accepted",
        ["TLS fails from outside", _if(facts.local, "it answers on the host")],
        against=[_answers(facts)],
        apart="its dates and its names: muva health, certificate",
    )


def _proxy_or_dns(facts: Facts, found: Found) -> Scenario | None:
    if facts.name is False:
        return _made(
            "proxy-or-dns",
            "Its name leads nowhere",
            ["the name is not known to DNS", _if(facts.local, "it answers on the host")],
            against=[_answers(facts)],
            apart="asking another resolver, and the zone itself",
        )
    if facts.web is not False or not facts.local or facts.tls is False:
        return None
    return _made(
        "proxy-or-dns",
        "What stands before the application fails",
        ["it answers on the host, not from outside", _if(facts.name, "its name is known to DNS")],
        apart="the proxy's own log and state, on the host",
    )


def _silent(facts: Facts, found: Found) -> Scenario | None:
    """Up, and without an answer: said only where nothing else explains it."""
    if found or facts.web is not False or facts.local is not False or facts.stopped is not False:
        return None
    return _made(
        "app-crashed",
        "The application does not answer",
        ["it fails on the host too, and PM2 calls it up"],
        sure=False,
        against=["PM2 calls it online"],
        apart="its log, and whether the process stands still",
    )


# --- how well


def _cpu_saturated(facts: Facts, found: Found) -> Scenario | None:
    if not facts.cpu or not (facts.slow or not _up(facts)):
        return None
    return _made(
        "cpu-saturated",
        "The host's processors are saturated",
        ["all of them are busy, and more waits", _if(facts.slow, "and answers are slow")],
        sure=bool(facts.slow),
        against=[_if(not facts.slow, "how slow it is could not be measured")],
        apart="what takes them: top, on the host",
    )


def _elevated_errors(facts: Facts, found: Found) -> Scenario | None:
    if not _up(facts) or not facts.errors:
        return None
    return _made(
        "elevated-errors",
        "Too many requests fail",
        ["a sample of requests exceeds the error rate"],
        against=["the health endpoint answers well"],
        apart="which requests fail, and since when: Log patterns",
    )


def _slow_responses(facts: Facts, found: Found) -> Scenario | None:
    if not _up(facts) or not facts.slow:
        return None
    return _made(
        "slow-responses",
        "Answers are too slow",
        ["a sample of requests exceeds the limit"],
        against=["the health endpoint answers well"],
        apart="whether the database, the processors or the code takes the time",
    )


def _late_deployment(facts: Facts, found: Found) -> Scenario | None:
    if not _ill(facts) or not _deployed_before(facts) or any(one.id == "bad-deployment" for one in found):
        return None
    spoken = bool({Sign.CODE, Sign.SCHEMA} & set(facts.signs))
    return _made(
        "bad-deployment",
        "The last deployment",
        [_deployed(facts)],
        sure=False,
        against=[
            _if(not spoken, "nothing in the log speaks for its code"),
            _if(facts.onset is None, "since when it is so is not known"),
        ],
        apart="whether it was well between the two",
    )


RULES: tuple[Rule, ...] = (
    _system_failure,
    _host_unreachable,
    _disk_full,
    _database_connectivity,
    _database_unresponsive,
    _migration_failed,
    _port_conflict,
    _missing_configuration,
    _dependency_down,
    _pm2_down,
    _broken_deployment,
    _out_of_memory,
    _process_stopped,
    _crash_loop,
    _app_crashed,
    _certificate,
    _proxy_or_dns,
    _silent,
    _cpu_saturated,
    _elevated_errors,
    _slow_responses,
    _late_deployment,
)
"""In the order of cause before symptom: of those that are equally sure, the first is the verdict."""


def _deployed_before(facts: Facts) -> bool:
    """Whether something was deployed shortly before it began; before now, where the onset is not known."""
    if facts.deployed is None:
        return False
    return -SKEW <= facts.deployed - (facts.onset or 0.0) <= RECENT


def _deployed(facts: Facts) -> str:
    changed = facts.deployed or 0.0
    if facts.onset is None:
        return f"it was deployed, or its configuration changed, {spell(changed)} ago"
    before = max(0.0, changed - facts.onset)
    return f"it was deployed, or its configuration changed, {spell(before)} before the first error"
