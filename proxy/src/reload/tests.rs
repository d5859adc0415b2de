use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::audit::Sink;

/// Shorter than the poll: what passes was noticed.
const SOON: Duration = Duration::from_secs(8);

/// A policy of so many rules.
fn policy(rules: usize) -> String {
    let rule = |n| format!("  rule-{n}: {{ to: 'https://host-{n}.example.com' }}\n");
    format!("version: 1\nrules:\n{}", (0..rules).map(rule).collect::<String>())
}

struct World {
    folder: tempfile::TempDir,
    live: Arc<Live>,
    metrics: Metrics,
    audit: Audit,
    records: mpsc::Receiver<String>,
    reloader: Reloader,
    progress: channel::Receiver<Progress>,
    /// How many attempts were awaited: one that came before somebody asked counts too.
    attempts: u64,
}

impl World {
    /// A proxy whose policy is this path in a folder that `prepare` fills.
    fn start(path: &str, prepare: impl FnOnce(&Path)) -> Self {
        Self::with_ceiling(path, prepare, Box::new(|_| Ok(())))
    }

    fn with_ceiling(path: &str, prepare: impl FnOnce(&Path), ceiling: Ceiling) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let paths = vec![folder.path().join(path)];
        let files = read(&paths).unwrap();
        let live = Arc::new(Live::new(compile(&files).unwrap().0));
        let (lines, records) = mpsc::channel();
        let metrics = Metrics::new();
        let audit = Audit::open(Sink::Memory(lines), metrics.clone()).unwrap();
        let sources = Sources { paths, files, ceiling };
        let reloader = Reloader::start(sources, live.clone(), audit.clone(), metrics.clone()).unwrap();
        let progress = reloader.progress();
        Self { folder, live, metrics, audit, records, reloader, progress, attempts: 0 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn rules(&self) -> usize {
        self.live.load().policy.rules().len()
    }

    async fn attempt(&mut self) -> Progress {
        let last = self.attempts;
        let next = self.progress.wait_for(|progress| progress.attempts > last);
        let progress = tokio::time::timeout(SOON, next).await.expect("the change was not noticed").unwrap().clone();
        self.attempts = progress.attempts;
        progress
    }

    /// Attempts until so many rules are in force: a change may be seen in steps.
    async fn until_rules(&mut self, count: usize) {
        while self.rules() != count {
            self.attempt().await;
        }
    }

    fn activities(&self) -> Vec<String> {
        self.audit.close();
        let records = self.records.try_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
        records.map(|record| format!("{} {}", record["activity"].as_str().unwrap(), record["keygress"]["generation"])).collect()
    }
}

fn write(path: impl AsRef<Path>, text: &str) {
    fs::write(path, text).unwrap();
}

#[tokio::test]
async fn a_file_that_is_written_anew_comes_into_force() {
    let mut world = World::start("policy.yaml", |folder| write(folder.join("policy.yaml"), &policy(1)));
    write(world.path("policy.yaml"), &policy(2));
    world.until_rules(2).await;
    assert_eq!(world.live.last_failure(), None);
    assert!(world.metrics.expose().contains("keygress_policy_last_load_failed 0\n"));
}

#[tokio::test]
async fn a_file_that_is_renamed_over_the_old_one_comes_into_force_in_one_step() {
    let mut world = World::start("policy.yaml", |folder| write(folder.join("policy.yaml"), &policy(1)));
    for generation in 2..5 {
        write(world.path("policy.new"), &policy(generation));
        fs::rename(world.path("policy.new"), world.path("policy.yaml")).unwrap();
        assert_eq!(world.attempt().await.generation, generation as u64);
        assert_eq!(world.rules(), generation);
    }
    assert_eq!(world.activities(), ["policy_loaded 1", "policy_loaded 2", "policy_loaded 3", "policy_loaded 4"]);
}

/// As the kubelet does it: `policy.yaml` → `..data/policy.yaml`, `..data` → a dated folder, replaced by rename.
fn config_map(folder: &Path, version: usize, rules: usize) {
    let dated = format!("..2026_11_24_{version}");
    fs::create_dir(folder.join(&dated)).unwrap();
    write(folder.join(&dated).join("policy.yaml"), &policy(rules));
    symlink(&dated, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    if version > 1 {
        fs::remove_dir_all(folder.join(format!("..2026_11_24_{}", version - 1))).unwrap();
    } else {
        symlink("..data/policy.yaml", folder.join("policy.yaml")).unwrap();
    }
}

#[tokio::test]
async fn the_swap_of_a_config_map_comes_into_force_for_a_file_and_for_its_folder() {
    for path in ["policy.yaml", "."] {
        let mut world = World::start(path, |folder| config_map(folder, 1, 1));
        for version in 2..5 {
            config_map(world.folder.path(), version, version);
            world.until_rules(version).await;
        }
        assert_eq!(world.live.last_failure(), None);
    }
}

#[tokio::test]
async fn a_file_behind_a_link_into_another_folder_is_watched_there() {
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("target.yaml");
    write(&target, &policy(1));
    let mut world = World::start("policy.yaml", |folder| symlink(&target, folder.join("policy.yaml")).unwrap());
    write(&target, &policy(2));
    world.until_rules(2).await;
}

#[tokio::test]
async fn a_broken_file_keeps_the_last_good_policy_and_says_why() {
    let mut world = World::start("policy.yaml", |folder| write(folder.join("policy.yaml"), &policy(1)));
    write(world.path("new"), "version: 1\nruls: {}\n");
    fs::rename(world.path("new"), world.path("policy.yaml")).unwrap();
    let progress = world.attempt().await;
    assert_eq!((progress.generation, world.rules()), (1, 1));
    let reason = world.live.last_failure().unwrap();
    assert_eq!(progress.failure, Some(reason.clone()));
    assert!(reason.contains("policy.yaml:2:1: ") && reason.contains("ruls"), "{reason}");
    assert!(world.metrics.expose().contains("keygress_policy_last_load_failed 1\n"));

    write(world.path("new"), &policy(3));
    fs::rename(world.path("new"), world.path("policy.yaml")).unwrap();
    assert_eq!(world.attempt().await, Progress { attempts: 2, generation: 2, failure: None });
    assert_eq!((world.rules(), world.live.last_failure()), (3, None));
    assert_eq!(world.activities(), ["policy_loaded 1", "policy_rejected 1", "policy_loaded 2"]);
}

#[tokio::test]
async fn a_file_that_vanishes_keeps_the_policy_and_one_that_returns_clears_the_failure() {
    let mut world = World::start("policy.yaml", |folder| write(folder.join("policy.yaml"), &policy(1)));
    fs::rename(world.path("policy.yaml"), world.path("away")).unwrap();
    let failure = world.attempt().await.failure.unwrap();
    assert!(failure.starts_with("cannot read"), "{failure}");
    assert_eq!(world.rules(), 1);
    fs::rename(world.path("away"), world.path("policy.yaml")).unwrap();
    assert_eq!(world.attempt().await.failure, None);
}

#[tokio::test]
async fn files_come_to_a_folder_and_leave_it() {
    let mut world = World::start("team", |folder| {
        fs::create_dir(folder.join("team")).unwrap();
        write(folder.join("team/a.yaml"), &policy(2));
    });
    write(world.path("b.new"), &policy(1).replace("rule-", "other-").replace("host-", "api-"));
    fs::rename(world.path("b.new"), world.path("team/b.yml")).unwrap();
    world.until_rules(3).await;
    fs::remove_file(world.path("team/a.yaml")).unwrap();
    world.until_rules(1).await;
}

#[tokio::test]
async fn a_policy_beyond_the_ceiling_is_rejected() {
    let ceiling: Ceiling = Box::new(|policy| if policy.rules().len() > 1 { Err("too many".into()) } else { Ok(()) });
    let world = World::with_ceiling("policy.yaml", |folder| write(folder.join("policy.yaml"), &policy(1)), ceiling);
    write(world.path("policy.yaml"), &policy(2));
    assert_eq!(*world.reloader.reload().await.unwrap_err(), "too many");
    assert_eq!(world.rules(), 1);
}

#[tokio::test]
async fn who_asks_gets_the_outcome_of_a_load_of_what_is_there_now() {
    let world = World::start("policy.yaml", |folder| write(folder.join("policy.yaml"), &policy(1)));
    assert_eq!(world.reloader.reload().await, Ok(2));
    // Renamed into place: what is noticed is read at any moment, and must be the old or the new.
    let replace = |text: &str| {
        write(world.path("policy.new"), text);
        fs::rename(world.path("policy.new"), world.path("policy.yaml")).unwrap();
    };
    replace(&policy(2));
    // It may have been noticed already when it is asked for.
    assert!(world.reloader.reload().await.unwrap() >= 3);
    assert_eq!(world.rules(), 2);
    replace("[");
    world.reloader.reload().await.unwrap_err();
    assert_eq!(world.rules(), 2);
}

#[tokio::test]
async fn the_same_content_is_not_loaded_again() {
    let world = World::start("policy.yaml", |folder| write(folder.join("policy.yaml"), &policy(1)));
    write(world.path("policy.yaml.new"), &policy(1));
    fs::rename(world.path("policy.yaml.new"), world.path("policy.yaml")).unwrap();
    write(world.path("other.yaml"), &policy(9));
    assert_eq!(world.reloader.reload().await, Ok(2));
    assert_eq!(world.progress.borrow().attempts, 1);
}

#[test]
fn a_reason_is_one_line_with_the_first_place_and_the_count() {
    let files = [SourceFile { name: "policy.yaml".into(), text: "version: 1\nrules: {}\n".into() }];
    let problem = |start| Problem {
        severity: Severity::Error,
        code: "x",
        message: "`rules` is wrong".into(),
        place: Some(keygress_policy::problem::Place { file: 0, start, end: start + 1 }),
        help: None,
        related: None,
    };
    let warning = Problem { severity: Severity::Warning, ..problem(0) };
    assert_eq!(summary(&[warning, problem(11)], &files), "policy.yaml:2:1: `rules` is wrong");
    assert_eq!(summary(&[problem(11), problem(0)], &files), "policy.yaml:2:1: `rules` is wrong (and 1 more problem)");
    assert_eq!(summary(&[Problem { place: None, ..problem(0) }], &files), "`rules` is wrong");
}
