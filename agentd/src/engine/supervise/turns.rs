//! Whose turn it is: owners one after another, and of each owner its agents. It moves on when somebody got a run, and only
//! then: looks that find no room change nothing.

use std::collections::BTreeMap;

use agentd_schemas::unit::name::Slug;

/// Who got a run last.
#[derive(Debug, Default)]
pub(super) struct Turns {
    owner: Option<u32>,
    /// Of each owner with agents, the last that got one.
    agents: BTreeMap<u32, Slug>,
}

impl Turns {
    /// Owners and their agents in the order of their turns. `agents` are those of each owner, owners in rising order.
    pub(super) fn order<'a>(&mut self, agents: &'a [(u32, Vec<Slug>)]) -> Vec<(u32, Vec<&'a Slug>)> {
        self.agents.retain(|owner, _| agents.iter().any(|(known, _)| known == owner));
        let first = self.owner.map_or(0, |last| agents.partition_point(|(owner, _)| *owner <= last));
        let owners = agents[first..].iter().chain(&agents[..first]);
        owners.map(|(owner, names)| (*owner, self.order_of(*owner, names))).collect()
    }

    fn order_of<'a>(&self, owner: u32, names: &'a [Slug]) -> Vec<&'a Slug> {
        let last = self.agents.get(&owner);
        let first = names.iter().position(|name| Some(name) == last).map_or(0, |at| at + 1);
        names[first..].iter().chain(&names[..first]).collect()
    }

    /// An agent got a run.
    pub(super) fn given(&mut self, owner: u32, agent: &Slug) {
        self.owner = Some(owner);
        self.agents.insert(owner, agent.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agents(of: &[(u32, &[&str])]) -> Vec<(u32, Vec<Slug>)> {
        of.iter().map(|(owner, names)| (*owner, names.iter().map(|name| name.parse().unwrap()).collect())).collect()
    }

    fn next(turns: &mut Turns, agents: &[(u32, Vec<Slug>)]) -> String {
        let order = turns.order(agents);
        let (owner, names) = &order[0];
        let text = format!("{owner} {}", names[0]);
        turns.given(*owner, names[0]);
        text
    }

    #[test]
    fn owners_take_turns_and_each_with_its_agents() {
        let (mut turns, agents) = (Turns::default(), agents(&[(1, &["a", "b"]), (2, &["c"])]));
        let got: Vec<String> = (0..5).map(|_| next(&mut turns, &agents)).collect();
        assert_eq!(got, ["1 a", "2 c", "1 b", "2 c", "1 a"]);
    }

    #[test]
    fn a_look_that_gives_nothing_moves_nobody() {
        let (mut turns, agents) = (Turns::default(), agents(&[(1, &["a"]), (2, &["b"])]));
        assert_eq!(next(&mut turns, &agents), "1 a");
        for _ in 0..3 {
            assert_eq!(turns.order(&agents)[0].0, 2);
        }
    }

    #[test]
    fn who_is_gone_is_passed_and_forgotten() {
        let mut turns = Turns::default();
        assert!(turns.order(&[]).is_empty());
        turns.given(2, &"b".parse().unwrap());
        let left = agents(&[(1, &["a"]), (3, &["c", "d"])]);
        assert_eq!(turns.order(&left).iter().map(|(owner, _)| *owner).collect::<Vec<_>>(), [3, 1]);
        assert!(turns.agents.is_empty());
        turns.given(3, &"gone".parse().unwrap());
        assert_eq!(turns.order(&left)[1].1[0].as_str(), "c");
    }
}
