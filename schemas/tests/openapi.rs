//! Holds `docs/openapi.json`, the agents' door as an OpenAPI 3.1 document, equal to the types of `agentd_schemas::http`.
//! `UPDATE=1 cargo test -p agentd-schemas --features schema` rewrites it.

#![allow(clippy::unwrap_used, reason = "a test: what is missing is the failure")]

use std::path::{Path, PathBuf};

use agentd_schemas::event::ArtefactRef;
use agentd_schemas::http::run::{
    RunArtefacts, RunChildren, RunCost, RunDocument, RunFail, RunFinish, RunFinished, RunNote, RunProgress, RunReserve,
};
use agentd_schemas::http::{
    ChallengeRequest, ChallengeResponse, Children, Claim, ClaimRequest, Complete, Completed, Cost, Fail, Fenced,
    Health, Heartbeat, MAX_REQUEST_BYTES, Note, Reserve, RunStatus, TokenRequest, TokenResponse,
};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::view::SubmittedView;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Answers that a route can give, as codes; those that every route can give are added.
const EVERYWHERE: [Code; 7] =
    [Code::InvalidDocument, Code::TooLarge, Code::Busy, Code::ReadOnly, Code::DiskFull, Code::Stopping, Code::Internal];
const OF_A_RUN: [Code; 8] = [
    Code::Unauthenticated,
    Code::KeyRevoked,
    Code::Denied,
    Code::NotFound,
    Code::OutOfBounds,
    Code::WrongState,
    Code::StaleFence,
    Code::Conflict,
];

/// What a route takes.
enum Door {
    /// Anybody may ask.
    Open,
    /// An agent with a bearer token.
    Agent,
    /// The agent that holds the run of the path.
    Run,
    /// The run itself, at its own socket.
    Own,
}

struct Document {
    generator: SchemaGenerator,
    paths: Map<String, Value>,
}

impl Document {
    fn post<Request: JsonSchema, Response: JsonSchema>(&mut self, door: &Door, path: &str, says: &str, codes: &[Code]) {
        let request = self.generator.subschema_for::<Request>();
        let mut operation = self.operation::<Response>(door, path, says, codes);
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": request } } });
        self.paths.insert(path.to_owned(), json!({ "post": operation }));
    }

    fn operation<Response: JsonSchema>(&mut self, door: &Door, path: &str, says: &str, codes: &[Code]) -> Value {
        let response = self.generator.subschema_for::<Response>();
        let mut responses = self.refusals(codes);
        responses.insert(
            "200".to_owned(),
            json!({
                "description": "Done; the answer is durable.",
                "content": { "application/json": { "schema": response } },
            }),
        );
        let name = path.rsplit('/').next().unwrap();
        let mut operation = json!({ "operationId": name, "summary": says, "responses": responses });
        match door {
            Door::Open => operation["security"] = json!([]),
            Door::Own => {
                operation["security"] = json!([]);
                operation["tags"] = json!(["inside a run"]);
                operation["operationId"] = json!(format!("own-{name}"));
            }
            Door::Agent => {}
            Door::Run => operation["parameters"] = json!([{ "$ref": "#/components/parameters/Run" }]),
        }
        operation
    }

    /// The statuses of these codes, each with the codes that have it.
    fn refusals(&mut self, codes: &[Code]) -> Map<String, Value> {
        let problem = self.generator.subschema_for::<Problem>();
        let mut responses = Map::new();
        let mut all: Vec<Code> = EVERYWHERE.into_iter().chain(codes.iter().copied()).collect();
        all.sort_by_key(|code| (code.http_status(), code.as_str()));
        for code in all {
            let response = responses.entry(code.http_status().to_string()).or_insert_with(|| {
                json!({
                    "description": "",
                    "content": { "application/json": { "schema": problem } },
                })
            });
            let said = response["description"].as_str().unwrap();
            let parting = if said.is_empty() { "" } else { ", " };
            response["description"] = json!(format!("{said}{parting}`{}`", code.as_str()));
        }
        responses
    }
}

