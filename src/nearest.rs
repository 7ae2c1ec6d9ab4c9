//! The right word nearest to a wrong one: keys of configs, connection strings and migration headers, names of
//! runbooks and variables.

/// The candidate that `word` was probably meant to be, if one is near enough.
///
/// Near is at most a third of the word in edits, two letters exchanged counting as one (optimal string
/// alignment); case and the choice of `-`, `_` or a space are no typing errors.
pub(crate) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = plain(word);
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&word, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn plain(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let words = ["guard", "max", "first_deploy", "url"];
        assert_eq!(nearest("gaurd", words), Some("guard"));
        assert_eq!(nearest("firstDeploy", words), Some("first_deploy"));
        assert_eq!(nearest("first-deploy", words), Some("first_deploy"));
        assert_eq!(nearest("URL", words), Some("url"));
        assert_eq!(nearest("colour", words), None);
        assert_eq!(nearest("", words), None);
        assert_eq!(nearest("x", ["y"]), None);
    }
}
