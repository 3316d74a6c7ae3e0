"""What Art. 15(1) and (2) GDPR ask a controller to say beside the data, as far as the map tells. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ops_platform.gdpr.data_map import Controller, DataMap

ASKED: Mapping[str, str] = {
    "address": "Art. 13(1)(a)",
    "contact": "Art. 13(1)(a)",
    "dpo": "Art. 13(1)(b)",
    "supervisory_authority": "Art. 15(1)(f)",
    "sources": "Art. 15(1)(g)",
    "recipients": "Art. 15(1)(c)",
    "third_countries": "Art. 15(2)",
    "automated_decisions": "Art. 15(1)(h)",
}
"""What a controller must say, by its key in ``controller``, with where the law asks for it."""


def unsaid(controller: Controller | None) -> list[str]:
    """List the keys of ASKED that the map leaves out; without a controller that one word."""
    if controller is None:
        return ["controller"]
    return [name for name in ASKED if getattr(controller, name) is None]


def statement(data_map: DataMap) -> dict[str, Any]:
    """Compose what the map states, for about.json; ``not_stated`` names what it leaves out."""
    controller = data_map.controller
    stated: dict[str, Any] = {}
    if controller is not None:
        who = ("name", "address", "contact", "representative", "dpo")
        stated["controller"] = {name: getattr(controller, name) for name in who if getattr(controller, name)}
        if controller.supervisory_authority is not None:
            stated["supervisory_authority"] = controller.supervisory_authority
        if controller.sources is not None:
            stated["sources"] = list(controller.sources)
    stated["recipients"] = recipients(data_map)
    if controller is not None:
        if controller.third_countries is not None:
            stated["third_countries"] = [asdict(transfer) for transfer in controller.third_countries]
        if controller.automated_decisions is not None:
            stated["automated_decisions"] = [asdict(decision) for decision in controller.automated_decisions]
    stated["not_stated"] = unsaid(controller)
    return stated


def recipients(data_map: DataMap) -> list[dict[str, str]]:
    """List the processors, then the controller's other recipients, who have no contact here."""
    others = data_map.controller.recipients if data_map.controller else None
    return [
        *(
            {"name": processor.name, "purpose": processor.purpose, "contact": processor.email}
            for processor in data_map.processors
        ),
        *({"name": recipient.name, "purpose": recipient.purpose} for recipient in others or ()),
    ]
