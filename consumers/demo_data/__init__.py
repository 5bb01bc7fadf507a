"""What the demo is made of, for users to copy: two bundles, a script, recorded traces, and who recorded them.

    bundles/v42, v43    the release in production and the one on trial
    gate.yaml           what must be proved of v43
    script.yaml         what the scripted model says and does      script, acting
    world.yaml          the company that plays production          company, world, production
    traces.jsonl.gz     what production recorded

`script` and `acting` know nothing of the demo: any script is served by `consumers.scripted_model`.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
BUNDLES = HERE / "bundles"
GATE = HERE / "gate.yaml"
SCRIPT = HERE / "script.yaml"
WORLD = HERE / "world.yaml"
TRACES = HERE / "traces.jsonl.gz"
