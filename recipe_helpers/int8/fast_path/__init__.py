"""The compiled way to run the int8 modules: the same integers, many times as fast.

Compiled by numba (the optional extra `fast`), which needs no compiler on the reader's machine, and
only what is used: each CPU, each kind of activations has its product. In the order to read them:

`packing` brings weights into the order in which they are read, and notices when they change;
`dots` finds the CPU's product of bytes, `packed_tiles` multiplies a tile of weights with it, and
`quantizing` makes what a tile is multiplied with; `cells` goes from sums to hidden units, in the
vectors of `vectors`; `packed_layer` runs all steps of a layer, told by `packed_task` what to do,
and `packed_linear` is the simple case, of which `packed_residual` makes use. `wide` hands many rows
at once to a library.
On the Python side `calls` is what the modules call, `tensors` what it asks of its arguments, and
`packed_calls` what it keeps from one call to the next; `packed_weights` and `packed_plans` hold
weights and working buffers; `sharing` has the threads; `ready` says whether there is compiled
code; `compiling`, `intrinsics` and `basics` are the tools.

The kernel of version 1.0, which reads weights row by row as they are stored (`tiles`, `products`,
`rows`, `task`, `layer`, `plans`), goes on where it is best: wide layers and batches on CPUs
without exact products of bytes, and float arithmetic for comparison.
"""
