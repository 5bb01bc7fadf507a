"""What changed from one bundle to another, surface by surface, in words.

`a` is the bundle in production, `b` the one on trial. Every change has a severity:

    3   a finding: `b` loosened what holds it back (an effect, an approval, a rule, a gate, a write's arguments)
    2   important: behaviour or its measurement may differ in a way this program cannot judge
    1   worth knowing

Looser is judged from `a`'s side only: the candidate does not write its own exam. Whether a changed condition or
schema is looser cannot be known, so it is important and shown in full.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from itertools import islice
from typing import NamedTuple, TypeAlias

from replay.bundle import EXECUTED_SURFACES, ISOLATION_LEVELS, Bundle, Isolation, Surface, changed
from replay.contract import EFFECTS, ArgumentRule, ToolContract
from replay.exact_json import Json, dumps
from replay.policy import EVERY_TOOL, STRENGTH, Rule

FINDING, IMPORTANT, NOTE = 3, 2, 1
_SHOWN = 160
_SHOWN_IN_PAIR = 70


class Change(NamedTuple):
    """One thing that changed. `details` are the lines of a unified diff, where there is a text to show."""

    severity: int
    text: str
    details: tuple[str, ...] = ()


class Finding(NamedTuple):
    severity: int
    surface: Surface
    text: str


@dataclass(frozen=True, slots=True)
class BundleDiff:
    """All changes by surface, in the order of `SURFACES`; surfaces that did not change are left out."""

    a: Bundle
    b: Bundle
    changes: Mapping[Surface, tuple[Change, ...]]

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(
            Finding(change.severity, surface, change.text)
            for surface, changes in self.changes.items()
            for change in changes
            if change.severity == FINDING
        )

    @property
    def not_exercised(self) -> tuple[Surface, ...]:
        return tuple(surface for surface in self.changes if surface not in EXECUTED_SURFACES)

    def lines(self) -> list[str]:
        """The diff for a person: what a replay cannot show first, findings marked, worst first within a surface."""
        lines = [f"{self.a.name} {self.a.digest}", f"{self.b.name} {self.b.digest}"]
        if not self.changes:
            return [*lines, "the same content" if self.a.digest == self.b.digest else "the same content, another name"]
        if self.not_exercised:
            lines.append(f"not exercised by a replay: {', '.join(self.not_exercised)}")
        for surface, changes in self.changes.items():
            for change in sorted(changes, key=lambda change: -change.severity):
                lines.append(f"{_MARKS[change.severity]} {surface}: {change.text}")
                lines += [f"      {line}" for line in change.details]
        return lines

    def as_json(self) -> dict[str, Json]:
        """The diff for a script."""
        return {
            "a": {"name": self.a.name, "digest": self.a.digest},
            "b": {"name": self.b.name, "digest": self.b.digest},
            "not_exercised": list(self.not_exercised),
            "changes": [
                {"surface": surface, "severity": it.severity, "text": it.text, "details": list(it.details)}
                for surface, changes in self.changes.items()
                for it in changes
            ],
        }


def diff_bundles(a: Bundle, b: Bundle) -> BundleDiff:
    """Compare two loaded bundles. A surface whose digest changed has at least one change in words."""
    found = {surface: tuple(_SURFACE_CHANGES[surface](a, b)) for surface in changed(a, b)}
    unnamed = (Change(IMPORTANT, "changed"),)
    return BundleDiff(a, b, {surface: changes or unnamed for surface, changes in found.items()})


def findings(a: Bundle, b: Bundle) -> tuple[Finding, ...]:
    """The changes of the highest severity: what `b` loosened."""
    return diff_bundles(a, b).findings


_MARKS: Mapping[int, str] = {FINDING: "!!", IMPORTANT: " *", NOTE: "  "}


# -- prompt, route, snapshot ----------------------------------------------------------------------------------------


def _prompt_changes(a: Bundle, b: Bundle) -> Iterator[Change]:
    before, after = a.prompt, b.prompt
    if before.text is None or after.text is None:
        yield Change(IMPORTANT, "removed" if after.text is None else "added", _text_diff(before.text, after.text))
        return
    if before.text != after.text:
        details = _text_diff(before.text, after.text)
        yield Change(IMPORTANT, _counted_lines(details), details)
    if before.kind != after.kind:
        yield Change(IMPORTANT, f"{before.kind} -> {after.kind}")
    yield from _member_changes("variable", before.variables, after.variables)


def _route_changes(a: Bundle, b: Bundle) -> Iterator[Change]:
    for name in ("transport", "model", "stream"):
        before, after = getattr(a.route, name), getattr(b.route, name)
        if before != after:
            yield Change(NOTE if name == "stream" else IMPORTANT, f"{name} {_value(before)} -> {_value(after)}")
    yield from _mapping_changes("params.", a.route.params, b.route.params, IMPORTANT)
    prices = [it.prices.normal() if it.prices else {} for it in (a, b)]
    yield from _mapping_changes("prices.", prices[0], prices[1], NOTE)


def _snapshot_changes(a: Bundle, b: Bundle) -> Iterator[Change]:
    before, after = a.retriever_snapshot, b.retriever_snapshot
    if before is None or after is None:
        yield Change(IMPORTANT, f"added: {after.id}" if after else f"removed (was {before.id if before else None})")
        return
    yield from _mapping_changes("", before.content(), after.content(), IMPORTANT)


# -- tools ----------------------------------------------------------------------------------------------------------


def _tool_changes(a: Bundle, b: Bundle) -> Iterator[Change]:
    for name in a.contracts:
        if name not in b.contracts:
            yield Change(IMPORTANT, f"{name}: removed ({a.contracts[name].effect})")
    for name, contract in b.contracts.items():
        if name in a.contracts:
            yield from (
                Change(it.severity, f"{name}: {it.text}", it.details)
                for it in _contract_changes(a.contracts[name], contract)
            )
        else:
            yield Change(IMPORTANT, f"{name}: added ({contract.effect})")
    shared = [[name for name in it.contracts if name in a.contracts and name in b.contracts] for it in (a, b)]
    if shared[0] != shared[1]:
        yield Change(NOTE, "offered in another order")


def _contract_changes(a: ToolContract, b: ToolContract) -> Iterator[Change]:
    for field in ToolContract.model_fields:
        if getattr(a, field) != getattr(b, field):
            yield from _CONTRACT_FIELDS.get(field, _plain_field(field, IMPORTANT))(a, b)


ContractDiff: TypeAlias = Callable[[ToolContract, ToolContract], Iterator[Change]]


def _plain_field(field: str, severity: int) -> ContractDiff:
    def compare(a: ToolContract, b: ToolContract) -> Iterator[Change]:
        yield _value_change(field, a.model_dump()[field], b.model_dump()[field], severity)

    return compare


def _effect_change(a: ToolContract, b: ToolContract) -> Iterator[Change]:
    loosened = EFFECTS[b.effect] < EFFECTS[a.effect]
    yield Change(FINDING if loosened else IMPORTANT, f"effect {a.effect} -> {b.effect}{_loosened(loosened)}")


def _approval_change(a: ToolContract, b: ToolContract) -> Iterator[Change]:
    loosened = b.approval == "none"
    yield Change(FINDING if loosened else IMPORTANT, f"approval {a.approval} -> {b.approval}{_loosened(loosened)}")


def _weight_change(a: ToolContract, b: ToolContract) -> Iterator[Change]:
    loosened = b.weight < a.weight and a.effect != "read"
    yield Change(FINDING if loosened else IMPORTANT, f"weight {a.weight:g} -> {b.weight:g}{_loosened(loosened)}")


def _text_change(a: ToolContract, b: ToolContract) -> Iterator[Change]:
    details = _text_diff(a.description, b.description)
    yield Change(NOTE, f"description: {_counted_lines(details)}", details)


def _schema_changes(a: ToolContract, b: ToolContract) -> Iterator[Change]:
    write = a.effect == "write"
    required = [_names(it.parameters.get("required")) for it in (a, b)]
    for name in required[0]:
        if name not in required[1]:
            yield Change(FINDING if write else IMPORTANT, f"argument {name} is no longer required{_loosened(write)}")
    for name in required[1]:
        if name not in required[0]:
            yield Change(IMPORTANT, f"argument {name} is now required")
    yield from _mapping_changes("argument ", _properties(a), _properties(b), IMPORTANT)
    rest = [_without(it.parameters, "required", "properties") for it in (a, b)]
    yield from _mapping_changes("parameters.", rest[0], rest[1], IMPORTANT)


def _argument_rule_changes(a: ToolContract, b: ToolContract) -> Iterator[Change]:
    for path in dict.fromkeys((*a.arguments, *b.arguments)):
        before, after = a.arguments.get(path, _NO_RULE), b.arguments.get(path, _NO_RULE)
        if after.ignore and not before.ignore:
            write = a.effect == "write"
            yield Change(FINDING if write else IMPORTANT, f"argument {path} is now ignored{_loosened(write)}")
        elif before.ignore and not after.ignore:
            yield Change(NOTE, f"argument {path} is no longer ignored")
        rest = [_without(it.model_dump(exclude_defaults=True), "ignore") for it in (before, after)]
        if rest[0] != rest[1]:
            yield _value_change(f"argument {path} is compared by", rest[0], rest[1], IMPORTANT)


_NO_RULE = ArgumentRule()

#: How each field of a contract is compared. A field that is not here is shown before and after.
_CONTRACT_FIELDS: Mapping[str, ContractDiff] = {
    "description": _text_change,
    "parameters": _schema_changes,
    "effect": _effect_change,
    "approval": _approval_change,
    "weight": _weight_change,
    "arguments": _argument_rule_changes,
    "example": _plain_field("example", NOTE),
    "error_price_usd": _plain_field("error_price_usd", NOTE),
}


# -- policy ---------------------------------------------------------------------------------------------------------


def _policy_changes(a: Bundle, b: Bundle) -> Iterator[Change]:
    before, after = ({rule.id: rule for rule in it.policy.rules} for it in (a, b))
    for name, rule in before.items():
        if name not in after:
            held = rule.then.decision != "allow"
            yield Change(FINDING if held else NOTE, f"rule {name} removed ({_action(rule)}){_loosened(held)}")
    for name, rule in after.items():
        if name not in before:
            yield Change(IMPORTANT, f"rule {name} added ({_action(rule)} on {', '.join(rule.on.tool)})")
        else:
            yield from _rule_changes(before[name], rule)
    shared = [[name for name in rules if name in before and name in after] for rules in (before, after)]
    if shared[0] != shared[1]:
        yield Change(NOTE, "rules in another order")


def _rule_changes(a: Rule, b: Rule) -> Iterator[Change]:
    weaker = STRENGTH[b.then.decision] < STRENGTH[a.then.decision]
    held = a.then.decision != "allow"
    if _action(a) != _action(b):
        severity = FINDING if weaker else NOTE if a.then.decision == b.then.decision == "block" else IMPORTANT
        yield Change(severity, f"rule {a.id}: {_action(a)} -> {_action(b)}{_loosened(weaker)}")
    lost = [tool for tool in a.on.tool if tool not in b.on.tool] if EVERY_TOOL not in b.on.tool else []
    if lost:
        text = f"rule {a.id}: no longer on {', '.join(lost)}{_loosened(held)}"
        yield Change(FINDING if held else NOTE, text)
    gained = [tool for tool in b.on.tool if tool not in a.on.tool]
    if gained:
        yield Change(IMPORTANT, f"rule {a.id}: now on {', '.join(gained)} too")
    yield from _condition_change(a, b, held=held)


def _condition_change(a: Rule, b: Rule, *, held: bool) -> Iterator[Change]:
    if a.when == b.when:
        return
    if a.when is None:
        text = f"rule {a.id}: applied always, now only when {_cut(str(b.when))}{_loosened(held)}"
        yield Change(FINDING if held else NOTE, text)
    elif b.when is None:
        yield Change(IMPORTANT, f"rule {a.id}: applies always, no longer only when {_cut(a.when)}")
    else:
        details = _text_diff(a.when, b.when)
        yield Change(IMPORTANT, f"rule {a.id}: another condition, which may be weaker", details)


def _action(rule: Rule) -> str:
    return f"{rule.then.decision} {rule.then.word}".strip()


# -- evals, rollout -------------------------------------------------------------------------------------------------


def _eval_changes(a: Bundle, b: Bundle) -> Iterator[Change]:
    before, after = ({case.id: case for case in it.eval_suite} for it in (a, b))
    yield from _member_changes("case", list(before), list(after))
    for name, case in after.items():
        if name in before and before[name] != case:
            parts = [field for field in ("request", "expected") if getattr(before[name], field) != getattr(case, field)]
            yield Change(IMPORTANT, f"case {name}: {' and '.join(parts)} changed")


def _rollout_changes(a: Bundle, b: Bundle) -> Iterator[Change]:
    levels: list[Isolation] = [
        it.rollout_policy.minimum_isolation if it.rollout_policy else "cooperative" for it in (a, b)
    ]
    gates = [it.rollout_policy.gate if it.rollout_policy else None for it in (a, b)]
    stages = [(it.content("rollout_policy") or {}).get("stages", []) for it in (a, b)]
    if levels[0] != levels[1]:
        lower = ISOLATION_LEVELS.index(levels[1]) < ISOLATION_LEVELS.index(levels[0])
        text = f"minimum_isolation {levels[0]} -> {levels[1]}{_loosened(lower)}"
        yield Change(FINDING if lower else IMPORTANT, text)
    if gates[0] != gates[1]:
        yield _gate_change(gates[0], gates[1])
    if stages[0] != stages[1]:
        yield Change(IMPORTANT, f"stages {_stages(stages[0])} -> {_stages(stages[1])}")


def _gate_change(a: Json, b: Json) -> Change:
    """Any change of a gate that was there is a finding: looser cannot be told from tighter here."""
    if a is None:
        return Change(IMPORTANT, "gate added")
    if b is None:
        return Change(FINDING, f"gate removed{_loosened(True)}")
    details = _text_diff(_pretty(a), _pretty(b))
    return Change(FINDING, f"gate changed, which may loosen it: {_counted_lines(details)}", details)


def _stages(stages: Sequence[Mapping[str, Json]]) -> str:
    return ", ".join(f"{stage['name']} {stage['share']:.0%}" for stage in stages) or "none"


_SURFACE_CHANGES: Mapping[Surface, Callable[[Bundle, Bundle], Iterator[Change]]] = {
    "prompt_version": _prompt_changes,
    "model_route": _route_changes,
    "retriever_snapshot": _snapshot_changes,
    "tool_contracts": _tool_changes,
    "guardrail_policy": _policy_changes,
    "eval_suite": _eval_changes,
    "rollout_policy": _rollout_changes,
}


# -- words ----------------------------------------------------------------------------------------------------------


def _mapping_changes(prefix: str, a: Mapping[str, Json], b: Mapping[str, Json], severity: int) -> Iterator[Change]:
    for name in dict.fromkeys((*a, *b)):
        if name not in b:
            yield Change(severity, f"{prefix}{name} removed (was {_value(a[name])})")
        elif name not in a:
            yield Change(severity, f"{prefix}{name} added: {_value(b[name])}")
        elif a[name] != b[name]:
            yield _value_change(f"{prefix}{name}", a[name], b[name], severity)


def _value_change(name: str, a: Json, b: Json, severity: int) -> Change:
    """Both values in one line if they fit, else the lines that differ."""
    if max(len(_plain(a)), len(_plain(b))) <= _SHOWN_IN_PAIR:
        return Change(severity, f"{name} {_plain(a)} -> {_plain(b)}")
    details = _text_diff(_pretty(a), _pretty(b))
    return Change(severity, f"{name} changed: {_counted_lines(details)}", details)


def _member_changes(noun: str, a: Sequence[str], b: Sequence[str]) -> Iterator[Change]:
    yield from (Change(IMPORTANT, f"{noun} {name} removed") for name in a if name not in b)
    yield from (Change(NOTE, f"{noun} {name} added") for name in b if name not in a)


def _loosened(yes: bool) -> str:
    return " (LOOSENED)" if yes else ""


def _text_diff(a: str | None, b: str | None) -> tuple[str, ...]:
    before, after = ([] if text is None else text.split("\n") for text in (a, b))
    return tuple(islice(unified_diff(before, after, lineterm="", n=1), 2, None))  # without the names of files


def _counted_lines(details: Sequence[str]) -> str:
    added, removed = (sum(line.startswith(sign) for line in details) for sign in "+-")
    return f"{added} {'line' if added == 1 else 'lines'} added, {removed} removed"


def _names(value: Json) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _properties(contract: ToolContract) -> dict[str, Json]:
    found = contract.parameters.get("properties")
    return found if isinstance(found, dict) else {}


def _without(value: Mapping[str, Json], *keys: str) -> dict[str, Json]:
    return {key: child for key, child in value.items() if key not in keys}


def _plain(value: Json) -> str:
    return value if isinstance(value, str) else dumps(value, sort_keys=True).decode()


def _value(value: Json) -> str:
    return _cut(_plain(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _pretty(value: Json) -> str:
    """A part in each line, so that a diff of it is short."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
