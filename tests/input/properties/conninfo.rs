//! A connection that is understood can be written as a URL and be understood as the same; of one that is not, no
//! error shows a piece of a password.

use backstay::pg::ConnInfo;

const PASSWORD: &str = "Zq5pass";

/// See the module.
pub fn hold(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(info) = ConnInfo::parse(&text) {
        is_the_same(&info);
        assert_eq!(info.with_database("other").database(), "other");
        assert!(info.tool_env().iter().all(|(name, _)| name.starts_with("PG")));
    }
    if text.contains(PASSWORD) {
        return;
    }
    for text in [
        format!("postgresql://u:{PASSWORD}@{text}"),
        format!("postgresql://u:{PASSWORD}{text}@h/d"),
        format!("postgresql://u:{PASSWORD}{text}"),
        format!("host=h password={PASSWORD} {text}"),
        format!("host=h password={PASSWORD}{text}"),
        format!("host=h password='{PASSWORD} {text}"),
    ] {
        match ConnInfo::parse(&text) {
            Ok(info) => assert!(!format!("{info:?}").contains(PASSWORD), "{info:?}"),
            Err(error) => {
                let shown = format!("{error} {error:?}");
                assert!(!shown.contains(PASSWORD), "{shown} of {text}");
            }
        }
    }
}

fn is_the_same(info: &ConnInfo) {
    let url = info.to_url();
    let again = ConnInfo::parse(&url).unwrap_or_else(|error| panic!("{error}: {url}"));
    assert_eq!(again.describe(), info.describe());
    assert_eq!((again.user(), again.ssl_mode()), (info.user(), info.ssl_mode()));
    assert_eq!(again.to_url(), url);
    // The password itself stands in the URL, and not where it was found.
    let without_passfile = |info: &ConnInfo| -> Vec<(String, String)> {
        info.tool_env().into_iter().filter(|(name, _)| name != "PGPASSFILE").collect()
    };
    assert_eq!(without_passfile(&again), without_passfile(info));
}
