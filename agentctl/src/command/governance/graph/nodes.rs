//! Rules as nodes and edges: principals, what they can have, stages that ask for it, and what stands between stages.

use agentd_schemas::document::governance::{Principal, PrincipalKind, StageKind};
use agentd_schemas::governance::{Duties, Path, What};
use serde::Serialize;

/// What a node is. The order is that of a drawing, from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// A person or an agent.
    Principal,
    /// What somebody can have or be.
    Capability,
    /// A stage, which asks for it.
    Stage,
    /// What stands between stages, or what one hands in.
    Gate,
}

impl Kind {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Principal, Self::Capability, Self::Stage, Self::Gate];

    /// As a heading.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Principal => "principals",
            Self::Capability => "capabilities",
            Self::Stage => "stages",
            Self::Gate => "gates",
        }
    }
}

/// One thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Node {
    /// What it is.
    pub(super) kind: Kind,
    /// What it is called.
    pub(super) name: String,
}

/// What an edge means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Means {
    /// The principal has the capability.
    Has,
    /// The principal does the stage on the lawful path.
    Does,
    /// The capability is asked for by the stage.
    ForStage,
    /// The stage is done before the other.
    Before,
    /// The gate is of the stage.
    Gate,
}

impl Means {
    /// As a verb.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Has => "has",
            Self::Does => "does",
            Self::ForStage => "is asked for by",
            Self::Before => "comes before",
            Self::Gate => "is under",
        }
    }
}

/// One line between two things.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Edge {
    /// The place of the one in the nodes.
    pub(super) from: usize,
    /// The place of the other.
    pub(super) to: usize,
    /// What it means.
    pub(super) means: Means,
}

/// Rules as nodes and edges.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Graph {
    /// The nodes.
    pub(super) nodes: Vec<Node>,
    /// The edges.
    pub(super) edges: Vec<Edge>,
}

impl Graph {
    /// What these duties ask for, who has it, and who does what where there is a path.
    pub(super) fn of(duties: &Duties, principals: &[&Principal], path: Option<&Path>) -> Self {
        let mut graph = Self::default();
        for stage in &duties.stages {
            graph.node(Kind::Stage, stage.name.to_string());
        }
        for stage in &duties.stages {
            let at = graph.node(Kind::Stage, stage.name.to_string());
            for before in &stage.after {
                let before = graph.node(Kind::Stage, before.to_string());
                graph.edge(before, at, Means::Before);
            }
            for evidence in &stage.evidence {
                let gate = graph.node(Kind::Gate, format!("evidence {evidence}"));
                graph.edge(at, gate, Means::Gate);
            }
        }
        for principal in principals {
            graph.node(Kind::Principal, principal.name.to_string());
        }
        for demand in &duties.demands {
            graph.demand(&demand.what, principals);
        }
        for step in path.into_iter().flat_map(|path| &path.stages) {
            let stage = graph.node(Kind::Stage, step.stage.to_string());
            for pick in &step.who {
                let who = graph.node(Kind::Principal, pick.name.to_string());
                graph.edge(who, stage, Means::Does);
            }
        }
        graph
    }

    fn demand(&mut self, what: &What, principals: &[&Principal]) {
        let Some(name) = capability(what) else {
            let gate = self.node(Kind::Gate, gate(what));
            for at in what.stages() {
                let stage = self.node(Kind::Stage, at.name.to_string());
                self.edge(stage, gate, Means::Gate);
            }
            return;
        };
        let at = self.node(Kind::Capability, name);
        for principal in principals.iter().filter(|principal| has(principal, what)) {
            let who = self.node(Kind::Principal, principal.name.to_string());
            self.edge(who, at, Means::Has);
        }
        for stage in what.stages() {
            let stage = self.node(Kind::Stage, stage.name.to_string());
            self.edge(at, stage, Means::ForStage);
        }
    }

    fn node(&mut self, kind: Kind, name: String) -> usize {
        self.nodes.iter().position(|node| node.kind == kind && node.name == name).unwrap_or_else(|| {
            self.nodes.push(Node { kind, name });
            self.nodes.len() - 1
        })
    }

    fn edge(&mut self, from: usize, to: usize, means: Means) {
        let edge = Edge { from, to, means };
        if !self.edges.contains(&edge) {
            self.edges.push(edge);
        }
    }
}

/// What somebody can have; none where the demand is not about that.
fn capability(what: &What) -> Option<String> {
    match what {
        What::Skill(_, skill) => Some(format!("skill {skill}")),
        What::Clearance(_, clearance) => Some(format!("clearance {clearance}")),
        What::ModelClass(_, class) => Some(format!("model class {class}")),
        What::Group(_, group) => Some(format!("group {group}")),
        What::Kind(_, StageKind::Person) => Some("kind person".to_owned()),
        What::Kind(..) => Some("kind agent".to_owned()),
        What::NotOwner(_) | What::Count(..) | What::Separate(..) | What::Same(_) => None,
    }
}

/// Whether this stands in what the file says of somebody.
fn has(principal: &Principal, what: &What) -> bool {
    match what {
        What::Skill(_, skill) => principal.skills.contains(skill),
        What::Clearance(_, clearance) => principal.clearances.contains(clearance),
        What::ModelClass(_, class) => principal.model_class.as_ref() == Some(class),
        What::Group(_, group) => principal.groups.contains(group),
        What::Kind(_, StageKind::Person) => principal.kind == PrincipalKind::Person,
        What::Kind(..) => principal.kind == PrincipalKind::Agent,
        What::NotOwner(_) | What::Count(..) | What::Separate(..) | What::Same(_) => false,
    }
}

fn gate(what: &What) -> String {
    match what {
        What::NotOwner(_) => "not by the owner of the work".to_owned(),
        What::Count(_, count) => format!("{count} different principals"),
        other => other.to_string(),
    }
}
