use std::collections::BTreeMap;

use proptest::prelude::*;

use super::problem::{Supposed, World};
use super::{Answer, Case, Contradiction, Duties, MAX_SEARCH_STEPS, answer, examples, read, solve};
use crate::document::governance::{
    Constraint, GovernanceDocument, Only, Principal, PrincipalKind, Rule, Stage, StageKind,
};
use crate::unit::money::{MicroUsd, Usd};
use crate::unit::name::{LabelKey, LabelValue, Slug};
use crate::unit::owner::Owner;

fn slug(text: &str) -> Slug {
    text.parse().unwrap()
}

fn labels(keys: &[&str]) -> BTreeMap<LabelKey, LabelValue> {
    keys.iter().map(|key| (key.parse().unwrap(), "".parse().unwrap())).collect()
}

fn rule(id: &str, stages: Vec<Stage>, constraints: Vec<Constraint>) -> Rule {
    let when = toml::from_str(&format!("label = {id:?}")).unwrap();
    Rule { id: slug(id), when, says: "x".to_owned(), stages, constraints }
}

fn stage(at: usize) -> Stage {
    let (needs, evidence, after) = (Vec::new(), Vec::new(), Vec::new());
    Stage {
        name: slug(&format!("s{at:02}")),
        needs,
        kind: None,
        clearance: None,
        model_class: None,
        count: None,
        evidence,
        after,
    }
}

fn name(at: usize) -> Slug {
    slug(&format!("s{at:02}"))
}

fn separate(stages: Vec<Slug>, owners: bool) -> Constraint {
    Constraint { separate: Some(stages), owners, ..Constraint::default() }
}

fn listed<T: std::str::FromStr<Err: std::fmt::Debug>>(bits: u8, names: &[&str]) -> Vec<T> {
    let chosen = names.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0);
    chosen.map(|(_, name)| name.parse().unwrap()).collect()
}

const SKILLS: [&str; 2] = ["git", "rust"];
const NAMES: [&str; 2] = ["pii", "top"];

fn principals() -> impl Strategy<Value = Vec<Principal>> {
    let one = (any::<bool>(), 0_u8..3, any::<[u8; 4]>(), any::<bool>(), 0_u64..4);
    prop::collection::vec(one, 0..=5).prop_map(|all| {
        let principals = all.into_iter().enumerate().map(|(at, (agent, owner, bits, class, cost))| {
            let kind = if agent { PrincipalKind::Agent } else { PrincipalKind::Person };
            let skills: Vec<crate::unit::name::Skill> = listed(bits[0], &SKILLS);
            Principal {
                name: slug(&format!("p{}", 9 - at)),
                kind,
                owner: agent.then_some(Owner::Uid(u32::from(owner))),
                demonstrated: skills.iter().filter(|_| bits[1] & 4 != 0).cloned().collect(),
                skills,
                clearances: listed(bits[2], &NAMES),
                groups: listed(bits[3], &NAMES),
                model_class: (agent && class).then(|| slug("large")),
                cost: Usd(MicroUsd::new(cost).unwrap()),
            }
        });
        principals.collect()
    })
}

fn stages() -> impl Strategy<Value = Vec<Stage>> {
    let one = (0_u8..8, 0_u8..6, 0_u8..4, 0_u8..6, 0_u8..8);
    prop::collection::vec(one, 1..=5).prop_map(|all| {
        let stages = all.into_iter().enumerate().map(|(at, (needs, kind, clearance, class, count))| Stage {
            needs: listed(needs, &SKILLS),
            kind: [Some(StageKind::Agent), Some(StageKind::Person), Some(StageKind::Either)]
                .into_iter()
                .nth(kind.into())
                .flatten(),
            clearance: (clearance == 0).then(|| slug("pii")),
            model_class: (class == 0).then(|| slug("large")),
            count: (count == 0).then_some(2),
            ..stage(at)
        });
        stages.collect()
    })
}

