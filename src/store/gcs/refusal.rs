//! What a person reads when the bucket did not do it: what was tried, for how long, and what to check.

use std::time::Duration;

use super::patience::GaveUp;
use super::setback::Kind;

/// What was being done; each needs a permission of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Creating an object that is not there.
    Create,
    /// Writing an object in the place of another.
    Replace,
    /// Reading an object.
    Read,
    /// Listing names.
    List,
    /// Removing an object.
    Delete,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Verb::Create | Verb::Replace => "write",
            Verb::Read => "read",
            Verb::List => "list the objects under",
            Verb::Delete => "delete",
        }
    }

    /// What Cloud Storage asks for (its documentation, "IAM permissions for JSON methods").
    fn permissions(self) -> &'static str {
        match self {
            Verb::Create => "storage.objects.create",
            // Writing over an object is deleting it.
            Verb::Replace => "storage.objects.create and storage.objects.delete",
            Verb::Read => "storage.objects.get",
            Verb::List => "storage.objects.list",
            Verb::Delete => "storage.objects.delete",
        }
    }
}

/// A bucket refused, or could not be reached for as long as was tried. Its text is the reason alone.
#[derive(Debug, thiserror::Error)]
#[error("{said}{}", self.effort())]
pub struct Refusal {
    verb: Verb,
    bucket: String,
    object: String,
    endpoint: Option<String>,
    kind: Kind,
    said: String,
    tries: u32,
    elapsed: Duration,
}

impl Refusal {
    pub(super) fn new(
        verb: Verb,
        bucket: &str,
        object: String,
        endpoint: Option<&str>,
        gave_up: GaveUp,
    ) -> Self {
        Self {
            verb,
            bucket: bucket.to_string(),
            object,
            endpoint: endpoint.map(str::to_string),
            kind: gave_up.last.kind,
            said: gave_up.last.said,
            tries: gave_up.tries,
            elapsed: gave_up.elapsed,
        }
    }

    /// What was being done, to which object of which bucket; reads after "could not".
    pub fn what(&self) -> String {
        let object = if self.object.is_empty() { "/" } else { &self.object };
        format!("{} {object} in the bucket {}", self.verb.word(), self.bucket)
    }

    fn effort(&self) -> String {
        match self.tries {
            0 | 1 => String::new(),
            tries => format!("; tried {tries} times in {:.0} s", self.elapsed.as_secs_f64().max(1.0)),
        }
    }

    /// What to check, a line each.
    pub fn remedies(&self) -> Vec<String> {
        let bucket = &self.bucket;
        let mut remedies = match self.kind {
            Kind::NoCredentials { .. } | Kind::Unauthenticated => vec![
                "let GOOGLE_APPLICATION_CREDENTIALS name the key file, or the workload identity file, of a service \
                 account"
                    .into(),
                "or log in as yourself: gcloud auth application-default login".into(),
                "or run on Google Cloud, on a machine with a service account (workload identity)".into(),
            ],
            Kind::Denied => vec![
                format!("give the account of the credentials {} on the bucket {bucket}", self.verb.permissions()),
                format!(
                    "all that is needed is in one role: gcloud storage buckets add-iam-policy-binding gs://{bucket} \
                     --member=… --role=roles/storage.objectUser"
                ),
            ],
            Kind::NoBucket => vec![
                "check the name of the bucket in [store] url; backstay creates none".into(),
                format!("gcloud storage buckets describe gs://{bucket} shows whether it is there"),
            ],
            Kind::Busy | Kind::Broken => vec![
                format!(
                    "check the way from this machine to {}, and https://status.cloud.google.com; then run the same \
                     command again",
                    self.endpoint.as_deref().unwrap_or("storage.googleapis.com")
                ),
            ],
            Kind::Garbled => vec![
                "bytes are changed on the way: look for a proxy in between, then run the same command again".into(),
            ],
            Kind::Precondition | Kind::NoObject | Kind::Refused => vec![format!(
                "look at the bucket: gcloud storage objects list gs://{bucket}/{}",
                self.object
            )],
        };
        if let Some(endpoint) = &self.endpoint {
            remedies.push(format!(
                "STORAGE_EMULATOR_HOST leads to {endpoint}, without credentials: unset it if no emulator is meant"
            ));
        }
        remedies
    }
}

#[cfg(test)]
mod tests {
    use super::super::setback::Setback;
    use super::*;

    fn refusal(verb: Verb, tries: u32, last: Setback) -> Refusal {
        let gave_up = GaveUp { last, tries, elapsed: Duration::from_secs(61) };
        Refusal::new(verb, "acme", "shop/runs/r/journal/000001.json".into(), None, gave_up)
    }

    #[test]
    fn it_says_what_to_what_why_and_for_how_long() {
        let refusal = refusal(Verb::Create, 9, Setback::answered(503, b"Backend Error"));
        assert_eq!(refusal.what(), "write shop/runs/r/journal/000001.json in the bucket acme");
        assert_eq!(refusal.to_string(), "the service answered 503 (Backend Error); tried 9 times in 61 s");
    }

    #[test]
    fn every_verb_names_its_permission() {
        for (verb, permission) in [
            (Verb::Create, "storage.objects.create "),
            (Verb::Replace, "storage.objects.create and storage.objects.delete "),
            (Verb::Read, "storage.objects.get "),
            (Verb::List, "storage.objects.list "),
            (Verb::Delete, "storage.objects.delete "),
        ] {
            let remedies = refusal(verb, 1, Setback::answered(403, b"")).remedies();
            assert!(remedies[0].contains(permission), "{remedies:?}");
        }
    }

    #[test]
    fn the_three_refusals_are_told_apart() {
        let first = |status, body: &[u8]| {
            refusal(Verb::Read, 1, Setback::answered(status, body)).remedies().swap_remove(0)
        };
        assert!(first(401, b"").contains("GOOGLE_APPLICATION_CREDENTIALS"));
        assert!(first(403, b"").contains("storage.objects.get"));
        assert!(first(404, b"The specified bucket does not exist.").contains("[store] url"));
    }
}
