"""What each query of the dashboards of recovery and of data subjects is to answer, from what was put in.

``scraped`` has the values. A query with ``rate`` or ``increase`` is compared with a tolerance elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping

Labels = frozenset[tuple[str, str]]
Answer = Mapping[Labels, float]


def by(keys: str, values: Mapping[str, float]) -> Answer:
    """``by("stanza kind", {"product full": 1})``."""
    return {
        frozenset(zip(keys.split(), names.split(), strict=True)): value for names, value in values.items()
    }


def stanza(**values: float) -> Answer:
    return by("stanza", values)


def kind(values: Mapping[str, float]) -> Answer:
    return by("stanza kind", values)


def scenario(values: Mapping[str, float]) -> Answer:
    return by("stanza scenario", values)


def recovery(passed: float, seconds: float) -> dict[str, Answer]:
    """``passed``: since the moment that times are told from; ``seconds``: of the time that is shown."""
    ages = kind(
        {
            "product full": 200_000 + passed,
            "product differential": 50_000 + passed,
            "product incremental": 90_000 + passed,
            "ops full": 100_000 + passed,
        }
    )
    limits = kind(
        {
            "product full": 626_400,
            "product differential": 93_600,
            "product incremental": 7_200,
            "ops full": 626_400,
        }
    )
    sizes = kind({"product full": 1e11, "product differential": 1e10, "ops full": 1e9})
    durations = kind({"product full": 65_000, "product differential": 5_000, "ops full": 7_000})
    gap, rpo = stanza(product=2, ops=0), stanza(product=120 + passed)
    rto_target, rpo_target = stanza(product=1800, ops=1200), stanza(product=900, ops=600)
    rto = scenario(
        {"product latest": 400, "product performance": 900, "product stolen_key": 600, "ops latest": 100}
    )
    lost = scenario(
        {"product latest": 12.5, "product performance": 30, "product stolen_key": 20, "ops latest": 6}
    )
    set_, used, exercise = "Every kind", "Share of the limit that is used", "Every exercise"
    return {
        "Would be lost now/A": rpo,
        "Of the promised RPO/A": stanza(product=(120 + passed) / 900),
        "Database/A": stanza(product=1, ops=0),
        "Repository/A": stanza(product=0, ops=1),
        "Missing WAL segments/A": gap,
        "Archiving/A": stanza(product=1, ops=0),
        "Damaged sets/A": stanza(product=1, ops=0),
        "Encryption/A": stanza(product=1, ops=0),
        "Object lock/A": stanza(product=0, ops=1),
        "Recoverable window/A": stanza(product=0, ops=50_000),
        "Window falls short by/A": stanza(product=69_880, ops=0),
        "Sets without their files/A": stanza(product=3, ops=0),
        "Vanished sets/A": stanza(product=4, ops=0),
        "Index/A": stanza(product=1, ops=0),
        "What the server calls archived/A": stanza(product=1, ops=0),
        "WAL disk used/A": stanza(product=0.75),
        "Damaged WAL segments/A": stanza(product=5, ops=0),
        "Reading is late by/A": stanza(product=90_000 + passed, ops=0),
        "Data loss if the cluster died (RPO)/A": rpo,
        "Data loss if the cluster died (RPO)/B": rpo_target,
        "WAL archive gap/A": gap,
        "Failed archive attempts/A": stanza(product=10 / seconds, ops=0),
        "Age of the newest heartbeat/A": stanza(product=5 + passed, ops=50 + passed),
        f"{set_}/A": ages,
        f"{set_}/B": limits,
        f"{set_}/C": kind(
            {"product full": 2, "product differential": 6, "product incremental": 20, "ops full": 1}
        ),
        f"{set_}/D": sizes,
        f"{set_}/E": durations,
        # Of the product's differentials none ran in the time shown.
        f"{set_}/F": kind({"product full": 2 / 3, "ops full": 1}),
        f"{set_}/G": kind({"product full": 1, "product differential": 0, "ops full": 0}),
        "Age of the newest set against its limit/A": ages,
        "Age of the newest set against its limit/B": limits,
        f"{used}/A": stanza(product=(200_000 + passed) / 626_400, ops=(100_000 + passed) / 626_400),
        f"{used}/B": stanza(product=(50_000 + passed) / 93_600),
        # The differential is newer than the incremental, and counts for it.
        f"{used}/C": stanza(product=(50_000 + passed) / 7_200),
        "Runs by how they ended/A": by(
            "stanza kind status",
            {
                "product full completed": 2,
                "product full failed": 1,
                "product differential completed": 0,
                "product differential failed": 0,
                "ops full completed": 1,
                "ops full failed": 0,
            },
        ),
        "Running for/A": kind({"product full": 600 + passed}),
        "Size of the cluster/A": sizes,
        "Duration of the newest backup/A": durations,
        f"{exercise}/A": scenario(
            dict.fromkeys(("product latest", "product stolen_key", "ops latest"), 86_400 + passed)
        ),
        f"{exercise}/B": scenario(
            {
                **dict.fromkeys(("product latest", "ops latest"), (86_400 + passed) / (35 * 86_400)),
                # Quarterly, the others monthly.
                "product stolen_key": (86_400 + passed) / (100 * 86_400),
            }
        ),
        f"{exercise}/C": scenario(
            dict.fromkeys(
                ("product latest", "product performance", "product stolen_key", "ops latest"),
                4_000_000 + passed,
            )
        ),
        f"{exercise}/D": scenario(
            {"product latest": 0, "product performance": 1, "product stolen_key": 0, "ops latest": 0}
        ),
        f"{exercise}/E": rto,
        f"{exercise}/F": scenario(
            {
                "product latest": 400 / 1800,
                "product performance": 0.5,
                "product stolen_key": 600 / 1800,
                "ops latest": 100 / 1200,
            }
        ),
        f"{exercise}/G": lost,
        f"{exercise}/H": scenario(
            {
                "product latest": 12.5 / 900,
                "product performance": 30 / 900,
                "product stolen_key": 20 / 900,
                "ops latest": 0.01,
            }
        ),
        "Time to recover (RTO) by scenario/A": rto,
        "Time to recover (RTO) by scenario/B": rto_target,
        "Data loss (RPO) by scenario/A": lost,
        "Data loss (RPO) by scenario/B": rpo_target,
        "Predicted time to recover production/A": stanza(product=1075.5),
        "Predicted time to recover production/B": rto_target,
    }


def gdpr(passed: float) -> dict[str, Answer]:
    entered = by(
        "request_type status",
        {
            "erasure pending": 2,
            "erasure processing": 1,
            "erasure completed": 1,
            "erasure failed": 1,
            "export pending": 0,
            "export failed": 2,
        },
    )
    failed = by("request_type", {"erasure": 1, "export": 2})
    oldest = by("request_type", {"erasure": 100_000 + passed, "export": 50 + passed})
    return {
        "Oldest open request/A": oldest,
        "Share of 72 hours that is used/A": by(
            "request_type", {"erasure": (100_000 + passed) / 259_200, "export": (50 + passed) / 259_200}
        ),
        "Failures/A": failed,
        "Deadline risk/A": oldest,
        "Requests by type and state/A": entered,
        "Requests over time/A": entered,
        "Failures over time/A": failed,
        "Time to verify/A": by("request_type", {"erasure": 60_000, "export": 30_000}),
        "Time to finish/A": by("request_type", {"erasure": 4_000, "export": 90_000}),
    }
