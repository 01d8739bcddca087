//! What a look found, and what is kept of it, so that the next look need not read the snapshots.
//!
//! The name of a snapshot is a hash of what is stored under it. So the same names stand for the same snapshots.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::snapshot::{Listing, Snapshot, SnapshotId, Tags};

/// The version of the file that keeps a listing.
const VERSION: u32 = 1;

/// How long a kept listing may be used. What a listing of names does not notice, such as another password, is noticed
/// then.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// The length of a name.
const LENGTH: usize = 64;

/// The names of all snapshots in a repository, those of other programs among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(BTreeSet<SnapshotId>);

impl Names {
    /// Adds the name of a file in the directory of the snapshots, unless it is no id: restic ignores such a file. `None`
    /// for an id in capital letters, which restic does not ignore.
    pub fn add(&mut self, name: &str) -> Option<()> {
        if name.len() == LENGTH && name.bytes().all(|c| c.is_ascii_hexdigit()) {
            self.0.insert(name.parse().ok()?);
        }
        Some(())
    }

    /// The only name that these have and `before` has not, if that is the only difference.
    pub fn one_more_than(&self, before: &Self) -> Option<&SnapshotId> {
        let mut new = self.0.iter().filter(|id| !before.0.contains(id));
        new.next().filter(|_| new.next().is_none() && before.0.is_subset(&self.0))
    }

    /// Those of `ids` that are among them.
    pub fn among<'a>(&self, ids: &'a [SnapshotId]) -> Vec<&'a SnapshotId> {
        ids.iter().filter(|id| self.0.contains(id)).collect()
    }

    /// Whether these are those of `before` without some of `ids`, and no others are missing or new.
    pub fn are_fewer_by(&self, before: &Self, ids: &[SnapshotId]) -> bool {
        self.0.is_subset(&before.0) && before.0.difference(&self.0).all(|gone| ids.contains(gone))
    }

    fn digest(&self) -> Digest {
        let names: Vec<String> = self.0.iter().map(SnapshotId::to_string).collect();
        Digest::of(names.join("\n").as_bytes())
    }
}

impl FromIterator<SnapshotId> for Names {
    fn from_iter<I: IntoIterator<Item = SnapshotId>>(ids: I) -> Self {
        Self(ids.into_iter().collect())
    }
}

/// What a look costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LookCost {
    /// Nothing worth mentioning: a directory is read, or the administrator's own server is asked.
    Little,
    /// A request to a server that may charge for it.
    Request,
    /// A restic.
    Restic,
}

/// A look that a replica remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastLook {
    /// When it began.
    pub at: Timestamp,
    /// What the next one costs, as far as that is known.
    pub cost: LookCost,
}

/// What a look found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// The snapshots of this program.
    pub listing: Listing,
    /// The names of all snapshots.
    pub names: Names,
}

impl Looked {
    /// What a look finds that finds these names, after some of the snapshots were removed. `None` if more has changed.
    pub fn without(mut self, removed: &[SnapshotId], names: Names) -> Option<Self> {
        if !names.are_fewer_by(&self.names, removed) {
            return None;
        }
        let kept: BTreeSet<&SnapshotId> = names.0.iter().collect();
        self.listing.snapshots.retain(|snapshot| kept.contains(&snapshot.id));
        Some(Self { listing: self.listing, names })
    }
}

/// A listing as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptListing {
    version: u32,
    /// The digest of the address of the repository.
    repository: Digest,
    /// The digest of the names of all its snapshots.
    names: Digest,
    /// When restic listed it.
    pub at: Timestamp,
    snapshots: Vec<Entry>,
    unreadable: Vec<(SnapshotId, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: SnapshotId,
    time: Timestamp,
    host: String,
    tags: Vec<String>,
}

impl KeptListing {
    /// What is kept of a look into the repository whose address has this digest. Nothing of an empty one, which any other
    /// empty repository would be taken for.
    pub fn new(looked: &Looked, repository: Digest, at: Timestamp) -> Option<Self> {
        let Looked { listing, names } = looked;
        let entry = |Snapshot { id, time, host, tags }: &Snapshot| {
            let (id, time, host) = (id.clone(), *time, host.clone());
            Entry { id, time, host, tags: tags.to_strings() }
        };
        (!names.0.is_empty()).then(|| Self {
            version: VERSION,
            repository,
            names: names.digest(),
            at,
            snapshots: listing.snapshots.iter().map(entry).collect(),
            unreadable: listing.unreadable.clone(),
        })
    }

