//! Which counters are the driver's, from the places that they count.

/// Counters that lie in a row: the number of the first, and how many they are.
pub(crate) type Row = (usize, usize);

/// The counters whose place is in no function of the driver's. `functions` are all functions by address, in order, each with
/// whether it is the driver's; `places` the address that each counter counts.
pub(crate) fn others(
    functions: &[(usize, bool)],
    places: impl IntoIterator<Item = usize>,
) -> Vec<Row> {
    let mut others: Vec<Row> = Vec::new();
    for (number, place) in places.into_iter().enumerate() {
        let after = functions.partition_point(|&(address, _)| address <= place);
        if after > 0 && functions[after - 1].1 {
            continue;
        }
        match others.last_mut() {
            Some((first, count)) if *first + *count == number => *count += 1,
            _ => others.push((number, 1)),
        }
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One function of the driver's between two that are not.
    const FUNCTIONS: [(usize, bool); 3] = [(0x100, false), (0x200, true), (0x300, false)];

    #[test]
    fn a_place_belongs_to_the_function_that_begins_at_or_before_it() {
        let is_other = |place| !others(&FUNCTIONS, [place]).is_empty();
        let answers = [0xFF, 0x100, 0x1FF, 0x200, 0x2FF, 0x300, usize::MAX].map(is_other);
        assert_eq!(answers, [true, true, true, false, false, true, true]);
    }

    #[test]
    fn neighbours_make_a_row() {
        let places = [0x100, 0x110, 0x200, 0x210, 0x300, 0x220, 0x310, 0x320];
        assert_eq!(others(&FUNCTIONS, places), [(0, 2), (4, 1), (6, 2)]);
        assert_eq!(others(&FUNCTIONS, []), []);
        assert_eq!(others(&[], [0x100, 0x200]), [(0, 2)]);
    }
}