fn constraints(stages: usize) -> impl Strategy<Value = Vec<Constraint>> {
    let one = (0_u8..8, 0..stages, 0..stages, any::<bool>());
    prop::collection::vec(one, 0..=6).prop_map(|all| {
        let constraint = |(kind, one, other, owners): (u8, usize, usize, bool)| match kind {
            0 => Some(Constraint { not_owner_of_work: Some(name(one)), ..Constraint::default() }),
            1 => {
                Some(Constraint { only: Some(Only { stage: name(one), group: slug("pii") }), ..Constraint::default() })
            }
            _ if one == other => None,
            2 => Some(Constraint { same: Some(vec![name(one), name(other)]), ..Constraint::default() }),
            _ => Some(separate(vec![name(one), name(other)], owners)),
        };
        all.into_iter().filter_map(constraint).collect()
    })
}

fn documents() -> impl Strategy<Value = GovernanceDocument> {
    let rule_one =
        stages().prop_flat_map(|stages| (constraints(stages.len()), constraints(stages.len()), Just(stages)));
    (rule_one, principals()).prop_map(|((one, two, stages), principals)| {
        let plain: Vec<Stage> = (0..stages.len()).map(stage).collect();
        let rules = vec![rule("a", stages, one), rule("b", plain, two)];
        GovernanceDocument { rules, principals, examples: Vec::new() }
    })
}

/// Whether somebody may do a stage, as the document says it.
fn may(document: &GovernanceDocument, stage: &Stage, who: &Principal, owner: &Owner) -> bool {
    let constraints = document.rules.iter().flat_map(|rule| &rule.constraints);
    stage.needs.iter().all(|skill| who.skills.contains(skill))
        && match stage.kind {
            Some(StageKind::Agent) => who.kind == PrincipalKind::Agent,
            Some(StageKind::Person) => who.kind == PrincipalKind::Person,
            _ => true,
        }
        && stage.clearance.as_ref().is_none_or(|clearance| who.clearances.contains(clearance))
        && (who.kind == PrincipalKind::Person || stage.model_class.is_none() || who.model_class == stage.model_class)
        && constraints.into_iter().all(|constraint| {
            let not_owner = constraint.not_owner_of_work.as_ref() == Some(&stage.name) && who.owner() == *owner;
            let outside = constraint
                .only
                .as_ref()
                .is_some_and(|only| only.stage == stage.name && !who.groups.contains(&only.group));
            !not_owner && !outside
        })
}

/// Who does each stage, as numbers of principals.
type Way = Vec<Vec<usize>>;

fn is_lawful(document: &GovernanceDocument, way: &Way) -> bool {
    let at = |name: &Slug| document.rules[0].stages.iter().position(|stage| stage.name == *name).unwrap();
    document.rules.iter().flat_map(|rule| &rule.constraints).all(|constraint| {
        let same = constraint.same.iter().all(|bound| way[at(&bound[0])] == way[at(&bound[1])]);
        let apart = constraint.separate.iter().all(|stages| {
            let (one, other) = (&way[at(&stages[0])], &way[at(&stages[1])]);
            let owner = |who: &usize| document.principals[*who].owner();
            one.iter()
                .all(|one| other.iter().all(|other| one != other && !(constraint.owners && owner(one) == owner(other))))
        });
        same && apart
    })
}

