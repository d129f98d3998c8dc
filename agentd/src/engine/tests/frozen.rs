//! A frozen run takes on nothing new, and what it did before is recorded.

use agentd_schemas::document::request::Scope;
use agentd_schemas::event::AmountSource;
use agentd_schemas::key::openssh::PrivateKey;
use agentd_schemas::problem::Code;
use serde_json::json;

use super::{OWNER, Scene, kinds};
use crate::domain::command::{Completion, RunRef, Spending, Submitter};
use crate::domain::work::prepare::prepare;
use crate::domain::{Command, Defaults};

fn reserve(run: RunRef) -> Command {
    Command::ReserveCost { run, micro_usd: 5, tokens: 5 }
}

fn children(run: RunRef) -> Command {
    let documents = serde_json::from_value(json!([{"title": "a part"}])).unwrap();
    let works = prepare(documents, &Defaults::default(), &mut |text| Ok(text.parse().unwrap())).unwrap();
    Command::SubmitWorks { owner: OWNER, works, from: Submitter::Run(run) }
}

fn cost(run: RunRef) -> Command {
    let cost = Spending {
        reservation: None,
        micro_usd: Some(3),
        tokens: 1,
        source: AmountSource::Reported,
        effective_model: None,
    };
    Command::SettleCost { run, cost }
}

fn complete(run: RunRef, judged_work: u64) -> Command {
    let completion = Completion {
        statement: b"{}".to_vec(),
        result: b"done".to_vec(),
        json: false,
        verdicts: Vec::new(),
        judged_work,
        signed_by: PrivateKey::from_seed(&[9; 32]).public_key().to_string(),
        message: None,
        artefacts: Vec::new(),
        commit: None,
        report: None,
    };
    Command::CompleteWork { run, completion: Box::new(completion) }
}

fn key(scene: &Scene) -> u64 {
    scene.db().query_row("SELECT max(key) FROM works", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_frozen_run_takes_on_nothing_new() {
    let mut scene = Scene::new();
    let work = scene.submit(json!([{"title": "x"}]))[0];
    let run = scene.claim().unwrap();
    for scope in [Scope::All, Scope::Work(work), Scope::Agent("worker".parse().unwrap())] {
        scene.run(Command::Freeze { scope: scope.clone(), reason: "look".to_owned() });
        for command in [reserve(run), children(run)] {
            let problem = scene.refused(command);
            assert_eq!(problem.code, Code::Frozen, "{scope:?}");
            assert!(problem.hint.is_some_and(|hint| hint.contains("agentctl thaw ")));
        }
        scene.run(Command::Thaw { scope });
    }
    assert_eq!(kinds(&scene.run(reserve(run))), ["CostReserved"]);
    assert_eq!(kinds(&scene.run(children(run))), ["WorkSubmitted"]);
}

#[test]
fn what_a_run_did_before_the_freeze_is_recorded() {
    let mut scene = Scene::new();
    scene.submit(json!([{"title": "x"}]));
    let work_key = key(&scene);
    let run = scene.claim().unwrap();
    scene.run(Command::Freeze { scope: Scope::All, reason: "look".to_owned() });
    assert_eq!(kinds(&scene.run(cost(run))), ["CostSettled"]);
    assert_eq!(kinds(&scene.run(complete(run, work_key))), ["WorkCompleted"]);
    assert_eq!(scene.refused(reserve(run)).code, Code::StaleFence, "a run that is over is not frozen but over");
}

#[test]
fn a_freeze_of_another_work_holds_nobody_else() {
    let mut scene = Scene::new();
    let works = scene.submit(json!([{"title": "x"}, {"title": "y"}]));
    let run = scene.claim().unwrap();
    let other = if run.work == works[0] { works[1] } else { works[0] };
    scene.run(Command::Freeze { scope: Scope::Work(other), reason: "look".to_owned() });
    assert_eq!(kinds(&scene.run(reserve(run))), ["CostReserved"]);
}
