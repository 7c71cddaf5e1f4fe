"""Health documents: the application's own shapes, and anything else that may come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muva_console.ops.health.document import level_of, read_document
from muva_console.ops.readings import Level


def test_the_applications_own_document() -> None:
    document = read_document(
        {
            "status": "degraded",
            "services": {
                "openai": {"status": "configured"},
                "anthropic": {"status": "not_configured"},
                "supabase": {
                    "status": "error",
                    "responseTime": "812ms",
                    "error": "fetch failed",
                    "tables": {},
                },
            },
            "environment": {"runtime": "edge", "region": "local", "deployment": "A1B2C3D"},
        }
    )
    assert document is not None
    assert (document.level, document.commit) == (Level.WARN, "a1b2c3d")
    told = {s.name: (s.level, s.latency_ms, s.detail) for s in document.services}
    assert told == {
        "openai": (Level.OK, None, ""),
        "anthropic": (Level.FAIL, None, ""),
        "supabase": (Level.FAIL, 812.0, "fetch failed"),
    }


def test_a_list_of_checks() -> None:
    document = read_document(
        {
            "status": "ok",
            "checks": [{"name": "vector", "status": "healthy", "duration": 12}, {"status": "slow"}, 7],
        }
    )
    assert document is not None
    assert [(s.name, s.level, s.latency_ms) for s in document.services] == [
        ("vector", Level.OK, 12.0),
        ("(unnamed)", Level.WARN, None),
    ]


@pytest.mark.parametrize(
    ("word", "level"),
    [
        ("healthy", Level.OK),
        (" OK ", Level.OK),
        ("degraded", Level.WARN),
        ("unhealthy", Level.FAIL),
        ("not_configured", Level.FAIL),
        ("on fire", Level.FAIL),
        ("unknown", Level.UNKNOWN),
        ("", Level.UNKNOWN),
    ],
)
def test_words(word: str, level: Level) -> None:
    assert level_of(word) is level


@pytest.mark.parametrize("json", [None, 5, "healthy", [], [{"status": "healthy"}], True])
def test_what_is_no_object_is_no_document(json: object) -> None:
    assert read_document(json) is None


def test_a_service_that_is_well_and_tells_an_error_is_a_warning() -> None:
    document = read_document(
        {"status": "ok", "services": {"db": {"status": "ok", "error": "stale"}, "b": True}}
    )
    assert document is not None
    assert [s.level for s in document.services] == [Level.WARN, Level.OK]


@pytest.mark.parametrize("latency", [-1, float("nan"), float("inf"), "12 parsecs", True, [], None, "1e9"])
def test_a_latency_that_is_none(latency: object) -> None:
    document = read_document({"status": "ok", "latency_ms": latency})
    assert document is not None
    assert document.latency_ms is None


def test_hostile_texts_are_harmless() -> None:
    evil = "\x1b]52;c;QUJD\x07\u202eX" + "y" * 9000
    document = read_document(
        {"status": evil, "version": evil, "commit": evil, "services": {evil: {"status": evil, "error": evil}}}
    )
    assert document is not None
    told = repr(document)
    assert "x1b" not in told
    assert "u202e" not in told
    assert "QUJD" not in told
    assert document.commit == ""
    assert len(told) < 2000


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["status", "services", "checks", "commit", "build", "latency_ms", "error", "name"]
            )
            | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(ANYTHING)
def test_nothing_breaks_it(json: object) -> None:
    document = read_document(json)
    if document is not None and document.level is Level.OK:
        assert isinstance(json, dict)
        assert str(json["status"]).strip().lower() in (
            *("healthy", "ok", "up", "pass", "passing", "operational"),
            *("connected", "available", "configured", "true"),
        )


@pytest.mark.parametrize("told", [1e308, 10**400, -1, float("nan"), float("inf"), "1e9", True, "9" * 5000])
def test_a_latency_beyond_belief_is_none(told: object) -> None:
    document = read_document({"status": "ok", "latency_ms": told, "services": {"db": {"latency": told}}})
    assert document is not None
    assert document.latency_ms is None
    assert [service.latency_ms for service in document.services] == [None]


def test_a_secret_at_the_edge_of_what_is_kept_is_not_shown_in_half() -> None:
    for before in range(140, 200, 3):
        error = "x" * before + " postgresql://app:correcthorse@db/x"
        document = read_document({"status": "error", "services": {"db": {"status": "error", "error": error}}})
        assert document is not None
        assert "corr" not in document.services[0].detail
