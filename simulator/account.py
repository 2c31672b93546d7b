"""The one account at this venue: cash and positions, kept from executions; margin-like, with plenty of cash."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from simulator.figures import moment, plain
from simulator.instruments import Instrument
from simulator.orders import Execution, Order
from simulator.quotes import Quotes

_MULTIPLIER = 2
_ID = str(uuid5(NAMESPACE_URL, "surefill-simulator/account"))


@dataclass
class Position:
    """A holding; `qty` is negative when short, `average_price` the mean entry price in US dollars."""

    symbol: str
    qty: Decimal = Decimal(0)
    average_price: Decimal = Decimal(0)

    def trade(self, qty: Decimal, price: Decimal) -> None:
        """Books a signed quantity at a price: average cost, restarted when the position changes sides."""
        after = self.qty + qty
        if self.qty * qty >= 0:
            self.average_price = (self.average_price * abs(self.qty) + price * abs(qty)) / abs(after)
        elif after * self.qty < 0:
            self.average_price = price
        self.qty = after
        if not after:
            self.average_price = Decimal(0)


class Account:
    """Cash, positions and what open orders hold of both. Money in US dollars."""

    def __init__(self, cash: Decimal, instruments: dict[str, Instrument], quotes: Quotes, opened_at: datetime) -> None:
        self.cash = cash
        self._opening_cash = cash
        self._instruments = instruments
        self._quotes = quotes
        self._opened_at = opened_at
        self.positions: dict[str, Position] = {}
        self._buy_price_held: dict[str, Decimal] = {}
        self._cash_held = Decimal(0)

    def book(self, execution: Execution) -> Decimal:
        """Applies a fill; returns the position after it."""
        qty = execution.signed_qty
        position = self.positions.setdefault(execution.symbol, Position(execution.symbol))
        position.trade(qty, execution.price)
        self.cash -= qty * execution.price
        held = self._buy_price_held.get(execution.order_id)
        if held is not None:
            self._cash_held -= held * execution.qty
        return position.qty

    def hold(self, order: Order, price: Decimal) -> None:
        """Reserves cash for an open buy order at `price` a share."""
        self._buy_price_held[order.id] = price
        self._cash_held += price * order.leaves_qty

    def release(self, order: Order) -> None:
        """Frees what an order that ended still held."""
        price = self._buy_price_held.pop(order.id, None)
        if price is not None:
            self._cash_held -= price * order.leaves_qty

    def quantity(self, symbol: str) -> Decimal:
        """The signed position in a symbol; 0 without one."""
        position = self.positions.get(symbol)
        return position.qty if position is not None else Decimal(0)

    def market_values(self) -> tuple[Decimal, Decimal]:
        """Market value of all long and of all short positions (the latter negative)."""
        long, short = Decimal(0), Decimal(0)
        for position in self.positions.values():
            value = position.qty * self._quotes[position.symbol].middle
            if value > 0:
                long += value
            else:
                short += value
        return long, short

    @property
    def buying_power(self) -> Decimal:
        """What may still be bought, US dollars: twice the equity less positions and open buy orders."""
        long, short = self.market_values()
        equity = self.cash + long + short
        return max(Decimal(0), _MULTIPLIER * equity - long + short - self._cash_held)

    def as_wire(self) -> dict[str, Any]:
        """The account as `/v2/account` shows it."""
        long, short = self.market_values()
        equity = self.cash + long + short
        buying_power = plain(round(self.buying_power, 2))
        margin = plain(round((long - short) / 2, 2))
        return {
            "id": _ID,
            "account_number": "PASIMULATOR",
            "status": "ACTIVE",
            "crypto_status": "ACTIVE",
            "currency": "USD",
            "buying_power": buying_power,
            "regt_buying_power": buying_power,
            "daytrading_buying_power": buying_power,
            "effective_buying_power": buying_power,
            "non_marginable_buying_power": plain(round(max(Decimal(0), self.cash - self._cash_held), 2)),
            "cash": plain(round(self.cash, 4)),
            "accrued_fees": "0",
            "portfolio_value": plain(round(equity, 2)),
            "equity": plain(round(equity, 2)),
            "last_equity": plain(self._opening_cash),
            "long_market_value": plain(round(long, 2)),
            "short_market_value": plain(round(short, 2)),
            "position_market_value": plain(round(long + short, 2)),
            "initial_margin": margin,
            "maintenance_margin": margin,
            "last_maintenance_margin": "0",
            "sma": "0",
            "multiplier": str(_MULTIPLIER),
            "daytrade_count": 0,
            "pattern_day_trader": False,
            "trading_blocked": False,
            "transfers_blocked": False,
            "account_blocked": False,
            "trade_suspended_by_user": False,
            "shorting_enabled": True,
            "created_at": moment(self._opened_at),
        }

    def position_as_wire(self, position: Position, held: Decimal) -> dict[str, Any]:
        """A position as `/v2/positions` shows it; `held` is the quantity that open orders would close."""
        instrument = self._instruments[position.symbol]
        price = self._quotes[position.symbol].middle
        cost = position.average_price * position.qty
        value = price * position.qty
        profit = value - cost
        share = profit / abs(cost) if cost else Decimal(0)
        change = price / instrument.start_price - 1
        available = abs(position.qty) - held
        return {
            "asset_id": instrument.asset_id,
            "symbol": position.symbol.replace("/", ""),
            "exchange": instrument.exchange,
            "asset_class": instrument.asset_class,
            "asset_marginable": not instrument.crypto,
            "qty": plain(position.qty),
            "qty_available": plain(available.copy_sign(position.qty) if available > 0 else Decimal(0)),
            "avg_entry_price": plain(round(position.average_price, 9)),
            "side": "long" if position.qty > 0 else "short",
            "market_value": plain(round(value, 4)),
            "cost_basis": plain(round(cost, 4)),
            "unrealized_pl": plain(round(profit, 4)),
            "unrealized_plpc": plain(round(share, 9)),
            "unrealized_intraday_pl": plain(round(profit, 4)),
            "unrealized_intraday_plpc": plain(round(share, 9)),
            "current_price": plain(price),
            "lastday_price": plain(instrument.start_price),
            "change_today": plain(round(change, 9)),
        }
