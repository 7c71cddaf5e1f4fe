"""The rules of our own: what each is called and means, and how a hazard is told before it is weighed.

The rules themselves stand by subject in `rules_table.py` (columns, constraints), `rules_index.py`
(indexes, partitions, upkeep), `rules_rows.py` (rows, drops, renames), `rules_access.py` (rights and policies)
and `rules_flow.py` (what a transaction holds together).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from muva_console.ops.links.sqltext import quote_name
from muva_console.ops.migrations.deeds import Deed, Read, Stated
from muva_console.ops.migrations.known import Known
from muva_console.ops.migrations.weigh import Weight

RULES = {
    # columns
    "volatile-default": "a new column whose default may differ from row to row: the table is rewritten",
    "serial-column": "a new serial or identity column: the table is rewritten to number every row",
    "generated-column": "a stored generated column: the table is rewritten",
    "required-column": "a new column NOT NULL without a default: fails where rows are, breaks running code",
    "column-type": "a change of type that rewrites the table",
    "json-column": "json has no equality: DISTINCT, GROUP BY and UNION over it fail; jsonb has",
    "not-null-scan": "SET NOT NULL without a proof reads the table while nobody else may use it",
    "drop-not-null": "code that reads the column may meet NULL",
    "domain-column": "a new column of a domain with a constraint: the table is rewritten to look at it",
    "drop-default": "nothing fills the column any more: code that relies on it writes NULL, or fails",
    "table-rewrite": "SET LOGGED, TABLESPACE or ACCESS METHOD write the table anew",
    # constraints
    "constraint-scan": "a CHECK looks at every row while nobody else may use the table",
    "foreign-key-scan": "a foreign key looks at every row while nobody writes either table",
    "foreign-key-lock": "a foreign key with a new column locks both tables for a moment",
    "foreign-key-index": "no index for a foreign key: deleting a referenced row reads the whole table",
    "unique-constraint": "a key builds its index while nobody else may use the table",
    "primary-key-scan": "a primary key over a column that may be NULL looks at every row",
    "exclusion-constraint": "an EXCLUDE builds its index while nobody else may use the table",
    "validate-together": "NOT VALID and VALIDATE in one transaction: the first's lock outlasts the scan",
    "domain-constraint": "a domain's constraint looks at every table that uses it",
    # indexes and upkeep
    "index-blocks-writes": "an index built without CONCURRENTLY: nobody writes meanwhile",
    "drop-index": "an index dropped without CONCURRENTLY waits for every query, and all wait behind it",
    "reindex": "REINDEX without CONCURRENTLY: nobody writes, and nobody reads by the index",
    "refresh-view": "REFRESH without CONCURRENTLY: nobody reads the view meanwhile",
    "vacuum-full": "VACUUM FULL writes the table anew while nobody else may use it",
    "cluster": "CLUSTER writes the table anew while nobody else may use it",
    "attach-partition": "ATTACH looks at every row of the partition while nobody else may use it",
    "detach-partition": "DETACH without CONCURRENTLY waits for every query on the whole table",
    "partition-of": "CREATE TABLE … PARTITION OF locks the whole table; ATTACH does not",
    "trigger-lock": "a trigger waits for every writer, and runs for each write from then on",
    "brief-lock": "a lock of a moment on a huge table: all queries queue behind it while it waits",
    # rows and things taken away
    "drop-table": "the table and its rows are gone; code that uses it breaks",
    "drop-column": "the column and its values are gone; code that uses it breaks",
    "drop-schema": "the schema and all that is in it are gone",
    "drop-database": "the database is gone",
    "drop-object": "code that uses it breaks",
    "drop-cascade": "CASCADE takes what depends on it, columns of tables too, without naming it",
    "drop-owned": "all that a role owns is gone, tables too, without naming it",
    "drop-key": "a key is gone, with CASCADE the foreign keys that refer to it too",
    "rename-table": "code that uses the old name breaks from the moment it is applied",
    "rename-column": "code that uses the old name breaks from the moment it is applied",
    "rename-object": "code that uses the old name breaks from the moment it is applied",
    "rename-enum-value": "code that writes or compares the old value breaks",
    "set-schema": "code that finds it in the old schema breaks",
    "truncate": "every row is gone, and nobody else may use the table until the end of the transaction",
    "delete-all": "DELETE without WHERE: every row is gone",
    "update-all": "UPDATE without WHERE: every row is written, and locked until the end of the transaction",
    "backfill-at-once": "a large table filled in one transaction",
    # rights
    "rls-off": "row level security is switched off: every role with rights sees every row",
    "rls-without-policy": "row level security without a policy: roles other than the owner see nothing",
    "table-without-rls": "a table in public without row level security, where others have it",
    "grant-to-everyone": "a right for everybody",
    "open-policy": "a policy that lets everybody write every row",
    "definer-search-path": "SECURITY DEFINER without a search_path of its own: whoever calls it lends it his",
    "plain-password": "a password in a file that stays in the repository, and in the history",
    "sequence-restart": "numbers that were given are given again: inserts fail, or rows get another's number",
    "triggers-off": "triggers are off: what they and foreign keys hold is not held",
    "replica-role": "session_replication_role switches triggers and foreign keys off",
    # what a transaction holds together
    "exclusive-together": "several tables locked in one transaction: a deadlock with whoever takes them too",
    "held-lock": "long work while a lock of before keeps everybody from a table",
    "alone-with-others": "what cannot run in a transaction, together with others in one file",
    "own-transaction": "the file begins and ends transactions, and so ends that of whoever applies it",
    "transaction-left-open": "a transaction that is begun and not ended",
    "lock-table": "a lock taken by hand, held until the end of the transaction",
    "enum-value-used": "a new enum value cannot be used in the transaction that adds it",
    "no-timeout": "time-outs switched off: a lock that is waited for holds up everybody, for ever",
    "code-unseen": "code that cannot be looked into",
    "not-looked-into": "a statement too long or too deep to be looked into",
    "identifier-too-long": "a name of more than 63 bytes is cut",
    "duplicate-assignment": "a column is set twice: the statement fails",
    "line-ends": "lines that end in CRLF: bodies of functions and texts keep the CR",
    # comments
    "allow-wrong": "a comment that is to allow a hazard, and does not",
    "allow-unused": "a comment that allows what is not there",
}
"""What each rule is about, by its id. Ids are an interface: comments in files name them."""


class Found(NamedTuple):
    """A hazard before it is weighed."""

    rule: str
    what: str
    """What happens, in a sentence."""
    weight: Weight
    tables: tuple[str, ...]
    """The tables whose size says how bad it is; those that it touches."""
    safe: str
    """The safe way to write it: SQL, or a sentence."""
    at: int = 0
    """The byte it stands at; 0: where the statement begins."""
    blocks: str = ""
    """Whom it keeps waiting."""


@dataclass(slots=True)
class Scene:
    """Where a deed is done: its file, its statement, and what is known before it."""

    file: int
    read: Read
    number: int
    """Of the statement."""
    known: Known
    down: bool = False
    """The file is a way back."""

    @property
    def stated(self) -> Stated:
        """The statement."""
        return self.read.statements[self.number]

    def is_new(self, name: str) -> bool:
        """Whether this very file made it: nobody else knows it yet."""
        return self.known.is_new(name, self.file)

    def later(self) -> Iterator[Deed]:
        """The deeds of the statements that follow in the file."""
        for one in self.read.statements[self.number + 1 :]:
            yield from one.deeds

    def earlier(self) -> Iterator[Deed]:
        """The deeds of the statements before, in the file."""
        for one in self.read.statements[: self.number]:
            yield from one.deeds

    def siblings(self) -> tuple[Deed, ...]:
        """All deeds of the statement."""
        return self.stated.deeds


Rule = Callable[[Deed, Scene], Iterator[Found]]

READS_AND_WRITES = "reads and writes"
WRITES = "writes"

_BARE = re.compile(r"[a-z_][a-z0-9_$]*")


def sql(name: str) -> str:
    """A name as it is written: ``public.bookings`` as ``bookings``, quoted where it must be."""
    schema, _, own = name.rpartition(".")
    shown = _one(own)
    return shown if schema in ("", "public") else f"{_one(schema)}.{shown}"


def columns_sql(columns: tuple[str, ...]) -> str:
    """Columns as they are written, ``…`` where they are not known."""
    return ", ".join(_one(one) for one in columns if one) or "…"


@lru_cache(maxsize=8192)
def _one(name: str) -> str:
    return name if _BARE.fullmatch(name) else quote_name(name)


def base(name: str) -> str:
    """The name without its schema."""
    return name.rpartition(".")[2]
