"""The parts of the load generator, on lanes that answer as they are told."""

from __future__ import annotations

import asyncio

import pytest
from tokenizers import Tokenizer

from fakes.models.encoders import tiny_tokenizer
from loadgen import grpc_lanes, http1
from loadgen.lanes import LOST, OK, REJECTED, Lane, OnReply, Ticket
from loadgen.loops import ClosedLoop, OpenLoop, Record, Window, round_rate
from loadgen.meters import metrics_between
from loadgen.texts import LENGTHS, Source

SHORT = Window(warmup_s=0.02, measure_s=0.2)


class NoMeter:
    def begin(self) -> None: ...

    def end(self) -> None: ...


class FakeLane:
    """Answers in the next turn of the loop; keeps its first request back for *stall_s*."""

    def __init__(self, on_reply: OnReply, outcome: str, stall_s: float) -> None:
        self.closed, self._on_reply, self._outcome, self._stall_s = False, on_reply, outcome, stall_s

    def send(self, payload: bytes, ticket: Ticket) -> None:
        delay_s, self._stall_s = self._stall_s, 0.0
        asyncio.get_running_loop().call_later(delay_s, self._on_reply, self, ticket, self._outcome, payload)

    def close(self) -> None:
        self.closed = True


def connects(outcome: str = OK, stall_s: float = 0.0):
    async def connect(on_reply: OnReply) -> Lane:
        return FakeLane(on_reply, outcome, stall_s)

    return connect


@pytest.fixture(scope="module")
def source() -> Source:
    return Source(Tokenizer.from_buffer(tiny_tokenizer()))


@pytest.mark.parametrize("kind", LENGTHS)
def test_texts_have_the_lengths_of_their_class_and_are_the_same_again(kind: str, source: Source) -> None:
    """Texts have the lengths of their class, are all different, and come out the same again."""
    tokenizer = Tokenizer.from_buffer(tiny_tokenizer())
    texts = source.texts(kind, 40)
    low, high = LENGTHS[kind]
    assert all(low <= text.tokens <= high for text in texts)
    assert all(text.tokens == len(tokenizer.encode(text.text).ids) for text in texts)
    assert len({text.text for text in texts}) == 40
    assert texts == source.texts(kind, 40)
    assert texts != source.texts(kind, 40, seed=1)


def test_closed_loop_counts_what_was_answered_in_the_measured_time() -> None:
    """A closed loop sends every payload in turn and keeps the first reply to each."""
    loop = ClosedLoop([b"a", b"b"], SHORT, NoMeter())
    record = asyncio.run(loop.run(connects(), 2))
    assert record.bodies == {0: b"a", 1: b"b"}
    assert record.outcomes[OK] == len(record.latencies_ns) == len(record.done) > 10
    assert abs(record.done.count(0) - record.done.count(1)) <= 2


def test_closed_loop_gives_a_slow_server_more_time() -> None:
    """It goes on until the least number of answers is there, but not for ever."""
    slow, fast = (
        asyncio.run(ClosedLoop([b"a"], Window(0.02, 0.05, least=8, most_s=most_s), NoMeter()).run(connects(outcome), 1))
        for outcome, most_s in ((REJECTED, 0.3), (OK, 60.0))
    )
    assert slow.seconds == pytest.approx(0.3)
    assert not slow.done
    assert fast.seconds < 30
    assert len(fast.done) >= 8


def test_rates_do_not_depend_on_where_the_window_cuts_bursts() -> None:
    """Four clients that are answered together every second make four texts a second, however many bursts are seen."""
    bursts = [second * 1_000_000_000 + client for second in range(3) for client in range(4)]
    assert round_rate(bursts, [1] * 12, under_way=4) == pytest.approx(4)
    assert round_rate(bursts[3:], [1] * 9, under_way=4) == pytest.approx(4)
    assert round_rate(bursts[:4], [1] * 4, under_way=4) is None


