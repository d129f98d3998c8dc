//! The keys that an agent has had, from its events: a result stays its own after a rotation.

use agentd_schemas::document::request::EventFilter;
use agentd_schemas::event::EventData;
use agentd_schemas::key::openssh::PublicKey;
use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::{AgentView, PageOfEvents};

use crate::context::{Context, document, read};
use crate::error::Failure;
use crate::story;

/// One key, and the time that it was the agent's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Had {
    /// The key.
    pub(crate) key: PublicKey,
    /// From then on; `None` where the reader may not see the agent's events.
    pub(crate) from: Option<WallMs>,
    /// Until then: it was rotated or revoked.
    pub(crate) until: Option<WallMs>,
}

/// Every key of an agent, the oldest first. Who may not read the agent's events has its key of now.
pub(crate) async fn of(context: &Context, view: &AgentView) -> Result<Vec<Had>, Failure> {
    let mut told: Vec<story::Told> = Vec::new();
    let ledger = context.ledger().await?;
    for event_type in ["AgentEnrolled", "KeyRotated", "KeyRevoked"] {
        let filter = EventFilter {
            subject: Some("agent".to_owned()),
            id: Some(view.row.name.to_string()),
            event_type: Some(event_type.to_owned()),
            limit: Some(1000),
            ..EventFilter::default()
        };
        let Ok(page) = ledger.events(&document(&filter)?).await else { continue };
        let page: PageOfEvents = read(&page)?;
        told.extend(page.events.iter().filter_map(|event| story::tell(&event.body)));
    }
    told.sort_by_key(|told| told.index);
    let mut keys = Vec::new();
    for told in &told {
        if let Some(event) = &told.event {
            change(&mut keys, &event.data, told.time);
        }
    }
    if let (true, Ok(key)) = (keys.is_empty(), view.public_key.parse()) {
        keys.push(Had { key, from: None, until: None });
    }
    Ok(keys)
}

fn change(keys: &mut Vec<Had>, event: &EventData, at: Option<WallMs>) {
    let added = match event {
        EventData::AgentEnrolled(enrolled) => Some(&enrolled.public_key),
        EventData::KeyRotated(rotated) => Some(&rotated.to),
        EventData::KeyRevoked(_) => None,
        _ => return,
    };
    if let Some(last) = keys.last_mut() {
        last.until = last.until.or(at);
    }
    if let Some(Ok(key)) = added.map(|key| key.parse()) {
        keys.push(Had { key, from: at, until: None });
    }
}
