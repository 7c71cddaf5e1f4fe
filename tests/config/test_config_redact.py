"""No secret passes, and what is no secret passes unchanged."""

from __future__ import annotations

import json
import time
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muva_console.config.redact import _FAMILIES, REDACTED, Redactor, _suspicious

# Built in pieces, so that no scanner takes these for real ones.
TAIL = "a1B2c3D4e5F6g7H8i9J0k1L2"
JWT = f"eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJzdXBhYmFzZSJ9.{TAIL}"
SECRET = "correct-horse-battery"


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        (f"postgres://postgres:{SECRET}@db:5432/x", f"postgres://postgres:{REDACTED}@db:5432/x"),
        (f"postgresql://u:p@{SECRET}:x@db/x", f"postgresql://u:{REDACTED}@db/x"),
        (f"redis://:{SECRET}@cache", f"redis://:{REDACTED}@cache"),
        (f"https://{TAIL}@github.com/o/r", f"https://{REDACTED}@github.com/o/r"),
        (
            f"https://x-access-token:{'ghs_' + TAIL}@github.com/o/r",
            f"https://x-access-token:{REDACTED}@github.com/o/r",
        ),
        (f"Authorization: Bearer {SECRET}", f"Authorization: Bearer {REDACTED}"),
        (f"authorization: basic {SECRET}", f"authorization: basic {REDACTED}"),
        (f'"authorization":"Bearer {JWT}"', f'"authorization":"Bearer {REDACTED}"'),
        (f"using bearer {SECRET} now", f"using bearer {REDACTED} now"),
        (f"key {JWT} end", f"key {REDACTED} end"),
        ("ghp_" + TAIL, REDACTED),
        ("github_pat_" + TAIL, REDACTED),
        ("sk_live_" + TAIL, REDACTED),
        ("rk_test_" + TAIL, REDACTED),
        ("whsec_" + TAIL, REDACTED),
        ("sb_secret_" + TAIL, REDACTED),
        ("sbp_" + TAIL, REDACTED),
        ("sk-proj-" + TAIL, REDACTED),
        ("xoxb-" + TAIL, REDACTED),
        ("AKIA" + "ABCDEFGHIJKLMNOP", REDACTED),
        (f"https://hooks.slack.com/services/T0/B0/{TAIL}", f"https://hooks.slack.com/services/{REDACTED}"),
        (f"PGPASSWORD={SECRET} psql", f"PGPASSWORD={REDACTED} psql"),
        (f"password: {SECRET}", f"password: {REDACTED}"),
        (f"{{password: '{SECRET} x', a: 1}}", f"{{password: '{REDACTED}', a: 1}}"),
        (f'{{"password":"{SECRET}","a":1}}', f'{{"password":"{REDACTED}","a":1}}'),
        (
            f'{{\\"db_password\\":\\"{SECRET}\\",\\"a\\":1}}',
            f'{{\\"db_password\\":\\"{REDACTED}\\",\\"a\\":1}}',
        ),
        (f"?apikey={SECRET}&a=1", f"?apikey={REDACTED}&a=1"),
        (f"SUPABASE_SERVICE_ROLE_KEY={SECRET}", f"SUPABASE_SERVICE_ROLE_KEY={REDACTED}"),
        (f"refresh_token={SECRET};", f"refresh_token={REDACTED};"),
        (f"token: {SECRET}", f"token: {REDACTED}"),
        (f"psql --password {SECRET}", f"psql --password {REDACTED}"),
        (f"-----BEGIN RSA PRIVATE KEY-----\n{TAIL}\n", f"-----BEGIN RSA PRIVATE KEY-----{REDACTED}"),
    ],
)
def test_what_looks_like_a_secret(text: str, becomes: str) -> None:
    assert Redactor().redact(text) == becomes
    assert Redactor().redact(becomes) == becomes


