"""The company that plays production in the demo: people, devices, incidents, and systems that sometimes fail.

This is production's side, and production's side only. A replay never comes near it: it answers from the traces that
were recorded here, through `replay.stubs`, and shares no code with it. Every conversation gets a company of its
own, drawn by its number, so conversations can be played in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict

from consumers.demo_data.dice import Dice
from replay.errors import RecordError
from replay.exact_json import Json, dumps, loads

Verdict: TypeAlias = Literal["normal", "unusual", "attack"]
T = TypeVar("T")
#: What the sign-ins say of a request.
RISKS: Mapping[Verdict, str] = {"normal": "low", "unusual": "medium", "attack": "high"}
_SUSPICIOUS: Mapping[Verdict, tuple[int, int]] = {"normal": (0, 0), "unusual": (1, 2), "attack": (3, 9)}

_READ_MS = (12.0, 45.0)
_WRITE_MS = (25.0, 90.0)


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


class Done(NamedTuple):
    """How a call ended. `result` is what the model is shown."""

    result: str
    is_error: bool
    duration_ns: int


class World:
    """The systems of one conversation's company. `call` is what production does when its model calls a tool."""

    def __init__(self, company: Company, incident: Incident) -> None:
        self._company = company
        self._incident = incident
        self._dice = Dice(company.seed, "world", incident.number)
        self._calls = 0
        self._attempts: dict[str, int] = {}
        self._sessions = incident.sessions
        self._device_state = "active"

    def call(self, tool: str, arguments: str) -> Done:
        """Carry out a call, for as far as anything here is carried out."""
        self._calls += 1
        run = _TOOLS.get(tool)
        values = _object(arguments)
        if run is None or values is None:
            return self._done({"status": "error", "error": "no such tool, or arguments that are no object"}, _READ_MS)
        if tool in self._company.failures:
            failure = self._failure(tool)
            if failure is not None:
                return self._done({"status": "error", "error": failure}, _WRITE_MS)
        return self._done({"status": "ok", **run(self, values)}, _WRITE_MS if tool in _WRITES else _READ_MS)

    def _done(self, result: dict[str, Json], span_ms: tuple[float, float]) -> Done:
        microseconds = round(self._dice.between(f"time of call {self._calls}", *span_ms) * 1000)
        return Done(dumps(result).decode(), result["status"] == "error", microseconds * 1000)

    def _failure(self, tool: str) -> str | None:
        """A system that is out stays out, or comes back after the first attempt."""
        attempt = self._attempts.get(tool, 0)
        self._attempts[tool] = attempt + 1
        out = self._dice.chance(f"{tool} is out", self._company.write_failure)
        lasts = self._dice.chance(f"{tool} stays out", self._company.lasting_failure)
        return self._dice.pick(f"{tool} error", self._company.failures[tool]) if out and (lasts or not attempt) else None

    # -- tools ------------------------------------------------------------------------------------------------

    def _lookup_user(self, arguments: Mapping[str, Json]) -> dict[str, Json]:
        incident = self._incident
        name = {"first_name": incident.first_name, "last_name": incident.last_name}
        return {"user_id": arguments.get("user_id"), **name, "laptop": incident.device_id, "sessions": self._sessions}

    def _lookup_device(self, arguments: Mapping[str, Json]) -> dict[str, Json]:
        incident = self._incident
        return {
            "device_id": str(arguments.get("device_id")).upper(),
            "model": incident.device_model,
            "class": incident.device_class,
            "encrypted": incident.encrypted,
            "state": self._device_state,
        }

    def _check_sign_ins(self, arguments: Mapping[str, Json]) -> dict[str, Json]:
        verdict = self._incident.verdict
        suspicious = self._dice.whole("suspicious", *_SUSPICIOUS[verdict])
        total = suspicious + self._dice.whole("sign-ins", 3, 14)
        hours = arguments.get("hours", 24)
        return {"hours": hours, "total": total, "suspicious": suspicious, "verdict": verdict}

    def _revoke_sessions(self, arguments: Mapping[str, Json]) -> dict[str, Json]:
        ended, self._sessions = self._sessions, 0
        return {"user_id": arguments.get("user_id"), "sessions": 0, "ended": ended}

    def _lock_device(self, arguments: Mapping[str, Json]) -> dict[str, Json]:
        self._device_state = "locked"
        return {"device_id": str(arguments.get("device_id")).upper(), "state": self._device_state}

    def _wipe_device(self, arguments: Mapping[str, Json]) -> dict[str, Json]:
        self._device_state = "wipe scheduled"
        return {"device_id": str(arguments.get("device_id")).upper(), "state": self._device_state}

    def _send_recovery_email(self, arguments: Mapping[str, Json]) -> dict[str, Json]:
        masked = f"{self._incident.first_name[0].lower()}***@private.example"
        return {"user_id": arguments.get("user_id"), "sent_to": masked}

    def _open_ticket(self, arguments: Mapping[str, Json]) -> dict[str, Json]:
        number = self._dice.whole(f"ticket {arguments.get('category')}", 10000, 99999)
        return {"ticket": f"INC-{number}", "queue": arguments.get("category")}

    def _escalate_to_human(self, arguments: Mapping[str, Json]) -> dict[str, Json]:
        return {"reference": f"ESC-{self._dice.whole('case', 1000, 9999)}", "queue": arguments.get("queue")}


_TOOLS: Mapping[str, Callable[[World, Mapping[str, Json]], dict[str, Json]]] = {
    "lookup_user": World._lookup_user,
    "lookup_device": World._lookup_device,
    "check_sign_ins": World._check_sign_ins,
    "revoke_sessions": World._revoke_sessions,
    "lock_device": World._lock_device,
    "wipe_device": World._wipe_device,
    "send_recovery_email": World._send_recovery_email,
    "open_ticket": World._open_ticket,
    "escalate_to_human": World._escalate_to_human,
}
_WRITES = frozenset(_TOOLS) - {"lookup_user", "lookup_device", "check_sign_ins"}


def _object(arguments: str) -> dict[str, Json] | None:
    try:
        value = loads(arguments)
    except RecordError:
        return None
    return value if isinstance(value, dict) else None
