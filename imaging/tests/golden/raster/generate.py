"""Small PNG, BMP and TIFF files, and what nnU-Net reads from each.

Writes the folder files/ and expected.json beside itself. Images come from `NaturalImage2DIO`, stacks (names that begin
with `stack`) from `Tiff3DIO`; `null` means that nnU-Net refuses the file. Values are listed in C order of
`[channel, z, y, x]`. Every pixel value is written down here or counted, so that no seed is needed.

Made with nnunetv2 2.8.1, scikit-image 0.26.0, Pillow 13.0.0, tifffile 2026.3.3 and NumPy
2.4.6 under Python 3.11; run as `python generate.py`.
"""

import contextlib
import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import tifffile
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.imageio.tif_reader_writer import Tiff3DIO
from PIL import Image

HERE = Path(__file__).parent
FILES = HERE / "files"


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(name, extents, depth, color, rows, extra=b""):
    """Pillow writes only some of the kinds of PNG, so chunks are put together by hand."""
    header = struct.pack(">IIBBBBB", *extents, depth, color, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = chunk(b"IHDR", header) + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    (FILES / name).write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def count(shape, dtype, step=1):
    return (np.arange(np.prod(shape)) * step).reshape(shape).astype(dtype)


def write_png():
    shorts = lambda *values: struct.pack(f">{len(values)}H", *values)
    png("gray1.png", (9, 2), 1, 0, [bytes([0b10110001, 0x80]), bytes([0b01001110, 0])])
    png("gray2.png", (5, 1), 2, 0, [bytes([0b00011011, 0b11000000])])
    png("gray4.png", (3, 1), 4, 0, [bytes([0x1F, 0x70])])
    png("gray8.png", (3, 2), 8, 0, [bytes([3, 255, 0]), bytes([7, 8, 9])])
    png("gray8_transparent.png", (2, 1), 8, 0, [bytes([3, 255])], chunk(b"tRNS", b"\0\3"))
    png("gray16.png", (2, 2), 16, 0, [shorts(300, 65535), shorts(0, 1)])
    png("rgb8.png", (2, 2), 8, 2, [bytes(range(6)), bytes(range(100, 106))])
    png("rgb8_transparent.png", (2, 1), 8, 2, [bytes(range(1, 7))], chunk(b"tRNS", bytes([0, 1, 0, 2, 0, 3])))
    png("rgb16.png", (1, 2), 16, 2, [shorts(300, 65535, 1992), shorts(255, 256, 0)])
    png("rgba8.png", (2, 1), 8, 6, [bytes(range(1, 9))])
    png("rgba16.png", (1, 1), 16, 6, [shorts(300, 65535, 1992, 1)])
    png("gray_alpha8.png", (2, 1), 8, 4, [bytes(range(1, 5))])
    palette = chunk(b"PLTE", bytes([0, 0, 0, 255, 0, 0, 0, 255, 0, 9, 8, 7]))
    png("palette1.png", (2, 1), 1, 3, [bytes([0b01000000])], palette)
    png("palette2.png", (4, 1), 2, 3, [bytes([0b00011011])], palette)
    png("palette4.png", (2, 1), 4, 3, [bytes([0x12])], palette)
    png("palette8.png", (2, 1), 8, 3, [bytes([1, 3])], palette + chunk(b"tRNS", b"\xff\x10"))
    grays = chunk(b"PLTE", bytes(value for gray in range(256) for value in (gray, gray, gray)))
    png("palette8_gray.png", (2, 1), 8, 3, [bytes([1, 200])], grays)


def write_bmp():
    save = lambda array, name: Image.fromarray(array).save(FILES / name)
    save(np.array([[0, 1, 2], [200, 254, 255]], np.uint8), "gray8.bmp")
    save(np.array([[0, 1, 1], [1, 0, 1]], bool), "gray1.bmp")
    save(count((2, 3, 3), np.uint8), "rgb24.bmp")
    save(count((2, 3, 4), np.uint8), "rgb32.bmp")
    colors = Image.fromarray(np.array([[0, 1, 2], [2, 1, 0]], np.uint8), "P")
    colors.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    colors.save(FILES / "palette.bmp")
    # Pillow writes no masks: 32 bits with an alpha channel, rows from the top, in the header of version 4.
    pixels = count((2, 2, 4), np.uint8, 3).tobytes()
    header = struct.pack("<IiiHHIIiiII", 108, 2, -2, 1, 32, 3, len(pixels), 0, 0, 0, 0)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000).ljust(68, b"\0")
    file_header = b"BM" + struct.pack("<IHHI", 14 + 108 + len(pixels), 0, 0, 14 + 108)
    (FILES / "rgba32.bmp").write_bytes(file_header + header + masks + pixels)


def write_tiff():
    def save(name, array, **options):
        tifffile.imwrite(FILES / name, array, **options)

    gray = dict(photometric="minisblack")
    save("gray8.tif", count((3, 5), np.uint8), **gray)
    save("gray16_big_endian.tif", count((3, 5), np.uint16, 4000), byteorder=">", bigtiff=True, **gray)
    save("gray_i16.tif", count((3, 5), np.int16) - 5, **gray)
    save("gray_u32.tif", count((3, 5), np.uint32, 100_000_000), **gray)
    save("gray_i32.tif", count((3, 5), np.int32, -100_000), **gray)
    save("gray_f16.tif", (count((3, 5), np.float32) / 4).astype(np.float16), **gray)
    save("gray_f32.tif", count((3, 5), np.float32) / 3, **gray)
    save("gray_f64.tif", count((3, 5), np.float64) / 7, **gray)
    save("bits.tif", np.eye(3, 9, dtype=bool), **gray)
    save("packbits.tif", count((3, 5), np.uint8), compression="packbits", **gray)
    save("deflate_predictor.tif", count((3, 5), np.uint16), compression="zlib", predictor=True, **gray)
    save("tiles.tif", count((20, 21), np.uint8), tile=(16, 16), **gray)
    save("rgb8.tif", count((2, 5, 3), np.uint8), photometric="rgb")
    save("rgb16.tif", count((2, 5, 3), np.uint16, 1000), photometric="rgb")
    save("rgba8.tif", count((2, 5, 4), np.uint8), photometric="rgb")
    save("rgb_planes.tif", count((3, 2, 5), np.uint8), photometric="rgb", planarconfig="separate")
    save("stack.tif", count((5, 2, 6), np.uint16), **gray)
    save("stack_deflate.tiff", count((5, 2, 6), np.uint8), compression="zlib", **gray)
    save("stack_of_one.tif", count((1, 2, 6), np.uint8), **gray)
    save("stack_f32.tiff", count((2, 3, 5), np.float32) / 3, **gray)


def read(path):
    reader = Tiff3DIO() if path.name.startswith("stack") else NaturalImage2DIO()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            image, properties = reader.read_images([str(path)])
    except (AssertionError, RuntimeError):
        return None
    spacing = [float(value) for value in properties["spacing"]]
    return {"shape": list(image.shape), "spacing": spacing, "values": image.ravel().astype(float).tolist()}


FILES.mkdir(exist_ok=True)
write_png()
write_bmp()
write_tiff()
expected = {path.name: read(path) for path in sorted(FILES.iterdir())}
lines = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in expected.items())
(HERE / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
