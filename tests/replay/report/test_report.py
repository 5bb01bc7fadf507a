"""The report: the verdict first, in words; and content that is hostile, which never becomes markup."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judged import ESCALATION, compared, gate
from replay.comparison import CallRecord, EvidenceLine, Flag, Side, replace
from replay.report.headline import headline
from replay.report.html import html_report
from replay.report.markdown import FOLDS, MAX_CHARACTERS, code, markdown_report, told
from replay.report.measures import STANDINGS, metric_words
from replay.verdict import REASONS, Decision, Reason, Standing
from replay.verdict_words import NAMES
from reported import escalating, judged, parsed, told_of

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "{{ 7*7 }}{% for x in y %}",
    "\u202edetrever\u202c \u200bhidden",
    "\ud800 half a character",
    "</bdi></section></main></body></html>",
    "<!-- comment --> &lt; &amp; ]]>",
    "| a | b |\n|---|---|\n```\n``` @admin #12 [x](http://evil) ![i](http://evil/p.png) <details>",
    "javascript:alert(1) http://evil.example/",
    "x" * 1_000_000,
]

def hostile(text):
    """A comparison that is hostile wherever a trace, a model or a bundle has a say."""
    call = CallRecord(tool=text, arguments=text, effect="write", outcome="failed", step=0, result=text)
    flag = Flag(rule="write_extra", severity=3, evidence=(EvidenceLine(kind="write_extra", removed=text, added=text),))
    both = Side(answer=text, calls=(call,))
    return compared(1, production=both, replay=replace(both, answer=f"{text} otherwise"), trace_id=text.encode("utf-8", "replace").decode(), flags=(flag,), severity=3, request=text, cohort={"k": text})  # fmt: skip


# -- the verdict first ----------------------------------------------------------------------------------------------


def test_the_first_thing_it_says_is_what_to_do_and_why():
    comparisons = escalating()
    page = parsed(html_report(told_of(comparisons, verdict=judged(comparisons))))
    text = " ".join(" ".join(page.text).split())
    order = [text.index(words) for words in ("ROLL BACK", "Do not ship the candidate", "Proved to be worse", "Each measure")]
    assert order == sorted(order)
    assert "more of 100" in text


def test_every_decision_standing_and_reason_has_words():
    assert set(NAMES) == {*get_args(Decision), None}
    assert set(STANDINGS) == set(get_args(Standing))
    verdict = judged(escalating())
    for reason in REASONS:
        changed = replace(verdict, decision="hold", reasons=(Reason(code=reason, words=f"{REASONS[reason]}: more", metrics=("escalation",)),))
        (why, *_) = headline(changed).why
        assert not why.plain[0].islower()
        assert reason not in why.plain


def test_without_a_gate_it_says_how_to_get_a_verdict_and_that_it_is_uncalibrated():
    alone = told_of([compared(number) for number in range(3)])
    assert alone.headline.name == "NO VERDICT"
    assert "--gate" in " ".join(why.plain for why in alone.headline.why)
    assert "uncalibrated" in " ".join(why.plain for why in alone.headline.why)
    assert "uncalibrated" not in " ".join(why.plain for why in told_of(escalating(3)).headline.why)


def test_what_was_not_exercised_what_changed_and_slices_are_told():
    comparisons = [replace(it, cohort={"language": "da" if it.source.offset % 3 == 0 else "en"}) for it in escalating(600)]
    changes = [{"surface": "prompt_version", "severity": 2, "text": "1 line added", "details": ["+be quick"]}]
    it = told_of(comparisons, verdict=judged(comparisons), not_exercised=["retriever_snapshot"], changes=changes)
    page, comment = html_report(it).decode(), markdown_report(it)
    for words in ("retriever snapshot", "be quick", "language = da"):
        assert words in page
    for words in ("retriever snapshot", "1 line added", "language = da"):
        assert words in comment


def test_it_says_when_the_comparisons_are_not_those_of_the_verdict():
    comparisons = escalating()
    verdict = judged(comparisons)
    assert told_of(comparisons, verdict=verdict).agrees
    other = told_of(comparisons[:-10], verdict=verdict)
    assert not other.agrees
    assert "the verdict is not the same" in html_report(other).decode()


# -- hostile content ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_element_attribute_or_address_comes_from_content(text):
    plain, evil = (
        parsed(html_report(told_of([hostile(words)], title=words, not_exercised=[words], findings=[words], names=(words, words))))
        for words in ("harmless", text)
    )
    assert set(evil.tags) == set(plain.tags)
    assert {(tag, name) for tag, name, _ in evil.attributes} == {(tag, name) for tag, name, _ in plain.attributes}
    assert not any(name == "src" or name.startswith("on") for _, name, _ in evil.attributes)
    assert all(value.startswith("#") for _, name, value in evil.attributes if name == "href")
    assert ("{{ 7*7 }}" in text) == ("{{ 7*7 }}" in "".join(evil.text))  # as it was written, and never worked out


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_comment_holds_content_in_code_spans_alone_and_fits(text):
    changes = [{"surface": "prompt_version", "severity": 3, "text": text, "details": [text]}]
    comment = markdown_report(told_of([hostile(text)], title=text, not_exercised=[text], findings=[text], names=(text, text), changes=changes))
    assert len(comment) <= MAX_CHARACTERS
    comment.encode()
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", comment)
    for sign in ("<script", "<img", "<svg", "@admin", "](http", "http://evil", "{{"):
        assert sign not in outside


def test_the_page_loads_and_runs_nothing():
    page = html_report(told_of(escalating(3))).decode()
    policies = [value for tag, name, value in parsed(page.encode()).attributes if tag == "meta" and name == "content"]
    assert any(policy.startswith("default-src 'none'; style-src 'sha256-") for policy in policies)
    assert not re.search(r"<(script|link|iframe|object|img|form)\b", page)


@given(st.text(max_size=60))
def test_a_code_span_ends_where_it_should(text):
    span = code(text)
    fence = re.match("`+", span)[0]
    assert span.endswith(fence)
    assert fence not in span[len(fence) : -len(fence)]
    assert "\n" not in span


@given(st.text(alphabet="<>@#*_`[]|~&$ab", max_size=30))
def test_a_sentence_has_no_sign_left_that_means_something(text):
    assert not re.search(r"(?<!\\)[*_`|~$\[\]]|[<@]", told(text))


def test_many_bad_pairs_do_not_burst_a_comment():
    flags = lambda number: (Flag(rule=f"rule{number}", severity=3, evidence=(EvidenceLine(kind="k", added="y" * 900),) * 9),)  # noqa: E731
    many = [compared(number, flags=flags(number), severity=3, trace_id="z" * 4_000 + str(number)) for number in range(60)]
    comment = markdown_report(told_of(many))
    assert len(comment) <= MAX_CHARACTERS
    assert comment.count("<details>") == FOLDS
    assert "10 more pairs" in comment
    assert "report.html" in comment


def test_what_is_only_told_has_nothing_that_is_tolerated():
    told = [
        {"id": "binary", "kind": "paired_binary", "signal": "escalation", "dry_run": True},
        {"id": "bounded", "kind": "paired_bounded", "signal": "escalation", "dry_run": True},
        {"id": "slow", "kind": "paired_exceedance", "signal": "latency_ms", "threshold_ms": 200, "dry_run": True},
        {"id": "never", "kind": "zero_tolerance", "signal": "escalation", "dry_run": True},
    ]
    comparisons = escalating(3)
    verdict = judged(comparisons, gate(ESCALATION, *told))
    assert {words.tolerated for words in metric_words(verdict)[1:]} == {"anything: it is only told"}
    written = told_of(comparisons, verdict=verdict)
    assert b"it is only told" in html_report(written)
    assert "it is only told" in markdown_report(written)
