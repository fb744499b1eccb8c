"""What reality does to an order, one effect a file: fees, latency, queue, slippage."""
