"""What `muva doctor` found, and how its findings are made."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from muva_console.ops.errors import OpsError
from muva_console.ops.readings import Finding, Level, Verdict, utc_now, verdict
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from muva_console.config.load import LoadedConfig
    from muva_console.config.model import Config, Secret
    from muva_console.ops.links.base import CommandLog
    from muva_console.ops.links.ssh import SshLink
    from muva_console.ops.links.ssh_trust import HostKeyOffer


NOT_ASKED = "not asked"
"""How the summary of a check begins that could not be made because another failed."""


class Needs(Protocol):
    """The part of a workspace that the doctor uses."""

    loaded: LoadedConfig
    config: Config
    path: Path
    commands: CommandLog
    redact: Callable[[str], str]

    @property
    def base(self) -> Path:
        """The folder that relative paths of the configuration are relative to."""
        ...

    def host(self, name: str) -> SshLink:
        """The link to a host of [hosts]."""
        ...

    async def secret(self, secret: Secret) -> str:
        """A secret's value. Raises LinkError."""
        ...


class Group(Struct, frozen=True, kw_only=True):
    """What was found about one thing: this machine, a host, an environment's services."""

    title: str
    findings: tuple[Finding, ...]
    offers: tuple[HostKeyOffer, ...] = ()
    """Host keys that a person may be asked about; changed ones are not among them."""


class Report(Struct, frozen=True, kw_only=True):
    """All that was found."""

    environment: str | None
    """The one that was asked about; None when all were."""
    groups: tuple[Group, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings in the order in which they are shown."""
        return tuple(finding for group in self.groups for finding in group.findings)

    @property
    def verdict(self) -> Verdict:
        """GO when everything can be used."""
        return verdict(self.findings)

    @property
    def offers(self) -> tuple[HostKeyOffer, ...]:
        """The host keys to ask a person about, each once."""
        found = {(offer.address, offer.fingerprint): offer for group in self.groups for offer in group.offers}
        return tuple(found.values())


class Notes:
    """Collects one group's findings. Everything noted is redacted and harmless."""

    def __init__(self, subject: str, redact: Callable[[str], str], *, ssh: str = "ssh") -> None:
        self._subject = subject
        self._redact = redact
        self._began = time.monotonic()
        self.ssh = ssh
        """What a person types to get to the host that this is about."""
        self.findings: list[Finding] = []

    def note(
        self,
        check: str,
        level: Level,
        summary: str,
        *,
        subject: str | None = None,
        evidence: tuple[str, ...] = (),
        command: str = "",
        next: str = "",
    ) -> None:
        """Add a finding; it took the time since the one before."""
        now = time.monotonic()
        self.findings.append(
            Finding(
                check=check,
                level=level,
                summary=self._clean(summary),
                title=check.replace("-", " "),
                subject=self._subject if subject is None else subject,
                evidence=tuple(self._clean(line) for line in evidence if line),
                command=self._clean(command),
                next=self._clean(next),
                took_ms=round((now - self._began) * 1000, 1),
                at=utc_now(),
            )
        )
        self._began = now

    def trouble(
        self,
        check: str,
        error: OpsError,
        *,
        level: Level = Level.FAIL,
        subject: str | None = None,
        evidence: tuple[str, ...] = (),
        command: str = "",
        next: str = "",
    ) -> None:
        """Add what an error tells: its meaning as evidence, its advice (else `next`) as what to do."""
        self.note(
            check,
            level,
            error.what,
            subject=subject,
            evidence=(error.means, *evidence),
            command=command,
            next=error.next or next,
        )

    def not_asked(self, checks: tuple[str, ...], waits_on: str) -> None:
        """Add what could not be looked at because something before it failed."""
        for check in checks:
            self.note(check, Level.UNKNOWN, f"{NOT_ASKED}: it waits on {waits_on}")

    def _clean(self, text: str) -> str:
        return sanitise_line(self._redact(sanitise_line(text)), cap=600)  # redacted before it is cut
