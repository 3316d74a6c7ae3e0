"""Checks of a service: what its objectives have left, and whether anything fires."""

from __future__ import annotations

from ops_platform.clients.alertmanager import HeldAlert
from ops_platform.gate.agent_figures import Figures
from ops_platform.gate.decision import Reason, Verdict
from ops_platform.gate.facts import Facts, Unknown
from ops_platform.gate.findings import Findings
from ops_platform.gate.policy import Policy

WATCHDOG = "Watchdog"


def budgets(facts: Facts, policy: Policy, service: str | None) -> Reason:
    """Judge the error budget of each objective over its own period, by its bounds."""
    found = Findings("budgets")
    if isinstance(facts.figures, Unknown):
        return found.unknown(facts.figures.reason)
    figures = facts.figures
    objectives = [
        (labels["service"], labels["slo"])
        for labels, _ in figures.each("slo_target_percentage")
        if service in (None, labels["service"])
    ]
    if not objectives:
        return found.unknown("there is no objective" + (f" of service {service}" if service else ""))
    ages = []
    for its_service, slo in objectives:
        name = f"{its_service}/{slo}"
        measured = figures.one("slo_measured_timestamp_seconds", service=its_service, slo=slo)
        if measured is None:
            found.add("undecided", f"{name} has no figures yet")
            continue
        age = facts.now.timestamp() - measured
        ages.append(age)
        if age > policy.figures_hours * 3600:
            found.add("undecided", f"{name}: its newest figures are {age / 3600:.1f} h old")
            continue
        found.add(*_budget(figures, its_service, slo, policy))
    return found.reason(f"{len(objectives)} objectives have budget left", max(ages, default=None))


def _budget(figures: Figures, service: str, slo: str, policy: Policy) -> tuple[Verdict, str]:
    name = f"{service}/{slo}"
    windows = [labels["window"] for labels, _ in figures.each("slo_period_info", service=service, slo=slo)]
    if len(windows) != 1:
        return "undecided", f"{name} has no period"
    of_window = {"service": service, "slo": slo, "window": windows[0]}
    verdict = next((labels["verdict"] for labels, on in figures.each("slo_verdict", **of_window) if on), None)
    if verdict == "breached":
        return "deny", f"{name} is breached over {windows[0]}"
    left = [value for _, value in figures.each("slo_error_budget_remaining", **of_window)]
    if not left:
        # An objective of 100 % has no budget: what is certain of it is its verdict.
        whole = figures.one("slo_target_percentage", service=service, slo=slo) == 100
        return ("allow" if verdict == "met" and whole else "undecided"), f"{name}: its budget is not known"
    least, most = min(left), max(left)
    wanted = policy.least_budget_percent
    if most < wanted:
        return "deny", f"{name} has {most:.1f} % of its budget left, {wanted:g} % are asked for"
    if least < wanted:
        return "undecided", f"{name} has between {least:.1f} and {most:.1f} % of its budget left"
    return ("allow" if verdict in ("met", "at risk") else "undecided"), f"{name}: {verdict or 'no verdict'}"


def alerts(facts: Facts, policy: Policy, service: str | None) -> Reason:
    """Deny while an alert of the policy's severities fires that concerns the service."""
    found = Findings("alerts")
    if isinstance(facts.alerts, Unknown):
        return found.unknown(facts.alerts.reason)
    if not any(alert.labels.get("alertname") == WATCHDOG for alert in facts.alerts):
        return found.unknown("Alertmanager holds no Watchdog: does Prometheus reach it?")
    for alert in facts.alerts:
        if alert.state != "suppressed" and _counts(alert, policy, service):
            found.add("deny", f"{_named(alert)} fires since {alert.starts_at:%Y-%m-%d %H:%M}Z")
    return found.reason(f"no alert of severity {' or '.join(policy.severities)} fires", None)


def _counts(alert: HeldAlert, policy: Policy, service: str | None) -> bool:
    labels = alert.labels
    if labels.get("alertname") in policy.ignored_alerts or labels.get("severity") not in policy.severities:
        return False
    # Alerts of other services' objectives are theirs; what is of the platform concerns every service.
    return service is None or "slo" not in labels or labels.get("service") == service


def _named(alert: HeldAlert) -> str:
    which = [alert.labels[name] for name in ("service", "slo", "stanza") if name in alert.labels]
    return alert.labels.get("alertname", "an alert") + (f" ({', '.join(which)})" if which else "")
