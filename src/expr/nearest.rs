//! The name that was probably meant: for hints.

use strsim::osa_distance;

/// The candidate nearest to `name`, if one is near: few edits apart, letter case aside.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_uppercase();
    let allowed = (wanted.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (osa_distance(&wanted, &candidate.to_uppercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
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
