"""Facts to scenarios: pure, cause before symptom, nothing asserted on what is not known."""

from __future__ import annotations

from muva_console.ops.diagnosis.model import Facts, Scenario
from muva_console.ops.diagnosis.runbooks import runbook_for

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
    if facts.ssh is False:
        against = "the application answers from outside: only SSH may be gone" if up else ""
        add(
            "host-unreachable",
            "A host cannot be reached",
            "SSH cannot be used",
            sure=not up,
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
            sure=not up,
            against=against,
            apart="asking it from the host",
        )
    if facts.database and facts.database_free is False:
        add("database-unresponsive", "The database is exhausted or blocked", "connections or locks are taken")
    if facts.pm2 is False:
        add("pm2-down", "PM2's daemon does not run", "the host was asked and has no daemon")
    if facts.looping and facts.by_memory:
        add("out-of-memory", "A process outgrows its memory limit", "most restarts are the memory limit's")
    if facts.stopped:
        add("process-stopped", "A process is stopped", "PM2 lists it as stopped, or not at all")
    if facts.looping and not facts.by_memory:
        add("crash-loop", "A process crashes again and again", "PM2 restarts it unasked")
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
    if up and facts.errors:
        add("elevated-errors", "Too many requests fail", "a sample of requests exceeds the error rate")
    if up and facts.slow:
        add("slow-responses", "Answers are too slow", "a sample of requests exceeds the limit")
    found.sort(key=lambda one: one.confidence != SURE)
    if not found and not missing(facts) and up and facts.others:
        add("healthy", "Nothing is wrong", "nothing that was asked failed")
    return tuple(found)


def missing(facts: Facts) -> tuple[str, ...]:
    """What is not known and would have to be before the environment is called healthy."""
    return tuple(words for name, words in _NEEDED.items() if getattr(facts, name) is None)
