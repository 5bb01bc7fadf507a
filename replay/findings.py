"""From scores to findings: the rules that fired on a pair, and the lines that show why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from comparators.answers import explain_sentences
from comparators.answerwords import english_answers
from comparators.claims import explain_claims, find
from comparators.explain import explain_calls
from comparators.grounding import explain_grounding
from comparators.guardrails import explain_guardrails
from comparators.spec import Evidence
from comparators.stance import StancePair, explain_stances
from replay.comparison import EvidenceLine, Flag, Score
from replay.measures import decisions_of
from replay.severity import ANSWER_MISSING, ATTEMPTED_WRITE, FALSE_CLAIMS, Rule, fired
from replay.sides import Pair

#: Evidence lines kept per flag; the rest is in the calls of both sides.
_MAX_EVIDENCE = 8


def flags_of(pair: Pair, scores: Mapping[str, Score], stances: StancePair = ((), ())) -> tuple[Flag, ...]:
    """The rules that fired and what shows it. Evidence is built for these pairs only."""
    rules = fired(scores)
    lines = _evidence(pair, rules, stances)
    flags = [_flag(rule, lines) for rule in rules]
    if pair.censored:
        lines = _evidence(pair, (ATTEMPTED_WRITE,), stances)
        attempted = _flag(ATTEMPTED_WRITE, lines)
        flags += [attempted] if attempted.evidence else []
    elif pair.production_answer is not None and pair.replay_answer is None and not pair.did_not_answer:
        flags.append(Flag(rule=ANSWER_MISSING.name, severity=ANSWER_MISSING.severity))
    return tuple(flags)


def claiming_answer(pair: Pair, flags: Sequence[Flag]) -> str | None:
    """The first answer before the last one in which the replay claims what was not done; null where the last one does.

    A whole conversation is told by its last answer, and what it claims may stand in any.
    """
    if FALSE_CLAIMS.isdisjoint(flag.rule for flag in flags):
        return None
    found, last = find(pair.claims), pair.replay.answer or ""
    sentences = [it.claim.sentence for it in found.new] if found is not None else []
    if any(sentence in last for sentence in sentences):
        return None
    told = (answer.text for answer in pair.claims.replay.answers)
    return next((text for text in told if any(sentence in text for sentence in sentences)), None)


def _evidence(pair: Pair, rules: Sequence[Rule], stances: StancePair) -> tuple[Evidence, ...]:
    """Only of what is to be shown: most of it costs more than the scores."""
    wanted = {kind for rule in rules for kind in rule.kinds}
    texts = pair.production_answer, pair.replay_answer
    found: list[Evidence] = []
    if wanted & _STANCE:
        found += explain_stances(*stances, texts)
    if wanted & _SENTENCES:
        found += explain_sentences(*texts, english_answers())
    if wanted & _GROUNDING:
        found += explain_grounding(*texts, pair.grounds)
    if wanted - _STANCE - _SENTENCES - _GROUNDING:
        found += explain_calls(pair.calls)
        found += explain_claims(pair.claims)
        found += explain_guardrails(decisions_of(pair))
        found += pair.exam.lines()
    return tuple(found)


_STANCE, _SENTENCES = frozenset({"stance"}), frozenset({"number_substituted", "polarity_flip"})
_GROUNDING = frozenset({"ungrounded"})


def _flag(rule: Rule, lines: Sequence[Evidence]) -> Flag:
    shown = [line for line in lines if line.kind in rule.kinds][:_MAX_EVIDENCE]
    evidence = tuple(EvidenceLine(kind=line.kind, removed=line.removed, added=line.added) for line in shown)
    return Flag(rule=rule.name, severity=rule.severity, evidence=evidence)
