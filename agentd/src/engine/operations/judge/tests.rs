use std::sync::mpsc;

use agentd_schemas::problem::Code;
use serde_json::json;

use super::*;

fn criterion(name: &str) -> Criterion {
    Criterion::JsonSchema { sha256: name.to_owned() }
}

async fn judged(judges: &Judges, schema: &Value, result: &str) -> Result<Judgement, Problem> {
    judges.judge(1000, vec![criterion(&schema.to_string())], vec![Some(schema.clone())], result.to_owned()).await
}

#[tokio::test]
async fn a_result_that_two_readers_could_read_differently_is_refused() {
    let judges = Judges::default();
    let schema = json!({"properties": {"lines": {"type": "integer"}}});
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    for result in [r#"{"lines": "a lie", "lines": 3}"#, r#"{"a": {"b": 1, "b": 1}}"#, r#""\ud800""#, "1e999", &deep] {
        let problem = judged(&judges, &schema, result).await.unwrap_err();
        assert_eq!(problem.code, Code::InvalidDocument, "{result}");
        assert!(problem.message.starts_with("the result: ") && problem.hint.is_some(), "{problem:?}");
        let unasked = judges.judge(1000, Vec::new(), Vec::new(), result.to_owned()).await;
        assert_eq!(unasked.unwrap_err().code, Code::InvalidDocument, "{result}");
    }
    let text = judged(&judges, &schema, "no JSON").await.unwrap();
    assert_eq!((text.verdicts[0].met, text.json), (Some(false), false));
    assert!(judged(&judges, &schema, r#"{"lines": 3}"#).await.unwrap().message.is_none());
}

#[tokio::test]
async fn a_uid_has_one_judgement_at_a_time_and_waits_for_nobody_elses() {
    let judges = Arc::new(Judges::default());
    let (begun, begins) = mpsc::channel();
    let (end, ends) = mpsc::channel::<()>();
    let slow = judges.clone();
    let first = tokio::spawn(async move {
        let wait = move || {
            begun.send(()).map_err(Problem::internal)?;
            ends.recv().map_err(Problem::internal)
        };
        slow.run(1, wait).await
    });
    while begins.try_recv().is_err() {
        tokio::task::yield_now().await;
    }
    // Its second waits behind its first; another uid's does not.
    let second = judges.clone();
    let second = tokio::spawn(async move { second.run(1, || Ok(2)).await });
    assert_eq!(judges.run(2, || Ok(3)).await.unwrap(), 3);
    assert!(!second.is_finished());
    end.send(()).unwrap();
    first.await.unwrap().unwrap();
    assert_eq!(second.await.unwrap().unwrap(), 2);
    assert!(judges.turns.lock().unwrap().is_empty());
}

#[tokio::test]
async fn too_many_that_wait_are_refused() {
    let judges = Judges::default();
    let turns: Vec<Turn> = (0..MAX_WAITING).map(|_| judges.turn(1).unwrap()).collect();
    assert_eq!(judges.run(1, || Ok(())).await.unwrap_err().code, Code::Busy);
    judges.run(2, || Ok(())).await.unwrap();
    drop(turns);
    judges.run(1, || Ok(())).await.unwrap();
}

#[test]
fn what_is_kept_is_weighed() {
    let mut kept = Validators::default();
    let large: Vec<Value> = (0..200).map(|n| json!({"pattern": format!("[a-z]{{50}}{n}")})).collect();
    let large = Arc::new(compile(&json!({ "anyOf": large })).unwrap());
    assert!(large.weight() > MAX_VALIDATOR_BYTES / 8);
    for digest in 0..50 {
        kept.keep(&digest.to_string(), &large);
        assert!(kept.bytes <= MAX_VALIDATOR_BYTES && !kept.compiled.is_empty());
    }
    let small = Arc::new(compile(&json!({"type": "integer"})).unwrap());
    for digest in 0..1000 {
        kept.keep(&format!("small {digest}"), &small);
        assert!(kept.compiled.len() <= MAX_VALIDATORS);
    }
}
