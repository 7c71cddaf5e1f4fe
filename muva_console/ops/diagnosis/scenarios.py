"""Facts to scenarios: pure, cause before symptom, nothing asserted on what is not known."""

from __future__ import annotations

from muva_console.ops.diagnosis.model import Facts, Scenario
from muva_console.ops.diagnosis.runbooks import runbook_for
from muva_console.ops.diagnosis.signatures import Sign
from muva_console.ops.process_findings import spell

RECENT = 3600.0
"""Seconds within which a deployment may be the cause. Ours."""
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


def rank(facts: Facts) -> tuple[Scenario, ...]:
    """The scenarios that the facts speak for, causes first; none where they speak for none."""
    found: list[Scenario] = []

    def add(
        id: str, title: str, *supports: str, sure: bool = True, against: str = "", apart: str = ""
    ) -> None:
        found.append(
            Scenario(
                id=id,
                title=title,
                confidence=SURE if sure else POSSIBLE,
                supports=supports,
                against=(against,) if against else (),
                tell_apart=apart,
                runbook=runbook_for(id),
            )
        )

    up = facts.web is True
    examples = dict(zip(facts.signs, facts.examples, strict=False))
    failing = facts.web is False or bool(facts.looping or facts.gave_up)
    # of one that is merely stopped the log tells of another time
    crashing = bool(facts.looping or facts.gave_up)
    recent = facts.deployed is not None and facts.deployed <= RECENT
    away = facts.ssh is False and facts.web is False and facts.database is False
    if away:
        add(
            "system-failure",
            "Everything is away",
            "neither the application, nor its host, nor the database answers",
            sure=False,
            apart="asking from another network: from here it looks the same when our own is away",
        )
    if facts.ssh is False:
        against = "the application answers from outside: only SSH may be gone" if up else ""
        add(
            "host-unreachable",
            "A host cannot be reached",
            "SSH cannot be used",
            sure=not up and not away,
            against=against,
            apart="the provider's console, and SSH from another network",
        )
    if facts.disk_full:
        add("disk-full", "A disk is full", "a filesystem has no space or inodes left", sure=not up)
    if facts.database is False:
        against = "the application answers from outside" if up else ""
        add(
            "database-connectivity",
            "The database is not reachable",
            "it fails when asked from here",
            sure=not up and not away,
            against=against,
            apart="asking it from the host",
        )
    if facts.database and facts.database_free is False:
        add("database-unresponsive", "The database is exhausted or blocked", "connections or locks are taken")
    if facts.database and (facts.tables is False):
        supports = ["a critical table cannot be read, though the database answers"]
        if Sign.SCHEMA in examples:
            supports.append(f"the log says: {examples[Sign.SCHEMA]}")
        add(
            "migration-failed",
            "The schema is not what the code expects",
            *supports,
            sure=not up,
            apart="the state of the migrations: muva migrations status",
        )
    if facts.taken_by and crashing:
        supports = [f"its port is taken by {facts.taken_by}"]
        if Sign.PORT in examples:
            supports.append(f"the log says: {examples[Sign.PORT]}")
        add(
            "port-conflict",
            "Something else has the application's port",
            *supports,
            sure=Sign.PORT in examples,
            apart="who started what listens there",
        )
    if Sign.CONFIGURATION in examples and crashing:
        add(
            "missing-configuration",
            "A variable of its environment is missing",
            f"the log says: {examples[Sign.CONFIGURATION]}",
        )
    if facts.database and facts.dependency is False:
        add(
            "dependency-down",
            "A service that it hangs on is down",
            "the database answers, and that does not",
            sure=not up,
            apart="the service's own status page",
        )
    if facts.pm2 is False:
        add("pm2-down", "PM2's daemon does not run", "the host was asked and has no daemon")
    broken = next((sign for sign in (Sign.CODE, Sign.SCHEMA) if sign in examples), None)
    if recent and broken and (facts.looping or facts.gave_up) and not found:
        add(
            "bad-deployment",
            "The last deployment does not run",
            f"it crashes, and the log says: {examples[broken]}",
            _deployed(facts),
            apart="going back: if that is well, it was the deployment",
        )
    if facts.looping and facts.by_memory:
        add("out-of-memory", "A process outgrows its memory limit", "most restarts are the memory limit's")
    if facts.stopped:
        add("process-stopped", "A process is stopped", "PM2 lists it as stopped, or not at all")
    if facts.looping and not facts.by_memory:
        add(
            "crash-loop",
            "A process crashes again and again",
            "PM2 restarts it unasked",
            sure=not up,
            against="it answers now" if up else "",
        )
    if facts.gave_up:
        add("app-crashed", "The application crashed", "PM2 gave up starting it")
    if facts.tls is False:
        add("certificate", "The certificate is not accepted", "TLS fails from outside")
    if facts.web is False and facts.local and facts.tls is not False:
        add(
            "proxy-or-dns",
            "What stands before the application fails",
            "it answers on the host, not from outside",
        )
    if not found and facts.web is False and facts.local is False and facts.stopped is False:
        add(
            "app-crashed",
            "The application does not answer",
            "it fails on the host too, and PM2 calls it up",
            sure=False,
            apart="its log, and whether the process stands still",
        )
    if facts.cpu and (facts.slow or not up):
        add(
            "cpu-saturated",
            "The host's processors are saturated",
            "all of them are busy, and more waits",
            sure=bool(facts.slow),
            apart="what takes them: top, on the host",
        )
    if up and facts.errors:
        add("elevated-errors", "Too many requests fail", "a sample of requests exceeds the error rate")
    if up and facts.slow:
        add("slow-responses", "Answers are too slow", "a sample of requests exceeds the limit")
    if (
        recent
        and (failing or facts.errors or facts.slow)
        and all(one.id != "bad-deployment" for one in found)
    ):
        add(
            "bad-deployment",
            "The last deployment",
            _deployed(facts),
            sure=False,
            against="nothing in the log speaks for its code",
            apart="whether it was well between the two",
        )
    found.sort(key=lambda one: one.confidence != SURE)
    if not found and not missing(facts) and up and facts.others:
        add("healthy", "Nothing is wrong", "nothing that was asked failed")
    return tuple(found)


def _deployed(facts: Facts) -> str:
    return f"it was deployed, or its configuration changed, {spell(facts.deployed or 0.0)} before"


def missing(facts: Facts) -> tuple[str, ...]:
    """What is not known and would have to be before the environment is called healthy."""
    return tuple(words for name, words in _NEEDED.items() if getattr(facts, name) is None)
