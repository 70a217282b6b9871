"""What the room's functions refuse, in one table: the call, the error, and what it must say."""

import math

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.common.language import speaking
from recipe_helpers.recipe.accuracy import compare_recorded
from recipe_helpers.recipe.ledger import Ledger
from recipe_helpers.recipe.pair import sweep
from recipe_helpers.recipe.rounding import ActivationStep
from recipe_helpers.recipe.timing import check_budget

from ..korean import HANGUL
from .made_up import LATENCY, SIZES, returns, size

ARGUMENT, MODEL, INPUT = rh.ArgumentError, rh.ModelError, rh.InputError
NUMBERS = torch.tensor([0.3, -1.2, 0.1])
DEMO = rh.demonstration()


def spoilt(kind):
    model = rh.demonstration().model
    if kind == "training":
        return model.train()
    if kind in ("meta", "bfloat16"):
        return model.to(kind if kind == "meta" else torch.bfloat16)
    value, tensor = {"NaN": (math.nan, "bias_hh_l0"), "infinity": (-math.inf, "weight_ih_l0")}[kind]
    getattr(model.lstm, tensor).data.view(-1)[3] = value
    return model


WIDTHS = ([], [0], [-8], [True], [8.0], [8, 8], [16, 8], "8", 8, None)
NOT_POSITIVE = (0, -8, True, 8.0, "8", None)
BUDGETS = (0, 0.0099, -1, math.nan, math.inf, -math.inf, "1", None, True, [1])
SEEDS = ([], "12", [1.0], [True], [None], 5, None, [2**64], [-(2**63) - 1])
BAD_NUMBERS = [0.1, 0.2], torch.ones(2, 2), torch.tensor([1.0, math.nan])
NUMERIC = {
    "numbers": rh.round_to_grid,
    "calibration": lambda bad: rh.compare_scales(bad, {"a": NUMBERS}),
    "batches['a']": lambda bad: rh.compare_scales(NUMBERS, {"b": NUMBERS, "a": bad}),
    "batch": rh.activation_step,
}
SWEEPS = {
    "size": rh.size_sweep,
    "latency": rh.latency_sweep,
    "memory": rh.memory_sweep,
    "any": lambda widths, **options: sweep(widths, lambda pair: pair, **options),
    "ledger": rh.measure_ledger,
}
MEASURES = {
    "latency": rh.compare_latency,
    "memory": rh.compare_memory,
    "operators": rh.count_operators,
    "outputs": rh.compare_outputs,
    "paired": rh.paired_outputs,
    "steps": rh.error_over_steps,
    "all": rh.compare,
}

