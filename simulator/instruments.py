"""What can be traded here: a dozen symbols over every price level that has its own rules."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import NAMESPACE_URL, uuid5

ACTIVE, HALTED, INACTIVE = "active", "halted", "inactive"
STATES = (ACTIVE, HALTED, INACTIVE)


@dataclass
class Instrument:
    """One tradable symbol. Prices in US dollars; `spread_ticks` is the usual distance between bid and ask."""

    symbol: str
    name: str
    exchange: str
    start_price: Decimal
    spread_ticks: int
    displayed_size: int
    fractionable: bool = True
    crypto: bool = False
    state: str = ACTIVE

    @cached_property
    def asset_id(self) -> str:
        """The same id in every run, so that stored assets stay valid."""
        return str(uuid5(NAMESPACE_URL, f"surefill-simulator/{self.symbol}"))

    @property
    def asset_class(self) -> str:
        """Alpaca's name for what kind of asset it is."""
        return "crypto" if self.crypto else "us_equity"

    def tick(self, price: Decimal) -> Decimal:
        """The smallest price step at `price`: 0.01 from one dollar, 0.0001 below."""
        return Decimal("0.01") if price >= 1 else Decimal("0.0001")

    def as_asset(self) -> dict[str, Any]:
        """The asset as `/v2/assets` shows it."""
        asset: dict[str, Any] = {
            "id": self.asset_id,
            "class": self.asset_class,
            "exchange": self.exchange,
            "symbol": self.symbol,
            "name": self.name,
            "status": "inactive" if self.state == INACTIVE else "active",
            "tradable": self.state == ACTIVE,
            "marginable": not self.crypto,
            "maintenance_margin_requirement": 100 if self.crypto else 30,
            "shortable": not self.crypto,
            "easy_to_borrow": not self.crypto,
            "fractionable": self.fractionable,
            "attributes": [],
        }
        if self.crypto:
            asset |= {"min_order_size": "0.00001", "min_trade_increment": "0.000000001", "price_increment": "0.01"}
        return asset


def listed() -> dict[str, Instrument]:
    """Fresh instruments by symbol."""
    rows = [
        Instrument("AAPL", "Apple Inc. Common Stock", "NASDAQ", Decimal("190.00"), 2, 400),
        Instrument("MSFT", "Microsoft Corporation Common Stock", "NASDAQ", Decimal("410.00"), 4, 300),
        Instrument("AMZN", "Amazon.com, Inc. Common Stock", "NASDAQ", Decimal("178.00"), 2, 400),
        Instrument("TSLA", "Tesla, Inc. Common Stock", "NASDAQ", Decimal("245.00"), 6, 300),
        Instrument("NVDA", "NVIDIA Corporation Common Stock", "NASDAQ", Decimal("121.00"), 1, 800),
        Instrument("SPY", "SPDR S&P 500 ETF Trust", "ARCA", Decimal("545.00"), 1, 1000),
        Instrument("KO", "Coca-Cola Company", "NYSE", Decimal("62.50"), 1, 900),
        Instrument("F", "Ford Motor Company", "NYSE", Decimal("11.20"), 1, 2500),
        Instrument("BRK.A", "Berkshire Hathaway Inc. Class A", "NYSE", Decimal("612000.00"), 25000, 5, False),
        Instrument("SNDL", "SNDL Inc. Common Shares", "NASDAQ", Decimal("1.98"), 1, 3000),
        Instrument("PENY", "Penny Example Corp.", "NYSE", Decimal("0.4200"), 4, 5000, False),
        Instrument("HALT", "Halted Example Corp.", "NYSE", Decimal("25.00"), 5, 200, state=HALTED),
        Instrument("GONE", "Delisted Example Corp.", "NYSE", Decimal("3.10"), 5, 200, False, state=INACTIVE),
        Instrument("BTC/USD", "Bitcoin  / US Dollar", "CRYPTO", Decimal("64000.00"), 1500, 3, crypto=True),
    ]
    return {row.symbol: row for row in rows}
