"""Compares pairs of NIfTI files, an input and what was written from it, as nibabel and SimpleITK read them.

Called by tests/nifti_write.rs as `python check.py FOLDER`: for every `name` with `name.in.nii` or `name.in.nii.gz` in
FOLDER there is an output `name.out.*`. Of both, nibabel must find the same affine, s-form and q-form with codes,
spacing, units and voxels, and SimpleITK the same spacing, origin, direction and voxels, to the last bit. Axes of one
voxel behind the third are not written and not compared. SimpleITK reads no NIfTI-2, which is left to nibabel. Prints
one line per pair and ends with status 1 if one differs. Tried with nibabel 5.4.2 and SimpleITK 2.5.7.
"""

import sys
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK


def same(a, b):
    if a is None or b is None:
        return a is b
    return np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)


def seen_by_nibabel(path):
    image = nibabel.load(path)
    header = image.header
    sform, sform_code = header.get_sform(coded=True)
    qform, qform_code = header.get_qform(coded=True)
    return {
        "class": [type(image).__name__ == "Nifti2Image"],
        "affine": image.affine,
        "codes": [sform_code, qform_code],
        "sform": sform,
        "qform": qform,
        "spacing": header.get_zooms()[:3],
        "pixdim": header["pixdim"],
        "units": [ord(c) for c in "/".join(header.get_xyzt_units())],
        "shape": image.shape[:3],
        "voxels": np.asanyarray(image.dataobj).reshape(image.shape[:3]),
    }


def seen_by_itk(path):
    image = SimpleITK.ReadImage(str(path))
    return {
        "itk spacing": image.GetSpacing(),
        "itk origin": image.GetOrigin(),
        "itk direction": image.GetDirection(),
        "itk size": image.GetSize(),
        "itk voxels": SimpleITK.GetArrayFromImage(image),
    }


def seen(path):
    by_nibabel = seen_by_nibabel(path)
    return by_nibabel if by_nibabel["class"][0] else by_nibabel | seen_by_itk(path)


def differences(source, output):
    found = [seen(path) for path in (source, output)]
    return [key for key in found[0] if not same(found[0][key], found[1][key])]


def main():
    folder = Path(sys.argv[1])
    failed = False
    for source in sorted(folder.glob("*.in.nii*")):
        name = source.name.split(".in.")[0]
        (output,) = folder.glob(name + ".out.nii*")
        fields = differences(source, output)
        failed |= bool(fields)
        print(name, "differs in " + ", ".join(fields) if fields else "is equal")
    sys.exit(failed)


if __name__ == "__main__":
    main()