CASES = [
    *((lambda v=v, n=n: rh.demonstration(**{n: v}), ARGUMENT, f"{n} is {v!r}")
      for v in NOT_POSITIVE for n in ("width", "layers", "sequence_length", "batch_size")),
    *((lambda v=v: rh.demonstration(seed=v), ARGUMENT, f"seed is {v!r}")
      for v in (1.0, True, "1", None, 2**64, -(2**63) - 1)),
    *((lambda v=v: rh.working_engine(v), ARGUMENT, f"engine is {v!r}; pass one of")
      for v in ("none", "tpu", "", 5)),
    *((lambda v=v, f=f: f(v), ARGUMENT, n)
      for v in BAD_NUMBERS for n, f in NUMERIC.items()),
    *((lambda v=v: rh.round_to_grid(NUMBERS, v), ARGUMENT, f"scale is {v!r}; pass a step above 0")
      for v in (0, -0.1, math.nan, math.inf, True, "0.1", [0.1])),
    (lambda: rh.round_to_grid(torch.zeros(3)), ARGUMENT, "numbers unlike 0"),
    *((lambda v=v: rh.compare_scales(NUMBERS, v), ARGUMENT, f"batches is {w}; pass a dict of")
      for v, w in (([NUMBERS], "list"), (None, "NoneType"), (NUMBERS, "Tensor"), ({}, "empty"))),
    *((lambda v=v: rh.activation_step(v), ARGUMENT, "a few hundred different numbers")
      for v in (torch.zeros(300), torch.ones(300))),
    *((lambda v=v, n=n: rh.quantize_dynamic(DEMO.model, **{n: v}), ARGUMENT, f"{n} is {v!r}; pass")
      for v in ("cuda", 5, "X86") for n in ("backend", "weights", "engine")),
    *((lambda v=v: rh.quantize_dynamic(DEMO.model, modules=v), ARGUMENT, "modules")
      for v in (nn.LSTM, "LSTM", 5, [5], ["no"], [int], {nn.LSTM: 1}.items())),
    *((lambda v=v, f=f: f(v), ARGUMENT, "widths") for v in WIDTHS for f in SWEEPS.values()),
    *((lambda n=n: SWEEPS[n]([8], backend="tflite"), ARGUMENT, "backend is 'tflite'")
      for n in ("size", "latency", "memory", "any")),
    *((lambda v=v: rh.latency_sweep([8], batch_size=v), ARGUMENT, f"batch_size is {v!r}")
      for v in NOT_POSITIVE),
    (lambda: SIZES.at(9), ARGUMENT, "width is 9; the sweep has [8, 80, 512]"),
    *((lambda v=v: check_budget(v), ARGUMENT, f"budget_s is {v!r}; pass at least 0.01 seconds")
      for v in BUDGETS),
    *((lambda f=f: f(budget_s=0.001), ARGUMENT, "budget_s is 0.001")
      for f in (lambda **o: rh.compare_latency(DEMO.model, DEMO.model, *DEMO.arguments, **o),
                lambda **o: rh.latency_sweep([8], **o), lambda **o: rh.step_costs(8, **o))),
    *((lambda v=v, f=f: f(threads=v), ARGUMENT, f"threads is {v!r}")
      for v in (0, -1, True, 1.0, "2")
      for f in (lambda **o: rh.compare_latency(DEMO.model, DEMO.model, *DEMO.arguments, **o),
                lambda **o: rh.compare_memory(DEMO.model, DEMO.model, *DEMO.arguments, **o),
                lambda **o: rh.latency_sweep([8], **o), lambda **o: rh.step_costs(8, **o))),
    *((lambda v=v: rh.step_costs(8, lengths=v), ARGUMENT, w)
      for v, w in (((10,), "lengths is [10];"), ((1, 2, 3), "lengths is [1, 2, 3]"),
                   ((40, 10), "lengths is [40, 10]"), ((9, 9), "lengths is [9, 9]"),
                   ((0, 10), "lengths[0] is 0"), (10, "lengths is 10"))),
    (lambda: rh.step_costs(0), ARGUMENT, "width is 0"),
    (lambda: rh.step_costs(8, batch_size=-1), ARGUMENT, "batch_size is -1"),
    *((lambda v=v: rh.error_over_seeds(v), ARGUMENT, "seeds is") for v in SEEDS),
    *((lambda n=n: rh.error_over_seeds([1], **{n: "tpu"}), ARGUMENT, f"{n} is 'tpu'")
      for n in ("engine", "backend")),
    *((lambda s=s: rh.error_over_steps(*returns(torch.ones(s), torch.ones(s))), INPUT,
       f"shape {s}; pass a sequence of at least two steps") for s in ((1, 4), (4,), ())),
    *((lambda f=f: f(*returns("words", "words")), INPUT, "reference returns no tensor")
      for f in (rh.compare_outputs, rh.paired_outputs, rh.error_over_steps)),
    *((lambda i=i: rh.compare_outputs(DEMO.model, DEMO.model, *i), INPUT,
       "inputs do not fit reference: it was called with (")
      for i in ((), ("words",), (1,), (DEMO.inputs[..., :4], DEMO.hidden),
                (DEMO.inputs.double(), DEMO.hidden), (DEMO.inputs.long(), DEMO.hidden),
                (DEMO.inputs, DEMO.hidden[0]), (DEMO.inputs.to("meta"), DEMO.hidden))),
    (lambda: rh.compare_outputs(*returns(torch.ones(3), torch.ones(4))), INPUT, "(4,))]; pass two"),
    (lambda: compare_recorded(NUMBERS, (NUMBERS, NUMBERS)), INPUT, "two versions of one model"),
    (lambda: compare_recorded({"a": NUMBERS}, {"b": NUMBERS}), INPUT, "two versions of one model"),
    *((lambda f=f: f({}), MODEL, "model is of type dict")
      for f in (rh.state_dict_bytes, rh.size_breakdown)),
    (lambda: rh.stored_weights({}), MODEL, "quantized is of type dict"),
    *((lambda p=p, f=f: f(*p), MODEL, f"{n} is of type int")
      for f, a, b in ((rh.compare_size, "reference", "candidate"),
                      (rh.converted_modules, "model", "quantized"))
      for p, n in (((5, DEMO.model), a), ((DEMO.model, 5), b))),
    (lambda: rh.judge(sizes=size(2, 1)), ARGUMENT, "result is 'sizes'; pass one of"),
    (lambda: rh.judge(size=3), ARGUMENT, "size is of type int; pass one of type SizeComparison."),
    (lambda: rh.judge("C5", ActivationStep(2.0, 0.1), 0.1), ARGUMENT,
     "steps is of type float; pass one of type Activation"),
    (lambda: rh.judge("C16", LATENCY), ARGUMENT, "C16 is judged from latency, operators; pass"),
    (lambda: rh.judge("C2", size(1, 2), 3), ARGUMENT, "C2 is judged from size; pass these."),
    (lambda: rh.judge("C9", 1, 2, 2.0), ARGUMENT, "exact is of type float; pass one of type int."),
    *((lambda c=c, f=f: f(c), ARGUMENT, f"claim is {c!r}; pass one of 'C1'")
      for c in ("C0", "C20", "c1", "", 1, None, ["C1"]) for f in (rh.judge, Ledger().judge)),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "says"), CASES, ids=[c[2][:40] for c in CASES])
def test_it_is_refused_in_one_sentence_and_nothing_changes(refuses, call, error, says):
    with refuses(error, says) as caught:
        call()
    english = str(caught.value)
    with speaking("ko"):
        korean, same = str(caught.value).split("\n")
    assert same == english
    assert HANGUL.search(korean), "Korean first, then what can be searched for"


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("side", ["reference", "candidate"])
def test_models_and_inputs_that_do_not_fit(refuses, measure, side):
    def call(model, *inputs):
        pair = {"reference": DEMO.model, "candidate": DEMO.model, side: model}
        MEASURES[measure](*pair.values(), *inputs)

    for kind, says in (
        ("training", "is in training mode"),
        ("meta", "has lstm.weight_ih_l0 on the device meta"),
        ("NaN", "has NaN or infinity in lstm.bias_hh_l0"),
        ("infinity", "has NaN or infinity in lstm.weight_ih_l0"),
    ):
        with refuses(MODEL, f"{side} {says}"):
            call(spoilt(kind), *DEMO.arguments)
    with refuses(MODEL, f"{side} is of type NoneType"):
        call(None, *DEMO.arguments)
    narrow = rh.demonstration(width=4).model
    with refuses(INPUT, f"inputs do not fit {side}", "float32 tensor of shape (20, 1, 8)"):
        call(narrow, *DEMO.arguments)
    with refuses(INPUT, f"inputs do not fit {side}"):
        call(spoilt("bfloat16"), *DEMO.arguments)
