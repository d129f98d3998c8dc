//! Lawful paths: twelve stages, thirty constraints, a thousand principals, in process. No daemon has a part in it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use agentd_schemas::governance::{Answer, Case, answer, read};
use agentd_schemas::unit::owner::Owner;
use anyhow::bail;

use crate::client::Sample;
use crate::figures::{Better, Figures, Series};
use crate::machine::Ticks;
use crate::options::Options;

const STAGES: u64 = 12;
const CONSTRAINTS: u64 = 30;
const PRINCIPALS: u64 = 1000;
/// Different problems of each row.
const PROBLEMS: u64 = 200;
/// Milliseconds that are asked for.
const ASKED: f64 = 50.0;

/// Measures both answers.
pub(super) fn stage(options: &Options, figures: &mut Figures) -> anyhow::Result<()> {
    for (name, has_path) in [("lawful path, p99", true), ("no lawful path, with what would help, p99", false)] {
        let mut series = Series::new(name, "ms", Better::Less, Some(ASKED));
        for _ in 0..options.repetitions {
            let before = Ticks::now();
            let begun = Instant::now();
            let times = (0..PROBLEMS).map(|nth| one(nth, has_path)).collect::<anyhow::Result<Vec<Duration>>>()?;
            let sample = Sample::of(begun.elapsed(), times);
            series.add(sample.p99_ms, before.foreign_percent());
        }
        figures.take(series, "governance");
    }
    Ok(())
}

/// Answers one problem; gives the time without the reading.
fn one(nth: u64, has_path: bool) -> anyhow::Result<Duration> {
    let document = read(rules(nth, has_path).as_bytes()).map_err(|error| anyhow::anyhow!("{error}"))?;
    let labels = BTreeMap::from([("prod".parse()?, "".parse()?)]);
    let case = Case { labels: &labels, owner: &Owner::Uid(1), principals: document.principals.iter().collect() };
    let begun = Instant::now();
    let answer = answer(&document, &case);
    let took = begun.elapsed();
    match (&answer, has_path) {
        (Answer::Path(_), true) | (Answer::Unmet(_), false) => Ok(took),
        _ => bail!("problem {nth} has another answer than it was made for: {answer:?}"),
    }
}

/// Rules that are different for each number and the same each time. Without a path, four stages that three principals
/// can do are kept apart.
fn rules(nth: u64, has_path: bool) -> String {
    let mut state = nth + 1;
    let mut below = |most: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % most
    };
    let mut text = String::from("[[rule]]\nid = \"prod\"\nwhen = { label = \"prod\" }\nsays = \"measured\"\n");
    for stage in 0..STAGES {
        let skill = if !has_path && stage < 4 { 9 } else { below(6) };
        // Writing to a text does not fail.
        let _ = writeln!(text, "[[rule.stage]]\nname = \"s{stage}\"\nneeds = [\"k{skill}\"]");
    }
    let mut constraints = 0;
    if !has_path {
        text.push_str("[[rule.constraint]]\nseparate = [\"s0\", \"s1\", \"s2\", \"s3\"]\n");
        constraints += 1;
    }
    while constraints < CONSTRAINTS {
        let (one, other) = (below(STAGES), below(STAGES));
        if one != other {
            let owners = below(4) == 0;
            let _ = writeln!(text, "[[rule.constraint]]\nseparate = [\"s{one}\", \"s{other}\"]\nowners = {owners}");
            constraints += 1;
        }
    }
    for principal in 0..PRINCIPALS {
        let (owner, cost, first, second) = (below(40) + 1, below(500), below(6), below(6));
        let rare = if principal % 333 == 0 && principal < 999 { ", \"k9\"" } else { "" };
        let _ = writeln!(
            text,
            "[[principal]]\nname = \"p{principal}\"\nkind = \"agent\"\nowner = {owner}\ncost = \"0.{cost:03} USD\"\n\
             skills = [\"k{first}\", \"k{second}\"{rare}]"
        );
    }
    text
}