/// Every way to do all stages, tried one after the other. The same principals do bound stages: as many as the stage that
/// takes most.
fn oracle(document: &GovernanceDocument, owner: &Owner) -> Option<(u64, usize, Vec<Vec<Slug>>)> {
    let stages = &document.rules[0].stages;
    let duties = Duties::together(&document.rules).ok()?;
    let classes = super::duties::classes(stages.len(), duties.demands.iter().map(|demand| &demand.what));
    let count = |stage: usize| {
        let bound = stages.iter().enumerate().filter(|(at, _)| classes[*at] == classes[stage]);
        bound.map(|(_, stage)| stage.count.unwrap_or(1)).max().unwrap()
    };
    let mut ways: Vec<Way> = vec![Vec::new()];
    for (at, stage) in stages.iter().enumerate() {
        let able = |who: &usize| may(document, stage, &document.principals[*who], owner);
        let able: Vec<usize> = (0..document.principals.len()).filter(able).collect();
        let sets: Vec<Vec<usize>> = if count(at) == 1 {
            able.iter().map(|who| vec![*who]).collect()
        } else {
            able.iter()
                .flat_map(|one| able.iter().filter(move |other| one < other).map(move |other| vec![*one, *other]))
                .collect()
        };
        ways = ways
            .into_iter()
            .flat_map(|way| sets.iter().map(move |set| [way.clone(), vec![set.clone()]].concat()))
            .collect();
    }
    let worth = |way: Way| {
        let mut sum = (0, 0, Vec::new());
        for (stage, who) in stages.iter().zip(way) {
            let who: Vec<&Principal> = who.into_iter().map(|who| &document.principals[who]).collect();
            sum.0 += who.iter().map(|who| who.cost.0.as_micro()).sum::<u64>();
            sum.1 += who.iter().filter(|who| stage.needs.iter().any(|skill| !who.demonstrated.contains(skill))).count();
            let mut names: Vec<Slug> = who.iter().map(|who| who.name.clone()).collect();
            names.sort();
            sum.2.push(names);
        }
        sum
    };
    ways.into_iter().filter(|way| is_lawful(document, way)).map(worth).min()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn the_answer_is_that_of_who_tries_everything(document in documents()) {
        let (owner, labels) = (Owner::Uid(1), labels(&["a", "b"]));
        let case = Case { labels: &labels, owner: &owner, principals: document.principals.iter().collect() };
        let expected = oracle(&document, &owner);
        match answer(&document, &case) {
            Answer::Path(path) => {
                let claimed = path.stages.iter().flat_map(|step| &step.who).filter(|pick| pick.matched == super::MatchedBy::Claimed);
                let names = path.stages.iter().map(|step| step.who.iter().map(|pick| pick.name.clone()).collect());
                prop_assert_eq!(Some((path.cost_micro_usd, claimed.count(), names.collect())), expected);
            }
            Answer::Contradiction(_) => prop_assert_eq!(None, expected),
            Answer::Unmet(unmet) => {
                prop_assert_eq!(None, expected);
                prop_assert!(unmet.minimal);
                let duties = Duties::of(&document, &labels).unwrap();
                let world = World::new(&duties, &case);
                // What is named is a set of demands, some of which may be written twice in the rules.
                let at = |demand| duties.demands.iter().position(|known| known == demand).unwrap();
                let core: std::collections::BTreeSet<usize> = unmet.demands.iter().map(at).collect();
                prop_assert_eq!(core.len(), unmet.demands.len());
                let has_path = |without: Option<usize>| {
                    let holds: Vec<bool> = (0..duties.demands.len()).map(|at| core.contains(&at) && Some(at) != without).collect();
                    world.has_path(&holds, &Supposed::default(), &mut MAX_SEARCH_STEPS.clone()).unwrap()
                };
                prop_assert!(!has_path(None));
                prop_assert!(core.iter().all(|at| has_path(Some(*at))));
            }
            Answer::TooHard => prop_assert!(false, "too hard"),
        }
    }

    #[test]
    fn trying_place_by_place_finds_what_tables_find(document in documents()) {
        let (owner, labels) = (Owner::Uid(1), labels(&["a", "b"]));
        let case = Case { labels: &labels, owner: &owner, principals: document.principals.iter().collect() };
        let Ok(duties) = Duties::of(&document, &labels) else { return Ok(()) };
        let world = World::new(&duties, &case);
        let problem = world.problem(&vec![true; duties.demands.len()], &Supposed::default());
        let within = |widest, any| solve::within(&problem, &mut MAX_SEARCH_STEPS.clone(), any, widest).unwrap();
        prop_assert_eq!(within(1, false), within(14, false));
        prop_assert_eq!(within(1, true).is_some(), within(14, true).is_some());
        prop_assert_eq!(within(14, true).is_some(), within(14, false).is_some());
    }
}

