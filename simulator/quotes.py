"""Quotes that move: a seeded random walk around each instrument's start price, unless a price is set or frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from random import Random

from simulator.figures import now
from simulator.instruments import ACTIVE, Instrument

# The walk is pulled back beyond this share of the start price, so that prices keep sense in runs of any length.
_LEASH = 0.02


@dataclass
class Quote:
    """Best bid and ask in US dollars, sizes in shares (coins for crypto)."""

    symbol: str
    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal
    time: datetime

    @property
    def middle(self) -> Decimal:
        """Half way between bid and ask."""
        return (self.bid + self.ask) / 2


class Quotes:
    """The current quote of every symbol. `moved` is called with the symbols whose quote changed."""

    def __init__(self, instruments: dict[str, Instrument], seed: int, clock: Callable[[], datetime] = now) -> None:
        self._instruments = instruments
        self._random = Random(seed)
        self._clock = clock
        self._offset = dict.fromkeys(instruments, 0)
        self.frozen: set[str] = set()
        self.stale: set[str] = set()
        self.current = {symbol: self._walked(instrument) for symbol, instrument in instruments.items()}
        self.moved: Callable[[Iterable[str]], None] = lambda symbols: None

    def __getitem__(self, symbol: str) -> Quote:
        return self.current[symbol]

    def step(self) -> None:
        """One move of all symbols that trade and are not frozen; frozen ones only get a new time."""
        moved = []
        for symbol, instrument in self._instruments.items():
            if symbol in self.frozen:
                if symbol not in self.stale:
                    self.current[symbol].time = self._clock()
            elif instrument.state == ACTIVE:
                self.current[symbol] = self._walked(instrument)
                moved.append(symbol)
        self.moved(moved)

    def set(
        self,
        symbol: str,
        bid: Decimal,
        ask: Decimal,
        bid_size: Decimal | None = None,
        ask_size: Decimal | None = None,
    ) -> Quote:
        """Replaces a quote at once, and orders that it reaches trade at once."""
        before = self.current[symbol]
        self.current[symbol] = quote = Quote(
            symbol, bid, ask, bid_size or before.bid_size, ask_size or before.ask_size, self._clock()
        )
        self.moved([symbol])
        return quote

    def restore(self, quote: Quote) -> None:
        """Takes up a quote that was set in an earlier process; it stands still, and nothing trades because of it."""
        self.current[quote.symbol] = quote
        self.frozen.add(quote.symbol)

    def _walked(self, instrument: Instrument) -> Quote:
        draw = self._random
        tick = instrument.tick(instrument.start_price)
        stride = max(1, instrument.spread_ticks // 2)
        bound = int(instrument.start_price * Decimal(_LEASH) / tick)
        offset = self._offset[instrument.symbol] + draw.choice((-2, -1, -1, 0, 1, 1, 2)) * stride
        if abs(offset) > bound:
            offset -= (1 if offset > 0 else -1) * 4 * stride
        self._offset[instrument.symbol] = offset
        bid = instrument.start_price + tick * offset
        lot = instrument.displayed_size
        return Quote(
            instrument.symbol,
            bid,
            bid + tick * instrument.spread_ticks,
            Decimal(draw.randint(lot // 2 or 1, lot * 2)),
            Decimal(draw.randint(lot // 2 or 1, lot * 2)),
            self._clock(),
        )
