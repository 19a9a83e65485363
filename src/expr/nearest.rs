//! The name that was probably meant: for hints.

/// The candidate nearest to `name`, if one is near: few edits apart, letter case aside.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = name.to_uppercase().chars().collect();
    let allowed = (wanted.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| {
            let upper: Vec<char> = candidate.to_uppercase().chars().collect();
            (edits(&wanted, &upper), candidate)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that make `b` of `a`.
fn edits(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let mut least = (last[j] + (a[i] != b[j]) as usize).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_names_are_found() {
        let names = ["CAPACITY", "NAME", "lat"];
        assert_eq!(nearest("CAPCITY", names), Some("CAPACITY"));
        assert_eq!(nearest("NMAE", names), Some("NAME"));
        assert_eq!(nearest("LAT", names), Some("lat"));
        assert_eq!(nearest("SPACES", names), None);
    }
}
