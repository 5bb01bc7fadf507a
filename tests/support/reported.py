"""Reports of comparisons made by hand, and how a test reads a page."""

from __future__ import annotations

from html.parser import HTMLParser

from judged import ESCALATION, gate, pair, side
from replay.gate.development import Retelling
from replay.gate.docket import Docket
from replay.report.contents import Facts, contents
from replay.report.tally import Tally
from replay.summary import Summary, fold_all

COST = {"id": "cost", "kind": "paired_mean_capped", "signal": "cost_usd", "cap": 0.04, "rel_margin": 0.25}
THE_GATE = gate(ESCALATION, COST)


def judged(comparisons, the_gate=THE_GATE):
    docket = Docket(the_gate)
    for comparison in comparisons:
        docket.enter(comparison)
    docket.finish()
    return docket.verdict(now=None)


def told_of(comparisons, *, verdict=None, title="a -> b", **facts):
    """The contents of the report that a run with these comparisons has."""
    summary = fold_all(Summary(traces=9, admitted=9), comparisons)
    summary.verdict, development, tally = verdict, None, Tally.of(verdict)
    for comparison in comparisons:
        tally.add(comparison)
    if verdict is not None:
        retelling = Retelling(verdict)
        for comparison in comparisons:
            retelling.add(comparison)
        development = retelling.development()
    return contents(Facts("run", "b", "c", title, **facts), summary, development, tally, worst=20)


def escalating(conversations=200, share=3):
    """The candidate hands over one conversation in `share`, its twin none."""
    return [it for number in range(conversations) for it in pair(number, side(escalates=number % share == 0), side())]


class Markup(HTMLParser):
    """Tags, attributes and texts of a page; `screen` is the text of the box at its top."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []
        self._box, self._open = [], 0

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "section":
            self._open += 1 if self._open or dict(attrs).get("class", "").startswith("verdict") else 0

    def handle_endtag(self, tag):
        self._open -= tag == "section" and self._open > 0

    def handle_data(self, data):
        self.text.append(data)
        if self._open:
            self._box.append(data)

    @property
    def screen(self):
        return " ".join(" ".join(self._box).split())


def parsed(page):
    markup = Markup()
    markup.feed(page.decode() if isinstance(page, bytes) else page)
    return markup
