//! What the probe says of this machine, held against what the machine says otherwise.

use std::path::Path;

use agentd_schemas::launch::{Level, PROBE_VERSION};

use super::scene::{Rights, Scene, probe, rights};

#[test]
fn the_probe_says_what_really_runs() {
    for rights in rights() {
        let probe = probe(rights);
        assert_eq!((probe.version, probe.root), (PROBE_VERSION, rights == Rights::Root));
        let levels: Vec<Level> = probe.levels.iter().map(|probe| probe.level).collect();
        assert_eq!(levels, [Level::Landlock, Level::Strict]);
        for level in &probe.levels {
            assert_eq!(level.works, level.reason.is_none(), "{level:?}");
        }
        let strict = &probe.levels[1];
        assert!(!strict.works || (probe.bubblewrap.is_some() && probe.user_namespaces), "{probe:?}");
        assert!(!strict.works || probe.strongest() == Some(Level::Strict));
        for path in [&probe.bubblewrap, &probe.git].into_iter().flatten() {
            assert!(path.is_file(), "{path:?}");
        }
        for group in &probe.control_groups {
            assert!(group.parent.join("cgroup.procs").exists(), "{group:?}");
        }
        // What the trials made is gone.
        let left = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
        assert!(!left.into_iter().any(|entry| {
            let trial = entry.file_name().to_str().is_some_and(|name| name.starts_with("agentd-probe-"));
            trial && entry.metadata().is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == probe.uid)
        }));
    }
}

#[test]
fn a_shim_that_is_not_there_is_a_reason_at_each_level() {
    for rights in rights() {
        let scene = Scene::new(rights);
        let told = scene.launcher().arg("probe").arg("--shim").arg(Path::new("/no/such/shim")).output().unwrap();
        assert!(told.status.success(), "{told:?}");
        let probe: agentd_schemas::launch::Probe = serde_json::from_slice(&told.stdout).unwrap();
        for level in &probe.levels {
            assert!(!level.works && level.reason.as_ref().unwrap().contains("/no/such/shim"), "{level:?}");
        }
        assert_eq!(probe.strongest(), None);
    }
}