/// Twelve stages, thirty constraints, a thousand principals; `reviewers` of them may do the last four stages, which three
/// constraints keep apart.
fn large(reviewers: usize) -> GovernanceDocument {
    let stages = (0..12).map(|at| Stage { needs: listed(if at < 8 { 1 } else { 2 }, &SKILLS), ..stage(at) }).collect();
    let pairs = (0..12).flat_map(|one| (one + 1..12).map(move |other| (one, other)));
    let pairs = pairs.filter(|(one, other)| (one * 7 + other * 5) % 2 == 0 || (*one >= 8 && *other >= 8));
    let constraints: Vec<Constraint> =
        pairs.take(30).map(|(one, other)| separate(vec![name(one), name(other)], (one + other) % 3 == 0)).collect();
    assert_eq!(constraints.len(), 30);
    let mut last = constraints;
    last.truncate(29);
    last.push(separate((8..12).map(name).collect(), false));
    let principal = |at: usize| Principal {
        name: slug(&format!("p{at:04}")),
        kind: PrincipalKind::Agent,
        owner: Some(Owner::Uid(u32::try_from(at % 50).unwrap())),
        skills: listed(if at < reviewers { 3 } else { 1 }, &SKILLS),
        demonstrated: Vec::new(),
        clearances: Vec::new(),
        groups: Vec::new(),
        model_class: None,
        cost: Usd(MicroUsd::new(u64::try_from(at * 7919 % 1000).unwrap()).unwrap()),
    };
    GovernanceDocument {
        rules: vec![rule("a", stages, last)],
        principals: (0..1000).map(principal).collect(),
        examples: Vec::new(),
    }
}

#[test]
fn a_large_problem_ends_within_its_steps() {
    let (owner, labels) = (Owner::Uid(1), labels(&["a"]));
    for (reviewers, has_path) in [(1000, true), (40, true), (3, false), (0, false)] {
        let document = large(reviewers);
        let case = Case { labels: &labels, owner: &owner, principals: document.principals.iter().collect() };
        match answer(&document, &case) {
            Answer::Path(_) => assert!(has_path, "{reviewers}"),
            Answer::Unmet(unmet) => {
                assert!(!has_path && unmet.minimal, "{reviewers}");
                assert!(!unmet.changes.is_empty(), "{reviewers}");
            }
            other => panic!("{reviewers}: {other:?}"),
        }
    }
}

const OFFICE: &str = r#"
[[rule]]
id = "prod"
when = { label = "prod" }
says = "Four eyes"
stage = [{ name = "implement", needs = ["rust"], kind = "agent" }, { name = "review", needs = ["review"], after = ["implement"] }]
constraint = [{ separate = ["implement", "review"], owners = true }]

[[principal]]
name = "alice"
kind = "person"

[[principal]]
name = "fixer"
kind = "agent"
owner = "alice"
skills = ["rust", "review"]

[[principal]]
name = "tester"
kind = "agent"
owner = "bob"
skills = ["rust"]

[[example]]
name = "nobody-reviews"
labels = { prod = "" }
owner = "alice"
unmet = "prod"
principals = ["alice", "fixer"]

[[example]]
name = "reviewed"
labels = { prod = "" }
owner = "alice"
path = { implement = ["tester"], review = ["fixer"] }
"#;

