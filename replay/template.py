"""Results that a contract writes down for a stub: filled in structurally. Nothing is evaluated."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from replay.exact_json import Json

#: Ids that stubs make up are uuid5 in this namespace, so that two runs make up the same ones.
STUB_NAMESPACE = uuid.UUID("6f1d4f0e-6a0b-5e0c-9a55-2f8f5d0e7b11")


@dataclass(frozen=True, slots=True)
class Filling:
    """What a template may take: the call's arguments, the virtual clock, and ids made of `seed`."""

    arguments: dict[str, Json]
    seed: str
    now: str | None

    def fill(self, template: Json) -> Json:
        """The template with `{"$arg": path}`, `{"$uuid": label}` and `{"$now": true}` replaced by values."""
        if isinstance(template, list):
            return [self.fill(item) for item in template]
        if not isinstance(template, dict):
            return template
        if set(template) == {"$arg"}:
            return _argument(self.arguments, str(template["$arg"]))
        if set(template) == {"$uuid"}:
            return str(uuid.uuid5(STUB_NAMESPACE, f"{self.seed}/{template['$uuid']}"))
        if set(template) == {"$now"}:
            return self.now
        return {key: self.fill(value) for key, value in template.items()}


def _argument(arguments: dict[str, Json], path: str) -> Json:
    value: Json = arguments
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
