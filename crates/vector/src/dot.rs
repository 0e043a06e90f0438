//! How alike are two vectors? Written so that the compiler makes SIMD of it.

/// Independent sums, so that additions need not wait for one another.
const LANES: usize = 16;

/// Dot product of two slices of the same length.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (chunks_a, chunks_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = chunks_a.remainder().iter().zip(chunks_b.remainder()).map(|(x, y)| x * y).sum();
    let mut sums = [0.0_f32; LANES];
    for (chunk_a, chunk_b) in chunks_a.zip(chunks_b) {
        for lane in 0..LANES {
            sums[lane] += chunk_a[lane] * chunk_b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Scales `vector` to length 1.
///
/// # Errors
/// What is wrong with it, if it has no direction.
pub(crate) fn normalise(vector: &mut [f32]) -> Result<(), &'static str> {
    if vector.iter().any(|x| !x.is_finite()) {
        return Err("not finite");
    }
    // Divided by the largest number first, so that the squares neither overflow nor vanish.
    let largest = vector.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    if largest == 0.0 {
        return Err("all zero");
    }
    vector.iter_mut().for_each(|x| *x /= largest);
    let length = dot(vector, vector).sqrt();
    vector.iter_mut().for_each(|x| *x /= length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(a: &[f32], b: &[f32], expected: f32) {
        assert!((dot(a, b) - expected).abs() < 1e-3, "{} is not {expected}", dot(a, b));
    }

    #[test]
    fn sums_of_products() {
        check(&[], &[], 0.0);
        check(&[1.0, 2.0], &[3.0, 4.0], 11.0);
        let ramp: Vec<f32> = (0..37).map(|x| x as f32).collect();
        check(&ramp, &ramp, (0..37).map(|x| (x * x) as f32).sum());
    }

    #[test]
    fn extreme_lengths_normalise() {
        for scale in [1e-40_f32, 1e-20, 1.0, 1e20, 3e38] {
            let mut vector = [scale, -scale, 0.0];
            normalise(&mut vector).unwrap();
            check(&vector, &vector, 1.0);
        }
        assert!(normalise(&mut [f32::INFINITY, 0.0]).is_err());
        assert!(normalise(&mut [f32::NAN]).is_err());
        assert!(normalise(&mut [0.0, -0.0]).is_err());
        assert!(normalise(&mut []).is_err());
    }
}
