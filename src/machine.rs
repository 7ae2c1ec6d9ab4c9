//! Which machine a process runs on, as far as the kernel tells. A host's name is none: containers on the host's network
//! share it, and so do virtual machines that were cloned.

use std::fs::{read_link, read_to_string};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The first PID namespace of every Linux (`PROC_PID_INIT_INO`): no container's.
const FIRST_PIDS: &str = "pid:[4026531836]";

/// What a process sees of the machine that it runs on. What is not known is never taken for the same.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Machine {
    /// The host's name.
    pub host: String,
    /// The installation (`machine-id(5)`, as a hash, for it is confidential): survives a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The start of the kernel (`/proc/sys/kernel/random/boot_id`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// The namespaces in which a process's number and its start are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<String>,
    /// The namespace in which paths are looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mounts: Option<String>,
}

impl Machine {
    /// The one that this process sees.
    pub fn here() -> Self {
        let namespace = |name: &str| link(&format!("/proc/self/ns/{name}"));
        // A `/proc` of another PID namespace numbers processes otherwise than the kernel does for us.
        let counted = link("/proc/self").is_some_and(|pid| pid == std::process::id().to_string());
        // Kernels before 5.6 have no namespaces of time.
        let time = namespace("time").map(|time| format!(" {time}")).unwrap_or_default();
        Self {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            machine: text("/etc/machine-id").filter(|id| id != "uninitialized").map(|id| hashed(&id)),
            boot: text("/proc/sys/kernel/random/boot_id"),
            pids: namespace("pid").filter(|_| counted).map(|pids| pids + &time),
            mounts: namespace("mnt"),
        }
    }

    /// Whether a number means the same process on both.
    pub fn shares_processes(&self, other: &Self) -> bool {
        self.shares_kernel(other) && same(&self.pids, &other.pids)
    }

    /// Whether a path of a local file means the same file on both: in one mount namespace, or on one installation that
    /// was restarted. A container's machine id may be its image's, and says nothing.
    pub fn shares_files(&self, other: &Self) -> bool {
        let restarted = self.host == other.host
            && !same(&self.boot, &other.boot)
            && same(&self.machine, &other.machine)
            && [self, other].iter().all(|machine| machine.is_no_container());
        restarted || self.shares_kernel(other) && same(&self.mounts, &other.mounts)
    }

    fn shares_kernel(&self, other: &Self) -> bool {
        self.host == other.host && same(&self.boot, &other.boot)
    }

    fn is_no_container(&self) -> bool {
        self.pids.as_ref().is_some_and(|pids| pids.starts_with(FIRST_PIDS))
    }
}

/// When process `pid` started, in ticks of the clock after the machine's start: who has its number later has another.
/// Nothing where it is not there or can't be seen.
pub fn start_of(pid: u32) -> Option<u64> {
    started(&read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Field 22 of `/proc/<pid>/stat` (proc(5)); the name before it may hold anything.
fn started(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

fn same(one: &Option<String>, other: &Option<String>) -> bool {
    one.is_some() && one == other
}

fn text(path: &str) -> Option<String> {
    read_to_string(path).ok().map(|text| text.trim().to_string()).filter(|text| !text.is_empty())
}

fn link(path: &str) -> Option<String> {
    Some(read_link(Path::new(path)).ok()?.to_string_lossy().into_owned())
}

fn hashed(id: &str) -> String {
    hex::encode(&Sha256::digest(format!("backstay {id}"))[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(id: &str, boot: &str, pids: &str, mounts: &str) -> Machine {
        let known = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
        Machine {
            host: "runner".into(),
            machine: known(id),
            boot: known(boot),
            pids: known(pids),
            mounts: known(mounts),
        }
    }

    #[test]
    fn a_number_means_a_process_in_one_namespace_of_one_boot() {
        let here = machine("m", "b", FIRST_PIDS, "mnt:[1]");
        assert!(here.shares_processes(&here.clone()));
        let renamed = Machine { host: "other".into(), ..here.clone() };
        let container = machine("m", "b", "pid:[7]", "mnt:[2]");
        let restarted = machine("m", "c", FIRST_PIDS, "mnt:[1]");
        let old_record = machine("", "", "", "");
        for other in [&renamed, &container, &restarted, &old_record] {
            assert!(!here.shares_processes(other) && !other.shares_processes(&here), "{other:?}");
        }
        assert!(!old_record.shares_processes(&old_record.clone()), "what is not known is not the same");
    }

    #[test]
    fn a_path_means_a_file_in_one_mount_namespace_or_after_a_restart() {
        let here = machine("m", "b", FIRST_PIDS, "mnt:[1]");
        let restarted = machine("m", "c", FIRST_PIDS, "mnt:[9]");
        assert!(here.shares_files(&here.clone()) && here.shares_files(&restarted));
        let renamed = Machine { host: "other".into(), ..restarted.clone() };
        let clone = machine("n", "c", FIRST_PIDS, "mnt:[1]");
        let beside = machine("m", "b", FIRST_PIDS, "mnt:[2]");
        let container = machine("m", "b", "pid:[7]", "mnt:[2]");
        let of_one_image = machine("m", "c", "pid:[7]", "mnt:[2]");
        let unknown = machine("", "c", FIRST_PIDS, "mnt:[1]");
        let old_record = machine("", "", "", "");
        for other in [&renamed, &clone, &beside, &container, &of_one_image, &unknown, &old_record] {
            assert!(!here.shares_files(other) && !other.shares_files(&here), "{other:?}");
        }
        assert!(!container.shares_files(&of_one_image) && !old_record.shares_files(&old_record.clone()));
    }

    #[test]
    fn a_process_starts_once_whatever_it_is_called() {
        let fields: Vec<String> = (4..=24).map(|n| n.to_string()).collect();
        assert_eq!(started(&format!("7 (a) b) S {}", fields.join(" "))), Some(22));
        assert_eq!((started("7 (a) S 1"), started("")), (None, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_is_itself_and_this_process_started() {
        let here = Machine::here();
        assert!(here.shares_processes(&Machine::here()) && here.shares_files(&Machine::here()), "{here:?}");
        assert!(start_of(std::process::id()).is_some_and(|start| start > 0));
        assert_eq!(start_of(u32::MAX), None);
    }
}
