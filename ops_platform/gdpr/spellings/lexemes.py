"""Identifiers in text search vectors, which hold lexemes: words without their order, endings and accents."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import sql

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.spellings.searched_values import is_uuid, name_words
from ops_platform.gdpr.spellings.text_pattern import unaccented

_QUERIES = """
SELECT DISTINCT CAST(phraseto_tsquery(c.oid::regconfig, w.text) AS text) AS phrase,
       CAST(plainto_tsquery(c.oid::regconfig, w.text) AS text) AS words
FROM pg_ts_config AS c CROSS JOIN unnest(CAST(%s AS text[])) AS w (text)
WHERE numnode(phraseto_tsquery(c.oid::regconfig, w.text)) > 1
   OR CAST(phraseto_tsquery(c.oid::regconfig, w.text) AS text)
      = '''' || replace(replace(lower(w.text), '\\', '\\\\'), '''', '''''') || ''''
ORDER BY 1, 2
"""
# A single word that a dictionary shortened is not searched for: "sunflow" is in everybody's text.


@dataclass(frozen=True)
class Lexemes:
    """Text search queries, as text: ``phrases`` need positions, ``words`` is for vectors without them."""

    phrases: str
    words: str

    def test(self, held: sql.Composable) -> sql.Composable:
        """Write the test of a vector."""
        return sql.SQL(
            "({held} @@ CAST({phrases} AS tsquery) "
            "OR (strip({held}) = {held} AND {held} @@ CAST({words} AS tsquery)))"
        ).format(held=held, phrases=sql.Literal(self.phrases), words=sql.Literal(self.words))


def of(connection: Connection, texts: Iterable[str]) -> Lexemes | None:
    """Ask every text search configuration of the database how it writes ``texts``; None when none can."""
    forms = sorted({form for text in texts if not is_uuid(text) for form in _forms(text)})
    rows = connection.execute(_QUERIES, (forms,)).fetchall() if forms else []
    if not rows:
        return None
    return Lexemes(*(" | ".join(sorted({f"({row[name]})" for row in rows})) for name in ("phrase", "words")))


def _forms(text: str) -> set[str]:
    words = name_words(text)
    if not words:
        return {text}
    plain = [(unaccented(word) or [word])[0] for word in words]
    german = [(unaccented(word) or [word])[-1] for word in words]
    orders = [[*form[split:], *form[:split]] for form in (words, plain, german) for split in range(len(form))]
    return {" ".join(order) for order in orders}
