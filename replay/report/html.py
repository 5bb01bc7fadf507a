"""The report as one HTML file: no script, no network, no font or image from elsewhere.

Everything that comes from a trace or a bundle is hostile. Three walls stand before it: whatever the template puts out
is made visible and cut (`_finalize`), then escaped for text and attributes alike (autoescape), and the page's own
Content-Security-Policy lets nothing run or load but the one style sheet, named by its hash.
"""

from __future__ import annotations

import base64
from functools import cache
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from replay.exact_json import Json
from replay.report import charts
from replay.report.contents import NAME, Contents
from replay.report.visible import one_line, visible

#: Characters of any one text in the report.
_LONGEST = 6_000
#: Pairs that are open, and printed.
OPEN_PAIRS = 5


def html_report(contents: Contents) -> bytes:
    """The whole page, UTF-8. Equal contents give equal bytes."""
    style = _read("report.css")
    page = _environment().get_template("report.html.j2")
    ours = {"style": Markup(style), "policy": _policy(style)}  # noqa: S704 - no content is in it
    return page.render(it=contents, charts=charts, open_pairs=OPEN_PAIRS, **ours).encode()


def _policy(style: str) -> str:
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_read),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{share:.1%}"
    environment.filters["points"] = lambda share: f"{100 * share:+.1f} points"
    environment.filters["id"] = lambda text: one_line(text, NAME)
    environment.filters["plainly"] = lambda question: question.replace(" (> 0)", "")
    environment.filters["count"] = lambda number: f"{number:,}"
    return environment


def _finalize(value: Json) -> Json:
    return visible(value, _LONGEST) if isinstance(value, str) and not isinstance(value, Markup) else value


def _read(name: str) -> str:
    return files("replay.report").joinpath(name).read_text(encoding="utf-8")
