"""A real terminal against the simulated host over TLS and through the HTTPS tunnel, while the road is made to fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from pos_engine import config, limits
from pos_engine.errors import NotSent, Trouble
from pos_engine.flow.outcomes import Approved, InDoubt
from pos_engine.journal.record import State
from pos_engine.session.diagnosis import Cause
from pos_engine.terminal import Terminal
from pos_engine.values import Amount
from simulators.faults import TcpProxy
from simulators.server import BackgroundServer
from tests.support.authority import Authority
from tests.support.shop import Shop, differences

if TYPE_CHECKING:
    from pathlib import Path

SALE: Final = Amount.cny("12.34")
BOOKED_AND_SILENT: Final = Amount.cny("9.96")
ROADS: Final = {"tls": "tls://127.0.0.1:0", "https": "https://127.0.0.1:0/mjc/webtrans/VPB_lb"}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a host take its time for its first word, for a machine that has much to do."""
    monkeypatch.setattr(limits, "TLS_FIRST_WORD_S", (10.0, 10.0))


class Scene:
    """An authority, a host behind a door of one kind, and a shop that trusts it."""

    def __init__(self, folder: Path, road: str, *, wants_client: bool = False) -> None:
        self.authority = Authority(folder)
        self.certificate = folder / "host.pem"
        self.authority.issue("host")
        client_ca = self.authority.ca if wants_client else None
        self.host = BackgroundServer(listen=ROADS[road], certificate=self.certificate, client_ca=client_ca)
        self.shop = Shop(folder, 1, answer_timeout_s=2.0)
        self.ca = folder / "trusted.pem"
        self.trust(self.authority)

    def trust(self, authority: Authority) -> None:
        """Write the file of authorities that the terminal trusts, anew."""
        self.ca.write_bytes(authority.ca.read_bytes())

    def terminal(self, *, port: int | None = None, **settings: str) -> Terminal:
        """Open the terminal, at the host's own door or at another port."""
        address = self.host.address.replace(f":{self.host.port}", f":{port or self.host.port}")
        named = {f"acquirer.{name}": value for name, value in settings.items()}
        overrides: dict[str, str | bool | float] = {"acquirer.address": address, "acquirer.ca": str(self.ca), **named}
        return Terminal.open(config.load(self.shop.path, overrides=overrides))

    def states(self) -> list[tuple[str, State]]:
        """What the journal says became of each request."""
        return [(record.kind.value, record.state) for record in self.shop.records()]

    def agrees(self) -> bool:
        """Whether both books say the same, and nothing is owed."""
        return not self.shop.owed() and differences(self.shop.records(), self.host.ledger()) == []


@pytest.mark.parametrize("road", ROADS)
def test_a_terminal_signs_on_sells_and_reverses_what_was_not_answered(tmp_path: Path, road: str) -> None:
    scene = Scene(tmp_path, road)
    with scene.host, scene.terminal() as terminal:
        terminal.sign_on()
        assert isinstance(terminal.sale(SALE), Approved)
        assert isinstance(terminal.sale(BOOKED_AND_SILENT), InDoubt)
        assert isinstance(terminal.sale(SALE), Approved)
        assert scene.states() == [
            ("sign-on", State.APPROVED),
            ("sale", State.APPROVED),
            ("sale", State.DOUBTFUL),
            ("reversal", State.APPROVED),
            ("sale", State.APPROVED),
        ]
        assert scene.agrees()


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("fault", ["fin", "rst", "flip"])
@pytest.mark.parametrize("direction", ["to-host", "to-terminal"])
def test_a_connection_broken_under_a_sale_costs_a_reversal_and_no_money(
    tmp_path: Path, road: str, fault: str, direction: str
) -> None:
    scene = Scene(tmp_path, road)
    with (
        scene.host,
        TcpProxy(("127.0.0.1", scene.host.port)) as proxy,
        scene.terminal(port=proxy.address[1]) as terminal,
    ):
        assert isinstance(terminal.sale(SALE), Approved)
        proxy.fail(f"{fault} {direction} at 20 times 1")
        assert isinstance(terminal.sale(SALE), InDoubt)
        assert isinstance(terminal.sale(SALE), Approved)
        assert [kind for kind, _ in scene.states()] == ["sign-on", "sale", "sale", "reversal", "sale"]
        assert scene.agrees()