fn sessions(document: &mut Document) {
    let mut health = document.operation::<Health>(&Door::Open, "/v1/health", "Who is there", &[]);
    health["responses"].as_object_mut().unwrap().retain(|status, _| status == "200");
    document.paths.insert("/v1/health".to_owned(), json!({ "get": health }));
    document.post::<ChallengeRequest, ChallengeResponse>(
        &Door::Open,
        "/v1/challenge",
        "Asks for a nonce, and for the text to sign",
        &[],
    );
    let proof = [Code::Unauthenticated, Code::BadSignature, Code::KeyRevoked];
    document.post::<TokenRequest, TokenResponse>(&Door::Open, "/v1/token", "Trades a signature for a token", &proof);
    let codes = [
        Code::Unauthenticated,
        Code::KeyRevoked,
        Code::Denied,
        Code::NotFound,
        Code::OutOfBounds,
        Code::WrongState,
        Code::Frozen,
        Code::BudgetExhausted,
    ];
    document.post::<ClaimRequest, Claim>(&Door::Agent, "/v1/claim", "Asks for work and waits for it", &codes);
    document.paths["/v1/claim"]["post"]["responses"]["204"] = json!({ "description": "No work within the wait." });
}

fn runs(document: &mut Document) {
    let path = |what: &str| format!("/v1/runs/{{run}}/{what}");
    let money: Vec<Code> = OF_A_RUN.into_iter().chain([Code::BudgetExhausted]).collect();
    let aside: Vec<Code> = money.iter().copied().chain([Code::Frozen]).collect();
    let parts: Vec<Code> = OF_A_RUN.into_iter().chain([Code::Cycle, Code::KeyReused, Code::Frozen]).collect();
    let result: Vec<Code> = OF_A_RUN.into_iter().chain([Code::BadSignature]).collect();
    document.post::<Fenced, RunStatus>(&Door::Run, &path("start"), "The agent began", &OF_A_RUN);
    document.post::<Heartbeat, RunStatus>(&Door::Run, &path("heartbeat"), "The lease begins anew", &OF_A_RUN);
    document.post::<Reserve, RunStatus>(
        &Door::Run,
        &path("reserve"),
        "Sets money and tokens aside; not while frozen",
        &aside,
    );
    document.post::<Cost, RunStatus>(&Door::Run, &path("cost"), "Says what was spent, also while frozen", &money);
    document.post::<Note, RunStatus>(&Door::Run, &path("note"), "Adds a note", &OF_A_RUN);
    document.post::<Note, RunStatus>(&Door::Run, &path("ask"), "Asks a person and waits", &OF_A_RUN);
    document.post::<Children, SubmittedView>(
        &Door::Run,
        &path("children"),
        "Submits works as parts; not while frozen",
        &parts,
    );
    document.post::<Complete, Completed>(
        &Door::Run,
        &path("complete"),
        "Hands in the signed result, also while frozen",
        &result,
    );
    document.post::<Fail, Completed>(&Door::Run, &path("fail"), "Gives up", &OF_A_RUN);
}

