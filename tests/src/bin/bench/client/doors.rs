//! Both doors, as a client has them: D-Bus on the operators' socket, kept-alive HTTP on the agents' socket.

use std::path::Path;

use agentd_schemas::dbus::{AgentsProxy, HostProxy, WorksProxy};
use agentd_schemas::document::AgentDocument;
use agentd_schemas::document::request::Enrolment;
use agentd_schemas::http::{ChallengeRequest, ChallengeResponse, Claim, Complete, TokenRequest, TokenResponse};
use agentd_schemas::key::dsse::Envelope;
use agentd_schemas::key::openssh::PrivateKey;
use agentd_schemas::key::possession::{Possession, PossessionKind};
use agentd_schemas::key::statement::PAYLOAD_TYPE;
use agentd_tests::harness::statement;
use anyhow::{Context as _, anyhow, bail};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::net::UnixStream;
use zbus::Connection;
use zbus::connection::Builder;

/// A connection to the operators' door.
pub(crate) async fn operators(control: &Path) -> anyhow::Result<Connection> {
    let stream = std::os::unix::net::UnixStream::connect(control).context("the operators' door")?;
    Builder::unix_stream(stream).p2p().build().await.context("the operators' door")
}

/// The works of the operators' door.
pub(super) async fn works(connection: &Connection) -> anyhow::Result<WorksProxy<'_>> {
    // Answers alone are read: a cache of properties would be one more call.
    let proxy = WorksProxy::builder(connection).cache_properties(zbus::proxy::CacheProperties::No).build();
    proxy.await.context("org.agentd1.Works")
}

/// An enrolled agent at its door.
pub(super) struct Agent {
    key: PrivateKey,
    token: String,
    spiffe_id: String,
    origin: String,
    door: SendRequest<Full<Bytes>>,
}

impl Agent {
    /// Enrols a new agent, connects, and authenticates.
    pub(super) async fn enrol(control: &Path, agents: &Path, name: &str, skill: &str) -> anyhow::Result<Self> {
        let connection = operators(control).await?;
        let key = PrivateKey::from_seed(&Sha256::digest(format!("agent of the benchmark: {name}")).into());
        let proxy = AgentsProxy::new(&connection).await?;
        let trust_domain = HostProxy::new(&connection).await?.trust_domain().await?;
        let nonce = proxy.challenge(name).await?;
        let public_key = key.public_key();
        let proof = |kind, nonce: &str| {
            let possession = Possession { kind, trust_domain: &trust_domain, name, nonce, public_key: &public_key };
            possession.sign(&key).map(|signature| signature.to_string())
        };
        let document = serde_json::json!({ "name": name, "skills": [skill] });
        let enrolment = Enrolment {
            agent: serde_json::from_value::<AgentDocument>(document)?,
            public_key: public_key.to_string(),
            signature: proof(PossessionKind::Enroll, &nonce)?,
            nonce,
            declared: None,
        };
        proxy.enroll(&serde_json::to_string(&enrolment)?).await?;
        let mut door = connect(agents).await?;
        let agent = name.parse().map_err(|error| anyhow!("agent {name}: {error}"))?;
        let asked = post(&mut door, "", "/v1/challenge", &ChallengeRequest { agent }).await?;
        let challenge: ChallengeResponse = serde_json::from_slice(&asked.1)?;
        let signature = proof(PossessionKind::Authenticate, &challenge.nonce)?;
        let agent = name.parse().map_err(|error| anyhow!("agent {name}: {error}"))?;
        let request = TokenRequest { agent, nonce: challenge.nonce, signature };
        let (status, body) = post(&mut door, "", "/v1/token", &request).await?;
        if status != StatusCode::OK {
            bail!("agent {name} was not let in: {}", String::from_utf8_lossy(&body));
        }
        let TokenResponse { token, agent_id, origin, .. } = serde_json::from_slice(&body)?;
        Ok(Self { key, token: format!("Bearer {token}"), spiffe_id: agent_id, origin, door })
    }

    /// Claims a work; waits for one that long.
    pub(super) async fn claim(&mut self, wait_s: u32) -> anyhow::Result<Option<Claim>> {
        let request = serde_json::json!({ "wait_s": wait_s });
        let (status, body) = post(&mut self.door, &self.token, "/v1/claim", &request).await?;
        match status {
            StatusCode::OK => Ok(Some(serde_json::from_slice(&body)?)),
            StatusCode::NO_CONTENT => Ok(None),
            _ => bail!("a claim was refused: {}", String::from_utf8_lossy(&body)),
        }
    }

    /// Completes a work with a signed statement over a small result.
    pub(super) async fn complete(&mut self, claim: &Claim) -> anyhow::Result<()> {
        let result = format!("{{\"summary\":\"nothing was wrong with {}\",\"findings\":[]}}", claim.work);
        let completion = statement(claim, &result, &self.spiffe_id, &self.origin)?;
        let statement = Envelope::sign(&self.key, PAYLOAD_TYPE, &completion.to_json()?)?;
        let path = format!("/v1/runs/{}/complete", claim.run);
        let request = Complete { fence: claim.fence, result, statement };
        let (status, body) = post(&mut self.door, &self.token, &path, &request).await?;
        if status != StatusCode::OK {
            bail!("a completion was refused: {}", String::from_utf8_lossy(&body));
        }
        Ok(())
    }
}

async fn connect(agents: &Path) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = UnixStream::connect(agents).await.context("the agents' door")?;
    let (door, connection) = handshake(TokioIo::new(stream)).await.context("the agents' door")?;
    tokio::spawn(connection);
    Ok(door)
}

async fn post(
    door: &mut SendRequest<Full<Bytes>>,
    token: &str,
    path: &str,
    body: &impl Serialize,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let request = Request::post(path)
        .header("host", "agentd")
        .header("content-type", "application/json")
        .header("authorization", token)
        .body(Full::new(Bytes::from(serde_json::to_vec(body)?)))?;
    door.ready().await.context("the agents' door")?;
    let answer = door.send_request(request).await.context("the agents' door")?;
    let status = answer.status();
    Ok((status, answer.into_body().collect().await.context("the agents' door")?.to_bytes()))
}
