"""A week of deployments whose figures were reckoned by hand; and what is never called a figure."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from muva_console.ops.incidents.model import Incident, Severity
from muva_console.ops.metrics.chart import as_csv, as_svg, spelled
from muva_console.ops.metrics.dora import FEW, Figure, Report, changes_of, report_of
from muva_console.ops.release.records import Deployment, DeploymentKind, Status

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
SUNDAY = MONDAY + timedelta(days=7)


def sha(number: int) -> str:
    return f"{number:040x}"


def deployed(number: int, day: float, **more: object) -> Deployment:
    at = MONDAY + timedelta(days=day)
    made = Deployment(
        id=f"production/run/{number}/1", environment="production", started=at - timedelta(minutes=4),
        finished=at, duration=240.0, commit=sha(number), branch="main", status=Status.SUCCESS, live=True,
        run=number, attempt=1, entry=number,
    )  # fmt: skip
    return structs.replace(made, **more)


HOTFIX, ROLLBACK = DeploymentKind.HOTFIX, DeploymentKind.ROLLBACK
WEEK = (
    deployed(1, 0.5),
    deployed(2, 1.0),                                             # bad: a hotfix follows, 2 h later
    deployed(3, 1.0 + 2 / 24, kind=HOTFIX),
    deployed(4, 2.0, status=Status.FAILED, live=False),           # failed before it went live
    deployed(5, 2.5, status=Status.ROLLBACK),                     # taken back by its own workflow
    deployed(6, 3.0),                                             # bad: rolled back 30 min later
    deployed(7, 3.0 + 0.5 / 24, kind=ROLLBACK, rolls_back=sha(6), commit=sha(3)),
    deployed(8, 4.0),                                             # an incident, stable after 1 h
    deployed(9, 5.0),
    deployed(10, 6.0),
)  # fmt: skip
INCIDENT = Incident(
    id=77, environment="production", title="slow", severity=Severity.HIGH,
    opened_at=MONDAY + timedelta(days=4, minutes=20), opened_by="eve",
    onset=MONDAY + timedelta(days=4, minutes=10), stable_at=MONDAY + timedelta(days=4, hours=1),
)  # fmt: skip
LEADS = {
    "production/run/1/1": (3600.0, 7200.0),
    "production/run/9/1": (10_800.0,),
    "production/run/10/1": (14_400.0, 86_400.0),
}


def week() -> Report:
    return report_of("production", changes_of(WEEK, [INCIDENT], LEADS), WEEK, MONDAY, SUNDAY)


def test_a_week_s_figures_are_those_that_were_reckoned_by_hand() -> None:
    told = week()
    figures = {figure.name: figure for figure in told.figures}
    # live, planned or hotfix: 1 2 3 5 6 8 9 10
    assert [one.deployment.entry for one in told.changes] == [1, 2, 3, 5, 6, 8, 9, 10]
    frequency = figures["deployment frequency"]
    assert frequency.value == pytest.approx(8 / 7)
    # of 1 h, 2 h, 3 h, 4 h, 24 h the middle one
    assert (figures["change lead time"].value, figures["change lead time"].n) == (10_800.0, 5)
    # 2 (hotfix), 5 (taken back), 6 (rolled back), 8 (incident) of 8
    rate = figures["change fail rate"]
    assert (rate.value, rate.n, rate.records) == (4 / 8, 8, (2, 5, 6, 8))
    # 2 h, 0, 30 min, 1 h: the median of 0, 1800, 3600, 7200
    recovery = figures["failed deployment recovery time"]
    assert (recovery.value, recovery.n, recovery.few) == (2700.0, 4, True)
    assert (figures["rework rate"].value, figures["rework rate"].records) == (1 / 8, (3,))
    assert (told.rollbacks, told.failed_before) == (1, 1)


def test_a_failure_counts_once_whatever_came_of_it() -> None:
    both = (
        WEEK[1],
        structs.replace(WEEK[6], rolls_back=sha(2), finished=MONDAY + timedelta(days=1.01)),
        WEEK[2],
    )
    (bad, fix) = changes_of(both, [structs.replace(INCIDENT, onset=MONDAY + timedelta(days=1, minutes=5))])
    assert bad.failed == "rolled back" and bad.recovered == MONDAY + timedelta(days=1.01)
    assert not fix.failed
    told = report_of("production", [bad, fix], both, MONDAY, SUNDAY)
    assert {f.name: f.value for f in told.figures}["change fail rate"] == 0.5


def test_an_attempt_that_was_begun_again_is_one_deployment() -> None:
    again = (deployed(1, 1.0, status=Status.FAILED, live=False), deployed(1, 1.2))
    assert [one.deployment.status for one in changes_of(again)] == [Status.SUCCESS]


def test_a_commit_that_goes_live_twice_does_not_lend_its_leads() -> None:
    twice = (deployed(1, 1.0), deployed(2, 2.0), deployed(3, 3.0, commit=sha(1)))
    changes = changes_of(twice, leads={"production/run/1/1": (60.0,)})
    assert [one.leads for one in changes] == [(60.0,), (), ()]


def test_on_nothing_there_is_no_figure() -> None:
    told = report_of("production", (), (), MONDAY, SUNDAY)
    assert [figure.value for figure in told.figures] == [0.0, None, None, None, None]
    assert all(figure.few for figure in told.figures)
    assert [spelled(figure) for figure in told.figures] == ["0.00 per day", "–", "–", "–", "–"]
    with pytest.raises(ValueError, match="window"):
        report_of("production", (), (), SUNDAY, MONDAY)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 9), st.floats(0, 20), st.sampled_from(Status), st.sampled_from(DeploymentKind)
        ),
        max_size=20,
    )
)
def test_the_figures_of_anything_hold_together(
    given_: list[tuple[int, float, Status, DeploymentKind]],
) -> None:
    made = [
        deployed(place, day, status=status, kind=kind, live=None, commit=sha(number))
        for place, (number, day, status, kind) in enumerate(given_)
    ]
    told = report_of("production", changes_of(made), made, MONDAY, MONDAY + timedelta(days=30))
    figures: dict[str, Figure] = {figure.name: figure for figure in told.figures}
    for name in ("change fail rate", "rework rate"):
        value = figures[name].value
        assert value is None or 0 <= value <= 1
    recovery = figures["failed deployment recovery time"].value
    assert recovery is None or recovery >= 0
    assert len(told.changes) + told.rollbacks <= len(made)
    assert all(figure.few is (figure.n < FEW) for figure in told.figures)


def test_a_chart_and_a_table_of_it() -> None:
    told = week()
    tree = ElementTree.fromstring(as_svg(told))
    assert len(tree.findall(".//{*}rect/{*}title")) == 8
    assert "n = 4  (too few)" in as_svg(told)
    hostile = structs.replace(told.changes[0], failed="=HYPERLINK(1)<&>")
    changed = structs.replace(told, changes=(hostile,))
    (row,) = csv.DictReader(io.StringIO(as_csv(changed)))
    assert row["failed"] == "'=HYPERLINK(1)<&>"
    ElementTree.fromstring(as_svg(changed))
