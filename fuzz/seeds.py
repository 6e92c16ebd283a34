"""Writes the seeds of the corpus: small NIfTI files of every type, byte order, version and compression, and attacks.

Sound seeds of the target `raster` are the files in imaging/tests/golden/raster. Run as `python seeds.py`; needs only
Python's own modules.
"""

import gzip
import struct
import zlib
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
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


def png(chunks):
    """`chunks` are pairs of kind and content."""
    framed = (
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def tiff(tags, following=0):
    """A little-endian file of one directory; `tags` are triples of number, type (3 short, 4 long) and value."""
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", t, kind, 1, v) for t, kind, v in tags)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", following) + b"pixels of a page"


def write(name, content):
    path = CORPUS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_nifti():
    for code, letter in TYPES.items():
        for order, label in ("<", "little"), (">", "big"):
            content = nifti_1(order, code, (3, 2, 2)) + voxels(order, code, 12)
            write(f"nifti/one_{letter if letter.islower() else letter.lower() + '_unsigned'}_{label}.nii", content)
    write("nifti/two_little.nii", nifti_2("<", 4, (3, 2, 2)) + voxels("<", 4, 12))
    write("nifti/two_big.nii", nifti_2(">", 64, (3, 2, 2)) + voxels(">", 64, 12))
    flat = voxels("<", 2, 6)
    write("nifti/flat.nii", nifti_1("<", 2, (3, 2)) + flat)
    write("nifti/series.nii", nifti_1("<", 2, (3, 2, 1, 2)) + voxels("<", 2, 12))
    write("nifti/pair.hdr", nifti_1("<", 2, (3, 2), magic=b"ni1\0"))
    write("nifti/no_form.nii", nifti_1("<", 2, (3, 2), codes=(0, 0)) + flat)
    write("nifti/q_form.nii", nifti_1("<", 2, (3, 2), codes=(1, 0)) + flat)
    write("nifti/compressed.nii.gz", gzip.compress(nifti_1("<", 2, (3, 2)) + flat, mtime=0))
    write("nifti/huge.nii.gz", gzip.compress(nifti_1("<", 2, (32767, 32767, 32767)) + flat, mtime=0))
    write("nifti/no_number.nii", nifti_1("<", 16, (2, 1)) + struct.pack("<2f", float("nan"), 1))


def write_attacks_on_pictures():
    header = struct.pack(">IIBBBBB", 10000, 10000, 8, 0, 0, 0, 0)
    write("raster/huge.png", png([(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]))
    header = struct.pack(">IIBBBBB", 2, 1, 8, 3, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"PLTE", bytes(3)), (b"IDAT", zlib.compress(b"\0\0\7")), (b"IEND", b"")]
    write("raster/no_such_color.png", png(chunks))
    page = [(256, 4, 4), (257, 4, 4), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 126), (277, 3, 1), (278, 4, 4)]
    page.append((279, 4, 16))
    write("raster/page.tif", tiff(page))
    write("raster/page_follows_itself.tif", tiff(page, following=8))
    write("raster/huge.tif", tiff([(t, kind, 60000 if t in (256, 257, 278) else v) for t, kind, v in page]))
    write("raster/white_is_zero.tif", tiff([(t, kind, 0 if t == 262 else v) for t, kind, v in page]))
    bmp = b"BM" + struct.pack("<IHHI", 0, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 1 << 30, -5, 1, 24, 0, 0, 0, 0, 0, 0)
    write("raster/huge.bmp", bmp)


write_nifti()
write_attacks_on_pictures()


def npy(form, order, shape, values):
    """An array of NumPy's format, version 1."""
    text = f"{{'descr': '{form}', 'fortran_order': {order == 'F'}, 'shape': {shape}, }}"
    text += " " * (63 - (10 + len(text)) % 64) + "\n"
    code = {"<f2": "e", "<f4": "f", "<f8": "d", "<i4": "i"}[form]
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + struct.pack(f"<{len(values)}{code}", *values)


def npz(file, name, array, compression):
    import zipfile
    entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
    entry.compress_type = compression
    with zipfile.ZipFile(CORPUS / "npz" / file, "w") as archive:
        archive.writestr(entry, array)


def npz_seeds():
    from zipfile import ZIP_DEFLATED, ZIP_STORED
    (CORPUS / "npz").mkdir(exist_ok=True)
    values = [0.25, 0.5, 1.0, 0.0, 0.125, 0.75, 0.75, 0.5, 0.0, 1.0, 0.875, 0.25]
    for form in ("<f2", "<f4", "<f8"):
        for order in "CF":
            for compression in (ZIP_STORED, ZIP_DEFLATED):
                name = "softmax" if form == "<f2" else "probabilities"
                file = f"{form[1:]}_{order.lower()}_{'stored' if compression == ZIP_STORED else 'deflated'}.npz"
                npz(file, name, npy(form, order, (2, 1, 2, 3), values), compression)
    npz("slice.npz", "probabilities", npy("<f4", "C", (2, 2, 3), values), ZIP_DEFLATED)
    npz("integers.npz", "probabilities", npy("<i4", "C", (2, 1, 2, 3), [1] * 12), ZIP_DEFLATED)
    npz("other_name.npz", "scores", npy("<f4", "C", (2, 1, 2, 3), values), ZIP_STORED)
    npz("too_few.npz", "probabilities", npy("<f4", "C", (2, 1, 2, 4), values), ZIP_STORED)
    npz("huge.npz", "probabilities", npy("<f4", "C", (2, 1 << 20, 1 << 20, 1 << 20), values), ZIP_DEFLATED)
    npz("empty_axis.npz", "probabilities", npy("<f4", "C", (2, 1, 0, 3), []), ZIP_STORED)


npz_seeds()
