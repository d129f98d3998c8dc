//! Proofs, exhaustively for small trees and against every change of one bit, one hash or one number.

use std::convert::Infallible;

use proptest::prelude::*;

use super::super::tree::tests::{definition, leaves, rfc_leaves};
use super::*;

fn node(leaves: &[Hash]) -> impl FnMut(u8, u64) -> Result<Hash, Infallible> {
    move |level, index| {
        let run = usize::try_from(index << level).unwrap()..usize::try_from((index + 1) << level).unwrap();
        Ok(definition(&leaves[run]))
    }
}

fn inclusion(leaves: &[Hash], index: u64, size: u64) -> Vec<Hash> {
    prove_inclusion(index, size, node(&leaves[..usize::try_from(size).unwrap()])).unwrap()
}

fn consistency(leaves: &[Hash], older: u64, newer: u64) -> Vec<Hash> {
    prove_consistency(older, newer, node(&leaves[..usize::try_from(newer).unwrap()])).unwrap()
}

/// PATH of RFC 6962, section 2.1.1, by its definition.
fn path_definition(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let split = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(split);
    let (mut path, sibling) = if index < split {
        (path_definition(index, left), definition(right))
    } else {
        (path_definition(index - split, right), definition(left))
    };
    path.push(sibling);
    path
}

/// SUBPROOF of RFC 6962, section 2.1.2, by its definition.
fn subproof_definition(older: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if older == leaves.len() {
        return if whole { Vec::new() } else { vec![definition(leaves)] };
    }
    let split = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(split);
    let (mut path, other) = if older <= split {
        (subproof_definition(older, left, whole), definition(right))
    } else {
        (subproof_definition(older - split, right, false), definition(left))
    };
    path.push(other);
    path
}