def test_closed_loop_backs_off_from_a_server_that_refuses() -> None:
    """A client that is refused waits, and refusals have no latency."""
    record = asyncio.run(ClosedLoop([b"a"], SHORT, NoMeter()).run(connects(REJECTED), 1))
    assert 1 <= record.outcomes[REJECTED] <= 6  # 0.2 s, 0.05 s each
    assert not record.latencies_ns


def test_open_loop_charges_a_stall_to_everybody_who_would_have_come() -> None:
    """Latency counts from the intended time: with the only lane stalled, what was due meanwhile is late too."""
    record: Record = asyncio.run(OpenLoop([b"a"], SHORT, NoMeter()).run(connects(stall_s=0.2), 1, rate=500))
    late = [each for each in record.latencies_ns if each > 50_000_000]
    assert len(late) > len(record.latencies_ns) // 2 > 10
    assert set(record.outcomes) == {OK}


def test_open_loop_keeps_its_rate_whatever_the_server_does() -> None:
    """As many requests are due as the rate says."""
    record = asyncio.run(OpenLoop([b"a"], SHORT, NoMeter()).run(connects(), 50, rate=1000))
    assert 140 <= record.outcomes[OK] <= 260  # 200 expected, 4 standard deviations


def replies_of(lane_of: type[http1.HttpLane], *chunks: bytes) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    lane = lane_of(lambda _, ticket, outcome, body: found.append((outcome, body)))
    lane._ticket = (0, 0)
    for chunk in chunks:
        lane.data_received(chunk)
    return found


@pytest.mark.parametrize("cut", [5, 20, 40, 50, 55])
def test_http_replies_are_read_however_they_are_cut(cut: int) -> None:
    """A reply in two pieces is one reply."""
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nx: y\r\n\r\n0123456789"
    assert replies_of(http1.HttpLane, reply[:cut], reply[cut:]) == [(OK, b"0123456789")]


@pytest.mark.parametrize(("status", "outcome"), [(503, REJECTED), (429, REJECTED), (400, "HTTP 400")])
def test_http_refusals_are_told_from_errors(status: int, outcome: str) -> None:
    """429 and 503 are refusals, anything else that is not 200 is an error."""
    assert replies_of(http1.HttpLane, f"HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\n{{}}".encode()) == [
        (outcome, b"{}")
    ]


def test_a_lane_that_lost_its_connection_says_so() -> None:
    """A request on a closed lane is answered as lost, not forgotten."""
    found = []
    lane = http1.HttpLane(lambda _, ticket, outcome, body: found.append(outcome))
    lane.send(b"", (0, 0))
    assert found == [LOST]


def test_grpc_status_is_found_among_other_trailers() -> None:
    """Literal trailers behind a change of the table's size, an indexed field and a long value."""
    long = b"grpc-message" + b"\x7f\x29" + b"m" * 168  # 127 + 41: a length of two bytes
    block = b"\x20\x88\x00\x0c" + long + b"\x40\x0bgrpc-status\x018"
    assert grpc_lanes.grpc_status(block) == "8"
    assert grpc_lanes.grpc_status(b"\x88") == "no grpc-status"
    assert grpc_lanes.grpc_status(b"\x00\x0bgrpc") == "unreadable trailers"


def test_metrics_are_told_of_the_time_between_two_pages() -> None:
    """Stage means, rows and padding come from what grew."""
    before = {'samespace_stage_seconds_sum{space="a",stage="run"}': 1.0, "samespace_tokens_total": 100.0}
    after = {
        'samespace_stage_seconds_sum{space="a",stage="run"}': 3.0,
        'samespace_stage_seconds_count{space="a",stage="run"}': 4.0,
        "samespace_tokens_total": 190.0,
        "samespace_padding_tokens_total": 10.0,
    }
    assert metrics_between(before, after) == {"run_mean_ms": 500.0, "padding_share": 0.1}
