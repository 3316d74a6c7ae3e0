"""The parser of ``controller``: what the file does not say stays None, an empty list is 'none'."""

from __future__ import annotations

from ops_platform.gdpr.data_map import file_schema
from ops_platform.gdpr.data_map.controller import AutomatedDecision, Controller, Recipient, ThirdCountry


def parse(model: file_schema.Controller) -> Controller:
    """Take over what the file says."""
    return Controller(
        model.name,
        model.address,
        model.contact,
        model.representative,
        "" if model.dpo == "none" else model.dpo,
        model.supervisory_authority,
        None if model.sources is None else tuple(model.sources),
        None if model.recipients is None else tuple(Recipient(r.name, r.purpose) for r in model.recipients),
        None
        if model.third_countries is None
        else tuple(ThirdCountry(t.country, t.recipient, t.safeguards) for t in model.third_countries),
        None
        if model.automated_decisions is None
        else tuple(AutomatedDecision(d.decision, d.logic, d.consequences) for d in model.automated_decisions),
        None if model.security is None else tuple(model.security),
    )
