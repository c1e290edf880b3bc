"""The proof on the command line: campaigns that try to make a terminal lose or double money, counted in one table."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import click

from pos_engine.cli.border import command
from pos_engine.cli.exits import Exit
from pos_engine.cli.output import text_json
from pos_engine.errors import UsageError
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pos_engine.cli.output import Output
    from simulators.prove.campaign import Finding
    from simulators.prove.runner import Report

FINDINGS_SHOWN: Final = 5
"""Findings of one campaign that are printed; the first ones tell what is wrong."""

_HEADS: Final = (
    Text("campaign", "项目"),
    Text("cases", "用例"),
    Text("violations", "违例"),
    Text("seconds", "秒"),
    Text("repeat", "重现"),
)
_LACKS: Final = Text("not run: {} is missing", "未运行: 缺少{}")
_MORE: Final = Text("and {} more", "另有{}项")


@command(
    "prove",
    example="pos-engine prove\npos-engine prove --release --jobs 8\npos-engine prove --campaign crashes --json\n"
    "pos-engine prove --campaign lives --case 4711",
)
@click.option("--quick", is_flag=True, help="A sample of every campaign, the same each time (the default).")
@click.option("--release", is_flag=True, help="All of every campaign; takes hours.")
@click.option("--campaign", "names", multiple=True, metavar="NAME", help="Run only this one; may be given again.")
@click.option("--case", metavar="CASE", help="Run one case of the campaign and print its history.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Where chance begins.")
@click.option("--jobs", type=click.IntRange(1, 256), metavar="N", help="Processes; by default one for each core.")
def prove(
    output: Output,
    *,
    quick: bool,
    release: bool,
    names: tuple[str, ...],
    case: str | None,
    seed: int,
    jobs: int | None,
) -> Exit:
    """Try by the thousand to make a terminal lose or double money, and count what was tried.

    Terminals, lines, hosts, disks and clocks are simulated, or real files under a traced process; nothing outside this
    machine is touched. Each violation names the case that shows it again. Ends with 9 when there is one.
    """
    from simulators.prove import runner
    from simulators.prove.campaign import Scale

    if quick and release:
        reason = "either --quick or --release"
        raise UsageError(reason)
    if case is not None:
        return _repeat(output, names, case, seed)
    scale = Scale.RELEASE if release else Scale.QUICK
    reports = []
    for report in runner.prove(names or tuple(runner.CAMPAIGNS), scale, seed=seed, jobs=jobs or os.cpu_count() or 1):
        output.note(f"{report.name}: {report.tally.cases} ({report.seconds:.1f} s)")
        reports.append(report)
    if output.as_json:
        output.json({"scale": scale.name.lower(), "seed": seed, "campaigns": [_report_json(each) for each in reports]})
    else:
        _print(output, reports)
    return Exit.NOTHING_FOUND if any(report.tally.findings for report in reports) else Exit.DONE


def _repeat(output: Output, names: Sequence[str], case: str, seed: int) -> Exit:
    from simulators.prove import runner

    if len(names) != 1:
        reason = "--case is of one campaign: name it with --campaign"
        raise UsageError(reason)
    history = runner.repeat(names[0], case, seed=seed)
    if output.as_json:
        output.json({"campaign": names[0], "case": case, "seed": seed, "history": history.splitlines()})
    else:
        output.line(history)
    return Exit.DONE


def _print(output: Output, reports: Sequence[Report]) -> None:
    output.table([output.say(head) for head in _HEADS], [_row(report, output) for report in reports])
    for report in reports:
        for line in _figures(report, output):
            output.line(line)


def _row(report: Report, output: Output) -> Sequence[str]:
    if report.lacks:
        return report.name, "-", output.say(_LACKS).format(report.lacks), "", ""
    tally = report.tally
    again = f"--campaign {report.name}"
    return report.name, str(tally.cases), str(len(tally.findings)), f"{report.seconds:.1f}", again


def _figures(report: Report, output: Output) -> Iterator[str]:
    """Say what a campaign tried, what else it counted, and what it found."""
    yield f"{report.name}: {output.say(report.title)}"
    for name, count in sorted(report.tally.counts.items()):
        yield f"    {name}: {count}"
    for finding in report.tally.findings[:FINDINGS_SHOWN]:
        yield f"    ! {finding.what}"
        yield f'      pos-engine prove --campaign {report.name} --case "{finding.case}"'
    if len(report.tally.findings) > FINDINGS_SHOWN:
        yield f"    {output.say(_MORE).format(len(report.tally.findings) - FINDINGS_SHOWN)}"


def _report_json(report: Report) -> dict[str, object]:
    return {
        "campaign": report.name,
        "title": text_json(report.title),
        "cases": report.tally.cases,
        "violations": [_finding_json(each) for each in report.tally.findings],
        "counts": dict(sorted(report.tally.counts.items())),
        "seconds": round(report.seconds, 1),
        "lacks": report.lacks or None,
    }


def _finding_json(finding: Finding) -> dict[str, object]:
    return {"what": finding.what, "case": finding.case}
