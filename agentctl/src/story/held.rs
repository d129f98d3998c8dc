//! Freezes in the story of one work: they are events of the host, and hold the work all the same.

use agentd_schemas::document::request::Scope;
use agentd_schemas::event::EventData;
use agentd_schemas::id::WorkId;
use agentd_schemas::unit::name::Slug;

use super::Told;

/// What of a work decides which freezes hold it, as its events tell.
#[derive(Debug)]
pub(crate) struct Held {
    work: WorkId,
    /// The agent whose run it has.
    agent: Option<Slug>,
    is_over: bool,
    /// The agent's freezes that were told.
    frozen: Vec<Slug>,
}

impl Held {
    /// Nothing is known yet.
    pub(crate) fn new(work: WorkId) -> Self {
        Self { work, agent: None, is_over: false, frozen: Vec::new() }
    }

    /// Takes in the next event of the log; gives whether it belongs to the story of the work.
    pub(crate) fn takes(&mut self, told: &Told) -> bool {
        let data = told.event.as_ref().map(|event| &event.data);
        match (told.subject.as_str(), data) {
            ("work", data) if told.id == self.work.to_string() => {
                self.hears(data);
                true
            }
            ("host", Some(EventData::Frozen(event))) => self.freezes(&event.scope),
            ("host", Some(EventData::Thawed(event))) => self.thaws(&event.scope),
            _ => false,
        }
    }

    /// An event of the work itself.
    fn hears(&mut self, data: Option<&EventData>) {
        match data {
            Some(EventData::WorkClaimed(event)) => self.agent = Some(event.agent.clone()),
            Some(EventData::AttemptFailed(_) | EventData::LeaseVoided(_) | EventData::ResultJudged(_)) => {
                self.agent = None;
            }
            Some(
                EventData::WorkCompleted(_)
                | EventData::WorkFailed(_)
                | EventData::WorkCancelled(_)
                | EventData::WorkExpired(_),
            ) => {
                (self.agent, self.is_over) = (None, true);
            }
            Some(EventData::WorkRetried(_)) => self.is_over = false,
            _ => {}
        }
    }

    fn freezes(&mut self, scope: &Scope) -> bool {
        match scope {
            Scope::All => !self.is_over,
            Scope::Work(work) => *work == self.work,
            Scope::Agent(agent) => {
                let holds = self.agent.as_ref() == Some(agent);
                self.frozen.extend(Some(agent.clone()).filter(|_| holds));
                holds
            }
        }
    }

    /// A thaw of the agent is told where its freeze was.
    fn thaws(&mut self, scope: &Scope) -> bool {
        match scope {
            Scope::All => !self.is_over,
            Scope::Work(work) => *work == self.work,
            Scope::Agent(agent) => {
                let before = self.frozen.len();
                self.frozen.retain(|frozen| frozen != agent);
                !self.is_over && self.frozen.len() < before
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use agentd_schemas::event::WorkCancelled;

    use super::*;

    #[test]
    fn a_freeze_belongs_to_the_works_that_it_holds_while_it_holds_them() {
        let work: WorkId = "w-aaaaaaaaaaaaaaaa".parse().unwrap();
        let other: WorkId = "w-aaaaaaaaaaaaaaab".parse().unwrap();
        let (fixer, reader): (Slug, Slug) = ("fixer".parse().unwrap(), "reader".parse().unwrap());
        let mut held = Held::new(work);
        let (all, own) = (Scope::All, Scope::Work(work));
        assert!(held.freezes(&all) && held.thaws(&all) && held.freezes(&own) && held.thaws(&own));
        assert!(!held.freezes(&Scope::Work(other)) && !held.freezes(&Scope::Agent(fixer.clone())));
        assert!(!held.thaws(&Scope::Agent(fixer.clone())));
        held.agent = Some(fixer.clone());
        assert!(held.freezes(&Scope::Agent(fixer.clone())) && !held.freezes(&Scope::Agent(reader)));
        assert!(held.thaws(&Scope::Agent(fixer.clone())) && !held.thaws(&Scope::Agent(fixer)));
        held.hears(Some(&EventData::from(WorkCancelled { reason: "no".to_owned() })));
        assert!(held.agent.is_none() && !held.freezes(&all) && !held.thaws(&all));
    }
}
