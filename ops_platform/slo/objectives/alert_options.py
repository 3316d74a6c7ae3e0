"""How an objective's alerts differ from the usual ones, as annotations of its document.

``ops-platform/alert-min-events``, ``alert-disable``, ``alert-severity``, ``alert-name``,
``alert-label-NAME`` and ``alert-annotation-NAME``. All but the first two may end in ``.KIND`` (``burn-fast``,
``burn-slow``, ``spent``, ``undecided``, ``absent``) and are then for this alert only.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "ops-platform/alert-"
KINDS: Mapping[str, tuple[str, str]] = {
    "burn-fast": ("ErrorBudgetBurnFast", "critical"),
    "burn-slow": ("ErrorBudgetBurnSlow", "warning"),
    "spent": ("ErrorBudgetSpent", "warning"),
    "undecided": ("ErrorBudgetUndecided", "warning"),
    "absent": ("SloMetricAbsent", "critical"),
}
"""By kind: the usual name and severity."""
SEVERITIES = ("critical", "warning")
MIN_EVENTS = 10
_MOST_EVENTS = 1_000_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_OURS = ("alertname", "severity", "service", "slo")
_FORMS = ("min-events", "disable", "severity", "name", "label-NAME", "annotation-NAME")

Pairs = tuple[tuple[str, str], ...]


class AlertOptionError(ValueError):
    """An annotation about alerts that cannot be followed; ``key`` is the annotation's."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True)
class AlertOptions:
    """What an objective's alerts have instead of the usual; keys are a kind, or ``KIND/NAME``."""

    min_events: int = MIN_EVENTS
    """Fewer events in a burn alert's long window than that call nobody."""
    disabled: frozenset[str] = frozenset()
    own_names: Pairs = ()
    own_severities: Pairs = ()
    own_labels: Pairs = ()
    own_annotations: Pairs = ()

    def name(self, kind: str) -> str:
        """Name the alert."""
        return dict(self.own_names).get(kind, KINDS[kind][0])

    def severity(self, kind: str) -> str:
        """Grade the alert."""
        return dict(self.own_severities).get(kind, KINDS[kind][1])

    def labels(self, kind: str) -> dict[str, str]:
        """List the additional labels of the alert."""
        return _of_kind(self.own_labels, kind)

    def annotations(self, kind: str) -> dict[str, str]:
        """List the additional annotations of the alert, or those in place of the usual ones."""
        return _of_kind(self.own_annotations, kind)


USUAL = AlertOptions()


def parse(annotations: Mapping[str, str]) -> AlertOptions:
    """Read those of a document's annotations that begin with PREFIX. Raises AlertOptionError."""
    min_events, disabled = MIN_EVENTS, frozenset[str]()
    severities: dict[str, str] = {}
    names: dict[str, str] = {}
    labels: dict[str, str] = {}
    extra: dict[str, str] = {}
    # What is said of one kind goes before what is said of all.
    for key in sorted((key for key in annotations if key.startswith(PREFIX)), key=lambda key: "." in key):
        value = annotations[key]
        option, dot, kind = key.removeprefix(PREFIX).partition(".")
        if dot and (kind not in KINDS or option in ("min-events", "disable")):
            raise AlertOptionError(key, f"{key}: {_nearest(kind, tuple(KINDS), 'is none of the alerts')}")
        kinds = (kind,) if dot else tuple(KINDS)
        what, _, name = option.partition("-") if option not in _FORMS else (option, "", "")
        if option == "min-events":
            min_events = _number(key, value)
        elif option == "disable":
            disabled = _disabled(key, value)
        elif option == "severity":
            if value not in SEVERITIES:
                raise AlertOptionError(key, f"{key} is {' or '.join(SEVERITIES)}, not {value!r}")
            severities |= dict.fromkeys(kinds, value)
        elif option == "name":
            if not dot or _NAME.fullmatch(value) is None:
                raise AlertOptionError(
                    key,
                    f"{key}: name one alert, as in {PREFIX}name.burn-fast, in letters, digits and _",
                )
            names[kind] = value
        elif what in ("label", "annotation") and _NAME.fullmatch(name):
            if what == "label" and (name in _OURS or name.startswith(("sloth_", "__"))):
                raise AlertOptionError(key, f"{key}: the label {name} is set by the rules: choose another")
            target = labels if what == "label" else extra
            target |= {f"{one}/{name}": value for one in kinds}
        else:
            raise AlertOptionError(key, f"{key}: {_nearest(option, _FORMS, 'is no option of alerts')}")
    return AlertOptions(min_events, disabled, *(_pairs(each) for each in (names, severities, labels, extra)))


def _number(key: str, value: str) -> int:
    if re.fullmatch(r"\d{1,7}", value) is None or int(value) > _MOST_EVENTS:
        raise AlertOptionError(key, f"{key} is a whole number up to {_MOST_EVENTS}, not {value!r}")
    return int(value)


def _disabled(key: str, value: str) -> frozenset[str]:
    if value.strip() == "all":
        return frozenset(KINDS)
    kinds = [kind.strip() for kind in value.split(",")]
    for kind in kinds:
        if kind not in KINDS:
            raise AlertOptionError(key, f"{key}: {_nearest(kind, (*KINDS, 'all'), 'is none of the alerts')}")
    return frozenset(kinds)


def _nearest(given: str, known: tuple[str, ...], complaint: str) -> str:
    near = difflib.get_close_matches(given, known, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"{given!r} {complaint}; {hint}"


def _pairs(mapping: Mapping[str, str]) -> Pairs:
    return tuple(sorted(mapping.items()))


def _of_kind(pairs: Pairs, kind: str) -> dict[str, str]:
    return {name: value for key, value in pairs for of, _, name in [key.partition("/")] if of == kind}
