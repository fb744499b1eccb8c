"""candles owns making candles: from trades, and from shorter candles."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from maestro_engine.feeds.port import Kline, TradeTick, interval_ms


class CandleMaker:
    """Candles of one symbol and interval from its trades.

    A candle closes when time passes its end (``close_until``) or a later trade comes. Minutes without a trade
    give flat candles at the last price with volume 0, as the exchange does. Trades of a closed candle are too
    late and are left out.
    """

    def __init__(self, symbol: str, interval: str) -> None:
        self._symbol, self._interval, self._step = symbol, interval, interval_ms(interval)
        self._open: Kline | None = None

    @property
    def current(self) -> Kline | None:
        """The unfinished candle."""
        return self._open

    def seed(self, kline: Kline) -> None:
        """Go on from *kline*, the last one known."""
        self._open = kline
        if kline.closed:
            self._open = self._flat(kline, kline.open_ms + self._step, kline.time_ms, kline.local_ns)

    def take(self, trade: TradeTick) -> list[Kline]:
        """Candles closed by this trade's time, oldest first; the trade goes into ``current``."""
        closed = self.close_until(trade.time_ms, trade.local_ns)
        start = trade.time_ms // self._step * self._step
        bar = self._open
        if bar is None:
            bar = self._first(trade, start)
        elif start < bar.open_ms:
            return closed
        self._open = self._with(bar, trade)
        return closed

    def close_until(self, now_ms: int, local_ns: int) -> list[Kline]:
        """Candles that end at or before *now_ms* (exchange time), oldest first."""
        closed: list[Kline] = []
        while self._open is not None and now_ms >= self._open.open_ms + self._step:
            bar = replace(self._open, closed=True, time_ms=self._open.open_ms + self._step, local_ns=local_ns)
            closed.append(bar)
            self._open = self._flat(bar, bar.open_ms + self._step, now_ms, local_ns)
        return closed

    def _first(self, trade: TradeTick, start: int) -> Kline:
        price = trade.price
        return Kline(
            symbol=self._symbol,
            time_ms=trade.time_ms,
            local_ns=trade.local_ns,
            interval=self._interval,
            open_ms=start,
            close_ms=start + self._step - 1,
            open=price,
            high=price,
            low=price,
            close=price,
            volume=0.0,
            quote_volume=0.0,
            trades=0,
            taker_buy_volume=0.0,
            closed=False,
        )

    def _flat(self, last: Kline, start: int, time_ms: int, local_ns: int) -> Kline:
        price = last.close
        return replace(
            last,
            time_ms=time_ms,
            local_ns=local_ns,
            open_ms=start,
            close_ms=start + self._step - 1,
            open=price,
            high=price,
            low=price,
            volume=0.0,
            quote_volume=0.0,
            trades=0,
            taker_buy_volume=0.0,
            closed=False,
        )

    def _with(self, bar: Kline, trade: TradeTick) -> Kline:
        price, qty = trade.price, trade.qty
        first = not bar.trades
        return replace(
            bar,
            time_ms=max(bar.time_ms, trade.time_ms),
            local_ns=trade.local_ns,
            open=price if first else bar.open,
            high=price if first else max(bar.high, price),
            low=price if first else min(bar.low, price),
            close=price,
            volume=_exact(bar.volume + qty),
            quote_volume=_exact((bar.quote_volume or 0.0) + price * qty),
            trades=(bar.trades or 0) + 1,
            taker_buy_volume=_exact((bar.taker_buy_volume or 0.0) + (0.0 if trade.buyer_is_maker else qty)),
        )


class CandleStream:
    """Candles of one symbol and interval as an exchange pushes them: forming ones while trades come, then the closed.

    A forming candle is pushed at most every *every_ms* of trade time. Without a trade in the next candle a closed
    one is pushed *close_after_ms* after its end, because its last trades may still be on their way.
    """

    def __init__(self, symbol: str, interval: str, *, every_ms: int = 250, close_after_ms: int = 500) -> None:
        self.symbol = symbol
        self._maker = CandleMaker(symbol, interval)
        self._every_ms, self._close_after_ms = every_ms, close_after_ms
        self._told_ms = 0

    def seed(self, kline: Kline) -> None:
        """Go on from *kline*, the last one known."""
        self._maker.seed(kline)

    def trade(self, trade: TradeTick) -> list[Kline]:
        pushed = self._maker.take(trade)
        forming = self._maker.current
        if forming is not None and trade.time_ms - self._told_ms >= self._every_ms:
            self._told_ms = trade.time_ms
            pushed.append(forming)
        return pushed

    def time(self, now_ms: int, local_ns: int) -> list[Kline]:
        """The exchange's time is *now_ms* (UTC milliseconds)."""
        return self._maker.close_until(now_ms - self._close_after_ms, local_ns)


def fold(klines: Iterable[Kline], interval: str) -> list[Kline]:
    """Candles of *interval* from shorter ones of one symbol, oldest first; longer ones are left out.

    A folded candle is closed when its last part reaches its end and is closed.
    """
    step = interval_ms(interval)
    out: list[Kline] = []
    for part in klines:
        if part.close_ms - part.open_ms >= step:
            continue
        start = part.open_ms // step * step
        done = part.closed and part.close_ms == start + step - 1
        if not out or out[-1].open_ms != start:
            out.append(replace(part, interval=interval, open_ms=start, close_ms=start + step - 1, closed=done))
        else:
            out[-1] = _joined(out[-1], part, done)
    return out


def _joined(bar: Kline, part: Kline, done: bool) -> Kline:
    return replace(
        bar,
        time_ms=part.time_ms,
        local_ns=part.local_ns,
        high=max(bar.high, part.high),
        low=min(bar.low, part.low),
        close=part.close,
        volume=_exact(bar.volume + part.volume),
        quote_volume=_sum(bar.quote_volume, part.quote_volume),
        trades=None if bar.trades is None or part.trades is None else bar.trades + part.trades,
        taker_buy_volume=_sum(bar.taker_buy_volume, part.taker_buy_volume),
        closed=done,
    )


def _sum(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else _exact(a + b)


def _exact(total: float) -> float:
    """Exchanges count in eight decimals; rounding there keeps a running sum what an exact one would be."""
    return round(total, 8)
