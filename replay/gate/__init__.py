"""The gate: what a set of comparisons allows to be done with the candidate.

    comparisons -> ballots -> conversations, closed in event time -> votes -> evidence -> verdict

One conversation is one vote per metric: how much worse the candidate was than the bundle in production, on the same
recorded requests. Votes are cast strictly in source order, per partition. What has ended first is no sample: folding in
the order of completion rolls back candidates that are as good as production (bad outcomes end sooner), and so does
folding many prefixes that all stop before a slow record. The first record of each partition that has not ended is
therefore part of every look, as whatever proves least (see `replay.gate.docket`).

A verdict is a function of the gate's file and of the votes, of nothing else: whoever folds the same prefix of the
same comparisons gets the same verdict. `promote` needs proof that nothing got worse than its margin; the absence of
proof of harm is a `hold`, with its reason.
"""
