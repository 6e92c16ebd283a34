"""Reads the label maps that tests/raster_write.rs wrote, with nnU-Net's own readers.

Called as `python check.py FOLDER`: `expected.json` in FOLDER maps every file's name to the shape, the spacing and the
values that `NaturalImage2DIO` (for pictures) or `Tiff3DIO` (for stacks, named so) must find. Prints one line per file
and ends with status 1 if one differs. Tried with nnunetv2 2.8.1.
"""

import json
import sys
from pathlib import Path

from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.imageio.tif_reader_writer import Tiff3DIO


def main():
    folder = Path(sys.argv[1])
    failed = False
    for name, expected in json.loads((folder / "expected.json").read_text()).items():
        reader = Tiff3DIO() if name.startswith("stack") else NaturalImage2DIO()
        labels, properties = reader.read_seg(str(folder / name))
        found = {
            "shape": list(labels.shape[1:]),
            "spacing": [float(value) for value in properties["spacing"]],
            "values": labels.ravel().astype(float).tolist(),
        }
        failed |= found != expected
        print(name, "is equal" if found == expected else f"differs: {found}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
