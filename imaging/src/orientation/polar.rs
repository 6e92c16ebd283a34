//! The rotation, possibly with a reflection, that is nearest to a 3×3 matrix with unit columns.
//!
//! This is the orthogonal factor of the polar decomposition, found by Newton's iteration `X ← (X + X⁻ᵀ) / 2` (Higham
//! 1986), which converges quadratically for every regular matrix. nibabel takes the same factor from a singular value
//! decomposition.

/// Least determinant of three unit columns that still span a volume.
const LEAST_DETERMINANT: f64 = 1e-9;

/// Enough for the least determinant: a singular value at most halves its distance to 1 until it is near.
const MAX_STEPS: usize = 100;

/// The factor of `linear` after its columns were scaled to length one; `None` if they span no volume.
pub(super) fn nearest_rotation(linear: [[f64; 3]; 3]) -> Option<[[f64; 3]; 3]> {
    let length = |column: usize| linear.iter().map(|row| row[column] * row[column]).sum::<f64>().sqrt();
    let lengths = [length(0), length(1), length(2)];
    let mut matrix: [[f64; 3]; 3] = std::array::from_fn(|row| std::array::from_fn(|c| linear[row][c] / lengths[c]));
    // A zero column has become NaN, which is not above the bound either.
    let regular = determinant(&matrix).abs() > LEAST_DETERMINANT;
    if !regular {
        return None;
    }
    for _ in 0..MAX_STEPS {
        let inverse_transposed = inverse_transposed(&matrix);
        let mut change = 0.0_f64;
        for (row, other) in matrix.iter_mut().zip(&inverse_transposed) {
            for (entry, other) in row.iter_mut().zip(other) {
                let next = 0.5 * (*entry + other);
                change = change.max((next - *entry).abs());
                *entry = next;
            }
        }
        if change < 1e-15 {
            break;
        }
    }
    Some(matrix)
}

/// Determinant of a matrix given by rows.
pub(super) fn determinant(m: &[[f64; 3]; 3]) -> f64 {
    (0..3).map(|column| m[0][column] * cofactor(m, 0, column)).sum()
}

/// Signed by the cyclic choice of rows and columns.
fn cofactor(m: &[[f64; 3]; 3], row: usize, column: usize) -> f64 {
    let (r1, r2) = ((row + 1) % 3, (row + 2) % 3);
    let (c1, c2) = ((column + 1) % 3, (column + 2) % 3);
    m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
}

fn inverse_transposed(m: &[[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let determinant = determinant(m);
    std::array::from_fn(|row| std::array::from_fn(|column| cofactor(m, row, column) / determinant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_go_and_a_rotation_stays() {
        let found = nearest_rotation([[0.0, -3.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, -5.0]]).unwrap();
        assert_eq!(found, [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]);
    }

    #[test]
    fn a_sheared_matrix_becomes_orthogonal() {
        let found = nearest_rotation([[1.0, 0.9, 0.0], [0.0, 0.4, 0.3], [0.1, 0.0, -2.0]]).unwrap();
        for i in 0..3 {
            for j in 0..3 {
                let product: f64 = (0..3).map(|row| found[row][i] * found[row][j]).sum();
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((product - expected).abs() < 1e-14, "columns {i} and {j}: {product}");
            }
        }
    }

    #[test]
    fn columns_that_span_no_volume_have_none() {
        assert_eq!(nearest_rotation([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]), None);
        assert_eq!(nearest_rotation([[1.0, 2.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 1.0]]), None);
    }
}
