//! The tree against the definition of RFC 6962, written down a second time as the recursion that the RFC gives.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// The eight leaves that implementations of RFC 6962 have been tested with since the first one.
const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

pub(in crate::log) fn rfc_leaves() -> Vec<Hash> {
    LEAVES.iter().map(|hex| leaf_hash(&data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap())).collect()
}

pub(in crate::log) fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

/// MTH of RFC 6962, section 2.1, by its definition.
pub(in crate::log) fn definition(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&definition(left), &definition(right))
        }
    }
}

fn frontier(leaves: &[Hash]) -> Frontier {
    let mut frontier = Frontier::new();
    for leaf in leaves {
        frontier.push(*leaf);
    }
    frontier
}

#[test]
fn the_known_roots_come_out() {
    for (size, root) in ROOTS.iter().enumerate() {
        assert_eq!(frontier(&rfc_leaves()[..size]).root().to_string(), *root, "size {size}");
    }
}

#[test]
fn every_small_tree_is_as_defined() {
    let leaves = leaves(130);
    for size in 0..=leaves.len() {
        let frontier = frontier(&leaves[..size]);
        assert_eq!(frontier.root(), definition(&leaves[..size]), "size {size}");
        assert_eq!(frontier.size(), size as u64);
        let again = Frontier::from_parts(frontier.size(), frontier.peaks()).unwrap();
        assert_eq!(again, frontier);
        assert_eq!(again.root(), frontier.root());
    }
}

#[test]
fn every_completed_node_is_reported_once_and_is_as_defined() {
    let leaves = leaves(77);
    let mut frontier = Frontier::new();
    let mut nodes = BTreeMap::new();
    for leaf in &leaves {
        frontier.push_with(*leaf, &mut |level, index, hash| {
            assert!(nodes.insert((level, index), hash).is_none(), "{level} {index} reported twice");
        });
    }
    let mut expected = BTreeMap::new();
    for level in 1..=6_u8 {
        for (index, run) in leaves.chunks_exact(1 << level).enumerate() {
            expected.insert((level, index as u64), definition(run));
        }
    }
    assert_eq!(nodes, expected);
}

#[test]
fn runs_folded_apart_join_to_the_same_tree() {
    let leaves = leaves(64);
    for at in (0..=64).step_by(16) {
        for end in at..=(at + 16).min(64) {
            let mut joined = frontier(&leaves[..at]);
            joined.append(&frontier(&leaves[at..end])).unwrap();
            assert_eq!(joined, frontier(&leaves[..end]), "{at}..{end}");
        }
    }
}

#[test]
fn a_run_that_does_not_fit_is_refused_and_changes_nothing() {
    let mut tree = frontier(&leaves(3));
    let before = tree.clone();
    assert_eq!(tree.append(&frontier(&leaves(2))), Err(FrontierError::Misaligned { size: 3, level: 1 }));
    // The first peak of this run would fit an even size, the second would not.
    assert_eq!(tree.append_subtree(1, Hash::default()), Err(FrontierError::Misaligned { size: 3, level: 1 }));
    assert_eq!(tree, before);
    tree.append_subtree(0, Hash::default()).unwrap();
    assert_eq!(tree.size(), 4);
}

#[test]
fn parts_that_do_not_agree_are_refused() {
    let peak = Hash::default();
    assert_eq!(Frontier::from_parts(3, vec![peak]), Err(FrontierError::Peaks { size: 3, peaks: 1 }));
    assert_eq!(Frontier::from_parts(0, vec![peak]), Err(FrontierError::Peaks { size: 0, peaks: 1 }));
    assert!(matches!(Frontier::from_parts(u64::MAX, vec![peak; 64]), Err(FrontierError::TooLarge { .. })));
    let mut full = Frontier::from_parts(MAX_TREE_SIZE, vec![peak; 63]).unwrap();
    assert!(matches!(full.append_subtree(0, peak), Err(FrontierError::TooLarge { .. })));
    assert!(matches!(full.append_subtree(200, peak), Err(FrontierError::TooLarge { .. })));
}

proptest! {
    #[test]
    fn another_leaf_makes_another_root(size in 1_usize..200, at in any::<prop::sample::Index>(), bit in 0_usize..256) {
        let mut leaves = leaves(size as u64);
        let root = frontier(&leaves).root();
        leaves[at.index(size)].0[bit / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(frontier(&leaves).root(), root);
    }
}
