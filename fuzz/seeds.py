"""Writes the seeds of corpus/nifti: one small file for every type, byte order, version and compression.

The seeds of the other target are the files in imaging/tests/golden/raster. Run as `python seeds.py`; needs only
Python's own modules.
"""

import gzip
import struct
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus" / "nifti"
TYPES = {2: "B", 4: "h", 8: "i", 16: "f", 64: "d", 256: "b", 512: "H", 768: "I", 1024: "q", 1280: "Q"}
AFFINE = (2.0, 0.0, 0.0, -9.0, 0.0, 3.0, 0.0, 8.0, 0.0, 0.0, 4.0, -7.0)


def nifti_1(order, code, dim, codes=(1, 1), magic=b"n+1\0"):
    header = bytearray(348)
    put = lambda offset, form, *values: struct.pack_into(order + form, header, offset, *values)
    put(0, "i", 348)
    put(40, "8h", len(dim), *(list(dim) + [1] * 7)[:7])
    put(70, "2h", code, 8 * struct.calcsize(TYPES[code]))
    put(76, "8f", -1, 2, 3, 4, 1, 1, 1, 1)
    put(108, "3f", 352, 0.5, 1)
    header[123] = 2
    put(252, "2h", *codes)
    put(256, "6f", 0.1, -0.2, 0.3, 5, 6, 7)
    put(280, "12f", *AFFINE)
    header[344:348] = magic
    return bytes(header) + b"\0\0\0\0"


def nifti_2(order, code, dim):
    header = bytearray(540)
    put = lambda offset, form, *values: struct.pack_into(order + form, header, offset, *values)
    put(0, "i", 540)
    header[4:12] = b"n+2\0\r\n\x1a\n"
    put(12, "2h", code, 8 * struct.calcsize(TYPES[code]))
    put(16, "8q", len(dim), *(list(dim) + [1] * 7)[:7])
    put(104, "8d", 1, 2, 3, 4, 1, 1, 1, 1)
    put(168, "q", 544)
    put(344, "2i", 1, 0)
    put(352, "6d", 0.1, -0.2, 0.3, 5, 6, 7)
    put(500, "i", 2)
    return bytes(header) + b"\0\0\0\0"


def voxels(order, code, count):
    return struct.pack(f"{order}{count}{TYPES[code]}", *range(count))


def write(name, content):
    (CORPUS / name).write_bytes(content)


CORPUS.mkdir(parents=True, exist_ok=True)
for code, letter in TYPES.items():
    for order, label in ("<", "little"), (">", "big"):
        write(f"one_{letter}_{label}.nii", nifti_1(order, code, (3, 2, 2)) + voxels(order, code, 12))
write("two_little.nii", nifti_2("<", 4, (3, 2, 2)) + voxels("<", 4, 12))
write("two_big.nii", nifti_2(">", 64, (3, 2, 2)) + voxels(">", 64, 12))
write("flat.nii", nifti_1("<", 2, (3, 2)) + voxels("<", 2, 6))
write("series.nii", nifti_1("<", 2, (3, 2, 1, 2)) + voxels("<", 2, 12))
write("pair.hdr", nifti_1("<", 2, (3, 2), magic=b"ni1\0"))
write("no_form.nii", nifti_1("<", 2, (3, 2), codes=(0, 0)) + voxels("<", 2, 6))
write("q_form.nii", nifti_1("<", 2, (3, 2), codes=(1, 0)) + voxels("<", 2, 6))
write("compressed.nii.gz", gzip.compress(nifti_1("<", 2, (3, 2)) + voxels("<", 2, 6), mtime=0))
write("huge.nii.gz", gzip.compress(nifti_1("<", 2, (32767, 32767, 32767)) + voxels("<", 2, 6), mtime=0))
write("no_number.nii", nifti_1("<", 16, (2, 1)) + struct.pack("<2f", float("nan"), 1))
