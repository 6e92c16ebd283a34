//! What a medical image is: volumes, geometry, NIfTI, resampling.
