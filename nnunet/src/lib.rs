//! nnU-Net's method as pure functions: plans, preprocessing, sliding window, uncertainty, evaluation.
