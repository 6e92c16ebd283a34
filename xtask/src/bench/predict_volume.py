"""Writes a raw data set of CT-sized volumes with four ellipsoids, to time predictions of large images and five classes.

    python predict_volume.py RAW_FOLDER

`Dataset905_Volumes`: five small training volumes to plan and train with, and one test volume of 512 x 512 x 300 voxels,
0.8 x 0.8 x 1 mm. Same bytes each time. Needs numpy and nibabel.
"""

import json
import pathlib
import sys

import nibabel
import numpy as np

SPACING = (0.8, 0.8, 1.0)
LABELS = {"background": 0, "liver": 1, "spleen": 2, "kidney": 3, "stone": 4}
# Center and radii as fractions of the extents, and the mean intensity.
ELLIPSOIDS = [((0.35, 0.5, 0.5), (0.22, 0.2, 0.3), 110), ((0.68, 0.55, 0.55), (0.1, 0.12, 0.16), 130),
              ((0.62, 0.35, 0.4), (0.07, 0.08, 0.14), 180), ((0.62, 0.35, 0.4), (0.02, 0.02, 0.04), 400)]


def volume(shape, seed):
    generator = np.random.default_rng(seed)
    x, y, z = np.ogrid[tuple(slice(0, 1, extent * 1j) for extent in shape)]
    image = np.full(shape, -60, np.float32)
    labels = np.zeros(shape, np.uint8)
    for label, (center, radii, mean) in enumerate(ELLIPSOIDS, 1):
        shift = generator.uniform(-0.02, 0.02, 3)
        distance = sum(((axis - c - s) / r) ** 2 for axis, c, s, r in zip((x, y, z), center, shift, radii))
        inside = distance <= 1
        image[inside], labels[inside] = mean, label
    image += generator.normal(0, 25, shape).astype(np.float32)
    return np.round(image).astype(np.int16), labels


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag((*SPACING, 1.0))), path)


def main():
    folder = pathlib.Path(sys.argv[1]) / "Dataset905_Volumes"
    for index in range(5):
        image, labels = volume((160, 160, 120), index)
        write(folder / f"imagesTr/volume_{index:03d}_0000.nii.gz", image)
        write(folder / f"labelsTr/volume_{index:03d}.nii.gz", labels)
    write(folder / "imagesTs/volume_100_0000.nii.gz", volume((512, 512, 300), 100)[0])
    description = {"channel_names": {"0": "CT"}, "labels": LABELS, "numTraining": 5, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(description, indent=1))


main()
