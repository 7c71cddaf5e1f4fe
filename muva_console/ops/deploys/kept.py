"""What stays of a run that was watched: a folder beside the journal with its logs and its time line.

``runs/RUN-ATTEMPT/`` holds ``job-ID.log``, each job's log as GitHub gave it with the secrets taken out, and
``timeline.jsonl``, the moments as `muva runs watch --json` prints them. GitHub deletes logs (after 90 days by
default; docs.github.com, "Configuring the retention period"); these stay. Modes are the journal's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

import msgspec

from muva_console.config.redact import redact
from muva_console.ops.deploys.timeline import Moment
from muva_console.ops.errors import OpsError
from muva_console.ops.journal.folder import PRIVATE_FOLDER, SHARED_FOLDER, Folder, make_folder

RUNS = "runs"
TIMELINE = "timeline.jsonl"


class KeptRun:
    """The folder of one attempt of a run. Methods block."""

    def __init__(self, journal: Path, run: int, attempt: int) -> None:
        """`journal` is the journal's folder; nothing is made before something is kept."""
        self._journal = Folder(journal)
        self.path = journal / RUNS / f"{run:d}-{attempt:d}"

    def keep_log(self, job: int, text: str) -> None:
        """Keep a job's log. Raises OpsError."""
        self._write(self.log_path(job), redact(text).encode("utf-8", "replace"))

    def keep_timeline(self, moments: Iterable[Moment]) -> None:
        """Keep the time line, unless a longer one is kept already: that of who watched from the beginning.
        Raises OpsError.
        """
        lines = [msgspec.json.encode(moment.as_json()) for moment in moments]
        path = self.path / TIMELINE
        try:
            with path.open("rb") as file:
                known = sum(1 for _ in file)
        except OSError:
            known = 0
        if len(lines) > known:
            self._write(path, b"\n".join(lines) + b"\n")

    def log(self, job: int) -> str | None:
        """A job's log as it was kept; None where it was not."""
        try:
            return self.log_path(job).read_text("utf-8", "replace")
        except OSError:
            return None

    def jobs(self) -> list[int]:
        """Whose logs are kept, oldest job first."""
        numbers = (path.stem.removeprefix("job-") for path in self.path.glob("job-*.log"))
        return sorted(int(number) for number in numbers if number.isdecimal())

    def log_path(self, job: int) -> Path:
        """Where a job's log is kept."""
        return self.path / f"job-{job:d}.log"

    def _write(self, path: Path, data: bytes) -> None:
        beginning = path.with_name(f".{path.name}.{uuid4().hex}")
        try:
            mode = SHARED_FOLDER if self._journal.is_shared() else PRIVATE_FOLDER
            self._journal.path.mkdir(parents=True, exist_ok=True)
            make_folder(self.path.parent, mode)
            make_folder(self.path, mode)
            self._journal.make_file(beginning)
            try:
                with beginning.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                beginning.replace(path)
            finally:
                beginning.unlink(missing_ok=True)
        except OSError as error:
            raise OpsError(
                f"the run's log is not kept: {error.strerror or error}",
                where=str(path),
                means="GitHub has it for as long as its retention says, and then nobody",
            ) from error


def kept_attempts(journal: Path, run: int) -> list[int]:
    """The attempts of a run of which something is kept, oldest first."""
    found = (path.name.removeprefix(f"{run:d}-") for path in (journal / RUNS).glob(f"{run:d}-*"))
    return sorted(int(number) for number in found if number.isdecimal())
