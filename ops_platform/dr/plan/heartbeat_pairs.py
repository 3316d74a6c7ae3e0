"""Pairs of neighbouring heartbeats: between two lies a recovery target with a witness on each side."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ops_platform.backup.recovery_point import Heartbeat
from ops_platform.backup.stanza import cluster_of
from ops_platform.backup.wal import parse_lsn
from ops_platform.clients.postgres import Connection

# A heartbeat's row has the time of its writing, recovery stops by the time of a commit: in the middle
# of a pair that is this far apart, the first is certainly committed and the second is not.
APART = timedelta(seconds=1)
STALE = timedelta(seconds=60)
"""With an older newest heartbeat, nobody can tell what would be lost of the source."""
_CANDIDATES = 200


@dataclass(frozen=True)
class HeartbeatPair:
    """Two heartbeats with none between them."""

    before: Heartbeat
    after: Heartbeat

    @property
    def middle(self) -> datetime:
        """The moment halfway between the two, which serves as recovery target."""
        return self.before.at + (self.after.at - self.before.at) / 2


def pairs(
    connection: Connection, stanza: str, since: datetime, until: datetime, near: datetime
) -> list[HeartbeatPair]:
    """Read neighbouring heartbeats in ``[since, until]``, nearest to ``near`` first; at most 200."""
    rows = connection.execute(
        """
        SELECT * FROM (
            SELECT beat_at, lsn::text AS lsn, timeline,
                   lead(beat_at) OVER w AS next_at, lead(lsn::text) OVER w AS next_lsn,
                   lead(timeline) OVER w AS next_timeline
            FROM heartbeat_positions
            WHERE stanza = %(stanza)s AND beat_at BETWEEN %(since)s AND %(until)s
            WINDOW w AS (ORDER BY beat_at)
        ) AS neighbours
        WHERE next_at - beat_at >= %(apart)s
        ORDER BY abs(extract(epoch FROM beat_at + (next_at - beat_at) / 2 - %(near)s)) LIMIT %(most)s
        """,
        {
            "stanza": cluster_of(stanza),
            "since": since,
            "until": until,
            "near": near,
            "apart": APART,
            "most": _CANDIDATES,
        },
    ).fetchall()
    return [
        HeartbeatPair(
            Heartbeat(row["beat_at"], parse_lsn(row["lsn"]), row["timeline"]),
            Heartbeat(row["next_at"], parse_lsn(row["next_lsn"]), row["next_timeline"]),
        )
        for row in rows
    ]


def newest(connection: Connection, stanza: str, until: datetime) -> Heartbeat | None:
    """Read the newest heartbeat at or before ``until``."""
    row = connection.execute(
        """
        SELECT beat_at, lsn::text AS lsn, timeline FROM heartbeat_positions
        WHERE stanza = %s AND beat_at <= %s ORDER BY beat_at DESC LIMIT 1
        """,
        (cluster_of(stanza), until),
    ).fetchone()
    return None if row is None else Heartbeat(row["beat_at"], parse_lsn(row["lsn"]), row["timeline"])
