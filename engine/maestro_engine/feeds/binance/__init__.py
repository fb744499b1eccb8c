"""binance owns the Binance clients, spot and USD-M perpetuals."""
