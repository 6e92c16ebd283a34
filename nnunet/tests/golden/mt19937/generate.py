"""Draws and shuffles of NumPy's legacy generator, at populations around powers of two and beyond 32 bits.

Made with numpy 2.4.6: `python generate.py` beside this file writes `cases.json`. The seed is the first field of each
case; nnU-Net uses 1234 for intensities and 12345 for splits. A checksum is the sum of (position + 1) * value, modulo
2**64, which notices every value and its place.
"""

import json
import pathlib

import numpy as np

SIZES = [1, 2, 3, 5, 127, 128, 129, 65535, 65536, 65537, 1_000_003, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1, 2**32,
         2**32 + 1, 2**33, 3 * 2**40]
LENGTHS = [2, 3, 10, 200, 624, 625, 1000, 70_000]


def checksum(values):
    return sum((i + 1) * int(value) for i, value in enumerate(values)) % 2**64


def draws(seed, population):
    state = np.random.RandomState(seed)
    drawn = state.randint(0, population, size=3000)
    # `choice` of an array takes the elements at the positions that `randint` would draw.
    if population <= 2**20:
        chosen = np.random.RandomState(seed).choice(np.arange(population), 3000, replace=True)
        assert (chosen == drawn).all()
    return {"seed": seed, "population": population, "first": drawn[:3].tolist(), "checksum": checksum(drawn),
            "after": int(state.randint(0, 1000))}


def shuffle(seed, length):
    state = np.random.RandomState(seed)
    elements = np.arange(length)
    state.shuffle(elements)
    return {"seed": seed, "length": length, "first": elements[:2].tolist(), "checksum": checksum(elements),
            "after": int(state.randint(0, 1000))}


def main():
    cases = {"draws": [draws(seed, size) for seed in (1234, 0, 2**32 - 1) for size in SIZES],
             "shuffles": [shuffle(seed, length) for seed in (12345, 1234) for length in LENGTHS]}
    path = pathlib.Path(__file__).with_name("cases.json")
    path.write_text(json.dumps(cases, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