@pytest.mark.parametrize(
    "text",
    [
        "GET /api/bookings 200 in 82 ms",
        "SyntaxError: Unexpected token: }",
        "completion used tokens: 512, max_tokens=4096",
        'password authentication failed for user "postgres"',
        "https://muva.chat:8443/a?mail=dana@muva.chat",
        "postgres://db.internal:5432/postgres",
        '{"token": null, "secret": undefined, "password": ""}',
        "author: dana, authorisation refused",
        "eyJ",
        "ssh dana@jump-1",
        "key: bookings, keys: 4, monkey=banana",
    ],
)
def test_what_is_no_secret_is_the_same_object(text: str) -> None:
    assert Redactor(["another-secret"]).redact(text) is text


@pytest.mark.parametrize("secret", [SECRET, "p@ss/w:rd%!", 'quo"ted\\value', "naïve–pässwörd", "a b c d e"])
def test_known_values_in_every_dress(secret: str) -> None:
    redactor = Redactor([secret])
    for dressed in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1], f"<<{secret}>>"):
        assert secret not in redactor.redact(dressed)
        assert dressed not in redactor.redact(f"before {dressed} after")
        assert redactor.redact(f"before {dressed} after").startswith("before ")


def test_the_password_of_a_known_address_is_known_by_itself() -> None:
    redactor = Redactor(["postgres://postgres:p%40ss-word@db:5432/postgres"])
    assert redactor.redact("FATAL: p@ss-word and p%40ss-word") == f"FATAL: {REDACTED} and {REDACTED}"
    assert "db" in redactor.redact("host db answered")


def test_a_secret_within_another_leaves_no_tail() -> None:
    redactor = Redactor(["hunter22", "hunter22-and-more"])
    assert redactor.redact("x hunter22-and-more y") == f"x {REDACTED} y"


def test_very_short_values_do_not_blot_out_words() -> None:
    assert Redactor(["abc"]).redact("abcdef") == "abcdef"


def test_short_values_count_as_words_only_and_known_ones_not_at_all() -> None:
    redactor = Redactor(["there", "postgres", "Changeme"])
    assert redactor.redact("there, therefore") == f"{REDACTED}, therefore"
    assert redactor.redact("PostgreSQL, postgres, changeme") == "PostgreSQL, postgres, changeme"
    assert "postgres:postgres" not in redactor.redact("postgres://postgres:postgres@localhost/postgres")


def test_it_does_not_show_what_it_knows() -> None:
    assert SECRET not in repr(Redactor([SECRET]))


def test_the_gate_lets_no_family_out() -> None:
    for triggers, _, _ in _FAMILIES:
        for trigger in triggers:
            assert trigger == trigger.lower()
            assert _suspicious(trigger), trigger


_pieces = st.sampled_from(
    [
        *(
            "password",
            "token",
            "secret",
            "api_key",
            "authorization",
            "bearer ",
            "basic ",
            "=",
            ": ",
            ":",
            '"',
            "'",
            "\\",
        ),
        *(
            "://",
            "@",
            "/",
            " ",
            "eyJ",
            ".",
            "ghp_",
            TAIL,
            JWT,
            SECRET,
            REDACTED,
            "sk-",
            "\n",
            "-----BEGIN PRIVATE KEY-----",
        ),
        *("--password ", "null", "{", "}", ",", "&", "hooks.slack.com/services/", "é"),
    ]
)


@given(st.lists(_pieces, max_size=12).map("".join))
@settings(max_examples=500, deadline=None)
def test_twice_is_once(text: str) -> None:
    redactor = Redactor([SECRET])
    once = redactor.redact(text)
    assert SECRET not in once
    assert redactor.redact(once) == once


@pytest.mark.parametrize(
    "piece",
    [
        "eyJ",
        "://a:",
        "password=",
        'password="',
        "authorization: bearer ",
        "token=",
        "-----BEGIN PRIVATE KEY-----",
        '"\\',
        "://",
        "a-",
    ],
)
def test_time_grows_with_length_and_no_faster(piece: str) -> None:
    """A hostile line of 256 KiB; quadratic behaviour would take minutes."""
    redactor, text = Redactor([SECRET]), piece * (262144 // len(piece)) + " password"
    began = time.process_time()
    redactor.redact(text)
    assert time.process_time() - began < 20.0