/// What a run that agentd started says at its own socket.
fn own(document: &mut Document) {
    let path = |what: &str| format!("/v1/run/{what}");
    let money: Vec<Code> = OF_A_RUN.into_iter().chain([Code::KeyReused, Code::BudgetExhausted]).collect();
    let aside: Vec<Code> = money.iter().copied().chain([Code::Frozen]).collect();
    let said: Vec<Code> = OF_A_RUN.into_iter().chain([Code::KeyReused]).collect();
    let parts: Vec<Code> = said.iter().copied().chain([Code::Cycle, Code::Frozen]).collect();
    let door = &Door::Own;
    let show = document.operation::<RunDocument>(door, "/v1/run", "The work, and how it stands", &OF_A_RUN);
    document.paths.insert("/v1/run".to_owned(), json!({ "get": show }));
    document.post::<RunProgress, RunStatus>(door, &path("progress"), "Says what it does now", &OF_A_RUN);
    document.post::<RunReserve, RunStatus>(door, &path("reserve"), "Sets money and tokens aside", &aside);
    document.post::<RunCost, RunStatus>(door, &path("cost"), "Says what was spent", &money);
    document.post::<RunNote, RunStatus>(door, &path("note"), "Adds a note", &said);
    document.post::<RunNote, RunStatus>(door, &path("ask"), "Asks a person and waits", &said);
    document.post::<RunChildren, SubmittedView>(door, &path("children"), "Submits works as parts", &parts);
    let mut artefact = document.operation::<ArtefactRef>(door, &path("artefact"), "Hands in an artefact", &OF_A_RUN);
    artefact["parameters"] = json!([{
        "name": "name",
        "in": "query",
        "required": true,
        "description": "A plain relative path.",
        "schema": { "type": "string", "maxLength": 200 },
    }]);
    artefact["requestBody"] = json!({ "required": true, "content": { "application/octet-stream": {} } });
    document.paths.insert(path("artefact"), json!({ "post": artefact }));
    let list = document.operation::<RunArtefacts>(door, &path("artefacts"), "What was handed in", &OF_A_RUN);
    document.paths.insert(path("artefacts"), json!({ "get": list }));
    document.post::<RunFinish, RunFinished>(door, &path("finish"), "Hands in the result", &OF_A_RUN);
    document.post::<RunFail, Completed>(door, &path("fail"), "Gives up", &said);
}

fn generated() -> String {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut document = Document { generator: settings.into_generator(), paths: Map::new() };
    sessions(&mut document);
    runs(&mut document);
    own(&mut document);
    let whole = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "agentd: the agents' door",
            "version": "1",
            "summary": "HTTP/1.1 with JSON on a unix socket",
            "description": format!(
                "The socket's path is the property AgentsSocket of org.agentd1.Host. A request has at most {} MiB. A \
                 bearer token is good for the uid that it was given to. What is tagged with `inside a run` is at the socket \
                 of a run that agentd started, AGENTD_RUN_SOCKET, and needs no token. docs/http.md walks through every \
                 route.",
                MAX_REQUEST_BYTES >> 20
            ),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "http://agentd", "description": "The host part is not looked at." }],
        "security": [{ "token": [] }],
        "paths": document.paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "From POST /v1/token; lives 15 minutes." },
            },
            "parameters": {
                "Run": {
                    "name": "run",
                    "in": "path",
                    "required": true,
                    "description": "The run of the claim.",
                    "schema": document.generator.subschema_for::<agentd_schemas::id::RunId>(),
                },
            },
            "schemas": document.generator.take_definitions(true),
        },
    });
    serde_json::to_string_pretty(&whole).unwrap() + "\n"
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json")
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the switch of this test is an environment variable")]
fn the_checked_in_document_is_that_of_the_types() {
    let text = generated();
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(file(), &text).unwrap();
    }
    let held = std::fs::read_to_string(file()).unwrap_or_default();
    assert!(held == text, "docs/openapi.json is not that of the types: run this test with UPDATE=1");
}

#[test]
fn every_reference_leads_somewhere() {
    let document: Value = serde_json::from_str(&generated()).unwrap();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 40, "{references:?}");
    for reference in references {
        assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| collect(member, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}

#[test]
fn every_path_is_in_the_documentation_and_takes_an_example() {
    let document: Value = serde_json::from_str(&generated()).unwrap();
    let words = std::fs::read_to_string(file().with_file_name("http.md")).unwrap();
    for path in document["paths"].as_object().unwrap().keys() {
        let example = path.replace("{run}", "$run");
        assert!(words.contains(&format!("{path}`")), "docs/http.md has no section about {path}");
        assert!(words.contains(&format!("http://agentd{example}")), "docs/http.md has no example of {path}");
    }
}
