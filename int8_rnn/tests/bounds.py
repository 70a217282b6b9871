"""How far an int8 LSTM may be from its float original, derived from the scales alone.

Everything is float64 and elementwise. `e` bounds the distance of a value from its exact one.

- A weight is off by at most half its row's scale, an activation by half the scale of its row, and
  that scale is at most (max |x| + e) / most, or (max - min + 2 e) / most with a zero point, whose
  rounding and clipping cost another half. Hence for z = W x, with d = e + s_x / 2 (or e + s_x),
  |Δz| <= s_w / 2 * sum(|x| + d) + |W| d.
- sigmoid and tanh rise, so that their distance is largest at the ends of [z - e, z + e].
- |Δ(a b)| <= (|a| + e_a) e_b + e_a |b|.

Float32 adds a few roundings per operation, `ROUNDING` times the sum of the magnitudes involved.
"""

import torch

ROUNDING = 2**-20


def bounded_linear(x, e, weight, bias, scale, bits, symmetric):
    """W x + b exactly, and how far int8 may be from it; x and e are (batch, K)."""
    if symmetric:
        d = e + (x.abs() + e).amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1) / 2
    else:
        high, low = (x + e).amax(1, keepdim=True), (x - e).amin(1, keepdim=True)
        d = e + (high.clamp(min=0) - low.clamp(max=0)) / (2**bits - 1)
    d = d * (1 + ROUNDING)
    half = scale.double() / 2 * (1 + ROUNDING)
    z = x @ weight.T + bias
    magnitude = (x.abs() + d) @ weight.abs().T + bias.abs()
    error = (x.abs() + d).sum(dim=1, keepdim=True) * half + d @ weight.abs().T
    return z, error + ROUNDING * (magnitude + error)


def bounded(function, z, e):
    y = function(z)
    return y, torch.maximum(function(z + e) - y, y - function(z - e)) + ROUNDING


def product(a, e_a, b, e_b):
    return a * b, (a.abs() + e_a) * e_b + e_a * b.abs() + ROUNDING * (a * b).abs()


def lstm_with_bounds(lstm, int8, x, hidden, cell):
    """Exact outputs and final states of an nn.LSTM over x (steps, batch, inputs), with bounds.

    Returns three pairs (value, bound): outputs, final hidden states, final cell states.
    """
    layer_input = [(step.double(), torch.zeros_like(step).double()) for step in x]
    finals_h, finals_c = [], []
    directions = 2 if lstm.bidirectional else 1
    for layer in range(lstm.num_layers):
        outputs = []
        for direction in range(directions):
            index = layer * directions + direction
            suffix = f"_l{layer}" + "_reverse" * direction

            def linear(x, e, part, suffix=suffix):
                name = f"weight_{part}{suffix}"
                weight = getattr(lstm, name).detach().double()
                bias = getattr(lstm, f"bias_{part}{suffix}", None)
                bias = torch.zeros(len(weight)) if bias is None else bias.detach()
                scale = getattr(int8, f"{name}_scale")
                return bounded_linear(x, e, weight, bias.double(), scale, *int8.bits_of(name))

            h, c = hidden[index].double(), cell[index].double()
            e_h, e_c = torch.zeros_like(h), torch.zeros_like(c)
            steps = []
            for x_t, e_t in layer_input[::-1] if direction else layer_input:
                (z, e_z), (r, e_r) = linear(x_t, e_t, "ih"), linear(h, e_h, "hh")
                gates = list(zip((z + r).chunk(4, 1), (e_z + e_r).chunk(4, 1), strict=True))
                i, f, o = (bounded(torch.sigmoid, *gates[k]) for k in (0, 1, 3))
                g = bounded(torch.tanh, *gates[2])
                kept, written = product(*f, c, e_c), product(*i, *g)
                c, e_c = kept[0] + written[0], kept[1] + written[1] + ROUNDING
                h, e_h = product(*o, *bounded(torch.tanh, c, e_c))
                if lstm.proj_size:
                    h, e_h = linear(h, e_h, "hr")
                steps.append((h, e_h))
            finals_h.append((h, e_h))
            finals_c.append((c, e_c))
            outputs.append(steps[::-1] if direction else steps)
        layer_input = [
            tuple(torch.cat(parts, dim=1) for parts in zip(*step, strict=True))
            for step in zip(*outputs, strict=True)
        ]
    return tuple(
        tuple(torch.stack(part) for part in zip(*pairs, strict=True))
        for pairs in (layer_input, finals_h, finals_c)
    )