#[test]
fn the_known_paths_come_out() {
    let hex = |proof: Vec<Hash>| proof.iter().map(ToString::to_string).collect::<Vec<_>>();
    let leaves = rfc_leaves();
    assert_eq!(hex(inclusion(&leaves, 0, 1)), Vec::<String>::new());
    assert_eq!(
        hex(inclusion(&leaves, 0, 8)),
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ]
    );
    assert_eq!(
        hex(inclusion(&leaves, 5, 8)),
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
    assert_eq!(
        hex(consistency(&leaves, 6, 8)),
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
}

#[test]
fn every_small_inclusion_is_proved_as_defined_and_verifies() {
    let leaves = leaves(64);
    for size in 1..=64 {
        let tree = &leaves[..size];
        let root = definition(tree);
        for (index, leaf) in tree.iter().enumerate() {
            let proof = inclusion(&leaves, index as u64, size as u64);
            assert_eq!(proof, path_definition(index, tree), "{index} of {size}");
            assert_eq!(verify_inclusion(index as u64, size as u64, leaf, &proof, &root), Ok(()));
            for other in (0..size).filter(|other| *other != index) {
                assert!(
                    verify_inclusion(other as u64, size as u64, leaf, &proof, &root).is_err(),
                    "{index} as {other}"
                );
            }
        }
    }
}

#[test]
fn every_small_consistency_is_proved_as_defined_and_verifies() {
    let leaves = leaves(64);
    let roots: Vec<_> = (0..=64).map(|size| definition(&leaves[..size])).collect();
    for newer in 0..=64 {
        for older in 0..=newer {
            let proof = consistency(&leaves, older as u64, newer as u64);
            if older > 0 {
                assert_eq!(proof, subproof_definition(older, &leaves[..newer], true), "{older} to {newer}");
            }
            let check =
                |m: &Hash, n: &Hash, proof: &[Hash]| verify_consistency(older as u64, newer as u64, m, n, proof);
            assert_eq!(check(&roots[older], &roots[newer], &proof), Ok(()), "{older} to {newer}");
            let wrong = Hash([9; 32]);
            assert!(check(&wrong, &roots[newer], &proof).is_err());
            assert_eq!(check(&roots[older], &wrong, &proof).is_err(), older > 0 || newer == 0);
            let mut longer = proof.clone();
            longer.push(wrong);
            assert!(check(&roots[older], &roots[newer], &longer).is_err());
            if !proof.is_empty() {
                assert!(check(&roots[older], &roots[newer], &proof[1..]).is_err());
                assert!(check(&roots[older], &roots[newer], &proof[..proof.len() - 1]).is_err());
            }
        }
    }
}

#[test]
fn what_cannot_be_proved_is_refused_with_the_numbers() {
    let none = |_, _| Ok::<_, Infallible>(Hash::default());
    let refused = |result: Result<Vec<Hash>, GenerateError<Infallible>>| match result {
        Err(GenerateError::Refused(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(prove_inclusion(3, 3, none)), ProofError::NoSuchLeaf { index: 3, size: 3 });
    assert_eq!(refused(prove_inclusion(0, 0, none)), ProofError::NoSuchLeaf { index: 0, size: 0 });
    assert_eq!(refused(prove_inclusion(0, u64::MAX, none)), ProofError::TooLarge { size: u64::MAX });
    assert_eq!(refused(prove_consistency(4, 3, none)), ProofError::Reversed { older: 4, newer: 3 });
    let hash = Hash::default();
    assert_eq!(verify_inclusion(3, 3, &hash, &[], &hash), Err(ProofError::NoSuchLeaf { index: 3, size: 3 }));
    assert_eq!(verify_consistency(4, 3, &hash, &hash, &[]), Err(ProofError::Reversed { older: 4, newer: 3 }));
    assert_eq!(verify_inclusion(0, u64::MAX, &hash, &[], &hash), Err(ProofError::TooLarge { size: u64::MAX }));
    assert_eq!(verify_consistency(0, 0, &hash, &hash, &[]), Err(ProofError::OlderRoot));
    assert_eq!(verify_consistency(3, 5, &hash, &hash, &[]), Err(ProofError::Length { hashes: 0 }));
}

#[test]
fn a_store_that_fails_is_named_with_the_node() {
    let error = prove_inclusion(0, 8, |level, _| if level == 2 { Err("gone") } else { Ok(Hash::default()) });
    assert!(matches!(error, Err(GenerateError::Node { level: 2, index: 1, source: "gone" })));
}

#[test]
fn the_largest_tree_stays_within_the_bounds() {
    let node = |level, index: u64| Ok::<_, Infallible>(super::super::tree::leaf_hash(&[level, index.to_be_bytes()[7]]));
    for index in [0, 1, MAX_TREE_SIZE / 2, MAX_TREE_SIZE - 1] {
        let proof = prove_inclusion(index, MAX_TREE_SIZE, node).unwrap();
        assert!(proof.len() <= MAX_INCLUSION_HASHES);
        let leaf = node(0, index).unwrap();
        assert!(root_from_inclusion(index, MAX_TREE_SIZE, &leaf, &proof).is_ok());
        assert!(prove_consistency(index, MAX_TREE_SIZE, node).unwrap().len() <= MAX_CONSISTENCY_HASHES);
    }
    let many = vec![Hash::default(); 127];
    let hash = Hash::default();
    assert_eq!(verify_inclusion(0, 9, &hash, &many, &hash), Err(ProofError::Length { hashes: 127 }));
    assert_eq!(verify_consistency(3, 9, &hash, &hash, &many), Err(ProofError::Length { hashes: 127 }));
}

proptest! {
    #[test]
    fn an_inclusion_proof_with_a_flipped_bit_is_refused(
        size in 2_u64..300, at in any::<prop::sample::Index>(), which in any::<prop::sample::Index>(), bit in 0_usize..256,
    ) {
        let leaves = leaves(size);
        let index = at.index(leaves.len());
        let (root, mut proof) = (definition(&leaves), inclusion(&leaves, index as u64, size));
        prop_assert_eq!(verify_inclusion(index as u64, size, &leaves[index], &proof, &root), Ok(()));
        let which = which.index(proof.len());
        proof[which].0[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(verify_inclusion(index as u64, size, &leaves[index], &proof, &root), Err(ProofError::Root));
    }

    #[test]
    fn a_consistency_proof_with_a_flipped_bit_is_refused(
        newer in 3_u64..300, at in any::<prop::sample::Index>(), which in any::<prop::sample::Index>(), bit in 0_usize..256,
    ) {
        let leaves = leaves(newer);
        let older = 1 + at.index(leaves.len() - 1);
        let roots = (definition(&leaves[..older]), definition(&leaves));
        let mut proof = consistency(&leaves, older as u64, newer);
        prop_assert_eq!(verify_consistency(older as u64, newer, &roots.0, &roots.1, &proof), Ok(()));
        let which = which.index(proof.len());
        proof[which].0[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify_consistency(older as u64, newer, &roots.0, &roots.1, &proof).is_err());
    }

    #[test]
    fn no_input_makes_verification_panic(
        a in any::<u64>(), b in any::<u64>(), proof in prop::collection::vec(any::<[u8; 32]>().prop_map(Hash), 0..130),
    ) {
        let hash = Hash([1; 32]);
        prop_assert!(verify_inclusion(a, b, &hash, &proof, &hash).is_err());
        prop_assert!(verify_consistency(a, b, &hash, &Hash([2; 32]), &proof).is_err());
    }
}
