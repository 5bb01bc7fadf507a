"""What changed in each surface of a bundle, in words, and which changes loosen what holds the candidate back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from replay.bundle import ISOLATION_LEVELS, Bundle, Isolation, Surface
from replay.bundle_change import (
    FINDING,
    IMPORTANT,
    NOTE,
    Change,
    counted_lines,
    cut,
    if_loosened,
    mapping_changes,
    member_changes,
    pretty,
    shown,
    text_diff,
    value_change,
)
from replay.contract import EFFECTS, ArgumentRule, ToolContract
from replay.exact_json import Json
from replay.policy import EVERY_TOOL, STRENGTH, Rule

# -- prompt, route, snapshot ----------------------------------------------------------------------------------------


def _prompt_changes(a: Bundle, b: Bundle) -> Iterator[Change]:
    before, after = a.prompt, b.prompt
    if before.text is None or after.text is None:
        yield Change(IMPORTANT, "removed" if after.text is None else "added", text_diff(before.text, after.text))
        return
    if before.text != after.text:
        details = text_diff(before.text, after.text)
        yield Change(IMPORTANT, counted_lines(details), details)
    if before.kind != after.kind:
        yield Change(IMPORTANT, f"{before.kind} -> {after.kind}")
    yield from member_changes("variable", before.variables, after.variables)


def _route_changes(a: Bundle, b: Bundle) -> Iterator[Change]:
    for name in ("transport", "model", "stream"):
        before, after = getattr(a.route, name), getattr(b.route, name)
        if before != after:
            yield Change(NOTE if name == "stream" else IMPORTANT, f"{name} {shown(before)} -> {shown(after)}")
    yield from mapping_changes("params.", a.route.params, b.route.params, IMPORTANT)
    prices = [it.prices.normal() if it.prices else {} for it in (a, b)]
    yield from mapping_changes("prices.", prices[0], prices[1], NOTE)


def _snapshot_changes(a: Bundle, b: Bundle) -> Iterator[Change]:
    before, after = a.retriever_snapshot, b.retriever_snapshot
    if before is None or after is None:
        yield Change(IMPORTANT, f"added: {after.id}" if after else f"removed (was {before.id if before else None})")
        return
    yield from mapping_changes("", before.content(), after.content(), IMPORTANT)


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
        yield value_change(field, a.model_dump()[field], b.model_dump()[field], severity)

    return compare


def _effect_change(a: ToolContract, b: ToolContract) -> Iterator[Change]:
    loosened = EFFECTS[b.effect] < EFFECTS[a.effect]
    yield Change(FINDING if loosened else IMPORTANT, f"effect {a.effect} -> {b.effect}{if_loosened(loosened)}")


def _approval_change(a: ToolContract, b: ToolContract) -> Iterator[Change]:
    loosened = b.approval == "none"
    yield Change(FINDING if loosened else IMPORTANT, f"approval {a.approval} -> {b.approval}{if_loosened(loosened)}")


def _weight_change(a: ToolContract, b: ToolContract) -> Iterator[Change]:
    loosened = b.weight < a.weight and a.effect != "read"
    yield Change(FINDING if loosened else IMPORTANT, f"weight {a.weight:g} -> {b.weight:g}{if_loosened(loosened)}")


def _text_change(a: ToolContract, b: ToolContract) -> Iterator[Change]:
    details = text_diff(a.description, b.description)
    yield Change(NOTE, f"description: {counted_lines(details)}", details)


def _schema_changes(a: ToolContract, b: ToolContract) -> Iterator[Change]:
    write = a.effect == "write"
    required = [_names(it.parameters.get("required")) for it in (a, b)]
    for name in required[0]:
        if name not in required[1]:
            yield Change(FINDING if write else IMPORTANT, f"argument {name} is no longer required{if_loosened(write)}")
    for name in required[1]:
        if name not in required[0]:
            yield Change(IMPORTANT, f"argument {name} is now required")
    yield from mapping_changes("argument ", _properties(a), _properties(b), IMPORTANT)
    rest = [_without(it.parameters, "required", "properties") for it in (a, b)]
    yield from mapping_changes("parameters.", rest[0], rest[1], IMPORTANT)


def _argument_rule_changes(a: ToolContract, b: ToolContract) -> Iterator[Change]:
    for path in dict.fromkeys((*a.arguments, *b.arguments)):
        before, after = a.arguments.get(path, _NO_RULE), b.arguments.get(path, _NO_RULE)
        if after.ignore and not before.ignore:
            write = a.effect == "write"
            yield Change(FINDING if write else IMPORTANT, f"argument {path} is now ignored{if_loosened(write)}")
        elif before.ignore and not after.ignore:
            yield Change(NOTE, f"argument {path} is no longer ignored")
        rest = [_without(it.model_dump(exclude_defaults=True), "ignore") for it in (before, after)]
        if rest[0] != rest[1]:
            yield value_change(f"argument {path} is compared by", rest[0], rest[1], IMPORTANT)


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
            yield Change(FINDING if held else NOTE, f"rule {name} removed ({_action(rule)}){if_loosened(held)}")
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
        yield Change(severity, f"rule {a.id}: {_action(a)} -> {_action(b)}{if_loosened(weaker)}")
    lost = [tool for tool in a.on.tool if tool not in b.on.tool] if EVERY_TOOL not in b.on.tool else []
    if lost:
        text = f"rule {a.id}: no longer on {', '.join(lost)}{if_loosened(held)}"
        yield Change(FINDING if held else NOTE, text)
    gained = [tool for tool in b.on.tool if tool not in a.on.tool]
    if gained:
        yield Change(IMPORTANT, f"rule {a.id}: now on {', '.join(gained)} too")
    yield from _condition_change(a, b, held=held)


def _condition_change(a: Rule, b: Rule, *, held: bool) -> Iterator[Change]:
    if a.when == b.when:
        return
    if a.when is None:
        text = f"rule {a.id}: applied always, now only when {cut(str(b.when))}{if_loosened(held)}"
        yield Change(FINDING if held else NOTE, text)
    elif b.when is None:
        yield Change(IMPORTANT, f"rule {a.id}: applies always, no longer only when {cut(a.when)}")
    else:
        details = text_diff(a.when, b.when)
        yield Change(IMPORTANT, f"rule {a.id}: another condition, which may be weaker", details)


def _action(rule: Rule) -> str:
    return f"{rule.then.decision} {rule.then.word}".strip()


# -- evals, rollout -------------------------------------------------------------------------------------------------


def _eval_changes(a: Bundle, b: Bundle) -> Iterator[Change]:
    before, after = ({case.id: case for case in it.eval_suite} for it in (a, b))
    yield from member_changes("case", list(before), list(after))
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
        text = f"minimum_isolation {levels[0]} -> {levels[1]}{if_loosened(lower)}"
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
        return Change(FINDING, f"gate removed{if_loosened(True)}")
    details = text_diff(pretty(a), pretty(b))
    return Change(FINDING, f"gate changed, which may loosen it: {counted_lines(details)}", details)


def _stages(stages: Sequence[Mapping[str, Json]]) -> str:
    return ", ".join(f"{stage['name']} {stage['share']:.0%}" for stage in stages) or "none"


def _names(value: Json) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _properties(contract: ToolContract) -> dict[str, Json]:
    found = contract.parameters.get("properties")
    return found if isinstance(found, dict) else {}


def _without(value: Mapping[str, Json], *keys: str) -> dict[str, Json]:
    return {key: child for key, child in value.items() if key not in keys}


SURFACE_CHANGES: Mapping[Surface, Callable[[Bundle, Bundle], Iterator[Change]]] = {
    "prompt_version": _prompt_changes,
    "model_route": _route_changes,
    "retriever_snapshot": _snapshot_changes,
    "tool_contracts": _tool_changes,
    "guardrail_policy": _policy_changes,
    "eval_suite": _eval_changes,
    "rollout_policy": _rollout_changes,
}