    /// Reads what [`KeptListing::render`] wrote. `None` if it is anything else.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|kept: &Self| kept.version == VERSION)
    }

    /// The bytes to store.
    pub fn render(&self) -> Vec<u8> {
        // The structure holds only strings, numbers and lists of them: it cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether it may be used at `now` for the repository whose address has this digest. A clock that went back proves
    /// nothing.
    pub fn is_usable(&self, repository: Digest, now: Timestamp) -> bool {
        let age = now.duration_since(self.at);
        let fresh = !age.is_negative() && age < SignedDuration::try_from(MAX_AGE).unwrap_or_default();
        self.repository == repository && fresh
    }

    /// What a look would find now, if the repository has these names.
    pub fn found_with(self, names: Names) -> Option<Looked> {
        if names.0.is_empty() || names.digest() != self.names {
            return None;
        }
        let own = self.snapshots.len() + self.unreadable.len();
        let others = names.0.len().saturating_sub(own);
        let mut listing = Listing { snapshots: Vec::new(), unreadable: self.unreadable, others };
        for Entry { id, time, host, tags } in self.snapshots {
            let tags = Tags::from_strings(&tags).ok()?;
            listing.snapshots.push(Snapshot { id, time, host, tags });
        }
        Some(Looked { listing, names })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::place::Place;

    fn id(digit: char) -> String {
        digit.to_string().repeat(LENGTH)
    }

    fn looked(digits: &str) -> Looked {
        let main: crate::model::snapshot::MainId = "a".repeat(32).parse().expect("an id");
        let digest = Digest::of(b"x");
        let mut looked = Looked::default();
        for (digit, sequence) in digits.chars().zip(1..) {
            let place = Place { main: main.clone(), epoch: 1, sequence };
            let tags = Tags { format: 1, place, fleet: main.clone(), digest, schema: digest };
            let id: SnapshotId = id(digit).parse().expect("an id");
            let time = Timestamp::UNIX_EPOCH;
            looked.listing.snapshots.push(Snapshot { id, time, host: "main".to_owned(), tags });
            looked.names.add(&super::tests::id(digit)).expect("a name");
        }
        looked.names.add(&super::tests::id('e')).expect("the name of another program's snapshot");
        looked.listing.others = 1;
        looked.names.add(&super::tests::id('f')).expect("the name of one that cannot be read");
        looked.listing.unreadable.push((super::tests::id('f').parse().expect("an id"), "a reason".to_owned()));
        looked
    }

    #[test]
    fn only_names_that_are_ids_count() {
        let mut names = Names::default();
        for name in ["", "config", &id('a')[1..], &format!("{}a", id('a')), &format!("{}-tmp-1", id('a')), &id('g')] {
            names.add(name).expect(name);
        }
        assert_eq!(names, Names::default());
        names.add(&id('b')).expect("an id");
        assert_ne!(names, Names::default());
        assert_eq!(names.add(&id('B')), None, "restic would read it");
    }

    #[test]
    fn the_same_names_are_the_same_listing_and_no_others_are() {
        let (address, at) = (Digest::of(b"s3:host/bucket"), Timestamp::UNIX_EPOCH);
        let before = looked("abc");
        let bytes = KeptListing::new(&before, address, at).expect("kept").render();
        let kept = || KeptListing::parse(&bytes).expect("a kept listing");
        assert_eq!(kept().found_with(before.names.clone()), Some(before.clone()));
        for other in ["", "ab", "abcd", "abd"] {
            assert_eq!(kept().found_with(looked(other).names), None, "{other}");
        }
        assert_eq!(kept().found_with(Names::default()), None);
        assert_eq!(KeptListing::new(&Looked::default(), address, at), None, "any empty repository is like that");
        assert_eq!(KeptListing::parse(&bytes[1..]), None);
        let newer = String::from_utf8(bytes.clone()).expect("text").replace("\"version\":1", "\"version\":2");
        assert_eq!(KeptListing::parse(newer.as_bytes()), None);
    }

    #[test]
    fn a_kept_listing_is_used_for_a_day_and_for_its_repository() {
        let (address, at) = (Digest::of(b"s3:host/bucket"), Timestamp::UNIX_EPOCH);
        let kept = KeptListing::new(&looked("a"), address, at).expect("kept");
        let after = |hours| at + SignedDuration::from_hours(hours);
        for (address, now, usable) in [
            (address, after(0), true),
            (address, after(23), true),
            (address, after(24), false),
            (address, after(-1), false),
            (Digest::of(b"s3:host/other"), after(1), false),
        ] {
            assert_eq!(kept.is_usable(address, now), usable, "{now}");
        }
    }

    #[test]
    fn what_was_forgotten_is_known_without_another_look() {
        let ids =
            |digits: &str| digits.chars().map(|digit| id(digit).parse().expect("an id")).collect::<Vec<SnapshotId>>();
        let without = |removed: &str, names: &str| looked("abc").without(&ids(removed), looked(names).names);
        let found = without("bc", "a").expect("nothing else has changed");
        assert_eq!((found.listing.snapshots.len(), found.listing.others), (1, 1));
        assert_eq!(found.names, looked("a").names);
        assert_eq!(without("bc", "ab").expect("one stays").listing.snapshots.len(), 2);
        assert_eq!(without("b", "a"), None, "another one is gone, too");
        assert_eq!(without("bc", "ad"), None, "there is a new one");
        assert_eq!(looked("ab").names.among(&ids("bcd")), ids("b").iter().collect::<Vec<_>>());
    }

    #[test]
    fn one_more_name_is_told_from_other_changes() {
        let before = looked("ab").names;
        let more = |digits: &str| looked(digits).names.one_more_than(&before).map(SnapshotId::to_string);
        assert_eq!(more("abc"), Some(id('c')));
        for other in ["ab", "abcd", "ac", "a"] {
            assert_eq!(more(other), None, "{other}");
        }
    }
}
