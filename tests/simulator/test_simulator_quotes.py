"""The random walk of the quotes, without a process."""

from __future__ import annotations

from simulator.instruments import HALTED, listed
from simulator.quotes import Quotes


def _walk(seed: int, steps: int) -> list[str]:
    quotes = Quotes(listed(), seed)
    path = []
    for _ in range(steps):
        quotes.step()
        path.append(str(quotes["AAPL"].bid))
    return path


def test_the_same_seed_walks_the_same_way() -> None:
    assert _walk(3, 50) == _walk(3, 50)
    assert _walk(3, 50) != _walk(4, 50)


def test_prices_stay_near_their_start_on_the_tick_grid_with_bid_below_ask() -> None:
    instruments = listed()
    quotes = Quotes(instruments, 1)
    for _ in range(3000):
        quotes.step()
        for symbol, instrument in instruments.items():
            quote = quotes[symbol]
            assert 0 < quote.bid < quote.ask
            assert abs(quote.middle / instrument.start_price - 1) < 0.06
            tick = instrument.tick(instrument.start_price)
            assert quote.bid % tick == 0
            assert quote.ask % tick == 0
            assert quote.bid_size > 0
            assert quote.ask_size > 0


def test_a_halted_or_frozen_symbol_does_not_move() -> None:
    instruments = listed()
    quotes = Quotes(instruments, 1)
    instruments["KO"].state = HALTED
    quotes.frozen.add("AAPL")
    before = {symbol: quotes[symbol].bid for symbol in ("KO", "AAPL", "HALT")}
    moved: list[str] = []
    quotes.moved = moved.extend
    for _ in range(20):
        quotes.step()
    assert {symbol: quotes[symbol].bid for symbol in before} == before
    assert not {"KO", "AAPL", "HALT"} & set(moved)
