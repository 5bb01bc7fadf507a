"""A browser without a window, where there is one: it lays a page out, and says what of it collides or sticks out."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

#: As it is called on the systems we know.
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--allow-file-access-from-files",
)  # fmt: skip
#: Everything is unfolded first. A word may touch its neighbour by a pixel: fonts differ.
_MEASURE = """
document.querySelectorAll("details").forEach(each => each.open = true);
const wide = [...document.querySelectorAll("body *")]
  .filter(each => !each.closest("svg") && !each.closest(".said") && each.getBoundingClientRect().right > innerWidth + 1)
  .map(each => each.tagName + " " + each.textContent.slice(0, 40));
const met = [];
for (const chart of document.querySelectorAll("svg")) {
  const words = [...chart.querySelectorAll("text")].map(each => [each.textContent, each.getBoundingClientRect()]);
  words.forEach(([one, a], i) => words.slice(i + 1).forEach(([two, b]) => {
    if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3) met.push(one + " / " + two);
  }));
}
parent.document.title = btoa(unescape(encodeURIComponent(JSON.stringify({ wide, met, words: document.querySelectorAll("svg text").length }))));
"""


def laid_out(page: Path, place: Path, *, width: int) -> dict[str, object]:
    """`wide`: elements that stick out of a window of that width; `met`: words of charts that overlap; `words`: of charts.

    The page's own policy lets no script run: a copy without it is measured.
    """
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    (place / "copy.html").write_text(text.replace("</body>", f"<script>{_MEASURE}</script></body>"), encoding="utf-8")
    frame = f'<title>-</title><iframe src="copy.html" style="width:{width}px;height:900px"></iframe>'
    (place / "frame.html").write_text(frame, encoding="utf-8")
    asked = [BROWSER or "", *_QUIET, f"--user-data-dir={place / 'profile'}", "--dump-dom", (place / "frame.html").as_uri()]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r"<title>([A-Za-z0-9+/=]{8,})</title>", done.stdout)
    assert found is not None, done.stderr[-2_000:]
    return json.loads(base64.b64decode(found[1]))