#[test]
fn examples_are_tried_and_what_would_help_is_named() {
    let document = read(OFFICE.as_bytes()).unwrap();
    let verdicts = examples(&document);
    assert!(verdicts.iter().all(|verdict| verdict.holds), "{verdicts:#?}");
    let Answer::Unmet(unmet) = &verdicts[0].answer else { panic!("{verdicts:#?}") };
    let demands: Vec<String> = unmet.demands.iter().map(|demand| demand.what.to_string()).collect();
    assert_eq!(demands, ["no owner stands behind two of implement and review"], "alice has fixer");
    let changes: Vec<String> = unmet.changes.iter().map(|steps| steps[0].to_string()).collect();
    assert_eq!(changes, ["one more agent with the skill rust for implement", "drop the rule prod"]);
}

#[test]
fn what_no_work_can_follow_is_refused_with_its_line() {
    for (from, to, line, says, hint) in [
        (
            "after = [\"implement\"]",
            "after = [\"implment\"]",
            6,
            "rule prod has no stage implment",
            "did you mean \"implement\"?",
        ),
        (
            "kind = \"agent\" },",
            "kind = \"agent\", after = [\"review\"] },",
            3,
            "implement, review wait for each other",
            "\"after\"",
        ),
        (
            "owners = true }",
            "owners = true }, { same = [\"review\", \"implement\"] }",
            3,
            "the rule prod separates implement from review",
            "\"same\"",
        ),
        ("separate = [\"implement\", \"review\"], ", "", 7, "none or several of separate", "for each"),
        ("owner = \"bob\"", "", 20, "the agent tester has no owner", "owner = "),
        ("unmet = \"prod\"", "unmet = \"prdo\"", 29, "there is no rule prdo", "did you mean \"prod\"?"),
        ("needs = [\"rust\"]", "skils = [\"rust\"]", 6, "unknown field \"skils\"", "known fields"),
        ("kind = \"agent\" },", "count = 9 },", 6, "stage implement takes 9 principals", "1 to 8"),
    ] {
        assert!(OFFICE.contains(from), "{from}");
        let error = read(OFFICE.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert!(error.message().contains(says), "{to}: {error}");
        assert!(error.hint().is_some_and(|text| text.contains(hint)), "{to}: {error}");
        assert_eq!(error.line(), Some(line), "{to}: {error}");
    }
}

#[test]
fn two_rules_contradict_each_other_only_where_a_work_can_be_under_both() {
    let two = |one: &str, other: &str| {
        let text = format!(
            "[[rule]]\nid = \"a\"\nwhen = {{ label = {one:?} }}\nsays = \"x\"\nstage = [{{ name = \"s\", kind = \"agent\" }}]\n\
             [[rule]]\nid = \"b\"\nwhen = {{ label = {other:?} }}\nsays = \"x\"\nstage = [{{ name = \"s\", kind = \"person\" }}]\n"
        );
        read(text.as_bytes()).map_err(|error| error.to_string())
    };
    assert!(two("team=a", "team=b").is_ok());
    for (one, other) in [("team=a", "team"), ("team=a", "prod"), ("team", "team")] {
        let error = two(one, other).unwrap_err();
        assert!(error.contains("the rule a has the stage s done by an agent, and the rule b by a person"), "{error}");
    }
}

#[test]
fn a_contradiction_of_three_rules_is_an_answer() {
    let bind = |id: &str, one, other| {
        let constraint = Constraint { same: Some(vec![name(one), name(other)]), ..Constraint::default() };
        rule(id, vec![stage(one), stage(other)], vec![constraint])
    };
    let apart = rule("c", vec![stage(0), stage(2)], vec![separate(vec![name(0), name(2)], false)]);
    let rules = vec![bind("a", 0, 1), bind("b", 1, 2), apart];
    let document = GovernanceDocument { rules, principals: Vec::new(), examples: Vec::new() };
    let (owner, labels) = (Owner::Uid(1), labels(&["a", "b", "c"]));
    let case = Case { labels: &labels, owner: &owner, principals: Vec::new() };
    assert!(matches!(answer(&document, &case), Answer::Contradiction(Contradiction::Duties { .. })));
}
