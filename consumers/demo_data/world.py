"""The company's systems, which play production's side of every tool call in the demo, and sometimes fail.

Production's side, and production's side only. A replay never comes near it: it answers from the traces that were
recorded here, through `replay.stubs`, and shares no code with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from consumers.demo_data.company import Company, Incident, Verdict
from consumers.demo_data.dice import Dice
from replay.errors import RecordError
from replay.exact_json import Json, dumps, loads

_SUSPICIOUS: Mapping[Verdict, tuple[int, int]] = {"normal": (0, 0), "unusual": (1, 2), "attack": (3, 9)}
_READS = frozenset({"lookup_user", "lookup_device", "check_sign_ins"})
_READ_MS = (12.0, 45.0)
_WRITE_MS = (25.0, 90.0)


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
        self._attempts: Counter[str] = Counter()
        self._sessions = incident.sessions
        self._device_state = "active"
        self._tools: Mapping[str, Callable[[Mapping[str, Json]], dict[str, Json]]] = {
            "lookup_user": self._lookup_user,
            "lookup_device": self._lookup_device,
            "check_sign_ins": self._check_sign_ins,
            "revoke_sessions": self._revoke_sessions,
            "lock_device": self._lock_device,
            "wipe_device": self._wipe_device,
            "send_recovery_email": self._send_recovery_email,
            "open_ticket": self._open_ticket,
            "escalate_to_human": self._escalate_to_human,
        }

    def call(self, tool: str, arguments: str) -> Done:
        """Carry out a call, for as far as anything here is carried out."""
        self._calls += 1
        values = _object(arguments)
        if tool not in self._tools or values is None:
            return self._done({"status": "error", "error": "no such tool, or arguments that are no object"}, _READ_MS)
        span_ms = _READ_MS if tool in _READS else _WRITE_MS
        failure = self._failure(tool)
        if failure is not None:
            return self._done({"status": "error", "error": failure}, span_ms)
        return self._done({"status": "ok", **self._tools[tool](values)}, span_ms)

    def _done(self, result: dict[str, Json], span_ms: tuple[float, float]) -> Done:
        microseconds = round(self._dice.between(f"time of call {self._calls}", *span_ms) * 1000)
        return Done(dumps(result).decode(), result["status"] == "error", microseconds * 1000)

    def _failure(self, tool: str) -> str | None:
        """A system that is out stays out, or comes back after the first attempt."""
        failures = self._company.failures.get(tool)
        attempt = self._attempts[tool]
        self._attempts[tool] += 1
        out = self._dice.chance(f"{tool} is out", self._company.write_failure)
        lasts = self._dice.chance(f"{tool} stays out", self._company.lasting_failure)
        return self._dice.pick(f"{tool} error", failures) if failures and out and (lasts or not attempt) else None

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


def _object(arguments: str) -> dict[str, Json] | None:
    try:
        value = loads(arguments)
    except RecordError:
        return None
    return value if isinstance(value, dict) else None
