//! Output beyond its bound.

use std::fs;

use agentd_schemas::launch::{Ending, STDOUT_FILE};
use sha2::{Digest as _, Sha256};

use super::proc::peak_kib;
use super::scene::{Scene, levels};

#[test]
fn a_flood_is_counted_whole_and_kept_up_to_its_bound_without_memory() {
    const FLOOD: u64 = 50 << 20;
    const KEPT: u64 = 1 << 20;
    for &level in levels() {
        let scene = Scene::new();
        // It stays after the flood, so that the shim can be looked at.
        let script = format!("yes | head -c {FLOOD}; printf end; : > flooded; while [ ! -e go ]; do sleep 0.05; done");
        let mut spec = scene.script(level, &script);
        spec.limits.output_bytes = KEPT;
        let shim = scene.start(&spec);
        shim.until_work_has("flooded");
        let peak = peak_kib(shim.pid());
        assert!(peak < 32 << 10, "{level:?}: the shim had {peak} KiB");
        fs::write(scene.work("go"), "").unwrap();
        let outcome = shim.outcome();
        assert_eq!(outcome.ending, Ending::Exited(0));
        assert_eq!((outcome.stdout.bytes, outcome.stdout.kept), (FLOOD + 3, KEPT));
        let kept = scene.file(STDOUT_FILE);
        assert_eq!(kept.len() as u64, KEPT);
        assert_eq!(outcome.stdout.sha256, data_encoding::HEXLOWER.encode(&Sha256::digest(&kept)));
        assert!(outcome.stdout.tail.unwrap().ends_with("y\ny\nend"));
    }
}