@pytest.mark.parametrize("road", ROADS)
def test_a_handshake_broken_under_a_sale_is_not_sent_and_the_next_sale_needs_no_reversal(
    tmp_path: Path, road: str
) -> None:
    scene = Scene(tmp_path, road)
    with scene.host, TcpProxy(("127.0.0.1", scene.host.port)) as proxy:
        with scene.terminal() as terminal:
            terminal.sign_on()
        with scene.terminal(port=proxy.address[1]) as terminal:
            proxy.fail("rst to-terminal at 100 times 1")
            with pytest.raises(NotSent):
                terminal.sale(SALE)
            assert isinstance(terminal.sale(SALE), Approved)
        assert [kind for kind, _ in scene.states()] == ["sign-on", "sale", "sale"]
        assert scene.agrees()


@pytest.mark.parametrize("road", ROADS)
def test_a_host_that_is_not_trusted_gets_nothing_and_the_diagnosis_says_tls(tmp_path: Path, road: str) -> None:
    scene = Scene(tmp_path, road)
    scene.trust(Authority(tmp_path, "Somebody Else"))
    with scene.host, scene.terminal() as terminal:
        with pytest.raises(NotSent) as caught:
            terminal.sign_on()
        assert caught.value.trouble is Trouble.TLS
        diagnosis = terminal.diagnosis()
        assert diagnosis is not None
        assert diagnosis.cause is Cause.TLS
        assert scene.host.events == []
        # The right file takes its place, and the terminal goes on as it is.
        scene.trust(scene.authority)
        assert isinstance(terminal.sale(SALE), Approved)
        assert scene.agrees()


@pytest.mark.parametrize("road", ROADS)
def test_a_host_that_wants_a_client_certificate_gets_it_or_nothing(tmp_path: Path, road: str) -> None:
    scene = Scene(tmp_path, road, wants_client=True)
    mine = scene.authority.issue("terminal")
    mine.chmod(0o600)
    with scene.host:
        with scene.terminal() as terminal, pytest.raises(NotSent, match="wants a client certificate"):
            terminal.sign_on()
        assert scene.host.events == []
        with scene.terminal(certificate=str(mine)) as terminal:
            assert isinstance(terminal.sale(SALE), Approved)
        assert scene.agrees()


@pytest.mark.parametrize("road", ROADS)
def test_a_renewed_authority_is_trusted_without_a_restart(tmp_path: Path, road: str) -> None:
    scene = Scene(tmp_path, road)
    with scene.host:
        terminal = scene.terminal()
        assert isinstance(terminal.sale(SALE), Approved)
    with terminal:
        other = Authority(tmp_path, "Renewed CA")
        scene.certificate.write_bytes(other.issue("renewed").read_bytes())
        with scene.host:
            with pytest.raises(NotSent):
                terminal.sale(SALE)
            scene.trust(other)
            assert isinstance(terminal.sale(SALE), Approved)
            assert scene.agrees()


@pytest.mark.parametrize("road", ROADS)
def test_certificates_that_end_soon_are_told_before_and_after_the_host_has_shown_its_own(
    road: str, tmp_path: Path
) -> None:
    scene = Scene(tmp_path, road)
    with scene.host, scene.terminal() as terminal:
        # The authority's certificates live for a day.
        names = [each.name for each in terminal.status().certificates]
        assert names == [f"{scene.ca}: Test CA"]
        assert isinstance(terminal.sale(SALE), Approved)
        shown = [each for each in terminal.status().certificates if each.name.startswith(f"{road}://")]
        assert [each.days_left for each in shown] == [0]


def test_a_road_without_protection_has_no_certificates(tmp_path: Path) -> None:
    with BackgroundServer() as host, Shop(tmp_path, host.port).open() as terminal:
        assert terminal.status().certificates == ()
