"""The compiled way to run `Int8LSTM` and `Int8Linear`: the same integers, many times as fast.

Compiled by numba (the optional extra `fast`), which needs no compiler on the reader's machine. The
kernels, from the bottom up: `compiling` and `intrinsics` are the tools; `tiles` multiplies a few
rows, `products` whole matrices; `rows` quantizes and rescales; `task` says what a `layer` is told,
and `linear` is the simple case. `kernels` are the ways in.
On the Python side `ready` says whether there is compiled code, `plans` lays out the buffers, and
`calls` is what the modules call.
"""
