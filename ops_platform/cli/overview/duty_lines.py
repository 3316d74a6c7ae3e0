"""The verdict on each duty from the agent's samples. Pure; what has no sample is unknown, never good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ops_platform.cli import output

Verdict = Literal["ok", "WRONG", "unknown"]
DAY = 86_400.0
DEADLINE_SECONDS = 3 * DAY
EXERCISE_LIMITS = {"stolen_key": 100 * DAY}
"""The age in seconds at which an exercise is overdue, as in the alert DrExerciseOverdue."""
EXERCISE_LIMIT = 35 * DAY


class Samples:
    """The agent's samples: (name, labels, value)."""

    def __init__(self, samples: Sequence[tuple[str, Mapping[str, str], float]]) -> None:
        self._samples = samples

    def named(self, name: str, **labels: str) -> list[tuple[Mapping[str, str], float]]:
        """List the samples of a metric that have these labels."""
        return [
            (found, value)
            for metric, found, value in self._samples
            if metric == name and labels.items() <= found.items()
        ]

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of the only sample with these labels; None when there is not exactly one."""
        values = self.named(name, **labels)
        return values[0][1] if len(values) == 1 else None


@dataclass(frozen=True)
class Line:
    """One line: the duty, the verdict on it, and the figures that it rests on."""

    duty: str
    verdict: Verdict
    text: str


def duty_lines(samples: Samples, now: float) -> list[Line]:
    """Word the state of the four duties; ``now`` in Unix seconds."""
    return [_backup(samples), _recovery(samples, now), _objectives(samples), _data_subjects(samples)]


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Choose what is wrong before what is unknown; of nothing nothing is known."""
    if "WRONG" in verdicts:
        return "WRONG"
    return "unknown" if "unknown" in verdicts or not verdicts else "ok"


def _backup(samples: Samples) -> Line:
    verdicts: list[Verdict] = []
    words = []
    for labels, target in samples.named("backup_rpo_target_seconds"):
        stanza = labels["stanza"]
        lost = samples.value("backup_rpo_seconds", stanza=stanza)
        known = samples.value("backup_rpo_known", stanza=stanza)
        window = samples.value("backup_recoverable_seconds", stanza=stanza)
        missing = samples.value("backup_wal_gap_segments", stanza=stanza)
        failed = [value for _, value in samples.named("backup_last_run_failed", stanza=stanza)]
        if (lost or 0) > target or missing or window == 0 or any(failed):
            verdicts.append("WRONG")
        elif known != 1 or lost is None or window is None or missing is None:
            verdicts.append("unknown")
        else:
            verdicts.append("ok")
        words.append(
            f"{stanza}: {output.duration(lost)} would be lost now"
            + (f", {missing:.0f} WAL segments missing" if missing else "")
            + (", the last run failed" if any(failed) else "")
            + (", nothing can be restored" if window == 0 else "")
        )
    return Line("backup", _worst(verdicts), "; ".join(words) or "no stanza has figures")


def _recovery(samples: Samples, now: float) -> Line:
    verdicts: list[Verdict] = []
    ages = []
    for labels, since in samples.named("dr_exercise_expected_since_timestamp_seconds"):
        which = {"stanza": labels["stanza"], "scenario": labels["scenario"]}
        succeeded = samples.value("dr_exercise_last_success_timestamp_seconds", **which)
        overdue = now - (succeeded or since) > EXERCISE_LIMITS.get(labels["scenario"], EXERCISE_LIMIT)
        if overdue or samples.value("dr_exercise_last_failed", **which):
            verdicts.append("WRONG")
        else:
            verdicts.append("unknown" if succeeded is None else "ok")
        if succeeded is not None:
            ages.append(now - succeeded)
    counts = Counter(verdicts)
    text = f"{counts['ok']} of {len(verdicts)} exercises succeeded in their time"
    if ages:
        text += f", the newest {output.duration(min(ages))} ago"
    return Line("recovery", _worst(verdicts), text if verdicts else "no backup to exercise yet")


def _objectives(samples: Samples) -> Line:
    counts: Counter[str] = Counter()
    for labels, _ in samples.named("slo_period_info"):
        which = {name: labels[name] for name in ("service", "slo", "window")}
        told = [found["verdict"] for found, value in samples.named("slo_verdict", **which) if value == 1]
        counts[told[0] if len(told) == 1 else "undecided"] += 1
    verdict: Verdict = "WRONG" if counts["breached"] else "unknown" if counts["undecided"] else "ok"
    words = ", ".join(f"{counts[name]} {name}" for name in ("met", "at risk", "breached", "undecided"))
    return Line("objectives", verdict if counts else "unknown", words if counts else "no figures yet")


def _data_subjects(samples: Samples) -> Line:
    verdicts: list[Verdict] = []
    words = []
    for kind in ("erasure", "export"):
        age = samples.value("gdpr_oldest_pending_seconds", request_type=kind)
        verdicts.append("unknown" if age is None else "WRONG" if age > DEADLINE_SECONDS else "ok")
        if age is None:
            words.append(f"{kind}: unknown")
        else:
            words.append(f"{kind}: " + (f"oldest waits for {output.duration(age)}" if age else "none waits"))
    return Line("requests", _worst(verdicts), "; ".join(words))
