//! `agentctl governance graph`

mod dot;
mod nodes;
mod svg;

use agentd_schemas::document::governance::Principal;
use agentd_schemas::governance::{Answer, Case, Duties, answer};
use agentd_schemas::unit::name::{LabelKey, LabelValue, Slug};
use agentd_schemas::unit::owner::Owner;

use super::{FILE, contradiction, label, path, rules};
use crate::context::Context;
use crate::error::Failure;
use crate::output::Output;
use nodes::Graph;

/// Principals of one drawing, at most.
const MAX_DRAWN: usize = 200;

/// Draw rules: who has what, what each stage asks for, and what stands between stages
///
/// Of the rules for a work with these labels, or of all rules when no label is given. Where there is a lawful path, it is drawn.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl governance graph --label prod\n  \
    agentctl governance graph --example release --format svg > release.svg\n  \
    agentctl governance graph --file governance.toml --format dot | dot -Tpng > rules.png")]
pub(crate) struct Args {
    /// The rules, - for stdin
    #[arg(long, short, value_name = "FILE", default_value = FILE, value_hint = clap::ValueHint::FilePath)]
    file: String,
    /// A label of the work, with or without a value; may be given several times
    #[arg(long = "label", value_name = "KEY[=VALUE]", value_parser = label)]
    labels: Vec<(LabelKey, LabelValue)>,
    /// The labels, the owner and the principals of this example; what is given beside it comes before
    #[arg(long, value_name = "NAME")]
    example: Option<Slug>,
    /// As lines, for graphviz, or as a picture
    #[arg(long, value_name = "FORM", default_value = "text", value_parser = ["text", "dot", "svg"])]
    format: String,
}

impl Args {
    /// Runs the command.
    #[allow(clippy::unused_async, reason = "every command has this form")]
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (document, _) = rules(&self.file)?;
        let example = self.example.as_ref().map(|name| path::named(&document, name)).transpose()?;
        let is_of_all = example.is_none() && self.labels.is_empty();
        let labels = path::labels(example, self.labels)?;
        let principals: Vec<&Principal> = match example {
            Some(example) => example.case(&document).principals,
            None => document.principals.iter().collect(),
        };
        if principals.len() > MAX_DRAWN {
            let message = format!("{} principals are too many to draw, at most {MAX_DRAWN} are", principals.len());
            return Err(Failure::usage(message).hint("--example NAME draws those of one example"));
        }
        let duties = if is_of_all { Duties::together(&document.rules) } else { Duties::of(&document, &labels) };
        let duties = duties.map_err(|found| contradiction(&found))?;
        let own = Owner::Uid(rustix::process::getuid().as_raw());
        let owner = example.map_or(&own, |example| &example.owner);
        // Of all rules together there is no work, so there is no path.
        let found =
            (!is_of_all).then(|| answer(&document, &Case { labels: &labels, owner, principals: principals.clone() }));
        let found = found.and_then(|answer| if let Answer::Path(path) = answer { Some(path) } else { None });
        let graph = Graph::of(&duties, &principals, found.as_ref());
        let names: Vec<String> = duties.stages.iter().map(|stage| stage.name.to_string()).collect();
        context.out.show(&graph, &names, |out| match self.format.as_str() {
            "dot" => out.raw(dot::written(&graph).as_bytes()),
            "svg" => out.raw(svg::drawn(&graph).as_bytes()),
            _ => lines(out, &graph),
        })
    }
}

/// Each node with what leads on from it, kind by kind.
fn lines(out: &Output, graph: &Graph) -> Result<(), Failure> {
    for (nth, kind) in nodes::Kind::ALL.into_iter().enumerate() {
        let of_kind: Vec<_> = graph.nodes.iter().enumerate().filter(|(_, node)| node.kind == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        if nth > 0 {
            out.line("")?;
        }
        out.line(kind.title())?;
        for (at, node) in of_kind {
            out.line(format!("  {}", node.name))?;
            for edge in graph.edges.iter().filter(|edge| edge.from == at) {
                out.line(format!("    {} {}", edge.means.words(), graph.nodes[edge.to].name))?;
            }
        }
    }
    Ok(())
}
