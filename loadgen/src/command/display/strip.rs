//! The clients as a strip of cells: how many are served, wait, and are not there yet.

/// How many cells each of `parts` gets of at most `cells`: a cell each where there is room, and in
/// proportion otherwise. Whoever is there at all gets at least one cell, as far as there are any.
pub(super) fn share(parts: [u32; 3], cells: usize) -> [usize; 3] {
    let cells = u32::try_from(cells).unwrap_or(u32::MAX);
    let all = parts
        .iter()
        .fold(0_u32, |sum, part| sum.saturating_add(*part));
    if all <= cells {
        return parts.map(widen);
    }
    let exact = parts.map(|part| f64::from(part) * f64::from(cells) / f64::from(all));
    let mut shares = [0_u32; 3];
    for (share, exact) in shares.iter_mut().zip(exact) {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to cells"
        )]
        let whole = exact.ceil() as u32;
        *share = whole;
    }
    // Rounded up there are at most two too many: the largest parts do without them.
    while shares.iter().sum::<u32>() > cells {
        if let Some(largest) = shares.iter_mut().max() {
            *largest -= 1;
        }
    }
    shares.map(widen)
}

fn widen(cells: u32) -> usize {
    usize::try_from(cells).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_client_is_a_cell_where_there_is_room() {
        assert_eq!(share([4, 46, 0], 60), [4, 46, 0]);
        assert_eq!(share([4, 46, 0], 25), [2, 23, 0]);
        assert_eq!(share([1, 999_998, 1], 20), [1, 18, 1]);
        assert_eq!(share([0, 0, 0], 20), [0, 0, 0]);
    }

    proptest! {
        #[test]
        fn the_strip_is_full_and_nobody_is_left_out(
            parts in prop::array::uniform3(0..1_000_000_u32), cells in 3..200_usize,
        ) {
            let shares = share(parts, cells);
            let all = parts.iter().map(|part| *part as usize).sum::<usize>();
            prop_assert_eq!(shares.iter().sum::<usize>(), all.min(cells));
            for (part, cells) in parts.iter().zip(shares) {
                prop_assert_eq!(*part > 0, cells > 0);
            }
        }
    }
}
