"""Downloads decided: what is owed and when, where it goes on, what is in force, what a failed page leaves behind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pos_engine import limits
from pos_engine.dialects.base import Kind
from pos_engine.dialects.iso87 import ISO87
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import KeyFault, NoAnswer, NotSent, Trouble, UsageError
from pos_engine.flow import downloads
from pos_engine.flow.checks import Order
from pos_engine.flow.downloads import TerminalData, ordered, owed_downloads, terminal_data, unfinished
from pos_engine.flow.effects import Answered, MacState
from pos_engine.flow.outcomes import Approved, Declined, InDoubt
from pos_engine.flow.plan import DutyKind, plan
from pos_engine.journal.record import State
from pos_engine.session.policy import BusyHours, Policy
from pos_engine.values import Amount
from simulators.acquirer import Acquirer, Files
from simulators.acquirer.downloads import Downloads, public_key
from simulators.bench import IDENTITY, Bench
from simulators.scenario import Scenario, parse
from tests.support.exchange import PROFILE, Script, answer, approve, sale, signed_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pos_engine.clock import Instant
    from pos_engine.flow.effects import Happening
    from pos_engine.journal.memory import MemoryJournal
    from pos_engine.journal.record import Record
    from pos_engine.terminal import Terminal
    from pos_engine.wire.message import Message

TID = IDENTITY.terminal
TOTAL = Amount.cny("12.34")
PARTS = {"parameters": 2, "ca-keys": 6, "aids": 4, "blacklist": 3, "status": 1}
"""Exchanges that each download of the simulated host takes."""
DIGITS = {download.name: digit for digit, download in UNIONPAY.downloads.items()}
LONG_S = 4000.0
"""Longer than any duty waits before it is tried again."""


class Till:
    """A terminal that is signed on, and its host."""

    def __init__(self, files: Files | None = None, **settings: str) -> None:
        self.bench = Bench()
        if files is not None:
            self.bench.acquirer.downloads.files = files
        self.settings = {name.replace("__", "."): value for name, value in settings.items()}
        self.terminal: Terminal = self.bench.open(self.settings)
        self.terminal.sign_on()

    @property
    def host(self) -> Acquirer:
        return self.bench.acquirer

    @property
    def records(self) -> list[Record]:
        return list(self.journal.recent(999))[::-1]

    @property
    def journal(self) -> MemoryJournal:
        return self.bench._journals[TID]  # noqa: SLF001 - what a file would hold

    @property
    def data(self) -> TerminalData:
        return self.terminal.terminal_data()

    def tick(self, times: int = 1, wait_s: float = 0.0) -> list[Kind]:
        """Tick, and name what was done."""
        done = []
        for _ in range(times):
            self.bench.clock.advance(wait_s)
            done += [each.kind for each in self.terminal.tick().done]
        return done

    def restart(self, *, boots: bool = True) -> None:
        self.bench.cut_power(self.terminal)
        if boots:
            self.bench.clock.reboot("again")
        self.terminal = self.bench.open(self.settings)

    def stage(self, kind: str, action: str) -> None:
        rule = f'[[rule]]\nname = "one"\nmatch = {{ kind = "{kind}" }}\naction = {action}\n'
        self.host.stage(parse(rule, "stage"))

    def asked(self) -> list[tuple[str, str]]:
        """Which pages left the terminal and were answered: kind and field 62 of each, ends excepted."""
        return [
            (each.kind.value, each.brought or "")
            for each in self.records
            if each.page is not None and each.state is State.APPROVED
        ]


@pytest.fixture
def till() -> Iterator[Till]:
    made = Till()
    yield made
    made.bench.close()


# When.


@pytest.mark.parametrize("name", PARTS)
def test_what_the_host_demands_in_a_header_is_done_page_by_page_when_nobody_waits(till: Till, name: str) -> None:
    till.host.demand(TID, DIGITS[name])
    outcome = till.terminal.sale(TOTAL)
    assert isinstance(outcome, Approved)
    (owed,) = till.terminal.status().downloads
    assert (owed.download, owed.demanded, owed.pages) == (name, True, 0)
    # The next sale does not wait for it either.
    assert isinstance(till.terminal.sale(TOTAL), Approved)
    ticks = [till.terminal.tick() for _ in range(PARTS[name])]
    assert [len(tick.done) for tick in ticks] == [1] * PARTS[name]
    assert {tick.again_in_s for tick in ticks[:-1]} <= {0.0}
    assert ticks[-1].done[0].kind is UNIONPAY.downloads[DIGITS[name]].end
    assert (ticks[-1].idle, till.terminal.status().downloads) == (True, ())
    assert [each.demanded for each in till.data.completed] == ([] if name == "status" else [True])


def test_a_status_tells_the_host_what_the_terminal_knows_of_itself(till: Till) -> None:
    till.terminal.download("parameters")
    till.host.demand(TID, DIGITS["status"])
    till.terminal.echo()
    assert till.tick() == [Kind.STATUS]
    report = till.host.downloads.reports[TID]
    assert report.startswith("0210311160")
    assert till.terminal.upload_status("011").kind is Kind.STATUS
    assert till.host.downloads.reports[TID] == "011"


def test_a_persons_own_status_satisfies_what_the_host_asked_for(till: Till) -> None:
    till.host.demand(TID, DIGITS["status"])
    till.terminal.echo()
    till.terminal.upload_status("011")
    assert till.terminal.status().downloads == ()


def test_money_and_sign_ons_go_first(till: Till) -> None:
    till.host.demand(TID, DIGITS["parameters"])
    till.terminal.echo()
    till.bench.link.lose_answer()
    assert isinstance(till.terminal.sale(TOTAL), InDoubt)
    assert till.tick() == [Kind.REVERSAL, Kind.PARAMETERS]
    till.restart()
    assert till.tick() == [Kind.SIGN_ON, Kind.PARAMETERS_END]


def test_a_session_that_is_stale_is_renewed_first(till: Till) -> None:
    till.host.demand(TID, DIGITS["parameters"])
    till.terminal.echo()
    till.bench.clock.advance(23.75 * 3600)
    assert till.tick() == [Kind.SIGN_ON, Kind.PARAMETERS]


def test_who_has_signed_off_is_left_alone(till: Till) -> None:
    till.host.demand(TID, DIGITS["parameters"])
    till.terminal.sign_off()
    assert till.tick() == []
    till.terminal.sale(TOTAL)
    assert till.tick() == [Kind.PARAMETERS]


def test_busy_hours_are_left_to_customers() -> None:
    hours = Policy(busy=(BusyHours(11 * 3600, 13 * 3600), BusyHours(8 * 3600, 12 * 3600 + 1800)))
    script = Script(signed_on(), answer("00", mac=MacState.VALID, header="4"), profile=replace(PROFILE, session=hours))
    script.run(sale())
    duty = plan(script.journal, script.profile, script.clock.now())
    assert duty is not None
    assert (duty.kind, duty.wait_s) == (DutyKind.DOWNLOAD, 3600.0)
    assert script.run(None).worked_off == ()
    assert plan(script.journal, script.profile, script.clock.now(), wanted=True) is None
    assert plan(script.journal, script.profile, script.clock.now(), urgent=True) is None


def test_a_host_that_never_takes_its_demand_back_is_served_once_in_a_while(till: Till) -> None:
    till.stage("echo", '{ do = "header", digit = "7" }')
    till.terminal.echo()
    assert till.tick(3) == [Kind.BLACKLIST, Kind.BLACKLIST, Kind.BLACKLIST_END]
    for _ in range(3):
        till.terminal.echo()
        tick = till.terminal.tick()
        assert (tick.done, tick.again_in_s) == ((), limits.DOWNLOAD_AGAIN_S)
    (owed,) = till.terminal.status().downloads
    assert owed.held_s == limits.DOWNLOAD_AGAIN_S
    till.bench.clock.advance(limits.DOWNLOAD_AGAIN_S)
    assert till.tick() == [Kind.BLACKLIST]


def test_a_person_does_not_wait_for_that_and_neither_does_a_boot(till: Till) -> None:
    till.stage("echo", '{ do = "header", digit = "7" }')
    till.terminal.download("blacklist")
    till.terminal.echo()
    assert till.tick() == []
    assert isinstance(till.terminal.download("blacklist"), Approved)
    till.terminal.echo()
    till.restart()
    assert till.tick() == [Kind.SIGN_ON, Kind.BLACKLIST]


def test_several_demands_are_served_one_after_the_other_and_one_that_fails_does_not_hold_the_others(till: Till) -> None:
    for name in PARTS:
        till.host.demand(TID, DIGITS[name])
    assert till.host.downloads.demanded(TID) == ("1", "4", "5", "7", "2")
    till.terminal.echo()
    till.stage("parameters", '"decline"')
    assert till.tick() == []
    till.host.stage(Scenario())
    for name in ("ca-keys", "aids", "blacklist", "status"):
        # A header has room for one demand, so that each is heard of in turn.
        till.host.demand(TID, DIGITS[name])
    till.terminal.echo()
    assert till.tick(1, wait_s=5.0) == [Kind.PARAMETERS]


@pytest.mark.parametrize("digit", ["6", "8", "9"])
def test_what_nobody_knows_is_noted_and_changes_nothing(till: Till, digit: str) -> None:
    till.stage("sale", f'{{ do = "header", digit = "{digit}" }}')
    till.terminal.sale(TOTAL)
    record = till.records[-1]
    assert record.wanted == digit
    assert record.notes == ("the host's header asks for something that this terminal does not know",)
    assert till.terminal.status().downloads == ()
    assert till.tick() == []


def test_a_sign_on_may_carry_a_demand_too() -> None:
    def demanding(request: Message, now: Instant) -> Happening:
        happened = signed_on()(request, now)
        assert isinstance(happened, Answered)
        return replace(happened, processing_request="1")

    script = Script(demanding)
    script.run(Order(kind=Kind.SIGN_ON))
    assert [each.download.name for each in unfinished(script.journal, UNIONPAY, script.clock.now())] == ["parameters"]


# Where it goes on.


@pytest.mark.parametrize("name", ["parameters", "ca-keys", "aids", "blacklist"])
@pytest.mark.parametrize("boots", [False, True])
def test_cut_at_any_page_it_goes_on_with_the_one_that_is_missing(name: str, *, boots: bool) -> None:
    whole = Till()
    whole.terminal.download(name)
    for cut in range(PARTS[name]):
        till = Till()
        till.bench.link.pass_smoothly(cut)
        till.bench.link.lose_answer()
        with pytest.raises(NoAnswer):
            till.terminal.download(name)
        assert till.data == TerminalData()
        (owed,) = till.terminal.status().downloads
        assert (owed.pages, owed.demanded, owed.failed != "") == (cut, False, True)
        till.restart(boots=boots)
        till.tick(PARTS[name] - cut + 1, wait_s=5.0)
        assert replace(till.data, completed=()) == replace(whole.data, completed=())
        assert till.asked() == whole.asked()
        till.bench.close()
    whole.bench.close()


def test_a_person_goes_on_where_it_stopped_or_begins_anew(till: Till) -> None:
    till.bench.link.pass_smoothly(3)
    till.bench.link.unplug()
    till.bench.link.plug_in()
    till.bench.link.lose_request()
    with pytest.raises(NoAnswer):
        till.terminal.download("ca-keys")
    till.terminal.download("ca-keys")
    assert [kind for kind, _ in till.asked()] == [
        *["ca-key-list"] * 2,
        *["ca-key"] * 3,
        "ca-keys-end",
    ]
    till.bench.link.pass_smoothly(3)
    till.bench.link.lose_request()
    with pytest.raises(NoAnswer):
        till.terminal.download("ca-keys", anew=True)
    before = len(till.asked())
    till.terminal.download("ca-keys", anew=True)
    assert len(till.asked()) - before == PARTS["ca-keys"]


def test_begun_anew_in_vain_it_is_begun_again_and_not_where_the_older_one_stopped(till: Till) -> None:
    till.bench.link.pass_smoothly(2)
    till.bench.link.lose_request()
    with pytest.raises(NoAnswer):
        till.terminal.download("aids")
    till.bench.link.lose_request()
    with pytest.raises(NoAnswer):
        till.terminal.download("aids", anew=True)
    assert till.terminal.status().downloads[0].pages == 0
    assert till.tick(5, wait_s=LONG_S) == [Kind.AID_LIST, Kind.AID, Kind.AID, Kind.AIDS_END]


def test_a_page_that_fails_is_asked_for_again_after_longer_and_longer_waits(till: Till) -> None:
    till.host.demand(TID, DIGITS["aids"])
    till.terminal.echo()
    assert till.tick() == [Kind.AID_LIST]
    till.stage("aid", '"decline"')
    for wait_s in (5.0, 10.0, 20.0):
        tick = till.terminal.tick()
        assert tick.done == ()
        assert tick.failed is not None
        assert tick.failed.startswith("the aid was not answered as it should be; it will be asked for again")
        assert (tick.again_in_s, tick.idle) == (wait_s, False)
        assert isinstance(till.terminal.sale(TOTAL), Approved)
        till.bench.clock.advance(wait_s)
    till.host.stage(Scenario())
    assert till.tick(3) == [Kind.AID, Kind.AID, Kind.AIDS_END]


def test_who_was_refused_may_try_again_and_a_hosts_own_demand_is_tried_until_it_is_served(till: Till) -> None:
    till.stage("blacklist", '"decline"')
    assert isinstance(till.terminal.download("blacklist"), Declined)
    assert till.terminal.status().downloads == ()
    till.host.demand(TID, DIGITS["blacklist"])
    till.terminal.echo()
    assert till.terminal.status().downloads[0].demanded
    assert till.tick() == []
    till.host.stage(Scenario())
    assert till.tick(1, wait_s=LONG_S) == [Kind.BLACKLIST]
    till.stage("blacklist", '"decline"')
    assert isinstance(till.terminal.download("blacklist"), Declined)
    assert till.terminal.status().downloads[0].pages == 1


def test_what_could_not_even_be_sent_is_owed(till: Till) -> None:
    till.bench.link.unplug()
    with pytest.raises(NotSent):
        till.terminal.download("parameters")
    till.bench.link.plug_in()
    assert till.tick(1, wait_s=5.0) == [Kind.PARAMETERS]


def test_an_end_that_is_refused_leaves_the_old_in_force(till: Till) -> None:
    till.terminal.download("parameters")
    before = till.data
    till.host.downloads.files = Files(parameters=(("13", b"9"),))
    till.stage("parameters-end", '"decline"')
    assert isinstance(till.terminal.download("parameters"), Declined)
    assert till.data == before
    till.host.stage(Scenario())
    till.tick(1, wait_s=5.0)
    assert [each.value for each in till.data.parameters] == ["9"]


# What is believed.


def test_a_bad_key_brings_none_into_force_and_the_download_stops(till: Till) -> None:
    till.terminal.download("ca-keys")
    before = till.data
    good, bad = public_key(1), public_key(2)
    bad = tuple((tag, value[:-1] + bytes([value[-1] ^ 1]) if tag == "DF03" else value) for tag, value in bad)
    till.host.downloads.files = Files(public_keys=(good, bad))
    till.host.demand(TID, DIGITS["ca-keys"])
    till.terminal.echo()
    with pytest.raises(KeyFault, match="02 of A000000333"):
        till.terminal.download("ca-keys")
    record = till.records[-1]
    assert (record.state, record.trouble, record.brought) == (State.DOUBTFUL, Trouble.PUBLIC_KEY, None)
    assert till.data == before
    assert till.terminal.diagnosis() is None
    tick = till.terminal.tick()
    till.bench.clock.advance(LONG_S)
    tick = till.terminal.tick()
    assert tick.failed is not None
    assert "02 of A000000333" in tick.failed
    till.host.downloads.files = Files(public_keys=(good, public_key(2)))
    till.tick(2, wait_s=LONG_S)
    assert [key.index for key in till.data.ca_keys] == ["01", "02"]


def test_a_page_that_makes_no_sense_is_asked_for_again(till: Till) -> None:
    till.host.downloads.files = Files(blacklist=(("6229990000000004", "6229990000000004"),))
    with pytest.raises(NoAnswer, match="6 to 10 digits"):
        till.terminal.download("blacklist")
    assert till.records[-1].trouble is Trouble.BAD_MESSAGE
    assert "6229990000000004" not in "".join(till.journal.history)


class Served:
    """Answers of the simulated host to a script, and the last of them once more."""

    def __init__(self, files: Files | None = None) -> None:
        self.downloads = Downloads(UNIONPAY, files or Files())
        self.last: Happening | None = None

    def answer(self, request: Message, now: Instant) -> Happening:
        row = UNIONPAY.kind_of(request)
        assert row is not None
        extra = self.downloads.decide(request, row.kind).extra
        self.last = approve(dict(extra or {}), MacState.ABSENT)(request, now)
        return self.last

    def again(self, _request: Message, _now: Instant) -> Happening:
        assert self.last is not None
        return self.last


def fetch(script: Script, name: str = "ca-keys") -> Record:
    record = script.run(ordered(name, script.journal, PROFILE, script.clock.now())).record
    assert record is not None
    return record


@pytest.mark.parametrize(("place", "kind"), [(1, Kind.CA_KEY_LIST), (3, Kind.CA_KEY)])
def test_the_answer_to_an_earlier_page_is_passed_over(place: int, kind: Kind) -> None:
    host = Served()
    script = Script(*[host.answer] * place, host.again, host.answer)
    record = [fetch(script) for _ in range(place + 1)][-1]
    assert (record.kind, record.state, record.wanted) == (kind, State.APPROVED, None)
    assert len(record.notes) == 1
    assert record.notes[0].startswith("passed over an answer: field 62: it ")


def test_a_page_is_explained_as_something_that_moves_no_money(till: Till) -> None:
    till.bench.link.lose_answer()
    with pytest.raises(NoAnswer):
        till.terminal.download("parameters")
    told = till.terminal.explain("000002")
    assert (told.line.kind, told.next.en) == (Kind.PARAMETERS, "no money was at stake")
    assert told.advice.en == "nothing: whatever is still wanted is asked for again"
    assert till.terminal.diagnosis() is None
    till.terminal.download("parameters")
    whole = till.terminal.explain("000003")
    assert [each.kind for each in whole.history] == [Kind.PARAMETERS] * 2 + [Kind.PARAMETERS_END] * 2


# What the journal may hold besides.


def test_what_another_version_kept_and_nobody_can_read_is_fetched_anew() -> None:
    host = Served()
    script = Script(*[host.answer] * 99)
    first = fetch(script, "aids")
    script.journal.save(replace(first, brought="FF"))
    record = fetch(script, "aids")
    assert (record.page, record.original) == (0, None)
    while fetch(script, "aids").kind is not Kind.AIDS_END:
        pass
    assert len(terminal_data(script.journal, UNIONPAY).applications) == 2
    (page,) = (each for each in script.journal.acting_on(record.number) if each.page == 1)
    script.journal.save(replace(page, brought="FF"))
    assert terminal_data(script.journal, UNIONPAY) == TerminalData()


def test_a_page_whose_beginning_is_not_there_begins_it() -> None:
    host = Served()
    script = Script(host.answer, host.answer)
    first = fetch(script, "aids")
    script.journal.save(replace(first, number=2, stan="000009", page=1, original=77))
    script.journal.save(replace(first, original=78))
    assert fetch(script, "aids").page == 0
    last = replace(first, number=4, kind=Kind.AIDS_END, stan="000011", original=77)
    script.journal.save(last)
    assert terminal_data(script.journal, UNIONPAY) == TerminalData()


def test_a_page_is_ordered_by_ordering_its_download() -> None:
    with pytest.raises(UsageError, match="ordering its download"):
        Script().run(Order(kind=Kind.CA_KEYS_END))


def test_only_what_the_dialect_has_can_be_ordered() -> None:
    script = Script()
    with pytest.raises(UsageError, match="there are: parameters, status, ca-keys, aids, blacklist"):
        ordered("everything", script.journal, PROFILE, script.clock.now())
    plain = replace(PROFILE, dialect=ISO87)
    with pytest.raises(UsageError, match="there are: none"):
        ordered("parameters", script.journal, plain, script.clock.now())
    assert downloads.status_report(script.journal, plain) == "021031"
    assert owed_downloads(script.journal, ISO87, script.clock.now()) == ()
    assert terminal_data(script.journal, ISO87) == TerminalData()


def test_what_failed_without_a_remark_is_owed_without_one() -> None:
    script = Script(answer("00", mac=MacState.ABSENT, header="7"), answer("91", mac=MacState.ABSENT))
    script.run(Order(kind=Kind.ECHO))
    assert fetch(script, "blacklist").state is State.DECLINED
    (owed,) = owed_downloads(script.journal, UNIONPAY, script.clock.now())
    assert (owed.failed, owed.demanded) == ("", True)
