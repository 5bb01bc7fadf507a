"""The made-up company of the demo: people, devices, and the incidents they write about (`world.yaml`).

Every conversation is drawn by its number alone, so conversations can be played in any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict

from consumers.demo_data.dice import Dice
from replay.exact_json import Json

Verdict: TypeAlias = Literal["normal", "unusual", "attack"]
T = TypeVar("T")
#: What the sign-ins say of a request.
RISKS: Mapping[Verdict, str] = {"normal": "low", "unusual": "medium", "attack": "high"}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DeviceClass(_Part):
    name: str
    share: float
    models: list[str]


class Runbook(_Part):
    id: str
    content: str


class IncidentKind(_Part):
    name: str
    share: float
    sign_ins: dict[Verdict, float]
    messages: list[str]
    follow_ups: list[str]
    runbook: Runbook


class Company(_Part):
    """`world.yaml`."""

    seed: int
    conversations: int
    starts_at: int
    write_failure: float
    lasting_failure: float
    first_names: list[str]
    last_names: list[str]
    regions: list[str]
    device_classes: list[DeviceClass]
    encrypted: float
    intents: list[IncidentKind]
    follow_up_share: float
    follow_ups: dict[str, list[str]]
    failures: dict[str, list[str]]


def load_company(path: Path) -> Company:
    return Company.model_validate(yaml.safe_load(path.read_text("utf-8")))


class Incident(NamedTuple):
    """What one conversation is about: who writes, about which device, and what the sign-ins say."""

    number: int
    intent: str
    verdict: Verdict
    region: str
    user_id: str
    first_name: str
    last_name: str
    device_id: str
    device_class: str
    device_model: str
    encrypted: bool
    sessions: int
    messages: tuple[tuple[str, str], ...]
    """(intent, text) of each turn."""
    runbook: Runbook

    @property
    def attributes(self) -> dict[str, Json]:
        """The request's attributes: what the prompt shows, and the cohorts."""
        return {
            "user": {"id": self.user_id, "name": f"{self.first_name} {self.last_name}"},
            "region": self.region,
            "device_class": self.device_class,
            "risk": RISKS[self.verdict],
            "intent": self.intent,
        }


def draw_incident(company: Company, number: int) -> Incident:
    dice = Dice(company.seed, "incident", number)
    kind = _shared(dice, "intent", [(kind, kind.share) for kind in company.intents])
    device = _shared(dice, "device", [(device, device.share) for device in company.device_classes])
    normal, unusual = kind.sign_ins["normal"], kind.sign_ins["unusual"]
    shares: list[tuple[Verdict, float]] = [("normal", normal), ("unusual", unusual), ("attack", 1 - normal - unusual)]
    device_id = f"LT-{dice.whole('device id', 1000, 9999)}"
    return Incident(
        number=number,
        intent=kind.name,
        verdict=_shared(dice, "verdict", shares),
        region=dice.pick("region", company.regions),
        user_id=f"u-{dice.whole('user id', 100, 999)}",
        first_name=dice.pick("first name", company.first_names),
        last_name=dice.pick("last name", company.last_names),
        device_id=device_id,
        device_class=device.name,
        device_model=dice.pick("device model", device.models),
        encrypted=dice.chance("encrypted", company.encrypted),
        sessions=dice.whole("sessions", 2, 9),
        messages=tuple(_messages(company, kind, dice, device_id)),
        runbook=kind.runbook,
    )


def _messages(company: Company, kind: IncidentKind, dice: Dice, device_id: str) -> list[tuple[str, str]]:
    said = [(kind.name, dice.pick("message", kind.messages))]
    if kind.follow_ups and dice.chance("follows up", company.follow_up_share):
        follow_up = dice.pick("follow-up", kind.follow_ups)
        said.append((follow_up, dice.pick("follow-up message", company.follow_ups[follow_up])))
    return [(name, text.format(device_id=device_id, device_id_lower=device_id.lower())) for name, text in said]


def _shared(dice: Dice, name: str, shares: list[tuple[T, float]]) -> T:
    point = dice.number(name)
    ends = accumulate(share for _, share in shares)
    return next((value for (value, _), end in zip(shares, ends, strict=True) if point < end), shares[-1][0])
