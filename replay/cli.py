"""The command line: arguments in, one call, an exit code out.

`argparse` and nothing heavy at import: a command's own modules are imported when it runs, so that help is there
at once. Data goes to standard output, words to standard error; a user's mistake is one line, not a traceback.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple

#: What a script may rely on.
EXIT_CODES = {
    0: "done, or promote",
    1: "hold",
    2: "roll back",
    3: "could not run: usage, settings, bundles",
    4: "stopped by a limit",
    130: "interrupted",
}
COULD_NOT_RUN = 3
INTERRUPTED = 130


class Command(NamedTuple):
    """A command: its words, its arguments, and where the function that runs it is."""

    name: str
    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    target: str


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]  # argparse types it NoReturn; sys.exit is
        self.print_usage(sys.stderr)
        sys.stderr.write(f"{self.prog}: {message}\n")
        sys.exit(COULD_NOT_RUN)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code; the entry point hands it to the shell."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    target: str | None = getattr(arguments, "target", None)
    if target is None:
        parser.print_help(sys.stderr)
        return COULD_NOT_RUN
    return _run(target, arguments)


def _run(target: str, arguments: argparse.Namespace) -> int:
    from replay.errors import ReplayError

    module, _, function = target.partition(":")
    try:
        code: int = getattr(import_module(module), function)(arguments)
    except ReplayError as error:
        sys.stderr.write(f"shadow-replay: {error}\n")
        return COULD_NOT_RUN
    except BaseExceptionGroup as group:
        return _told(group)
    except KeyboardInterrupt:
        sys.stderr.write("shadow-replay: interrupted\n")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        return 0
    return code


def _told(group: BaseExceptionGroup) -> int:
    """Tasks fail in groups; a group of nothing but our own errors is a message, anything else is a bug to be seen."""
    from replay.errors import ReplayError

    ours, rest = group.split(ReplayError)
    if rest is not None or ours is None:
        raise group
    error: BaseException = ours
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    sys.stderr.write(f"shadow-replay: {error}\n")
    return COULD_NOT_RUN


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="shadow-replay",
        description="Replay production traces against a candidate release bundle, with every action stubbed.",
        epilog="exit codes: " + "; ".join(f"{code} {words}" for code, words in EXIT_CODES.items()),
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)
    for command in _COMMANDS:
        _add(commands, command)
    for name, (words, members) in _GROUPS.items():
        group = commands.add_parser(name, help=words, description=words)
        inner = group.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser, required=True)
        for command in members:
            _add(inner, command)
    return parser


def _add(commands: argparse._SubParsersAction[_Parser], command: Command) -> None:
    parser = commands.add_parser(command.name, help=command.help, description=command.help)
    command.arguments(parser)
    parser.set_defaults(target=command.target)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of at least 1")
    return int(text)


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = 0.0
    if not 0 < amount < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return amount


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help="settings file (default: shadow-replay.toml if there is one)")
    parser.add_argument("--json", action="store_true", help="print results as JSON")


def _replay_arguments(parser: argparse.ArgumentParser) -> None:
    """What is replayed, and how much of it at most."""
    _common(parser)
    parser.add_argument("--baseline", metavar="BUNDLE", help="directory of the bundle in production")
    parser.add_argument("--candidate", metavar="BUNDLE", action="append", dest="candidates", help="bundle on trial")
    parser.add_argument("--mode", choices=["forced", "free", "both"], help="which replays to make (default both)")
    parser.add_argument("--where", metavar="PATH=VALUE", action="append", default=[], help="only such traces")
    parser.add_argument("--concurrency", metavar="N", help="replays in flight (default 32)")
    parser.add_argument("--sample", metavar="SHARE", help="share of conversations, 0 to 1")
    parser.add_argument("--lane-share", metavar="SHARE", help="share that is replayed with the baseline, too")
    parser.add_argument("--samples", metavar="N", help="independent repeats of every replay (default 1)")
    parser.add_argument("--any-bundle", action="store_const", const=True, help="replay other bundles' traces too")
    parser.add_argument("--max-usd", metavar="USD", help="stop the intake when this much was spent")
    parser.add_argument("--max-model-calls", metavar="N", help="stop the intake after this many model calls")
    parser.add_argument("--route-url", metavar="URL", help="model endpoint, in place of the bundle's")


def _gate_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gate", metavar="FILE", help="what must be proved (default: the baseline's rollout policy)")


def _refold_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    _kafka_arguments(parser)
    parser.add_argument("results", metavar="DIR", nargs="?", help="what `run` or `compare` wrote")
    parser.add_argument("--run", metavar="RUN", help="a run on the comparison topic, in place of DIR")
    parser.add_argument("--verdict", metavar="ID", help="with --run: this one (its beginning), not the latest")


def _report_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    _kafka_arguments(parser)
    parser.add_argument("results", metavar="DIR", nargs="?", help="what `run` or `compare` wrote")
    parser.add_argument("--run", metavar="RUN", help="a run on the comparison topic, in place of DIR")
    parser.add_argument("--out", metavar="DIR", help="with --run: where the report goes")


def _what_if_arguments(parser: argparse.ArgumentParser) -> None:
    _refold_arguments(parser)
    _gate_argument(parser)


def _target_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    _kafka_arguments(parser)
    parser.add_argument("results", metavar="DIR", nargs="*", help="what `run` or `compare` wrote (default: the topic)")
    parser.add_argument("--run", metavar="RUN", help="the run to go back from, on the topic (default: the newest)")
    parser.add_argument("--gate", metavar="FILE", help="what a target must be (default: the gate of that verdict)")


def _plan_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    _gate_argument(parser)
    parser.add_argument("--results", metavar="DIR", help="an earlier run: how far its lane is from itself, its cost")
    parser.add_argument(
        "--partitions", type=_count, default=0, metavar="N", help="of the topic, if a feed is to say it meanwhile"
    )
    parser.add_argument("--pairs-per-day", type=_amount, metavar="N", help="conversations in both lanes")
    parser.add_argument("--usd-per-conversation", type=_amount, metavar="X", help="both lanes (default: that of DIR)")


def _test_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    _gate_argument(parser)


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    _replay_arguments(parser)
    _gate_argument(parser)
    parser.add_argument("traces", metavar="TRACES", help="file of trace/1 or agent-trajectory/1 lines, .gz too, or -")
    parser.add_argument("--limit", type=_count, metavar="N", help="read at most N traces")
    parser.add_argument("--out", metavar="DIR", required=True, help="results; the same directory again = go on")


def _kafka_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bootstrap", metavar="HOST:PORT", dest="kafka_bootstrap", help="Kafka brokers")


def _worker_arguments(parser: argparse.ArgumentParser) -> None:
    _replay_arguments(parser)
    _kafka_arguments(parser)
    parser.add_argument("--group", metavar="NAME", dest="worker_group", help="group (default: one per request)")


def _window_arguments(parser: argparse.ArgumentParser) -> None:
    _replay_arguments(parser)
    _kafka_arguments(parser)
    _gate_argument(parser)
    parser.add_argument("--from", metavar="TIME", dest="begin", help='ISO-8601 or "2h ago": the first record')
    parser.add_argument("--to", metavar="TIME", dest="end", default="now", help="the first record not to replay")
    parser.add_argument("--resume", metavar="RUN", help="go on with a run that was stopped or killed")


def _feed_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help="settings file (default: shadow-replay.toml if there is one)")
    _kafka_arguments(parser)
    parser.add_argument("--host", metavar="ADDRESS", dest="feed_host", help="address to listen on (default loopback)")
    parser.add_argument("--port", metavar="P", dest="feed_port", help="port to listen on (default 8420)")
    parser.add_argument("--state", metavar="FILE", dest="feed_state", help="SQLite file (default feed.sqlite)")
    _gate_argument(parser)
    parser.add_argument("--results", metavar="DIR", help="serve what `run` wrote there, in place of the topic")


def _create_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    _kafka_arguments(parser)
    parser.add_argument("--partitions", type=_count, default=8, metavar="N", help="of the traces topic (default 8)")
    parser.add_argument("--comparison-partitions", type=_count, metavar="N", help="default: as many as traces")
    parser.add_argument("--replication", type=_count, default=1, metavar="N", help="copies of each (default 1)")
    parser.add_argument("--retention-hours", type=float, default=168.0, metavar="H", help="default 168")
    parser.add_argument(
        "--max-message-bytes", type=_count, default=8 << 20, metavar="B", help="largest trace (default 8 MiB)"
    )


def _produce_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    _kafka_arguments(parser)
    parser.add_argument("traces", metavar="TRACES", help="file of trace/1 or agent-trajectory/1 lines, .gz too, or -")
    parser.add_argument("--limit", type=_count, metavar="N", help="at most N records")
    parser.add_argument(
        "--timestamps", choices=["now", "recorded"], default="now", help="of the records (default now)"
    )
    parser.add_argument("--raw", action="store_true", help="lines as they are, good or not")


def _lag_arguments(parser: argparse.ArgumentParser) -> None:
    _replay_arguments(parser)
    _kafka_arguments(parser)
    parser.add_argument("--group", metavar="NAME", dest="worker_group", help="default: that of a worker so called")


def _compare_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("production", metavar="A.jsonl", help="recording of production")
    parser.add_argument("candidate", metavar="B.jsonl", help="recording of the candidate")
    parser.add_argument("--key", metavar="PATH", help="what pairs two records (default request.attributes.pair_key)")
    parser.add_argument("--lane", metavar="C.jsonl", help="a second recording of production: its noise")
    parser.add_argument("--gate", metavar="FILE", help="what must be proved of B; without it there is no verdict")
    parser.add_argument("--where", metavar="PATH=VALUE", action="append", default=[], help="only such traces of A")
    parser.add_argument("--where-b", metavar="PATH=VALUE", action="append", default=[], help="only such traces of B")
    parser.add_argument("--where-lane", metavar="PATH=VALUE", action="append", default=[], help="the same for C")
    parser.add_argument("--toolsets", metavar="FILE", help="effects of tools (default: toolsets.json beside A)")
    parser.add_argument("--out", metavar="DIR", required=True, help="results")


def _infer_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("traces", metavar="TRACES")
    parser.add_argument("--bundle", required=True, metavar="ID", help="the bundle id the traces carry")
    parser.add_argument("--route", metavar="URL", help="model endpoint to write into release.yaml")
    parser.add_argument("--toolsets", metavar="FILE", help="tools offered (default: toolsets.json beside TRACES)")
    parser.add_argument("--out", required=True, metavar="DIR", help="a new directory")


def _letters_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    _kafka_arguments(parser)
    parser.add_argument("--since", metavar="TIME", help='only those written since: ISO-8601, or "2h ago"')
    parser.add_argument("--stage", metavar="STAGE", help="only those that failed there, such as decode")


def _letter_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    _kafka_arguments(parser)
    parser.add_argument("name", metavar="PARTITION/OFFSET", help="as `list` prints it")
    parser.add_argument("--raw", action="store_true", help="write the bytes of the record, and nothing else")


def _replayed_arguments(parser: argparse.ArgumentParser) -> None:
    _letters_arguments(parser)
    parser.add_argument("names", metavar="PARTITION/OFFSET", nargs="*", help="as `list` prints them")
    parser.add_argument("--all", action="store_true", help="all of them, of that time and stage")


def _bundle_argument(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("bundle", metavar="BUNDLE")


def _diff_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("a", metavar="BASELINE")
    parser.add_argument("b", metavar="CANDIDATE")


def _recorded_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--corpus", required=True, metavar="FILE", help="recorded traces")
    parser.add_argument("--bundle", required=True, metavar="ID", help="the bundle to play")
    parser.add_argument("--trial", type=int, metavar="N", help="which recorded trial (default: the trace's own)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default loopback)")
    parser.add_argument("--port", type=int, default=0, metavar="P", help="0 = a free one, printed when ready")
    parser.add_argument("--latency", default="none", metavar="L", help="none, recorded, or seconds")
    parser.add_argument("--time-scale", type=float, default=1.0, metavar="X", help="recorded times are this much of it")
    parser.add_argument("--faults", default="", metavar="SPEC", help="such as 429:0.05:retry_after=1,500:0.01")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--log", metavar="FILE", help="one line per request (default standard error)")


def _convert_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("source", metavar="IN")
    parser.add_argument("target_file", metavar="OUT", help=".jsonl or .jsonl.gz of trace/1")


def _demo_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--out", metavar="DIR", default="demo-out", help="where the demo writes (default demo-out)")


_COMMANDS = (
    Command("run", "replay a file of traces against a candidate bundle", _run_arguments, "consumers.run_command:run"),
    Command("worker", "replay the traces topic, as it grows", _worker_arguments, "consumers.worker_command:worker"),
    Command("window", "replay a time window of it, once", _window_arguments, "consumers.window_command:window"),
    Command("feed", "serve what was compared, live", _feed_arguments, "consumers.feed.command:feed"),
    Command("lag", "say how far a worker is behind", _lag_arguments, "consumers.topics_command:lag"),
    Command(
        "compare", "compare two recordings, without a model", _compare_arguments, "consumers.compare_command:compare"
    ),
    Command("report", "write what a run found, for people", _report_arguments, "consumers.report_command:report"),
    Command("demo", "see it work: no key, no broker", _demo_arguments, "consumers.demo:demo"),
    Command(
        "recorded-model",
        "serve recorded answers as a model",
        _recorded_arguments,
        "consumers.recorded_command:recorded_model",
    ),
    Command("config", "show every setting, its value and origin", _common, "consumers.bundle_commands:config"),
)
_GROUPS = {
    "bundle": (
        "work with release bundles",
        (
            Command("infer", "make a skeleton from traces", _infer_arguments, "consumers.bundle_commands:infer"),
            Command("check", "list everything wrong with it", _bundle_argument, "consumers.bundle_commands:check"),
            Command("show", "print it resolved", _bundle_argument, "consumers.bundle_commands:show"),
            Command("digest", "print its identity", _bundle_argument, "consumers.bundle_commands:digest"),
            Command("diff", "say in words what changed", _diff_arguments, "consumers.bundle_commands:diff"),
        ),
    ),
    "traces": (
        "work with traces",
        (
            Command(
                "convert", "write any trace file as trace/1", _convert_arguments, "consumers.bundle_commands:convert"
            ),
            Command("produce", "put a file on the topic", _produce_arguments, "consumers.topics_command:produce"),
        ),
    ),
    "dead-letters": (
        "work with records that could not be used",
        (
            Command("list", "a line for each", _letters_arguments, "consumers.letters_command:list_letters"),
            Command("show", "everything about one", _letter_arguments, "consumers.letters_command:show"),
            Command("replay", "put them back on the topic", _replayed_arguments, "consumers.letters_command:replay"),
        ),
    ),
    "gate": (
        "work with gates and their verdicts",
        (
            Command("plan", "what a gate can prove, pairs and money", _plan_arguments, "consumers.gate_commands:plan"),
            Command("test", "run canned regressions against it", _test_arguments, "consumers.gate_commands:test"),
            Command("refold", "find a verdict again (1 = not)", _refold_arguments, "consumers.refold_command:again"),
            Command(
                "what-if",
                "try another gate on it; exit code 1 or, if it would have rolled back, 2: it never promotes",
                _what_if_arguments,
                "consumers.refold_command:what_if",
            ),
            Command(
                "target",
                "say what a rollback goes back to (1 = that is not certified)",
                _target_arguments,
                "consumers.target_command:target",
            ),
        ),
    ),
    "topics": (
        "work with the service's topics",
        (Command("create", "make those that are not there", _create_arguments, "consumers.topics_command:create"),),
    ),
}
