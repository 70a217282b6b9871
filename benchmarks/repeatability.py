"""How far do repeated measurements of one and the same ratio lie apart?

    python benchmarks/repeatability.py [--width 8] [--repeats 10]

Compares `rh.compare_latency` with what two `%timeit` runs give, one model after the other. Printed
for each: every ratio FP32 / INT8 that was measured, and the highest divided by the lowest.
"""

import argparse
import timeit

import torch

import recipe_helpers as rh


def two_timeit_runs(reference, candidate, arguments):
    """The ratio of two mean times, each taken as `%timeit` takes it: seven runs, one model."""
    means = []
    for model in (reference, candidate):
        timer = timeit.Timer(lambda model=model: model(*arguments))
        number, _ = timer.autorange()
        means.append(sum(timer.repeat(repeat=7, number=number)) / (7 * number))
    return means[0] / means[1]


def main():
    """Measure both ways by turns, so that both meet the same disturbances."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--width", type=int, default=8, help="of the LSTM")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    demo = rh.demonstration(width=chosen.width)
    quantized = rh.quantize_dynamic(demo.model)
    torch.set_num_threads(chosen.threads)
    ratios = {"rh.compare_latency": [], "two timeit runs": []}
    for _ in range(chosen.repeats):
        comparison = rh.compare_latency(demo.model, quantized, *demo.arguments)
        ratios["rh.compare_latency"].append(comparison.speedup.median)
        with torch.inference_mode():
            naive = two_timeit_runs(demo.model, quantized, demo.arguments)
        ratios["two timeit runs"].append(naive)
    print(f"width {chosen.width}, {chosen.threads} thread(s), FP32 / INT8 of each repeat:")
    for name, values in ratios.items():
        listed = " ".join(f"{value:.3f}" for value in values)
        print(f"{name:20} {listed}   highest / lowest {max(values) / min(values):.3f}")


if __name__ == "__main__":
    main()
