"""For each sensed item of the playbook's checklists a fault that makes it fail, and what else is not well."""

from __future__ import annotations

from dataclasses import dataclass

LISTS = {
    "pre-deploy-staging": "staging",
    "pre-deploy-production": "production",
    "post-deploy-staging": "staging",
    "post-deploy-production": "production",
    "review": "production",
}
"""The checklists with sensed items, and their environments."""
BUILDS = ("build-success", "tests-pass")
"""Sensed where they are what a case is about: a build takes seconds."""


@dataclass(frozen=True)
class Case:
    """A fault, where it is broken in, and the items that then are not well: no others."""

    fault: str
    book: str
    fails: tuple[str, ...]
    says: str
    """In the summary of the first."""
    environment: str | None = None
    unknown: tuple[str, ...] = ()
    because: str = ""
    """Why more than one item is not well."""
    without: tuple[str, ...] = BUILDS
    """Items that are not sensed."""
    impatient: bool = False
    """Look with short time-outs: there is somebody who never answers."""

    def __str__(self) -> str:
        """The case's name in a report."""
        return f"{self.fault} in {self.book}"


ON_DEV = (
    Case("planted-secret", "pre-deploy-staging", ("no-secrets",),
         "Stripe Access Key in scripts/payments.js:4"),
    Case("undocumented-variable", "pre-deploy-staging", ("environment-variables",),
         "does not name SMS_SENDER"),
    Case("variable-missing-on-host", "pre-deploy-staging", ("environment-variables",),
         "lacks PUSH_GATEWAY_URL"),
    # no build passes with these two, and the table of faults says so
    Case("major-bump", "pre-deploy-staging", ("dependencies",),
         "breaking dependency changes: pg 8.23.1 -> 9.0.0"),
    Case("stale-lock-file", "pre-deploy-staging", ("dependencies",), "date-fns 4.1.0 is not locked"),
    Case("unreviewed-commit", "pre-deploy-staging", ("code-review",), " not reviewed: "),
    Case("self-approved", "pre-deploy-staging", ("code-review",), " not reviewed: "),
    Case("migration-unparsable", "pre-deploy-staging", ("migrations-validated",), "syntax error at or near"),
    Case("migration-edited", "pre-deploy-staging", ("migrations-validated",),
         "was edited after it was applied"),
    Case("migration-conflict", "pre-deploy-staging", ("migration-status",), "20251121100000 twice on dev"),
)  # fmt: skip

BUILT = (
    Case("build-broken", "pre-deploy-staging", ("build-success",), "SyntaxError", without=(),
         unknown=("tests-pass",), because="what is not built is not tested: a person is asked"),
    Case("tests-broken", "pre-deploy-staging", ("tests-pass",), "the city tax is included", without=()),
)  # fmt: skip

BEFORE_PRODUCTION = (
    Case("staging-behind", "pre-deploy-production", ("staging-validated",), "1 commit behind"),
    Case("staging-behind", "review", ("staging-deployment",), "1 commit behind"),
    Case("migration-edited", "review", ("migrations-valid", "staging-deployment"),
         "was edited after it was applied", environment="production",
         because="it stands on staging's branch, and staging does not serve it"),
    Case("schema-drift", "pre-deploy-production", ("database-sync",),
         "only on staging: column public.bookings.note"),
    Case("rows-missing", "pre-deploy-production", ("database-sync",), "20 rows on staging, about 480"),
    Case("errors-in-staging-log", "pre-deploy-production", ("error-monitoring",),
         "permission denied for table"),
    Case("errors-in-staging-log", "review", ("staging-errors",), "permission denied for table"),
    Case("migration-untested", "pre-deploy-production", ("migration-tested",), "has not run on staging"),
    Case("migration-untested", "review", ("migrations-tested",), "has not run on staging"),
    Case("stale-backup", "pre-deploy-production", ("backup-plan",), "3d 0h old"),
    Case("stale-backup", "review", ("rollback-ready",), "3d 0h old"),
    Case("review-dismissed", "review", ("commits-reviewed",), " not reviewed: "),
    Case("outside-window", "pre-deploy-production", ("deployment-window",), "outside of the window"),
    Case("nobody-on-call", "pre-deploy-production", ("on-call-available",), "then nobody comes after"),
)  # fmt: skip

_SILENT = "who never answers is neither healthy nor quick, and tells nothing of commit and database"

AFTER = (
    Case("commit-not-served", "post-deploy-production", ("deployed",), "production serves"),
    Case("staging-behind", "post-deploy-staging", ("deployed",), "staging serves"),
    Case("table-unreadable", "post-deploy-production", ("critical-tables",), "1 of 6 tables cannot be read"),
    Case("migration-not-applied", "post-deploy-production", ("migrations-applied",), "add_occupancy_view"),
    Case("migration-not-applied", "post-deploy-staging", ("migrations-applied",), "add_occupancy_view",
         environment="staging"),
    Case("flow-broken", "post-deploy-production", ("user-flows",), "answers 200, but without"),
    Case("flow-broken", "post-deploy-staging", ("user-flows",), "answers 200, but without",
         environment="staging"),
    Case("errors-in-staging-log", "post-deploy-staging", ("errors", "new-errors"),
         "permission denied for table",
         because="an error since the restart is recent and new at once"),
    Case("process-frozen", "post-deploy-staging", ("response-time", "health", "database", "user-flows"),
         "no answer", environment="staging", unknown=("deployed",), impatient=True, because=_SILENT),
    Case("process-frozen", "post-deploy-production", ("response-time", "health", "database", "user-flows"),
         "no answer", unknown=("deployed", "dependencies"), impatient=True, because=_SILENT,
         without=("performance",)),  # which waits 15 s for 63 answers, and fails as well
    Case("database-stopped", "post-deploy-production",
         ("dependencies", "health", "database", "user-flows", "performance", "errors", "new-errors"),
         "ECONNREFUSED", unknown=("critical-tables", "response-time", "migrations-applied"),
         because="all of it stands on the database; what is asked of it alone, and what takes a good answer, "
         "cannot be told"),
    Case("process-killed", "post-deploy-production", ("restarted",), "had to restart it once"),
    Case("process-killed", "post-deploy-staging", ("restarted",), "had to restart it once",
         environment="staging"),
)  # fmt: skip

SLOW = Case("slow-responses", "pre-deploy-production", ("performance-check",), "×", environment="staging")
"""Two deployments: tests/cli/test_cli_faults.py has broken it in anyway, and looks at this list then."""

CASES = (*ON_DEV, *BUILT, *BEFORE_PRODUCTION, SLOW, *AFTER)
FAULTS = frozenset(case.fault for case in CASES)
"""Every fault that is tried here."""
