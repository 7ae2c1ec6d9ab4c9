//! Large objects that others wrote. Who is no superuser may not read `pg_largeobject`, so their bytes are held
//! against the guard's, piece by piece, and only if counters say that something was written.

use super::door::Door;
use super::mark::{Mark, Sums};
use super::merge::{Merge, Order, Step};
use super::table::is_young;
use crate::failure::Failure;
use crate::pg::{Session, refused};
use crate::words::count;

/// One large object that is new or another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub oid: u32,
    /// Its size; `None` if our role may not read it.
    pub bytes: Option<u64>,
}

/// What was found of large objects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct LargeFound {
    pub written: Vec<Written>,
    pub removed: Vec<u32>,
    /// Only an owner or rights were changed, of so many.
    pub rights: u64,
}

impl LargeFound {
    pub fn is_empty(&self) -> bool {
        self.written.is_empty() && self.removed.is_empty() && self.rights == 0
    }

    /// In words, for a person.
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        let mut say = |n: u64, what: &str| {
            if n > 0 {
                words.push(format!("{} {what}", count(n, "large object was", "large objects were")));
            }
        };
        say(self.written.len() as u64, "made or changed");
        say(self.removed.len() as u64, "removed");
        say(self.rights, "given another owner or other rights");
        words.join(", ")
    }
}

/// The digest of every large object: number, size, MD5 over the MD5 of its pieces. Those that our role may not
/// read have neither size nor digest: it is known only whether they are there.
const DIGESTS: &str = "COPY (SELECT m.oid, s.size, d.digest \
     FROM (SELECT l.oid, r.rolsuper OR pg_catalog.pg_has_role(l.lomowner, 'USAGE') \
         OR EXISTS (SELECT FROM pg_catalog.aclexplode(l.lomacl) a WHERE a.privilege_type = 'SELECT' \
             AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE'))) AS readable \
         FROM pg_catalog.pg_largeobject_metadata l, pg_catalog.pg_roles r WHERE r.rolname = current_user OFFSET 0) m \
     CROSS JOIN LATERAL (SELECT CASE WHEN m.readable \
         THEN pg_catalog.lo_lseek64(pg_catalog.lo_open(m.oid, 262144), 0, 2) END AS size OFFSET 0) s \
     CROSS JOIN LATERAL (SELECT pg_catalog.md5(pg_catalog.string_agg( \
         pg_catalog.md5(pg_catalog.lo_get(m.oid, p.n * 1048576, 1048576)), '' ORDER BY p.n)) AS digest \
         FROM pg_catalog.generate_series(0, greatest(s.size - 1, 0) / 1048576) p(n) WHERE m.readable OFFSET 0) d \
     ORDER BY m.oid) TO STDOUT";

/// What others did to large objects.
///
/// # Errors
/// The server's.
pub(super) async fn look(
    live: &Session,
    door: &mut Door<'_>,
    mark: &Mark,
    now: &Sums,
    lost: bool,
) -> Result<LargeFound, Failure> {
    let young = young(live, mark).await?;
    let counted = mark.large_objects.is_some_and(|then| Some(then) != now.large_objects);
    if young == 0 && !counted && !lost {
        return Ok(LargeFound::default());
    }
    let there = door.session().await?;
    let what = "compare the large objects with the guard";
    let mut merge = Merge::begin(what, vec![Order::Number], (live, DIGESTS), (there, DIGESTS)).await?;
    let mut found = LargeFound::default();
    let mut made = 0;
    while let Some(step) = merge.next().await? {
        match step {
            Step::Here(line) => {
                made += 1;
                found.written.extend(written(&line));
            }
            Step::There(line) => found.removed.extend(written(&line).map(|object| object.oid)),
            Step::Both(here, there) if here != there => found.written.extend(written(&here)),
            Step::Both(..) => {}
        }
    }
    found.rights = young.saturating_sub(made);
    Ok(found)
}

fn written(line: &[u8]) -> Option<Written> {
    let mut columns = std::str::from_utf8(line).ok()?.trim_end().split('\t');
    Some(Written { oid: columns.next()?.parse().ok()?, bytes: columns.next()?.parse().ok() })
}

async fn young(session: &Session, mark: &Mark) -> Result<u64, Failure> {
    let query = format!(
        "SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata WHERE {}",
        is_young(mark.xid)
    );
    let row = session.query_one(&query, &[]).await;
    let row = row.map_err(|error| refused("look for young large objects", &error))?;
    Ok(row.get::<_, i64>(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_read_has_no_size() {
        assert_eq!(written(b"4711\t12\tabc\n"), Some(Written { oid: 4711, bytes: Some(12) }));
        assert_eq!(written(b"4711\t\\N\t\\N\n"), Some(Written { oid: 4711, bytes: None }));
        assert_eq!(written(b"x\n"), None);
    }
}
