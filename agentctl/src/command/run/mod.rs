//! Inside a run that agentd started: its own socket, which knows who speaks.

mod artefact;
mod artefacts;
mod ask;
mod cost;
mod fail;
mod finish;
mod note;
mod own;
mod progress;
mod reserve;
mod show;
mod submit;

/// What a run can say. These work inside a run that agentd started, where AGENTD_RUN_SOCKET is set
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show the work: what is to be done, what became of the attempt before, what is left, what persons said
    Show(show::Args),
    /// Say in one line what the run does now
    Progress(progress::Args),
    /// Say what was spent
    Cost(cost::Args),
    /// Set money and tokens aside before they are spent
    Reserve(reserve::Args),
    /// Leave a note for persons
    Note(note::Args),
    /// Ask a person; the run waits, and its clock stands still
    Ask(ask::Args),
    /// Hand in a file as an artefact
    Artefact(artefact::Args),
    /// List the artefacts that were handed in
    Artefacts(artefacts::Args),
    /// Submit work as a part of this one
    Submit(submit::Args),
    /// Hand in the result; it is judged when the program has ended
    Finish(finish::Args),
    /// Give up, and say why
    Fail(fail::Args),
}

dispatch!(Command { Show Progress Cost Reserve Note Ask Artefact Artefacts Submit Finish Fail });
