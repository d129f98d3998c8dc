//! What belongs to somebody else.

use std::os::unix::fs::PermissionsExt;

use agentd_tests::harness::{Agent, Operator, Request, eventually, exchange, is_root, scene, skip};
use serde_json::json;

use super::{claimed, code};

#[test]
fn a_token_speaks_for_its_own_agent_alone() {
    let (daemon, operator, agent) = scene(&[]);
    let other = Agent::enrol(&daemon, &operator, "other", &[]);
    let claim = claimed(&operator, &agent);
    for (verb, document) in [
        ("start", json!({})),
        ("heartbeat", json!({})),
        ("note", json!({"text": "mine now"})),
        ("cost", json!({"tokens": 1})),
        ("reserve", json!({"tokens": 1})),
        ("ask", json!({"text": "?"})),
        ("children", json!({"works": [{"title": "part"}]})),
        ("fail", json!({"message": "no"})),
    ] {
        let problem = other.say(&claim, verb, document).problem();
        assert!(["denied", "not_found"].contains(&code(&problem)), "{verb}: {problem:?}");
    }
    let stolen = other.hand_in(&claim, "r", &other.statement(&claim, "r"), &other.key).problem();
    assert!(["denied", "not_found"].contains(&code(&stolen)), "{stolen:?}");
    for token in ["", "guess", &"A".repeat(43), &agent.token[1..]] {
        let token = Some(token);
        let request = Request { method: "POST", path: "/v1/claim", token, body: b"{}" };
        assert_eq!(code(&request.send(&daemon.agents_socket()).problem()), "unauthenticated");
    }
    agent.complete(&claim, "r");
}

#[test]
fn agents_have_no_way_to_judge_their_own_results() {
    let (daemon, operator, agent) = scene(&[]);
    let id = operator.submit(&json!({"title": "x", "acceptance": [{"person": "owner"}]}));
    let claim = agent.claim();
    agent.complete(&claim, "my best");
    for path in [format!("/v1/runs/{}/accept", claim.run), format!("/v1/works/{id}/accept"), "/v1/accept".to_owned()] {
        let answer = agent.post(&path, &json!({"fence": claim.fence, "work": id}));
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(code(&answer.problem()), "not_found", "{path}");
    }
    assert_eq!(operator.state(&id), "verifying");
    // Bytes of one door mean nothing at the other.
    let answer = exchange(&daemon.agents_socket(), b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n");
    assert!([0, 400].contains(&answer.status), "{}", answer.status);
}

#[test]
fn a_thread_of_another_user_gets_nothing_at_either_door() {
    if !is_root() {
        return skip("another uid needs root");
    }
    let (daemon, operator, agent) = scene(&[]);
    let id = operator.submit(&json!({"title": "private words"}));
    // The doors are shut for others by their modes; opened wide, who calls is still known from the kernel.
    let run = daemon.state().join("run");
    for path in [daemon.state(), run.clone(), run.join("agents.sock"), run.join("control.sock")] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
    }
    let (token, socket) = (agent.token.clone(), daemon.agents_socket());
    let control = daemon.control_socket();
    let other = std::thread::spawn(move || {
        let nobody = rustix::process::Uid::from_raw(65_534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        let claim = Request { method: "POST", path: "/v1/claim", token: Some(&token), body: b"{}" }.send(&socket);
        assert_eq!(claim.problem().code.as_str(), "unauthenticated", "a token of another uid");
        let signed = agent.redeem(&agent.challenge(), &agent.key).problem();
        assert_eq!(signed.code.as_str(), "bad_signature", "the right key under another uid");
        let operator = Operator::connect(&control);
        let hidden = operator.ask("Works", "Show", &id.as_str()).unwrap_err();
        assert!(["not_found", "denied"].contains(&hidden.code.as_str()), "{hidden:?}");
        let works = operator.ask("Works", "List", &"{}").unwrap();
        assert!(works["works"].as_array().unwrap().is_empty(), "{works}");
        for (interface, method) in [("Works", "Cancel"), ("Works", "Retry"), ("Works", "Reject")] {
            let problem = operator.ask(interface, method, &(id.as_str(), "no")).unwrap_err();
            assert!(["not_found", "denied"].contains(&problem.code.as_str()), "{method}: {problem:?}");
        }
        let freeze = operator.ask("Host", "Freeze", &(json!("all").to_string(), "mine")).unwrap_err();
        assert_eq!(freeze.code.as_str(), "denied");
        let events = operator.events();
        assert!(!json!(events).to_string().contains(&id), "another owner's events are hidden");
    });
    other.join().unwrap();
    eventually("the denial to be on record", || (operator.count("AccessDenied") > 0).then_some(()));
}
