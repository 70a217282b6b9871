"""INT8 LSTM, GRU and Linear for PyTorch on CPUs, quantized dynamically."""

__version__ = "3.0.0"
