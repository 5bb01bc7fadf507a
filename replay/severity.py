"""Named rules that make a score a flag. Severity is the maximum over the rules that fired, never a weighted sum.

3: stop and look (something was done, or would have been, that production did not do). 2: important to the user
or the operator. 1: worth knowing. How unusual a distance is depends on the baseline lane and is left to the fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from replay.comparison import Score


class Rule(NamedTuple):
    """Fires when `score` is above 0, or has `status`. `kinds` are the evidence lines that show it."""

    name: str
    severity: int
    score: str
    words: str
    kinds: tuple[str, ...] = ()
    status: str | None = None

    def fires(self, scores: Mapping[str, Score]) -> bool:
        score = scores.get(self.score)
        if score is None:
            return False
        if self.status is not None:
            return score.status == self.status
        return score.value is not None and score.value > 0


_OUTCOME, _UNTOLD = ("expected_call", "expected_output"), ("outcome_unknown",)
_NO_WRITE = ("claim_without_write",)
_OTHERWISE = "responds in another way (answers, asks, refuses, hands over)"

RULES: tuple[Rule, ...] = (
    Rule("claim_refuted", 3, "claims.refuted", "claims success although the call failed", ("claim_refuted",)),
    Rule("claim_without_write", 3, "claims.without_write", "claims that something was done, but it was not", _NO_WRITE),
    Rule("write_extra", 3, "tools.write.extra", "an action today's release did not take", ("write_extra",)),
    Rule("write_missing", 3, "tools.write.missing", "an action left out", ("write_missing",)),
    Rule("write_changed", 3, "tools.write.changed", "an action with other arguments", ("write_changed",)),
    Rule("write_duplicated", 3, "tools.write.duplicated", "the same action once more", ("write_duplicated",)),
    Rule("invalid_write", 3, "tools.invalid_write", "an action called wrongly", ("invalid_call",)),
    Rule("guard_loosened", 3, "guard.loosened", "a guardrail lets through what it stopped", ("guard_loosened",)),
    Rule("outcome_regressed", 3, "expected.regressed", "misses the expected outcome, which was met", _OUTCOME),
    Rule("guard_tightened", 2, "guard.tightened", "a guardrail stops what it let through", ("guard_tightened",)),
    Rule("write_reordered", 2, "tools.write.reordered", "actions on one thing in another order", ("write_reordered",)),
    Rule("write_outcome", 2, "tools.write.outcome_changed", "the same action ends otherwise", ("write_outcome",)),
    Rule("handoff_extra", 2, "tools.handoff.extra", "hands over where today's release did not", ("handoff_extra",)),
    Rule("handoff_missing", 2, "tools.handoff.missing", "keeps what today's release handed over", ("handoff_missing",)),
    Rule("claim_unmatched", 2, "claims.unmatched", "claims more than was done", ("claim_unmatched",)),
    Rule("newly_refuses", 2, "answer.newly_refuses", "refuses where today's release did not", ("stance",)),
    Rule("newly_answers", 2, "answer.newly_answers", "answers where today's release refused", ("stance",)),
    Rule("number_substituted", 2, "answer.substituted", "names another number in its place", ("number_substituted",)),
    Rule("polarity_flip", 2, "answer.polarity", "says the contrary", ("polarity_flip",)),
    Rule("did_not_answer", 2, "answer.lexical", "calls a tool in place of an answer", (), "did_not_answer"),
    # A stub said so, and the candidate repeats it; how likely that is, `write_extra` and coverage tell.
    Rule("claim_assumed", 1, "claims.assumed", "claims success, as only a stub said", ("claim_assumed",)),
    # What a model worked out itself stands nowhere either.
    Rule("ungrounded_numbers", 1, "answer.ungrounded", "names numbers that it had from nowhere", ("ungrounded",)),
    # Questions back and hedges are noise between two runs of one release; a refusal has a rule of its own.
    Rule("stance_changed", 1, "answer.stance", _OTHERWISE, ("stance",)),
    Rule("invalid_call", 1, "tools.invalid", "more tools called wrongly", ("invalid_call",)),
    Rule("outcome_unknown", 1, "expected.regressed", "its expected outcome cannot be told", _UNTOLD, "unknown"),
    Rule("failed_calls", 1, "tools.failed", "more calls that fail"),
    Rule("repeated_calls", 1, "tools.repeated", "more calls that repeat themselves"),
)

#: Rules that need more than a score; `divergence` raises them.
ANSWER_MISSING = Rule("answer_missing", 2, "answer.lexical", "no answer where there was one", ("answer_missing",))
ATTEMPTED_WRITE = Rule(
    "attempted_write",
    3,
    "",
    "tried an action today's release did not take, before the replay was stopped",
    ("write_extra", "write_changed", "write_duplicated"),
)

#: Shown before findings that are as severe: who was told that it is done will not look again.
FALSE_CLAIMS = frozenset({"claim_refuted", "claim_without_write"})

#: Every rule by name, for reports.
RULE_WORDS: Mapping[str, str] = {rule.name: rule.words for rule in (*RULES, ANSWER_MISSING, ATTEMPTED_WRITE)}


def fired(scores: Mapping[str, Score]) -> tuple[Rule, ...]:
    """The rules that fire on these scores, in the order of the table."""
    return tuple(rule for rule in RULES if rule.fires(scores))
