"""Comments that allow hazards: whatever they say, reading them ends, and tells what is wrong."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from muva_console.ops.migrations.bodies import sql_in
from muva_console.ops.migrations.rules import RULES
from muva_console.ops.migrations.suppress import read_remark

_WORDS = st.sampled_from(
    [
        "muva:",
        "MUVA :",
        "allow",
        "allow-file",
        "drop-column",
        ",",
        ":",
        "--",
        "\n",
        " ",
        "squawk-ignore",
        "*/",
    ]
)
_SOUP = st.lists(st.one_of(_WORDS, st.text(max_size=6)), max_size=12).map(" ".join)


@settings(max_examples=150)
@given(_SOUP, st.booleans(), st.booleans())
def test_any_comment_is_read(soup: str, block: bool, top: bool) -> None:
    comment = f"/*{soup}*/" if block else f"--{soup}"
    remark = read_remark(comment, 3, (1, 4), top=top)
    if remark is None or remark.squawk:
        return
    # it allows only with a rule and a reason
    assert remark.wrong or (remark.rules and remark.reason)
    assert "\n" not in remark.reason and len(remark.reason) <= 300


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from(sorted(RULES)), min_size=1, max_size=4),
    st.text(alphabet="abc é,.()", min_size=1, max_size=40).filter(str.strip),
    st.booleans(),
)
def test_what_is_written_is_read(rules: list[str], reason: str, file: bool) -> None:
    comment = f"-- muva: allow{'-file' if file else ''} {', '.join(rules)}: {reason}"
    remark = read_remark(comment, 0, (1, 1), top=True)
    assert remark is not None and not remark.wrong
    assert (remark.rules, remark.reason, remark.file) == (tuple(rules), " ".join(reason.split()), file)


def test_secrets_in_a_reason_are_not_told() -> None:
    remark = read_remark("-- muva: allow truncate: see postgres://u:hunter2@host/db", 0, (1, 1), top=False)
    assert remark is not None and "hunter2" not in remark.reason


@settings(max_examples=100)
@given(
    st.lists(
        st.sampled_from(
            [
                "begin",
                "if x then",
                "drop table t;",
                "'",
                "$a$",
                "end;",
                "execute 'select 1';",
                "(",
                "é;",
                "loop",
                "\0",
            ]
        ),
        max_size=10,
    )
)
def test_any_body_is_read(words: list[str]) -> None:
    sql_in(" ".join(words).replace("\0", ""))
